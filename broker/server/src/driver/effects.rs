//! Performs one effect, and keeps what its machine must be told of it.

use super::Letter;
use super::shard_thread::ShardThread;
use crate::fetch::Stored;
use pelton_core::effect::{AssignedBatch, Effect};
use pelton_core::event::{AbortedTransaction, Event, Fetched, OffsetLookup, PartitionReply, Reply};
use pelton_core::model::{LeaderEpoch, Offset, PartId, ProducerId, Timestamp, Token, TopicPartition};
use pelton_core::refusal::Refusal;
use pelton_core::shard::NoRoom;
use pelton_log::{AbortedTxn, LogError};

/// What came of the effects of one step that its machines must be told when all are performed.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Logs whose write failed for good.
    pub fenced: Vec<(TopicPartition, String)>,
    /// Logs that had no room, and are as they were.
    pub no_room: Vec<NoRoom>,
    /// Logs from which records were deleted, where they start now, and who waits for that.
    pub trimmed: Vec<(TopicPartition, Offset, Token)>,
    /// Logs of which a snapshot is due.
    pub rolled: Vec<TopicPartition>,
}

impl Outcomes {
    /// Whether a write to this log has failed in this step.
    fn has_failed(&self, partition: &TopicPartition) -> bool {
        self.fenced.iter().any(|(failed, _)| failed == partition)
            || self.no_room.iter().any(|failed| failed.partition == *partition)
    }

    /// Answers of the step that may rest on a write that failed are turned into refusals.
    fn correct(&self, reply: Reply) -> Reply {
        let why = match (self.fenced.first(), self.no_room.first()) {
            (Some((_, message)), _) => Refusal::Storage(message.clone()),
            (None, Some(failed)) => Refusal::NoRoom(failed.message.clone()),
            (None, None) => return reply,
        };
        match reply {
            Reply::Partition(Ok(PartitionReply::Appended(_) | PartitionReply::Described { .. })) => {
                Reply::Partition(Err(why))
            }
            other => other,
        }
    }
}

impl ShardThread {
    pub(super) fn perform_one(&mut self, effect: Effect, outcomes: &mut Outcomes) {
        match effect {
            Effect::Send(mut envelope) => {
                if let Event::Answer { reply, .. } = &mut envelope.event {
                    *reply = outcomes.correct(reply.clone());
                }
                self.driver.deliver(envelope);
            }
            Effect::Reply { token, reply } => self.answer(token, outcomes.correct(reply)),
            Effect::Write { partition, batches } => self.write(partition, batches, outcomes),
            Effect::Flush { partition, through } => {
                if let Some(open) = self.logs.get_mut(&partition).filter(|open| !open.log.is_fenced()) {
                    open.wanted = open.wanted.max(Some(through));
                    self.to_sync.insert(partition);
                }
            }
            Effect::RecordAborted { partition, aborted, last_stable } => {
                // The marker of a write that failed is not there.
                if !outcomes.has_failed(&partition)
                    && let Some(open) = self.logs.get_mut(&partition)
                {
                    open.log.append_aborted(AbortedTxn {
                        producer_id: aborted.producer_id.0,
                        first_offset: aborted.first_offset,
                        last_offset: aborted.last_offset,
                        last_stable_offset: last_stable,
                    });
                }
            }
            Effect::Read { token, partition, from, end, max_bytes, with_aborted, answer } => {
                let fetched = self.read(&partition, from, end, max_bytes, with_aborted, answer);
                self.answer(token, Reply::Partition(fetched.map(PartitionReply::Fetched)));
            }
            Effect::DeleteRecords { token, partition, before } => {
                self.delete_records(token, partition, before, outcomes);
            }
            Effect::Locate { token, partition, lookup, end, leader_epoch } => {
                let located = self.locate(&partition, lookup, end, leader_epoch);
                self.answer(token, Reply::Partition(located));
            }
            Effect::CreatePartition { partition, topic_id, configs } => {
                self.shared.opening.begin();
                let part = PartId::Partition(partition.clone());
                self.driver.post(&part, Letter::Open { partition, topic_id, configs });
            }
            Effect::ConfigurePartition { partition, topic_id, configs } => {
                let part = PartId::Partition(partition.clone());
                self.driver.post(&part, Letter::Configure { partition, topic_id, configs });
            }
            Effect::DeletePartition { partition, topic_id } => {
                let part = PartId::Partition(partition.clone());
                self.driver.post(&part, Letter::Delete { partition, topic_id });
            }
            Effect::PublishImage(image) => {
                self.shared.images.send_replace(image);
            }
            Effect::WakeAt { part, at } => self.timers.set(part, at),
        }
    }

    pub(super) fn answer(&mut self, token: Token, reply: Reply) {
        if let Some(waiting) = self.waiting.remove(&token) {
            // Whoever waited may have gone; then nobody hears it.
            let _ = waiting.answer.send(reply);
        }
    }

    fn write(&mut self, partition: TopicPartition, batches: Vec<AssignedBatch>, outcomes: &mut Outcomes) {
        // A later write of the same step must not leave a hole behind the one that failed.
        if outcomes.has_failed(&partition) {
            return;
        }
        let Some(open) = self.logs.get_mut(&partition) else {
            return outcomes.fenced.push((partition, "the log is not open".to_owned()));
        };
        for (index, batch) in batches.iter().enumerate() {
            let Err(error) = open.log.append(&batch.bytes, &batch.header) else { continue };
            let message = error.to_string();
            // Batches of one append are written all or not at all, so what is half there cannot be tried again.
            if index == 0 && error.is_out_of_space() && !open.log.is_fenced() {
                if self.full.insert(partition.clone()) {
                    tracing::error!(%partition, %error, "there is no room for more records; reads go on, and writes when there is room");
                }
                outcomes.no_room.push(NoRoom { partition, log_end: open.log.log_end(), message });
                return;
            }
            open.log.fence();
            return outcomes.fenced.push((partition, message));
        }
        for batch in &batches {
            open.numbers.bytes_in.add(batch.bytes.len() as u64);
            open.numbers.messages_in.add(batch.header.record_count.max(0) as u64);
        }
        if self.full.remove(&partition) {
            tracing::info!(%partition, "there is room for records again");
        }
        if open.log.take_flush_is_due() {
            open.wanted = open.wanted.max(Some(open.log.log_end()));
            self.to_sync.insert(partition.clone());
        }
        if open.log.wants_snapshot() && outcomes.rolled.last() != Some(&partition) {
            outcomes.rolled.push(partition);
        }
    }

    fn delete_records(&mut self, token: Token, partition: TopicPartition, before: Offset, outcomes: &mut Outcomes) {
        let Some(open) = self.logs.get_mut(&partition) else {
            return self.answer(token, Reply::Partition(Err(Refusal::UnknownTopicOrPartition)));
        };
        let deleted = open.log.delete_before(before);
        if let Err(error) = &deleted
            && open.log.is_fenced()
        {
            outcomes.fenced.push((partition.clone(), error.to_string()));
        }
        match deleted {
            Ok(trimmed) => {
                self.driver.remover().remove_later(trimmed.removable, open.log.config().file_delete_delay_ms);
                outcomes.trimmed.push((partition, open.log.log_start(), token));
            }
            Err(error) => {
                self.shared.directories.note_unread(&error);
                self.answer(token, Reply::Partition(Err(refusal(error))));
            }
        }
    }

    fn read(
        &self,
        partition: &TopicPartition,
        from: Offset,
        end: Offset,
        max_bytes: usize,
        with_aborted: bool,
        mut answer: Fetched,
    ) -> Result<Fetched, Refusal> {
        let open = self.logs.get(partition).ok_or(Refusal::UnknownTopicOrPartition)?;
        if let Some(slice) =
            open.log.slice(from, end, max_bytes, true).map_err(|error| self.unread(partition, error))?
        {
            answer.records = Stored::records(slice);
        }
        if with_aborted {
            let read_end = answer.records.next_offset(from);
            let aborted = open.log.aborted_in(from, read_end).into_iter().map(|aborted| AbortedTransaction {
                producer_id: ProducerId(aborted.producer_id),
                first_offset: aborted.first_offset,
                last_offset: aborted.last_offset,
            });
            answer.aborted = aborted.collect();
        }
        Ok(answer)
    }

    fn locate(
        &self,
        partition: &TopicPartition,
        lookup: OffsetLookup,
        end: Offset,
        leader_epoch: LeaderEpoch,
    ) -> Result<PartitionReply, Refusal> {
        let open = self.logs.get(partition).ok_or(Refusal::UnknownTopicOrPartition)?;
        let found = match lookup {
            OffsetLookup::EpochEnd(epoch) => {
                return Ok(match open.log.epoch_end_offset(epoch.0) {
                    Some((epoch, end)) => {
                        PartitionReply::Located { found: Some((end, None)), leader_epoch: LeaderEpoch(epoch) }
                    }
                    None => PartitionReply::Located { found: None, leader_epoch },
                });
            }
            OffsetLookup::Earliest => Some((open.log.log_start(), None)),
            OffsetLookup::Latest => Some((end, None)),
            OffsetLookup::MaxTimestamp => open
                .log
                .max_timestamp_offset(end)
                .map_err(|error| self.unread(partition, error))?
                .map(|found| (found.offset, Some(Timestamp(found.timestamp)))),
            OffsetLookup::AtOrAfter(timestamp) => open
                .log
                .offset_for_timestamp(timestamp.0, end)
                .map_err(|error| self.unread(partition, error))?
                .map(|found| (found.offset, Some(Timestamp(found.timestamp)))),
        };
        Ok(PartitionReply::Located { found, leader_epoch })
    }

    /// Records could not be read: the directory that they are in may have failed.
    fn unread(&self, partition: &TopicPartition, error: LogError) -> Refusal {
        if matches!(error, LogError::Io { .. }) {
            self.suspect(partition);
        }
        self.shared.directories.note_unread(&error);
        refusal(error)
    }
}

/// What a reader is told of an error of a log.
pub(crate) fn refusal(error: LogError) -> Refusal {
    match error {
        LogError::OffsetOutOfRange { .. } => Refusal::OffsetOutOfRange,
        damaged @ LogError::Damaged { .. } => Refusal::CorruptMessage(damaged.to_string()),
        full if full.is_out_of_space() => Refusal::NoRoom(full.to_string()),
        other => Refusal::Storage(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_core::event::Appended;

    #[test]
    fn no_answer_says_that_a_write_succeeded_when_it_failed() {
        let appended = || {
            Reply::Partition(Ok(PartitionReply::Appended(Appended { base_offset: 0, last_offset: 0, log_start: 0 })))
        };
        let mut failed = Outcomes::default();
        assert!(matches!(failed.correct(appended()), Reply::Partition(Ok(_))));
        let full = NoRoom { partition: TopicPartition::new("u", 0), log_end: 0, message: "no space left".to_owned() };
        failed.no_room.push(full);
        let Reply::Partition(Err(refusal)) = failed.correct(appended()) else { panic!("the answer was let through") };
        assert_eq!(refusal, Refusal::NoRoom("no space left".to_owned()));
        failed.fenced.push((TopicPartition::new("t", 0), "EIO".to_owned()));
        let Reply::Partition(Err(refusal)) = failed.correct(appended()) else { panic!("the answer was let through") };
        assert_eq!(refusal, Refusal::Storage("EIO".to_owned()));
        let described = Reply::Partition(Ok(PartitionReply::Described {
            watermarks: pelton_core::model::Watermarks::empty_at(0),
            leader_epoch: LeaderEpoch(0),
        }));
        let corrected = failed.correct(described);
        assert!(matches!(corrected, Reply::Partition(Err(_))), "its log end may be of what was not written");
        let other = failed.correct(Reply::Partition(Ok(PartitionReply::Readable)));
        assert!(matches!(other, Reply::Partition(Ok(PartitionReply::Readable))));
    }
}
