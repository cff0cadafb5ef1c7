//! Produce (key 0), v0-13 advertised, v3-13 served: appends record batches.
//!
//! v0-2 must be listed (librdkafka takes their absence for a broker without compression) and are refused with
//! UNSUPPORTED_VERSION by `produce_refused`. v5 added the log start offset to the answer, v7 zstd, v8 the error
//! message, v13 topic ids for names. acks is 0, 1 or -1; with 0 there is no answer at all, and a batch that is
//! refused costs the client its connection, so that it asks for metadata anew. A batch whose records break a rule of the
//! topic is refused with the code of that rule, from v8 on with the records that are wrong (KIP-467). The partitions of a request
//! succeed and fail one by one, each batch as a whole. A request that is not finished after its timeout is
//! answered REQUEST_TIMED_OUT; its batches may still be committed later.
//!
//! Batches of topics with plugins take their way through `crate::hooks`. What a plugin refuses is answered
//! INVALID_RECORD, from v8 on with the records that are wrong (KIP-467); what a plugin could not do,
//! NOT_ENOUGH_REPLICAS or, when the batch is in the log already, NOT_ENOUGH_REPLICAS_AFTER_APPEND, which every
//! producer answers by sending again.
//!
//! Who may not write with the transactional id of the request has none of its batches appended; who may not write to a topic
//! is told so before he learns whether there is one of that name.
//!
//! Charged with: the bytes of the body (`producer_byte_rate`), unless the transactional id is refused; then its time, which is free
//! with acks=0. A producer over its quota is throttled; its batches are appended all the same.
//!
//! Left out: new leaders in the answer (v10), implicit enlisting of partitions (v12, which clients use only when the
//! feature `transaction.version` is 2), record formats before 2.

use super::Scope;
use super::scope::partition_of;
use crate::auth::{AclOperation, Resource};
use crate::hooks::append::{Begun, SendFailure, Sending, Stored};
use crate::metrics::TopicNumbers;
use crate::protocol::codec::Malformed;
use crate::protocol::error_code::{Operation, code};
use crate::protocol::{records, text};
use crate::quota::Charge;
use crate::server::now_ms;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use pelton_core::cluster::{ClusterImage, TopicImage};
use pelton_core::event::{Acks, Appended};
use pelton_core::model::TopicPartition;
use pelton_core::partition::rules::RecordErrors;
use pelton_core::refusal::Refusal;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Why a partition's batch is not appended.
#[derive(Clone)]
struct Failure {
    code: i16,
    message: String,
    /// Records by their index in the batch, with reasons.
    records: Vec<(i32, String)>,
}

impl Failure {
    fn new(version: i16, refusal: &Refusal) -> Self {
        Self { code: code(Operation::Produce(version), refusal), message: refusal.to_string(), records: Vec::new() }
    }

    fn of(error: ResponseError, message: &str) -> Self {
        Self { code: error.code(), message: message.to_owned(), records: Vec::new() }
    }

    fn of_records(version: i16, errors: RecordErrors) -> Self {
        Self { records: errors.records, ..Self::new(version, &errors.refusal) }
    }

    fn sent(version: i16, failure: SendFailure) -> Self {
        match failure {
            SendFailure::Refused(refusal) => Self::new(version, &refusal),
            SendFailure::Invalid(errors) => Self::of_records(version, errors),
            SendFailure::Rejected { message, records } => {
                Self { code: ResponseError::InvalidRecord.code(), message, records }
            }
            SendFailure::Unavailable(message) => Self::of(ResponseError::NotEnoughReplicas, &message),
            SendFailure::Unacknowledged(message) => Self::of(ResponseError::NotEnoughReplicasAfterAppend, &message),
        }
    }
}

/// A batch that is being appended, or why it is not.
type Attempt = Result<Begun, Failure>;

/// What is counted of the topic of a batch, where there is such a topic, and how large the batch is.
#[derive(Default)]
struct Tally {
    numbers: Option<Arc<TopicNumbers>>,
    bytes: usize,
}

/// A partition of the request, what is counted of it, and its batch.
type Sent = (i32, Tally, Attempt);

impl Tally {
    fn settle(&self, refused: bool) {
        let Some(numbers) = &self.numbers else { return };
        numbers.produce_requests.add(1);
        if refused {
            numbers.failed_produce_requests.add(1);
            numbers.bytes_rejected.add(self.bytes as u64);
        }
    }
}

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
    let allowed = transactional_id.as_deref().map_or(Ok(()), |id| {
        let refused = scope.require(AclOperation::Write, Resource::TransactionalId(id));
        refused.map_err(|refusal| Failure::new(scope.version, &refusal))
    });
    // Everything is sent before anything is awaited: the order of a connection's requests is that of its appends.
    let mut begun: Vec<(TopicProduceData, Vec<Sent>)> = Vec::with_capacity(request.topic_data.len());
    for mut topic in request.topic_data {
        let partitions = std::mem::take(&mut topic.partition_data);
        let mut answers = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let mut tally = Tally::default();
            let (index, records) = (partition.index, partition.records.unwrap_or_default());
            let pending = match (acks, &allowed) {
                (Ok(_), Err(refused)) => Err(refused.clone()),
                (Ok(acks), Ok(())) => {
                    begin(&scope, &image, &topic, index, &records, acks, &transactional_id, &mut tally)
                }
                (Err(()), _) => Err(Failure::of(ResponseError::InvalidRequiredAcks, "acks must be 0, 1 or -1 (all)")),
            };
            answers.push((index, tally, pending));
        }
        begun.push((topic, answers));
    }
    let charge = || {
        if allowed.is_ok() {
            scope.charging.charge(Charge::Produce(scope.body_bytes));
        }
    };
    if acks == Ok(Acks::None) {
        charge();
        scope.charging.spare_time();
        unacknowledged(begun.into_iter().flat_map(|(_, answers)| answers).map(|(_, tally, pending)| (tally, pending)))
            .await?;
        return Ok(None);
    }
    let deadline = Instant::now() + Duration::from_millis(request.timeout_ms.max(0) as u64);
    let mut responses = Vec::with_capacity(begun.len());
    for (topic, answers) in begun {
        let mut partitions = Vec::with_capacity(answers.len());
        for (index, tally, pending) in answers {
            let result = match pending {
                Ok(begun) => finish(begun, deadline).await.map_err(|failure| Failure::sent(scope.version, failure)),
                Err(failure) => Err(failure),
            };
            tally.settle(result.is_err());
            partitions.push(partition_response(scope.version, index, result));
        }
        responses.push(
            TopicProduceResponse::default()
                .with_name(topic.name)
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions),
        );
    }
    charge();
    Ok(Some(ProduceResponse::default().with_responses(responses)))
}

/// Sees to batches that nobody wants an answer for.
async fn unacknowledged(begun: impl Iterator<Item = (Tally, Attempt)>) -> Result<(), Malformed> {
    // A client may send with acks=0 and go: its batches are appended all the same.
    let begun: Vec<(Tally, Attempt)> = begun.map(|(tally, begun)| (tally, begun.map(Begun::detached))).collect();
    for (tally, begun) in begun {
        let refused = match begun {
            Ok(begun) => begun.finish().await.err().map(|failure| failure.to_string()),
            Err(failure) => Some(failure.message),
        };
        tally.settle(refused.is_some());
        if let Some(message) = refused {
            return Err(Malformed::Unacknowledged(message));
        }
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the parts of one request, and of its connection")]
fn begin(
    scope: &Scope,
    image: &ClusterImage,
    topic: &TopicProduceData,
    index: i32,
    records: &Bytes,
    acks: Acks,
    transactional_id: &Option<Arc<str>>,
    tally: &mut Tally,
) -> Attempt {
    let refused = |refusal: Refusal| Failure::new(scope.version, &refusal);
    let (partition, described) = writable(scope, image, topic, index).map_err(refused)?;
    let rules = described.append;
    let numbers = scope.server.metrics.topics.of(described.id, &partition.topic);
    *tally = Tally { numbers: Some(numbers), bytes: records.len() };
    let batch = records::accept(records, &partition, &rules, now_ms())
        .map_err(|errors| Failure::of_records(scope.version, errors))?;
    if scope.version < 7 && records::is_zstd(&batch) {
        let message = "zstd needs a client that speaks Produce v7 (KIP-110)";
        return Err(Failure::of(ResponseError::UnsupportedCompressionType, message));
    }
    let sending = Sending { partition, batch, acks, transactional_id: transactional_id.clone(), rules };
    Ok(scope.server.hooks.append(sending, || scope.client()))
}

/// The partition that a client may write: it exists, and it is not one of the broker's own.
fn writable<'a>(
    scope: &Scope,
    image: &'a ClusterImage,
    topic: &TopicProduceData,
    index: i32,
) -> Result<(TopicPartition, &'a TopicImage), Refusal> {
    let (name, described) = match scope.version {
        13.. => scope.topic_by_id(AclOperation::Write, image, topic.topic_id)?,
        _ => scope.topic(AclOperation::Write, image, &topic.name)?,
    };
    if described.internal {
        return Err(Refusal::InvalidTopicName(format!("{name} is written by the broker alone")));
    }
    Ok((partition_of(name, described, index)?, described))
}

async fn finish(begun: Begun, deadline: Instant) -> Stored {
    let timed_out = |_| SendFailure::Refused(Refusal::RequestTimedOut);
    tokio::time::timeout_at(deadline, begun.finish()).await.map_err(timed_out)?
}

fn partition_response(version: i16, index: i32, result: Result<(Appended, i64), Failure>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match result {
        Ok((appended, append_time)) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(append_time)
            .with_log_start_offset(appended.log_start),
        Err(failure) => {
            let response = response.with_base_offset(-1).with_error_code(failure.code);
            if version < 8 {
                return response;
            }
            let records = failure.records.into_iter().map(|(index, reason)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(index)
                    .with_batch_index_error_message(Some(text::wire(&reason)))
            });
            response.with_error_message(Some(text::wire(&failure.message))).with_record_errors(records.collect())
        }
    }
}
