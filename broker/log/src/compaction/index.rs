//! The first pass: the last offset of each key of the dirty part, and the newest markers.

use super::run::{SourceSegment, damaged, each_batch};
use super::transactions::Transactions;
use super::{CompactionError, LastOfProducer, OffsetMap, Pace};
use crate::disk::Disk;
use crate::index::AbortedTxn;
use crate::{LogError, Offset};
use pelton_record::{BatchView, ControlType, parse_control, uncompressed_batch};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What the first pass found.
#[derive(Debug)]
pub(super) struct Indexed {
    pub map: OffsetMap,
    /// Every record from the first dirty offset up to here is in the map: the map was full, or all was read.
    pub end: Offset,
    /// Offset of the newest marker of each producer that has no sequences.
    pub last_markers: BTreeMap<i64, Offset>,
}

/// Reads the dirty part.
pub(super) struct Indexing<'a> {
    pub first_dirty: Offset,
    pub producers: &'a BTreeMap<i64, LastOfProducer>,
    pub decompress_max_bytes: usize,
    pub transactions: Transactions,
    pub found: Indexed,
}

impl<'a> Indexing<'a> {
    pub fn new(
        first_dirty: Offset,
        map: OffsetMap,
        producers: &'a BTreeMap<i64, LastOfProducer>,
        aborted: Vec<AbortedTxn>,
        decompress_max_bytes: usize,
    ) -> Self {
        let transactions = Transactions::new(aborted);
        let found = Indexed { map, end: first_dirty, last_markers: BTreeMap::new() };
        Self { first_dirty, producers, decompress_max_bytes, transactions, found }
    }

    /// Takes one segment, in the order of the log. Breaks when the map is full.
    pub fn read<D: Disk>(
        &mut self,
        segment: &SourceSegment<D>,
        pace: &mut dyn Pace,
    ) -> Result<ControlFlow<()>, CompactionError> {
        let flow = each_batch(segment, pace, |position, batch| {
            let header = *batch.header();
            if header.attributes.is_control() {
                self.take_marker(segment, position, batch)?;
            } else if !self.transactions.on_data(&header)
                && header.next_offset() > self.first_dirty
                && !self.take_records(segment, position, batch)?
            {
                return Ok(ControlFlow::Break(()));
            }
            self.found.end = self.found.end.max(header.next_offset());
            Ok(ControlFlow::Continue(()))
        })?;
        if flow.is_continue() {
            self.found.end = self.found.end.max(segment.info.end_offset);
        }
        Ok(flow)
    }

    fn take_marker<D: Disk>(
        &mut self,
        segment: &SourceSegment<D>,
        position: u64,
        batch: &BatchView<'_>,
    ) -> Result<(), LogError> {
        let header = batch.header();
        let used = self.transactions.on_marker(header, control_of(batch));
        if used.contradicts {
            return Err(damaged(segment, position, UNKNOWN_ABORT.to_owned()));
        }
        let without_data = self.producers.get(&header.producer_id).is_some_and(|last| last.last_data_offset.is_none());
        if without_data {
            self.found.last_markers.insert(header.producer_id, header.last_offset());
        }
        Ok(())
    }

    /// `false` when the map is full: then its end is the first record that is not in it.
    fn take_records<D: Disk>(
        &mut self,
        segment: &SourceSegment<D>,
        position: u64,
        batch: &BatchView<'_>,
    ) -> Result<bool, LogError> {
        if batch.header().record_count == 0 {
            return Ok(true);
        }
        let bad = |reason: String| damaged(segment, position, reason);
        let plain = uncompressed_batch(batch, self.decompress_max_bytes).map_err(|error| bad(error.to_string()))?;
        let plain = BatchView::parse(&plain).map_err(|error| bad(error.to_string()))?;
        for record in plain.records().map_err(|error| bad(error.to_string()))? {
            let record = record.map_err(|error| bad(error.to_string()))?;
            let offset = record.offset(batch.header());
            if offset < self.first_dirty {
                continue;
            }
            if let Some(key) = record.key
                && !self.found.map.put(key, offset)
            {
                self.found.end = self.found.end.max(offset);
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Compacting would keep what was aborted and take away what was not.
pub(super) const UNKNOWN_ABORT: &str = "this marker aborts a transaction that the index of aborted ones does not hold";

/// What a marker says; nothing when it cannot be read.
pub(super) fn control_of(batch: &BatchView<'_>) -> Option<ControlType> {
    parse_control(batch).ok().map(|(control, _)| control)
}
