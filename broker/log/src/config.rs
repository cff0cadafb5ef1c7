//! What a log is told about its segments.

use crate::compaction::CompactionConfig;

/// Settings of one log; the names and defaults are those of Kafka's topic settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment that would grow past this is closed and a new one begun.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment whose first record is older than the batch to be appended by more than this
    /// is closed and a new one begun. `None` means never.
    pub segment_ms: Option<i64>,
    /// `segment.jitter.ms`: the most by which a segment is closed before its time, another span for each segment, so that those
    /// of many partitions are not closed at once. Milliseconds.
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`: how many bytes of batches lie between two index entries, about.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: a segment whose offset index is this large is closed.
    pub segment_index_bytes: u32,
    /// The least by which a segment file is grown ahead of its end, in bytes. It grows by its own length
    /// each time, so an idle partition stays small. 0 turns preallocation off.
    pub preallocate_min_bytes: u32,
    /// The most by which a segment file is grown at once, in bytes.
    pub preallocate_max_bytes: u32,
    /// `retention.bytes`: oldest segments go while the rest is still at least this large. `None`: no limit.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`: segments whose newest record is older than this go. `None`: no limit.
    pub retention_ms: Option<i64>,
    /// Whether `cleanup.policy` holds `compact`: then offsets may be missing between two segments; without
    /// it, a missing offset is damage.
    pub compact: bool,
    /// When and how a log whose `cleanup.policy` holds `compact` is compacted.
    pub compaction: CompactionConfig,
    /// `file.delete.delay.ms`: how long the files of a segment that was deleted or replaced stay, renamed to `.deleted`.
    pub file_delete_delay_ms: i64,
    /// The most bytes that the records of one compressed batch may take when a search by timestamp has to
    /// decompress them; past it the batch's own offset and timestamp answer.
    pub decompress_max_bytes: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: Some(7 * 24 * 3_600_000),
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            preallocate_min_bytes: 64 << 10,
            preallocate_max_bytes: 16 << 20,
            retention_bytes: None,
            retention_ms: Some(7 * 24 * 3_600_000),
            compact: false,
            compaction: CompactionConfig::default(),
            file_delete_delay_ms: 60_000,
            decompress_max_bytes: 64 << 20,
        }
    }
}
