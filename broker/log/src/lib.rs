//! The log of one partition, in Kafka's files: segments, offset and time indexes, aborted transactions,
//! leader epochs, recovery, retention. `FORMAT.md` beside this crate says every byte.
//!
//! What this room does: [`Log`] appends whole record batches of format version 2, reads them back by
//! offset or timestamp, and after a crash keeps exactly what was whole. It looks at the 61-byte header and
//! the CRC of a batch; only a search by timestamp opens its records.
//!
//! What it does not do: it decides nothing (offsets, epochs and watermarks are given to it), it has no
//! threads and no clock, and it answers nobody. It is synchronous; a [`FlushHandle`] lets another thread
//! wait for the medium. All input and output goes through [`Disk`], so that a simulation can tear it.
//!
//! Invariants:
//! - What a successful [`FlushHandle::sync`] covered survives a power cut.
//! - A segment is synced, and its successor's directory entry too, before the successor gets its first
//!   byte. Only the last segment can be torn; damage anywhere else is an error and never cut away.
//! - Indexes and the aborted-transaction index follow from the segments; losing them loses nothing.

mod checkpoint;
pub mod compaction;
mod config;
mod digest;
pub mod disk;
mod error;
mod index;
pub mod inspect;
mod log;
mod recovery;
mod segment;
pub mod snapshot;
mod window;

pub use checkpoint::{EpochEntry, LOG_START_FILE, OffsetCheckpoint, RECOVERY_POINT_FILE, read_offsets, write_offsets};
pub use config::LogConfig;
pub use disk::{Disk, DiskFile, OsDisk, SimDisk};
pub use error::LogError;
pub use index::AbortedTxn;
pub use log::{CheckpointHandle, FlushHandle, Log, LogSlice, Opening, Recovered, TimestampOffset, Trimmed};
pub use recovery::BatchSummary;
pub use segment::Unchecked;
pub use snapshot::{ProducerBatch, ProducerEntry};

/// Position of a record in a partition.
pub type Offset = i64;

/// The name of a file that belongs to the segment with this base offset: 20 digits and the extension.
pub fn segment_file_name(base_offset: Offset, extension: &str) -> String {
    format!("{base_offset:020}.{extension}")
}
