//! DescribeTopicPartitions (key 75), v0-0: topics and who leads their partitions, page by page (KIP-966).
//!
//! Topics come in the order of their names, all of them where none are named. An answer holds as many partitions as the
//! client wants, at most 2,000; the cursor then says where the next page begins. A cursor whose topic is gone goes on with the
//! next one. What the client may do to a topic always stands in the answer. Replicas that may lead though they are out of sync
//! there are none. A topic that does not exist is answered UNKNOWN_TOPIC_OR_PARTITION where it was named, a name that no topic
//! can have INVALID_TOPIC_EXCEPTION.
//!
//! Memory: bounded by the page, some 60 bytes for each partition.

use super::Scope;
use super::scope::checked_name;
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::describe_topic_partitions_request::Cursor as AskedCursor;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};
use pelton_core::cluster::{ClusterImage, TopicImage};
use pelton_core::model::METADATA_TOPIC;
use pelton_core::refusal::{Protected, Refusal};
use std::collections::BTreeSet;

/// `max.request.partition.size.limit`, Kafka's default.
const MAX_PARTITIONS: i32 = 2_000;

/// Answers with one page.
pub async fn handle(scope: Scope, request: DescribeTopicPartitionsRequest) -> Option<DescribeTopicPartitionsResponse> {
    let image = scope.image();
    let all = request.topics.is_empty();
    let mut names: BTreeSet<String> = if all {
        let known = image.topics.keys().filter(|name| &***name != METADATA_TOPIC);
        known.map(|name| name.to_string()).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.0.to_string()).collect()
    };
    let cursor = request.cursor.as_ref();
    if let Some(cursor) = cursor {
        names = names.split_off(cursor.topic_name.0.as_str());
    }
    let mut room = request.response_partition_limit.clamp(1, MAX_PARTITIONS);
    let mut topics = Vec::new();
    let mut next = None;
    for name in names {
        if room == 0 {
            next = Some((name, 0));
            break;
        }
        let described = match find(&scope, &image, &name) {
            Ok(described) => described,
            // A topic that is not to be seen is not told of where all are asked for.
            Err(Refusal::AuthorizationFailed(Protected::Topic)) if all => continue,
            Err(refusal) => {
                topics.push(refused(name, &refusal));
                continue;
            }
        };
        let first = first_partition(cursor, &name).min(described.partitions);
        let count = room.min(described.partitions - first);
        room -= count;
        topics.push(topic(&scope, &name, described, first, count));
        if first + count < described.partitions {
            next = Some((name, first + count));
            break;
        }
    }
    let cursor = next.map(|(name, index)| {
        Cursor::default().with_topic_name(TopicName(text::wire(&name))).with_partition_index(index)
    });
    Some(DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(cursor))
}

/// Where the page begins in this topic.
fn first_partition(cursor: Option<&AskedCursor>, topic: &str) -> i32 {
    cursor.filter(|cursor| cursor.topic_name.0.as_str() == topic).map_or(0, |cursor| cursor.partition_index.max(0))
}

fn find<'a>(scope: &Scope, image: &'a ClusterImage, name: &str) -> Result<&'a TopicImage, Refusal> {
    let found = scope.topic(AclOperation::Describe, image, &TopicName(text::wire(name)));
    found.map(|(_, described)| described).map_err(|refusal| checked_name(name, refusal))
}

fn refused(name: String, refusal: &Refusal) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(code(Operation::Read, refusal))
        .with_name(Some(TopicName(text::wire(&name))))
}

fn topic(
    scope: &Scope,
    name: &str,
    described: &TopicImage,
    first: i32,
    count: i32,
) -> DescribeTopicPartitionsResponseTopic {
    let node = BrokerId(scope.server.core.node_id);
    let partition = |index| {
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(node)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(text::wire(name))))
        .with_topic_id(text::uuid(described.id))
        .with_is_internal(described.internal)
        .with_partitions((first..first + count).map(partition).collect())
        .with_topic_authorized_operations(scope.authorized_operations(true, Resource::Topic(name)))
}
