//! The log of one partition: a row of segments, of which only the last one grows.

mod cut;
mod keep;
mod load;
mod open;
mod read;
mod rehome;
mod replace;
mod slice;

pub use cut::Trimmed;
pub use keep::CheckpointHandle;
pub use open::{Opening, Recovered};
pub use read::TimestampOffset;
pub(crate) use replace::{cleaned_path, remove_cleaned};
pub use slice::LogSlice;

use crate::checkpoint::{self, EpochEntry};
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use crate::index::AbortedTxn;
use crate::segment::Segment;
use crate::{LogConfig, Offset};
use keep::Snapshots;
use pelton_record::{BatchError, BatchHeader, HEADER_LEN};
use std::path::{Path, PathBuf};

/// The log of one partition. It has one owner; a [`FlushHandle`] is what another thread may hold.
pub struct Log<D: Disk> {
    disk: D,
    dir: PathBuf,
    config: LogConfig,
    /// Never empty; the last one is the active segment.
    segments: Vec<Segment<D>>,
    log_start: Offset,
    epochs: Vec<EpochEntry>,
    flushed_through: Offset,
    /// Whether the names in the directory, and its own, are known to survive a power cut. A process that was
    /// killed may have left changes of names that are only in memory.
    names_synced: bool,
    /// Whether [`Log::take_flush_is_due`] has something to say.
    flush_is_due: bool,
    snapshots: Snapshots,
    fenced: bool,
}

/// Makes what a log held when the handle was taken survive a power cut, on whatever thread waits for it.
pub struct FlushHandle<D: Disk> {
    file: D::File,
    path: PathBuf,
    /// One past the last offset that [`FlushHandle::sync`] covers.
    pub through: Offset,
}

impl<D: Disk> std::fmt::Debug for Log<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("dir", &self.dir)
            .field("log_start", &self.log_start)
            .field("log_end", &self.log_end())
            .field("fenced", &self.fenced)
            .finish_non_exhaustive()
    }
}

impl<D: Disk> FlushHandle<D> {
    /// The log directory in which the partition lies.
    pub fn log_directory(&self) -> &Path {
        // The segment's file, the partition's directory, the log directory.
        self.path.ancestors().nth(2).unwrap_or(Path::new("."))
    }

    /// Waits for the medium. Tell the log afterwards: [`Log::mark_flushed`], or [`Log::fence`] when it failed.
    ///
    /// # Errors
    /// [`LogError::Io`]. What was written since the last success may be gone, and a second try would
    /// succeed without bringing it back: never sync again, fence the log.
    pub fn sync(&self) -> Result<Offset, LogError> {
        self.file.sync_data().context("sync", &self.path)?;
        Ok(self.through)
    }
}

impl<D: Disk> Log<D> {
    /// Appends one batch, whose header is `header`, base offset and leader epoch final: it is written in place of the one
    /// that `batch` begins with, so that nobody copies a batch to change its header. The batch may begin above the
    /// log's end (a compacted log copied from a leader), never below. The CRC is not checked.
    ///
    /// # Errors
    /// [`LogError::OutOfOrder`], [`LogError::Batch`] when the length is not the header's,
    /// [`LogError::Io`] when the medium refuses: then the log is as before, or, where that cannot be had,
    /// fenced. [`LogError::Fenced`] from then on. When [`LogError::is_out_of_space`] holds and the log is not fenced, it
    /// may be tried again once there is room; what refuses for another reason is not to be trusted with more.
    pub fn append(&mut self, batch: &[u8], header: &BatchHeader) -> Result<(), LogError> {
        self.check_not_fenced()?;
        if batch.len() != header.total_len() || batch.len() < HEADER_LEN {
            let needed = header.total_len().max(HEADER_LEN);
            return Err(BatchError::Truncated { needed, available: batch.len() }.into());
        }
        if header.base_offset < self.log_end() {
            return Err(LogError::OutOfOrder { expected: self.log_end(), found: header.base_offset });
        }
        self.sync_names()?;
        if self.active().must_roll_before(header, &self.config) {
            self.roll()?;
        }
        if header.last_offset() - self.active().base_offset > Offset::from(i32::MAX) {
            return Err(BatchError::InvalidField { field: "baseOffset", value: header.base_offset }.into());
        }
        let segment = self.segments.last_mut().expect("a log has an active segment");
        let left_before = segment.left(&self.config);
        if let Err(error) = segment.append(&self.disk, batch, header, &self.config) {
            // The end of the file must be zeros or nothing, or a later crash could take old bytes for new.
            self.fenced = segment.drop_unwritten().is_err();
            return Err(error);
        }
        let left = segment.left(&self.config);
        self.flush_is_due |=
            left < u64::from(self.config.segment_bytes) / 4 && left.checked_ilog2() != left_before.checked_ilog2();
        if checkpoint::assign_epoch(&mut self.epochs, header.partition_leader_epoch, header.base_offset) {
            self.save_epochs();
        }
        Ok(())
    }

    /// Whether a flush should begin now that nobody asked for, so that [`Log::roll`] has little left to wait for: when
    /// a quarter of the segment is left, an eighth, and so on. Says so once for each.
    pub fn take_flush_is_due(&mut self) -> bool {
        std::mem::take(&mut self.flush_is_due) && self.unsynced()
    }

    /// Closes the active segment and begins the next one at the log's end. The closed one is synced here:
    /// a new segment never gets its first byte before everything below it is safe. A caller that does not sync each
    /// append should flush when [`Log::take_flush_is_due`] says so.
    ///
    /// # Errors
    /// [`LogError::Io`]; the log is fenced when a sync failed.
    pub fn roll(&mut self) -> Result<(), LogError> {
        self.check_not_fenced()?;
        let log_end = self.log_end();
        let active = self.segments.last_mut().expect("a log has an active segment");
        if active.len == 0 {
            return Ok(());
        }
        if let Err(error) = active.seal(&self.disk) {
            self.fenced = true;
            return Err(error);
        }
        self.flushed_through = self.flushed_through.max(log_end);
        let next = match Segment::create(&self.disk, &self.dir, log_end, &self.config) {
            Ok(next) => next,
            Err(error) => {
                // A name that is left behind would end the log below what goes into the old segment next.
                self.fenced = Segment::discard(&self.disk, &self.dir, log_end).is_err();
                return Err(error);
            }
        };
        if let Err(error) = self.disk.sync_dir(&self.dir).context("sync", &self.dir) {
            self.fenced = true;
            return Err(error);
        }
        self.segments.push(next);
        self.snapshots.wanted = true;
        Ok(())
    }

    /// What another thread needs to make everything that is appended now survive a power cut.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Fenced`].
    pub fn flush_handle(&self) -> Result<FlushHandle<D>, LogError> {
        self.check_not_fenced()?;
        let active = self.active();
        let file = active.file.try_clone().context("share", &active.path)?;
        active.make_promise();
        Ok(FlushHandle { file, path: active.path.clone(), through: self.log_end() })
    }

    /// Notes that a [`FlushHandle::sync`] succeeded.
    pub fn mark_flushed(&mut self, through: Offset) {
        self.flushed_through = self.flushed_through.max(through.min(self.log_end()));
        let active = self.segments.last_mut().expect("a log has an active segment");
        active.keep_promise(&self.disk, through);
    }

    /// Offset below which everything survives a power cut.
    pub fn flushed_through(&self) -> Offset {
        self.flushed_through
    }

    /// Whether something was appended that no sync has covered yet.
    pub fn unsynced(&self) -> bool {
        self.flushed_through < self.log_end()
    }

    /// Stops the log for good, because a sync failed; only opening it again tells what is there.
    pub fn fence(&mut self) {
        self.fenced = true;
    }

    /// Whether the log takes no more batches.
    pub fn is_fenced(&self) -> bool {
        self.fenced
    }

    /// First offset that is kept.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// One past the last offset.
    pub fn log_end(&self) -> Offset {
        self.active().next_offset
    }

    /// Bytes of all batches on the medium; index files and reserved space are not counted.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// Base offsets of the segments, in order.
    pub fn segment_base_offsets(&self) -> Vec<Offset> {
        self.segments.iter().map(|segment| segment.base_offset).collect()
    }

    /// The partition's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings that hold for batches to come.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Changes the settings for batches to come.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// Notes that the leader of `epoch` begins at `start_offset`. Appends note it too, by the batch's epoch.
    pub fn record_leader_epoch(&mut self, epoch: i32, start_offset: Offset) {
        if checkpoint::assign_epoch(&mut self.epochs, epoch, start_offset) {
            self.save_epochs();
        }
    }

    /// The leader epochs and where each begins, in order.
    pub fn leader_epochs(&self) -> &[EpochEntry] {
        &self.epochs
    }

    /// The largest leader epoch of the log that is not above `epoch`, and the offset where it ends: what
    /// OffsetForLeaderEpoch answers (KIP-101, KIP-279). `None` when the log knows no epoch that high.
    pub fn epoch_end_offset(&self, epoch: i32) -> Option<(i32, Offset)> {
        let latest = self.epochs.last()?;
        if epoch == latest.epoch {
            return Some((epoch, self.log_end()));
        }
        let next = self.epochs.iter().position(|entry| entry.epoch > epoch)?;
        let floor = if next == 0 { epoch } else { self.epochs[next - 1].epoch };
        Some((floor, self.epochs[next].start_offset))
    }

    /// Notes an aborted transaction whose marker was appended last, in the order of the markers, and before anything is
    /// flushed: what is promised of the marker includes this.
    pub fn append_aborted(&mut self, aborted: AbortedTxn) {
        let segment = self.segments.last_mut().expect("a log has an active segment");
        segment.append_aborted(&self.disk, aborted);
    }

    /// Gives back reserved space and makes everything survive a power cut.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Fenced`].
    pub fn close(mut self) -> Result<(), LogError> {
        self.check_not_fenced()?;
        let active = self.segments.last_mut().expect("a log has an active segment");
        active.trim_and_sync()?;
        active.write_digest(&self.disk, false);
        Ok(())
    }

    /// Before the first batch goes in: a batch in a file whose name could vanish is not safe.
    fn sync_names(&mut self) -> Result<(), LogError> {
        if self.names_synced {
            return Ok(());
        }
        let parent = self.dir.parent().unwrap_or(Path::new("."));
        let synced = self.disk.sync_dir(&self.dir).and_then(|()| self.disk.sync_dir(parent));
        if let Err(error) = synced.context("sync", &self.dir) {
            self.fenced = true;
            return Err(error);
        }
        self.names_synced = true;
        Ok(())
    }

    fn active(&self) -> &Segment<D> {
        self.segments.last().expect("a log has an active segment")
    }

    fn check_not_fenced(&self) -> Result<(), LogError> {
        if self.fenced { Err(LogError::Fenced { path: self.dir.clone() }) } else { Ok(()) }
    }

    /// The batches tell the epochs too, so a file that cannot be written is no reason to stop.
    fn save_epochs(&self) {
        if let Err(error) = checkpoint::write_epochs(&self.disk, &self.dir, &self.epochs) {
            tracing::warn!(%error, "the leader epochs could not be written");
        }
    }
}

#[cfg(test)]
mod tests;
