//! CreatePartitions (key 37), v0-3: gives topics more partitions (KIP-195).
//!
//! The count is the total that a topic is to have; fewer or as many as there are is INVALID_PARTITIONS. An assignment by
//! hand must have one list of brokers for each new partition, with this node alone in it. Records and committed offsets stay
//! where they are, and what is attached to a topic counts the new partitions when the answer leaves. A topic that stands in the
//! request twice is refused; the others are enlarged one by one. v2 is flexible, v3 knows a quota on such changes.
//!
//! Left out: the timeout, since nothing waits for another broker; partitions of the topics that the broker keeps its own
//! state in, which are found by their number.
//!
//! Memory: for each topic of the request a result, and some hundred bytes for each new partition, which are bounded by those
//! of the cluster.

use super::Scope;
use super::create_topics::check_replicas;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use crate::topic_configs;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use pelton_core::event::MorePartitions;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;

/// Enlarges the topics, or only checks that it could.
pub async fn handle(scope: Scope, request: CreatePartitionsRequest) -> Option<CreatePartitionsResponse> {
    let mut named = BTreeMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_insert(0usize) += 1;
    }
    let mut wanted = Vec::new();
    let mut refused = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let checked = if named[&topic.name] > 1 {
            Err(Refusal::InvalidRequest("Duplicate topic name.".to_owned()))
        } else {
            check(&scope, topic)
        };
        if checked.is_ok() {
            wanted.push(MorePartitions { name: topic.name.0.as_str().into(), count: topic.count });
        }
        refused.push(checked.err());
    }
    let grown = if wanted.is_empty() {
        Ok(Vec::new())
    } else {
        topic_configs::grow(&scope.server, wanted, &scope.by(), request.validate_only).await
    };
    let mut grown = grown.map(Vec::into_iter);
    let results = request.topics.into_iter().zip(refused).map(|(topic, refused)| {
        let refusal = match (refused, &mut grown) {
            (Some(refusal), _) => Some(refusal),
            (None, Ok(grown)) => grown.next().map_or(Some(Refusal::RequestTimedOut), |(_, result)| result.err()),
            (None, Err(refusal)) => Some(refusal.clone()),
        };
        CreatePartitionsTopicResult::default()
            .with_name(topic.name)
            .with_error_code(refusal.as_ref().map_or(NONE, |refusal| code(Operation::Admin, refusal)))
            .with_error_message(refusal.map(|refusal| text::wire(&refusal.to_string())))
    });
    Some(CreatePartitionsResponse::default().with_results(results.collect()))
}

/// What can be said without the cluster part: whether the client may, and whether the assignment fits.
fn check(scope: &Scope, topic: &CreatePartitionsTopic) -> Result<(), Refusal> {
    scope.require(AclOperation::Alter, Resource::Topic(&topic.name.0))?;
    let image = scope.image();
    let Some(described) = image.topic(&topic.name.0) else { return Err(Refusal::UnknownTopicOrPartition) };
    let Some(assignments) = &topic.assignments else { return Ok(()) };
    let more = topic.count.saturating_sub(described.partitions).max(0);
    // Fewer partitions than there are is for the cluster part to refuse.
    if more > 0 && usize::try_from(more).ok() != Some(assignments.len()) {
        return Err(Refusal::InvalidReplicaAssignment(format!(
            "{more} partitions are added and {} assignments given; give one for each",
            assignments.len()
        )));
    }
    assignments.iter().try_for_each(|assignment| check_replicas(scope.server.core.node_id, &assignment.broker_ids))
}
