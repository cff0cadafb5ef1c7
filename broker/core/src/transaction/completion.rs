//! Carrying a decision out: a marker to every enlisted partition, then the record that says so; and what time does.

use super::state::{Status, Transaction};
use super::{COORDINATOR_EPOCH, Question, TRANSACTION_VERSION, Transactions, records};
use crate::coordinator::Outcome;
use crate::event::{Marker, PartitionRequest, Reply, Request, TransactionResult};
use crate::model::{PartId, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use crate::refusal::Refusal;
use std::collections::BTreeSet;
use std::sync::Arc;

const FIRST_RETRY_MS: i64 = 100;
const LAST_RETRY_MS: i64 = 30_000;

/// The markers of one decision that are still missing. Soft state: a restart asks for all of them again, and a
/// partition takes a marker twice without harm.
#[derive(Debug, Default)]
pub(super) struct Completion {
    /// Asked for and not answered.
    asked: BTreeSet<TopicPartition>,
    /// Refused; to be asked for again at `retry_at`.
    refused: BTreeSet<TopicPartition>,
    attempts: u32,
    pub(super) retry_at: Option<Timestamp>,
}

impl Transactions {
    /// Writes the decision `next` and carries it out.
    pub(super) fn complete(&mut self, now: Timestamp, id: &Arc<str>, next: Transaction, out: &mut Outcome) {
        out.append(vec![records::state_record(id, &next)]);
        if let Some(entry) = self.entries.get_mut(id)
            && entry.transaction.producer_epoch != next.producer_epoch
        {
            entry.forget_previous();
        }
        self.carry_out(now, id, &next, out);
    }

    fn carry_out(&mut self, now: Timestamp, id: &Arc<str>, decided: &Transaction, out: &mut Outcome) {
        if decided.partitions.is_empty() {
            return out.append(vec![records::state_record(id, &decided.completed(now))]);
        }
        if let Some(entry) = self.entries.get_mut(id) {
            entry.completion = Some(Completion { asked: decided.partitions.clone(), ..Completion::default() });
        }
        for partition in &decided.partitions {
            self.ask_marker(id, decided, partition, out);
        }
    }

    fn ask_marker(&mut self, id: &Arc<str>, decided: &Transaction, partition: &TopicPartition, out: &mut Outcome) {
        let question = self.question(Question::Marker {
            transactional_id: Arc::clone(id),
            partition: partition.clone(),
            producer: (decided.producer_id, decided.producer_epoch),
        });
        let marker = Marker {
            producer_id: decided.producer_id,
            producer_epoch: decided.producer_epoch,
            coordinator_epoch: COORDINATOR_EPOCH,
            commit: decided.commits(),
            transaction_version: TRANSACTION_VERSION,
        };
        let request = Request::Partition(PartitionRequest::WriteMarker(marker));
        out.ask(PartId::Partition(partition.clone()), question, request);
    }

    pub(super) fn marker_answered(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        partition: TopicPartition,
        producer: (ProducerId, ProducerEpoch),
        answer: Reply,
        out: &mut Outcome,
    ) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let transaction = &entry.transaction;
        let current = (transaction.producer_id, transaction.producer_epoch) == producer;
        let Some(completion) = entry.completion.as_mut().filter(|_| current && transaction.status.is_completing())
        else {
            return;
        };
        if !completion.asked.remove(&partition) {
            return;
        }
        match answer {
            Reply::Partition(Ok(_) | Err(Refusal::UnknownTopicOrPartition | Refusal::UnknownTopicId)) => {}
            // The partition has seen a later epoch of the producer, so nothing of this transaction is open there: a later epoch
            // comes in by a marker, an operator's (WriteTxnMarkers), which ends it, or while nothing was open.
            Reply::Partition(Err(Refusal::InvalidProducerEpoch)) => {}
            _ => {
                completion.refused.insert(partition);
            }
        }
        if !completion.asked.is_empty() {
            return;
        }
        if completion.refused.is_empty() {
            return out.append(vec![records::state_record(id, &transaction.completed(now))]);
        }
        let wait_ms = FIRST_RETRY_MS.saturating_mul(1 << completion.attempts.min(16)).min(LAST_RETRY_MS);
        completion.attempts = completion.attempts.saturating_add(1);
        completion.retry_at = Some(now.plus_ms(wait_ms));
        self.reschedule(id);
    }

    /// After a restart: decisions whose markers may be missing are carried out again.
    pub(super) fn resume_completions(&mut self, now: Timestamp, out: &mut Outcome) {
        let decided = self.entries.iter().filter(|(_, entry)| entry.transaction.status.is_completing());
        let decided: Vec<_> = decided.map(|(id, entry)| (Arc::clone(id), entry.transaction.clone())).collect();
        for (id, transaction) in decided {
            self.carry_out(now, &id, &transaction, out);
        }
    }

    /// The deadline of this id has come.
    pub(super) fn due(&mut self, now: Timestamp, id: &Arc<str>, out: &mut Outcome) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let transaction = entry.transaction.clone();
        match transaction.status {
            Status::Ongoing => {
                // Under the next epoch: the instance that was too slow must not go on as if nothing had happened.
                let next = transaction.decided(now, transaction.next_epoch(), TransactionResult::Abort);
                self.complete(now, id, next, out);
            }
            Status::PrepareCommit | Status::PrepareAbort => {
                let Some(completion) = entry.completion.as_mut() else { return };
                completion.retry_at = None;
                let again = std::mem::take(&mut completion.refused);
                completion.asked.extend(again.iter().cloned());
                for partition in &again {
                    self.ask_marker(id, &transaction, partition, out);
                }
                self.reschedule(id);
            }
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort => {
                out.append(vec![records::tombstone(id)]);
            }
        }
    }
}
