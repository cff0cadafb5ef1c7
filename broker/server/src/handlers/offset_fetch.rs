//! OffsetFetch (key 9), v1-10: the offsets that groups have committed.
//!
//! Topics may be null from v2 on: all that the group has committed. v5 added leader epochs, v7 `require_stable`
//! (KIP-447): where a partition has offsets of an open transaction, all that were asked for are refused, each by itself as
//! clients expect it; they ask again for all of them in any case. v8 asks for several groups at once. v9 added the member's epoch of KIP-848, which is not checked for classic groups.
//! v10 names topics by their ids, here and in the answer. Topics that the client may not describe are refused one by one, or left out
//! where all are asked for; so are ids that no topic has (UNKNOWN_TOPIC_ID, also for an id of zeros), and offsets of topics that
//! have no id any more.
//!
//! A group that is named twice in one request is refused the second time: the answer is so bounded by what is
//! committed, and not by how often it is asked for.
//!
//! Memory: 64 times the request, for the partitions and what is committed of each.

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
use pelton_core::cluster::ClusterImage;
use pelton_core::event::{CommittedOffset, GroupReply, GroupRequest};
use pelton_core::model::TopicPartition;
use pelton_core::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// A topic and the partitions of it that a request names.
struct AskedTopic {
    name: TopicName,
    /// From v10 on, instead of the name.
    id: Uuid,
    partitions: Vec<i32>,
}

/// A topic and its partitions: index, error, and what is committed.
struct FoundTopic {
    name: Arc<str>,
    /// From v10 on.
    id: Uuid,
    partitions: Vec<(i32, i16, Option<CommittedOffset>)>,
}

/// What a request names, once its topics were looked up.
struct Named {
    /// What it calls the topics that are there.
    ids: BTreeMap<Arc<str>, Uuid>,
    refused: Vec<FoundTopic>,
}

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
            let named = |topic: OffsetFetchRequestTopics| AskedTopic {
                name: topic.name,
                id: topic.topic_id,
                partitions: topic.partition_indexes,
            };
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
    let named = |topic: OffsetFetchRequestTopic| AskedTopic {
        name: topic.name,
        id: Uuid::nil(),
        partitions: topic.partition_indexes,
    };
    let topics = request.topics.map(|topics| topics.into_iter().map(named).collect());
    let found = fetch(&scope, &request.group_id.0, topics, request.require_stable).await;
    let topics = found.topics.into_iter().map(|topic| single_topic(scope.version, topic)).collect();
    let error = if scope.version >= 2 { found.error } else { NONE };
    Some(OffsetFetchResponse::default().with_error_code(error).with_topics(topics))
}

/// The offsets of these topics, or of all that the client may see.
async fn fetch(scope: &Scope, group: &str, topics: Option<Vec<AskedTopic>>, require_stable: bool) -> Found {
    let (asked, named) = topics.map(|topics| look_up(scope, topics)).unzip();
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
    match named {
        Some(named) => {
            for topic in &mut topics {
                topic.id = named.ids.get(&topic.name).copied().unwrap_or_default();
            }
            topics.extend(named.refused);
        }
        None => {
            topics.retain(|topic| scope.authorize(AclOperation::Describe, Resource::Topic(&topic.name)));
            if scope.version >= 10 {
                topics = with_ids(&scope.image(), topics);
            }
        }
    }
    Found { error: NONE, topics }
}

/// The partitions of the topics that the client may describe; the others are refused.
fn look_up(scope: &Scope, topics: Vec<AskedTopic>) -> (Vec<TopicPartition>, Named) {
    let image = scope.image();
    let (mut known, mut named) = (Vec::new(), Named { ids: BTreeMap::new(), refused: Vec::new() });
    for AskedTopic { name, id, partitions } in topics {
        let found = match scope.version {
            10.. => scope.topic_by_id(AclOperation::Describe, &image, id).map(|(name, _)| name.clone()),
            _ => scope.require(AclOperation::Describe, Resource::Topic(&name)).map(|()| name.0.as_str().into()),
        };
        match found {
            Ok(name) => {
                let of_topic = |index| TopicPartition::new(name.clone(), index);
                known.extend(partitions.into_iter().map(of_topic));
                named.ids.insert(name, id);
            }
            Err(refusal) => {
                let error = code(Operation::Group, &refusal);
                let partitions = partitions.into_iter().map(|index| (index, error, None)).collect();
                named.refused.push(FoundTopic { name: name.0.as_str().into(), id, partitions });
            }
        }
    }
    (known, named)
}

/// Those of the topics that there are, with their ids: by its id nothing else can be named.
fn with_ids(image: &ClusterImage, topics: Vec<FoundTopic>) -> Vec<FoundTopic> {
    let known = topics.into_iter().filter_map(|topic| {
        let id = text::uuid(image.topic(&topic.name)?.id);
        Some(FoundTopic { id, ..topic })
    });
    known.collect()
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
    let found = |(name, partitions)| FoundTopic { name, id: Uuid::nil(), partitions };
    topics.into_iter().map(found).collect()
}

fn single_topic(version: i16, topic: FoundTopic) -> OffsetFetchResponseTopic {
    let FoundTopic { name, partitions, .. } = topic;
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

fn grouped_topic(FoundTopic { name, id, partitions }: FoundTopic) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|(index, error, found)| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_error_code(error)
            .with_committed_offset(found.as_ref().map_or(-1, |found| found.offset))
            .with_committed_leader_epoch(found.as_ref().and_then(|f| f.leader_epoch).map_or(-1, |epoch| epoch.0))
            .with_metadata(Some(text::wire(found.as_ref().map_or("", |found| &found.metadata))))
    });
    OffsetFetchResponseTopics::default()
        .with_name(TopicName(text::wire(&name)))
        .with_topic_id(id)
        .with_partitions(partitions.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_its_id_only_a_topic_that_is_there_can_be_told_of() {
        let found = FoundTopic { name: "gone".into(), id: Uuid::nil(), partitions: vec![(0, NONE, None)] };
        assert!(with_ids(&ClusterImage::default(), vec![found]).is_empty());
    }
}
