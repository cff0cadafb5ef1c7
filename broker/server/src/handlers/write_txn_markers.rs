//! WriteTxnMarkers (key 27), v1-1: ends transactions in partitions, past their coordinator.
//!
//! In Kafka coordinators send it to the leaders of partitions. Here they live in one process, so it is for administrators:
//! `kafka-transactions.sh abort` ends what hangs in one partition (KIP-664). It takes the right to alter the cluster, or
//! that of a broker (ClusterAction). Each partition judges by itself: a producer
//! epoch that is older than the one it knows is refused (INVALID_PRODUCER_EPOCH), and so is the epoch of a coordinator that
//! was replaced (TRANSACTION_COORDINATOR_FENCED). The answer comes when the markers are durable. v1 is flexible.
//!
//! Left out: v2, which carries the version of the transaction (KIP-1228). Transactions are of version 1 here, and the
//! protocol crate does not have it.
//!
//! Charged with: nothing, where the client may; otherwise its time.
//!
//! Memory: 128 times the request, for a question and a marker for each 4 bytes that name a partition.

use super::Scope;
use super::scope::{partition_answer, partition_of, resolve, unexpected};
use crate::auth::{AclOperation, Resource};
use crate::driver::Pending;
use crate::protocol::error_code::{NONE, Operation, code};
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use pelton_core::event::{Marker, PartitionReply, PartitionRequest};
use pelton_core::model::{ProducerEpoch, ProducerId};
use pelton_core::refusal::Refusal;
use uuid::Uuid;

const OPERATION: Operation = Operation::Transaction { knows_fenced: true };

/// A partition that was asked, or why it was not.
type Asked = (i32, Result<Pending, Refusal>);

/// Writes every marker to every partition that it names.
pub async fn handle(scope: Scope, request: WriteTxnMarkersRequest) -> Option<WriteTxnMarkersResponse> {
    let allowed = if scope.authorize(AclOperation::Alter, Resource::Cluster) {
        Ok(())
    } else {
        scope.require(AclOperation::ClusterAction, Resource::Cluster)
    };
    if allowed.is_ok() {
        scope.charging.spare_time();
    }
    let begun: Vec<_> = request.markers.into_iter().map(|marker| begin(&scope, &allowed, marker)).collect();
    let mut markers = Vec::with_capacity(begun.len());
    for (producer_id, asked) in begun {
        let mut topics = Vec::with_capacity(asked.len());
        for (name, asked) in asked {
            let mut partitions = Vec::with_capacity(asked.len());
            for (index, pending) in asked {
                let result = WritableTxnMarkerPartitionResult::default().with_partition_index(index);
                partitions.push(result.with_error_code(answer(pending).await));
            }
            topics.push(WritableTxnMarkerTopicResult::default().with_name(name).with_partitions(partitions));
        }
        markers.push(WritableTxnMarkerResult::default().with_producer_id(producer_id).with_topics(topics));
    }
    Some(WriteTxnMarkersResponse::default().with_markers(markers))
}

fn begin(
    scope: &Scope,
    allowed: &Result<(), Refusal>,
    asked: WritableTxnMarker,
) -> (kafka_protocol::messages::ProducerId, Vec<(TopicName, Vec<Asked>)>) {
    let image = scope.image();
    let marker = Marker {
        producer_id: ProducerId(asked.producer_id.0),
        producer_epoch: ProducerEpoch(asked.producer_epoch),
        coordinator_epoch: asked.coordinator_epoch,
        commit: asked.transaction_result,
    };
    let topics = asked.topics.into_iter().map(|topic| {
        let resolved = allowed.clone().and_then(|()| resolve(&image, false, &topic.name, Uuid::nil()));
        let partitions = topic.partition_indexes.into_iter().map(|index| {
            let pending = resolved.clone().and_then(|(name, described)| {
                let partition = partition_of(name, described, index)?;
                Ok(scope.ask_partition(partition, PartitionRequest::WriteMarker(marker)))
            });
            (index, pending)
        });
        let partitions: Vec<Asked> = partitions.collect();
        (topic.name, partitions)
    });
    (asked.producer_id, topics.collect())
}

async fn answer(pending: Result<Pending, Refusal>) -> i16 {
    let result = match pending {
        Ok(pending) => partition_answer(pending.await),
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(PartitionReply::Appended(_)) => NONE,
        Ok(other) => code(OPERATION, &unexpected(&other)),
        Err(refusal) => code(OPERATION, &refusal),
    }
}
