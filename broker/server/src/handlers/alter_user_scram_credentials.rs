//! AlterUserScramCredentials (key 51), v0-0: sets and removes SCRAM credentials of users (KIP-554).
//!
//! There is no authentication that could use them: each that is to be set is refused (UNSUPPORTED_SASL_MECHANISM), each that
//! is to be removed is not there (RESOURCE_NOT_FOUND). One result for each user, as in Kafka.
//!
//! Left out: credentials.
//!
//! Memory: some 120 bytes of answer for each user of the request; salts and passwords are dropped.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};
use std::collections::BTreeMap;

/// Refuses for each user.
pub async fn handle(
    scope: Scope,
    request: AlterUserScramCredentialsRequest,
) -> Option<AlterUserScramCredentialsResponse> {
    let allowed = scope.require(AclOperation::Alter, Resource::Cluster);
    let mut users = BTreeMap::new();
    for deletion in request.deletions {
        let why = "there is no such credential: this broker keeps none";
        users.insert(deletion.name, (ResponseError::ResourceNotFound, why));
    }
    for upsertion in request.upsertions {
        let why = "no listener of this broker asks for SASL, so it keeps no credentials";
        users.insert(upsertion.name, (ResponseError::UnsupportedSaslMechanism, why));
    }
    let results = users.into_iter().map(|(user, (error, why))| {
        let (error, why) = match &allowed {
            Ok(()) => (error.code(), why.to_owned()),
            Err(refusal) => (code(Operation::Admin, refusal), refusal.to_string()),
        };
        AlterUserScramCredentialsResult::default()
            .with_user(user)
            .with_error_code(error)
            .with_error_message(Some(text::wire(&why)))
    });
    Some(AlterUserScramCredentialsResponse::default().with_results(results.collect()))
}
