//! Opening: what is on the medium becomes a log again, after a clean stop and after a crash alike.

use super::Log;
use super::keep::Snapshots;
use super::load::{Loaded, Loading};
use crate::checkpoint::{self, EpochEntry};
use crate::disk::Disk;
use crate::error::{IoContext, LogError};
use crate::recovery::BatchSummary;
use crate::segment::{INDEX_EXTENSIONS, Segment};
use crate::snapshot::{self, ProducerEntry};
use crate::{LogConfig, Offset};
use std::path::{Path, PathBuf};

/// What the caller knows of a log that it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Id of the topic that the directory must belong to.
    pub topic_id: u128,
    /// Whether the directory of logs was left by a clean stop: then everything in it is durable, and whatever cannot
    /// be read is damage.
    pub clean: bool,
    /// What `recovery-point-offset-checkpoint` says: everything below it is durable. It counts only where the log's
    /// own files do not tell it.
    pub recovery_point: Option<Offset>,
    /// What the `log-start-offset-checkpoint` of the directory of logs says. The log's own file goes before it.
    pub log_start: Option<Offset>,
}

impl Opening {
    /// The caller knows the topic's id and nothing else.
    pub fn of(topic_id: u128) -> Self {
        Self { topic_id, clean: false, recovery_point: None, log_start: None }
    }
}

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
    /// The producers as they stood at `visited_from`.
    pub producers: Vec<ProducerEntry>,
    /// The batches from this offset on were shown to the visitor; what came before is in `producers`.
    pub visited_from: Offset,
}

impl<D: Disk> Log<D> {
    /// Opens the log in `dir`, or begins one there. The batches from [`Recovered::visited_from`] on are shown to
    /// `visit` in offset order, so that the caller finds its producers and open transactions again; what came before is
    /// in [`Recovered::producers`].
    ///
    /// A segment that is as its digest says is not read at all, the last one only behind its digest, with its CRCs; what
    /// is torn there is cut. Where the digest is lost, the headers are read, and of the last segment the CRCs above the
    /// recovery point. When this returns, everything in the log survives a power cut.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when something is missing or cannot be read that was synced once; nothing is changed then.
    /// [`LogError::WrongTopicId`], [`LogError::Checkpoint`], [`LogError::Io`].
    pub fn open(
        disk: D,
        dir: impl Into<PathBuf>,
        config: LogConfig,
        opening: Opening,
        visit: &mut dyn FnMut(&BatchSummary),
    ) -> Result<(Self, Recovered), LogError> {
        let dir = dir.into();
        let Opening { topic_id, .. } = opening;
        let names_synced = create_dir_synced(&disk, &dir)?;
        let has_topic_id = checkpoint::check_topic_id(&disk, &dir, topic_id)?;
        super::replace::finish_replacements(&disk, &dir)?;
        let Names { bases, snapshots } = clean_names(&disk, &dir)?;
        let mut epochs = checkpoint::read_epochs(&disk, &dir)?;
        let epochs_on_file = epochs.clone();
        let own_start = checkpoint::read_start(&disk, &dir)?;
        let mut loading =
            Loading { disk: &disk, dir: &dir, config: &config, opening: &opening, epochs: &mut epochs, visit };
        let Loaded { mut segments, truncated_bytes, producers, visited_from, snapshots } =
            loading.load(&bases, &snapshots)?;
        // What the log's own file says is durable and goes before; the other may be of an older log.
        let told = opening.log_start.filter(|start| segments.last().is_some_and(|last| *start <= last.next_offset));
        let start = own_start.or(told);
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
            flush_is_due: false,
            snapshots: Snapshots::found(snapshots),
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
        log.snapshots.wanted = visited_from < log_end;
        let recovered = Recovered {
            log_start,
            log_end,
            truncated_bytes,
            leader_epochs,
            producers,
            visited_from: visited_from.min(log_end),
        };
        Ok((log, recovered))
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

/// The files of a partition by their names, in order.
struct Names {
    /// Base offsets of the segments.
    bases: Vec<Offset>,
    /// Offsets of the snapshots.
    snapshots: Vec<Offset>,
}

/// What is in `dir`. What a crash left half done is removed: files that never got their name, and indexes whose segment
/// is gone.
fn clean_names<D: Disk>(disk: &D, dir: &Path) -> Result<Names, LogError> {
    let names = disk.list(dir).context("list", dir)?;
    let offset_of = |name: &str, extension: &str| -> Option<Offset> {
        let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
        (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
    };
    let bases: Vec<Offset> = names.iter().filter_map(|name| offset_of(name, "log")).collect();
    let snapshots = names.iter().filter_map(|name| offset_of(name, snapshot::EXTENSION)).collect();
    for name in &names {
        let index_of = INDEX_EXTENSIONS.iter().find_map(|extension| offset_of(name, extension));
        let orphan = index_of.is_some_and(|base| bases.binary_search(&base).is_err());
        if orphan || name.ends_with(".tmp") {
            let path = dir.join(name);
            disk.remove_file(&path).context("remove", &path)?;
        }
    }
    Ok(Names { bases, snapshots })
}
