//! DescribeAcls (key 29), v1-3: which access rules there are.
//!
//! There is no authorizer, so there are none: SECURITY_DISABLED, as from a Kafka broker whose `authorizer.class.name` is
//! empty. v2 is flexible, v3 added a kind of resource.
//!
//! Left out: access rules.
//!
//! Memory: the answer is of a constant size.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};

/// Says that there are none.
pub async fn handle(scope: Scope, _: DescribeAclsRequest) -> Option<DescribeAclsResponse> {
    let (error, message) = match scope.require(AclOperation::Describe, Resource::Cluster) {
        Ok(()) => (ResponseError::SecurityDisabled.code(), "no authorizer is configured".to_owned()),
        Err(refusal) => (code(Operation::Admin, &refusal), refusal.to_string()),
    };
    Some(DescribeAclsResponse::default().with_error_code(error).with_error_message(Some(text::wire(&message))))
}
