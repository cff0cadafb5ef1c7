//! Threads that wait for the medium, so that no shard has to.
//!
//! Group commit, twice over. A shard asks for one sync of a log at a time; whatever is appended meanwhile is covered by
//! the next one. And the logs of one directory are synced in rounds: what comes in while a round is under way begins
//! together with the next, so that the file system commits its journal, and the device empties its cache, once for
//! all of them. Each log is answered as soon as its own sync is done. The log of the cluster image waits for no round, so that no
//! change of the cluster waits behind records.
//!
//! Bounds: at most one sync of each log waits or runs. A round waits for the one before for [`PATIENCE`] at most, so that
//! one slow file holds the others up no longer; and one directory has no more than [`SHARE`] of the threads, so that a
//! slow disk leaves some to the others. A sync that fails is reported and never tried again.

use super::{Letter, ShardMailbox};
use crate::metrics::Metrics;
use pelton_core::model::{METADATA_TOPIC, TopicPartition};
use pelton_log::{FlushHandle, OsDisk};
use rounds::{Next, Rounds};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

mod rounds;

/// How long a round waits for stragglers of the one before.
const PATIENCE: Duration = Duration::from_millis(2);
/// Of four threads, how many one directory may have.
const SHARE: usize = 3;

/// One sync.
pub(super) struct Sync {
    pub shard: usize,
    pub partition: TopicPartition,
    pub generation: u64,
    pub handle: FlushHandle<OsDisk>,
}

/// The way to the threads. They end when the last shard has.
pub(super) struct Flusher {
    work: Arc<Work>,
}

#[derive(Default)]
struct Work {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    rounds: Rounds<PathBuf, Sync>,
    /// How many [`Flusher`]s there are.
    senders: usize,
}

impl Flusher {
    /// Starts the threads.
    pub fn start(
        threads: usize,
        shards: Vec<ShardMailbox>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let at_once = (threads * SHARE / 4).max(1);
        let rounds = Rounds::new(at_once, PATIENCE);
        let work = Arc::new(Work { state: Mutex::new(State { rounds, senders: 1 }), changed: Condvar::new() });
        // First, so that the threads end when one of them cannot be started.
        let flusher = Self { work: work.clone() };
        let mut handles = Vec::with_capacity(threads);
        for index in 0..threads {
            let (work, shards, metrics) = (work.clone(), shards.clone(), metrics.clone());
            let builder = std::thread::Builder::new().name(format!("pelton-flush-{index}"));
            handles.push(builder.spawn(move || work.run(&shards, &metrics))?);
        }
        Ok((flusher, handles))
    }

    /// Hands a sync over.
    pub fn submit(&self, sync: Sync) {
        let directory = sync.handle.log_directory().to_owned();
        let mut state = self.work.lock();
        if &*sync.partition.topic == METADATA_TOPIC {
            state.rounds.add_urgent(directory, sync);
        } else {
            state.rounds.add(directory, sync);
        }
        drop(state);
        self.work.changed.notify_one();
    }
}

impl Clone for Flusher {
    fn clone(&self) -> Self {
        self.work.lock().senders += 1;
        Self { work: self.work.clone() }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.work.lock().senders -= 1;
        self.work.changed.notify_all();
    }
}

impl Work {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, shards: &[ShardMailbox], metrics: &Metrics) {
        let mut state = self.lock();
        loop {
            match state.rounds.next(Instant::now()) {
                Next::Begin(directory, sync) => {
                    // There may be more to begin, for which another thread is to wake up.
                    self.changed.notify_one();
                    drop(state);
                    let Sync { shard, partition, generation, handle } = sync;
                    let begun = Instant::now();
                    let result = handle.sync().map_err(|error| error.to_string());
                    metrics.flush.record(begun.elapsed());
                    metrics.flush_failed.add(u64::from(result.is_err()));
                    let _ = shards[shard].send_here(Letter::Synced { partition, generation, result });
                    state = self.lock();
                    state.rounds.done(&directory);
                }
                Next::Nothing if state.senders == 0 => return,
                Next::Nothing => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Next::Wait(time) => {
                    state = self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }
}
