//! Where the two sides meet: what the runtime needs, made of what the broker and the engine give.
//!
//! The jobs' ports ([`cluster`], [`reader`], [`writer`]) ask the broker's parts in process, through the same
//! door as the protocol's handlers, so that a job keeps exactly the rules that a client keeps: transactions,
//! fencing, read_committed. [`plugins`] joins the registry and the engine, [`hooks`] gives the chains what they need,
//! [`jobs`] makes jobs outlive the process, and [`platform`] is what the admin HTTP asks about plugins.
//!
//! Not here: any decision about records, offsets or state. An adapter translates, retries what is passing
//! (bounded in time), and names what is not.

pub mod attachments;
pub mod cluster;
pub mod hooks;
pub mod jobs;
pub mod platform;
pub mod plugin_log;
pub mod plugins;
mod reader;
pub mod stores;
pub mod uses;
mod writer;

use pelton_api::ports::PortError;
use pelton_core::event::{
    ClusterReply, ClusterRequest, GroupReply, GroupRequest, PartitionReply, PartitionRequest, Reply, Request,
    TransactionReply, TransactionRequest,
};
use pelton_core::model::{OFFSETS_TOPIC, PartId, TRANSACTIONS_TOPIC, TopicId, TopicPartition};
use pelton_core::refusal::Refusal;
use pelton_server::Broker;
use std::time::Duration;

/// How long an adapter goes on asking while the refusal is passing.
const PATIENCE: Duration = Duration::from_secs(30);

async fn ask_partition(
    broker: &Broker,
    partition: &TopicPartition,
    request: PartitionRequest,
) -> Result<PartitionReply, Refusal> {
    match broker.ask(PartId::Partition(partition.clone()), Request::Partition(request)).await {
        Reply::Partition(answer) => answer,
        other => Err(strange(&other)),
    }
}

async fn ask_group(broker: &Broker, index: i32, request: GroupRequest) -> Result<GroupReply, Refusal> {
    match broker.ask(PartId::Group(index), Request::Group(request)).await {
        Reply::Group(answer) => answer,
        other => Err(strange(&other)),
    }
}

async fn ask_transaction(
    broker: &Broker,
    index: i32,
    request: TransactionRequest,
) -> Result<TransactionReply, Refusal> {
    match broker.ask(PartId::Transaction(index), Request::Transaction(request)).await {
        Reply::Transaction(answer) => answer,
        other => Err(strange(&other)),
    }
}

async fn ask_cluster(broker: &Broker, request: ClusterRequest) -> Result<ClusterReply, Refusal> {
    match broker.ask(PartId::Cluster, Request::Cluster(request)).await {
        Reply::Cluster(answer) => answer,
        other => Err(strange(&other)),
    }
}

fn strange(answer: &impl std::fmt::Debug) -> Refusal {
    Refusal::InvalidRequest(format!("a part of the broker gave an answer of another kind: {answer:?}"))
}

/// The note that goes with a committed offset: which creation of the topic it counts in. An offset of a topic that
/// was deleted means nothing in the one that was made anew under its name.
fn offset_note(topic: TopicId) -> String {
    format!("topic={:032x}", topic.0)
}

/// The partition of `__consumer_offsets` that coordinates `group`; makes the topic when it is not there yet.
async fn group_coordinator(broker: &Broker, group: &str) -> Result<i32, Refusal> {
    coordinator(broker, OFFSETS_TOPIC, group).await
}

/// The partition of `__transaction_state` that coordinates `transactional_id`; makes the topic likewise.
async fn transaction_coordinator(broker: &Broker, transactional_id: &str) -> Result<i32, Refusal> {
    coordinator(broker, TRANSACTIONS_TOPIC, transactional_id).await
}

async fn coordinator(broker: &Broker, topic: &str, id: &str) -> Result<i32, Refusal> {
    broker.ensure_internal_topic(topic).await?;
    match broker.image().topic(topic) {
        Some(found) => Ok(pelton_core::coordinator::partition_for(id, found.partitions)),
        None => Err(Refusal::CoordinatorNotAvailable),
    }
}

/// Whether the same question may get another answer in a moment.
fn is_passing(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::ConcurrentTransactions
            | Refusal::CoordinatorLoadInProgress
            | Refusal::CoordinatorNotAvailable
            | Refusal::NotCoordinator
            | Refusal::UnstableOffsetCommit
    )
}

/// A refusal in the words of the ports.
fn port_error(what: &str, refusal: &Refusal) -> PortError {
    let text = format!("{what}: {refusal}");
    match refusal {
        Refusal::ProducerFenced
        | Refusal::InvalidProducerEpoch
        | Refusal::InvalidProducerIdMapping
        | Refusal::TransactionCoordinatorFenced => PortError::Fenced(text),
        Refusal::UnknownTopicOrPartition | Refusal::UnknownTopicId => PortError::Unknown(what.to_owned()),
        Refusal::CorruptMessage(_)
        | Refusal::InvalidRecord(_)
        | Refusal::InvalidTimestamp(_)
        | Refusal::RecordTooLarge
        | Refusal::UnsupportedFormat
        | Refusal::InvalidTransactionTimeout
        | Refusal::InvalidGroupId
        | Refusal::InvalidTopicName(_)
        | Refusal::InvalidPartitions(_)
        | Refusal::InvalidReplicationFactor(_)
        | Refusal::InvalidReplicaAssignment(_)
        | Refusal::InvalidConfig(_)
        | Refusal::InvalidRequest(_)
        | Refusal::PolicyViolation(_) => PortError::Fatal(text),
        _ => PortError::Retriable(text),
    }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What is read or counted belongs to a topic that is no more; a new beginning finds the one that there is.
fn made_anew(topic: &str) -> PortError {
    PortError::Retriable(format!("the topic {topic} was deleted and made anew"))
}

/// Pauses that grow from 2 ms to 200 ms, until `PATIENCE` is spent.
struct Backoff {
    pause: Duration,
    give_up: tokio::time::Instant,
}

impl Backoff {
    fn new() -> Self {
        Self { pause: Duration::from_millis(2), give_up: tokio::time::Instant::now() + PATIENCE }
    }

    /// Waits a little; `false` when the patience is spent.
    async fn wait(&mut self) -> bool {
        if tokio::time::Instant::now() + self.pause > self.give_up {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(200));
        true
    }
}

/// Asks until the answer is not a passing refusal, or the patience is spent.
async fn persistently<T, F>(mut question: impl FnMut() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>>,
{
    let mut backoff = Backoff::new();
    loop {
        match question().await {
            Err(refusal) if is_passing(&refusal) => {
                if !backoff.wait().await {
                    return Err(refusal);
                }
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests;
