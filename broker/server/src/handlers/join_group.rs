//! JoinGroup (key 11), v0-9: enters a group and waits for the rebalance.
//!
//! v0 has no rebalance timeout: the session's is taken. From v4 on a new member must join again with the id it is given
//! (KIP-394). v5 added static membership (KIP-345), v7 the protocol type in the answer, v8 a reason (which goes to the
//! log), v9 `skip_assignment` for a static leader that comes back (KIP-814).
//!
//! What members support is bytes between them and passes through, so any assignor works, cooperative ones too. Refused
//! are another protocol type and protocols that the others do not have (INCONSISTENT_GROUP_PROTOCOL), session timeouts
//! out of bounds (INVALID_SESSION_TIMEOUT), and a member more than `group.max.size` (GROUP_MAX_SIZE_REACHED).
//!
//! When the broker stops, whoever still waits is told NOT_COORDINATOR, and looks for the coordinator again.
//!
//! Left out: the groups of KIP-848, which have requests of their own. Memory: 32 times the request, for protocols of a few bytes; metadata is copied
//! once, out of the frame.

use super::Scope;
use super::scope::unexpected;
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use pelton_core::event::{GroupReply, GroupRequest, JoinGroup, JoinedGroup};
use pelton_core::refusal::Refusal;

/// Joins; the answer comes when the group's new generation begins.
pub async fn handle(scope: Scope, request: JoinGroupRequest) -> Option<JoinGroupResponse> {
    let prefix: &str = match &request.group_instance_id {
        Some(instance) => instance.as_str(),
        None => &scope.client_id,
    };
    let proposed_member = format!("{prefix}-{}", uuid::Uuid::new_v4()).into();
    let join = JoinGroup {
        group: request.group_id.0.as_str().into(),
        member: request.member_id.as_str().into(),
        instance: text::optional(request.group_instance_id.as_ref()),
        proposed_member,
        client_id: scope.client_id.clone(),
        client_host: scope.connection.client_host.clone(),
        protocol_type: request.protocol_type.as_str().into(),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| (protocol.name.as_str().into(), text::detached(&protocol.metadata)))
            .collect(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if scope.version == 0 {
            request.session_timeout_ms
        } else {
            request.rebalance_timeout_ms
        },
        require_known_member: scope.version >= 4 && request.group_instance_id.is_none(),
    };
    if let Some(reason) = request.reason.as_deref() {
        let (group, member) = (request.group_id.0.as_str(), request.member_id.as_str());
        tracing::debug!(group, member, reason, "a member joins");
    }
    // The answer may be minutes away; the frame is not kept so long.
    drop(request);
    let (group, member) = (join.group.clone(), join.member.clone());
    let refusal = match scope.ask_group_of_members(&group, GroupRequest::Join(join)).await {
        Ok(GroupReply::Joined(joined)) => return Some(joined_response(scope.version, joined)),
        Ok(other) => unexpected(&other),
        Err(refusal) => refusal,
    };
    let member = match &refusal {
        Refusal::MemberIdRequired(member) => text::wire(member),
        // It is no member, whatever it was.
        Refusal::GroupMaxSizeReached => text::wire(""),
        _ => text::wire(&member),
    };
    Some(
        JoinGroupResponse::default()
            .with_error_code(code(Operation::Group, &refusal))
            .with_generation_id(-1)
            .with_member_id(member)
            .with_protocol_name(if scope.version >= 7 { None } else { Some(text::wire("")) }),
    )
}

fn joined_response(version: i16, mut joined: JoinedGroup) -> JoinGroupResponse {
    // Before v9 nothing tells a leader that came back to leave the assignment alone. It is not told that it
    // leads: it would assign anew, and the members that stayed would never hear of it.
    if version < 9 && joined.skip_assignment {
        joined.leader = "".into();
        joined.members.clear();
    }
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text::wire(&member.member))
            .with_group_instance_id(member.instance.as_deref().filter(|_| version >= 5).map(text::wire))
            .with_metadata(member.metadata)
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type((version >= 7).then(|| text::wire(&joined.protocol_type)))
        .with_protocol_name(Some(text::wire(&joined.protocol)))
        .with_leader(text::wire(&joined.leader))
        .with_member_id(text::wire(&joined.member))
        .with_skip_assignment(version >= 9 && joined.skip_assignment)
        .with_members(members.collect())
}
