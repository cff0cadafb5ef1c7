//! What a partition may be asked, and its answers.

use super::Records;
use crate::model::{Isolation, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, Watermarks};
use bytes::Bytes;
use pelton_record::BatchHeader;

/// When a producer wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Never. (The answer is still given to the shell, which drops it.)
    None,
    /// When the leader has written the batch.
    Leader,
    /// When the batch is below the high watermark: on enough replicas and durable.
    All,
}

/// Who appends, and thus what must hold before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client or a job. A transactional batch needs its partition enlisted in the open transaction.
    Client,
    /// A client's batch that interceptors have changed: as for [`AppendOrigin::Client`], but it may hold fewer records
    /// than its offsets say, even none, as after compaction. Whoever says so has checked the batch that the client sent.
    Intercepted,
    /// A coordinator of this broker, to its own log or (group coordinators) with transactional offsets,
    /// which the transaction coordinator enlisted before.
    Coordinator,
}

/// One batch to append: checked for length, magic and CRC by the shell, not yet given an offset.
#[derive(Debug, Clone)]
pub struct IncomingBatch {
    /// Its header as it is to be kept; offset and leader epoch are not assigned yet.
    pub header: BatchHeader,
    /// The whole batch. Where the broker has changed the header (timestamps, CRC), the one in here is the older.
    pub bytes: Bytes,
}

/// Decision that ends a transaction in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The transaction's producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// Epoch of the coordinator that decided; lower ones are refused.
    pub coordinator_epoch: i32,
    /// `true` commits, `false` aborts.
    pub commit: bool,
    /// The version of the transaction (`transaction.version`). From 2 on every transaction has an epoch of its own
    /// (KIP-890), and what ends it the next one: the epoch must be past the producer's (KIP-1228).
    pub transaction_version: i8,
}

/// A question to a partition.
#[derive(Debug, Clone)]
pub enum PartitionRequest {
    /// Append batches (Produce). Answer: [`PartitionReply::Appended`].
    Append {
        /// In order; all or none are written.
        batches: Vec<IncomingBatch>,
        /// When to answer.
        acks: Acks,
        /// Who appends.
        origin: AppendOrigin,
        /// Of a transactional client batch: its transactional id, so that the coordinator can be asked
        /// whether the partition is enlisted.
        transactional_id: Option<std::sync::Arc<str>>,
    },
    /// Write the marker of a decided transaction. Answer: [`PartitionReply::Appended`] when it is committed.
    WriteMarker(Marker),
    /// Read what is there now. Answer: [`PartitionReply::Fetched`].
    Fetch {
        /// First offset wanted.
        offset: Offset,
        /// The reader's view of the leader epoch, checked when given (KIP-320).
        current_leader_epoch: Option<LeaderEpoch>,
        /// Whole batches up to this size; the first is given even when it is larger (KIP-74).
        max_bytes: usize,
        /// What the reader may see.
        isolation: Isolation,
    },
    /// Answer ([`PartitionReply::Readable`]) as soon as something at or past `offset` is readable; at once
    /// if it is. The shell cancels with [`super::Event::Cancelled`] when its deadline passes.
    Watch {
        /// The first offset that the reader has not seen.
        offset: Offset,
        /// What the reader may see.
        isolation: Isolation,
    },
    /// Find an offset (ListOffsets). Answer: [`PartitionReply::Located`].
    Locate {
        /// What to look for.
        lookup: OffsetLookup,
        /// What the reader may see.
        isolation: Isolation,
        /// The reader's view of the leader epoch, checked when given.
        current_leader_epoch: Option<LeaderEpoch>,
    },
    /// The watermarks. Answer: [`PartitionReply::Described`].
    Describe,
    /// What is remembered of the producers (DescribeProducers). Answer: [`PartitionReply::Producers`].
    DescribeProducers,
    /// The watermarks, as soon as every append that was asked for before this is decided (written and durable, or
    /// refused). Answer: [`PartitionReply::Described`], whose log end no earlier append will pass and no power cut will
    /// take back. The asker holds back later appends.
    Settle,
    /// Delete records (DeleteRecords). Answer: [`PartitionReply::RecordsDeleted`] when that is durable.
    DeleteRecords {
        /// First offset to keep; `None` is the high watermark.
        before: Option<Offset>,
    },
}

/// What ListOffsets looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetLookup {
    /// The log start offset (timestamp -2).
    Earliest,
    /// The readable end (timestamp -1).
    Latest,
    /// The record with the largest timestamp (-3, KIP-734).
    MaxTimestamp,
    /// The first record whose timestamp is at least this.
    AtOrAfter(Timestamp),
    /// One past the last record of the largest leader epoch that is not above this one (OffsetForLeaderEpoch, KIP-279).
    /// Nothing where the log knows no epoch that high.
    EpochEnd(LeaderEpoch),
}

/// An answer of a partition.
#[derive(Debug, Clone)]
pub enum PartitionReply {
    /// Batches were appended (or were duplicates of what was).
    Appended(Appended),
    /// What was read.
    Fetched(Fetched),
    /// Something is readable.
    Readable,
    /// The offset that was looked for.
    Located {
        /// The offset and the timestamp of its record, or nothing where no record matches.
        found: Option<(Offset, Option<Timestamp>)>,
        /// The partition's leader epoch; for [`OffsetLookup::EpochEnd`] the epoch whose end was found.
        leader_epoch: LeaderEpoch,
    },
    /// Its producers, the longest silent first.
    Producers(Vec<ProducerState>),
    /// Records were deleted, or there were none to delete.
    RecordsDeleted {
        /// First offset that is kept.
        low_watermark: Offset,
    },
    /// The watermarks.
    Described {
        /// The four offsets.
        watermarks: Watermarks,
        /// The partition's leader epoch.
        leader_epoch: LeaderEpoch,
    },
}

/// Where batches were appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// First offset that is kept.
    pub log_start: Offset,
}

/// What was read from a partition.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Whole record batches as stored; empty when nothing is readable yet.
    pub records: Records,
    /// The four offsets at the time of the read.
    pub watermarks: Watermarks,
    /// The partition's leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// For read_committed: the aborted transactions that overlap `records`, ordered by first offset.
    pub aborted: Vec<AbortedTransaction>,
}

/// A transaction that was aborted, as far as one partition is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Its producer.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of its abort marker.
    pub last_offset: Offset,
}

/// What the shell found in the log of a partition when it opened it. The batches follow in the order
/// of their offsets, so that the machine can rebuild its producers and open transactions.
#[derive(Debug, Clone, Default)]
pub struct RecoveredLog {
    /// First offset kept.
    pub log_start: Offset,
    /// One past the last record; all of it is durable now.
    pub log_end: Offset,
    /// The leader epoch to reign under.
    pub leader_epoch: i32,
    /// The producers as they stood before the first of `batches`, the longest silent first.
    pub producers: Vec<ProducerState>,
    /// The batches of the log that `producers` does not know of, in order.
    pub batches: Vec<RecoveredBatch>,
}

/// What a partition remembers of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerState {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Epoch of the coordinator that wrote its last marker; `None` before the first.
    pub coordinator_epoch: Option<i32>,
    /// First offset of the transaction that is open.
    pub open_since: Option<Offset>,
    /// Its last batches in this epoch, the newest last.
    pub batches: Vec<ProducedBatch>,
}

/// One batch of a producer, by its sequences and offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducedBatch {
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// How many offsets, and sequences, the first record lies before the last.
    pub offset_delta: i32,
    /// Its largest timestamp, in milliseconds.
    pub timestamp: i64,
}

/// One batch that was found in the log.
#[derive(Debug, Clone)]
pub struct RecoveredBatch {
    /// Its header.
    pub header: BatchHeader,
    /// Of a control batch: whether it commits, and the coordinator's epoch.
    pub control: Option<(bool, i32)>,
}
