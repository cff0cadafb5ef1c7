//! The transaction coordinator: one slice of the transactional ids, over one partition of `__transaction_state`
//! (KIP-98; verification as in KIP-890 part 1).
//!
//! It decides who may write under a transactional id, which partitions a transaction has touched, and whether it
//! commits; it then sees to it that every enlisted partition gets the marker, over restarts and refusals. It keeps no
//! record of what was written: that, and hiding it from readers, is the partitions' part.
//!
//! Invariants: a decision is durable before any marker leaves and before anybody hears of it; a decision is made once;
//! an epoch that was fenced never decides again. All three follow from the frame (answers and questions leave after the
//! records) and from the check of the epoch in every request.
//!
//! Transactions are as version 1 has them: a producer keeps its epoch from one transaction to the next, and markers
//! carry that epoch, or the next one where the coordinator aborts by itself (a timeout, a new instance).

mod completion;
mod described;
mod init;
mod listing;
mod records;
mod requests;
mod state;
#[cfg(test)]
mod tests;

pub use described::describe_record;

use crate::config::CoreConfig;
use crate::coordinator::{Coordinator, Outcome, StoredRecord};
use crate::event::{Reply, ReplyTo, Request, TransactionReply, TransactionRequest};
use crate::model::{ProducerEpoch, ProducerId, Timestamp, Token, TopicPartition};
use crate::refusal::Refusal;
use completion::Completion;
use init::{PendingInit, ProducerIdBlock};
use state::{Status, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most transactional ids of one coordinator. With 50 of them, 5 million.
const MAX_IDS: usize = 100_000;
/// Most ids that one tick looks at; the rest is due at the next one, which then comes at once.
const MAX_DUE_PER_TICK: usize = 1_000;
/// Epoch of this coordinator. A cluster of one node has only ever one coordinator of a transactional id, so its reign
/// has no number to tell; markers carry it all the same, and partitions refuse lower ones.
const COORDINATOR_EPOCH: i32 = 0;
/// The version of this coordinator's transactions, which its markers carry.
const TRANSACTION_VERSION: i8 = 1;

/// The coordinator of the transactional ids that hash to one partition of `__transaction_state`.
#[derive(Debug)]
pub struct Transactions {
    config: Arc<CoreConfig>,
    index: i32,
    entries: BTreeMap<Arc<str>, Entry>,
    /// When which id is due: its transaction times out, its markers are tried again, or it has been idle too long.
    deadlines: BTreeSet<(Timestamp, Arc<str>)>,
    questions: BTreeMap<u64, Question>,
    next_question: u64,
    block: ProducerIdBlock,
    /// New producers that wait for the block of producer ids that was asked for.
    pending_inits: Vec<PendingInit>,
}

/// One transactional id.
#[derive(Debug)]
struct Entry {
    /// The hard state: the newest record.
    transaction: Transaction,
    /// What the producer was before its last InitProducerId, if that one named what it was: a repetition of the
    /// request gets the same answer (KIP-360). Lost with the process, since the record has no field for it.
    previous: Option<(ProducerId, ProducerEpoch)>,
    /// The markers that are still missing, while a decision is being carried out.
    completion: Option<Completion>,
    /// This id's entry in `deadlines`.
    due: Timestamp,
}

/// What this coordinator has asked another part.
#[derive(Debug)]
enum Question {
    /// The cluster, for a block of producer ids.
    ProducerIds,
    /// A partition, to write a marker.
    Marker { transactional_id: Arc<str>, partition: TopicPartition, producer: (ProducerId, ProducerEpoch) },
}

impl Transactions {
    /// The coordinator over partition `index` of `__transaction_state`; it knows nothing until its log is replayed.
    pub fn new(config: Arc<CoreConfig>, index: i32) -> Self {
        Self {
            config,
            index,
            entries: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            questions: BTreeMap::new(),
            next_question: 0,
            block: ProducerIdBlock::default(),
            pending_inits: Vec::new(),
        }
    }

    fn question(&mut self, question: Question) -> u64 {
        let number = self.next_question;
        self.next_question += 1;
        self.questions.insert(number, question);
        number
    }

    /// Brings `deadlines` up to date with the entry of this id.
    fn reschedule(&mut self, transactional_id: &Arc<str>) {
        let Some(entry) = self.entries.get_mut(transactional_id) else { return };
        self.deadlines.remove(&(entry.due, Arc::clone(transactional_id)));
        entry.due = entry.deadline(self.config.transactional_id_expiration_ms);
        self.deadlines.insert((entry.due, Arc::clone(transactional_id)));
    }

    fn forget(&mut self, transactional_id: &Arc<str>) {
        if let Some(entry) = self.entries.remove(transactional_id) {
            self.deadlines.remove(&(entry.due, Arc::clone(transactional_id)));
        }
    }
}

impl Entry {
    fn new(transaction: Transaction) -> Self {
        Self { transaction, previous: None, completion: None, due: Timestamp::default() }
    }

    fn deadline(&self, id_expiration_ms: i64) -> Timestamp {
        let transaction = &self.transaction;
        match transaction.status {
            Status::Ongoing => {
                transaction.started.unwrap_or(transaction.updated).plus_ms(i64::from(transaction.timeout_ms))
            }
            Status::PrepareCommit | Status::PrepareAbort => {
                self.completion.as_ref().and_then(|completion| completion.retry_at).unwrap_or(Timestamp(i64::MAX))
            }
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort => {
                transaction.updated.plus_ms(id_expiration_ms)
            }
        }
    }
}

fn reply(result: Result<TransactionReply, Refusal>) -> Reply {
    Reply::Transaction(result)
}

impl Coordinator for Transactions {
    fn handle(&mut self, now: Timestamp, who: ReplyTo, request: Request, out: &mut Outcome) {
        let Request::Transaction(request) = request else {
            let refusal = Refusal::InvalidRequest("a transaction coordinator was asked for something else".into());
            return out.reply(who, reply(Err(refusal)));
        };
        let id = request.transactional_id().map_or(Ok(()), |id| requests::check_transactional_id(id));
        if let Err(refusal) = id {
            return out.reply(who, reply(Err(refusal)));
        }
        match request {
            TransactionRequest::InitProducer { transactional_id, timeout_ms, current } => {
                self.init_producer(now, PendingInit { who, transactional_id, timeout_ms, current }, out);
            }
            TransactionRequest::AddPartitions { transactional_id, producer_id, producer_epoch, partitions } => {
                let result = self.enlist(now, &transactional_id, (producer_id, producer_epoch), &partitions, out);
                out.reply(who, reply(result));
            }
            TransactionRequest::AddOffsets { transactional_id, producer_id, producer_epoch, offsets_partition } => {
                let partitions = [offsets_partition];
                let result = self.enlist(now, &transactional_id, (producer_id, producer_epoch), &partitions, out);
                out.reply(who, reply(result));
            }
            TransactionRequest::Verify { transactional_id, producer_id, producer_epoch, partition } => {
                let result = self.verify(&transactional_id, (producer_id, producer_epoch), &partition);
                out.reply(who, reply(result));
            }
            TransactionRequest::VerifyAll { transactional_id, producer_id, producer_epoch, partitions } => {
                let result = self.verify_all(&transactional_id, (producer_id, producer_epoch), &partitions);
                out.reply(who, reply(result));
            }
            TransactionRequest::End { transactional_id, producer_id, producer_epoch, result } => {
                let result = self.end(now, &transactional_id, (producer_id, producer_epoch), result, out);
                out.reply(who, reply(result));
            }
            TransactionRequest::Describe { transactional_id } => {
                out.reply(who, reply(self.describe(&transactional_id)))
            }
            TransactionRequest::List(filter) => out.reply(who, reply(Ok(self.list(now, &filter)))),
        }
    }

    fn answered(&mut self, now: Timestamp, question: u64, reply: Reply, out: &mut Outcome) {
        match self.questions.remove(&question) {
            Some(Question::ProducerIds) => self.producer_ids_answered(now, reply, out),
            Some(Question::Marker { transactional_id, partition, producer }) => {
                self.marker_answered(now, &transactional_id, partition, producer, reply, out);
            }
            None => {}
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Outcome) {
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now).take(MAX_DUE_PER_TICK);
        let due: Vec<Arc<str>> = due.map(|(_, id)| Arc::clone(id)).collect();
        for transactional_id in due {
            self.due(now, &transactional_id, out);
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at).filter(|at| *at < Timestamp(i64::MAX))
    }

    fn cancelled(&mut self, _now: Timestamp, token: Token, _out: &mut Outcome) {
        self.pending_inits.retain(|pending| pending.who != ReplyTo::Shell(token));
    }

    fn replay(&mut self, record: StoredRecord<'_>) -> Result<(), String> {
        let transactional_id = records::decode_key(record.key)?;
        let Some(transaction) = record.value.map(records::decode_value).transpose()?.flatten() else {
            self.forget(&transactional_id);
            return Ok(());
        };
        match self.entries.get_mut(&transactional_id) {
            Some(entry) => {
                if !transaction.status.is_completing() {
                    entry.completion = None;
                }
                entry.transaction = transaction;
            }
            None => {
                self.entries.insert(Arc::clone(&transactional_id), Entry::new(transaction));
            }
        }
        self.reschedule(&transactional_id);
        Ok(())
    }

    /// `__transaction_state` holds no transactional records, hence no markers.
    fn replay_marker(&mut self, _producer_id: ProducerId, _producer_epoch: ProducerEpoch, _commit: bool) {}

    fn loaded(&mut self, now: Timestamp, out: &mut Outcome) {
        self.resume_completions(now, out);
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        reply(Err(refusal))
    }
}
