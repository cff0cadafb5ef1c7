//! The threads that compact logs.
//!
//! A thread asks the shards which logs may be compacted, lets `pelton_log::compaction::plan` choose one that no other thread
//! is at, reads and writes over handles of its own, and has the shard that owns the log put each new segment in its place.
//! So no shard waits for it, and a log that was deleted, cut or opened anew meanwhile is simply not replaced.
//!
//! Bounds: `log.cleaner.threads` logs at a time, one offset map for each, `log.cleaner.dedupe.buffer.size` in all at most,
//! which is given back when the log is done; `log.cleaner.io.max.bytes.per.second` for reads and writes of all threads
//! together. A log that cannot be compacted is left alone until it is opened anew.

mod checkpoint;
mod shard;

pub(crate) use shard::CleanerLetter;

use super::removal::Remover;
use super::throttle::Throttle;
use super::{Letter, ShardMailbox};
use crate::metrics::Metrics;
use checkpoint::Checkpoints;
use pelton_core::model::TopicPartition;
use pelton_log::LogError;
use pelton_log::compaction::plan::{Cleanable, cleanable, dirtiest};
use pelton_log::compaction::{Compaction, CompactionError, CompactionStats, Pace};
use shard::{Candidate, Material};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// How long a shard may take to answer; it may be opening logs.
const SHARD_PATIENCE: Duration = Duration::from_secs(300);

/// Settings of the threads, by Kafka's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanerConfig {
    /// `log.cleaner.enable`.
    pub enable: bool,
    /// `log.cleaner.threads`: logs that are compacted at the same time.
    pub threads: usize,
    /// `log.cleaner.dedupe.buffer.size`: bytes of the maps of keys, all threads together.
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`: bytes read and written, together. `None`: no limit.
    pub io_max_bytes_per_second: Option<u64>,
    /// `log.cleaner.backoff.ms`: how long to wait when nothing is to be compacted.
    pub backoff_ms: u64,
}

impl Default for CleanerConfig {
    fn default() -> Self {
        Self {
            enable: true,
            threads: 1,
            dedupe_buffer_bytes: 128 << 20,
            io_max_bytes_per_second: None,
            backoff_ms: 15_000,
        }
    }
}

/// What the thread is told.
enum Order {
    /// The settings have changed.
    LookAgain,
    /// End.
    Stop,
}

/// The way to the threads.
pub struct Cleaner {
    orders: Vec<Sender<Order>>,
    work: Arc<Work>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Cleaner {
    /// Starts the threads.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread.
    pub(super) fn start(
        config: CleanerConfig,
        shards: Vec<ShardMailbox>,
        metrics: Arc<Metrics>,
        remover: Remover,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (end, ended) = oneshot::channel();
        let end = Arc::new(end);
        let threads = config.threads.max(1);
        let throttle = Mutex::new(Throttle::new(config.io_max_bytes_per_second));
        let (started, stopping, choice) = (Instant::now(), AtomicBool::new(false), Mutex::default());
        let config = Mutex::new(config);
        let work = Arc::new(Work { config, threads, shards, stopping, choice, throttle, started, metrics, remover });
        let mut cleaner = Self { orders: Vec::new(), work, ended: Mutex::new(Some(ended)) };
        let mut handles = Vec::new();
        for index in 0..threads {
            let (orders, waiting) = mpsc::channel();
            let thread = CleanerThread { work: cleaner.work.clone(), waiting, _end: end.clone() };
            // Where one cannot be started, those before it end with the ways to them.
            cleaner.orders.push(orders);
            let builder = std::thread::Builder::new().name(format!("pelton-cleaner-{index}"));
            handles.push(builder.spawn(move || thread.run())?);
        }
        Ok((cleaner, handles))
    }

    /// Changes the settings, but for the number of threads. A compaction that is under way keeps to its buffer.
    pub(crate) fn configure(&self, config: CleanerConfig) {
        self.work.throttle().set_limit(config.io_max_bytes_per_second);
        *self.work.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        for orders in &self.orders {
            let _ = orders.send(Order::LookAgain);
        }
    }

    /// Tells the threads to end, which they do within a batch or a tenth of a second. The receiver then closes.
    pub(super) fn stop(&self) -> Option<oneshot::Receiver<()>> {
        self.work.stopping.store(true, Ordering::Release);
        for orders in &self.orders {
            let _ = orders.send(Order::Stop);
        }
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the threads share.
struct Work {
    /// As they are now, but for the number of threads.
    config: Mutex<CleanerConfig>,
    threads: usize,
    shards: Vec<ShardMailbox>,
    stopping: AtomicBool,
    /// Held while a log is chosen, never while one is compacted.
    choice: Mutex<Choice>,
    throttle: Mutex<Throttle>,
    started: Instant,
    metrics: Arc<Metrics>,
    /// Removes what a compacted segment has replaced.
    remover: Remover,
}

/// What the choice of a log depends on, beside the logs.
#[derive(Default)]
struct Choice {
    checkpoints: Checkpoints,
    /// Logs that failed, by partition and opening.
    uncleanable: BTreeSet<(TopicPartition, u64)>,
    /// Logs that a thread is at.
    taken: BTreeSet<TopicPartition>,
}

struct CleanerThread {
    work: Arc<Work>,
    waiting: mpsc::Receiver<Order>,
    /// Dropped when the last thread ends.
    _end: Arc<oneshot::Sender<()>>,
}

/// The broker ends, or the shard that was asked has.
struct Stopping;

impl CleanerThread {
    fn run(mut self) {
        let mut next_round = Instant::now() + self.backoff();
        loop {
            if Instant::now() >= next_round {
                match self.round() {
                    // There may be another log that is dirty.
                    Ok(true) => continue,
                    Ok(false) => next_round = Instant::now() + self.backoff(),
                    Err(Stopping) => return,
                }
            }
            match self.waiting.recv_timeout(next_round.saturating_duration_since(Instant::now())) {
                Ok(Order::LookAgain) => next_round = next_round.min(Instant::now() + self.backoff()),
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// How long to wait when nothing is to be compacted. More than a year is as good as a year.
    fn backoff(&self) -> Duration {
        const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1_000;
        Duration::from_millis(self.work.config().backoff_ms.min(YEAR_MS))
    }

    /// Compacts the log that needs it most. Says whether it did.
    fn round(&mut self) -> Result<bool, Stopping> {
        let now_ms = now_ms();
        let work = self.work.clone();
        let Some((log, part)) = work.choose(now_ms)? else { return Ok(false) };
        let compacted = self.compact(&log, part, now_ms);
        work.choice().taken.remove(&log.partition);
        compacted
    }

    /// Says whether the log is cleaner now.
    fn compact(&mut self, log: &Candidate, part: Cleanable, now_ms: i64) -> Result<bool, Stopping> {
        let work = self.work.clone();
        let shards = &work.shards;
        let shard = super::shard_of(&log.partition, shards.len());
        let (partition, generation) = (log.partition.clone(), log.generation);
        let material =
            ask(shards, shard, |answer| CleanerLetter::Material { partition, generation, end: part.end, answer })?;
        // It was closed, or deleted: the next round sees the logs as they are then.
        let Some(Material { source, producers }) = material else { return Ok(false) };
        let begun = Instant::now();
        let mut compaction = Compaction::new(source, part, producers, now_ms);
        let buffer_bytes = work.config().dedupe_buffer_bytes / work.threads;
        let outcome = compaction.run(buffer_bytes, &mut Paced(&work), &mut |cleaned| {
            let (partition, cleaned) = (log.partition.clone(), Box::new(cleaned));
            let replaced =
                ask(shards, shard, |answer| CleanerLetter::Replace { partition, generation, cleaned, answer });
            let Some(files) = replaced.map_err(|Stopping| CompactionError::Stopped)? else { return Ok(false) };
            work.remover.remove_later(files, log.file_delete_delay_ms);
            Ok(true)
        });
        let stats = compaction.stats();
        match outcome {
            Ok(end) => {
                report(log, &part, &stats);
                work.count(&stats, begun.elapsed());
                work.choice().checkpoints.set(log, end);
                return Ok(true);
            }
            Err(CompactionError::Stopped) => {
                if work.is_stopping() {
                    return Err(Stopping);
                }
                tracing::info!(partition = %log.partition, "a log changed while it was compacted; it is left for later");
            }
            Err(CompactionError::Log(error)) if error.is_out_of_space() => {
                tracing::warn!(partition = %log.partition, %error, "there is no room to compact a log; it is tried again");
            }
            Err(CompactionError::Log(error)) => work.give_up(log, &error),
        }
        Ok(false)
    }
}

impl Work {
    fn choice(&self) -> MutexGuard<'_, Choice> {
        self.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config(&self) -> CleanerConfig {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, stats: &CompactionStats, took: Duration) {
        let numbers = &self.metrics.cleaner;
        numbers.rounds.add(1);
        numbers.bytes_read.add(stats.bytes_read);
        numbers.bytes_kept.add(stats.bytes_kept);
        numbers.records_read.add(stats.records_read);
        numbers.records_kept.add(stats.records_kept);
        numbers.seconds.record(took);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Takes the log that needs compaction most and that no thread is at.
    fn choose(&self, now_ms: i64) -> Result<Option<(Candidate, Cleanable)>, Stopping> {
        if !self.config().enable {
            return Ok(None);
        }
        let mut choice = self.choice();
        let candidates = self.candidates()?;
        let Choice { checkpoints, uncleanable, taken } = &mut *choice;
        checkpoints.keep_only(&candidates);
        uncleanable.retain(|(partition, generation)| {
            candidates.iter().any(|log| log.partition == *partition && log.generation == *generation)
        });
        let mut logs: Vec<(&Candidate, Cleanable)> = Vec::new();
        for log in &candidates {
            let failed = uncleanable.contains(&(log.partition.clone(), log.generation));
            if failed || taken.contains(&log.partition) {
                continue;
            }
            let checkpoint = checkpoints.of(log);
            let part = cleanable(&log.sealed, log.log_start, log.stable_end, checkpoint, &log.config, now_ms);
            logs.extend(part.map(|part| (log, part)));
        }
        let dirty = logs.iter().map(|(_, part)| u64::from(part.dirty_ppm())).max().unwrap_or(0);
        self.metrics.cleaner.max_dirty_ppm.store(dirty, Ordering::Relaxed);
        self.metrics.cleaner.uncleanable.store(uncleanable.len(), Ordering::Relaxed);
        let Some(chosen) = dirtiest(logs.iter().map(|(log, part)| (part, &log.config))) else { return Ok(None) };
        let (log, part) = (logs[chosen].0.clone(), logs[chosen].1);
        taken.insert(log.partition.clone());
        Ok(Some((log, part)))
    }

    fn candidates(&self) -> Result<Vec<Candidate>, Stopping> {
        let mut candidates = Vec::new();
        for shard in 0..self.shards.len() {
            candidates.extend(ask(&self.shards, shard, |answer| CleanerLetter::Candidates { answer })?);
        }
        Ok(candidates)
    }

    fn give_up(&self, log: &Candidate, error: &LogError) {
        tracing::error!(partition = %log.partition, %error, "a log cannot be compacted, and is left alone until the next start");
        let mut choice = self.choice();
        choice.uncleanable.insert((log.partition.clone(), log.generation));
        self.metrics.cleaner.uncleanable.store(choice.uncleanable.len(), Ordering::Relaxed);
    }
}

/// Asks a shard, and waits for its answer.
fn ask<T>(
    shards: &[ShardMailbox],
    shard: usize,
    letter: impl FnOnce(Sender<T>) -> CleanerLetter,
) -> Result<T, Stopping> {
    let (answer, answered) = mpsc::channel();
    shards[shard].send(Letter::Cleaner(letter(answer))).map_err(|_| Stopping)?;
    answered.recv_timeout(SHARD_PATIENCE).map_err(|_| Stopping)
}

fn report(log: &Candidate, part: &Cleanable, stats: &CompactionStats) {
    tracing::info!(
        partition = %log.partition,
        first_dirty = part.first_dirty,
        segments = stats.segments_read,
        became = stats.segments_written,
        bytes_read = stats.bytes_read,
        bytes_kept = stats.bytes_kept,
        records_read = stats.records_read,
        records_kept = stats.records_kept,
        "a log was compacted"
    );
}

/// Waits as the throttle says, and sees that the thread is to end.
struct Paced<'a>(&'a Work);

impl Pace for Paced<'_> {
    fn go_on(&mut self, bytes: u64) -> bool {
        let started = self.0.started;
        let until = self.0.throttle().take(started.elapsed(), bytes);
        loop {
            if self.0.is_stopping() {
                return false;
            }
            // A limit that was raised meanwhile has let everybody off.
            let wait = until.min(self.0.throttle().paid_at()).saturating_sub(started.elapsed());
            if wait.is_zero() {
                return true;
            }
            std::thread::sleep(wait.min(Duration::from_millis(100)));
        }
    }
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
