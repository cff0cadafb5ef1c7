//! What handlers ask of the log directories.

use super::placement::DirectoryIndex;
use super::worker::{DirectoryLetter, LogSize};
use crate::driver::{Driver, Letter};
use pelton_core::model::{PartId, TopicPartition};
use pelton_core::refusal::Refusal;
use tokio::sync::oneshot;

impl Driver {
    /// How large the logs are, and where; without those of shards that have ended.
    pub(crate) async fn log_sizes(&self) -> Vec<LogSize> {
        let mut asked = Vec::with_capacity(self.mailboxes.len());
        for mailbox in &self.mailboxes {
            let (answer, answered) = oneshot::channel();
            let _ = mailbox.send(Letter::Directories(DirectoryLetter::Describe { answer }));
            asked.push(answered);
        }
        let mut sizes = Vec::new();
        for answered in asked {
            sizes.extend(answered.await.unwrap_or_default());
        }
        sizes
    }

    /// Begins to move a log.
    ///
    /// # Errors
    /// [`Refusal::ReplicaNotAvailable`], [`Refusal::Storage`] where it or the directory is offline.
    pub(crate) async fn move_log(&self, partition: TopicPartition, to: DirectoryIndex) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        let part = PartId::Partition(partition.clone());
        self.post(&part, Letter::Directories(DirectoryLetter::Move { partition, to, answer }));
        answered.await.unwrap_or(Err(Refusal::Stopping))
    }

    /// A directory was found to be unusable.
    pub(crate) fn directory_failed(&self, index: DirectoryIndex, reason: &str) {
        self.worker.fail(index, reason, &self.mailboxes);
    }
}
