//! LeaveGroup (key 13), v0-5: members leave.
//!
//! v0-2 name one member, whose error is that of the answer; v3 names several (KIP-345), each with an error of its own.
//! An instance id alone removes whoever holds it. v1 added the throttle time, v4 the flexible encoding, v5 a reason,
//! which goes to the log.
//!
//! Left out: nothing. Memory: 96 times the request, for the names and what comes of each.

use super::Scope;
use super::scope::unexpected;
use crate::auth::AclOperation;
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use pelton_core::event::{GroupReply, GroupRequest, LeaveResult, LeavingMember};
use pelton_core::refusal::Refusal;

/// Removes the members.
pub async fn handle(scope: Scope, request: LeaveGroupRequest) -> Option<LeaveGroupResponse> {
    let members = if scope.version < 3 {
        vec![LeavingMember { member: request.member_id.as_str().into(), instance: None }]
    } else {
        let leaving = request.members.iter().map(|member| LeavingMember {
            member: member.member_id.as_str().into(),
            instance: text::optional(member.group_instance_id.as_ref()),
        });
        leaving.collect()
    };
    for member in request.members.iter().filter(|member| member.reason.is_some()) {
        let (group, reason) = (request.group_id.0.as_str(), member.reason.as_deref());
        tracing::debug!(group, member = member.member_id.as_str(), reason, "a member leaves");
    }
    let leave = GroupRequest::Leave { group: request.group_id.0.as_str().into(), members };
    let results = match scope.ask_group(AclOperation::Read, &request.group_id.0, leave).await {
        Ok(GroupReply::Left(results)) => results,
        Ok(other) => return Some(refused(&unexpected(&other))),
        Err(refusal) => return Some(refused(&refusal)),
    };
    if scope.version < 3 {
        let refusal = results.into_iter().find_map(|result| result.refusal);
        return Some(refusal.map_or_else(LeaveGroupResponse::default, |refusal| refused(&refusal)));
    }
    let member = |result: LeaveResult| {
        MemberResponse::default()
            .with_member_id(text::wire(&result.member))
            .with_group_instance_id(result.instance.as_deref().map(text::wire))
            .with_error_code(result.refusal.map_or(NONE, |refusal| code(Operation::Group, &refusal)))
    };
    Some(LeaveGroupResponse::default().with_members(results.into_iter().map(member).collect()))
}

fn refused(refusal: &Refusal) -> LeaveGroupResponse {
    LeaveGroupResponse::default().with_error_code(code(Operation::Group, refusal))
}
