//! Identities and units, as newtypes where two could be confused.

use std::fmt;
use std::sync::Arc;

/// Position of a record in a partition. `-1` on the wire means "none"; here that is an `Option`.
pub type Offset = i64;

/// Milliseconds since the Unix epoch, given by the shell; machines never read a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant `ms` milliseconds after this one (saturating).
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Number of the reign of a partition's leader; grows by one with every new leader (KIP-101).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeaderEpoch(pub i32);

/// Identity of an idempotent or transactional producer (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

/// Reign of one producer under its [`ProducerId`]; a higher epoch fences the lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(pub i16);

/// Identity of one creation of a topic: a recreated topic has another (KIP-516).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u128);

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Identity that the coordinator gave to a member of a group.
pub type MemberId = Arc<str>;

/// One partition of one topic, by name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition index, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which records a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything below the high watermark.
    ReadUncommitted,
    /// Only what lies below the last stable offset; aborted records are named so that the reader drops them.
    ReadCommitted,
}

/// One machine of the broker: the address of an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartId {
    /// The log of one partition.
    Partition(TopicPartition),
    /// The groups whose id hashes to this partition of `__consumer_offsets`.
    Group(i32),
    /// The transactional ids that hash to this partition of `__transaction_state`.
    Transaction(i32),
    /// Topics, configs, producer-id blocks, plugins and jobs.
    Cluster,
}

impl PartId {
    /// The partition whose log backs this part. A coordinator lives on the thread that owns its log.
    pub fn log(&self) -> TopicPartition {
        match self {
            Self::Partition(partition) => partition.clone(),
            Self::Group(index) => TopicPartition::new(super::OFFSETS_TOPIC, *index),
            Self::Transaction(index) => TopicPartition::new(super::TRANSACTIONS_TOPIC, *index),
            Self::Cluster => TopicPartition::new(super::METADATA_TOPIC, 0),
        }
    }
}

/// Names one waiting answer; the shell gives it and gets it back with the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);
