//! Produce (key 0), v0-13 advertised, v3-13 served: appends record batches.
//!
//! v0-2 must be listed (librdkafka takes their absence for a broker without compression) and are refused with
//! UNSUPPORTED_VERSION by `produce_refused`. v5 added the log start offset to the answer, v7 zstd, v8 the error
//! message, v13 topic ids for names. acks is 0, 1 or -1; with 0 there is no answer at all, and a batch that is
//! refused costs the client its connection, so that it asks for metadata anew. The partitions of a request
//! succeed and fail one by one, each batch as a whole. A request that is not finished after its timeout is
//! answered REQUEST_TIMED_OUT; its batches may still be committed later.
//!
//! Left out: batches with record errors one by one (v8), new leaders in the answer (v10), implicit enlisting of
//! partitions (v12, which clients use only when the feature `transaction.version` is 2), record formats before 2.

use super::Scope;
use super::scope::{partition_answer, partition_of, resolve, unexpected};
use crate::driver::Pending;
use crate::protocol::codec::Malformed;
use crate::protocol::error_code::{Operation, code};
use crate::protocol::{records, text};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use pelton_core::cluster::{ClusterImage, TopicImage};
use pelton_core::event::{Acks, AppendOrigin, Appended, PartitionReply, PartitionRequest};
use pelton_core::model::TopicPartition;
use pelton_core::refusal::Refusal;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Why a partition's batch is not appended.
struct Failure {
    code: i16,
    message: String,
}

impl Failure {
    fn new(version: i16, refusal: &Refusal) -> Self {
        Self { code: code(Operation::Produce(version), refusal), message: refusal.to_string() }
    }

    fn of(error: ResponseError, message: &str) -> Self {
        Self { code: error.code(), message: message.to_owned() }
    }
}

/// A batch that is being appended, and the time that the broker stamped it with, or -1.
type Begun = Result<(Pending, i64), Failure>;

/// Appends, and answers when `acks` says so.
pub async fn handle(scope: Scope, request: ProduceRequest) -> Result<Option<ProduceResponse>, Malformed> {
    let acks = match request.acks {
        0 => Ok(Acks::None),
        1 => Ok(Acks::Leader),
        -1 => Ok(Acks::All),
        _ => Err(()),
    };
    let transactional_id = text::optional(request.transactional_id.as_ref().map(|id| &id.0));
    let image = scope.image();
    // Everything is sent before anything is awaited: the order of a connection's requests is that of its appends.
    let mut begun: Vec<(TopicProduceData, Vec<(i32, Begun)>)> = Vec::with_capacity(request.topic_data.len());
    for mut topic in request.topic_data {
        let partitions = std::mem::take(&mut topic.partition_data);
        let mut answers = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let pending = match acks {
                Ok(acks) => begin(&scope, &image, &topic, partition.index, partition.records, acks, &transactional_id),
                Err(()) => Err(Failure::of(ResponseError::InvalidRequiredAcks, "acks must be 0, 1 or -1 (all)")),
            };
            answers.push((partition.index, pending));
        }
        begun.push((topic, answers));
    }
    if acks == Ok(Acks::None) {
        unacknowledged(begun.into_iter().flat_map(|(_, answers)| answers).map(|(_, pending)| pending)).await?;
        return Ok(None);
    }
    let deadline = Instant::now() + Duration::from_millis(request.timeout_ms.max(0) as u64);
    let mut responses = Vec::with_capacity(begun.len());
    for (topic, answers) in begun {
        let mut partitions = Vec::with_capacity(answers.len());
        for (index, pending) in answers {
            let result = match pending {
                Ok((pending, append_time)) => match finish(pending, deadline).await {
                    Ok(appended) => Ok((appended, append_time)),
                    Err(refusal) => Err(Failure::new(scope.version, &refusal)),
                },
                Err(failure) => Err(failure),
            };
            partitions.push(partition_response(scope.version, index, result));
        }
        responses.push(
            TopicProduceResponse::default()
                .with_name(topic.name)
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions),
        );
    }
    Ok(Some(ProduceResponse::default().with_responses(responses)))
}

/// Sees to batches that nobody wants an answer for.
async fn unacknowledged(begun: impl Iterator<Item = Begun>) -> Result<(), Malformed> {
    // A client may send with acks=0 and go: its batches are appended all the same.
    let begun: Vec<Result<Pending, Failure>> =
        begun.map(|begun| begun.map(|(pending, _)| pending.detached())).collect();
    for pending in begun {
        let refused = match pending {
            Ok(pending) => partition_answer(pending.await).err().map(|refusal| refusal.to_string()),
            Err(failure) => Some(failure.message),
        };
        if let Some(message) = refused {
            return Err(Malformed::Unacknowledged(message));
        }
    }
    Ok(())
}

fn begin(
    scope: &Scope,
    image: &ClusterImage,
    topic: &TopicProduceData,
    index: i32,
    records: Option<Bytes>,
    acks: Acks,
    transactional_id: &Option<Arc<str>>,
) -> Begun {
    let refused = |refusal: Refusal| Failure::new(scope.version, &refusal);
    let (partition, described) = writable(image, scope.version >= 13, topic, index).map_err(refused)?;
    let mut batches = records::split(&records.unwrap_or_default()).map_err(refused)?;
    if scope.version < 7 && batches.iter().any(records::is_zstd) {
        let message = "zstd needs a client that speaks Produce v7 (KIP-110)";
        return Err(Failure::of(ResponseError::UnsupportedCompressionType, message));
    }
    let mut append_time = -1;
    if described.configs.get("message.timestamp.type").is_some_and(|value| value == "LogAppendTime") {
        append_time = scope.server.now_ms();
        batches = batches.into_iter().map(|batch| records::stamp(batch, append_time)).collect();
    }
    let origin = AppendOrigin::Client;
    let transactional_id =
        transactional_id.clone().filter(|_| batches.iter().any(|batch| batch.header.attributes.is_transactional()));
    let request = PartitionRequest::Append { batches, acks, origin, transactional_id };
    Ok((scope.ask_partition(partition, request), append_time))
}

/// The partition that a client may write: it exists, and it is not one of the broker's own.
fn writable<'a>(
    image: &'a ClusterImage,
    by_id: bool,
    topic: &TopicProduceData,
    index: i32,
) -> Result<(TopicPartition, &'a TopicImage), Refusal> {
    let (name, described) = resolve(image, by_id, &topic.name, topic.topic_id)?;
    if described.internal {
        return Err(Refusal::InvalidTopicName(format!("{name} is written by the broker alone")));
    }
    Ok((partition_of(name, described, index)?, described))
}

async fn finish(pending: Pending, deadline: Instant) -> Result<Appended, Refusal> {
    let reply = tokio::time::timeout_at(deadline, pending).await.map_err(|_| Refusal::RequestTimedOut)?;
    match partition_answer(reply)? {
        PartitionReply::Appended(appended) => Ok(appended),
        other => Err(unexpected(&other)),
    }
}

fn partition_response(version: i16, index: i32, result: Result<(Appended, i64), Failure>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match result {
        Ok((appended, append_time)) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(append_time)
            .with_log_start_offset(appended.log_start),
        Err(failure) => response
            .with_base_offset(-1)
            .with_error_code(failure.code)
            .with_error_message((version >= 8).then(|| text::wire(&failure.message))),
    }
}
