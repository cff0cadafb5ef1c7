//! Records that are not in the page cache, and who waits for them.
//!
//! `sendfile` from a page that is not in memory waits for the disk, and so would every connection of that network
//! thread. So before each stretch of [`STRETCH`] bytes is sent, a few of its bytes are asked for without waiting
//! (`RWF_NOWAIT`, one for each 64 KiB, about a microsecond in all). Where one is missing, a thread of the blocking pool
//! reads the stretch, which brings it into the page cache, and the connection alone waits for that.
//!
//! What a cold read costs: one read of the stretch into a buffer that is thrown away, about 0.1 CPU-seconds a GB
//! beside the disk's own time. How it is bounded: one stretch of a connection at a time, [`COLD_READS`] of all
//! connections, so that readers of old data leave the disk to the appends. What is left: pages that the kernel drops
//! between the question and the sending, and file systems that cannot answer it (`EOPNOTSUPP`), hold the network
//! thread for one stretch at most.

use super::Stored;
use bytes::Bytes;
use pelton_core::event::StoredRecords;
use pelton_log::{DiskFile, LogSlice, OsDisk};
use rustix::io::{Errno, ReadWriteFlags};
use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Bytes that are sent in one go.
pub const STRETCH: usize = 512 << 10;
/// Stretches that are read from the disk at the same time.
const COLD_READS: usize = 4;
/// How far apart the bytes are that are asked for; the kernel reads ahead by more.
const PROBE_EVERY: u64 = 64 << 10;
/// Size of the buffer that a cold stretch is read through.
const SCRATCH: usize = 128 << 10;

/// Whose turn it is to read from the disk.
#[derive(Debug, Clone)]
pub struct ColdReads(Arc<Semaphore>);

impl Default for ColdReads {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(COLD_READS)))
    }
}

impl ColdReads {
    /// Returns when the bytes from `position` to `end` of the file are in the page cache, as far as that can be told.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn warm(&self, stored: &Arc<dyn StoredRecords>, position: u64, end: u64) -> io::Result<()> {
        match Stored::of(&**stored) {
            Some(slice) if !resident(&slice.file, position, end) => {}
            _ => return Ok(()),
        }
        let stored = stored.clone();
        self.blocking(move || match Stored::of(&*stored) {
            Some(slice) => read_through(&slice.file, position, end),
            None => Ok(()),
        })
        .await
    }

    /// The bytes from `position` to `end` of the records, in memory.
    ///
    /// # Errors
    /// The operating system's, and `UnexpectedEof` when the file is shorter.
    pub async fn copy(&self, stored: &Arc<dyn StoredRecords>, position: usize, end: usize) -> io::Result<Bytes> {
        if let Some(bytes) = Stored::of(&**stored).and_then(|slice| read_resident(slice, position, end)) {
            return Ok(bytes.into());
        }
        let stored = stored.clone();
        self.blocking(move || match Stored::of(&*stored) {
            Some(slice) => {
                let mut bytes = vec![0; end - position];
                let read = slice.file.read_at(&mut bytes, slice.position + position as u64)?;
                if read == bytes.len() { Ok(bytes.into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
            None => Ok(stored.read().map_err(io::Error::other)?.slice(position..end)),
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        // Never closed; without a turn the work would only be done at once.
        let turn = self.0.clone().acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// The bytes, if all of them are in memory.
fn read_resident(slice: &LogSlice<OsDisk>, position: usize, end: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; end - position];
    let (mut filled, from) = (0, slice.position + position as u64);
    while filled < bytes.len() {
        let mut rest = [IoSliceMut::new(&mut bytes[filled..])];
        match rustix::io::preadv2(&slice.file, &mut rest, from + filled as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) => return None,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    Some(bytes)
}

/// Whether the bytes seem to be in the page cache. Where that cannot be told, they are taken to be.
fn resident(file: &impl AsFd, position: u64, end: u64) -> bool {
    let mut at = position;
    while at < end {
        let mut byte = [0];
        let probed = rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT);
        if probed == Err(Errno::AGAIN) {
            return false;
        }
        at = if at + 1 == end { end } else { (at + PROBE_EVERY).min(end - 1) };
    }
    true
}

/// Reads the bytes, and throws them away.
fn read_through(file: &impl AsFd, position: u64, end: u64) -> io::Result<()> {
    let mut scratch = vec![0; SCRATCH.min((end - position) as usize)];
    let mut at = position;
    while at < end {
        let room = scratch.len().min((end - at) as usize);
        match rustix::io::pread(file, &mut scratch[..room], at) {
            // Whoever sends will find the file too short.
            Ok(0) => return Ok(()),
            Ok(count) => at += count as u64,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
