//! The threads that open the logs which were there before this start: `num.recovery.threads.per.data.dir` for each log
//! directory, however many shards there are. Disks are read side by side, and one slow disk holds no other up.
//!
//! A shard finds the directory of a partition and hands the log over; it gets it back open, as a letter, and goes on from
//! there. What is made later, while the broker runs, is empty, and the shard opens it by itself.
//!
//! Bounds: one log under way for each thread. The threads end when the last log that was there is open.

use super::plan::{Plan, first_unread};
use crate::driver::directories::offline::Placed;
use crate::driver::directories::placement::DirectoryIndex;
use crate::driver::mailbox::AbortOnPanic;
use pelton_core::event::RecoveredBatch;
use pelton_core::model::{Offset, TopicId, TopicPartition};
use pelton_log::{BatchSummary, Log, LogConfig, LogError, OsDisk, Recovered};
use pelton_record::ControlType;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A log that is to be opened, and what is known of it.
pub(crate) struct ToOpen {
    pub partition: TopicPartition,
    pub topic_id: TopicId,
    pub configs: Arc<BTreeMap<String, String>>,
    pub placed: Placed,
    pub config: LogConfig,
    pub known: pelton_log::Opening,
}

/// What came of opening a log.
pub(crate) struct Opened {
    pub asked: ToOpen,
    pub result: Result<Found, LogError>,
}

/// An open log, and what was found in it.
pub(crate) struct Found {
    pub log: Log<OsDisk>,
    pub recovered: Recovered,
    pub batches: Vec<RecoveredBatch>,
}

impl ToOpen {
    /// Opens it.
    pub fn open(self) -> Opened {
        let mut batches = Vec::new();
        let mut visit = |batch: &BatchSummary| {
            let control = batch.control.map(|(kind, epoch)| (kind == ControlType::Commit, epoch));
            batches.push(RecoveredBatch { header: batch.header, control });
        };
        let result = Log::open(OsDisk, &self.placed.path, self.config.clone(), self.known, &mut visit);
        let result = result.map(|(log, recovered)| Found { log, recovered, batches });
        Opened { asked: self, result }
    }

    /// Bytes that may have to be read; a guess, for the order alone.
    pub fn unread_bytes(&self) -> u64 {
        if self.known.clean {
            return 0;
        }
        // What cannot be looked at fails when it is opened, with its reason.
        let segments = segments(&self.placed.path).unwrap_or_default();
        let bases: Vec<Offset> = segments.keys().copied().collect();
        let first = first_unread(&bases, self.known.clean, self.known.recovery_point);
        segments.values().skip(first).sum()
    }
}

/// The length of each segment's file, by its first offset.
fn segments(log: &Path) -> std::io::Result<BTreeMap<Offset, u64>> {
    let mut segments = BTreeMap::new();
    for entry in std::fs::read_dir(log)? {
        let entry = entry?;
        let name = entry.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|digits| digits.parse().ok());
        if let Some(base) = base {
            segments.insert(base, entry.metadata()?.len());
        }
    }
    Ok(segments)
}

/// The way to the threads. `L` is what they are given for each log.
pub(crate) struct Recovery<L> {
    work: Arc<Work<L>>,
}

struct Work<L> {
    state: Mutex<State<L>>,
    changed: Condvar,
}

struct State<L> {
    plan: Plan<L>,
    ended: bool,
}

impl<L: Send + 'static> Recovery<L> {
    /// Starts the threads, `per_directory` for each of so many directories; they `open` what they are given.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread; those that were started end.
    pub fn start(
        directories: usize,
        per_directory: usize,
        open: impl Fn(L) + Clone + Send + 'static,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let state = State { plan: Plan::new(directories), ended: false };
        let recovery = Self { work: Arc::new(Work { state: Mutex::new(state), changed: Condvar::new() }) };
        let mut threads = Vec::new();
        for (directory, thread) in (0..directories).flat_map(|d| (0..per_directory.max(1)).map(move |t| (d, t))) {
            let (work, open) = (recovery.work.clone(), open.clone());
            let builder = std::thread::Builder::new().name(format!("pelton-recover-{directory}-{thread}"));
            match builder.spawn(move || work.run(DirectoryIndex(directory), &open)) {
                Ok(handle) => threads.push(handle),
                Err(error) => {
                    recovery.end();
                    return Err(error);
                }
            }
        }
        Ok((recovery, threads))
    }

    /// Has a log of this directory opened, of which so many bytes may have to be read; gives it back at once when the
    /// threads have ended.
    pub fn open(&self, directory: DirectoryIndex, unread_bytes: u64, log: L) -> Option<L> {
        let mut state = self.work.lock();
        if state.ended {
            return Some(log);
        }
        state.plan.add(directory, unread_bytes, log);
        drop(state);
        self.work.changed.notify_all();
        None
    }

    /// Whether the threads open logs no more.
    pub fn has_ended(&self) -> bool {
        self.work.lock().ended
    }

    /// Everything that was there is open, or the broker ends: the threads end with what they are at.
    pub fn end(&self) {
        let mut state = self.work.lock();
        state.ended = true;
        state.plan.clear();
        drop(state);
        self.work.changed.notify_all();
    }
}

impl<L> Work<L> {
    fn lock(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, directory: DirectoryIndex, open: &impl Fn(L)) {
        let _guard = AbortOnPanic;
        let mut state = self.lock();
        while !state.ended {
            match state.plan.next(directory) {
                Some(log) => {
                    drop(state);
                    open(log);
                    state = self.lock();
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::mpsc;
    use std::time::Duration;

    type Task = Box<dyn FnOnce() + Send>;

    fn start(directories: usize, per_directory: usize) -> (Recovery<Task>, Vec<JoinHandle<()>>) {
        Recovery::start(directories, per_directory, |task: Task| task()).unwrap()
    }

    #[test]
    fn the_logs_of_a_directory_are_opened_beside_each_other_and_so_are_the_directories() {
        let (recovery, threads) = start(2, 2);
        // Each log is open when four of them are being opened.
        let together = Arc::new(Barrier::new(4));
        let (open, opened) = mpsc::channel();
        for log in 0..4 {
            let (together, open) = (together.clone(), open.clone());
            let task = move || {
                together.wait();
                open.send(log).unwrap();
            };
            assert!(recovery.open(DirectoryIndex(log % 2), 0, Box::new(task)).is_none());
        }
        let mut logs: Vec<usize> = (0..4)
            .map(|_| opened.recv_timeout(Duration::from_secs(60)).expect("the logs wait for each other"))
            .collect();
        logs.sort_unstable();
        assert_eq!(logs, [0, 1, 2, 3]);
        recovery.end();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn what_comes_when_the_threads_have_ended_is_given_back() {
        let (recovery, threads) = start(1, 1);
        recovery.end();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(recovery.has_ended() && recovery.open(DirectoryIndex(0), 1, Box::new(|| {})).is_some());
    }
}
