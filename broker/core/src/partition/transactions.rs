//! Which transactions hold the last stable offset back.
//!
//! A transaction does so from its first record until its marker is below the high watermark: a marker that
//! a power cut could still take away has decided nothing yet.

use crate::model::Offset;
use std::collections::{BTreeMap, BTreeSet};

/// The transactions of one partition that are not over.
#[derive(Debug, Default)]
pub struct OpenTransactions {
    /// First offsets of those without a marker.
    undecided: BTreeSet<Offset>,
    /// Those whose marker is written and not yet committed: first offset and offset of the marker.
    uncommitted: BTreeMap<Offset, Offset>,
}

impl OpenTransactions {
    /// A transaction began at `first`.
    pub fn begun(&mut self, first: Offset) {
        self.undecided.insert(first);
    }

    /// The marker of the transaction that began at `first` was written at `marker`.
    pub fn decided(&mut self, first: Offset, marker: Offset) {
        self.undecided.remove(&first);
        self.uncommitted.insert(first, marker);
    }

    /// The record at `first` was not written after all.
    pub fn not_begun(&mut self, first: Offset) {
        self.undecided.remove(&first);
    }

    /// The marker of the transaction that began at `first` was not written after all.
    pub fn not_decided(&mut self, first: Offset) {
        self.uncommitted.remove(&first);
        self.undecided.insert(first);
    }

    /// Everything below `high_watermark` is committed. Gives the last stable offset.
    pub fn committed(&mut self, high_watermark: Offset) -> Offset {
        self.uncommitted.retain(|_, marker| *marker >= high_watermark);
        let undecided = self.undecided.first().copied();
        let uncommitted = self.uncommitted.first_key_value().map(|(first, _)| *first);
        undecided.into_iter().chain(uncommitted).fold(high_watermark, Offset::min)
    }

    /// The last stable offset once the marker at `marker` is committed, for the index of aborted transactions.
    pub fn stable_after(&self, marker: Offset) -> Offset {
        self.undecided.first().map_or(marker + 1, |first| (*first).min(marker + 1))
    }
}
