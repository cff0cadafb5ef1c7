//! The waiting that all coordinators share: records out, answers held until those records are committed.
//!
//! What it does: it feeds a [`Coordinator`] the batches of its log, then its questions; writes the
//! records that it decides through the partition that backs it; replays them into it at once; and lets
//! answers, questions and effects go in the order of the decisions, each when every append that was
//! decided before it is answered. What it does not do: it knows nothing of groups, transactions or topics.
//!
//! Invariant: nothing that a coordinator decided leaves before the records it rests on are committed. An append that
//! found no room on the disk is asked for again, and everything behind it in its order; until then nothing new is
//! decided on request. After any other failed append the state in memory is ahead of the log for good, so the frame
//! stays failed: everything that waits is refused, and only a new frame, which replays the log, answers again.

use super::{Coordinator, DecidedBatch, NewRecord, Outcome, StoredRecord};
use crate::effect::Effect;
use crate::event::{Acks, AppendOrigin, Event, IncomingBatch, PartitionRequest, Reply, ReplyTo, Request};
use crate::model::{PartId, ProducerEpoch, ProducerId, Timestamp, Token};
use crate::refusal::Refusal;
use bytes::Bytes;
use pelton_record::{BatchBuilder, BatchView, ControlType, NO_SEQUENCE};
use std::collections::VecDeque;

/// Bytes of encoded records after which a batch is closed and another begun.
const BATCH_TARGET_BYTES: usize = 900_000;
/// The largest key and value of one record together. Kafka's `socket.request.max.bytes` is 100 MiB, so no
/// honest client reaches it; past it the decision is refused, since a batch's length has 31 bits.
const MAX_RECORD_BYTES: usize = 128 << 20;
/// Decisions that may wait for their records; past it questions are refused until some are committed.
const MAX_WAITING: usize = 10_000;
/// How long after an append found no room it is asked for again, in milliseconds.
const NO_ROOM_RETRY_MS: i64 = 1_000;
/// Marks the frame's own questions (its appends) among those of the coordinator.
const APPEND_QUESTION: u64 = 1 << 63;

/// A coordinator and the decisions that wait for their records.
#[derive(Debug)]
pub struct Frame<C> {
    part: PartId,
    machine: C,
    state: State,
    waiting: VecDeque<Decided>,
    appends: u64,
    wake: Option<Timestamp>,
    /// The log has no room; when to ask for the appends again.
    retry_at: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Loading,
    Ready,
    Failed(String),
}

/// One outcome that waits.
#[derive(Debug, Default)]
struct Decided {
    /// The append that must be answered first; `None` once it is, or where the outcome wrote nothing.
    append: Option<u64>,
    /// What the append is to write, while it is not answered.
    batches: Vec<IncomingBatch>,
    /// Whether the append is not on its way, for want of room.
    held: bool,
    /// The producers whose transactions the append belonged to, where it held nothing else.
    transactions: Vec<(ProducerId, ProducerEpoch)>,
    replies: Vec<(ReplyTo, Reply)>,
    questions: Vec<(PartId, u64, Request)>,
    effects: Vec<Effect>,
}

impl<C: Coordinator> Frame<C> {
    /// A frame for `part` that waits for its log to be replayed.
    pub fn new(part: PartId, machine: C) -> Self {
        Self { part, machine, state: State::Loading, waiting: VecDeque::new(), appends: 0, wake: None, retry_at: None }
    }

    /// The coordinator.
    pub fn machine(&self) -> &C {
        &self.machine
    }

    /// Why the frame answers no more, if it does not.
    pub fn failure(&self) -> Option<&str> {
        match &self.state {
            State::Failed(why) => Some(why),
            State::Loading | State::Ready => None,
        }
    }

    /// Takes one event.
    pub fn step(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Ask { reply_to, request } => self.ask(now, reply_to, request, effects),
            Event::Answer { question, reply } if question & APPEND_QUESTION != 0 => {
                self.append_answered(now, question & !APPEND_QUESTION, reply, effects);
            }
            Event::Answer { question, reply } => {
                self.decide(now, effects, |machine, out| machine.answered(now, question, reply, out));
            }
            Event::Replay { batches } => self.replay(&batches),
            Event::Loaded => {
                if self.state == State::Loading {
                    self.state = State::Ready;
                    self.decide(now, effects, |machine, out| machine.loaded(now, out));
                }
            }
            Event::Cancelled(token) => {
                self.forget(token);
                self.decide(now, effects, |machine, out| machine.cancelled(now, token, out));
            }
            Event::Tick => {
                self.wake = None;
                self.retry(now, effects);
                self.decide(now, effects, |machine, out| machine.tick(now, out));
            }
            // These concern the log behind the coordinator, which tells of them by its answers to appends.
            Event::Flushed { .. } | Event::NoRoom { .. } | Event::StorageFailed { .. } | Event::Trimmed { .. } => {}
        }
        self.announce_wake(effects);
    }

    /// Refuses everything that waits: the log was closed.
    pub fn close(&mut self, effects: &mut Vec<Effect>) {
        self.fail("the log was closed".to_owned(), &Refusal::NotCoordinator, effects);
    }

    fn ask(&mut self, now: Timestamp, reply_to: ReplyTo, request: Request, effects: &mut Vec<Effect>) {
        let refusal = match self.state {
            State::Loading => Refusal::CoordinatorLoadInProgress,
            State::Failed(_) => Refusal::CoordinatorNotAvailable,
            // What is decided now could not be kept for long; the client finds this coordinator again.
            State::Ready if self.retry_at.is_some() => Refusal::CoordinatorNotAvailable,
            State::Ready if self.waiting.len() >= MAX_WAITING => Refusal::CoordinatorLoadInProgress,
            State::Ready => {
                self.decide(now, effects, |machine, out| machine.handle(now, reply_to, request, out));
                return;
            }
        };
        effects.extend(Effect::answer(reply_to, self.machine.refuse(refusal)));
    }

    /// Lets the coordinator decide, when it may, and takes care of what it decided.
    fn decide(&mut self, now: Timestamp, effects: &mut Vec<Effect>, call: impl FnOnce(&mut C, &mut Outcome)) {
        if self.state != State::Ready {
            return;
        }
        let mut outcome = Outcome::default();
        call(&mut self.machine, &mut outcome);
        self.finish(now, outcome, effects);
    }

    fn finish(&mut self, now: Timestamp, outcome: Outcome, effects: &mut Vec<Effect>) {
        let Outcome { batches, mut replies, questions, effects: wanted } = outcome;
        if batches.iter().flat_map(|(_, records)| records).any(|record| record_bytes(record) > MAX_RECORD_BYTES) {
            for (_, reply) in &mut replies {
                *reply = self.machine.refuse(Refusal::RecordTooLarge);
            }
            self.enqueue(Decided { replies, ..Decided::default() });
            self.release(effects);
            return;
        }
        let only_transactions = batches.iter().all(|(producer, _)| producer.is_some());
        let transactions =
            if only_transactions { batches.iter().filter_map(|(producer, _)| *producer).collect() } else { Vec::new() };
        let mut decided = Decided { transactions, replies, questions, effects: wanted, ..Decided::default() };
        if !batches.is_empty() {
            self.write(now, &batches, &mut decided, effects);
        }
        self.enqueue(decided);
        for (producer, records) in &batches {
            if let Err(why) = self.replay_new(now, *producer, records) {
                let why = format!("a record that was just decided cannot be replayed: {why}");
                self.fail(why, &Refusal::CoordinatorNotAvailable, effects);
                return;
            }
        }
        self.release(effects);
    }

    fn enqueue(&mut self, decided: Decided) {
        let empty = decided.replies.is_empty() && decided.questions.is_empty() && decided.effects.is_empty();
        if decided.append.is_some() || !empty {
            self.waiting.push_back(decided);
        }
    }

    /// Asks the log to append, all or nothing; once there is room, where there is none now.
    fn write(&mut self, now: Timestamp, batches: &[DecidedBatch], decided: &mut Decided, effects: &mut Vec<Effect>) {
        for (producer, records) in batches {
            encode(now, *producer, records, &mut decided.batches);
        }
        let append = self.appends;
        self.appends += 1;
        decided.append = Some(append);
        decided.held = self.retry_at.is_some();
        if !decided.held {
            effects.push(self.append(append, decided.batches.clone()));
        }
    }

    /// Asks again for what found no room, in its order.
    fn retry(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.state != State::Ready || self.retry_at.is_none_or(|at| at > now) {
            return;
        }
        self.retry_at = None;
        let mut held = Vec::new();
        for decided in self.waiting.iter_mut().filter(|decided| decided.held) {
            decided.held = false;
            held.extend(decided.append.map(|append| (append, decided.batches.clone())));
        }
        effects.extend(held.into_iter().map(|(append, batches)| self.append(append, batches)));
    }

    fn append(&self, append: u64, batches: Vec<IncomingBatch>) -> Effect {
        let request = PartitionRequest::Append {
            batches,
            acks: Acks::All,
            origin: AppendOrigin::Coordinator,
            transactional_id: None,
        };
        let reply_to = ReplyTo::Part(self.part.clone(), append | APPEND_QUESTION);
        Effect::ask(PartId::Partition(self.part.log()), reply_to, Request::Partition(request))
    }

    /// The append is asked for again when there may be room. Whoever waits for it, or behind it, is told to ask again too.
    fn hold(&mut self, now: Timestamp, at: usize, effects: &mut Vec<Effect>) {
        self.waiting[at].held = true;
        for decided in self.waiting.iter_mut().skip(at) {
            for (to, _) in std::mem::take(&mut decided.replies) {
                effects.extend(Effect::answer(to, self.machine.refuse(Refusal::CoordinatorNotAvailable)));
            }
        }
        self.retry_at = Some(now.plus_ms(NO_ROOM_RETRY_MS));
    }

    fn replay_new(
        &mut self,
        now: Timestamp,
        transaction: Option<(ProducerId, ProducerEpoch)>,
        records: &[NewRecord],
    ) -> Result<(), String> {
        for NewRecord { key, value } in records {
            self.machine.replay(StoredRecord { key, value: value.as_deref(), timestamp: now, transaction })?;
        }
        Ok(())
    }

    fn append_answered(&mut self, now: Timestamp, append: u64, reply: Reply, effects: &mut Vec<Effect>) {
        let Some(at) = self.waiting.iter().position(|decided| decided.append == Some(append)) else {
            return;
        };
        match reply {
            Reply::Partition(Ok(_)) => {
                self.waiting[at].append = None;
                self.waiting[at].batches.clear();
            }
            Reply::Partition(Err(Refusal::NoRoom(_))) => return self.hold(now, at, effects),
            // The transaction was decided while its records were on their way, or too many are open. Nothing of
            // them was written, so they are taken back as an abort would, and log and state agree again.
            Reply::Partition(Err(
                refusal @ (Refusal::InvalidProducerEpoch | Refusal::InvalidTxnState | Refusal::PolicyViolation(_)),
            )) if !self.waiting[at].transactions.is_empty() => {
                let decided = &mut self.waiting[at];
                decided.append = None;
                let transactions = std::mem::take(&mut decided.transactions);
                for (_, reply) in &mut decided.replies {
                    *reply = self.machine.refuse(refusal.clone());
                }
                for (producer_id, producer_epoch) in transactions {
                    self.machine.replay_marker(producer_id, producer_epoch, false);
                }
            }
            Reply::Partition(Err(refusal)) => {
                self.fail(refusal.to_string(), &Refusal::CoordinatorNotAvailable, effects);
                return;
            }
            Reply::Group(_) | Reply::Transaction(_) | Reply::Cluster(_) => {
                let why = "the log gave an answer that is not a partition's".to_owned();
                self.fail(why, &Refusal::CoordinatorNotAvailable, effects);
                return;
            }
        }
        self.release(effects);
    }

    /// Lets go what is at the front of the line and waits for nothing more.
    fn release(&mut self, effects: &mut Vec<Effect>) {
        while let Some(decided) = self.waiting.pop_front_if(|decided| decided.append.is_none()) {
            effects.extend(decided.effects);
            for (to, question, request) in decided.questions {
                effects.push(Effect::ask(to, ReplyTo::Part(self.part.clone(), question), request));
            }
            effects.extend(decided.replies.into_iter().filter_map(|(to, reply)| Effect::answer(to, reply)));
        }
    }

    fn fail(&mut self, why: String, refusal: &Refusal, effects: &mut Vec<Effect>) {
        for decided in std::mem::take(&mut self.waiting) {
            for (to, _) in decided.replies {
                effects.extend(Effect::answer(to, self.machine.refuse(refusal.clone())));
            }
        }
        self.retry_at = None;
        self.state = State::Failed(why);
    }

    fn forget(&mut self, token: Token) {
        for decided in &mut self.waiting {
            decided.replies.retain(|(to, _)| *to != ReplyTo::Shell(token));
        }
    }

    fn announce_wake(&mut self, effects: &mut Vec<Effect>) {
        if self.state != State::Ready {
            return;
        }
        let wanted = self.machine.next_wake().into_iter().chain(self.retry_at).min();
        if wanted != self.wake {
            self.wake = wanted;
            effects.extend(wanted.map(|at| Effect::WakeAt { part: self.part.clone(), at }));
        }
    }

    fn replay(&mut self, batches: &[Bytes]) {
        if self.state != State::Loading {
            return;
        }
        for bytes in batches {
            for batch in pelton_record::batches(bytes) {
                let replayed =
                    batch.map_err(|error| error.to_string()).and_then(|batch| replay_batch(&mut self.machine, &batch));
                if let Err(why) = replayed {
                    self.state = State::Failed(format!("the log cannot be replayed: {why}"));
                    return;
                }
            }
        }
    }
}

fn replay_batch<C: Coordinator>(machine: &mut C, batch: &BatchView<'_>) -> Result<(), String> {
    let header = batch.header();
    let at = |error: String| format!("batch at offset {}: {error}", header.base_offset);
    let producer = (ProducerId(header.producer_id), ProducerEpoch(header.producer_epoch));
    if header.attributes.is_control() {
        let (control, _) = pelton_record::parse_control(batch).map_err(|error| at(error.to_string()))?;
        machine.replay_marker(producer.0, producer.1, control == ControlType::Commit);
        return Ok(());
    }
    let transaction = header.attributes.is_transactional().then_some(producer);
    for record in batch.records().map_err(|error| at(error.to_string()))? {
        let record = record.map_err(|error| at(error.to_string()))?;
        let key = record.key.ok_or_else(|| at("a record has no key".to_owned()))?;
        let timestamp = Timestamp(record.timestamp(header));
        machine.replay(StoredRecord { key, value: record.value, timestamp, transaction }).map_err(at)?;
    }
    Ok(())
}

fn record_bytes(record: &NewRecord) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, Vec::len)
}

/// Puts the records into as few batches as stay near [`BATCH_TARGET_BYTES`], in order.
fn encode(
    now: Timestamp,
    producer: Option<(ProducerId, ProducerEpoch)>,
    records: &[NewRecord],
    batches: &mut Vec<IncomingBatch>,
) {
    let mut builder = BatchBuilder::new(now.0);
    for record in records {
        if !builder.is_empty() && builder.len_bytes() + record_bytes(record) > BATCH_TARGET_BYTES {
            let full = std::mem::replace(&mut builder, BatchBuilder::new(now.0));
            batches.push(finish_batch(full, producer));
        }
        builder.push(now.0, Some(&record.key), record.value.as_deref(), &[]);
    }
    if !builder.is_empty() {
        batches.push(finish_batch(builder, producer));
    }
}

fn finish_batch(mut builder: BatchBuilder, producer: Option<(ProducerId, ProducerEpoch)>) -> IncomingBatch {
    if let Some((producer_id, producer_epoch)) = producer {
        builder.set_producer(producer_id.0, producer_epoch.0, NO_SEQUENCE);
        builder.set_transactional(true);
    }
    let bytes = Bytes::from(builder.into_bytes_with_crc());
    let header = *BatchView::parse(&bytes).expect("a batch that was just built is whole").header();
    IncomingBatch { header, bytes }
}

#[cfg(test)]
mod tests;
