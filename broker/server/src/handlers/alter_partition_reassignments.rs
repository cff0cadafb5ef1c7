//! AlterPartitionReassignments (key 45), v0-1: moves partitions to other brokers, or calls that off (KIP-455).
//!
//! There is one broker, where every partition is already: a move to it alone is done at once, every other is
//! INVALID_REPLICA_ASSIGNMENT, and there is never a move to be called off (NO_REASSIGNMENT_IN_PROGRESS). v1 added whether the
//! number of replicas may change, which it cannot.
//!
//! Left out: the timeout, since nothing is waited for.
//!
//! Memory: some 120 bytes of answer for each 5 bytes that name a partition.

use super::Scope;
use super::create_topics::check_replicas;
use super::scope::{partition_of, resolve};
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId};
use uuid::Uuid;

/// Answers for each partition.
pub async fn handle(
    scope: Scope,
    request: AlterPartitionReassignmentsRequest,
) -> Option<AlterPartitionReassignmentsResponse> {
    let response = AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(scope.version < 1 || request.allow_replication_factor_change);
    if let Err(refusal) = scope.require(AclOperation::Alter, Resource::Cluster) {
        let message = Some(text::wire(&refusal.to_string()));
        return Some(response.with_error_code(code(Operation::Admin, &refusal)).with_error_message(message));
    }
    let image = scope.image();
    let topics = request.topics.into_iter().map(|asked| {
        let topic = resolve(&image, false, &asked.name, Uuid::nil());
        let partitions = asked.partitions.into_iter().map(|asked| {
            let index = asked.partition_index;
            let partition = topic.clone().and_then(|(name, described)| partition_of(name, described, index));
            let (error, message) = match partition {
                Ok(_) => reassigned(scope.server.core.node_id, asked.replicas.as_deref()),
                Err(refusal) => (code(Operation::Admin, &refusal), Some(refusal.to_string())),
            };
            ReassignablePartitionResponse::default()
                .with_partition_index(index)
                .with_error_code(error)
                .with_error_message(message.as_deref().map(text::wire))
        });
        let partitions = partitions.collect();
        ReassignableTopicResponse::default().with_name(asked.name).with_partitions(partitions)
    });
    let topics = topics.collect();
    Some(response.with_error_code(NONE).with_error_message(None).with_responses(topics))
}

/// What becomes of a partition that is on this node and is to be on these.
fn reassigned(node: i32, replicas: Option<&[BrokerId]>) -> (i16, Option<String>) {
    match replicas.map(|replicas| check_replicas(node, replicas)) {
        None => {
            let message = "no reassignment of this partition is under way";
            (ResponseError::NoReassignmentInProgress.code(), Some(message.to_owned()))
        }
        Some(Ok(())) => (NONE, None),
        Some(Err(refusal)) => (code(Operation::Admin, &refusal), Some(refusal.to_string())),
    }
}
