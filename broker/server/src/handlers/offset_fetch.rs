//! OffsetFetch (key 9), v1-9: the offsets that groups have committed.
//!
//! Topics may be null from v2 on: all that the group has committed. v5 added leader epochs, v7 `require_stable`
//! (KIP-447): partitions with offsets of an open transaction are refused, which clients expect partition by
//! partition. v8 asks for several groups at once. v9 added the member's epoch of KIP-848, which is not checked
//! for classic groups.
//!
//! Left out: v10 (topic ids).

use super::Scope;
use super::scope::unexpected;
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use pelton_core::event::{CommittedOffset, GroupReply, GroupRequest};
use pelton_core::model::TopicPartition;
use pelton_core::refusal::Refusal;
use std::sync::Arc;

/// A topic and its partitions: index, error, and what is committed.
type FoundTopic = (Arc<str>, Vec<(i32, i16, Option<CommittedOffset>)>);

/// The offsets of one group.
struct Found {
    error: i16,
    topics: Vec<FoundTopic>,
}

/// Answers group by group.
pub async fn handle(scope: Scope, request: OffsetFetchRequest) -> Option<OffsetFetchResponse> {
    if scope.version >= 8 {
        let mut groups = Vec::with_capacity(request.groups.len());
        for group in request.groups {
            let partitions = group
                .topics
                .map(|topics| flatten(topics.into_iter().map(|topic| (topic.name, topic.partition_indexes))));
            let found = fetch(&scope, &group.group_id.0, partitions, request.require_stable).await;
            groups.push(
                OffsetFetchResponseGroup::default()
                    .with_group_id(group.group_id)
                    .with_error_code(found.error)
                    .with_topics(found.topics.into_iter().map(grouped_topic).collect()),
            );
        }
        return Some(OffsetFetchResponse::default().with_groups(groups));
    }
    let partitions =
        request.topics.map(|topics| flatten(topics.into_iter().map(|topic| (topic.name, topic.partition_indexes))));
    let found = fetch(&scope, &request.group_id.0, partitions, request.require_stable).await;
    let topics = found.topics.into_iter().map(|topic| single_topic(scope.version, topic)).collect();
    let error = if scope.version >= 2 { found.error } else { NONE };
    Some(OffsetFetchResponse::default().with_error_code(error).with_topics(topics))
}

fn flatten(topics: impl Iterator<Item = (TopicName, Vec<i32>)>) -> Vec<TopicPartition> {
    topics
        .flat_map(|(name, indexes)| {
            let name: Arc<str> = name.0.as_str().into();
            indexes.into_iter().map(move |index| TopicPartition::new(name.clone(), index))
        })
        .collect()
}

async fn fetch(scope: &Scope, group: &str, partitions: Option<Vec<TopicPartition>>, require_stable: bool) -> Found {
    let asked = partitions.clone();
    let request = GroupRequest::FetchOffsets { group: group.into(), partitions, require_stable };
    let result = match scope.ask_group(group, request).await {
        Ok(GroupReply::Offsets(offsets)) => Ok(offsets),
        Ok(other) => Err(unexpected(&other)),
        Err(refusal) => Err(refusal),
    };
    match (result, asked) {
        (Ok(offsets), _) => {
            Found { error: NONE, topics: by_topic(offsets.into_iter().map(|(p, found)| (p, NONE, found))) }
        }
        // Before v2 there is no other place for an error, and an unstable offset belongs to its partition.
        (Err(refusal), Some(asked)) if scope.version < 2 || refusal == Refusal::UnstableOffsetCommit => {
            let error = code(Operation::Group, &refusal);
            Found { error: NONE, topics: by_topic(asked.into_iter().map(|p| (p, error, None))) }
        }
        (Err(refusal), _) => Found { error: code(Operation::Group, &refusal), topics: Vec::new() },
    }
}

fn by_topic(offsets: impl Iterator<Item = (TopicPartition, i16, Option<CommittedOffset>)>) -> Vec<FoundTopic> {
    let mut topics: std::collections::BTreeMap<Arc<str>, Vec<_>> = std::collections::BTreeMap::new();
    for (partition, error, found) in offsets {
        topics.entry(partition.topic).or_default().push((partition.partition, error, found));
    }
    topics.into_iter().collect()
}

fn single_topic(version: i16, (name, partitions): FoundTopic) -> OffsetFetchResponseTopic {
    let partitions = partitions.into_iter().map(|(index, error, found)| {
        let epoch = found.as_ref().and_then(|found| found.leader_epoch).map_or(-1, |epoch| epoch.0);
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(error)
            .with_committed_offset(found.as_ref().map_or(-1, |found| found.offset))
            .with_committed_leader_epoch(if version >= 5 { epoch } else { -1 })
            .with_metadata(Some(text::wire(found.as_ref().map_or("", |found| &found.metadata))))
    });
    OffsetFetchResponseTopic::default().with_name(TopicName(text::wire(&name))).with_partitions(partitions.collect())
}

fn grouped_topic((name, partitions): FoundTopic) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|(index, error, found)| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_error_code(error)
            .with_committed_offset(found.as_ref().map_or(-1, |found| found.offset))
            .with_committed_leader_epoch(found.as_ref().and_then(|f| f.leader_epoch).map_or(-1, |epoch| epoch.0))
            .with_metadata(Some(text::wire(found.as_ref().map_or("", |found| &found.metadata))))
    });
    OffsetFetchResponseTopics::default().with_name(TopicName(text::wire(&name))).with_partitions(partitions.collect())
}
