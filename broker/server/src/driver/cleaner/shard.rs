//! What a shard answers the cleaner.

use crate::driver::shard_thread::{OpenLog, ShardThread};
use pelton_core::model::{Offset, TopicId, TopicPartition};
use pelton_log::OsDisk;
use pelton_log::compaction::{CleanedSegment, CompactionConfig, CompactionSource, LastOfProducer, SealedSegment};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

/// What the cleaner asks.
pub(crate) enum CleanerLetter {
    /// The logs that are compacted.
    Candidates { answer: Sender<Vec<Candidate>> },
    /// What compacting the segments below `end` needs; nothing when the log was opened anew, or is gone.
    Material { partition: TopicPartition, generation: u64, end: Offset, answer: Sender<Option<Material>> },
    /// Put a new segment in its place. The answer names the files that are of no use any more; nothing when the log is
    /// not what the segment was made from.
    Replace {
        partition: TopicPartition,
        generation: u64,
        cleaned: Box<CleanedSegment<OsDisk>>,
        answer: Sender<Option<Vec<PathBuf>>>,
    },
}

/// A log that is compacted.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub partition: TopicPartition,
    pub topic_id: TopicId,
    /// Tells this opening of the log from others.
    pub generation: u64,
    /// The log directory that it is in.
    pub directory: PathBuf,
    pub log_start: Offset,
    /// Nothing from here on may be touched.
    pub stable_end: Offset,
    pub sealed: Vec<SealedSegment>,
    pub config: CompactionConfig,
    pub file_delete_delay_ms: i64,
}

/// What a compaction needs.
pub(crate) struct Material {
    pub source: CompactionSource<OsDisk>,
    pub producers: Vec<LastOfProducer>,
}

impl ShardThread {
    /// Answers the cleaner. Where it waits no longer, nobody hears it.
    pub(in crate::driver) fn answer_cleaner(&mut self, letter: CleanerLetter) {
        match letter {
            CleanerLetter::Candidates { answer } => {
                let _ = answer.send(self.candidates());
            }
            CleanerLetter::Material { partition, generation, end, answer } => {
                let _ = answer.send(self.material(&partition, generation, end));
            }
            CleanerLetter::Replace { partition, generation, cleaned, answer } => {
                let _ = answer.send(self.replace(partition, generation, *cleaned));
            }
        }
    }

    fn candidates(&self) -> Vec<Candidate> {
        let compacted = self.logs.iter().filter(|(_, open)| open.log.config().compact && !open.log.is_fenced());
        let candidates = compacted.filter_map(|(partition, open)| {
            let watermarks = self.shard.watermarks(partition)?;
            let log = &open.log;
            Some(Candidate {
                partition: partition.clone(),
                topic_id: open.topic_id,
                generation: open.generation,
                directory: log.dir().parent().unwrap_or(Path::new(".")).to_owned(),
                log_start: log.log_start(),
                stable_end: watermarks.last_stable,
                sealed: log.sealed_segments(),
                config: log.config().compaction,
                file_delete_delay_ms: log.config().file_delete_delay_ms,
            })
        });
        candidates.collect()
    }

    fn material(&self, partition: &TopicPartition, generation: u64, end: Offset) -> Option<Material> {
        let open = self.logs.get(partition).filter(|open| is_as_it_was(open, generation))?;
        let producers = self.shard.producers(partition)?.into_iter().map(|producer| LastOfProducer {
            producer_id: producer.producer_id.0,
            producer_epoch: producer.epoch.0,
            last_data_offset: producer.batches.last().map(|batch| batch.last_offset),
        });
        let producers = producers.collect();
        match open.log.compaction_source(end) {
            Ok(source) => Some(Material { source, producers }),
            Err(error) => {
                tracing::warn!(%partition, %error, "the segments of a log cannot be shared with the cleaner");
                None
            }
        }
    }

    fn replace(
        &mut self,
        partition: TopicPartition,
        generation: u64,
        cleaned: CleanedSegment<OsDisk>,
    ) -> Option<Vec<PathBuf>> {
        // What was written for another opening is removed when the log is opened next.
        let open = self.logs.get_mut(&partition).filter(|open| is_as_it_was(open, generation))?;
        match open.log.replace(cleaned) {
            Ok(files) => files,
            Err(error) => {
                self.storage_failed(partition, error.to_string());
                None
            }
        }
    }
}

fn is_as_it_was(open: &OpenLog, generation: u64) -> bool {
    open.generation == generation && !open.log.is_fenced()
}
