//! Reading: by offset, by timestamp, and the aborted transactions of a range.

use super::Log;
use crate::Offset;
use crate::disk::Disk;
use crate::error::LogError;
use crate::index::AbortedTxn;
use crate::segment::{Extent, Found, Segment};
use bytes::Bytes;
use pelton_record::{BatchView, NO_TIMESTAMP, uncompressed_batch};
use std::ops::ControlFlow;

/// A record that was found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The record's offset.
    pub offset: Offset,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Epoch of the leader that appended it.
    pub leader_epoch: i32,
}

impl<D: Disk> Log<D> {
    /// Whole batches of one segment, from the one that holds `from` (or the next one, where compaction took
    /// it) up to `max_bytes`, none of them reaching `end_exclusive`. With `at_least_one`, a first batch that
    /// is larger than `max_bytes` is given alone (KIP-74). Empty at the end.
    ///
    /// `max_bytes` bounds the memory that this takes, so the caller bounds what a client may ask for.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`], [`LogError::Damaged`], [`LogError::Io`].
    pub fn read(
        &self,
        from: Offset,
        end_exclusive: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Bytes, LogError> {
        match self.slice(from, end_exclusive, max_bytes, at_least_one)? {
            Some(slice) => slice.read(),
            None => Ok(Bytes::new()),
        }
    }

    /// The first record whose timestamp is at least `timestamp` (milliseconds) and whose offset is below
    /// `end_exclusive`: what ListOffsets answers.
    ///
    /// # Errors
    /// [`LogError::Damaged`], [`LogError::Io`].
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
        end_exclusive: Offset,
    ) -> Result<Option<TimestampOffset>, LogError> {
        self.search(timestamp, end_exclusive, |segment, found| self.first_record(segment, found, timestamp))
    }

    /// The first of the records with the largest timestamp of the log, if it is below `end_exclusive`
    /// (ListOffsets with timestamp -3, KIP-734). Where an interceptor took that record out of its batch, whose header
    /// still says its timestamp, it is the newest record that is left of the batch.
    ///
    /// # Errors
    /// [`LogError::Damaged`], [`LogError::Io`].
    pub fn max_timestamp_offset(&self, end_exclusive: Offset) -> Result<Option<TimestampOffset>, LogError> {
        let largest = self.segments.iter().map(|segment| segment.indexer.max_record_timestamp).max();
        let Some(largest) = largest.filter(|largest| *largest > NO_TIMESTAMP) else { return Ok(None) };
        match self.offset_for_timestamp(largest, end_exclusive)? {
            Some(found) => Ok(Some(found)),
            None => self.newest_left(largest, end_exclusive),
        }
    }

    /// The newest record of the first batch that says `timestamp` and has records.
    fn newest_left(&self, timestamp: i64, end_exclusive: Offset) -> Result<Option<TimestampOffset>, LogError> {
        self.search(timestamp, end_exclusive, |segment, found| {
            let mut newest: Option<TimestampOffset> = None;
            self.each_record(segment, found, |record| {
                if newest.is_none_or(|newest| record.timestamp > newest.timestamp) {
                    newest = Some(record);
                }
                ControlFlow::Continue(())
            })?;
            Ok(newest)
        })
    }

    /// What `pick` takes out of the first of the batches that say at least `timestamp` in which it finds something, if it
    /// lies below `end_exclusive`.
    fn search(
        &self,
        timestamp: i64,
        end_exclusive: Offset,
        pick: impl Fn(&Segment<D>, &Found) -> Result<Option<TimestampOffset>, LogError>,
    ) -> Result<Option<TimestampOffset>, LogError> {
        for segment in &self.segments[self.segment_index(self.log_start)..] {
            if segment.indexer.max_timestamp < timestamp {
                continue;
            }
            let mut from = self.log_start.max(segment.base_offset);
            while let Some(found) = segment.find_timestamp(&self.disk, timestamp, from)? {
                if found.header.base_offset >= end_exclusive {
                    return Ok(None);
                }
                if let Some(record) = pick(segment, &found)? {
                    return Ok((record.offset < end_exclusive).then_some(record));
                }
                from = found.header.next_offset();
            }
        }
        Ok(None)
    }

    /// The aborted transactions that a read_committed reader of the offsets `from` to `to_exclusive` must
    /// drop, sorted by their first offset.
    pub fn aborted_in(&self, from: Offset, to_exclusive: Offset) -> Vec<AbortedTxn> {
        let mut found = Vec::new();
        'segments: for segment in &self.segments[self.segment_index(from)..] {
            for aborted in &segment.aborted {
                if aborted.last_offset >= from && aborted.first_offset < to_exclusive {
                    found.push(*aborted);
                }
                // Every transaction that ends later also begins at or after this offset.
                if aborted.last_stable_offset >= to_exclusive {
                    break 'segments;
                }
            }
        }
        found.sort_by_key(|aborted| (aborted.first_offset, aborted.producer_id));
        found
    }

    /// The segment in which `offset` lies, or the first one.
    pub(super) fn segment_index(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    fn first_record(
        &self,
        segment: &Segment<D>,
        found: &Found,
        timestamp: i64,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let mut first = None;
        self.each_record(segment, found, |record| {
            if record.timestamp < timestamp {
                return ControlFlow::Continue(());
            }
            first = Some(record);
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    /// Shows the records of a batch that are kept, in order, until `visit` has seen enough. Of a batch that cannot be
    /// decompressed the batch as a whole is the best that is left.
    fn each_record(
        &self,
        segment: &Segment<D>,
        found: &Found,
        mut visit: impl FnMut(TimestampOffset) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let header = &found.header;
        if header.record_count == 0 {
            return Ok(());
        }
        let leader_epoch = header.partition_leader_epoch;
        let len = header.total_len();
        let extent = Extent { position: found.position, len: len as u64, next_offset: header.next_offset() };
        // The timestamps of those that were passed over on the way are part of the answer.
        if let Some(unchecked) = segment.unchecked(found.anchor, found, &extent, &self.epochs) {
            unchecked.check(&segment.file, &segment.path)?;
        }
        let bytes = segment.read_exact(found.position, len)?;
        let batch = BatchView::parse(&bytes)?;
        let plain = match uncompressed_batch(&batch, self.config.decompress_max_bytes) {
            Ok(plain) => plain,
            Err(error) => {
                tracing::warn!(path = %segment.path.display(), position = found.position, %error, "a batch cannot be searched");
                let (offset, timestamp) = (header.base_offset.max(self.log_start), header.max_timestamp);
                let _ = visit(TimestampOffset { offset, timestamp, leader_epoch });
                return Ok(());
            }
        };
        for record in BatchView::parse(&plain)?.records()? {
            let record = record.map_err(|error| segment.damaged(found.position, error.to_string()))?;
            let (offset, timestamp) = (record.offset(header), record.timestamp(header));
            if offset >= self.log_start && visit(TimestampOffset { offset, timestamp, leader_epoch }).is_break() {
                break;
            }
        }
        Ok(())
    }
}
