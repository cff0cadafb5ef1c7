//! OffsetFetch (key 9), v1-9: the offsets that groups have committed.
//!
//! Topics may be null from v2 on: all that the group has committed. v5 added leader epochs, v7 `require_stable`
//! (KIP-447): where a partition has offsets of an open transaction, all that were asked for are refused, each by itself as
//! clients expect it; they ask again for all of them in any case. v8 asks for several groups at once. v9 added the member's epoch of KIP-848, which is not checked for classic groups.
//! Topics that the client may not describe are refused one by one, or left out where all are asked for.
//!
//! A group that is named twice in one request is refused the second time: the answer is so bounded by what is
//! committed, and not by how often it is asked for.
//!
//! Left out: v10 (topic ids). Memory: 64 times the request, for the partitions and what is committed of each.

use super::Scope;
use super::scope::unexpected;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestTopic, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use pelton_core::event::{CommittedOffset, GroupReply, GroupRequest};
use pelton_core::model::TopicPartition;
use pelton_core::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A topic and the partitions of it that a request names.
type AskedTopic = (TopicName, Vec<i32>);
/// A topic and its partitions: index, error, and what is committed.
type FoundTopic = (Arc<str>, Vec<(i32, i16, Option<CommittedOffset>)>);

/// What the coordinator tells of partitions.
type Committed = Vec<(TopicPartition, Option<CommittedOffset>)>;

/// The offsets of one group.
struct Found {
    error: i16,
    topics: Vec<FoundTopic>,
}

impl Found {
    fn refused(error: i16) -> Self {
        Self { error, topics: Vec::new() }
    }
}

/// Answers group by group.
pub async fn handle(scope: Scope, request: OffsetFetchRequest) -> Option<OffsetFetchResponse> {
    if scope.version >= 8 {
        let mut groups = Vec::with_capacity(request.groups.len());
        let mut seen: BTreeSet<StrBytes> = BTreeSet::new();
        for group in request.groups {
            let named = |topic: OffsetFetchRequestTopics| -> AskedTopic { (topic.name, topic.partition_indexes) };
            let topics = group.topics.map(|topics| topics.into_iter().map(named).collect());
            let found = if seen.insert(group.group_id.0.clone()) {
                fetch(&scope, &group.group_id.0, topics, request.require_stable).await
            } else {
                Found::refused(ResponseError::InvalidRequest.code())
            };
            groups.push(
                OffsetFetchResponseGroup::default()
                    .with_group_id(group.group_id)
                    .with_error_code(found.error)
                    .with_topics(found.topics.into_iter().map(grouped_topic).collect()),
            );
        }
        return Some(OffsetFetchResponse::default().with_groups(groups));
    }
    let named = |topic: OffsetFetchRequestTopic| -> AskedTopic { (topic.name, topic.partition_indexes) };
    let topics = request.topics.map(|topics| topics.into_iter().map(named).collect());
    let found = fetch(&scope, &request.group_id.0, topics, request.require_stable).await;
    let topics = found.topics.into_iter().map(|topic| single_topic(scope.version, topic)).collect();
    let error = if scope.version >= 2 { found.error } else { NONE };
    Some(OffsetFetchResponse::default().with_error_code(error).with_topics(topics))
}

/// The offsets of these topics, or of all that the client may see.
async fn fetch(scope: &Scope, group: &str, topics: Option<Vec<AskedTopic>>, require_stable: bool) -> Found {
    let mut refused = Vec::new();
    let asked = topics.map(|topics| allowed(scope, topics, &mut refused));
    let all = asked.is_none();
    let told = |refusal: &Refusal| code(Operation::Group, refusal);
    let (offsets, error) = match ask(scope, group, asked.clone(), require_stable).await {
        Ok(offsets) => (offsets, NONE),
        // Clients expect this one partition by partition. Where all are asked for, those that are committed are named.
        Err(refusal @ Refusal::UnstableOffsetCommit) => match asked {
            Some(asked) => (nothing_of(asked), told(&refusal)),
            None => match ask(scope, group, None, false).await {
                Ok(offsets) => (nothing_of(offsets.into_iter().map(|(partition, _)| partition)), told(&refusal)),
                Err(refusal) => return Found::refused(told(&refusal)),
            },
        },
        Err(refusal) if scope.version < 2 => (nothing_of(asked.unwrap_or_default()), told(&refusal)),
        Err(refusal) => return Found::refused(told(&refusal)),
    };
    let mut topics = by_topic(offsets, error);
    if all {
        topics.retain(|(name, _)| scope.authorize(AclOperation::Describe, Resource::Topic(name)));
    }
    topics.extend(refused);
    Found { error: NONE, topics }
}

/// The partitions of the topics that the client may describe; the others are refused.
fn allowed(scope: &Scope, topics: Vec<AskedTopic>, refused: &mut Vec<FoundTopic>) -> Vec<TopicPartition> {
    let mut partitions = Vec::new();
    for (topic, indexes) in topics {
        let name: Arc<str> = topic.0.as_str().into();
        match scope.require(AclOperation::Describe, Resource::Topic(&name)) {
            Ok(()) => {
                partitions.extend(indexes.into_iter().map(|index| TopicPartition::new(name.clone(), index)));
            }
            Err(refusal) => {
                let error = code(Operation::Group, &refusal);
                refused.push((name, indexes.into_iter().map(|index| (index, error, None)).collect()));
            }
        }
    }
    partitions
}

/// Partitions of which nothing is told but an error.
fn nothing_of(partitions: impl IntoIterator<Item = TopicPartition>) -> Committed {
    partitions.into_iter().map(|partition| (partition, None)).collect()
}

async fn ask(
    scope: &Scope,
    group: &str,
    partitions: Option<Vec<TopicPartition>>,
    require_stable: bool,
) -> Result<Committed, Refusal> {
    let request = GroupRequest::FetchOffsets { group: group.into(), partitions, require_stable };
    match scope.ask_group(AclOperation::Describe, group, request).await? {
        GroupReply::Offsets(offsets) => Ok(offsets),
        other => Err(unexpected(&other)),
    }
}

fn by_topic(offsets: Committed, error: i16) -> Vec<FoundTopic> {
    let mut topics: BTreeMap<Arc<str>, Vec<_>> = BTreeMap::new();
    for (partition, found) in offsets {
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
