//! What the coordinator knows of one transactional id, and the steps it may take. Every step is a new value that is
//! written to the log first; nothing here is changed in place.
//!
//! ```text
//! Empty --> Ongoing --> PrepareCommit --> CompleteCommit --+--> Ongoing
//!   ^          |                                           |
//!   |          +------> PrepareAbort  --> CompleteAbort  --+--> Empty (InitProducerId)
//! ```

use crate::event::TransactionResult;
use crate::model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use std::collections::BTreeSet;

/// Where a transactional id stands. The numbers are Kafka's status bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    /// Initialized; no transaction since.
    Empty = 0,
    /// A transaction is open.
    Ongoing = 1,
    /// Decided: it commits. The markers are on their way.
    PrepareCommit = 2,
    /// Decided: it aborts. The markers are on their way.
    PrepareAbort = 3,
    /// The last transaction committed and every marker is written.
    CompleteCommit = 4,
    /// The last transaction aborted and every marker is written.
    CompleteAbort = 5,
}

impl Status {
    /// The status of a byte of Kafka's, if it is one that is ever stored.
    pub(super) fn from_byte(byte: i8) -> Option<Self> {
        Some(match byte {
            0 => Self::Empty,
            1 => Self::Ongoing,
            2 => Self::PrepareCommit,
            3 => Self::PrepareAbort,
            4 => Self::CompleteCommit,
            5 => Self::CompleteAbort,
            _ => return None,
        })
    }

    /// Whether a decision is made and its markers may still be missing.
    pub(super) fn is_completing(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}

/// The hard state of one transactional id: what its newest record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) producer_id: ProducerId,
    pub(super) producer_epoch: ProducerEpoch,
    pub(super) timeout_ms: i32,
    pub(super) status: Status,
    /// Enlisted in the open transaction; empty when none is open.
    pub(super) partitions: BTreeSet<TopicPartition>,
    pub(super) updated: Timestamp,
    pub(super) started: Option<Timestamp>,
}

impl Transaction {
    /// A producer that may begin.
    pub(super) fn initialized(now: Timestamp, id: ProducerId, epoch: ProducerEpoch, timeout_ms: i32) -> Self {
        Self {
            producer_id: id,
            producer_epoch: epoch,
            timeout_ms,
            status: Status::Empty,
            partitions: BTreeSet::new(),
            updated: now,
            started: None,
        }
    }

    /// Opens the transaction if none is, and enlists the partitions.
    pub(super) fn enlisted(&self, now: Timestamp, partitions: &[TopicPartition]) -> Self {
        let mut next = self.clone();
        if self.status != Status::Ongoing {
            next.partitions.clear();
            next.started = Some(now);
        }
        next.status = Status::Ongoing;
        next.partitions.extend(partitions.iter().cloned());
        next.updated = now;
        next
    }

    /// Decides the open transaction under `epoch`: the producer's own, or the next where it is fenced as well.
    pub(super) fn decided(&self, now: Timestamp, epoch: ProducerEpoch, result: TransactionResult) -> Self {
        let status = match result {
            TransactionResult::Commit => Status::PrepareCommit,
            TransactionResult::Abort => Status::PrepareAbort,
        };
        Self { status, producer_epoch: epoch, updated: now, ..self.clone() }
    }

    /// Every marker of the decision is written.
    pub(super) fn completed(&self, now: Timestamp) -> Self {
        let status = if self.commits() { Status::CompleteCommit } else { Status::CompleteAbort };
        Self { status, partitions: BTreeSet::new(), updated: now, ..self.clone() }
    }

    /// Whether the decision that was made is to commit.
    pub(super) fn commits(&self) -> bool {
        matches!(self.status, Status::PrepareCommit | Status::CompleteCommit)
    }

    /// No producer is given a higher epoch than this one: the last is kept to fence with.
    pub(super) fn epoch_is_exhausted(&self) -> bool {
        self.producer_epoch.0 >= i16::MAX - 1
    }

    /// The epoch after this one. The largest is never given to a producer, so it has nothing to fence.
    pub(super) fn next_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(self.producer_epoch.0.saturating_add(1))
    }
}
