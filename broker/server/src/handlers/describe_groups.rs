//! DescribeGroups (key 15), v0-6: the state of groups and who is in them.
//!
//! Members are told with their subscriptions and assignments while the group is stable, without them otherwise. A group
//! that is not there is Dead, without an error; from v6 on it is GROUP_ID_NOT_FOUND with a message (KIP-1043). v1 added
//! the throttle time, v3 what the client may do to the group, as a bit field where it asks for that (KIP-430), v4
//! instance ids, v5 the flexible encoding.
//!
//! Left out: the groups of KIP-848, which have a request of their own. Memory: 64 times the request, for the ids and
//! what is put together of each; the answer itself is bounded by the groups that there are, each described once.

use super::{Scope, of_each_group};
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use pelton_core::event::{self, GroupReply, GroupRequest};
use pelton_core::refusal::Refusal;
use std::sync::Arc;

/// Answers for every group.
pub async fn handle(scope: Scope, request: DescribeGroupsRequest) -> Option<DescribeGroupsResponse> {
    let answers = |reply| match reply {
        GroupReply::Described(groups) => Ok(groups),
        other => Err(other),
    };
    let describe = |groups| GroupRequest::Describe { groups };
    let found = of_each_group::ask(&scope, AclOperation::Describe, &request.groups, describe, answers).await;
    let asked = request.include_authorized_operations;
    let groups = found.into_iter().map(|(id, described)| describe_one(&scope, asked, &id, described));
    Some(DescribeGroupsResponse::default().with_groups(groups.collect()))
}

fn describe_one(
    scope: &Scope,
    with_operations: bool,
    id: &Arc<str>,
    described: Result<event::DescribedGroup, Refusal>,
) -> DescribedGroup {
    let answer = DescribedGroup::default().with_group_id(GroupId(text::wire(id)));
    let answer = match described {
        Ok(group) => answer
            .with_group_state(text::wire(group.state.name()))
            .with_protocol_type(text::wire(&group.protocol_type))
            .with_protocol_data(text::wire(&group.protocol))
            .with_members(group.members.into_iter().map(|member| describe_member(scope.version, member)).collect()),
        Err(refusal @ Refusal::GroupIdNotFound(_)) => {
            let dead = answer.with_group_state(text::wire("Dead"));
            if scope.version < 6 {
                dead
            } else {
                dead.with_error_code(code(Operation::Group, &refusal))
                    .with_error_message(Some(text::wire(&refusal.to_string())))
            }
        }
        Err(refusal) => answer.with_error_code(code(Operation::Group, &refusal)),
    };
    if answer.error_code != NONE {
        return answer;
    }
    answer.with_authorized_operations(scope.authorized_operations(with_operations, Resource::Group(id)))
}

fn describe_member(version: i16, member: event::DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(text::wire(&member.member))
        .with_group_instance_id(member.instance.as_deref().filter(|_| version >= 4).map(text::wire))
        .with_client_id(text::wire(&member.client_id))
        .with_client_host(text::wire(&member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}
