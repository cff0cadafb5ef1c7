//! What stays of a batch. Pure: it is shown headers and keys, and says what to keep.

use super::transactions::{MarkerUse, Transactions};
use super::{LastOfProducer, OffsetMap};
use crate::Offset;
use crate::index::AbortedTxn;
use pelton_record::{BatchHeader, ControlType, Record};
use std::collections::BTreeMap;

/// The time from which the tombstones of the batch, or the marker that it is, may go, in milliseconds.
pub(super) fn delete_horizon_ms(header: &BatchHeader) -> Option<i64> {
    header.attributes.has_delete_horizon().then_some(header.base_timestamp)
}

/// The header with a delete horizon: its records' timestamps must be encoded relative to it.
pub(super) fn with_delete_horizon(header: BatchHeader, horizon_ms: i64) -> BatchHeader {
    BatchHeader { attributes: header.attributes.with_delete_horizon(true), base_timestamp: horizon_ms, ..header }
}

/// What is to be done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// A marker that stays; it gets a delete horizon when `begins_horizon`.
    KeepMarker {
        /// Nothing is left that it decides, and it has no delete horizon yet.
        begins_horizon: bool,
    },
    /// All of its records go, and it too, unless `keep_header`.
    Drop {
        /// It is the last of its producer.
        keep_header: bool,
    },
    /// Each record is asked for ([`Filter::keeps`]); where none stays the batch goes, unless `keep_header`.
    Filter {
        /// It is the last of its producer.
        keep_header: bool,
    },
}

/// Decides, batch by batch, in the order of the log.
#[derive(Debug)]
pub(super) struct Filter<'m> {
    map: &'m OffsetMap,
    /// Records from here on are not in the map, and stay.
    mapped_end: Offset,
    producers: BTreeMap<i64, LastOfProducer>,
    /// Newest markers of the dirty part, of producers without sequences.
    last_markers: BTreeMap<i64, Offset>,
    transactions: Transactions,
    now_ms: i64,
}

impl<'m> Filter<'m> {
    pub fn new(
        map: &'m OffsetMap,
        mapped_end: Offset,
        producers: BTreeMap<i64, LastOfProducer>,
        last_markers: BTreeMap<i64, Offset>,
        aborted: Vec<AbortedTxn>,
        now_ms: i64,
    ) -> Self {
        Self { map, mapped_end, producers, last_markers, transactions: Transactions::new(aborted), now_ms }
    }

    /// What becomes of a batch of records.
    pub fn on_data(&mut self, header: &BatchHeader) -> Fate {
        let keep_header = self.is_last_of_producer(header);
        if self.transactions.on_data(header) {
            // A transaction that is decided as aborted has no readers, in the map or not.
            return Fate::Drop { keep_header };
        }
        Fate::Filter { keep_header }
    }

    /// What becomes of a marker, and what it decides.
    pub fn on_marker(&mut self, header: &BatchHeader, control: Option<ControlType>) -> (Fate, MarkerUse) {
        let used = self.transactions.on_marker(header, control);
        let horizon = delete_horizon_ms(header);
        let expired = horizon.is_some_and(|horizon| horizon <= self.now_ms);
        let fate = if !used.decides && expired && !self.is_last_of_producer(header) {
            Fate::Drop { keep_header: false }
        } else {
            Fate::KeepMarker { begins_horizon: !used.decides && horizon.is_none() }
        };
        (fate, used)
    }

    /// Whether a record of a batch with [`Fate::Filter`] stays.
    pub fn keeps(&self, header: &BatchHeader, record: &Record<'_>) -> bool {
        let offset = record.offset(header);
        if offset >= self.mapped_end {
            return true;
        }
        // Without a key nothing can supersede it and nobody can ask for it: it has no place in a compacted log.
        let Some(key) = record.key else { return false };
        if self.map.get(key).is_some_and(|last| offset < last) {
            return false;
        }
        record.value.is_some() || delete_horizon_ms(header).is_none_or(|horizon| self.now_ms < horizon)
    }

    /// Whether everything that the batch supersedes goes in this compaction, or went before.
    pub fn has_indexed(&self, header: &BatchHeader) -> bool {
        header.next_offset() <= self.mapped_end
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let Some(last) = header.has_producer_id().then(|| self.producers.get(&header.producer_id)).flatten() else {
            return false;
        };
        match last.last_data_offset {
            Some(offset) => header.last_offset() == offset,
            None => {
                header.attributes.is_control()
                    && header.producer_epoch == last.producer_epoch
                    && self.last_markers.get(&header.producer_id).is_none_or(|newest| header.last_offset() >= *newest)
            }
        }
    }
}
