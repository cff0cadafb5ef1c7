//! CreateAcls (key 30), v1-3: makes access rules.
//!
//! There is no authorizer that could keep or obey them: SECURITY_DISABLED for each, as from a Kafka broker whose
//! `authorizer.class.name` is empty. v2 is flexible, v3 added a kind of resource.
//!
//! Left out: access rules.
//!
//! Memory: some 40 bytes of answer for each rule of the request, which takes at least 8.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};

/// Refuses each.
pub async fn handle(scope: Scope, request: CreateAclsRequest) -> Option<CreateAclsResponse> {
    let (error, message) = match scope.require(AclOperation::Alter, Resource::Cluster) {
        Ok(()) => (ResponseError::SecurityDisabled.code(), "no authorizer is configured".to_owned()),
        Err(refusal) => (code(Operation::Admin, &refusal), refusal.to_string()),
    };
    let result = AclCreationResult::default().with_error_code(error).with_error_message(Some(text::wire(&message)));
    Some(CreateAclsResponse::default().with_results(vec![result; request.creations.len()]))
}
