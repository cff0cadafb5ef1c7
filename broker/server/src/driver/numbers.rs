//! What a shard tells of itself when the numbers are read: its logs, its groups, and what waits in it.
//!
//! Bound: what is committed of [`GROUP_PARTITIONS`] partitions of groups; the logs are as many as there are.

use super::directories::placement::DirectoryIndex;
use super::shard_thread::ShardThread;
use super::{Driver, Letter};
use pelton_core::event::{PartitionRequest, Request};
use pelton_core::group::GroupNumbers;
use pelton_core::model::{Offset, TopicId, TopicPartition};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot;

/// Partitions of groups that a shard tells of at most.
const GROUP_PARTITIONS: usize = 50_000;
/// How long a shard may take to tell.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an answer is about that a shard still owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owed {
    /// An append, which waits for the disk or for its transaction.
    Produce,
    /// A reader that waits for records.
    Fetch,
    /// A group or a transaction: a rebalance that waits for its members, or a record that is being made durable.
    Coordinator,
    /// Anything else.
    Other,
}

impl Owed {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Produce, "produce"),
        (Self::Fetch, "fetch"),
        (Self::Coordinator, "coordinator"),
        (Self::Other, "other"),
    ];

    /// What the answer to this question is about.
    pub fn of(request: &Request) -> Self {
        match request {
            Request::Partition(PartitionRequest::Append { .. }) => Self::Produce,
            Request::Partition(PartitionRequest::Watch { .. } | PartitionRequest::Fetch { .. }) => Self::Fetch,
            Request::Group(_) | Request::Transaction(_) => Self::Coordinator,
            Request::Partition(_) | Request::Cluster(_) => Self::Other,
        }
    }
}

/// A log.
#[derive(Debug, Clone)]
pub struct LogNumbers {
    /// Of which partition.
    pub partition: TopicPartition,
    /// Of which topic.
    pub topic_id: TopicId,
    /// In which directory.
    pub directory: DirectoryIndex,
    /// Its bytes.
    pub bytes: u64,
    /// Its segments.
    pub segments: usize,
    /// Its first offset.
    pub log_start: Offset,
    /// One past its last offset.
    pub log_end: Offset,
    /// What consumers may read ends here.
    pub high_watermark: Offset,
    /// What read_committed consumers may read ends here.
    pub last_stable: Offset,
}

/// A shard.
#[derive(Debug, Clone, Default)]
pub struct ShardNumbers {
    /// Whether it gave no answer.
    pub silent: bool,
    /// Its logs, in order.
    pub logs: Vec<LogNumbers>,
    /// Partitions whose directory is offline.
    pub offline: usize,
    /// Logs whose disk failed, so that nothing is appended any more.
    pub fenced: usize,
    /// Logs that had no room when something was appended last.
    pub full: usize,
    /// Answers that it owes, in the order of [`Owed::ALL`].
    pub owed: [usize; Owed::ALL.len()],
    /// Letters in its mailbox.
    pub letters: usize,
    /// How many groups its coordinators have in each state.
    pub group_states: BTreeMap<&'static str, usize>,
    /// The groups that have committed something, each with that.
    pub groups: Vec<GroupNumbers>,
    /// Partitions of groups that are not among them, because there are too many.
    pub group_partitions_left_out: usize,
}

/// Counts groups by their states, and keeps what at most `most` partitions of them have committed.
fn groups(all: impl Iterator<Item = GroupNumbers>, most: usize, numbers: &mut ShardNumbers) {
    let mut room = most;
    for mut group in all {
        *numbers.group_states.entry(group.state).or_default() += 1;
        numbers.group_partitions_left_out += group.committed.len().saturating_sub(room);
        group.committed.truncate(room);
        room -= group.committed.len();
        if !group.committed.is_empty() {
            numbers.groups.push(group);
        }
    }
}

impl ShardThread {
    /// What it tells of itself.
    pub(super) fn numbers(&self) -> ShardNumbers {
        let mut owed = [0; Owed::ALL.len()];
        for waiting in self.waiting.values() {
            owed[waiting.about as usize] += 1;
        }
        let logs = self.logs.iter().map(|(partition, open)| {
            let (log_start, log_end) = (open.log.log_start(), open.log.log_end());
            let marks = self.shard.watermarks(partition);
            LogNumbers {
                partition: partition.clone(),
                topic_id: open.topic_id,
                directory: open.directory,
                bytes: open.log.size_bytes(),
                segments: open.log.segment_base_offsets().len(),
                log_start,
                log_end,
                high_watermark: marks.map_or(log_end, |marks| marks.high_watermark),
                last_stable: marks.map_or(log_end, |marks| marks.last_stable),
            }
        });
        let mut numbers = ShardNumbers {
            logs: logs.collect(),
            offline: self.shard.offline().count(),
            fenced: self.logs.values().filter(|open| open.log.is_fenced()).count(),
            full: self.full.len(),
            owed,
            ..ShardNumbers::default()
        };
        groups(self.shard.groups(), GROUP_PARTITIONS, &mut numbers);
        numbers
    }
}

impl Driver {
    /// What every shard tells of itself. One that says nothing for [`PATIENCE`] is silent: its disk may hang.
    pub async fn numbers(&self) -> Vec<ShardNumbers> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut asked = Vec::with_capacity(self.mailboxes.len());
        for mailbox in &self.mailboxes {
            let (answer, answered) = oneshot::channel();
            let letters = mailbox.len();
            let _ = mailbox.send(Letter::Numbers { answer });
            asked.push((answered, letters));
        }
        let mut found = Vec::with_capacity(asked.len());
        for (answered, letters) in asked {
            let numbers = tokio::time::timeout_at(deadline, answered).await;
            let numbers =
                numbers.ok().and_then(Result::ok).unwrap_or(ShardNumbers { silent: true, ..Default::default() });
            found.push(ShardNumbers { letters, ..numbers });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_counted_and_what_is_told_of_them_is_bounded() {
        let group = |id: &str, state, partitions: i32| GroupNumbers {
            group: id.into(),
            state,
            committed: (0..partitions).map(|index| (TopicPartition::new("t", index), 1)).collect(),
        };
        let all = [group("a", "Stable", 3), group("b", "Empty", 0), group("c", "Stable", 4), group("d", "Empty", 2)];
        let mut numbers = ShardNumbers::default();
        groups(all.into_iter(), 5, &mut numbers);
        assert_eq!(numbers.group_states, BTreeMap::from([("Empty", 2), ("Stable", 2)]));
        let told: Vec<(&str, usize)> = numbers.groups.iter().map(|g| (&*g.group, g.committed.len())).collect();
        assert_eq!((told, numbers.group_partitions_left_out), (vec![("a", 3), ("c", 2)], 4));
    }
}
