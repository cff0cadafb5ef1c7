//! The four offsets that say what of a partition may be read, and by whom.

use super::{Isolation, Offset};

/// log start offset <= last stable offset <= high watermark <= log end offset, always.
///
/// The high watermark is the minimum log end offset over the in-sync replicas, and never past what
/// is durable: a reader is shown no record that a power cut could replace with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// First offset that is still kept.
    pub log_start: Offset,
    /// First offset of the earliest open transaction, or the high watermark where none is open.
    pub last_stable: Offset,
    /// One past the last record that is committed.
    pub high_watermark: Offset,
    /// One past the last record that is written.
    pub log_end: Offset,
}

impl Watermarks {
    /// A log that begins and ends at `offset`.
    pub fn empty_at(offset: Offset) -> Self {
        Self { log_start: offset, last_stable: offset, high_watermark: offset, log_end: offset }
    }

    /// Panics when the order of the four is broken: going on would show a reader what it must not see.
    pub fn check(&self) {
        assert!(
            self.log_start <= self.last_stable
                && self.last_stable <= self.high_watermark
                && self.high_watermark <= self.log_end,
            "watermarks out of order: {self:?}"
        );
    }

    /// One past the last offset that a reader with this isolation may see.
    pub fn readable_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark,
            Isolation::ReadCommitted => self.last_stable,
        }
    }
}
