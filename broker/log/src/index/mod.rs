//! The index files of a segment: fixed-size entries in ascending order, searched on the medium.
//!
//! They follow from the segment, so nothing waits for them and a failed write of one is only a slower search. Those of
//! a segment that was opened by its digest alone are checked against its CRC before their first use, and written again
//! when they do not fit.

mod aborted;
mod offset;
mod time;

pub use aborted::AbortedTxn;
pub(crate) use offset::OffsetEntry;
pub(crate) use time::TimeEntry;

use crate::digest::IndexDigest;
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Bytes of an index that are read at a time to check it.
const CHECK_BYTES: usize = 256 << 10;

/// One entry of an index file.
pub(crate) trait IndexEntry: Copy + PartialEq {
    /// Bytes of an entry.
    const LEN: usize;
    /// Appends the entry, big endian.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads an entry from exactly [`IndexEntry::LEN`] bytes.
    fn decode(bytes: &[u8]) -> Self;
}

/// An index file. The file is opened when the first entry is written and closed when the segment is
/// sealed; a search of a sealed segment opens it for as long as it takes, so that the segments of idle
/// partitions hold no file descriptors.
#[derive(Debug)]
pub(crate) struct IndexFile<D: Disk, E> {
    path: PathBuf,
    file: Option<D::File>,
    entries: u64,
    /// CRC-32C of all entries.
    crc: u32,
    /// The last entry; nothing as well where it has not been read.
    last: Option<E>,
    entry: PhantomData<E>,
}

impl<D: Disk, E: IndexEntry> IndexFile<D, E> {
    /// The index at `path`, which holds nothing yet. A file that is there is emptied by the first write.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: None, entries: 0, crc: 0, last: None, entry: PhantomData }
    }

    /// Makes the file hold exactly `entries`, writing only if it does not already.
    pub(crate) fn load(disk: &D, path: PathBuf, entries: &[E]) -> Result<Self, LogError> {
        let wanted = encoded(entries);
        make_hold(disk, &path, &wanted)?;
        let crc = crc32c::crc32c(&wanted);
        Ok(Self { entries: entries.len() as u64, crc, last: entries.last().copied(), ..Self::new(path) })
    }

    /// The index at `path` as `digest` describes it, without a look at the file.
    pub(crate) fn promised(path: PathBuf, digest: IndexDigest) -> Self {
        Self { entries: u64::from(digest.entries), crc: digest.crc, ..Self::new(path) }
    }

    /// The file is at `path` now.
    pub(crate) fn rehome(&mut self, path: PathBuf) {
        self.path = path;
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.entries * E::LEN as u64
    }

    pub(crate) fn digest(&self) -> IndexDigest {
        IndexDigest { entries: u32::try_from(self.entries).unwrap_or(u32::MAX), crc: self.crc }
    }

    /// Whether the file is long enough for the entries that this index is said to have; with `sealed`, just that long.
    pub(crate) fn fits(&self, disk: &D, sealed: bool) -> Result<bool, LogError> {
        let file = match disk.open(&self.path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.entries == 0),
            opened => opened.context("open", &self.path)?,
        };
        let (len, there) = (self.len_bytes(), file.len().context("measure", &self.path)?);
        Ok(if sealed { there == len } else { there >= len })
    }

    /// Whether the file begins with the entries that this index is said to have; with `sealed`, whether it holds
    /// nothing else.
    pub(crate) fn is_whole(&self, disk: &D, sealed: bool) -> Result<bool, LogError> {
        if !disk.exists(&self.path).context("look for", &self.path)? {
            return Ok(self.entries == 0);
        }
        let file = disk.open(&self.path, false).context("open", &self.path)?;
        let (len, there) = (self.len_bytes(), file.len().context("measure", &self.path)?);
        if there < len || (sealed && there > len) {
            return Ok(false);
        }
        let mut buf = vec![0; CHECK_BYTES.min(len as usize)];
        let (mut at, mut crc) = (0, 0);
        while at < len {
            let wanted = buf.len().min((len - at) as usize);
            let read = file.read_at(&mut buf[..wanted], at).context("read", &self.path)?;
            if read == 0 {
                return Ok(false);
            }
            crc = crc32c::crc32c_append(crc, &buf[..read]);
            at += read as u64;
        }
        Ok(crc == self.crc)
    }

    /// All entries, if they are those that this index is said to have.
    pub(crate) fn read_whole(&self, disk: &D) -> Result<Option<Vec<E>>, LogError> {
        if self.entries == 0 {
            return Ok(Some(Vec::new()));
        }
        let file = match disk.open(&self.path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.context("open", &self.path)?,
        };
        let len = self.len_bytes();
        if file.len().context("measure", &self.path)? < len {
            return Ok(None);
        }
        let mut bytes = vec![0; len as usize];
        let read = file.read_at(&mut bytes, 0).context("read", &self.path)?;
        let whole = read == bytes.len() && crc32c::crc32c(&bytes) == self.crc;
        Ok(whole.then(|| bytes.chunks_exact(E::LEN).map(E::decode).collect()))
    }

    /// Appends an entry.
    pub(crate) fn append(&mut self, disk: &D, entry: E) -> Result<(), LogError> {
        let mut bytes = Vec::with_capacity(E::LEN);
        entry.encode(&mut bytes);
        let position = self.len_bytes();
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = disk.open(&self.path, true).context("open", &self.path)?;
                file.set_len(position).context("cut", &self.path)?;
                self.file.insert(file)
            }
        };
        file.write_at(&bytes, position).context("write", &self.path)?;
        self.entries += 1;
        self.crc = crc32c::crc32c_append(self.crc, &bytes);
        self.last = Some(entry);
        Ok(())
    }

    /// Creates the file where nothing was written to it yet.
    pub(crate) fn ensure_exists(&self, disk: &D) -> Result<(), LogError> {
        if self.entries > 0 {
            return Ok(());
        }
        let file = disk.open(&self.path, true).context("open", &self.path)?;
        file.set_len(0).context("cut", &self.path)
    }

    /// Lets go of the file; nothing more is appended for now.
    pub(crate) fn release(&mut self) {
        self.file = None;
    }

    /// The last entry for which `below` holds, given that it holds for a prefix of them.
    pub(crate) fn last_where(&self, disk: &D, below: impl Fn(&E) -> bool) -> Result<Option<E>, LogError> {
        match &self.last {
            // Readers at the end of the log are the common case.
            Some(last) if below(last) => return Ok(Some(*last)),
            None if self.entries == 0 => return Ok(None),
            _ => {}
        }
        let opened;
        let file = match &self.file {
            Some(file) => file,
            None => {
                opened = disk.open(&self.path, false).context("open", &self.path)?;
                &opened
            }
        };
        let (mut low, mut high, mut found) = (0, self.entries, None);
        let mut bytes = vec![0; E::LEN];
        while low < high {
            let middle = low + (high - low) / 2;
            let read = file.read_at(&mut bytes, middle * E::LEN as u64).context("read", &self.path)?;
            if read < E::LEN {
                return Err(io::ErrorKind::UnexpectedEof.into()).context("read", &self.path);
            }
            let entry = E::decode(&bytes);
            if below(&entry) {
                found = Some(entry);
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(found)
    }
}

/// The bytes of `entries`.
pub(crate) fn encoded<E: IndexEntry>(entries: &[E]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * E::LEN);
    entries.iter().for_each(|entry| entry.encode(&mut bytes));
    bytes
}

/// Makes the file at `path` hold exactly `wanted`; an empty one need not exist.
pub(crate) fn make_hold<D: Disk>(disk: &D, path: &Path, wanted: &[u8]) -> Result<(), LogError> {
    if !disk.exists(path).context("look for", path)? && wanted.is_empty() {
        return Ok(());
    }
    let file = disk.open(path, true).context("open", path)?;
    let len = file.len().context("measure", path)?;
    if len == wanted.len() as u64 {
        let mut there = vec![0; wanted.len()];
        if file.read_at(&mut there, 0).context("read", path)? == wanted.len() && there == wanted {
            return Ok(());
        }
    }
    tracing::info!(path = %path.display(), "the index was missing or stale and is written again");
    file.set_len(0).context("cut", path)?;
    file.write_at(wanted, 0).context("write", path)
}
