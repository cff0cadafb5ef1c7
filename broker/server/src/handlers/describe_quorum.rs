//! DescribeQuorum (key 55), v0-2: who keeps the metadata of the cluster, and how far (KIP-595, KIP-836).
//!
//! This node alone does, in `__cluster_metadata-0`: it is the leader and the only voter, its log end and the log's high
//! watermark are those of that log now. Any other topic or partition is UNKNOWN_TOPIC_OR_PARTITION, and then so is every one
//! of the request, as in Kafka. v1 added the times at which voters were last heard of, which is now; v2 the ids of their
//! directories and the nodes' addresses (KIP-853).
//!
//! Memory: the answer is of a constant size, but for the topics of a request that asks for others.

use super::Scope;
use super::scope::{partition_answer, unexpected};
use crate::auth::{AclOperation, Resource};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::describe_quorum_request::TopicData as AskedTopic;
use kafka_protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use kafka_protocol::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, TopicName};
use pelton_core::event::{PartitionReply, PartitionRequest};
use pelton_core::model::{METADATA_TOPIC, TopicPartition};
use pelton_core::refusal::Refusal;

/// Answers with this node.
pub async fn handle(scope: Scope, request: DescribeQuorumRequest) -> Option<DescribeQuorumResponse> {
    let response = DescribeQuorumResponse::default().with_error_message(None);
    let whole = |refusal: Refusal, response: DescribeQuorumResponse| {
        let message = (scope.version >= 2).then(|| text::wire(&refusal.to_string()));
        Some(response.with_error_code(code(Operation::Admin, &refusal)).with_error_message(message))
    };
    if let Err(refusal) = scope.require(AclOperation::Describe, Resource::Cluster) {
        return whole(refusal, response);
    }
    if !asks_for_the_metadata(&request.topics) {
        return Some(
            response.with_topics(request.topics.into_iter().map(|topic| unknown(scope.version, topic)).collect()),
        );
    }
    let partition = match describe(&scope).await {
        Ok(partition) => partition,
        Err(refusal) => return whole(refusal, response),
    };
    let topic =
        TopicData::default().with_topic_name(TopicName(text::wire(METADATA_TOPIC))).with_partitions(vec![partition]);
    let (host, port) = &scope.connection.endpoint;
    let listener = Listener::default().with_name(text::wire("PLAINTEXT")).with_host(text::wire(host)).with_port(*port);
    let node = Node::default().with_node_id(BrokerId(scope.server.core.node_id)).with_listeners(vec![listener]);
    let nodes = if scope.version >= 2 { vec![node] } else { Vec::new() };
    Some(response.with_topics(vec![topic]).with_nodes(nodes))
}

fn asks_for_the_metadata(topics: &[AskedTopic]) -> bool {
    let [topic] = topics else { return false };
    topic.topic_name.0.as_str() == METADATA_TOPIC
        && matches!(&topic.partitions[..], [partition] if partition.partition_index == 0)
}

fn unknown(version: i16, topic: AskedTopic) -> TopicData {
    let refusal = Refusal::UnknownTopicOrPartition;
    let partitions = topic.partitions.into_iter().map(|partition| {
        PartitionData::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(code(Operation::Admin, &refusal))
            .with_error_message((version >= 2).then(|| text::wire(&refusal.to_string())))
    });
    TopicData::default().with_topic_name(topic.topic_name).with_partitions(partitions.collect())
}

async fn describe(scope: &Scope) -> Result<PartitionData, Refusal> {
    let log = TopicPartition::new(METADATA_TOPIC, 0);
    let reply = partition_answer(scope.ask_partition(log, PartitionRequest::Describe).await)?;
    let PartitionReply::Described { watermarks, leader_epoch } = reply else { return Err(unexpected(&reply)) };
    let node = BrokerId(scope.server.core.node_id);
    let voter = ReplicaState::default().with_replica_id(node).with_log_end_offset(watermarks.log_end);
    let now = scope.server.now_ms();
    let voter = if scope.version >= 1 {
        voter.with_last_fetch_timestamp(now).with_last_caught_up_timestamp(now)
    } else {
        voter
    };
    let voter = if scope.version >= 2 {
        voter.with_replica_directory_id(scope.server.directories.metadata_directory_id())
    } else {
        voter
    };
    Ok(PartitionData::default()
        .with_partition_index(0)
        .with_error_code(NONE)
        .with_error_message(None)
        .with_leader_id(node)
        .with_leader_epoch(leader_epoch.0)
        .with_high_watermark(watermarks.high_watermark)
        .with_current_voters(vec![voter]))
}
