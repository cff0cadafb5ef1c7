//! What DescribeGroups and DeleteGroups do alike: many groups, of which each has a coordinator of its own.
//!
//! Every coordinator is asked once, all of them before the first answer is waited for.

use super::Scope;
use super::scope::{group_answer, unexpected};
use crate::auth::{AclOperation, Resource};
use kafka_protocol::messages::GroupId;
use pelton_core::event::{GroupReply, GroupRequest};
use pelton_core::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Asks the coordinators of the groups that the client may do `operation` to. What comes back is in the order of the
/// request; a group that it names twice is asked for once, so that an answer is bounded by what there is. `answers` takes
/// the answers out of a reply, one for each group of the question.
pub async fn ask<T>(
    scope: &Scope,
    operation: AclOperation,
    groups: &[GroupId],
    request: impl Fn(Vec<Arc<str>>) -> GroupRequest,
    answers: impl Fn(GroupReply) -> Result<Vec<Result<T, Refusal>>, GroupReply>,
) -> Vec<(Arc<str>, Result<T, Refusal>)> {
    let mut results: Vec<(Arc<str>, Result<T, Refusal>)> = Vec::with_capacity(groups.len());
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut places: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for group in groups.iter().filter(|group| seen.insert(group.0.as_str())) {
        let id: Arc<str> = group.0.as_str().into();
        let allowed = scope.require(operation, Resource::Group(&id));
        if allowed.is_ok() {
            places.entry(scope.coordinator_of(&id)).or_default().push(results.len());
        }
        results.push((id, Err(allowed.err().unwrap_or(Refusal::CoordinatorNotAvailable))));
    }
    let asked: Vec<_> = places
        .into_iter()
        .map(|(index, places)| {
            let ids = places.iter().map(|place| results[*place].0.clone()).collect();
            (places, scope.ask_coordinator(index, request(ids)))
        })
        .collect();
    for (places, pending) in asked {
        let answered = group_answer(pending.await)
            .and_then(|reply| answers(reply).map_err(|reply| unexpected(&reply)))
            .unwrap_or_else(|refusal| places.iter().map(|_| Err(refusal.clone())).collect());
        for (place, answer) in places.into_iter().zip(answered) {
            results[place].1 = answer;
        }
    }
    results
}
