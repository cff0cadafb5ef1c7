//! What keeps the next start short: snapshots of the producers, and Kafka's two checkpoint files of each log directory,
//! `recovery-point-offset-checkpoint` and `log-start-offset-checkpoint`.
//!
//! Once a minute a thread asks every shard. A shard writes the snapshots of the logs that were appended to since, which
//! is quick, and gives the thread what has to be synced, which is not. At a clean stop the shards note the end of every
//! log that they close, and the files are written before the directories are marked clean.
//!
//! Nothing waits for this, and no acknowledged record depends on it: what is not checkpointed is read again at the next
//! start. Bound: one round is under way at a time, with one entry for each log.

use super::Letter;
use super::ShardMailbox;
use super::directories::LogDirectories;
use super::directories::placement::DirectoryIndex;
use super::shard_thread::{OpenLog, ShardThread};
use pelton_core::event::{ProducedBatch, ProducerState};
use pelton_core::model::{Offset, ProducerEpoch, ProducerId, TopicPartition};
use pelton_log::{
    CheckpointHandle, Disk, LOG_START_FILE, OffsetCheckpoint, OsDisk, ProducerBatch, ProducerEntry,
    RECOVERY_POINT_FILE, read_offsets, write_offsets,
};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often: Kafka's default of `log.flush.offset.checkpoint.interval.ms`.
const INTERVAL: Duration = Duration::from_secs(60);

/// What the checkpoint files of the log directories say, and will say when they are written next.
#[derive(Debug)]
pub struct Checkpoints {
    directories: Arc<LogDirectories>,
    /// By the place of the directory in `log.dirs`.
    offsets: Mutex<Vec<Offsets>>,
}

#[derive(Debug, Default)]
struct Offsets {
    recovery_points: OffsetCheckpoint,
    log_starts: OffsetCheckpoint,
}

/// A log that a shard has written a snapshot of.
pub(super) struct Checkpointing {
    pub shard: usize,
    pub partition: TopicPartition,
    pub generation: u64,
    pub handle: CheckpointHandle<OsDisk>,
}

impl Checkpoints {
    /// Reads the files of every directory. One that cannot be read tells nothing, and the logs are read instead.
    pub fn read(directories: Arc<LogDirectories>) -> Self {
        let read = |dir: &Path, name: &str| {
            read_offsets(&OsDisk, &dir.join(name)).unwrap_or_else(|error| {
                tracing::warn!(%error, "a checkpoint is not used; the logs of its directory are read instead");
                OffsetCheckpoint::new()
            })
        };
        let offsets = directories.all().iter().map(|directory| match directory.failure() {
            Some(_) => Offsets::default(),
            None => Offsets {
                recovery_points: read(directory.path(), RECOVERY_POINT_FILE),
                log_starts: read(directory.path(), LOG_START_FILE),
            },
        });
        let offsets = Mutex::new(offsets.collect());
        Self { directories, offsets }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Offsets>> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recovery point and the log start offset that the files of this directory have for the partition.
    pub fn known(&self, directory: DirectoryIndex, partition: &TopicPartition) -> (Option<Offset>, Option<Offset>) {
        let offsets = self.lock();
        let Some(offsets) = offsets.get(directory.0) else { return (None, None) };
        let key = key_of(partition);
        (offsets.recovery_points.get(&key).copied(), offsets.log_starts.get(&key).copied())
    }

    /// Notes what the files are to say of a log. It is in one directory alone.
    pub fn note(&self, directory: DirectoryIndex, partition: &TopicPartition, recovery_point: Offset, start: Offset) {
        let mut all = self.lock();
        for (index, offsets) in all.iter_mut().enumerate() {
            if index == directory.0 {
                offsets.recovery_points.insert(key_of(partition), recovery_point);
                offsets.log_starts.insert(key_of(partition), start);
            } else {
                offsets.recovery_points.remove(&key_of(partition));
                offsets.log_starts.remove(&key_of(partition));
            }
        }
    }

    /// Forgets a log before it is removed, so that one of the same name is not taken for it.
    pub fn forget(&self, partition: &TopicPartition) {
        let mut known = false;
        for offsets in self.lock().iter_mut() {
            known |= offsets.recovery_points.remove(&key_of(partition)).is_some();
            known |= offsets.log_starts.remove(&key_of(partition)).is_some();
        }
        if known {
            self.write();
        }
    }

    /// Writes the files, durably. What fails is told and tried again the next time.
    pub fn write(&self) {
        // Held while writing, so that an older state never takes the place of a newer one.
        let all = self.lock();
        for (index, directory) in self.directories.online() {
            let Some(offsets) = all.get(index.0) else { continue };
            let files = [(RECOVERY_POINT_FILE, &offsets.recovery_points), (LOG_START_FILE, &offsets.log_starts)];
            for (name, offsets) in files {
                let path = directory.path().join(name);
                if offsets.is_empty() && !OsDisk.exists(&path).unwrap_or(true) {
                    continue;
                }
                if let Err(error) = write_offsets(&OsDisk, &path, offsets) {
                    tracing::warn!(%error, "a checkpoint could not be written; the next start may take longer");
                }
            }
        }
    }
}

/// How a checkpoint file names a partition.
pub(super) fn key_of(partition: &TopicPartition) -> (String, i32) {
    (partition.topic.to_string(), partition.partition)
}

/// Starts the thread that checkpoints. It ends when the last shard has.
pub(super) fn start(
    checkpoints: Arc<Checkpoints>,
    shards: Vec<ShardMailbox>,
) -> std::io::Result<(Sender<Round>, JoinHandle<()>)> {
    let (work, waiting) = mpsc::channel();
    let builder = std::thread::Builder::new().name("pelton-checkpoint".to_owned());
    let thread = builder.spawn(move || run(&checkpoints, &shards, &waiting))?;
    Ok((work, thread))
}

/// What one shard has for a round.
pub(super) struct Round(pub Vec<Checkpointing>);

fn run(checkpoints: &Checkpoints, shards: &[ShardMailbox], waiting: &Receiver<Round>) {
    loop {
        match waiting.recv_timeout(INTERVAL) {
            Err(RecvTimeoutError::Timeout) => {}
            // Rounds are answered to those who ask for them, below.
            Ok(_) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let asked = shards.iter().filter(|shard| shard.send(Letter::Checkpoint).is_ok()).count();
        for _ in 0..asked {
            let Ok(Round(logs)) = waiting.recv_timeout(INTERVAL) else { break };
            logs.iter().for_each(|log| sync(shards, log));
        }
        checkpoints.write();
    }
}

fn sync(shards: &[ShardMailbox], log: &Checkpointing) {
    let Checkpointing { shard, partition, generation, handle } = log;
    match handle.sync() {
        Ok(snapshot) => {
            let letter = Letter::Checkpointed { partition: partition.clone(), generation: *generation, snapshot };
            let _ = shards[*shard].send(letter);
        }
        // The log may have been deleted or moved meanwhile; otherwise the next round tries again.
        Err(error) => tracing::debug!(%partition, %error, "a log was not checkpointed"),
    }
}

impl ShardThread {
    /// Writes the snapshots of the logs that changed, and hands over what is to be synced.
    pub(super) fn checkpoint(&mut self) {
        let mut round = Vec::new();
        for (partition, open) in &mut self.logs {
            if open.log.is_fenced() {
                continue;
            }
            self.shared.checkpoints.note(open.directory, partition, open.log.flushed_through(), open.log.log_start());
            let Some(states) = self.shard.producers_at(partition, open.log.log_end()) else { continue };
            match open.log.checkpoint(&entries(&states)) {
                Ok(None) => {}
                Ok(Some(handle)) => round.push(Checkpointing {
                    shard: self.index,
                    partition: partition.clone(),
                    generation: open.generation,
                    handle,
                }),
                Err(error) => tracing::warn!(%partition, %error, "a snapshot of the producers could not be written"),
            }
        }
        let _ = self.checkpointer.send(Round(round));
    }

    /// Notes that a snapshot of a log survives a power cut.
    pub(super) fn checkpointed(&mut self, partition: &TopicPartition, generation: u64, snapshot: Offset) {
        if let Some(open) = self.logs.get_mut(partition).filter(|open| open.generation == generation) {
            open.log.mark_checkpointed(snapshot);
        }
    }

    /// Writes the snapshots of logs that have begun a segment.
    pub(super) fn snapshot(&mut self, rolled: Vec<TopicPartition>) {
        for partition in rolled {
            let Some(open) = self.logs.get_mut(&partition).filter(|open| open.log.wants_snapshot()) else { continue };
            let Some(states) = self.shard.producers_at(&partition, open.log.log_end()) else { continue };
            write_snapshot(&partition, open, &states);
        }
    }

    /// Writes the last snapshot of a log that is about to be closed.
    pub(super) fn last_snapshot(&self, partition: &TopicPartition, open: &mut OpenLog) {
        if let Some(states) = self.shard.producers_at(partition, open.log.log_end()) {
            write_snapshot(partition, open, &states);
        }
    }
}

fn write_snapshot(partition: &TopicPartition, open: &mut OpenLog, states: &[ProducerState]) {
    if let Err(error) = open.log.write_snapshot(&entries(states)) {
        tracing::warn!(%partition, %error, "a snapshot of the producers could not be written; the next start reads more");
    }
}

/// The producers of a partition as a snapshot has them.
fn entries(states: &[ProducerState]) -> Vec<ProducerEntry> {
    let batch = |batch: &ProducedBatch| {
        let ProducedBatch { last_sequence, last_offset, offset_delta, timestamp } = *batch;
        ProducerBatch { last_sequence, last_offset, offset_delta, timestamp }
    };
    let entry = |state: &ProducerState| ProducerEntry {
        producer_id: state.producer_id.0,
        producer_epoch: state.epoch.0,
        coordinator_epoch: state.coordinator_epoch,
        last_timestamp: state.batches.last().map_or(-1, |batch| batch.timestamp),
        open_since: state.open_since,
        batches: state.batches.iter().map(batch).collect(),
    };
    states.iter().map(entry).collect()
}

/// The producers of a snapshot as a partition has them.
pub(super) fn states(entries: &[ProducerEntry]) -> Vec<ProducerState> {
    let batch = |batch: &ProducerBatch| {
        let ProducerBatch { last_sequence, last_offset, offset_delta, timestamp } = *batch;
        ProducedBatch { last_sequence, last_offset, offset_delta, timestamp }
    };
    let state = |entry: &ProducerEntry| ProducerState {
        producer_id: ProducerId(entry.producer_id),
        epoch: ProducerEpoch(entry.producer_epoch),
        coordinator_epoch: entry.coordinator_epoch,
        open_since: entry.open_since,
        batches: entry.batches.iter().map(batch).collect(),
    };
    entries.iter().map(state).collect()
}
