//! Compaction: of the records of one key only the last stays (`cleanup.policy=compact`).
//!
//! What this room does: [`plan`] says which part of a log may be compacted, whether it is worth it, and which
//! segments become one; an [`OffsetMap`] of bounded size takes the last offset of each key of the dirty part;
//! [`Compaction`] writes new segments beside the old ones, which [`crate::Log::replace`] then puts in their place.
//! It follows Kafka's `LogCleaner`: records of aborted transactions go, tombstones and markers stay until their delete
//! horizon (KIP-534) has passed, a marker stays as long as a batch that it decides, and the last batch of each
//! producer stays, if only as a header.
//!
//! What it does not do: it has no thread and no clock, and it decides nothing about watermarks. Whoever runs it names
//! the time and the producers, and may slow it down or stop it ([`Pace`]).
//!
//! Invariants:
//! - A record that stays keeps its offset, its timestamp and its place in its batch; the header of a batch that stays keeps
//!   its offsets, sequences and producer.
//! - A new segment begins and ends at the offsets where those that it replaces did, so a segment that is missing is
//!   still seen. Its last batch therefore stays, if only as a header.
//! - Nothing is taken away before everything that supersedes it is on the medium: segments are replaced from the
//!   oldest to the newest, each one whole or not at all.
//! - The CRC of every batch is checked before it is written anew: damage is never made to look whole.

mod filter;
mod index;
mod offset_map;
pub mod plan;
mod rewrite;
mod run;
mod transactions;

pub use offset_map::OffsetMap;
pub use plan::{CompactionConfig, SealedSegment};
pub(crate) use run::SourceSegment;
pub use run::{CleanedSegment, Compaction, CompactionSource, CompactionStats};

use crate::{LogError, Offset};

/// Where a producer stands: which of its batches must stay so that its sequences and its epoch are not forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastOfProducer {
    /// The producer.
    pub producer_id: i64,
    /// Its newest epoch.
    pub producer_epoch: i16,
    /// Offset of the last record of its newest batch with sequence numbers in that epoch; without one, its
    /// newest marker stays.
    pub last_data_offset: Option<Offset>,
}

/// Slows a compaction down, or stops it.
pub trait Pace {
    /// Called before each read and write of `bytes` bytes; may wait. `false` stops the compaction.
    fn go_on(&mut self, bytes: u64) -> bool;
}

/// Why a compaction did not finish. The log is as whole as it was.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    /// Whoever runs it stopped it.
    #[error("the compaction was stopped")]
    Stopped,
    /// The log cannot be read, or the new segments cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
}

#[cfg(test)]
mod tests;
