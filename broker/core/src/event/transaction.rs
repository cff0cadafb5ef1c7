//! What a transaction coordinator may be asked, and its answers (KIP-98, KIP-890 part 1).

use crate::model::{ProducerEpoch, ProducerId, TopicPartition};
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
    /// AddPartitionsToTxn (v0-3). Answer: [`TransactionReply::Done`], when durable.
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
    /// The transaction is decided.
    Ended(InitializedProducer),
}
