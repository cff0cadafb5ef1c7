//! One compaction of one log, from the first pass to the last new segment.

use super::filter::Filter;
use super::index::{Indexed, Indexing};
use super::plan::{Cleanable, SealedSegment, group};
use super::rewrite::Rewriting;
use super::{CompactionError, LastOfProducer, OffsetMap, Pace};
use crate::disk::Disk;
use crate::error::{IoContext, LogError};
use crate::index::AbortedTxn;
use crate::log::remove_cleaned;
use crate::recovery::SegmentScan;
use crate::segment::{Chain, Doubt};
use crate::window::Window;
use crate::{LogConfig, Offset};
use pelton_record::BatchView;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that are read and written at a time.
pub(super) const BUFFER_BYTES: usize = 512 << 10;

/// What a compaction needs of a log ([`crate::Log::compaction_source`]). It may go to another thread.
pub struct CompactionSource<D: Disk> {
    pub(crate) disk: D,
    pub(crate) dir: PathBuf,
    pub(crate) config: LogConfig,
    pub(crate) segments: Vec<SourceSegment<D>>,
    /// The aborted transactions that overlap the segments.
    pub(crate) aborted: Vec<AbortedTxn>,
}

/// A sealed segment that is read.
pub(crate) struct SourceSegment<D: Disk> {
    pub(crate) info: SealedSegment,
    pub(crate) path: PathBuf,
    pub(crate) file: D::File,
    /// What the headers of its batches must be.
    pub(crate) chain: Chain,
    /// Where that ends.
    pub(crate) next_offset: Offset,
    /// What of it nobody has read with its CRC yet.
    pub(crate) doubt: Option<Arc<Doubt>>,
}

/// A new segment, written and synced under the names that [`crate::Log::replace`] takes it from.
pub struct CleanedSegment<D: Disk> {
    pub(crate) dir: PathBuf,
    pub(crate) replaces: Vec<SealedSegment>,
    pub(crate) file: D::File,
    pub(crate) scan: SegmentScan,
    pub(crate) aborted: Vec<AbortedTxn>,
}

impl<D: Disk> CleanedSegment<D> {
    /// First offset of the segments that it replaces, and its own.
    pub fn base_offset(&self) -> Offset {
        self.replaces[0].base_offset
    }
}

impl<D: Disk> std::fmt::Debug for CleanedSegment<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CleanedSegment")
            .field("dir", &self.dir)
            .field("replaces", &self.replaces)
            .field("len", &self.scan.valid_len)
            .finish_non_exhaustive()
    }
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompactionStats {
    /// Segments that were read and are to be replaced.
    pub segments_read: u64,
    /// Segments that were written in their place.
    pub segments_written: u64,
    /// Bytes of batches that were read in the second pass.
    pub bytes_read: u64,
    /// Bytes of batches that stay.
    pub bytes_kept: u64,
    /// Records that were read in the second pass; markers count.
    pub records_read: u64,
    /// Records that stay.
    pub records_kept: u64,
}

/// A compaction under way.
pub struct Compaction<D: Disk> {
    source: CompactionSource<D>,
    cleanable: Cleanable,
    producers: BTreeMap<i64, LastOfProducer>,
    now_ms: i64,
    stats: CompactionStats,
}

impl<D: Disk> Compaction<D> {
    /// Begins with what may be compacted of the log. `producers` are those that the partition remembers, as they
    /// stood when the source was taken, or later.
    pub fn new(
        source: CompactionSource<D>,
        cleanable: Cleanable,
        producers: impl IntoIterator<Item = LastOfProducer>,
        now_ms: i64,
    ) -> Self {
        let producers = producers.into_iter().map(|last| (last.producer_id, last)).collect();
        Self { source, cleanable, producers, now_ms, stats: CompactionStats::default() }
    }

    /// What was done so far.
    pub fn stats(&self) -> CompactionStats {
        self.stats
    }

    /// Reads the dirty part, writes the new segments, and gives each to `replace`, the oldest first. `replace`
    /// says whether the segment took its place; the compaction ends when it did not. Gives the offset up to which
    /// the log is clean now: it lies before the end of the cleanable part when the map of `buffer_bytes` was full, and
    /// another compaction goes on from there.
    ///
    /// # Errors
    /// [`CompactionError::Stopped`], also when `replace` says no; [`CompactionError::Log`] when a segment is damaged or the
    /// medium refuses.
    pub fn run(
        &mut self,
        buffer_bytes: usize,
        pace: &mut dyn Pace,
        replace: &mut dyn FnMut(CleanedSegment<D>) -> Result<bool, CompactionError>,
    ) -> Result<Offset, CompactionError> {
        let Indexed { map, end, last_markers } = self.index(buffer_bytes, pace)?;
        let source = &self.source;
        let config = &source.config;
        let touched = source.segments.partition_point(|segment| segment.info.base_offset < end);
        let infos: Vec<SealedSegment> = source.segments[..touched].iter().map(|segment| segment.info).collect();
        let mut filter =
            Filter::new(&map, end, self.producers.clone(), last_markers, source.aborted.clone(), self.now_ms);
        for range in group(&infos, config.segment_bytes, config.segment_index_bytes, config.index_interval_bytes) {
            let segments = &source.segments[range];
            let rewriting = Rewriting::begin(source, segments, &mut filter, self.now_ms)?;
            let cleaned = rewriting.run(pace, &mut self.stats).inspect_err(|_| {
                // What is half written takes room that may be what was missing. Opening the log removes it too.
                if let Err(error) = remove_cleaned(&source.disk, &source.dir, segments[0].info.base_offset) {
                    tracing::warn!(%error, "what a compaction left behind could not be removed");
                }
            })?;
            if let Some(cleaned) = cleaned
                && !replace(cleaned)?
            {
                return Err(CompactionError::Stopped);
            }
        }
        Ok(end)
    }

    fn index(&self, buffer_bytes: usize, pace: &mut dyn Pace) -> Result<Indexed, CompactionError> {
        let Cleanable { first_dirty, end, .. } = self.cleanable;
        let keys = u64::try_from(end - first_dirty).unwrap_or(0);
        let map = OffsetMap::new(buffer_bytes, keys);
        let cap = self.source.config.decompress_max_bytes;
        let mut indexing = Indexing::new(first_dirty, map, &self.producers, self.source.aborted.clone(), cap);
        for segment in self.source.segments.iter().filter(|segment| segment.info.end_offset > first_dirty) {
            if indexing.read(segment, pace)?.is_break() {
                break;
            }
        }
        Ok(indexing.found)
    }
}

/// Shows each batch of a segment, its position first, until `visit` breaks. It is checked before: what a new segment is made
/// of gets a new CRC.
pub(super) fn each_batch<D: Disk>(
    segment: &SourceSegment<D>,
    pace: &mut dyn Pace,
    mut visit: impl FnMut(u64, &BatchView<'_>) -> Result<ControlFlow<()>, CompactionError>,
) -> Result<ControlFlow<()>, CompactionError> {
    let mut window = Window::new(&segment.file, segment.info.len_bytes, BUFFER_BYTES);
    let (mut position, mut chain) = (0, segment.chain.clone());
    while let Some(header) = window.header_at(position).context("read", &segment.path)? {
        let header = header.map_err(|error| damaged(segment, position, error.to_string()))?;
        let len = header.total_len();
        if !pace.go_on(len as u64) {
            return Err(CompactionError::Stopped);
        }
        let bytes = window.at(position, len).context("read", &segment.path)?;
        let batch = BatchView::parse(bytes).map_err(|error| damaged(segment, position, error.to_string()))?;
        batch.verify_crc().map_err(|error| damaged(segment, position, error.to_string()))?;
        chain.take(batch.header()).map_err(|reason| damaged(segment, position, reason))?;
        if visit(position, &batch)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        position += len as u64;
    }
    chain.ends(segment.next_offset, true).map_err(|reason| damaged(segment, position, reason))?;
    if let Some(doubt) = &segment.doubt {
        doubt.note_seen(0, position);
    }
    Ok(ControlFlow::Continue(()))
}

pub(super) fn damaged<D: Disk>(segment: &SourceSegment<D>, position: u64, reason: String) -> LogError {
    LogError::Damaged { path: segment.path.clone(), position, reason }
}
