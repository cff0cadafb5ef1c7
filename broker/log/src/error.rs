//! What can go wrong with a log: one fact each.

use crate::Offset;
use pelton_record::BatchError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a log could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A part of the log that was synced long ago cannot be read any more. Nothing is cut away: restore the
    /// file from a replica or a backup, or move the partition's directory aside to begin it anew.
    #[error("{} is damaged at byte {position}: {reason}; restore it from a replica or a backup", path.display())]
    Damaged {
        /// The segment file.
        path: PathBuf,
        /// Where the first batch that cannot be read begins.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory holds another topic, or another creation of the same one.
    #[error("{} belongs to the topic id {found:032x}, not {expected:032x}; move it aside", path.display())]
    WrongTopicId {
        /// The `partition.metadata` file.
        path: PathBuf,
        /// The topic id that the caller named.
        expected: u128,
        /// The topic id that the file names.
        found: u128,
    },
    /// A small text file of the partition does not follow its format.
    #[error("{} cannot be understood: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Which rule it breaks.
        reason: String,
    },
    /// The offset is not within the log.
    #[error("offset {offset} lies outside of the log, which holds {log_start} to {log_end}")]
    OffsetOutOfRange {
        /// The offset that was asked for.
        offset: Offset,
        /// First offset of the log.
        log_start: Offset,
        /// One past the last offset of the log.
        log_end: Offset,
    },
    /// The batch to be appended does not follow the log's last one.
    #[error("the batch begins at offset {found}, but the log ends at {expected}")]
    OutOfOrder {
        /// Where the log ends.
        expected: Offset,
        /// Where the batch begins.
        found: Offset,
    },
    /// The batch to be appended does not follow its own format.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// An earlier write failed and could not be undone; the log takes no more batches until it is opened again.
    #[error("an earlier write to {} failed; open the log again to recover it", path.display())]
    Fenced {
        /// The partition's directory.
        path: PathBuf,
    },
}

impl LogError {
    /// Whether there is no room for what was to be written: the disk is full, or a quota is used up. Nothing is wrong
    /// with the medium, and the same write succeeds once room was made.
    pub fn is_out_of_space(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

pub(crate) trait IoContext<T> {
    /// Names the file and what was tried in an error of the operating system.
    fn context(self, action: &'static str, path: &Path) -> Result<T, LogError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, LogError> {
        self.map_err(|source| LogError::Io { action, path: path.to_owned(), source })
    }
}
