//! OffsetDelete (key 47), v0-0: removes offsets of a group, partition by partition (KIP-496).
//!
//! A group that is not there is GROUP_ID_NOT_FOUND. One that has members is NON_EMPTY_GROUP, unless it is of consumers:
//! then topics that they subscribe to are GROUP_SUBSCRIBED_TO_TOPIC, and the offsets of others are removed. Partitions
//! that do not exist are refused one by one; one without an offset is no error. The answer leaves when the tombstones
//! are durable.
//!
//! Left out: nothing. Memory: 64 times the request, for the partitions and what comes of each.

use super::Scope;
use super::of_each_partition::{Begun, ByTopic, begin};
use super::scope::unexpected;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use pelton_core::event::{GroupReply, GroupRequest};
use pelton_core::model::TopicPartition;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;

/// Deletes what can be deleted.
pub async fn handle(scope: Scope, request: OffsetDeleteRequest) -> Option<OffsetDeleteResponse> {
    let group = &request.group_id.0;
    let refused =
        |refusal: &Refusal| Some(OffsetDeleteResponse::default().with_error_code(code(Operation::Group, refusal)));
    if let Err(refusal) = scope.require(AclOperation::Delete, Resource::Group(group)) {
        return refused(&refusal);
    }
    if group.is_empty() {
        return refused(&Refusal::InvalidGroupId);
    }
    let topics = look_up(&scope, request.topics);
    let partitions: Vec<TopicPartition> =
        topics.iter().flat_map(|(_, partitions)| partitions).filter_map(|(_, found)| found.clone().ok()).collect();
    let delete = GroupRequest::DeleteOffsets { group: group.as_str().into(), partitions };
    let deleted: BTreeMap<TopicPartition, Option<Refusal>> =
        match scope.ask_group(AclOperation::Delete, group, delete).await {
            Ok(GroupReply::OffsetsDeleted(results)) => results.into_iter().collect(),
            Ok(other) => return refused(&unexpected(&other)),
            Err(refusal) => return refused(&refusal),
        };
    let topics = topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, found)| {
            let refusal = found.map_or_else(Some, |partition| deleted.get(&partition).cloned().flatten());
            OffsetDeleteResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(refusal.map_or(NONE, |refusal| code(Operation::Group, &refusal)))
        });
        OffsetDeleteResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    Some(OffsetDeleteResponse::default().with_topics(topics.collect()))
}

fn look_up(scope: &Scope, topics: Vec<OffsetDeleteRequestTopic>) -> ByTopic<Begun<TopicPartition>> {
    let image = scope.image();
    begin(
        topics.into_iter().map(|topic| (topic.name, topic.partitions)),
        |name| scope.topic(AclOperation::Read, &image, name),
        |asked| asked.partition_index,
        |partition, _| partition,
    )
}
