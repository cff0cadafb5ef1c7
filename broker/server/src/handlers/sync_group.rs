//! SyncGroup (key 14), v0-5: the leader gives the assignments, every member gets its own.
//!
//! Assignments are bytes between the members and pass through. v1 added the throttle time, v3 static membership, v4 the
//! flexible encoding, v5 the protocol's type and name, which are checked when they are given (KIP-559). When the broker stops,
//! whoever still waits is told NOT_COORDINATOR.
//!
//! Left out: nothing. Memory: 32 times the request, for assignments of a few bytes; they are copied
//! once, out of the frame.

use super::Scope;
use super::scope::unexpected;
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use pelton_core::event::{GroupReply, GroupRequest, SyncGroup};

/// Syncs; the answer comes when the leader's assignments are durable.
pub async fn handle(scope: Scope, request: SyncGroupRequest) -> Option<SyncGroupResponse> {
    let sync = SyncGroup {
        group: request.group_id.0.as_str().into(),
        generation: request.generation_id,
        member: request.member_id.as_str().into(),
        instance: text::optional(request.group_instance_id.as_ref()),
        protocol_type: text::optional(request.protocol_type.as_ref()),
        protocol: text::optional(request.protocol_name.as_ref()),
        assignments: request
            .assignments
            .iter()
            .map(|given| (given.member_id.as_str().into(), text::detached(&given.assignment)))
            .collect(),
    };
    // The answer may be minutes away; the frame is not kept so long.
    drop(request);
    let group = sync.group.clone();
    let refusal = match scope.ask_group_of_members(&group, GroupRequest::Sync(sync)).await {
        Ok(GroupReply::Synced(synced)) => {
            return Some(
                SyncGroupResponse::default()
                    .with_protocol_type((scope.version >= 5).then(|| text::wire(&synced.protocol_type)))
                    .with_protocol_name((scope.version >= 5).then(|| text::wire(&synced.protocol)))
                    .with_assignment(synced.assignment),
            );
        }
        Ok(other) => unexpected(&other),
        Err(refusal) => refusal,
    };
    Some(SyncGroupResponse::default().with_error_code(code(Operation::Group, &refusal)))
}
