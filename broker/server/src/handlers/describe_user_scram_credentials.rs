//! DescribeUserScramCredentials (key 50), v0-0: by which SCRAM mechanisms users may authenticate (KIP-554).
//!
//! There is no authentication and no user has a credential: nothing where all users are asked for, RESOURCE_NOT_FOUND for
//! each that is named, DUPLICATE_RESOURCE for one that is named twice.
//!
//! Left out: credentials.
//!
//! Memory: some 120 bytes of answer for each user of the request.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use kafka_protocol::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};
use std::collections::BTreeMap;

/// Finds none.
pub async fn handle(
    scope: Scope,
    request: DescribeUserScramCredentialsRequest,
) -> Option<DescribeUserScramCredentialsResponse> {
    let response = DescribeUserScramCredentialsResponse::default().with_error_message(None);
    if let Err(refusal) = scope.require(AclOperation::Describe, Resource::Cluster) {
        let message = Some(text::wire(&refusal.to_string()));
        return Some(response.with_error_code(code(Operation::Admin, &refusal)).with_error_message(message));
    }
    let mut users = BTreeMap::new();
    for user in request.users.unwrap_or_default() {
        *users.entry(user.name).or_insert(0usize) += 1;
    }
    let results = users.into_iter().map(|(user, times)| {
        let (error, message) = if times > 1 {
            let why = format!("the request names the user {user} more than once");
            (ResponseError::DuplicateResource, why)
        } else {
            let why = format!("{user} has no credential: this broker keeps none");
            (ResponseError::ResourceNotFound, why)
        };
        DescribeUserScramCredentialsResult::default()
            .with_error_code(error.code())
            .with_error_message(Some(text::wire(&message)))
            .with_user(user)
    });
    let results = results.collect();
    Some(response.with_results(results))
}
