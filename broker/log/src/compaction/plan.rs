//! What to compact: which segments, whether now, and which become one. Pure.

use crate::Offset;
use std::ops::Range;

/// Bytes of an entry of the offset index.
const OFFSET_ENTRY_BYTES: u64 = 8;

/// When a log is compacted; the names and defaults are those of Kafka's topic settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionConfig {
    /// `min.cleanable.dirty.ratio`, in millionths: the share of the log that must be dirty.
    pub min_cleanable_dirty_ppm: u32,
    /// `min.compaction.lag.ms`: a segment with a record that is younger stays as it is.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a log whose oldest dirty segment is older is compacted whatever the ratio. `None`: never.
    pub max_compaction_lag_ms: Option<i64>,
    /// `delete.retention.ms`: how long a tombstone or a marker stays after what it supersedes has gone.
    pub delete_retention_ms: i64,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self {
            min_cleanable_dirty_ppm: 500_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: None,
            delete_retention_ms: 24 * 3_600_000,
        }
    }
}

/// A segment that takes no more batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its first offset.
    pub base_offset: Offset,
    /// Where the next segment begins.
    pub end_offset: Offset,
    /// Bytes of its batches.
    pub len_bytes: u64,
    /// Largest timestamp of its first batch, in milliseconds.
    pub first_timestamp: Option<i64>,
    /// Its largest timestamp in milliseconds, or -1.
    pub max_timestamp: i64,
}

/// The part of a log that may be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanable {
    /// Everything below was compacted before.
    pub first_dirty: Offset,
    /// Nothing from here on may be touched; the beginning of a segment.
    pub end: Offset,
    /// Bytes that were compacted before.
    pub clean_bytes: u64,
    /// Bytes that were not, and may be.
    pub dirty_bytes: u64,
    /// Whether a record waits for longer than `max.compaction.lag.ms`.
    pub overdue: bool,
}

impl Cleanable {
    /// The dirty share in millionths.
    pub fn dirty_ppm(&self) -> u32 {
        let all = u128::from(self.clean_bytes) + u128::from(self.dirty_bytes);
        let share = u128::from(self.dirty_bytes) * 1_000_000 / all.max(1);
        u32::try_from(share).unwrap_or(1_000_000)
    }

    /// Whether it is time to compact.
    pub fn is_due(&self, config: &CompactionConfig) -> bool {
        self.dirty_bytes > 0 && (self.overdue || self.dirty_ppm() > config.min_cleanable_dirty_ppm)
    }
}

/// The part of a log that may be compacted at `now_ms`, if there is any.
///
/// `sealed` are the log's segments without the active one, in order. Only whole segments are touched, and none that
/// reaches `stable_end` (the last stable offset: what lies above is not decided yet, or not durable). `checkpoint`
/// is the end of the last compaction, as far as it is known; one that does not lie within the log counts as none.
pub fn cleanable(
    sealed: &[SealedSegment],
    log_start: Offset,
    stable_end: Offset,
    checkpoint: Option<Offset>,
    config: &CompactionConfig,
    now_ms: i64,
) -> Option<Cleanable> {
    let sealed_end = sealed.last()?.end_offset;
    let first_dirty = checkpoint.filter(|offset| (log_start..=sealed_end).contains(offset)).unwrap_or(log_start);
    let young_from = now_ms.saturating_sub(config.min_compaction_lag_ms);
    let untouchable = |segment: &SealedSegment| {
        let too_young = config.min_compaction_lag_ms > 0 && segment.max_timestamp > young_from;
        segment.end_offset > stable_end || (too_young && segment.end_offset > first_dirty)
    };
    let touched = &sealed[..sealed.iter().position(untouchable).unwrap_or(sealed.len())];
    let end = touched.last()?.end_offset;
    if end <= first_dirty {
        return None;
    }
    let dirty_at = touched.partition_point(|segment| segment.end_offset <= first_dirty);
    let (clean, dirty) = touched.split_at(dirty_at);
    let bytes = |segments: &[SealedSegment]| segments.iter().map(|segment| segment.len_bytes).sum();
    let earliest = dirty.iter().filter_map(|segment| segment.first_timestamp).filter(|first| *first > 0).min();
    let overdue = match (config.max_compaction_lag_ms, earliest) {
        (Some(limit_ms), Some(earliest)) => now_ms.saturating_sub(earliest) > limit_ms,
        _ => false,
    };
    Some(Cleanable { first_dirty, end, clean_bytes: bytes(clean), dirty_bytes: bytes(dirty), overdue })
}

/// The log to compact next: of those that are due the overdue ones first, then the dirtiest. Gives its place.
pub fn dirtiest<'a>(logs: impl IntoIterator<Item = (&'a Cleanable, &'a CompactionConfig)>) -> Option<usize> {
    let due = logs.into_iter().enumerate().filter(|(_, (cleanable, config))| cleanable.is_due(config));
    let best = due.max_by_key(|(_, (cleanable, _))| (cleanable.overdue, cleanable.dirty_ppm()));
    best.map(|(place, _)| place)
}

/// Which neighbours of `segments` become one: as many as fit into one segment of `segment_bytes` with an offset
/// index of `segment_index_bytes`, whose offsets span no more than 31 bits. A segment that is larger stays alone.
pub fn group(
    segments: &[SealedSegment],
    segment_bytes: u32,
    segment_index_bytes: u32,
    index_interval_bytes: u32,
) -> Vec<Range<usize>> {
    let index_bytes = |len: u64| len / u64::from(index_interval_bytes.max(1)) * OFFSET_ENTRY_BYTES;
    let fits = |group: &Range<usize>, next: &SealedSegment| {
        let len: u64 = segments[group.clone()].iter().map(|segment| segment.len_bytes).sum::<u64>() + next.len_bytes;
        len <= u64::from(segment_bytes)
            && index_bytes(len) <= u64::from(segment_index_bytes)
            && next.end_offset - segments[group.start].base_offset <= Offset::from(i32::MAX)
    };
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (place, segment) in segments.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if fits(group, segment) => group.end = place + 1,
            _ => groups.push(place..place + 1),
        }
    }
    groups
}

#[cfg(test)]
mod tests;
