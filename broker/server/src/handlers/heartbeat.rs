//! Heartbeat (key 12), v0-4: a member is alive, and learns of a rebalance.
//!
//! While members join, the answer is REBALANCE_IN_PROGRESS, which sends the member into its own join; a generation that
//! is over is ILLEGAL_GENERATION, a member that was dropped UNKNOWN_MEMBER_ID, and one whose instance id has another
//! holder FENCED_INSTANCE_ID. v1 added the throttle time, v3 static membership, v4 the flexible encoding.
//!
//! Left out: nothing. Memory: 8 times the request, for the names.

use super::Scope;
use super::scope::unexpected;
use crate::auth::AclOperation;
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use pelton_core::event::{GroupReply, GroupRequest};

/// Tells the coordinator.
pub async fn handle(scope: Scope, request: HeartbeatRequest) -> Option<HeartbeatResponse> {
    let heartbeat = GroupRequest::Heartbeat {
        group: request.group_id.0.as_str().into(),
        generation: request.generation_id,
        member: request.member_id.as_str().into(),
        instance: text::optional(request.group_instance_id.as_ref()),
    };
    let error = match scope.ask_group(AclOperation::Read, &request.group_id.0, heartbeat).await {
        Ok(GroupReply::Done) => NONE,
        Ok(other) => code(Operation::Group, &unexpected(&other)),
        Err(refusal) => code(Operation::Group, &refusal),
    };
    Some(HeartbeatResponse::default().with_error_code(error))
}
