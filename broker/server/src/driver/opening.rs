//! Loading: has the logs opened, takes them in, and shows a coordinator its own log.
//!
//! [`plan`] decides the order, [`recovery`] has the threads, [`progress`] counts. The log of the cluster image, which
//! names all others, and logs that are made while the broker runs are opened by their shards.

mod plan;
pub(super) mod progress;
pub(super) mod recovery;

use super::checkpoints::states;
use super::shard_thread::{OpenLog, ShardThread};
use super::topic_log::log_config;
use super::{Driver, Letter};
use pelton_core::config::CleanupPolicy;
use pelton_core::event::{Envelope, Event, RecoveredLog};
use pelton_core::model::{METADATA_TOPIC, OFFSETS_TOPIC, PartId, TRANSACTIONS_TOPIC, TopicId, TopicPartition};
use pelton_log::LogError;
use pelton_record::uncompressed_batch;
use progress::Ended;
use recovery::{Opened, ToOpen};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The leader epoch of every partition: one node, which leads from the first record to the last.
const LEADER_EPOCH: i32 = 0;
/// Bytes of a coordinator's log that are read at a time when it is replayed.
const REPLAY_BYTES: usize = 1 << 20;
/// The largest batch of a coordinator's log, decompressed.
const REPLAY_BATCH_MAX_BYTES: usize = 256 << 20;

impl Driver {
    /// Everything that was there is open.
    pub(crate) fn loaded(&self) {
        self.recovery.end();
        self.worker.loaded();
    }

    fn load_coordinators(&self) {
        for mailbox in &self.mailboxes {
            let _ = mailbox.send(Letter::LoadCoordinators);
        }
    }
}

impl ShardThread {
    /// Opens a partition, or has it opened.
    pub(super) fn open(
        &mut self,
        partition: TopicPartition,
        topic_id: TopicId,
        configs: Arc<BTreeMap<String, String>>,
    ) {
        let is_metadata = &*partition.topic == METADATA_TOPIC;
        match self.find_log(&partition, topic_id, configs) {
            Ok(None) => self.opening_ended(&partition, Ended::Done),
            Err(error) => self.opening_ended(&partition, Ended::Failed(error)),
            Ok(Some(log)) => {
                if let Some(log) = if is_metadata { Some(log) } else { self.hand_over(log) } {
                    let ended = match self.take_in(log.open()) {
                        Ok(Some(part)) => self.replay(&part, &partition).map_or_else(Ended::Failed, |()| Ended::Done),
                        Ok(None) => Ended::Done,
                        Err(error) => Ended::Failed(error),
                    };
                    self.opening_ended(&partition, ended);
                }
            }
        }
    }

    /// Has the log opened by the threads that do so at a start; gives it back when they have ended.
    fn hand_over(&self, log: ToOpen) -> Option<ToOpen> {
        let recovery = &self.driver.recovery;
        if recovery.has_ended() {
            return Some(log);
        }
        let (directory, unread_bytes) = (log.placed.directory, log.unread_bytes());
        recovery.open(directory, unread_bytes, (self.index, log)).map(|(_, log)| log)
    }

    /// Takes a log in that was opened for this shard.
    pub(super) fn opened(&mut self, opened: Opened) {
        let partition = opened.asked.partition.clone();
        let ended = match self.take_in(opened) {
            Ok(Some(part)) => {
                self.unloaded.push((part, partition.clone()));
                Ended::CoordinatorWaits
            }
            Ok(None) => Ended::Done,
            Err(error) => Ended::Failed(error),
        };
        self.opening_ended(&partition, ended);
    }

    /// Loads the coordinators that waited for all logs to be open.
    pub(super) fn load_coordinators(&mut self) {
        for (part, partition) in std::mem::take(&mut self.unloaded) {
            let result = self.replay(&part, &partition);
            if let Err(error) = &result {
                tracing::error!(%partition, %error, "a coordinator cannot be loaded");
            }
            self.shared.opening.loaded(result);
        }
    }

    fn opening_ended(&self, partition: &TopicPartition, ended: Ended) {
        if let Ended::Failed(error) = &ended {
            tracing::error!(%partition, %error, "a partition cannot be opened");
        }
        if self.shared.opening.end(ended) {
            self.driver.load_coordinators();
        }
    }

    /// What is to be opened; nothing where it is open already, or out of reach.
    fn find_log(
        &mut self,
        partition: &TopicPartition,
        topic_id: TopicId,
        configs: Arc<BTreeMap<String, String>>,
    ) -> Result<Option<ToOpen>, String> {
        if self.logs.contains_key(partition) {
            return Ok(None);
        }
        let Some(placed) = self.place(partition, topic_id)? else { return Ok(None) };
        let config = log_config(&self.shared.log, self.policy(&configs), &configs);
        let (recovery_point, log_start) = self.shared.checkpoints.known(placed.directory, partition);
        let clean = self.shared.directories.of(placed.directory).was_clean();
        let known = pelton_log::Opening { topic_id: topic_id.0, clean, recovery_point, log_start };
        Ok(Some(ToOpen { partition: partition.clone(), topic_id, configs, placed, config, known }))
    }

    /// Rebuilds the machine of a partition whose log is open. Gives the coordinator whose log it is.
    fn take_in(&mut self, opened: Opened) -> Result<Option<PartId>, String> {
        let Opened { asked: ToOpen { partition, topic_id, configs, placed, .. }, result } = opened;
        let recovery::Found { mut log, recovered, batches } = match result {
            Ok(found) => found,
            Err(error) => return self.open_failed(&partition, topic_id, placed.directory, &error).map(|()| None),
        };
        if recovered.truncated_bytes > 0 {
            tracing::info!(%partition, bytes = recovered.truncated_bytes, "the torn end of the log was cut off");
        }
        log.record_leader_epoch(LEADER_EPOCH, recovered.log_end);
        let (log_start, log_end) = (recovered.log_start, recovered.log_end);
        let producers = states(&recovered.producers);
        let found = RecoveredLog { log_start, log_end, leader_epoch: LEADER_EPOCH, producers, batches };
        let mut effects = Vec::new();
        self.shard.open(self.clock.now(), partition.clone(), topic_id, &configs, found, &mut effects);
        self.generations += 1;
        let generation = self.generations;
        let directory = placed.directory;
        let numbers = self.shared.metrics.topics.of(topic_id, &partition.topic);
        let deletes = self.policy(&configs).delete;
        let open = OpenLog { log, directory, topic_id, generation, deletes, syncing: false, wanted: None, numbers };
        self.logs.insert(partition.clone(), open);
        self.perform(effects);
        self.snapshot(vec![partition.clone()]);
        if let Some(future) = placed.future {
            self.resume_move(&partition, future);
        }
        // The directory may have failed while a thread read the log, and nobody knew of it here.
        if self.shared.directories.of(directory).failure().is_some() {
            let message = self.shared.directories.offline_message();
            self.directory_failed(directory, &message);
        }
        Ok(coordinator_on(&partition).filter(|_| self.logs.contains_key(&partition)))
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
        let policy = self.policy(configs);
        if let Some(open) = self.logs.get_mut(partition).filter(|open| open.topic_id == topic_id) {
            open.log.set_config(log_config(&self.shared.log, policy, configs));
            open.deletes = policy.delete;
        }
    }

    fn policy(&self, configs: &BTreeMap<String, String>) -> CleanupPolicy {
        CleanupPolicy::of(configs, self.shared.core.cleanup_policy)
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
        if let Some(open) = self.logs.remove(partition) {
            let directory = open.directory;
            drop(open);
            match self.shared.directories.set_aside(directory, partition) {
                Ok(path) => self.driver.remover().remove(path),
                Err(error) => {
                    tracing::error!(%partition, %error, "the log of a deleted topic could not be removed; remove it by hand");
                }
            }
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
