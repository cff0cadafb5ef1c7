//! WriteTxnMarkers (key 27), v1-2: ends transactions in partitions, past their coordinator.
//!
//! In Kafka coordinators send it to the leaders of partitions. Here they live in one process, so it is for administrators:
//! `kafka-transactions.sh abort` ends what hangs in one partition (KIP-664). It takes the right to alter the cluster, or
//! that of a broker (ClusterAction). Each partition judges by itself: a producer
//! epoch that is older than the one it knows is refused (INVALID_PRODUCER_EPOCH), and so is the epoch of a coordinator that
//! was replaced (TRANSACTION_COORDINATOR_FENCED). The answer comes when the markers are durable. v1 is flexible. v2 has the
//! version of the transaction with each marker (KIP-1228): one of version 2 or more must have an epoch past the producer's,
//! unless it comes again. This broker's own transactions are of version 1; `kafka-transactions.sh` leaves the field at 0.
//!
//! Left out: an error for a version of -1, which Kafka means for what it replicates, and answers with
//! UNKNOWN_SERVER_ERROR. Here it is one before 2.
//!
//! Charged with: nothing, where the client may; otherwise its time.
//!
//! Memory: 128 times the request, for a question and a marker for each 4 bytes that name a partition.

use super::Scope;
use super::of_each_partition::{self, Begun, ByTopic, answered, reply};
use super::scope::{resolve, unexpected};
use crate::auth::{AclOperation, Resource};
use crate::driver::Pending;
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::newest::VersionedMarker;
use kafka_protocol::messages::WriteTxnMarkersResponse;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use pelton_core::event::{Marker, PartitionReply, PartitionRequest};
use pelton_core::model::{ProducerEpoch, ProducerId};
use pelton_core::refusal::Refusal;
use uuid::Uuid;

const OPERATION: Operation = Operation::Transaction { knows_fenced: true };

/// Writes every marker to every partition that it names.
pub async fn handle(scope: Scope, asked: Vec<VersionedMarker>) -> Option<WriteTxnMarkersResponse> {
    let allowed = if scope.authorize(AclOperation::Alter, Resource::Cluster) {
        Ok(())
    } else {
        scope.require(AclOperation::ClusterAction, Resource::Cluster)
    };
    if allowed.is_ok() {
        scope.charging.spare_time();
    }
    let begun: Vec<_> = asked.into_iter().map(|marker| begin(&scope, &allowed, marker)).collect();
    let mut markers = Vec::with_capacity(begun.len());
    for (producer_id, begun) in begun {
        let topics = answered(begun, answer).await.into_iter().map(|(name, partitions)| {
            WritableTxnMarkerTopicResult::default().with_name(name).with_partitions(partitions)
        });
        markers.push(WritableTxnMarkerResult::default().with_producer_id(producer_id).with_topics(topics.collect()));
    }
    Some(WriteTxnMarkersResponse::default().with_markers(markers))
}

fn begin(
    scope: &Scope,
    allowed: &Result<(), Refusal>,
    asked: VersionedMarker,
) -> (kafka_protocol::messages::ProducerId, ByTopic<Begun<Pending>>) {
    let image = scope.image();
    let VersionedMarker { marker: asked, transaction_version } = asked;
    let marker = Marker {
        producer_id: ProducerId(asked.producer_id.0),
        producer_epoch: ProducerEpoch(asked.producer_epoch),
        coordinator_epoch: asked.coordinator_epoch,
        commit: asked.transaction_result,
        transaction_version,
    };
    let begun = of_each_partition::begin(
        asked.topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)),
        |name| allowed.clone().and_then(|()| resolve(&image, false, name, Uuid::nil())),
        |index| *index,
        |partition, _| scope.ask_partition(partition, PartitionRequest::WriteMarker(marker)),
    );
    (asked.producer_id, begun)
}

async fn answer(index: i32, pending: Result<Pending, Refusal>) -> WritableTxnMarkerPartitionResult {
    let error_code = match reply(pending).await {
        Ok(PartitionReply::Appended(_)) => NONE,
        Ok(other) => code(OPERATION, &unexpected(&other)),
        Err(refusal) => code(OPERATION, &refusal),
    };
    WritableTxnMarkerPartitionResult::default().with_partition_index(index).with_error_code(error_code)
}
