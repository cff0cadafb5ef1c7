//! ListPartitionReassignments (key 46), v0-0: which partitions are being moved to other brokers (KIP-455).
//!
//! There is one broker, so none are. `kafka-topics.sh --describe` asks it.
//!
//! Memory: the answer is of a constant size.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

/// Names none.
pub async fn handle(scope: Scope, _: ListPartitionReassignmentsRequest) -> Option<ListPartitionReassignmentsResponse> {
    let response = ListPartitionReassignmentsResponse::default().with_error_message(None);
    Some(match scope.require(AclOperation::Describe, Resource::Cluster) {
        Ok(()) => response,
        Err(refusal) => response
            .with_error_code(code(Operation::Admin, &refusal))
            .with_error_message(Some(text::wire(&refusal.to_string()))),
    })
}
