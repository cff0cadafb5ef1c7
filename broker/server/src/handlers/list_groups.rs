//! ListGroups (key 16), v0-5: the groups of this broker.
//!
//! Whoever may describe the cluster sees all groups, others those that they may describe. v1 added the throttle time,
//! v3 the flexible encoding, v4 the state of each group and a filter by states (KIP-518), v5 its type and a filter by
//! types (KIP-848): all groups here are `classic`. Filters take no notice of case; a name that nobody knows matches no
//! group.
//!
//! Left out: groups of other types. Memory: 32 times the request, for the names in the filters; the answer is bounded
//! by the groups that there are.

use super::Scope;
use super::scope::{group_answer, unexpected};
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;
use pelton_core::event::{self, GroupReply, GroupRequest, GroupState};
use pelton_core::model::OFFSETS_TOPIC;
use pelton_core::refusal::Refusal;
use std::collections::BTreeSet;

/// The one type of groups that there is.
const CLASSIC: &str = "classic";

/// Asks every coordinator.
pub async fn handle(scope: Scope, request: ListGroupsRequest) -> Option<ListGroupsResponse> {
    let is_wanted = |kind: &StrBytes| kind.eq_ignore_ascii_case(CLASSIC);
    if !request.types_filter.is_empty() && !request.types_filter.iter().any(is_wanted) {
        return Some(ListGroupsResponse::default());
    }
    let groups = match list(&scope, states(&request.states_filter)).await {
        Ok(groups) => groups,
        Err(refusal) => {
            return Some(ListGroupsResponse::default().with_error_code(code(Operation::Group, &refusal)));
        }
    };
    let sees_all = scope.authorize(AclOperation::Describe, Resource::Cluster);
    let is_seen =
        |group: &event::ListedGroup| sees_all || scope.authorize(AclOperation::Describe, Resource::Group(&group.group));
    let listed = groups.into_iter().filter(is_seen).map(|group| {
        let answer = ListedGroup::default()
            .with_group_id(GroupId(text::wire(&group.group)))
            .with_protocol_type(text::wire(&group.protocol_type));
        let answer = if scope.version >= 4 { answer.with_group_state(text::wire(group.state.name())) } else { answer };
        if scope.version >= 5 { answer.with_group_type(text::wire(CLASSIC)) } else { answer }
    });
    Some(ListGroupsResponse::default().with_groups(listed.collect()))
}

/// The states of a filter; `None` where it is empty, so that all are wanted.
fn states(filter: &[StrBytes]) -> Option<BTreeSet<GroupState>> {
    let named = |name: &StrBytes| GroupState::ALL.into_iter().find(|state| name.eq_ignore_ascii_case(state.name()));
    (!filter.is_empty()).then(|| filter.iter().filter_map(named).collect())
}

async fn list(scope: &Scope, states: Option<BTreeSet<GroupState>>) -> Result<Vec<event::ListedGroup>, Refusal> {
    let image = scope.image();
    let coordinators = image.topic(OFFSETS_TOPIC).map_or(0, |topic| topic.partitions);
    let ask = |index| scope.ask_coordinator(index, GroupRequest::List { states: states.clone() });
    let asked: Vec<_> = (0..coordinators).map(ask).collect();
    let mut groups = Vec::new();
    for pending in asked {
        match group_answer(pending.await) {
            Ok(GroupReply::Listed(listed)) => groups.extend(listed),
            Ok(other) => return Err(unexpected(&other)),
            // A coordinator that is not here has no groups of this broker.
            Err(Refusal::NotCoordinator) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(groups)
}
