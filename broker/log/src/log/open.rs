//! Opening: what is on the medium becomes a log again, after a clean stop and after a crash alike.

use super::Log;
use crate::checkpoint::{self, EpochEntry};
use crate::disk::Disk;
use crate::disk::DiskFile;
use crate::error::{IoContext, LogError};
use crate::recovery::{BatchSummary, SegmentScan, TxnReplay, scan_segment};
use crate::segment::{INDEX_EXTENSIONS, Segment};
use crate::{LogConfig, Offset, segment_file_name};
use std::path::{Path, PathBuf};

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// First offset that is kept.
    pub log_start: Offset,
    /// One past the last offset.
    pub log_end: Offset,
    /// Bytes that were cut from the end of the last segment because they were no whole batch. Reserved
    /// space is not counted.
    pub truncated_bytes: u64,
    /// Leader epochs and where they begin, in order.
    pub leader_epochs: Vec<EpochEntry>,
}

impl<D: Disk> Log<D> {
    /// Opens the log in `dir`, or begins one there. Every batch is shown to `visit` in offset order, so that
    /// the caller finds its producers and open transactions again.
    ///
    /// The last segment is read whole and its CRCs are checked: what is torn at its end is cut. Of the
    /// others only the headers are read. When this returns, everything in the log survives a power cut.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when a segment that is not the last cannot be read, [`LogError::WrongTopicId`],
    /// [`LogError::Checkpoint`], [`LogError::Io`].
    pub fn open(
        disk: D,
        dir: impl Into<PathBuf>,
        config: LogConfig,
        topic_id: u128,
        visit: &mut dyn FnMut(&BatchSummary),
    ) -> Result<(Self, Recovered), LogError> {
        let dir = dir.into();
        let names_synced = create_dir_synced(&disk, &dir)?;
        let has_topic_id = checkpoint::check_topic_id(&disk, &dir, topic_id)?;
        let bases = clean_names(&disk, &dir)?;
        let mut epochs = checkpoint::read_epochs(&disk, &dir)?;
        let epochs_on_file = epochs.clone();
        let start = checkpoint::read_start(&disk, &dir)?;
        let mut opening = Opening { disk: &disk, dir: &dir, config: &config, epochs: &mut epochs, visit };
        let (mut segments, truncated_bytes) = opening.load_segments(&bases)?;
        if segments.is_empty() {
            segments.push(Segment::create(&disk, &dir, start.unwrap_or(0), &config)?);
            if has_topic_id {
                disk.sync_dir(&dir).context("sync", &dir)?;
            }
        }
        if !has_topic_id {
            // This syncs the names too, so a new partition waits for that once.
            checkpoint::write_topic_id(&disk, &dir, topic_id)?;
        }
        let log_end = segments.last().map_or(0, |segment| segment.next_offset);
        let log_start = segments[0].base_offset.max(start.unwrap_or(0));
        let mut log = Self {
            disk,
            dir,
            config,
            segments,
            log_start,
            epochs,
            flushed_through: log_end,
            names_synced,
            fenced: false,
        };
        if log_start > log_end {
            // Deleted up to there, and what was above it is lost: going on below would hide new records.
            log.reset_to(log_start)?;
        }
        let log_end = log.log_end();
        checkpoint::truncate_epochs_to(&mut log.epochs, log_end);
        checkpoint::truncate_epochs_before(&mut log.epochs, log_start);
        if log.epochs != epochs_on_file {
            log.save_epochs();
        }
        let leader_epochs = log.epochs.clone();
        Ok((log, Recovered { log_start, log_end, truncated_bytes, leader_epochs }))
    }
}

struct Opening<'a, D: Disk> {
    disk: &'a D,
    dir: &'a Path,
    config: &'a LogConfig,
    epochs: &'a mut Vec<EpochEntry>,
    visit: &'a mut dyn FnMut(&BatchSummary),
}

impl<D: Disk> Opening<'_, D> {
    /// Scans and loads the segments that begin at `bases`, in order; also says how many bytes were torn.
    fn load_segments(&mut self, bases: &[Offset]) -> Result<(Vec<Segment<D>>, u64), LogError> {
        let mut segments: Vec<Segment<D>> = Vec::with_capacity(bases.len());
        let mut replay = TxnReplay::default();
        let mut truncated_bytes = 0;
        for (index, &base_offset) in bases.iter().enumerate() {
            let next_base = bases.get(index + 1).copied();
            let path = self.dir.join(segment_file_name(base_offset, "log"));
            let file = self.disk.open(&path, false).context("open", &path)?;
            let mut aborted = Vec::new();
            let Self { config, epochs, visit, .. } = self;
            let scan = scan_segment(
                &file,
                &path,
                base_offset,
                config.index_interval_bytes,
                next_base.is_none(),
                &mut |batch| {
                    checkpoint::assign_epoch(epochs, batch.header.partition_leader_epoch, batch.header.base_offset);
                    aborted.extend(replay.on_batch(batch));
                    visit(batch);
                },
            )?;
            match next_base {
                Some(next_base) => check_sealed(&scan, &path, next_base, self.config.compact)?,
                None => {
                    truncated_bytes = scan.torn_bytes();
                    report_torn(&scan, &path);
                }
            }
            let segment = Segment::load(self.disk, self.dir, base_offset, file, scan, aborted, next_base.is_some())?;
            // After a kill the end of the log may be in memory only. It is about to be shown to readers, so
            // it must not vanish at the next power cut.
            if next_base.is_none() && (segment.len > 0 || truncated_bytes > 0) {
                segment.file.sync_data().context("sync", &segment.path)?;
            }
            segments.push(segment);
        }
        Ok((segments, truncated_bytes))
    }
}

/// A segment that has a successor was synced before the successor was begun: whatever is missing is damage.
fn check_sealed(scan: &SegmentScan, path: &Path, next_base: Offset, compact: bool) -> Result<(), LogError> {
    let position = scan.valid_len;
    let damaged = |reason: String| Err(LogError::Damaged { path: path.to_owned(), position, reason });
    if scan.next_offset > next_base {
        return damaged(format!("it reaches offset {}, into the next segment at {next_base}", scan.next_offset - 1));
    }
    let gap = scan.next_offset < next_base;
    match &scan.stop {
        Some(stop) if stop.data_end > position => damaged(stop.reason.clone()),
        Some(_) if gap => damaged(format!("there are zeros where the batches up to offset {next_base} should be")),
        None if gap && !compact => damaged(format!("it ends before offset {next_base}, where the next segment begins")),
        _ => Ok(()),
    }
}

fn report_torn(scan: &SegmentScan, path: &Path) {
    if let Some(stop) = &scan.stop
        && scan.torn_bytes() > 0
    {
        tracing::warn!(
            path = %path.display(),
            position = scan.valid_len,
            bytes = scan.torn_bytes(),
            reason = stop.reason,
            "the end of the log is torn and is cut"
        );
    }
}

/// Creates `dir` so that it is still there after a power cut. Says whether it was new.
fn create_dir_synced<D: Disk>(disk: &D, dir: &Path) -> Result<bool, LogError> {
    let mut missing = Vec::new();
    for ancestor in dir.ancestors().filter(|ancestor| !ancestor.as_os_str().is_empty()) {
        if disk.exists(ancestor).context("look for", ancestor)? {
            break;
        }
        missing.push(ancestor);
    }
    if missing.is_empty() {
        return Ok(false);
    }
    disk.create_dir_all(dir).context("create", dir)?;
    for ancestor in missing.into_iter().rev() {
        let parent = ancestor.parent().unwrap_or(Path::new("."));
        disk.sync_dir(parent).context("sync", parent)?;
    }
    Ok(true)
}

/// The base offsets of the segments in `dir`, in order. What a crash left half done is removed: files that
/// never got their name, and indexes whose segment is gone.
fn clean_names<D: Disk>(disk: &D, dir: &Path) -> Result<Vec<Offset>, LogError> {
    let names = disk.list(dir).context("list", dir)?;
    let base_of = |name: &str, extension: &str| -> Option<Offset> {
        let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
        (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
    };
    let bases: Vec<Offset> = names.iter().filter_map(|name| base_of(name, "log")).collect();
    for name in &names {
        let index_of = INDEX_EXTENSIONS.iter().find_map(|extension| base_of(name, extension));
        let orphan = index_of.is_some_and(|base| bases.binary_search(&base).is_err());
        if orphan || name.ends_with(".tmp") {
            let path = dir.join(name);
            disk.remove_file(&path).context("remove", &path)?;
        }
    }
    Ok(bases)
}
