//! DescribeProducers (key 61), v0-0: which producers a partition remembers (KIP-664).
//!
//! Idempotent and transactional ones, with their last sequence, the time of their last batch, and where their open
//! transaction began; -1 where there is none. `kafka-transactions.sh` finds hanging transactions by it.
//!
//! A partition that is named twice is described once: the answer is so bounded by what there is.
//!
//! Memory: 128 times the request, for a question to each partition; and 34 bytes of answer for each producer, of which a
//! partition remembers a bounded number.

use super::Scope;
use super::of_each_partition::{answered, begin, reply};
use super::scope::unexpected;
use crate::auth::AclOperation;
use crate::driver::Pending;
use crate::protocol::error_code::{Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use pelton_core::event::{self, PartitionReply, PartitionRequest};
use pelton_core::refusal::Refusal;
use std::collections::BTreeSet;

/// Describes the producers of every partition that is named.
pub async fn handle(scope: Scope, request: DescribeProducersRequest) -> Option<DescribeProducersResponse> {
    let image = scope.image();
    let mut seen = BTreeSet::new();
    let named = request.topics.into_iter().map(|topic| {
        let (name, mut indexes) = (topic.name, topic.partition_indexes);
        indexes.retain(|index| seen.insert((name.clone(), *index)));
        (name, indexes)
    });
    let begun = begin(
        named,
        |name| scope.topic(AclOperation::Read, &image, name),
        |index| *index,
        |partition, _| scope.ask_partition(partition, PartitionRequest::DescribeProducers),
    );
    let topics = answered(begun, answer).await;
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| TopicResponse::default().with_name(name).with_partitions(partitions));
    Some(DescribeProducersResponse::default().with_topics(topics.collect()))
}

async fn answer(index: i32, pending: Result<Pending, Refusal>) -> PartitionResponse {
    let response = PartitionResponse::default().with_partition_index(index).with_error_message(None);
    let refusal = match reply(pending).await {
        Ok(PartitionReply::Producers(producers)) => {
            return response.with_active_producers(producers.iter().map(described).collect());
        }
        Ok(other) => unexpected(&other),
        Err(refusal) => refusal,
    };
    response.with_error_code(code(Operation::Read, &refusal)).with_error_message(Some(text::wire(&refusal.to_string())))
}

fn described(producer: &event::ProducerState) -> ProducerState {
    let last = producer.batches.last();
    ProducerState::default()
        .with_producer_id(ProducerId(producer.producer_id.0))
        .with_producer_epoch(i32::from(producer.epoch.0))
        .with_last_sequence(last.map_or(-1, |batch| batch.last_sequence))
        .with_last_timestamp(last.map_or(-1, |batch| batch.timestamp))
        .with_coordinator_epoch(producer.coordinator_epoch.unwrap_or(-1))
        .with_current_txn_start_offset(producer.open_since.unwrap_or(-1))
}
