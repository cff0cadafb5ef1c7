//! `N.digest`: what is known of a segment without reading it. Kafka has no such file, and its tools pass it over.
//!
//! A digest is a promise about the bytes below `len`: they were synced, the log ended there at `next_offset`, and the
//! index files beside began with so many entries of this CRC. So an open takes a segment whose file is as long as its
//! digest says without reading a byte of it; of the last segment only what lies behind the digest is read; and what is
//! missing or unreadable below it was acknowledged, and is damage.
//!
//! Invariants: a digest is written after the sync that it speaks of has returned, and made smaller, durably, before the
//! segment is. It is never needed: without it a segment is read from its first byte.

use crate::Offset;
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use crate::recovery::Indexer;
use crate::segment_file_name;
use std::io;
use std::path::{Path, PathBuf};

/// Extension of a digest.
pub(crate) const EXTENSION: &str = "digest";
/// Bytes of a digest. It lies in one sector, so that a torn write leaves the old one or none.
pub(crate) const DIGEST_BYTES: usize = 120;

const MAGIC: [u8; 4] = *b"PLD1";
/// Where the CRC begins to count.
const CRC_FROM: usize = 8;

/// The entries of an index file, and the CRC-32C of their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct IndexDigest {
    pub(crate) entries: u32,
    pub(crate) crc: u32,
}

/// What is known of a segment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Digest {
    pub(crate) base_offset: Offset,
    /// Bytes of the batches that this speaks of.
    pub(crate) len: u64,
    /// One past the last offset of them.
    pub(crate) next_offset: Offset,
    /// Whether the segment was closed: it has a successor, or was about to get one.
    pub(crate) sealed: bool,
    /// Whether it is known that each batch begins just where the one before it ends, the first at the base offset.
    pub(crate) dense: bool,
    /// Largest timestamp of the first batch.
    pub(crate) first_timestamp: Option<i64>,
    /// Where the giving of index entries stood.
    pub(crate) indexer: Indexer,
    pub(crate) offset_index: IndexDigest,
    pub(crate) time_index: IndexDigest,
    pub(crate) txn_index: IndexDigest,
}

impl Digest {
    pub(crate) fn encode(&self) -> [u8; DIGEST_BYTES] {
        let mut bytes = Vec::with_capacity(DIGEST_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        let flags =
            u32::from(self.sealed) | u32::from(self.first_timestamp.is_some()) << 1 | u32::from(self.dense) << 2;
        bytes.extend_from_slice(&flags.to_be_bytes());
        let state = &self.indexer;
        let numbers = [
            self.base_offset,
            self.len as i64,
            self.next_offset,
            self.first_timestamp.unwrap_or(0),
            state.bytes_since_entry as i64,
            state.last_time_entry,
            state.max_timestamp,
            state.max_timestamp_offset,
            state.max_record_timestamp,
        ];
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
        for index in [self.offset_index, self.time_index, self.txn_index] {
            bytes.extend_from_slice(&index.entries.to_be_bytes());
            bytes.extend_from_slice(&index.crc.to_be_bytes());
        }
        bytes.extend_from_slice(&state.last_epoch.to_be_bytes());
        let mut out = [0; DIGEST_BYTES];
        out[..bytes.len()].copy_from_slice(&bytes);
        let crc = crc32c::crc32c(&out[CRC_FROM..]);
        out[4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// The digest that `bytes` hold for the segment at `base_offset`, if they are one. Index entries are given every
    /// `interval_bytes` from there on.
    pub(crate) fn decode(bytes: &[u8], base_offset: Offset, interval_bytes: u32) -> Option<Self> {
        let bytes: &[u8; DIGEST_BYTES] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..4] != MAGIC || crc32c::crc32c(&bytes[CRC_FROM..]) != word(4) {
            return None;
        }
        let number = |index: usize| {
            let at = 12 + 8 * index;
            i64::from(word(at)) << 32 | i64::from(word(at + 4))
        };
        let index = |index: usize| {
            let at = 12 + 8 * (9 + index);
            IndexDigest { entries: word(at), crc: word(at + 4) }
        };
        let flags = word(8);
        let mut indexer = Indexer::new(base_offset, interval_bytes);
        indexer.bytes_since_entry = u64::try_from(number(4)).ok()?;
        indexer.last_time_entry = number(5);
        indexer.max_timestamp = number(6);
        indexer.max_timestamp_offset = number(7);
        indexer.max_record_timestamp = number(8);
        indexer.last_epoch = word(108) as i32;
        let digest = Self {
            base_offset: number(0),
            len: u64::try_from(number(1)).ok()?,
            next_offset: number(2),
            sealed: flags & 1 != 0,
            dense: flags & 4 != 0,
            first_timestamp: (flags & 2 != 0).then(|| number(3)),
            indexer,
            offset_index: index(0),
            time_index: index(1),
            txn_index: index(2),
        };
        let sound = digest.base_offset == base_offset
            && digest.next_offset >= base_offset
            && digest.next_offset - base_offset <= Offset::from(i32::MAX) + 1
            && (base_offset..=digest.next_offset).contains(&digest.indexer.max_timestamp_offset);
        sound.then_some(digest)
    }
}

/// The digest file of one segment.
#[derive(Debug)]
pub(crate) struct DigestFile<D: Disk> {
    path: PathBuf,
    file: Option<D::File>,
}

impl<D: Disk> DigestFile<D> {
    /// The file of the segment at `base_offset`; it need not exist.
    pub(crate) fn new(dir: &Path, base_offset: Offset) -> Self {
        Self { path: dir.join(segment_file_name(base_offset, EXTENSION)), file: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says; nothing where it is missing or damaged.
    pub(crate) fn read(&self, disk: &D, base_offset: Offset, interval_bytes: u32) -> Result<Option<Digest>, LogError> {
        let bytes = match disk.read_small(&self.path, 4 * DIGEST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                return Ok(None);
            }
            Err(error) => return Err(error).context("read", &self.path),
        };
        let digest = Digest::decode(&bytes, base_offset, interval_bytes);
        if digest.is_none() && !bytes.is_empty() {
            tracing::warn!(path = %self.path.display(), "a digest is damaged; its segment is read instead");
        }
        Ok(digest)
    }

    /// Writes `digest`, which after a power cut may be there or not.
    pub(crate) fn write(&mut self, disk: &D, digest: &Digest) -> Result<(), LogError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(disk.open(&self.path, true).context("open", &self.path)?),
        };
        file.write_at(&digest.encode(), 0).context("write", &self.path)
    }

    /// Another handle on the file, if it is open.
    pub(crate) fn share(&self) -> Result<Option<D::File>, LogError> {
        self.file.as_ref().map(DiskFile::try_clone).transpose().context("share", &self.path)
    }

    /// Lets go of the file; nothing more is written for now.
    pub(crate) fn release(&mut self) {
        self.file = None;
    }

    /// Takes the promise back. It may return at the next power cut until the directory is synced.
    pub(crate) fn remove(&mut self, disk: &D) -> Result<(), LogError> {
        self.file = None;
        match disk.remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove", &self.path),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        let mut indexer = Indexer::new(40, 4096);
        indexer.bytes_since_entry = 77;
        indexer.last_time_entry = 900;
        indexer.max_timestamp = 1_000;
        indexer.max_timestamp_offset = 60;
        indexer.max_record_timestamp = 999;
        indexer.last_epoch = 6;
        let index = |entries, crc| IndexDigest { entries, crc };
        Digest {
            base_offset: 40,
            len: 5_000,
            next_offset: 65,
            sealed: true,
            dense: true,
            first_timestamp: Some(-1),
            indexer,
            offset_index: index(3, 0xabcd),
            time_index: index(2, 0x1234_5678),
            txn_index: index(0, 0),
        }
    }

    #[test]
    fn a_digest_is_frozen_and_read_back() {
        let bytes = digest().encode();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let frozen = "504c4431 CRC 00000007 \
            0000000000000028 0000000000001388 0000000000000041 ffffffffffffffff \
            000000000000004d 0000000000000384 00000000000003e8 000000000000003c 00000000000003e7 \
            00000003 0000abcd 00000002 12345678 00000000 00000000 00000006 0000000000000000";
        let crc = format!("{:08x}", crc32c::crc32c(&bytes[CRC_FROM..]));
        let frozen: String = frozen.replace("CRC", &crc).split_whitespace().collect();
        assert_eq!(text, frozen);
        assert_eq!(Digest::decode(&bytes, 40, 4096), Some(digest()));
        assert_eq!(Digest::decode(&bytes, 41, 4096), None, "it is of another segment");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = digest().encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Digest::decode(&flipped, 40, 4096), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Digest::decode(&bytes[..len], 40, 4096), None, "{len} bytes");
        }
    }
}
