//! `N.digest`: what a broker of this kind knows of a segment without reading it, and so what must be there.

use super::read_whole;
use crate::Offset;
use crate::digest::{DIGEST_BYTES, Digest};
use crate::disk::DiskFile;
use std::io;

/// What is promised of a segment: so much of it was synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Bytes of batches that were synced.
    pub len_bytes: u64,
    /// One past the last offset of them.
    pub next_offset: Offset,
    /// Whether the segment was closed.
    pub sealed: bool,
    /// Whether each batch of them begins just where the one before it ends, the first at the base offset.
    pub dense: bool,
    /// Largest timestamp of the segment then, in milliseconds; -1 for none.
    pub max_timestamp: i64,
}

/// Reads the digest of the segment at `base_offset`.
///
/// # Errors
/// Says what is wrong with it, in the inner result; the operating system's otherwise.
pub fn read<F: DiskFile>(file: &F, base_offset: Offset) -> io::Result<Result<Promise, String>> {
    let bytes = match read_whole(file, 4 * DIGEST_BYTES as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
    };
    let interval_bytes = crate::LogConfig::default().index_interval_bytes;
    Ok(match Digest::decode(&bytes, base_offset, interval_bytes) {
        Some(digest) => Ok(Promise {
            len_bytes: digest.len,
            next_offset: digest.next_offset,
            sealed: digest.sealed,
            dense: digest.dense,
            max_timestamp: digest.indexer.max_timestamp,
        }),
        None => Err("it is no digest of this segment: its CRC does not fit, or its offsets".to_owned()),
    })
}
