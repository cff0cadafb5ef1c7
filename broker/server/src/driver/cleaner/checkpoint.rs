//! `cleaner-offset-checkpoint`: up to where each log of a directory has been compacted. Kafka's file, one for each
//! log directory: a line `0`, a line with the number of entries, and for each `<topic> <partition> <offset>`.
//!
//! It is a hint: without it a log is compacted from its start, which costs time and changes nothing.

use super::super::checkpoints::key_of;
use super::shard::Candidate;
use pelton_core::model::{Offset, TopicId, TopicPartition};
use pelton_log::{OffsetCheckpoint, OsDisk, read_offsets, write_offsets};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FILE: &str = "cleaner-offset-checkpoint";

/// The checkpoints of all directories.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    by_directory: BTreeMap<PathBuf, Directory>,
}

#[derive(Debug, Default)]
struct Directory {
    on_file: OffsetCheckpoint,
    /// Those of this run, with the topic that they belong to: a topic of the same name may come after it.
    known: BTreeMap<TopicPartition, (TopicId, Offset)>,
}

impl Checkpoints {
    /// The checkpoint of a log, if there is one.
    pub fn of(&mut self, log: &Candidate) -> Option<Offset> {
        let directory = self.directory(&log.directory);
        let partition = &log.partition;
        if let Some(offset) = directory.on_file.remove(&key_of(partition)) {
            directory.known.entry(partition.clone()).or_insert((log.topic_id, offset));
        }
        directory.known.get(partition).filter(|(topic_id, _)| *topic_id == log.topic_id).map(|(_, offset)| *offset)
    }

    /// Notes that the log is compacted below `offset`.
    pub fn set(&mut self, log: &Candidate, offset: Offset) {
        let path = log.directory.clone();
        let directory = self.directory(&path);
        directory.known.insert(log.partition.clone(), (log.topic_id, offset));
        let known = directory.known.iter().map(|(partition, (_, offset))| (key_of(partition), *offset));
        if let Err(error) = write_offsets(&OsDisk, &path.join(FILE), &known.collect()) {
            tracing::warn!(%error, "the offsets of the cleaner could not be written");
        }
    }

    /// Forgets the logs that are not among these: they were deleted, or are no longer compacted.
    pub fn keep_only(&mut self, logs: &[Candidate]) {
        for (path, directory) in &mut self.by_directory {
            directory.on_file.clear();
            let here = |partition: &TopicPartition| {
                logs.iter().any(|log| log.directory == *path && log.partition == *partition)
            };
            directory.known.retain(|partition, _| here(partition));
        }
        // Only now, so that what is on file of a directory that was not seen before is looked at once.
        for log in logs {
            self.of(log);
        }
    }

    fn directory(&mut self, path: &Path) -> &mut Directory {
        self.by_directory.entry(path.to_owned()).or_insert_with(|| {
            let on_file = read_offsets(&OsDisk, &path.join(FILE)).unwrap_or_default();
            Directory { on_file, known: BTreeMap::new() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_log::compaction::CompactionConfig;

    fn log(directory: &Path, topic: &str, topic_id: u128) -> Candidate {
        Candidate {
            partition: TopicPartition::new(topic, 3),
            topic_id: TopicId(topic_id),
            generation: 1,
            directory: directory.to_owned(),
            log_start: 0,
            stable_end: 0,
            sealed: Vec::new(),
            config: CompactionConfig::default(),
            file_delete_delay_ms: 0,
        }
    }

    #[test]
    fn the_file_is_kafkas_and_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (log(dir.path(), "a", 1), log(dir.path(), "b", 2));
        let mut checkpoints = Checkpoints::default();
        checkpoints.set(&a, 17);
        checkpoints.set(&b, 4);
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, "0\n2\na 3 17\nb 3 4\n");
        let mut again = Checkpoints::default();
        assert_eq!((again.of(&a), again.of(&b)), (Some(17), Some(4)));
    }

    #[test]
    fn a_topic_of_the_same_name_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::default();
        checkpoints.set(&log(dir.path(), "a", 1), 17);
        assert_eq!(checkpoints.of(&log(dir.path(), "a", 2)), None);
        checkpoints.keep_only(&[]);
        assert_eq!(checkpoints.of(&log(dir.path(), "a", 1)), None);
    }

    #[test]
    fn what_is_torn_counts_as_nothing() {
        for (text, expected) in [("0\n1\na 3 17\n", Some(17)), ("0\n2\na 3 17\n", None), ("0\n1\na 3\n", None)] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE), text).unwrap();
            assert_eq!(Checkpoints::default().of(&log(dir.path(), "a", 1)), expected, "{text:?}");
        }
    }
}
