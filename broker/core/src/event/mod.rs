//! What a machine may be told. One event for a request or a batch, never for a record.

mod cluster;
mod group;
mod partition;
mod stored;
mod transaction;

pub use cluster::{ClusterReply, ClusterRequest, MorePartitions, NewTopic, TopicRefusal};
pub use group::{
    CommitOffset, CommittedOffset, DescribedGroup, DescribedMember, GroupReply, GroupRequest, GroupState, JoinGroup,
    JoinedGroup, JoinedMember, LeaveResult, LeavingMember, ListedGroup, OffsetCommit, SyncGroup, SyncedGroup,
    TransactionalOffsetCommit,
};
pub use partition::{
    AbortedTransaction, Acks, AppendOrigin, Appended, Fetched, IncomingBatch, Marker, OffsetLookup, PartitionReply,
    PartitionRequest, ProducedBatch, ProducerState, RecoveredBatch, RecoveredLog,
};
pub use stored::{Records, StoredRecords};
pub use transaction::{
    DescribedTransaction, InitializedProducer, ListedTransaction, TransactionFilter, TransactionReply,
    TransactionRequest, TransactionResult, TransactionState,
};

use crate::model::{PartId, Token};
use crate::refusal::Refusal;

/// An event on its way to a part.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Whom it is for.
    pub to: PartId,
    /// What happened.
    pub event: Event,
}

/// Who waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyTo {
    /// The shell: a client's request, under the token that the shell gave.
    Shell(Token),
    /// Another part, which gets the answer as [`Event::Answer`] with its own number for the question.
    Part(PartId, u64),
    /// Nobody.
    Nobody,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Somebody asks this part for something.
    Ask {
        /// Where the answer goes.
        reply_to: ReplyTo,
        /// What is asked.
        request: Request,
    },
    /// The answer to a question that this part asked another, under the number it gave.
    Answer {
        /// The number that the asking part gave.
        question: u64,
        /// The answer.
        reply: Reply,
    },
    /// The shell made everything below `through` durable (group commit).
    Flushed {
        /// One past the last durable offset.
        through: crate::model::Offset,
    },
    /// The shell could not write or sync the log of this partition: it is fenced, never retried.
    StorageFailed {
        /// What the operating system said.
        message: String,
    },
    /// The medium had no room for what was to be written: the log is as it was before, and what was decided beyond its
    /// end is taken back. The next write is tried again. Told before anything else is asked of the partition.
    NoRoom {
        /// Where the log ends.
        log_end: crate::model::Offset,
        /// What the operating system said.
        message: String,
    },
    /// The shell deleted whole segments of this partition's log (retention): nothing below `log_start` is
    /// kept any more. It never deletes past the high watermark.
    Trimmed {
        /// First offset kept.
        log_start: crate::model::Offset,
    },
    /// The backing log of a coordinator or of the cluster image, batch by batch from its start, in
    /// uncompressed v2 encoding, transactional and control batches included. Sent before anything is asked.
    Replay {
        /// Whole record batches.
        batches: Vec<bytes::Bytes>,
    },
    /// The backing log has been replayed to its end; the coordinator may answer now.
    Loaded,
    /// The client's connection is gone or it stopped waiting: forget its waiting answer.
    Cancelled(Token),
    /// Time has passed; sent no later than the deadline that the part asked for.
    Tick,
}

/// What a part may be asked.
#[derive(Debug, Clone)]
pub enum Request {
    /// For [`PartId::Partition`].
    Partition(PartitionRequest),
    /// For [`PartId::Group`].
    Group(GroupRequest),
    /// For [`PartId::Transaction`].
    Transaction(TransactionRequest),
    /// For [`PartId::Cluster`].
    Cluster(ClusterRequest),
}

/// What a part answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// From a partition.
    Partition(Result<PartitionReply, Refusal>),
    /// From a group coordinator.
    Group(Result<GroupReply, Refusal>),
    /// From a transaction coordinator.
    Transaction(Result<TransactionReply, Refusal>),
    /// From the cluster image.
    Cluster(Result<ClusterReply, Refusal>),
}
