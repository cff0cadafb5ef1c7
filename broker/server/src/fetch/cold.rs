//! Records that are not in the page cache, and who waits for them.
//!
//! `sendfile` from a page that is not in memory waits for the disk, and so would every connection of that network
//! thread. So before each stretch of [`STRETCH`] bytes is sent, a few of its bytes are asked for without waiting
//! (`RWF_NOWAIT`, one for each 64 KiB, about a microsecond in all). Where one is missing, a thread of the blocking pool
//! asks for everything that the slice still has (`POSIX_FADV_WILLNEED`) and waits for the stretch, and the connection
//! alone waits for that.
//!
//! What a cold read costs: a turn of that thread beside the disk's own time; no byte is copied. How it is bounded: one stretch of a connection at a time, [`COLD_READS`] of all
//! connections, so that readers of old data leave the disk to the appends. What is left: pages that the kernel drops
//! between the question and the sending, and file systems that cannot answer it (`EOPNOTSUPP`), hold the network
//! thread for one stretch at most.

use super::Stored;
use bytes::Bytes;
use pelton_core::event::StoredRecords;
use pelton_log::{DiskFile, LogSlice, OsDisk};
use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Bytes that are sent in one go.
pub const STRETCH: usize = 512 << 10;
/// Stretches that are read from the disk at the same time.
const COLD_READS: usize = 4;
/// How far apart the bytes are that are asked for; the kernel reads ahead by more.
const PROBE_EVERY: u64 = 64 << 10;
/// Bytes behind a stretch that are asked for together with it.
const AHEAD: u64 = 4 << 20;

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
            // No frame is made of what is in doubt, and nothing that is leaves all the same.
            Some(slice) if slice.is_in_doubt() || !resident(&slice.file, position, end) => {}
            _ => return Ok(()),
        }
        let stored = stored.clone();
        self.blocking(move || match Stored::of(&*stored) {
            Some(slice) => {
                slice.check().map_err(io::Error::other)?;
                let ahead = (slice.position + slice.len as u64).min(end + AHEAD);
                bring_in(&slice.file, position, end, ahead)
            }
            None => Ok(()),
        })
        .await
    }

    /// The bytes from `position` to `end` of the records, in memory.
    ///
    /// # Errors
    /// The operating system's, and `UnexpectedEof` when the file is shorter.
    pub async fn copy(&self, stored: &Arc<dyn StoredRecords>, position: usize, end: usize) -> io::Result<Bytes> {
        if let Some(bytes) = Stored::of(&**stored)
            .filter(|slice| !slice.is_in_doubt())
            .and_then(|slice| read_resident(slice, position, end))
        {
            return Ok(bytes.into());
        }
        let stored = stored.clone();
        self.blocking(move || match Stored::of(&*stored) {
            Some(slice) => {
                slice.check().map_err(io::Error::other)?;
                let mut bytes = vec![0; end - position];
                let read = slice.file.read_at(&mut bytes, slice.position + position as u64)?;
                if read == bytes.len() { Ok(bytes.into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
            None => Ok(stored.read().map_err(io::Error::other)?.slice(position..end)),
        })
        .await
    }

    pub(super) async fn blocking<T: Send + 'static>(
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

/// Waits until the bytes are in the page cache; those behind them, up to `ahead`, are on their way.
fn bring_in(file: &impl AsFd, position: u64, end: u64, ahead: u64) -> io::Result<()> {
    // Advice: where it is not taken, the reads below bring the bytes in.
    let _ = rustix::fs::fadvise(file, position, NonZeroU64::new(ahead.saturating_sub(position)), Advice::WillNeed);
    let mut at = position;
    while at < end {
        match rustix::io::pread(file, &mut [0], at) {
            // Whoever sends will find the file too short.
            Ok(0) => return Ok(()),
            Ok(_) => at = if at + 1 == end { end } else { (at + PROBE_EVERY).min(end - 1) },
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
