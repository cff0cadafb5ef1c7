//! A shard's partitions and their directories: where a log is opened, and what happens when a directory fails.

use super::placement::DirectoryIndex;
use super::{Future, Place};
use crate::driver::shard_thread::ShardThread;
use pelton_core::model::{METADATA_TOPIC, TopicId, TopicPartition};
use pelton_log::LogError;
use std::path::PathBuf;

/// Where the log of a partition is to be opened.
pub(crate) struct Placed {
    pub directory: DirectoryIndex,
    pub path: PathBuf,
    /// A copy that moves somewhere else, and goes on once the log is open.
    pub future: Option<Future>,
}

impl ShardThread {
    /// Finds the directory of a partition; `None` when that is offline, and the partition with it.
    pub(in crate::driver) fn place(
        &mut self,
        partition: &TopicPartition,
        topic_id: TopicId,
    ) -> Result<Option<Placed>, String> {
        match self.shared.directories.place(partition, topic_id)? {
            Place::At { directory, future } => {
                let path = self.shared.directories.of(directory).partition_path(partition);
                Ok(Some(Placed { directory, path, future }))
            }
            Place::Offline(message) => {
                tracing::error!(%partition, message, "a partition is offline");
                self.take_offline(partition.clone(), topic_id, message);
                Ok(None)
            }
        }
    }

    /// A log could not be opened. Where its directory has failed, the partition is offline with it, and nothing else is
    /// wrong.
    pub(in crate::driver) fn open_failed(
        &mut self,
        partition: &TopicPartition,
        topic_id: TopicId,
        directory: DirectoryIndex,
        error: &LogError,
    ) -> Result<(), String> {
        let directories = self.shared.directories.clone();
        directories.count(directory, false);
        let broken = matches!(error, LogError::Io { .. }) && directories.of(directory).probe().is_err();
        if !broken || &*partition.topic == METADATA_TOPIC {
            return Err(error.to_string());
        }
        self.driver.worker().suspect(directory);
        self.take_offline(partition.clone(), topic_id, error.to_string());
        Ok(())
    }

    /// Something failed in the log of a partition: its directory may have.
    pub(in crate::driver) fn suspect(&self, partition: &TopicPartition) {
        if let Some(open) = self.logs.get(partition) {
            self.driver.worker().suspect(open.directory);
        }
    }

    /// A partition is going to be deleted: forgets what the directories keep for it.
    pub(in crate::driver) fn leave_directory(&mut self, partition: &TopicPartition, topic_id: TopicId) {
        self.shard.forget_offline(partition, topic_id);
        if let Some(open) = self.logs.get(partition).filter(|open| open.topic_id == topic_id) {
            self.shared.directories.end_move(partition);
            self.shared.directories.count(open.directory, false);
        }
    }

    /// Closes what is in a directory that has failed, and ends the moves to it.
    pub(in crate::driver) fn directory_failed(&mut self, directory: DirectoryIndex, message: &str) {
        for (partition, moving) in self.shared.directories.moves.all() {
            if moving.to == directory && self.logs.contains_key(&partition) {
                tracing::error!(%partition, "the log is not moved: the directory that it was to go to is offline");
                self.shared.directories.end_move(&partition);
            }
        }
        let lost: Vec<(TopicPartition, TopicId)> = self
            .logs
            .iter()
            .filter(|(_, open)| open.directory == directory)
            .map(|(partition, open)| (partition.clone(), open.topic_id))
            .collect();
        for (partition, topic_id) in lost {
            self.shared.directories.end_move(&partition);
            self.logs.remove(&partition);
            self.to_sync.remove(&partition);
            self.take_offline(partition, topic_id, message.to_owned());
        }
    }

    fn take_offline(&mut self, partition: TopicPartition, topic_id: TopicId, message: String) {
        let mut effects = Vec::new();
        self.shard.take_offline(self.clock.now(), partition, topic_id, message, &mut effects);
        self.perform(effects);
    }
}
