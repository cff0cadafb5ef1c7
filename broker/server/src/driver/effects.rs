//! Performs one effect.

use super::Letter;
use super::shard_thread::ShardThread;
use bytes::{Bytes, BytesMut};
use pelton_core::effect::{AssignedBatch, Effect};
use pelton_core::event::{AbortedTransaction, Event, Fetched, OffsetLookup, PartitionReply, Reply};
use pelton_core::model::{LeaderEpoch, Offset, PartId, ProducerId, Timestamp, Token, TopicPartition};
use pelton_core::refusal::Refusal;
use pelton_log::{AbortedTxn, LogError};
use pelton_record::{BatchHeader, HEADER_LEN, patch_offset_and_epoch};

/// Logs whose write failed while the effects of one step were performed. Answers of that step that rest on the
/// write are turned into refusals.
#[derive(Debug, Default)]
pub(super) struct Failed(Vec<(TopicPartition, String)>);

impl Failed {
    /// The failures, to be told to the machines.
    pub fn take(self) -> Vec<(TopicPartition, String)> {
        self.0
    }

    fn correct(&self, reply: Reply) -> Reply {
        match (self.0.first(), &reply) {
            (
                Some((_, message)),
                Reply::Partition(Ok(PartitionReply::Appended(_) | PartitionReply::Described { .. })),
            ) => Reply::Partition(Err(Refusal::Storage(message.clone()))),
            _ => reply,
        }
    }
}

impl ShardThread {
    pub(super) fn perform_one(&mut self, effect: Effect, failed: &mut Failed) {
        match effect {
            Effect::Send(mut envelope) => {
                if let Event::Answer { reply, .. } = &mut envelope.event
                    && !failed.0.is_empty()
                {
                    *reply = failed.correct(reply.clone());
                }
                self.driver.deliver(envelope);
            }
            Effect::Reply { token, reply } => self.answer(token, failed.correct(reply)),
            Effect::Write { partition, batches } => {
                if let Err(message) = self.write(&partition, batches) {
                    failed.0.push((partition, message));
                }
            }
            Effect::Flush { partition, through } => {
                if let Some(open) = self.logs.get_mut(&partition).filter(|open| !open.log.is_fenced()) {
                    open.wanted = open.wanted.max(Some(through));
                    self.to_sync.insert(partition);
                }
            }
            Effect::RecordAborted { partition, aborted, last_stable } => {
                if let Some(open) = self.logs.get_mut(&partition) {
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

    fn answer(&mut self, token: Token, reply: Reply) {
        if let Some(waiting) = self.waiting.remove(&token) {
            // Whoever waited may have gone; then nobody hears it.
            let _ = waiting.send(reply);
        }
    }

    fn write(&mut self, partition: &TopicPartition, batches: Vec<AssignedBatch>) -> Result<(), String> {
        let open = self.logs.get_mut(partition).ok_or("the log is not open")?;
        for batch in batches {
            let bytes = stamped(batch.header, batch.bytes)?;
            if let Err(error) = open.log.append(&bytes, &batch.header) {
                // At once: a later write of the same step must not leave a hole behind the one that failed.
                open.log.fence();
                return Err(error.to_string());
            }
        }
        Ok(())
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
        answer.records = open.log.read(from, end, max_bytes, true).map_err(refusal)?;
        if with_aborted {
            let last = pelton_record::batches(&answer.records).filter_map(Result::ok).last();
            let read_end = last.map_or(from, |batch| batch.header().next_offset());
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
            OffsetLookup::Earliest => Some((open.log.log_start(), None)),
            OffsetLookup::Latest => Some((end, None)),
            OffsetLookup::MaxTimestamp => open
                .log
                .max_timestamp_offset(end)
                .map_err(refusal)?
                .map(|found| (found.offset, Some(Timestamp(found.timestamp)))),
            OffsetLookup::AtOrAfter(timestamp) => open
                .log
                .offset_for_timestamp(timestamp.0, end)
                .map_err(refusal)?
                .map(|found| (found.offset, Some(Timestamp(found.timestamp)))),
        };
        Ok(PartitionReply::Located { found, leader_epoch })
    }
}

/// The batch with the offset and the leader epoch that it was given; neither is under its CRC.
fn stamped(header: BatchHeader, bytes: Bytes) -> Result<Bytes, String> {
    let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    if bytes.len() < HEADER_LEN {
        return Err("a batch is shorter than its header".to_owned());
    }
    patch_offset_and_epoch(&mut bytes, header.base_offset, header.partition_leader_epoch);
    Ok(bytes.freeze())
}

fn refusal(error: LogError) -> Refusal {
    match error {
        LogError::OffsetOutOfRange { .. } => Refusal::OffsetOutOfRange,
        other => {
            tracing::error!(error = %other, "a log cannot be read");
            Refusal::Storage(other.to_string())
        }
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
        let mut failed = Failed::default();
        assert!(matches!(failed.correct(appended()), Reply::Partition(Ok(_))));
        failed.0.push((TopicPartition::new("t", 0), "no space left".to_owned()));
        let Reply::Partition(Err(refusal)) = failed.correct(appended()) else { panic!("the answer was let through") };
        assert_eq!(refusal, Refusal::Storage("no space left".to_owned()));
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
