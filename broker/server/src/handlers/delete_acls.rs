//! DeleteAcls (key 31), v1-3: removes access rules.
//!
//! There is no authorizer, so there are none: SECURITY_DISABLED for each filter, as from a Kafka broker whose
//! `authorizer.class.name` is empty. v2 is flexible, v3 added a kind of resource.
//!
//! Left out: access rules.
//!
//! Memory: some 40 bytes of answer for each filter of the request, which takes at least 8.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};

/// Refuses each.
pub async fn handle(scope: Scope, request: DeleteAclsRequest) -> Option<DeleteAclsResponse> {
    let (error, message) = match scope.require(AclOperation::Alter, Resource::Cluster) {
        Ok(()) => (ResponseError::SecurityDisabled.code(), "no authorizer is configured".to_owned()),
        Err(refusal) => (code(Operation::Admin, &refusal), refusal.to_string()),
    };
    let result =
        DeleteAclsFilterResult::default().with_error_code(error).with_error_message(Some(text::wire(&message)));
    Some(DeleteAclsResponse::default().with_filter_results(vec![result; request.filters.len()]))
}
