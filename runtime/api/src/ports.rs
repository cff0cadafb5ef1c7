//! What a stream job needs of the cluster that it runs beside. The consumer owns the interface: the
//! broker's own adapters live in `broker/node/src/wiring`, and another set may speak to any Kafka cluster.
//!
//! One call moves a batch, never a record, so a boxed future a call costs nothing that shows.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A future that a port gives back.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, PortError>> + Send + 'a>>;

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// Topic name.
    pub topic: String,
    /// Index, from 0.
    pub index: i32,
}

/// Why a port could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Passing: the same call may succeed later.
    #[error("{0}")]
    Retriable(String),
    /// Another instance of the same task has taken over; this one must stop and start anew.
    #[error("another instance of the task has taken over: {0}")]
    Fenced(String),
    /// The offset asked for is no longer (or not yet) in the log.
    #[error("offset {asked} of {topic}-{index} is outside of the log: it holds {start} to {end}")]
    OffsetOutOfRange {
        /// Topic name.
        topic: String,
        /// Partition index.
        index: i32,
        /// The offset asked for.
        asked: i64,
        /// First offset kept.
        start: i64,
        /// One past the last readable offset.
        end: i64,
    },
    /// The topic or partition does not exist.
    #[error("there is no topic partition {0}")]
    Unknown(String),
    /// Anything that no retry mends.
    #[error("{0}")]
    Fatal(String),
}

/// Committed records read from one partition.
#[derive(Debug, Clone, Default)]
pub struct ReadBatches {
    /// Uncompressed v2 record batches in offset order; one that cannot be decompressed is as it was written.
    /// Control batches and batches of aborted or open transactions are not among them. The first may begin
    /// before the offset asked for (the reader skips those records).
    pub batches: Vec<Bytes>,
    /// Where to read next. Grows past what was filtered out, so a reader never stands still before a marker.
    pub next_offset: i64,
    /// The last stable offset at the time of the read.
    pub last_stable_offset: i64,
}

/// Reads one partition, read_committed.
pub trait PartitionReader: Send {
    /// Committed records from `offset` on. Waits up to `max_wait` when there are none yet, and then
    /// answers with no batches.
    fn read<'a>(&'a mut self, offset: i64, max_bytes: usize, max_wait: Duration) -> PortFuture<'a, ReadBatches>;

    /// (log start offset, last stable offset).
    fn bounds<'a>(&'a mut self) -> PortFuture<'a, (i64, i64)>;
}

/// Writes under one transactional id. All that is sent between two commits becomes visible together
/// with the input offsets, or not at all (KIP-98, KIP-447).
pub trait TransactionalWriter: Send {
    /// Fences earlier instances of the same transactional id and completes or aborts what they left
    /// open. Must be called first, and again after [`PortError::Fenced`] or a failed commit.
    fn init<'a>(&'a mut self) -> PortFuture<'a, ()>;

    /// Sends the records of one uncompressed v2 batch to a partition as part of the open transaction
    /// (opened by the first send). Producer fields, offsets and CRC of the batch are overwritten. May
    /// return before the records are written; `commit` waits for them all. The number of sends that
    /// may be outstanding is bounded: past it this call waits.
    fn send<'a>(&'a mut self, to: &'a Partition, batch: Bytes) -> PortFuture<'a, ()>;

    /// Commits what was sent, together with `offsets` of the source partitions for the consumer group
    /// `group`. Answers with the offset after the last record that this transaction wrote to each
    /// partition. With nothing sent and no offsets it does nothing.
    fn commit<'a>(
        &'a mut self,
        group: &'a str,
        offsets: &'a [(Partition, i64)],
    ) -> PortFuture<'a, BTreeMap<Partition, i64>>;

    /// Aborts what was sent since the last commit.
    fn abort<'a>(&'a mut self) -> PortFuture<'a, ()>;
}

/// A topic as a job sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Name.
    pub name: String,
    /// Identity of this creation of the topic, as 32 hexadecimal digits.
    pub id: String,
    /// Number of partitions.
    pub partitions: i32,
    /// The largest record batch that it takes, in bytes (`max.message.bytes`).
    pub max_message_bytes: usize,
}

/// The cluster as a job sees it. Makes the readers and writers of its tasks.
pub trait Cluster: Send + Sync {
    /// The topic of that name, if it exists.
    fn topic<'a>(&'a self, name: &'a str) -> PortFuture<'a, Option<TopicDescription>>;

    /// Creates the topic unless it exists; answers with what exists then. The caller checks the partition count.
    fn ensure_topic<'a>(
        &'a self,
        name: &'a str,
        partitions: i32,
        configs: &'a [(&'a str, &'a str)],
    ) -> PortFuture<'a, TopicDescription>;

    /// The offset that `group` has committed for `source`, transactions decided first: an offset that an
    /// open transaction holds is waited for.
    fn committed_offset<'a>(&'a self, group: &'a str, source: &'a Partition) -> PortFuture<'a, Option<i64>>;

    /// A reader of one partition.
    fn reader(&self, partition: Partition) -> Box<dyn PartitionReader>;

    /// A writer under one transactional id.
    fn writer(&self, transactional_id: &str) -> Box<dyn TransactionalWriter>;
}
