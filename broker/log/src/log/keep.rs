//! Keeping short what the next open has to read: snapshots of the producers, and what is promised of the segments.

use super::Log;
use super::load::{remove_above, remove_snapshot};
use crate::Offset;
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use crate::segment_file_name;
use crate::snapshot::{self, ProducerEntry};
use std::path::PathBuf;

/// Snapshots that are kept at least, as in Kafka: should the last one be torn, the one before it helps.
const KEPT: usize = 2;

/// The snapshots of a log.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// Their offsets, in order.
    offsets: Vec<Offset>,
    /// The newest that is known to survive a power cut; it is kept too.
    durable: Option<Offset>,
    /// Whether one is due.
    pub wanted: bool,
}

impl Snapshots {
    /// Those that were found when the log was opened.
    pub fn found(offsets: Vec<Offset>) -> Self {
        Self { offsets, durable: None, wanted: false }
    }

    /// The snapshots that are not kept any more, of which it forgets.
    fn drop_old(&mut self) -> Vec<Offset> {
        let old = self.offsets.len().saturating_sub(KEPT);
        let durable = self.durable;
        let dropped: Vec<Offset> =
            self.offsets[..old].iter().filter(|offset| Some(**offset) != durable).copied().collect();
        self.offsets.retain(|offset| !dropped.contains(offset));
        dropped
    }
}

/// Makes survive a power cut what the next open goes by, on whatever thread waits for it.
#[derive(Debug)]
pub struct CheckpointHandle<D: Disk> {
    disk: D,
    dir: PathBuf,
    files: Vec<(D::File, PathBuf)>,
    snapshot: Offset,
    /// Everything below it is durable: the log's line in `recovery-point-offset-checkpoint`.
    pub recovery_point: Offset,
    /// The log's line in `log-start-offset-checkpoint`.
    pub log_start: Offset,
}

impl<D: Disk> CheckpointHandle<D> {
    /// Waits for the medium, and says at which offset the snapshot is that survives a power cut now: tell the log, with
    /// [`Log::mark_checkpointed`]. No batch waits for this, so a failure is none of the log's.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn sync(&self) -> Result<Offset, LogError> {
        for (file, path) in &self.files {
            file.sync_data().context("sync", path)?;
        }
        self.disk.sync_dir(&self.dir).context("sync", &self.dir)?;
        Ok(self.snapshot)
    }
}

impl<D: Disk> Log<D> {
    /// Whether a snapshot of the producers is due: a segment was begun, or none was found when the log was opened.
    /// Whoever appends asks for it once everything that the producers are known by has been appended.
    pub fn wants_snapshot(&self) -> bool {
        self.snapshots.wanted && !self.fenced
    }

    /// Writes the snapshot of the log's end: `producers` are those of all batches below it, the longest silent
    /// first. The last two are kept. It is not synced; see [`Log::checkpoint`].
    ///
    /// # Errors
    /// [`LogError::Io`]: without it the next open reads more, so the log is as good as before. [`LogError::Fenced`].
    pub fn write_snapshot(&mut self, producers: &[ProducerEntry]) -> Result<(), LogError> {
        self.snapshot_file(producers).map(|_| ())
    }

    fn snapshot_file(&mut self, producers: &[ProducerEntry]) -> Result<Option<(D::File, PathBuf)>, LogError> {
        self.check_not_fenced()?;
        self.snapshots.wanted = false;
        let offset = self.log_end();
        if self.snapshots.offsets.last() == Some(&offset) {
            return Ok(None);
        }
        let file = snapshot::write(&self.disk, &self.dir, offset, producers)?;
        self.snapshots.offsets.push(offset);
        for old in self.snapshots.drop_old() {
            remove_snapshot(&self.disk, &self.dir, old)?;
        }
        Ok(Some((file, self.dir.join(segment_file_name(offset, snapshot::EXTENSION)))))
    }

    /// Writes a snapshot of the log's end, as [`Log::write_snapshot`], and gives what another thread needs to make it
    /// and what is promised of the last segment survive a power cut. Nothing where that has been done since the last
    /// append.
    ///
    /// # Errors
    /// As [`Log::write_snapshot`].
    pub fn checkpoint(&mut self, producers: &[ProducerEntry]) -> Result<Option<CheckpointHandle<D>>, LogError> {
        let log_end = self.log_end();
        if self.snapshots.durable == Some(log_end) {
            return Ok(None);
        }
        let mut files: Vec<(D::File, PathBuf)> = self.snapshot_file(producers)?.into_iter().collect();
        files.extend(self.active().share_digest()?);
        Ok(Some(CheckpointHandle {
            disk: self.disk.clone(),
            dir: self.dir.clone(),
            files,
            snapshot: log_end,
            recovery_point: self.flushed_through,
            log_start: self.log_start,
        }))
    }

    /// Notes that a [`CheckpointHandle::sync`] succeeded.
    pub fn mark_checkpointed(&mut self, snapshot: Offset) {
        if self.snapshots.offsets.contains(&snapshot) {
            self.snapshots.durable = self.snapshots.durable.max(Some(snapshot));
        }
    }

    /// Takes back, durably, what is promised of the offsets from `offset` on, which are about to be cut away: the next
    /// open must neither miss them nor take a producer's word for them.
    pub(super) fn take_back(&mut self, offset: Offset) -> Result<(), LogError> {
        self.snapshots.offsets = remove_above(&self.disk, &self.dir, &self.snapshots.offsets, offset)?;
        self.snapshots.durable = self.snapshots.durable.filter(|durable| *durable <= offset);
        for segment in self.segments.iter_mut().filter(|segment| segment.next_offset > offset) {
            segment.take_back_promise(&self.disk)?;
        }
        self.disk.sync_dir(&self.dir).context("sync", &self.dir)
    }
}
