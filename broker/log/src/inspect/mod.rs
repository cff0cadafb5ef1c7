//! Reading the files of a log as they are, whoever wrote them: what is in them, and what is wrong with them.
//!
//! What this room does: it names files by what they hold ([`FileKind`]), reads each kind ([`SegmentReader`], [`index`],
//! [`promise`], [`text`], and [`crate::snapshot::decode`]), checks the files of a partition against each other ([`verify_partition`]) and those of a log directory
//! against its partitions ([`verify_directory`]), and plans and carries out the repair of a partition ([`repair`]).
//!
//! What it does not do: it opens no [`crate::Log`], serves nobody, and takes nothing that it reads for granted. Reading changes
//! nothing on the medium; only [`repair::apply`] writes, and first keeps a copy of what it takes away.
//!
//! Invariant: no content of a file makes a reader panic, or take more memory than a constant and a constant times the file's own
//! length, up to the caps named here.
//!
//! Record batches of format version 2 alone are opened. Messages of versions 0 and 1, which Kafka wrote before 0.11, are known for what
//! they are, counted and passed over ([`Piece::Old`]).

mod check;
mod directory;
pub mod index;
mod partition;
pub mod promise;
pub mod repair;
mod segment;
pub mod text;

pub use directory::{DirectoryReport, verify_directory};
pub use partition::{Checks, Compaction, PartitionReport, SegmentReport, verify_partition};
pub use segment::{BatchAt, OldMessage, Piece, SegmentReader, check_records};

#[cfg(test)]
mod tests;

use crate::Offset;
use crate::disk::{Disk, DiskFile, OsDisk, OsFile};
use std::io;
use std::path::{Path, PathBuf};

/// The largest snapshot of producers that is read, in bytes: more than five million producers.
pub const MAX_SNAPSHOT_BYTES: u64 = 256 << 20;
/// Findings of one partition or directory that are kept; further ones are counted.
pub const MAX_FINDINGS: usize = 1_000;

/// Where files are read from, and nothing is written.
pub trait Files {
    /// An open file.
    type File: DiskFile;

    /// The names in `dir`, sorted.
    ///
    /// # Errors
    /// The operating system's, as in every method here.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens the file at `path`.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
}

/// The operating system's files, opened for reading alone: that needs no right to write, and wakes nobody who watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOnly;

impl Files for ReadOnly {
    type File = OsFile;

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<OsFile> {
        OsFile::open_to_read(path)
    }
}

/// Any [`Disk`], for those who hold one already.
#[derive(Debug, Clone)]
pub struct Through<D>(pub D);

impl<D: Disk> Files for Through<D> {
    type File = D::File;

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<D::File> {
        self.0.open(path, false)
    }
}

/// What a file holds, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `N.log`: record batches.
    Segment(Offset),
    /// `N.index`: offset to position.
    OffsetIndex(Offset),
    /// `N.timeindex`: timestamp to offset.
    TimeIndex(Offset),
    /// `N.txnindex`: aborted transactions.
    TxnIndex(Offset),
    /// `N.snapshot`: the state of producers just before offset N.
    Snapshot(Offset),
    /// `N.digest`: what was promised of the segment, by a broker of this kind alone.
    Digest(Offset),
    /// `leader-epoch-checkpoint`.
    LeaderEpochs,
    /// A checkpoint of a log directory: a line for each partition, with an offset.
    OffsetCheckpoint,
    /// `partition.metadata`: the topic id.
    PartitionMetadata,
    /// `meta.properties`: whose directory it is.
    MetaProperties,
    /// `.kafka_cleanshutdown`: a broker left the directory in order.
    CleanShutdown,
    /// What an interrupted change left behind: `.tmp`, `.cleaned`, `.swap`, `.deleted`.
    Leftover,
    /// Anything else.
    Other,
}

/// Names of the checkpoints that hold an offset for each partition.
const OFFSET_CHECKPOINTS: [&str; 4] = [
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint",
];

impl FileKind {
    /// What a file of this name holds.
    pub fn of(name: &str) -> Self {
        match name {
            "leader-epoch-checkpoint" => return Self::LeaderEpochs,
            "partition.metadata" => return Self::PartitionMetadata,
            "meta.properties" => return Self::MetaProperties,
            ".kafka_cleanshutdown" => return Self::CleanShutdown,
            name if OFFSET_CHECKPOINTS.contains(&name) => return Self::OffsetCheckpoint,
            _ => {}
        }
        let Some((stem, extension)) = name.rsplit_once('.') else { return Self::Other };
        if ["tmp", "cleaned", "swap", "deleted"].contains(&extension) {
            return Self::Leftover;
        }
        let digits = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
        match (digits.then(|| stem.parse::<Offset>().ok()).flatten(), extension) {
            (Some(base), "log") => Self::Segment(base),
            (Some(base), "index") => Self::OffsetIndex(base),
            (Some(base), "timeindex") => Self::TimeIndex(base),
            (Some(base), "txnindex") => Self::TxnIndex(base),
            (Some(base), "snapshot") => Self::Snapshot(base),
            (Some(base), "digest") => Self::Digest(base),
            _ => Self::Other,
        }
    }

    /// The base offset of the segment that the file belongs to, or is.
    fn of_segment(self) -> Option<Offset> {
        match self {
            Self::Segment(base)
            | Self::OffsetIndex(base)
            | Self::TimeIndex(base)
            | Self::TxnIndex(base)
            | Self::Digest(base) => Some(base),
            _ => None,
        }
    }
}

/// The topic and the partition whose directory has this name. What a directory is called while it is deleted, moved or kept
/// aside (`t-0.ID-delete`) is none.
pub fn topic_partition(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let digits = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !topic.is_empty()).then(|| partition.parse().ok()).flatten().map(|partition| (topic, partition))
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something was written and is not there any more as it was.
    Damage,
    /// Worth knowing, and no reason to distrust the data.
    Warning,
}

/// What [`repair`] can do about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing: restore the file from a replica or a backup.
    None,
    /// Cut the segment where its whole batches end.
    Cut,
    /// Write the segment's index files again.
    Reindex,
    /// Put the file aside; the broker makes it again.
    SetAside,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub position: Option<u64>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub reason: String,
    /// What can be done.
    pub remedy: Remedy,
}

/// Findings up to a bound.
#[derive(Debug, Default)]
pub struct Findings {
    /// The first [`MAX_FINDINGS`].
    pub list: Vec<Finding>,
    /// How many more damages there were.
    pub omitted: u64,
}

impl Findings {
    fn push(&mut self, path: &Path, position: Option<u64>, severity: Severity, remedy: Remedy, reason: String) {
        if self.list.len() < MAX_FINDINGS {
            self.list.push(Finding { path: path.to_owned(), position, severity, reason, remedy });
        } else if severity == Severity::Damage {
            self.omitted += 1;
        }
    }

    fn damage(&mut self, path: &Path, position: Option<u64>, remedy: Remedy, reason: impl Into<String>) {
        self.push(path, position, Severity::Damage, remedy, reason.into());
    }

    fn warn(&mut self, path: &Path, position: Option<u64>, remedy: Remedy, reason: impl Into<String>) {
        self.push(path, position, Severity::Warning, remedy, reason.into());
    }

    /// How many damages there are, with those that are not listed.
    pub fn damages(&self) -> u64 {
        self.list.iter().filter(|finding| finding.severity == Severity::Damage).count() as u64 + self.omitted
    }
}

/// Reads a file whole.
///
/// # Errors
/// The operating system's; [`io::ErrorKind::InvalidData`] for one that is longer than `max_bytes`.
pub fn read_whole<F: DiskFile>(file: &F, max_bytes: u64) -> io::Result<Vec<u8>> {
    let len = file.len()?;
    if len > max_bytes {
        let reason = format!("the file has {len} bytes, and one of its kind never has more than {max_bytes}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let mut bytes = vec![0; len as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}
