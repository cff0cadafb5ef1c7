//! Loading: counts the logs that are being opened, opens one, and shows a coordinator its own log.

use super::checkpoints::states;
use super::shard_thread::{OpenLog, ShardThread};
use super::topic_log::{deletes, log_config};
use pelton_core::event::{Envelope, Event, RecoveredBatch, RecoveredLog};
use pelton_core::model::{METADATA_TOPIC, OFFSETS_TOPIC, PartId, TRANSACTIONS_TOPIC, TopicId, TopicPartition};
use pelton_log::{BatchSummary, Log, LogError, OsDisk};
use pelton_record::{ControlType, uncompressed_batch};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The leader epoch of every partition: one node, which leads from the first record to the last.
const LEADER_EPOCH: i32 = 0;
/// Bytes of a coordinator's log that are read at a time when it is replayed.
const REPLAY_BYTES: usize = 1 << 20;
/// The largest batch of a coordinator's log, decompressed.
const REPLAY_BATCH_MAX_BYTES: usize = 256 << 20;

/// How much of the loading is left.
#[derive(Debug, Default)]
pub struct Opening {
    outstanding: AtomicUsize,
    failure: Mutex<Option<String>>,
    changed: Notify,
}

impl Opening {
    /// One more log is going to be opened.
    pub fn begin(&self) {
        self.outstanding.fetch_add(1, Ordering::SeqCst);
    }

    /// One log has been opened, or could not be.
    pub fn end(&self, result: Result<(), String>) {
        if let Err(message) = result {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
        }
        if self.outstanding.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.changed.notify_waiters();
        }
    }

    /// Waits until every log that was asked for is open.
    ///
    /// # Errors
    /// The first reason why one could not be opened.
    pub async fn done(&self) -> Result<(), String> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.outstanding.load(Ordering::SeqCst) == 0 {
                let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
                return failure.map_or(Ok(()), Err);
            }
            changed.await;
        }
    }
}

impl ShardThread {
    /// Opens a partition, rebuilds its machine, and replays the log of the coordinator on it.
    pub(super) fn open(
        &mut self,
        partition: TopicPartition,
        topic_id: TopicId,
        configs: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        if self.logs.contains_key(&partition) {
            return Ok(());
        }
        let Some(placed) = self.place(&partition, topic_id)? else { return Ok(()) };
        let mut batches = Vec::new();
        let mut visit = |batch: &BatchSummary| {
            let control = batch.control.map(|(kind, epoch)| (kind == ControlType::Commit, epoch));
            batches.push(RecoveredBatch { header: batch.header, control });
        };
        let config = log_config(&self.shared.log, configs);
        let (recovery_point, log_start) = self.shared.checkpoints.known(placed.directory, &partition);
        let clean = self.shared.directories.of(placed.directory).was_clean();
        let known = pelton_log::Opening { topic_id: topic_id.0, clean, recovery_point, log_start };
        let opened = Log::open(OsDisk, placed.path, config, known, &mut visit);
        let (mut log, recovered) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.open_failed(&partition, topic_id, placed.directory, &error),
        };
        if recovered.truncated_bytes > 0 {
            tracing::info!(%partition, bytes = recovered.truncated_bytes, "the torn end of the log was cut off");
        }
        log.record_leader_epoch(LEADER_EPOCH, recovered.log_end);
        let (log_start, log_end) = (recovered.log_start, recovered.log_end);
        let producers = states(&recovered.producers);
        let found = RecoveredLog { log_start, log_end, leader_epoch: LEADER_EPOCH, producers, batches };
        let mut effects = Vec::new();
        self.shard.open(self.clock.now(), partition.clone(), topic_id, configs, found, &mut effects);
        self.generations += 1;
        let generation = self.generations;
        let directory = placed.directory;
        let open =
            OpenLog { log, directory, topic_id, generation, deletes: deletes(configs), syncing: false, wanted: None };
        self.logs.insert(partition.clone(), open);
        self.perform(effects);
        self.snapshot(vec![partition.clone()]);
        if let Some(future) = placed.future {
            self.resume_move(&partition, future);
        }
        match coordinator_on(&partition) {
            Some(part) => self.replay(&part, &partition),
            None => Ok(()),
        }
    }

    fn replay(&mut self, part: &PartId, partition: &TopicPartition) -> Result<(), String> {
        let Some(open) = self.logs.get(partition) else { return Ok(()) };
        let (mut next, end) = (open.log.log_start(), open.log.log_end());
        while next < end {
            let Some(open) = self.logs.get(partition) else { return Ok(()) };
            let read = open.log.read(next, end, REPLAY_BYTES, true);
            let bytes = read.map_err(|error: LogError| error.to_string())?;
            let mut batches = Vec::new();
            let from = next;
            for batch in pelton_record::batches(&bytes) {
                let batch = batch.map_err(|error| format!("{partition}: {error}"))?;
                let plain = uncompressed_batch(&batch, REPLAY_BATCH_MAX_BYTES);
                let plain = plain.map_err(|error| format!("{partition}: {error}"))?;
                batches.push(plain.into_owned().into());
                next = batch.header().next_offset();
            }
            if next == from {
                return Err(format!("{partition}: nothing can be read at offset {from}, though the log ends at {end}"));
            }
            self.step(Envelope { to: part.clone(), event: Event::Replay { batches } });
        }
        self.step(Envelope { to: part.clone(), event: Event::Loaded });
        match self.shard.coordinator_failure(part) {
            Some(failure) => Err(format!("{partition}: {failure}")),
            None => Ok(()),
        }
    }

    /// Lets a partition and its log go by the configs that its topic has now.
    pub(super) fn configure(
        &mut self,
        partition: &TopicPartition,
        topic_id: TopicId,
        configs: &BTreeMap<String, String>,
    ) {
        self.shard.configure(partition, topic_id, configs);
        if let Some(open) = self.logs.get_mut(partition).filter(|open| open.topic_id == topic_id) {
            open.log.set_config(log_config(&self.shared.log, configs));
            open.deletes = deletes(configs);
        }
    }

    /// Closes a partition and removes its log.
    pub(super) fn delete(&mut self, partition: &TopicPartition, topic_id: TopicId) {
        self.leave_directory(partition, topic_id);
        if self.logs.get(partition).is_none_or(|open| open.topic_id != topic_id) {
            return;
        }
        self.shared.checkpoints.forget(partition);
        let mut effects = Vec::new();
        self.shard.close(partition, &mut effects);
        if let Some(open) = self.logs.remove(partition)
            && let Err(error) = open.log.delete()
        {
            tracing::error!(%partition, %error, "the log of a deleted topic could not be removed; remove it by hand");
        }
        self.perform(effects);
    }
}

fn coordinator_on(partition: &TopicPartition) -> Option<PartId> {
    match &*partition.topic {
        OFFSETS_TOPIC => Some(PartId::Group(partition.partition)),
        TRANSACTIONS_TOPIC => Some(PartId::Transaction(partition.partition)),
        METADATA_TOPIC => Some(PartId::Cluster),
        _ => None,
    }
}

/// Tells the opener that a log is open, or why it is not.
pub(super) fn report(opening: &Arc<Opening>, partition: &TopicPartition, result: Result<(), String>) {
    if let Err(error) = &result {
        tracing::error!(%partition, %error, "a partition cannot be opened");
    }
    opening.end(result);
}
