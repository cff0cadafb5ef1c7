//! The entries of index files. Kafka reserves ten megabytes for the index that it is writing, so zeros at the end are no entries.

use super::read_whole;
use crate::Offset;
use crate::disk::DiskFile;
use crate::index::{AbortedTxn, IndexEntry};
use std::io;

/// The largest index file that is read, in bytes; Kafka's default bound is 10 MiB.
pub const MAX_INDEX_BYTES: u64 = 256 << 20;

/// An entry of `N.index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetEntry {
    /// Last offset of the batch, or of the last of several that were appended together.
    pub offset: Offset,
    /// Where that batch, or the first of them, begins.
    pub position: u32,
}

/// An entry of `N.timeindex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeEntry {
    /// Largest timestamp so far, in milliseconds.
    pub timestamp: i64,
    /// An offset of the batch that has it.
    pub offset: Offset,
}

/// What an index file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries<E> {
    /// The entries in order.
    pub entries: Vec<E>,
    /// Zeros behind the last entry, in bytes.
    pub reserved_bytes: u64,
    /// Bytes behind the last whole entry.
    pub surplus_bytes: u64,
}

/// Reads `N.index`, where N is `base_offset`.
///
/// # Errors
/// The operating system's, and [`io::ErrorKind::InvalidData`] for a file larger than [`MAX_INDEX_BYTES`]; in every function here.
pub fn read_offset_index<F: DiskFile>(file: &F, base_offset: Offset) -> io::Result<Entries<OffsetEntry>> {
    Ok(entries(&read_whole(file, MAX_INDEX_BYTES)?, |entry: crate::index::OffsetEntry| OffsetEntry {
        offset: base_offset.saturating_add(Offset::from(entry.relative_offset)),
        position: entry.position,
    }))
}

/// Reads `N.timeindex`, where N is `base_offset`.
pub fn read_time_index<F: DiskFile>(file: &F, base_offset: Offset) -> io::Result<Entries<TimeEntry>> {
    Ok(entries(&read_whole(file, MAX_INDEX_BYTES)?, |entry: crate::index::TimeEntry| TimeEntry {
        timestamp: entry.timestamp,
        offset: base_offset.saturating_add(Offset::from(entry.relative_offset)),
    }))
}

/// Reads `N.txnindex`: each entry's version beside it.
pub fn read_txn_index<F: DiskFile>(file: &F) -> io::Result<Entries<(i16, AbortedTxn)>> {
    let bytes = read_whole(file, MAX_INDEX_BYTES)?;
    let Entries { entries, reserved_bytes, surplus_bytes } = entries(&bytes, |entry: AbortedTxn| entry);
    let versions = bytes.chunks_exact(AbortedTxn::LEN).map(|entry| i16::from_be_bytes([entry[0], entry[1]]));
    Ok(Entries { entries: versions.zip(entries).collect(), reserved_bytes, surplus_bytes })
}

fn entries<E: IndexEntry, T>(bytes: &[u8], shown: impl Fn(E) -> T) -> Entries<T> {
    let whole = bytes.len() / E::LEN * E::LEN;
    let data_end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // An entry of zeros is one only in the first place: nothing that comes later has offset and position zero.
    let first_may_be_zero = usize::from(whole == E::LEN);
    let count = data_end.div_ceil(E::LEN).max(first_may_be_zero).min(whole / E::LEN);
    Entries {
        entries: bytes.chunks_exact(E::LEN).take(count).map(|entry| shown(E::decode(entry))).collect(),
        reserved_bytes: (whole - count * E::LEN) as u64,
        surplus_bytes: (bytes.len() - whole) as u64,
    }
}
