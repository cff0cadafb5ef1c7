//! Taking away: the end of a log that diverged from its leader's, and the beginning that is not kept.

use super::Log;
use crate::disk::Disk;
use crate::error::{IoContext, LogError};
use crate::recovery::scan_segment;
use crate::segment::Segment;
use crate::{Offset, checkpoint};
use std::path::PathBuf;

/// What was taken from the beginning of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "the files take up room until somebody removes them"]
pub struct Trimmed {
    /// How many segments.
    pub segments: usize,
    /// Their files, which are called `.deleted` now and are for whoever removes them later (`file.delete.delay.ms`). Opening
    /// the log removes them too.
    pub removable: Vec<PathBuf>,
}

impl<D: Disk> Log<D> {
    /// Removes every batch that reaches `offset` or lies above it, durably. The log then ends at `offset`, or
    /// at the beginning of the batch that held it. Below the log's start it is [`Log::reset_to`].
    ///
    /// # Errors
    /// [`LogError::Io`] (the log is then fenced), [`LogError::Damaged`], [`LogError::Fenced`].
    pub fn truncate_to(&mut self, offset: Offset) -> Result<(), LogError> {
        self.check_not_fenced()?;
        if offset >= self.log_end() {
            return Ok(());
        }
        if offset < self.log_start {
            return self.reset_to(offset);
        }
        // Until the last step the log on the medium and the one in memory differ.
        self.fenced = true;
        self.take_back(offset)?;
        while self.segments.len() > 1 && self.active().base_offset >= offset {
            self.remove_segment(self.segments.len() - 1)?;
        }
        let cut = self.cut_segment(self.active(), offset)?;
        self.segments.pop();
        self.segments.push(cut);
        self.fenced = false;
        let log_end = self.log_end();
        if log_end < self.log_start {
            // The batch that held `offset` began below the log's start.
            return self.reset_to(self.log_start);
        }
        self.flushed_through = log_end;
        if checkpoint::truncate_epochs_to(&mut self.epochs, log_end) {
            self.save_epochs();
        }
        Ok(())
    }

    /// Removes everything and begins anew at `offset`, as a follower does that is too far behind.
    ///
    /// # Errors
    /// [`LogError::Io`] (the log is then fenced), [`LogError::Fenced`].
    pub fn reset_to(&mut self, offset: Offset) -> Result<(), LogError> {
        self.check_not_fenced()?;
        self.fenced = true;
        self.take_back(Offset::MIN)?;
        while self.segments.len() > 1 {
            self.remove_segment(self.segments.len() - 1)?;
        }
        self.remove_files_of(0)?;
        let has_start = self.disk.exists(&self.dir.join(checkpoint::START_FILE)).context("look for", &self.dir)?;
        if has_start || offset < self.log_start {
            checkpoint::write_start(&self.disk, &self.dir, offset)?;
        }
        self.segments = vec![Segment::create(&self.disk, &self.dir, offset, &self.config)?];
        self.disk.sync_dir(&self.dir).context("sync", &self.dir)?;
        self.log_start = offset;
        self.flushed_through = offset;
        self.epochs.clear();
        self.save_epochs();
        self.fenced = false;
        Ok(())
    }

    /// Keeps nothing below `offset` (DeleteRecords): the log starts there, durably, and segments that lie
    /// wholly below it are put aside. Nothing happens where the log starts at or above it already.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] when the log does not reach `offset`; [`LogError::Io`], [`LogError::Fenced`].
    pub fn delete_before(&mut self, offset: Offset) -> Result<Trimmed, LogError> {
        self.check_not_fenced()?;
        let (log_start, log_end) = (self.log_start, self.log_end());
        if offset > log_end {
            return Err(LogError::OffsetOutOfRange { offset, log_start, log_end });
        }
        let mut trimmed = Trimmed::default();
        if offset <= log_start {
            return Ok(trimmed);
        }
        checkpoint::write_start(&self.disk, &self.dir, offset)?;
        self.raise_log_start(offset);
        while self.segments.len() > 1 && self.segments[1].base_offset <= offset {
            trimmed.removable.extend(self.put_aside_oldest()?);
            trimmed.segments += 1;
        }
        Ok(trimmed)
    }

    /// Puts the oldest segments aside that the settings no longer keep, by time (`retention.ms`, seen from
    /// `now_ms`) and by size (`retention.bytes`): whole ones, and none that reaches `high_watermark`. The active
    /// segment goes by time alone, and is closed first, so that old records go from a log that nobody writes to
    /// any more.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Fenced`].
    pub fn retain(&mut self, now_ms: i64, high_watermark: Offset) -> Result<Trimmed, LogError> {
        self.check_not_fenced()?;
        let mut trimmed = Trimmed::default();
        loop {
            let oldest = &self.segments[0];
            let next_base = self.segments.get(1).map_or(oldest.next_offset, |next| next.base_offset);
            let newest_ms = oldest.indexer.max_timestamp;
            let too_old = newest_ms >= 0
                && self.config.retention_ms.is_some_and(|limit| now_ms.saturating_sub(newest_ms) > limit);
            let too_much = self.segments.len() > 1
                && self.config.retention_bytes.is_some_and(|limit| self.size_bytes() - oldest.len >= limit);
            if next_base > high_watermark || !(too_old || too_much) {
                return Ok(trimmed);
            }
            if self.segments.len() == 1 {
                self.roll()?;
            }
            trimmed.removable.extend(self.put_aside_oldest()?);
            self.raise_log_start(next_base);
            trimmed.segments += 1;
        }
    }

    /// Takes the oldest of several segments out of the log, durably; gives what its files are called now.
    fn put_aside_oldest(&mut self) -> Result<Vec<PathBuf>, LogError> {
        let renamed = self.rename_deleted(self.segments[0].base_offset);
        // One segment at a time, as when they are removed.
        let renamed = renamed.and_then(|files| {
            self.disk.sync_dir(&self.dir).context("sync", &self.dir)?;
            Ok(files)
        });
        self.fenced |= renamed.is_err();
        let files = renamed?;
        self.segments.remove(0);
        Ok(files)
    }

    fn raise_log_start(&mut self, log_start: Offset) {
        self.log_start = self.log_start.max(log_start);
        if checkpoint::truncate_epochs_before(&mut self.epochs, self.log_start) {
            self.save_epochs();
        }
    }

    /// Removes one segment of several.
    fn remove_segment(&mut self, index: usize) -> Result<(), LogError> {
        self.remove_files_of(index)?;
        self.segments.remove(index);
        Ok(())
    }

    /// Removes the files of one segment and waits until that is durable: were several to vanish at once, a
    /// power cut could bring back the outer ones and leave a hole between them.
    fn remove_files_of(&mut self, index: usize) -> Result<(), LogError> {
        let removed = self.segments[index].remove_files(&self.disk);
        let removed = removed.and_then(|()| self.disk.sync_dir(&self.dir).context("sync", &self.dir));
        self.fenced |= removed.is_err();
        removed
    }

    /// Cuts `segment` so that no batch reaches `offset`, and reads it anew.
    fn cut_segment(&self, segment: &Segment<D>, offset: Offset) -> Result<Segment<D>, LogError> {
        let found = segment.find_offset(&self.disk, offset)?;
        let len = found.map_or(segment.len, |found| found.position);
        let Segment { base_offset, path, .. } = segment;
        // New batches must not come to stand among old ones after a power cut.
        let (file, shared) = segment.file_cut_to(&self.disk, len)?;
        let interval = self.config.index_interval_bytes;
        let scan = scan_segment(&file, path, *base_offset, interval, false, &mut |_| {})?;
        let aborted = segment.aborted.iter().filter(|aborted| aborted.last_offset < scan.next_offset);
        let aborted = aborted.copied().collect();
        let (len, next_offset) = (scan.valid_len, scan.next_offset);
        let mut cut = Segment::load(&self.disk, &self.dir, *base_offset, file, scan, aborted, false)?;
        // The bytes are those that they were, so they are believed as they were.
        cut.doubt = segment.doubt.as_ref().and_then(|doubt| doubt.cut_to(len, next_offset));
        cut.note_shared(shared);
        Ok(cut)
    }
}
