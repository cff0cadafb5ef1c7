//! What a transaction coordinator may be asked, and its answers (KIP-98, KIP-890 part 1).

use crate::model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A question to the coordinator of a transactional id.
#[derive(Debug, Clone)]
pub enum TransactionRequest {
    /// InitProducerId with a transactional id: fences older instances, ends what they left open. Answer:
    /// [`TransactionReply::Initialized`]. (Without a transactional id the shell asks the cluster part.)
    InitProducer {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// How long a transaction may stay open before the coordinator aborts it.
        timeout_ms: i32,
        /// What the producer believes that it is (KIP-360); `None` for a new instance.
        current: Option<(ProducerId, ProducerEpoch)>,
    },
    /// AddPartitionsToTxn. Answer: [`TransactionReply::Done`], when durable.
    AddPartitions {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// The partitions to enlist.
        partitions: Vec<TopicPartition>,
    },
    /// AddOffsetsToTxn: enlists the group's partition of `__consumer_offsets`. Answer: [`TransactionReply::Done`].
    AddOffsets {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// The partition of `__consumer_offsets` that holds the group.
        offsets_partition: TopicPartition,
    },
    /// From a partition: is it enlisted in this producer's open transaction? Answer:
    /// [`TransactionReply::Done`], or the refusal.
    Verify {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// The partition that asks.
        partition: TopicPartition,
    },
    /// AddPartitionsToTxn that only verifies (v4-5): which of the partitions are enlisted in this producer's open
    /// transaction? Answer: [`TransactionReply::Verified`].
    VerifyAll {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// The partitions in question.
        partitions: Vec<TopicPartition>,
    },
    /// EndTxn. Answer: [`TransactionReply::Ended`], when the decision is durable; the markers follow.
    End {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// Commit or abort.
        result: TransactionResult,
    },
    /// DescribeTransactions. Answer: [`TransactionReply::Described`].
    Describe {
        /// The transactional id.
        transactional_id: Arc<str>,
    },
    /// ListTransactions: the ids of this coordinator. Answer: [`TransactionReply::Listed`].
    List(Arc<TransactionFilter>),
}

/// Which transactional ids a listing names: those that pass all of it.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    /// In one of these states; empty for any.
    pub states: BTreeSet<TransactionState>,
    /// Of one of these producers; empty for any.
    pub producer_ids: BTreeSet<ProducerId>,
    /// With a transaction that has been open for longer than this, in milliseconds.
    pub longer_than_ms: Option<i64>,
}

/// Where a transactional id stands, in Kafka's words (`TransactionState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransactionState {
    /// Initialized; no transaction since.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// It commits; markers are on their way.
    PrepareCommit,
    /// It aborts; markers are on their way.
    PrepareAbort,
    /// The last one has committed.
    CompleteCommit,
    /// The last one was aborted.
    CompleteAbort,
}

impl TransactionState {
    const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// As Kafka writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// One transactional id, as DescribeTransactions shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTransaction {
    /// Where it stands.
    pub state: TransactionState,
    /// Its producer.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// How long a transaction may stay open, in milliseconds.
    pub timeout_ms: i32,
    /// When the open transaction began.
    pub started: Option<Timestamp>,
    /// Enlisted in the open transaction, in order.
    pub partitions: Vec<TopicPartition>,
}

/// One transactional id of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTransaction {
    /// The transactional id.
    pub transactional_id: Arc<str>,
    /// Its producer.
    pub producer_id: ProducerId,
    /// Where it stands.
    pub state: TransactionState,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionResult {
    /// All of it becomes visible.
    Commit,
    /// None of it does.
    Abort,
}

/// Identity of a producer that may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitializedProducer {
    /// Its id.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
}

/// An answer of a transaction coordinator.
#[derive(Debug, Clone)]
pub enum TransactionReply {
    /// The producer may begin.
    Initialized(InitializedProducer),
    /// It is done, and durable.
    Done,
    /// Of each partition that was asked about, in that order, whether it is enlisted.
    Verified(Vec<bool>),
    /// The transaction is decided.
    Ended(InitializedProducer),
    /// One transactional id.
    Described(DescribedTransaction),
    /// Transactional ids of this coordinator, in order.
    Listed(Vec<ListedTransaction>),
}
