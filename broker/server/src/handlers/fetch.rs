//! Fetch (key 1), v4-18: reads record batches.
//!
//! A fetch is answered when it has found `min_bytes`, when a partition that exists has an error, when `max_wait_ms`
//! is over, or when the broker stops. Partitions are read in the order of the request, which clients rotate, or of the
//! fetch session (KIP-227, [`crate::fetch::session`]), up to `max_bytes` in all; the first batch is given even when it is
//! larger (KIP-74). read_committed readers get nothing past the last stable offset, and the aborted transactions that
//! overlap what they get, ordered by first offset. v5 added the log start offset, v7 sessions, v9 leader epochs, v11
//! racks, v13 topic ids for names, v15 moved the replica id.
//!
//! Records leave from their files, unread ([`crate::net`]) but for those that an earlier process wrote, the first time
//! ([`crate::fetch`]). What leaves of a topic with `on-consume` hooks has passed
//! them; where they fail closed, the partition is answered UNKNOWN_SERVER_ERROR without records. How much a fetch waits
//! for is counted in what was found.
//!
//! Charged with: its time, and then the bytes of the answer (`consumer_byte_rate`), before hooks have seen the records. Where either
//! throttles, the answer has no records and no partitions, its bytes are taken back, and a session stands as before; and past its
//! first batch no fetch reads more than its client's quota could ever let through. A follower that may do what brokers do is
//! charged nothing.
//!
//! Left out: reads by followers, diverging epochs (v12), new leaders in the answer (v16).

use super::fetch_plan::{Limits, PERMIT_BYTES, Read, Wanted, read_all};
use super::scope::partition_of;
use super::{Answer, Call, Handling, Scope};
use crate::auth::{AclOperation, Resource};
use crate::driver::first_of;
use crate::fetch::check_all;
use crate::fetch::session::{Asked, Fetching, NO_SESSION, PartitionKey, SessionError, SessionRequest, Told, TopicKey};
use crate::hooks::consume::{Outgoing, Unread, fit};
use crate::metrics::TopicNumbers;
use crate::protocol::answer_fields;
use crate::protocol::codec::{Malformed, Prelude};
use crate::protocol::error_code::{Operation, code};
use crate::protocol::fetch_answer::{AnsweredPartition, AnsweredTopic, FetchAnswer};
use crate::protocol::newest;
use crate::quota::Charge;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, FetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use pelton_core::event::{PartitionRequest, Records};
use pelton_core::model::{Isolation, LeaderEpoch, TopicPartition};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Longest wait that is honoured, in milliseconds; clients ask for half a second.
const MAX_WAIT_MS: u64 = 300_000;
/// How often a fetch looks at once whether what came is enough. After that it looks once every [`PACE`], so that one
/// that wants many bytes does not look at every small batch of them.
const PROMPT_LOOKS: u32 = 8;
const PACE: Duration = Duration::from_millis(1);
/// Memory of an answer for one partition that the request did not name, beside its records.
const UNNAMED_BYTES: usize = 256;

/// Decodes the request, and writes the answer around its records.
pub fn serve(mut call: Call) -> Result<Handling, Malformed> {
    let Prelude { version, correlation_id, .. } = call.prelude;
    let request = super::read(&mut call, newest::read)?;
    Ok(Box::new(move |scope| {
        let (admitted, numbers, charging) =
            (scope.admitted.clone(), scope.server.metrics.clone(), scope.charging.clone());
        Box::pin(async move {
            let mut answer = handle(scope, request).await;
            answer.throttle_time_ms = charging.settle(ApiKey::Fetch);
            answer_fields::count_errors(&numbers, ApiKey::Fetch, &answer);
            let frame = answer.frame(correlation_id, version)?;
            Ok(Some(Answer { frame, admitted: admitted.take() }))
        })
    }))
}

/// What a fetch has found.
struct Found {
    fetching: Fetching,
    wanted: Vec<Wanted>,
    reads: Vec<Read>,
}

/// Reads, and lets leave what the client's quota and the hooks let through.
async fn handle(scope: Scope, request: FetchRequest) -> FetchAnswer {
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let charged = scope.charging.is_on() && !is_follower(&scope, &request);
    let mut finding = pin!(find(&scope, request, isolation, charged));
    let (found, spent) = scope.charging.timed(finding.as_mut()).await;
    if charged {
        scope.charging.charge_time(spent);
    }
    let mut found = match found {
        Ok(found) => found,
        Err(error) => return FetchAnswer { error_code: session_error(error), ..FetchAnswer::default() },
    };
    let numbers: Vec<_> = found.wanted.iter_mut().map(|wanted| wanted.numbers.take()).collect();
    if charged && is_over_quota(&scope, &found, isolation) {
        numbers.iter().flatten().for_each(|numbers| numbers.fetch_requests.add(1));
        scope.admitted.put(None);
        return untold(&scope, &found.fetching);
    }
    let outgoing = consumed(&scope, found.wanted, found.reads).await;
    tally(&numbers, &outgoing);
    answer(&scope, &found.fetching, outgoing, isolation)
}

/// Whether a broker asks, which no quota is for.
fn is_follower(scope: &Scope, request: &FetchRequest) -> bool {
    replica_id(request) >= 0 && scope.authorize(AclOperation::ClusterAction, Resource::Cluster)
}

/// The broker that says that it asks; negative where a consumer does.
fn replica_id(request: &FetchRequest) -> i32 {
    request.replica_id.0.max(request.replica_state.replica_id.0)
}

/// Charges for the answer as it would be; says whether it must not be given.
fn is_over_quota(scope: &Scope, found: &Found, isolation: Isolation) -> bool {
    let partitions = found.fetching.partitions.iter().zip(&found.reads);
    let answered: Vec<AnsweredPartition> = partitions
        .map(|((key, _), read)| partition_data(key.partition, read.clone().map_err(Unread::Refused), isolation))
        .collect();
    let told: Vec<Told> = answered.iter().map(told).collect();
    let said = scope.server.fetching.would_say(&found.fetching, &told);
    let topics = topics(&found.fetching, answered, said);
    let bytes = FetchAnswer { topics, ..FetchAnswer::default() }.charged_bytes(scope.version);
    // What is longer than a frame can be is told when it is to be written.
    let charge = Charge::Fetch(bytes.unwrap_or(i32::MAX as usize));
    scope.charging.charge(charge);
    let throttled = scope.charging.is_throttled();
    if throttled {
        scope.charging.take_back(charge);
    }
    throttled
}

/// The answer to a client that is throttled: nothing, and its session knows that.
fn untold(scope: &Scope, fetching: &Fetching) -> FetchAnswer {
    let (error_code, session_id) = match scope.server.fetching.finish_untold(fetching) {
        Ok(session_id) => (0, session_id),
        Err(error) => (session_error(error), NO_SESSION),
    };
    FetchAnswer { error_code, session_id, ..FetchAnswer::default() }
}

/// Reads, waiting for data as long as the client wants to wait.
async fn find(
    scope: &Scope,
    request: FetchRequest,
    isolation: Isolation,
    charged: bool,
) -> Result<Found, SessionError> {
    let mut deadline = Instant::now() + Duration::from_millis((request.max_wait_ms.max(0) as u64).min(MAX_WAIT_MS));
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(scope.server.fetching.config.fetch_max_bytes);
    let max_bytes = if charged { max_bytes.min(scope.charging.max_fetch_bytes()) } else { max_bytes };
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes);
    let (session, named, forgotten) = flat(scope, request);
    let named_count = named.len();
    let fetching = scope.server.fetching.begin(session, named, &forgotten)?;
    let unnamed = fetching.partitions.len().saturating_sub(named_count);
    let limits = Limits { max_bytes, isolation, answer_bytes: unnamed * UNNAMED_BYTES };
    let wanted = wanted(scope, &fetching);
    let mut reads = read_all(scope, &wanted, limits).await;
    let mut looks = 0;
    while !enough(&wanted, &reads, min_bytes) && Instant::now() < deadline {
        let next: Vec<(TopicPartition, i64)> = next_offsets(&wanted, &reads);
        if next.is_empty() {
            break;
        }
        // What was found so far is looked for again with what comes: nothing is held while the fetch waits.
        drop(reads);
        scope.admitted.put(None);
        let watches = next
            .into_iter()
            .map(|(partition, offset)| scope.ask_partition(partition, PartitionRequest::Watch { offset, isolation }));
        let woken = first_of(watches.collect());
        looks += 1;
        tokio::select! {
            found = tokio::time::timeout_at(deadline, woken) => if found.is_ok() && looks > PROMPT_LOOKS {
                tokio::time::sleep_until(deadline.min(Instant::now() + PACE)).await;
            },
            () = scope.server.stopping() => deadline = Instant::now(),
        }
        reads = read_all(scope, &wanted, limits).await;
    }
    check_all(&scope.server, &mut reads).await;
    Ok(Found { fetching, wanted, reads })
}

/// What the request says of its session, the partitions that it names, and those that it forgets.
fn flat(scope: &Scope, request: FetchRequest) -> (SessionRequest, Vec<(PartitionKey, Asked)>, Vec<PartitionKey>) {
    let by_id = scope.version >= 13;
    let key = |name: &TopicName, id: Uuid| match by_id {
        true => TopicKey::Id(id.as_u128()),
        false => TopicKey::Name(name.0.as_str().into()),
    };
    let session = SessionRequest {
        id: request.session_id,
        epoch: request.session_epoch,
        by_id,
        privileged: replica_id(&request) >= 0,
    };
    let mut named = Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in &request.topics {
        let key = key(&topic.topic, topic.topic_id);
        named.extend(topic.partitions.iter().map(|partition| {
            let asked = Asked {
                offset: partition.fetch_offset,
                leader_epoch: partition.current_leader_epoch,
                max_bytes: partition.partition_max_bytes,
            };
            (PartitionKey { topic: key.clone(), partition: partition.partition }, asked)
        }));
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let key = key(&topic.topic, topic.topic_id);
        forgotten.extend(
            topic.partitions.iter().map(|partition| PartitionKey { topic: key.clone(), partition: *partition }),
        );
    }
    (session, named, forgotten)
}

fn session_error(error: SessionError) -> i16 {
    let error = match error {
        SessionError::NotFound => ResponseError::FetchSessionIdNotFound,
        SessionError::InvalidEpoch => ResponseError::InvalidFetchSessionEpoch,
        SessionError::TopicIds => ResponseError::FetchSessionTopicIdError,
    };
    error.code()
}

/// The topic as the wire has it: its name, or its id.
fn wire_topic(key: &TopicKey) -> (TopicName, Uuid) {
    match key {
        TopicKey::Name(name) => (TopicName(StrBytes::from_string(name.to_string())), Uuid::nil()),
        TopicKey::Id(id) => (TopicName::default(), Uuid::from_u128(*id)),
    }
}

/// The partitions that are to be read, in order.
fn wanted(scope: &Scope, fetching: &Fetching) -> Vec<Wanted> {
    let image = scope.image();
    let mut wanted = Vec::with_capacity(fetching.partitions.len());
    for of_topic in fetching.partitions.chunk_by(|(one, _), (other, _)| one.topic == other.topic) {
        let (name, id) = wire_topic(&of_topic[0].0.topic);
        let resolved = match scope.version {
            13.. => scope.topic_by_id(AclOperation::Read, &image, id),
            _ => scope.topic(AclOperation::Read, &image, &name),
        };
        let hooked = resolved.as_ref().is_ok_and(|(name, _)| scope.server.hooks.reads(name));
        let numbers = resolved.as_ref().ok();
        let numbers = numbers.map(|(name, described)| scope.server.metrics.topics.of(described.id, name));
        for (key, asked) in of_topic {
            let partition = resolved.clone().and_then(|(name, described)| partition_of(name, described, key.partition));
            wanted.push(Wanted {
                partition,
                offset: asked.offset,
                leader_epoch: (asked.leader_epoch >= 0).then_some(LeaderEpoch(asked.leader_epoch)),
                max_bytes: usize::try_from(asked.max_bytes).unwrap_or(0),
                hooked,
                numbers: numbers.clone(),
            });
        }
    }
    wanted
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

/// Counts what leaves.
fn tally(numbers: &[Option<Arc<TopicNumbers>>], outgoing: &[Outgoing]) {
    for (numbers, outgoing) in numbers.iter().zip(outgoing) {
        let Some(numbers) = numbers else { continue };
        numbers.fetch_requests.add(1);
        match outgoing {
            Ok(fetched) => numbers.bytes_out.add(fetched.records.len() as u64),
            Err(_) => numbers.failed_fetch_requests.add(1),
        }
    }
}

/// Whether the answer need not wait. A partition that does not exist is no reason to answer before others have data.
fn enough(wanted: &[Wanted], reads: &[Read], min_bytes: usize) -> bool {
    let bytes: usize = reads.iter().flatten().map(|read| read.records.len()).sum();
    bytes >= min_bytes || wanted.iter().zip(reads).any(|(wanted, read)| wanted.partition.is_ok() && read.is_err())
}

/// Where each partition goes on after what has been read of it.
fn next_offsets(wanted: &[Wanted], reads: &[Read]) -> Vec<(TopicPartition, i64)> {
    let pairs = wanted.iter().zip(reads);
    pairs
        .filter_map(|(wanted, read)| {
            let partition = wanted.partition.as_ref().ok()?.clone();
            let records = &read.as_ref().ok()?.records;
            Some((partition, if records.is_empty() { wanted.offset } else { records.next_offset(wanted.offset) }))
        })
        .collect()
}

/// The answer: all partitions, or of a session those of which there is something new to say.
fn answer(scope: &Scope, fetching: &Fetching, outgoing: Vec<Outgoing>, isolation: Isolation) -> FetchAnswer {
    let answered: Vec<AnsweredPartition> = fetching
        .partitions
        .iter()
        .zip(outgoing)
        .map(|((key, _), outgoing)| partition_data(key.partition, outgoing, isolation))
        .collect();
    let told: Vec<Told> = answered.iter().map(told).collect();
    let finished = match scope.server.fetching.finish(fetching, &told) {
        Ok(finished) => finished,
        Err(error) => return FetchAnswer { error_code: session_error(error), ..FetchAnswer::default() },
    };
    let topics = topics(fetching, answered, finished.said);
    FetchAnswer { session_id: finished.session_id, topics, ..FetchAnswer::default() }
}

/// The partitions that must be said, by topic.
fn topics(fetching: &Fetching, answered: Vec<AnsweredPartition>, said: Vec<bool>) -> Vec<AnsweredTopic> {
    let mut topics: Vec<AnsweredTopic> = Vec::new();
    let mut last: Option<&TopicKey> = None;
    for (((key, _), data), said) in fetching.partitions.iter().zip(answered).zip(said) {
        if !said {
            continue;
        }
        if last != Some(&key.topic) {
            let (name, id) = wire_topic(&key.topic);
            topics.push(AnsweredTopic { name, id, partitions: Vec::new() });
            last = Some(&key.topic);
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(data);
        }
    }
    topics
}

fn told(answered: &AnsweredPartition) -> Told {
    Told {
        high_watermark: answered.high_watermark,
        log_start: answered.log_start,
        failed: answered.error_code != 0,
        records: !answered.records.is_empty(),
    }
}

fn partition_data(index: i32, read: Outgoing, isolation: Isolation) -> AnsweredPartition {
    let fetched = match read {
        Ok(fetched) => fetched,
        Err(unread) => {
            let error_code = match unread {
                Unread::Refused(refusal) => code(Operation::Read, &refusal),
                Unread::Failed(why) => {
                    tracing::debug!(why, "plugins keep records from a consumer");
                    ResponseError::UnknownServerError.code()
                }
            };
            return AnsweredPartition {
                index,
                error_code,
                high_watermark: -1,
                last_stable: -1,
                log_start: -1,
                aborted: None,
                records: Records::EMPTY,
            };
        }
    };
    let mut aborted = fetched.aborted;
    aborted.sort_by_key(|aborted| aborted.first_offset);
    let aborted = aborted.into_iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset));
    AnsweredPartition {
        index,
        error_code: 0,
        high_watermark: fetched.watermarks.high_watermark,
        last_stable: fetched.watermarks.last_stable,
        log_start: fetched.watermarks.log_start,
        aborted: (isolation == Isolation::ReadCommitted).then(|| aborted.collect()),
        records: fetched.records,
    }
}
