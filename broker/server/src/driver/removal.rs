//! The thread that removes what nobody needs any more: segments that retention, DeleteRecords and compaction have put aside,
//! and the directories of logs that were deleted or moved. No shard waits for it.
//!
//! A file system gives all blocks of a file back when its last name and its last handle go, and whoever syncs another file
//! meanwhile waits for that: up to 100 ms for 400 MB on ext4 with `discard`. So a large file loses its name first, and is then
//! cut from its end, one piece at a time.
//!
//! Invariant: a file that somebody still reads, or that has another name, is never cut; its blocks go when the last of them
//! does. Bounds: one large file is open at a time. What waits is as much as was put aside within `file.delete.delay.ms`, and
//! what a stop leaves is removed by the next start.

mod alone;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Bytes that are cut off at a time.
const PIECE_BYTES: u64 = 16 << 20;
/// How long the disk is left to others after each piece.
const PAUSE: Duration = Duration::from_millis(20);

/// What the thread is told.
enum Order {
    /// Remove these files and directories once the time has come.
    Remove(Instant, Vec<PathBuf>),
    /// End.
    Stop(oneshot::Sender<()>),
}

/// The way to the thread.
#[derive(Clone)]
pub(crate) struct Remover(Sender<Order>);

impl Remover {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread.
    pub fn start() -> io::Result<(Self, JoinHandle<()>)> {
        let (orders, waiting) = mpsc::channel();
        let thread = RemoverThread { orders: waiting, waiting: BinaryHeap::new() };
        let builder = std::thread::Builder::new().name("pelton-remover".to_owned());
        Ok((Self(orders), builder.spawn(move || drop(thread.run()))?))
    }

    /// Has a file, or a directory with all that is in it, removed now.
    pub fn remove(&self, path: PathBuf) {
        let _ = self.0.send(Order::Remove(Instant::now(), vec![path]));
    }

    /// Has files removed after `delay_ms` (`file.delete.delay.ms`).
    pub fn remove_later(&self, files: Vec<PathBuf>, delay_ms: i64) {
        let delay = Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0));
        // A delay past the end of time is as good as none: the files are removed by the next start.
        if let Some(due) = Instant::now().checked_add(delay).filter(|_| !files.is_empty()) {
            let _ = self.0.send(Order::Remove(due, files));
        }
    }

    /// Ends the thread within a piece; the receiver then closes.
    pub fn stop(&self) -> oneshot::Receiver<()> {
        let (ended, end) = oneshot::channel();
        let _ = self.0.send(Order::Stop(ended));
        end
    }
}

struct RemoverThread {
    orders: Receiver<Order>,
    /// What is to be removed, and when; the first on top.
    waiting: BinaryHeap<Reverse<(Instant, PathBuf)>>,
}

/// The broker ends; whoever waits for this thread is told when it is dropped.
struct Stopping(#[allow(dead_code, reason = "dropping it is what tells")] Option<oneshot::Sender<()>>);

impl RemoverThread {
    fn run(mut self) -> Result<(), Stopping> {
        loop {
            match self.waiting.pop() {
                Some(Reverse((due, path))) if due <= Instant::now() => self.remove(&path)?,
                Some(Reverse((due, path))) => {
                    self.waiting.push(Reverse((due, path)));
                    self.take_orders_until(due)?;
                }
                None => {
                    let order = self.orders.recv().map_err(|_| Stopping(None))?;
                    self.take(order)?;
                }
            }
        }
    }

    /// Returns at `until`, or after an order that came before.
    fn take_orders_until(&mut self, until: Instant) -> Result<(), Stopping> {
        match self.orders.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(order) => self.take(order),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Stopping(None)),
        }
    }

    fn take(&mut self, order: Order) -> Result<(), Stopping> {
        match order {
            Order::Remove(due, paths) => {
                self.waiting.extend(paths.into_iter().map(|path| Reverse((due, path))));
                Ok(())
            }
            Order::Stop(ended) => Err(Stopping(Some(ended))),
        }
    }

    fn remove(&mut self, path: &Path) -> Result<(), Stopping> {
        let is_directory = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        let files = if is_directory { files_in(path) } else { vec![path.to_owned()] };
        for file in files {
            match unlink(&file) {
                Ok(Some(file)) => self.give_back(&file)?,
                Ok(None) => {}
                Err(error) => report(&file, &error),
            }
        }
        if is_directory && let Err(error) = fs::remove_dir_all(path) {
            report(path, &error);
        }
        Ok(())
    }

    /// Cuts a file that has no name any more down to its first piece, which goes with it.
    fn give_back(&mut self, file: &File) -> Result<(), Stopping> {
        let len = file.metadata().map_or(0, |found| found.len());
        for len in lengths(len) {
            // What cannot be cut goes as a whole.
            if file.set_len(len).is_err() {
                break;
            }
            let until = Instant::now() + PAUSE;
            while Instant::now() < until {
                self.take_orders_until(until)?;
            }
        }
        Ok(())
    }
}

/// The files in a directory. What cannot be listed shows itself when the directory is removed.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path()).collect()
}

/// Takes the name of a file away. Gives the file where it is large, and nobody else has it: its blocks are there as long as
/// it is open.
fn unlink(path: &Path) -> io::Result<Option<File>> {
    let found = path.symlink_metadata()?;
    if !found.is_file() || found.len() <= PIECE_BYTES {
        return fs::remove_file(path).map(|()| None);
    }
    let file = OpenOptions::new().write(true).open(path);
    fs::remove_file(path)?;
    Ok(file.ok().filter(alone::is_nobody_elses))
}

/// The lengths that a file of `len` bytes is cut to, one after the other.
fn lengths(len: u64) -> impl Iterator<Item = u64> {
    (1..len.div_ceil(PIECE_BYTES)).rev().map(|pieces| pieces * PIECE_BYTES)
}

fn report(path: &Path, error: &io::Error) {
    if error.kind() != io::ErrorKind::NotFound {
        let path = path.display();
        tracing::warn!(%path, %error, "what is of no use any more could not be removed; remove it by hand");
    }
}

#[cfg(test)]
mod tests;
