//! Fetch (key 1), v4-18: reads record batches.
//!
//! A fetch is answered when it has found `min_bytes`, when a partition has an error, or when `max_wait_ms` is
//! over. Partitions are read in the order of the request, which clients rotate, up to `max_bytes` in all; the
//! first batch is given even when it is larger (KIP-74). read_committed readers get nothing past the last
//! stable offset, and the aborted transactions that overlap what they get, ordered by first offset. v5 added the
//! log start offset, v7 sessions, v9 leader epochs, v11 racks, v13 topic ids for names, v15 moved the replica id.
//!
//! What leaves a topic with `on-consume` hooks has passed them; where they fail closed, the partition is answered
//! UNKNOWN_SERVER_ERROR without records. How much a fetch waits for is counted in what was read.
//!
//! Left out: sessions (every answer has session id 0, which tells the client to name all partitions each
//! time), reads by followers, diverging epochs (v12), new leaders in the answer (v16).

use super::Scope;
use super::fetch_plan::{Limits, PERMIT_BYTES, Read, Wanted, read_all};
use super::scope::{partition_of, resolve};
use crate::driver::first_of;
use crate::hooks::consume::{Outgoing, Unread, fit};
use crate::protocol::error_code::{Operation, code};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ProducerId};
use pelton_core::event::PartitionRequest;
use pelton_core::model::{Isolation, LeaderEpoch, TopicPartition};
use std::time::Duration;
use tokio::time::Instant;

/// `fetch.max.bytes` of Kafka's brokers: no answer is larger, but for its first batch.
const FETCH_MAX_BYTES: usize = 55 * 1024 * 1024;
/// Longest wait that is honoured, in milliseconds; clients ask for half a second.
const MAX_WAIT_MS: u64 = 300_000;
/// How long a fetch that wants many bytes lets them gather before it reads again.
const GATHER: Duration = Duration::from_millis(5);

/// Reads, waiting for data as long as the client wants to wait.
pub async fn handle(scope: Scope, request: FetchRequest) -> Option<FetchResponse> {
    if request.session_id != 0 {
        return Some(FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code()));
    }
    let deadline = Instant::now() + Duration::from_millis((request.max_wait_ms.max(0) as u64).min(MAX_WAIT_MS));
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let limits = Limits { max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).min(FETCH_MAX_BYTES), isolation };
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(limits.max_bytes);
    let wanted = wanted(&scope, &request.topics);
    let mut reads = read_all(&scope, &wanted, limits).await;
    while !enough(&reads, min_bytes) && Instant::now() < deadline {
        let next: Vec<(TopicPartition, i64)> = next_offsets(&wanted, &reads);
        if next.is_empty() {
            break;
        }
        // What was read so far is read again with what comes: nothing is held while the fetch waits.
        drop(reads);
        scope.admitted.put(None);
        let watches = next
            .into_iter()
            .map(|(partition, offset)| scope.ask_partition(partition, PartitionRequest::Watch { offset, isolation }));
        let woken = first_of(watches.collect());
        if tokio::time::timeout_at(deadline, woken).await.is_ok() && min_bytes > 1 {
            tokio::time::sleep_until(deadline.min(Instant::now() + GATHER)).await;
        }
        reads = read_all(&scope, &wanted, limits).await;
    }
    let outgoing = consumed(&scope, wanted, reads).await;
    Some(response(request.topics, outgoing, isolation))
}

/// What was read, after the hooks of its topics have seen it.
async fn consumed(scope: &Scope, wanted: Vec<Wanted>, reads: Vec<Read>) -> Vec<Outgoing> {
    let bytes: Vec<usize> = reads.iter().map(|read| read.as_ref().map_or(0, |read| read.records.len())).collect();
    let pairs = wanted.into_iter().map(|wanted| wanted.partition.ok()).zip(reads).collect();
    let mut outgoing = scope.server.hooks.consume(|| scope.client(), pairs).await;
    fit(&mut outgoing, &bytes, bytes.iter().sum(), |more| {
        scope.admitted.more(&scope.server.answer_memory, more.div_ceil(PERMIT_BYTES))
    });
    outgoing
}

/// The partitions of the request, in order, flat.
fn wanted(scope: &Scope, topics: &[FetchTopic]) -> Vec<Wanted> {
    let image = scope.image();
    let mut wanted = Vec::new();
    for topic in topics {
        let resolved = resolve(&image, scope.version >= 13, &topic.topic, topic.topic_id);
        for partition in &topic.partitions {
            let target =
                resolved.clone().and_then(|(name, described)| partition_of(name, described, partition.partition));
            wanted.push(Wanted {
                partition: target,
                offset: partition.fetch_offset,
                leader_epoch: (partition.current_leader_epoch >= 0)
                    .then_some(LeaderEpoch(partition.current_leader_epoch)),
                max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
            });
        }
    }
    wanted
}

fn enough(reads: &[Read], min_bytes: usize) -> bool {
    let bytes: usize = reads.iter().flatten().map(|read| read.records.len()).sum();
    bytes >= min_bytes || reads.iter().any(Result::is_err)
}

/// Where each partition goes on after what has been read of it.
fn next_offsets(wanted: &[Wanted], reads: &[Read]) -> Vec<(TopicPartition, i64)> {
    let pairs = wanted.iter().zip(reads);
    pairs
        .filter_map(|(wanted, read)| {
            let partition = wanted.partition.as_ref().ok()?.clone();
            let records = &read.as_ref().ok()?.records;
            let last = pelton_record::batches(records).filter_map(Result::ok).last();
            Some((partition, last.map_or(wanted.offset, |batch| batch.header().next_offset())))
        })
        .collect()
}

fn response(topics: Vec<FetchTopic>, reads: Vec<Outgoing>, isolation: Isolation) -> FetchResponse {
    let mut reads = reads.into_iter();
    let responses = topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .zip(&mut reads)
                .map(|(asked, read)| partition_data(asked.partition, read, isolation))
                .collect();
            FetchableTopicResponse::default()
                .with_topic(topic.topic)
                .with_topic_id(topic.topic_id)
                .with_partitions(partitions)
        })
        .collect();
    FetchResponse::default().with_responses(responses)
}

fn partition_data(index: i32, read: Outgoing, isolation: Isolation) -> PartitionData {
    let data = PartitionData::default().with_partition_index(index);
    match read {
        Ok(fetched) => {
            let mut aborted = fetched.aborted;
            aborted.sort_by_key(|aborted| aborted.first_offset);
            let aborted = aborted.into_iter().map(|aborted| {
                AbortedTransaction::default()
                    .with_producer_id(ProducerId(aborted.producer_id.0))
                    .with_first_offset(aborted.first_offset)
            });
            data.with_high_watermark(fetched.watermarks.high_watermark)
                .with_last_stable_offset(fetched.watermarks.last_stable)
                .with_log_start_offset(fetched.watermarks.log_start)
                .with_aborted_transactions((isolation == Isolation::ReadCommitted).then(|| aborted.collect()))
                .with_records(Some(fetched.records))
        }
        Err(unread) => {
            let error = match unread {
                Unread::Refused(refusal) => code(Operation::Read, &refusal),
                Unread::Failed(why) => {
                    tracing::debug!(why, "plugins keep records from a consumer");
                    ResponseError::UnknownServerError.code()
                }
            };
            data.with_error_code(error)
                .with_high_watermark(-1)
                .with_aborted_transactions(None)
                .with_records(Some(Bytes::new()))
        }
    }
}
