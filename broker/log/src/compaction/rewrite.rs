//! The second pass: neighbouring segments become one, with what stays of their batches.

use super::filter::{Fate, Filter, delete_horizon_ms, with_delete_horizon};
use super::index::{UNKNOWN_ABORT, control_of};
use super::run::{BUFFER_BYTES, CleanedSegment, CompactionSource, SourceSegment, damaged, each_batch};
use super::{CompactionError, CompactionStats, Pace};
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use crate::index::{AbortedTxn, IndexEntry, IndexFile};
use crate::log::cleaned_path;
use crate::recovery::{Indexer, ScanFrom, SegmentScan};
use crate::segment::INDEX_EXTENSIONS;
use pelton_record::{
    Attributes, BatchBuilder, BatchHeader, BatchView, Codec, CodecError, HEADER_LEN, LOG_OVERHEAD, NO_TIMESTAMP,
    TimestampType, compress, recompute_crc, uncompressed_batch,
};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// One new segment being written.
pub(super) struct Rewriting<'a, 'm, D: Disk> {
    source: &'a CompactionSource<D>,
    segments: &'a [SourceSegment<D>],
    filter: &'a mut Filter<'m>,
    horizon_ms: i64,
    out: Output<D>,
    aborted: Vec<AbortedTxn>,
    changed: bool,
}

/// The file being written, and what its indexes will hold.
struct Output<D: Disk> {
    path: PathBuf,
    file: D::File,
    buffer: Vec<u8>,
    written: u64,
    scan: SegmentScan,
}

impl<'a, 'm, D: Disk> Rewriting<'a, 'm, D> {
    /// Begins the segment that takes the place of `segments`, which are not none.
    pub fn begin(
        source: &'a CompactionSource<D>,
        segments: &'a [SourceSegment<D>],
        filter: &'a mut Filter<'m>,
        now_ms: i64,
    ) -> Result<Self, LogError> {
        let base_offset = segments[0].info.base_offset;
        for extension in INDEX_EXTENSIONS {
            let path = cleaned_path(&source.dir, base_offset, extension);
            if source.disk.exists(&path).context("look for", &path)? {
                source.disk.remove_file(&path).context("remove", &path)?;
            }
        }
        let path = cleaned_path(&source.dir, base_offset, "log");
        let file = source.disk.open(&path, true).context("create", &path)?;
        file.set_len(0).context("cut", &path)?;
        let indexer = Indexer::new(base_offset, source.config.index_interval_bytes);
        let scan = SegmentScan::new(ScanFrom { position: 0, next_offset: base_offset, indexer });
        let out = Output { path, file, buffer: Vec::new(), written: 0, scan };
        let horizon_ms = now_ms.saturating_add(source.config.compaction.delete_retention_ms);
        Ok(Self { source, segments, filter, horizon_ms, out, aborted: Vec::new(), changed: segments.len() > 1 })
    }

    /// Writes the segment and makes it survive a power cut. Nothing, when it would be what it replaces.
    pub fn run(
        mut self,
        pace: &mut dyn Pace,
        stats: &mut CompactionStats,
    ) -> Result<Option<CleanedSegment<D>>, CompactionError> {
        let count = self.segments.len();
        for (place, segment) in self.segments.iter().enumerate() {
            stats.segments_read += 1;
            let _to_its_end = each_batch(segment, pace, |position, batch| {
                let end = position + batch.bytes().len() as u64;
                let is_last = place + 1 == count && end == segment.info.len_bytes;
                let kept = self.take(segment, position, batch, is_last)?;
                let header = batch.header();
                stats.bytes_read += header.total_len() as u64;
                stats.records_read += header.record_count as u64;
                if let Some(kept) = kept {
                    stats.bytes_kept += kept.total_len() as u64;
                    stats.records_kept += kept.record_count as u64;
                    self.changed |= kept != *header;
                } else {
                    self.changed = true;
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        if !self.changed {
            self.source.disk.remove_file(&self.out.path).context("remove", &self.out.path)?;
            return Ok(None);
        }
        if !pace.go_on(self.out.scan.valid_len) {
            return Err(CompactionError::Stopped);
        }
        stats.segments_written += 1;
        Ok(Some(self.finish()?))
    }

    /// Writes what stays of a batch, and gives its new header. `is_last`: the batch by which the segment ends where
    /// the last one that it replaces did.
    fn take(
        &mut self,
        segment: &SourceSegment<D>,
        position: u64,
        batch: &BatchView<'_>,
        is_last: bool,
    ) -> Result<Option<BatchHeader>, LogError> {
        let header = batch.header();
        let fate = if header.attributes.is_control() {
            let (fate, used) = self.filter.on_marker(header, control_of(batch));
            if used.contradicts {
                return Err(damaged(segment, position, UNKNOWN_ABORT.to_owned()));
            }
            self.aborted.extend(used.aborted);
            fate
        } else {
            self.filter.on_data(header)
        };
        let bad = |error: CodecError| damaged(segment, position, error.to_string());
        let bytes = match fate {
            Fate::KeepMarker { begins_horizon: true } => {
                Some(Cow::Owned(rebuilt(batch, batch, Some(self.horizon_ms), |_| true).map_err(bad)?.0))
            }
            Fate::KeepMarker { begins_horizon: false } => Some(Cow::Borrowed(batch.bytes())),
            // A marker is whole or not there: without its record it would say that a transaction began.
            Fate::Drop { .. } if is_last && header.attributes.is_control() => Some(Cow::Borrowed(batch.bytes())),
            Fate::Drop { keep_header } => (keep_header || is_last).then(|| Cow::Owned(bare_header(header))),
            Fate::Filter { keep_header } => self
                .filtered(batch)
                .map_err(bad)?
                .or_else(|| (keep_header || is_last).then(|| Cow::Owned(bare_header(header)))),
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let kept = BatchHeader::parse(&bytes)?;
        self.out.push(&bytes, &kept)?;
        Ok(Some(kept))
    }

    /// The batch with the records that stay, if there are any.
    fn filtered<'b>(&self, batch: &BatchView<'b>) -> Result<Option<Cow<'b, [u8]>>, CodecError> {
        let header = batch.header();
        let plain = uncompressed_batch(batch, self.source.config.decompress_max_bytes)?;
        let plain = BatchView::parse(&plain)?;
        let (mut kept, mut tombstones) = (0, false);
        for record in plain.records()? {
            let record = record?;
            if self.filter.keeps(header, &record) {
                kept += 1;
                tombstones |= record.value.is_none();
            }
        }
        if kept == 0 {
            return Ok(None);
        }
        // Kafka begins the horizon of every tombstone it keeps. Above what is in the map, what a tombstone supersedes is
        // still there, and readers have `delete.retention.ms` from when it has gone.
        let begins = tombstones && delete_horizon_ms(header).is_none() && self.filter.has_indexed(header);
        let horizon = begins.then_some(self.horizon_ms);
        if kept == header.record_count && horizon.is_none() {
            return Ok(Some(Cow::Borrowed(batch.bytes())));
        }
        let (bytes, _) = rebuilt(batch, &plain, horizon, |record| self.filter.keeps(header, record))?;
        Ok(Some(Cow::Owned(bytes)))
    }

    fn finish(mut self) -> Result<CleanedSegment<D>, LogError> {
        let (source, segments) = (self.source, self.segments);
        self.out.flush()?;
        self.out.file.sync_data().context("sync", &self.out.path)?;
        let base_offset = segments[0].info.base_offset;
        let scan = &mut self.out.scan;
        // What a segment writes when it is closed.
        let mut closing = scan.indexer.clone();
        let mut time_entries = scan.time_entries.clone();
        time_entries.extend(closing.time_entry());
        let path = |extension| cleaned_path(&source.dir, base_offset, extension);
        let needs_index = !time_entries.is_empty();
        write_index(&source.disk, &path("index"), &scan.offset_entries, needs_index)?;
        write_index(&source.disk, &path("timeindex"), &time_entries, false)?;
        write_index(&source.disk, &path("txnindex"), &self.aborted, false)?;
        source.disk.sync_dir(&source.dir).context("sync", &source.dir)?;
        Ok(CleanedSegment {
            dir: source.dir.clone(),
            replaces: segments.iter().map(|segment| segment.info).collect(),
            file: self.out.file,
            scan: self.out.scan,
            aborted: self.aborted,
        })
    }
}

impl<D: Disk> Output<D> {
    fn push(&mut self, bytes: &[u8], header: &BatchHeader) -> Result<(), LogError> {
        self.scan.push(header);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), LogError> {
        self.file.write_at(&self.buffer, self.written).context("write", &self.path)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn write_index<D: Disk, E: IndexEntry>(disk: &D, path: &Path, entries: &[E], always: bool) -> Result<(), LogError> {
    let index = IndexFile::<D, E>::load(disk, path.to_owned(), entries)?;
    if always {
        index.ensure_exists(disk)?;
    }
    if entries.is_empty() {
        return Ok(());
    }
    let file = disk.open(path, false).context("open", path)?;
    file.sync_data().context("sync", path)
}

/// The header of a batch from which every record was taken: what is left of its offsets, its sequences and its producer.
fn bare_header(header: &BatchHeader) -> Vec<u8> {
    let attributes = Attributes::default()
        .with_timestamp_type(header.attributes.timestamp_type())
        .with_transactional(header.attributes.is_transactional());
    let bare = BatchHeader {
        batch_length: (HEADER_LEN - LOG_OVERHEAD) as i32,
        attributes,
        base_timestamp: NO_TIMESTAMP,
        record_count: 0,
        ..*header
    };
    let mut bytes = vec![0; HEADER_LEN];
    bare.write_to(&mut bytes);
    recompute_crc(&mut bytes);
    bytes
}

/// The batch with those records of `plain`, its uncompressed form, that stay, in its own codec. A `horizon_ms` becomes the
/// batch's delete horizon. Says how many records stayed.
fn rebuilt(
    batch: &BatchView<'_>,
    plain: &BatchView<'_>,
    horizon_ms: Option<i64>,
    stays: impl Fn(&pelton_record::Record<'_>) -> bool,
) -> Result<(Vec<u8>, i32), CodecError> {
    let header = match horizon_ms {
        Some(horizon_ms) => with_delete_horizon(*batch.header(), horizon_ms),
        None => *batch.header(),
    };
    let mut builder = BatchBuilder::with_capacity(header.base_timestamp, plain.body().len());
    let mut max_timestamp = NO_TIMESTAMP;
    for record in plain.records()? {
        let record = record?;
        if !stays(&record) {
            continue;
        }
        // The delta counts where the producer set the timestamps; elsewhere it means nothing and stays as it is.
        let timestamp = plain.header().base_timestamp.wrapping_add(record.timestamp_delta);
        max_timestamp = max_timestamp.max(timestamp);
        let (count, encoded) = (record.header_count(), record.encoded_headers());
        builder.push_raw_headers_at(record.offset_delta, timestamp, record.key, record.value, count, encoded)?;
    }
    let record_count = builder.count();
    let body = &builder.finish()[HEADER_LEN..];
    let codec = header.attributes.codec()?;
    let body = if codec == Codec::None { Cow::Borrowed(body) } else { Cow::Owned(compress(codec, body)?) };
    let total_len = HEADER_LEN + body.len();
    let batch_length = i32::try_from(total_len - LOG_OVERHEAD).map_err(|_| CodecError::TooLarge(i32::MAX as usize))?;
    let max_timestamp = match header.attributes.timestamp_type() {
        TimestampType::Create => max_timestamp,
        TimestampType::LogAppend => header.max_timestamp,
    };
    let mut bytes = vec![0; HEADER_LEN];
    bytes.reserve(body.len());
    bytes.extend_from_slice(&body);
    BatchHeader { batch_length, max_timestamp, record_count, ..header }.write_to(&mut bytes);
    recompute_crc(&mut bytes);
    Ok((bytes, record_count))
}
