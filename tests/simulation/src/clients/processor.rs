//! One instance of a job: read-process-write, exactly once. It reads committed inputs, writes one output for each, and
//! commits outputs and input offset in one transaction. Several instances share a transactional id and fence each other.

use super::{Client, DATA, JOB_GROUP, OUT, PARTITIONS, Turn, Values, batch, intercepted, is_retriable, log_of, origin};
use crate::entry::{decode, transaction_mark};
use crate::observation::Observation;
use pelton_core::coordinator::partition_for;
use pelton_core::event::{
    Acks, CommitOffset, GroupReply, GroupRequest, IncomingBatch, InitializedProducer, OffsetCommit, PartitionReply,
    PartitionRequest, Reply, Request, TransactionReply, TransactionRequest, TransactionResult,
    TransactionalOffsetCommit,
};
use pelton_core::model::{
    Isolation, OFFSETS_TOPIC, Offset, PartId, ProducerEpoch, ProducerId, Timestamp, Token, TopicPartition,
};
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The transactional id of the job.
pub const TRANSACTIONAL_ID: &str = "job-0";
/// How long its transactions may stay open.
pub const TRANSACTION_TIMEOUT_MS: i32 = 5_000;

/// The client.
#[derive(Debug)]
pub struct Processor {
    name: usize,
    transaction_part: PartId,
    group_partition: i32,
    state: State,
    waiting: Option<Token>,
    resumes_at: Timestamp,
    producer: Option<InitializedProducer>,
    sequences: BTreeMap<i32, i32>,
    position: Offset,
    work: Option<Work>,
    /// A batch may or may not have been written: once the transaction is aborted, this instance takes a new epoch and
    /// with it new sequences (KIP-360).
    renews: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Initializing,
    FetchingOffset,
    Reading,
    Adding,
    Producing,
    AddingOffsets,
    CommittingOffsets,
    Ending,
}

/// One transaction.
#[derive(Debug)]
struct Work {
    serial: u64,
    to: Offset,
    /// What is still to be written, with its batch once it was sent for the first time.
    outputs: Vec<(i32, Values, Option<IncomingBatch>)>,
    partitions: Vec<TopicPartition>,
    result: TransactionResult,
    commit_asked: bool,
}

impl Processor {
    /// An instance of the job. The two internal topics have so many partitions.
    pub fn new(name: usize, offsets_partitions: i32, transaction_partitions: i32) -> Self {
        Self {
            name,
            transaction_part: PartId::Transaction(partition_for(TRANSACTIONAL_ID, transaction_partitions)),
            group_partition: partition_for(JOB_GROUP, offsets_partitions),
            state: State::Initializing,
            waiting: None,
            // The second instance comes when the first has begun.
            resumes_at: Timestamp(2_000 * name as i64),
            producer: None,
            sequences: BTreeMap::new(),
            position: 0,
            work: None,
            renews: false,
        }
    }

    fn input() -> TopicPartition {
        TopicPartition::new(DATA, 0)
    }

    /// Leaves the transaction, if one is open, and begins anew.
    fn begin_anew(&mut self, turn: &mut Turn<'_>) {
        if let Some(work) = self.work.take()
            && !work.commit_asked
        {
            turn.observe(Observation::NotCommitted(work.serial));
        }
        self.producer = None;
        self.renews = false;
        self.sequences.clear();
        self.waiting = None;
        self.state = State::Initializing;
        self.resumes_at = turn.now.plus_ms(turn.rng.below(4_000) as i64);
    }

    /// Makes the transaction of the records that were read.
    fn begin(&mut self, inputs: &[Offset], to: Offset, turn: &mut Turn<'_>) {
        *turn.next_token += 1;
        let serial = *turn.next_token;
        let mark = transaction_mark(serial);
        let mut outputs = Vec::new();
        for partition in 0..PARTITIONS {
            let mine = inputs.iter().filter(|offset| **offset % i64::from(PARTITIONS) == i64::from(partition));
            let values: Vec<_> = mine.map(|offset| format!("{mark}in={offset}").into_bytes()).collect();
            if !values.is_empty() {
                outputs.push((partition, intercepted(values, turn.rng), None));
            }
        }
        let partitions: Vec<_> = outputs.iter().map(|(index, ..)| TopicPartition::new(OUT, *index)).collect();
        let counts = outputs.iter().map(|(index, values, _)| {
            (TopicPartition::new(OUT, *index), values.iter().filter(|value| value.is_some()).count())
        });
        turn.observe(Observation::Began { serial, from: self.position, to, outputs: counts.collect() });
        let result = if turn.rng.permille(850) { TransactionResult::Commit } else { TransactionResult::Abort };
        // Where interceptors left nothing of the inputs, only their offset is committed.
        self.state = if outputs.is_empty() { State::AddingOffsets } else { State::Adding };
        self.work = Some(Work { serial, to, outputs, partitions, result, commit_asked: false });
    }

    fn request(&mut self, turn: &mut Turn<'_>) -> (PartId, Request) {
        let transactional_id: Arc<str> = TRANSACTIONAL_ID.into();
        let coordinator = self.transaction_part.clone();
        let initialized = self.producer.filter(|_| self.state != State::Initializing);
        let Some(InitializedProducer { producer_id, producer_epoch }) = initialized else {
            let current = self.producer.map(|producer| (producer.producer_id, producer.producer_epoch));
            let timeout_ms = TRANSACTION_TIMEOUT_MS;
            let request = TransactionRequest::InitProducer { transactional_id, timeout_ms, current };
            return (coordinator, Request::Transaction(request));
        };
        match self.state {
            State::FetchingOffset => {
                let partitions = Some(vec![Self::input()]);
                let request = GroupRequest::FetchOffsets { group: JOB_GROUP.into(), partitions, require_stable: true };
                (PartId::Group(self.group_partition), Request::Group(request))
            }
            State::Reading => {
                let request = PartitionRequest::Fetch {
                    offset: self.position,
                    current_leader_epoch: None,
                    max_bytes: 1_000,
                    isolation: Isolation::ReadCommitted,
                };
                (log_of(DATA, 0), Request::Partition(request))
            }
            _ => self.request_in_transaction(producer_id, producer_epoch, turn),
        }
    }

    fn request_in_transaction(
        &mut self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        turn: &mut Turn<'_>,
    ) -> (PartId, Request) {
        let transactional_id: Arc<str> = TRANSACTIONAL_ID.into();
        let coordinator = self.transaction_part.clone();
        match (self.state, self.work.as_mut()) {
            (State::Adding, Some(work)) => {
                let partitions = work.partitions.clone();
                let request =
                    TransactionRequest::AddPartitions { transactional_id, producer_id, producer_epoch, partitions };
                (coordinator, Request::Transaction(request))
            }
            (State::Producing, Some(work)) => {
                let (index, values, built) = work.outputs.last_mut().expect("there is something to write");
                let sequence = self.sequences.entry(*index).or_default();
                let stamp = (producer_id.0, producer_epoch.0, *sequence);
                let batch = built.get_or_insert_with(|| batch(turn.now, values, stamp, true)).clone();
                let request = PartitionRequest::Append {
                    batches: vec![batch],
                    acks: Acks::All,
                    origin: origin(values),
                    transactional_id: Some(transactional_id),
                };
                (log_of(OUT, *index), Request::Partition(request))
            }
            (State::AddingOffsets, Some(_)) => {
                let offsets_partition = TopicPartition::new(OFFSETS_TOPIC, self.group_partition);
                let request =
                    TransactionRequest::AddOffsets { transactional_id, producer_id, producer_epoch, offsets_partition };
                (coordinator, Request::Transaction(request))
            }
            (State::CommittingOffsets, Some(work)) => {
                let offset = CommitOffset {
                    partition: Self::input(),
                    offset: work.to,
                    leader_epoch: None,
                    metadata: transaction_mark(work.serial).into(),
                };
                let commit = OffsetCommit {
                    group: JOB_GROUP.into(),
                    generation: -1,
                    member: "".into(),
                    instance: None,
                    retention_ms: None,
                    offsets: vec![offset],
                };
                let request = TransactionalOffsetCommit { producer_id, producer_epoch, transactional_id, commit };
                let group = PartId::Group(self.group_partition);
                (group, Request::Group(GroupRequest::CommitInTransaction(request)))
            }
            (State::Ending, Some(work)) => {
                if work.result == TransactionResult::Commit && !work.commit_asked {
                    work.commit_asked = true;
                    turn.observe(Observation::CommitAsked(work.serial));
                }
                let result = work.result;
                let request = TransactionRequest::End { transactional_id, producer_id, producer_epoch, result };
                (coordinator, Request::Transaction(request))
            }
            (state, work) => unreachable!("{state:?} with {work:?}"),
        }
    }

    fn granted(&mut self, reply: Reply, turn: &mut Turn<'_>) {
        match (self.state, reply) {
            (State::Initializing, Reply::Transaction(Ok(TransactionReply::Initialized(producer)))) => {
                self.producer = Some(producer);
                self.renews = false;
                self.sequences.clear();
                self.state = State::FetchingOffset;
            }
            (State::FetchingOffset, Reply::Group(Ok(GroupReply::Offsets(offsets)))) => {
                let found = offsets.into_iter().find(|(partition, _)| *partition == Self::input());
                let offset = found.and_then(|(_, committed)| committed).map(|committed| committed.offset);
                turn.observe(Observation::OffsetFetched { group: JOB_GROUP, partition: 0, offset });
                self.position = offset.unwrap_or(0);
                self.state = State::Reading;
            }
            (State::Reading, Reply::Partition(Ok(PartitionReply::Fetched(fetched)))) => {
                let records = match fetched.records.read().and_then(|bytes| decode(&bytes)) {
                    Ok(records) => records,
                    Err(error) => return turn.unexpected("processor", error),
                };
                let Some(last) = records.last() else {
                    self.resumes_at = turn.now.plus_ms(100);
                    return;
                };
                let to = last.offset + 1;
                let inputs = records.iter().filter(|record| !record.taken).map(|record| record.offset);
                let inputs = inputs.filter(|offset| *offset >= self.position);
                let inputs: Vec<_> = inputs.collect();
                self.begin(&inputs, to, turn);
            }
            (State::Adding, Reply::Transaction(Ok(TransactionReply::Done))) => self.state = State::Producing,
            (State::Producing, Reply::Partition(Ok(PartitionReply::Appended(appended)))) => {
                let work = self.work.as_mut().expect("a transaction is open");
                let (index, values, _) = work.outputs.pop().expect("it was sent");
                *self.sequences.entry(index).or_default() += values.len() as i32;
                if work.outputs.is_empty() {
                    self.state = State::AddingOffsets;
                }
                let partition = TopicPartition::new(OUT, index);
                turn.observe(Observation::Acknowledged { partition, base_offset: appended.base_offset, values });
            }
            (State::AddingOffsets, Reply::Transaction(Ok(TransactionReply::Done))) => {
                self.state = State::CommittingOffsets;
            }
            (State::CommittingOffsets, Reply::Group(Ok(GroupReply::Done))) => self.state = State::Ending,
            (State::Ending, Reply::Transaction(Ok(TransactionReply::Ended(_)))) => {
                let work = self.work.take().expect("a transaction is open");
                if work.result == TransactionResult::Commit {
                    turn.observe(Observation::Committed(work.serial));
                    self.position = work.to;
                    self.state = if turn.rng.permille(300) { State::FetchingOffset } else { State::Reading };
                } else {
                    turn.observe(Observation::NotCommitted(work.serial));
                    self.state = if self.renews { State::Initializing } else { State::FetchingOffset };
                }
            }
            (state, other) => turn.unexpected("processor", (self.name, state, other)),
        }
    }
}

impl Client for Processor {
    fn act(&mut self, turn: &mut Turn<'_>) {
        if turn.ending && self.work.is_none() {
            return;
        }
        // Rarely, and whatever it was doing: the instance dies, and another one takes its place.
        if turn.rng.permille(8) {
            return self.begin_anew(turn);
        }
        if self.waiting.is_some() || turn.now < self.resumes_at {
            return;
        }
        if self.work.is_some() && !turn.ending && turn.rng.permille(15) {
            // A long pause in the middle of a transaction, longer than it may stay open: then it goes on as a zombie.
            self.resumes_at = turn.now.plus_ms(i64::from(TRANSACTION_TIMEOUT_MS) + turn.rng.below(1_000) as i64);
            return;
        }
        let (part, request) = self.request(turn);
        self.waiting = Some(turn.ask(part, request));
    }

    fn answered(&mut self, token: Token, reply: Reply, turn: &mut Turn<'_>) {
        if self.waiting != Some(token) {
            return;
        }
        self.waiting = None;
        let refusal = match &reply {
            Reply::Partition(Err(refusal)) | Reply::Group(Err(refusal)) | Reply::Transaction(Err(refusal)) => refusal,
            _ => return self.granted(reply, turn),
        };
        match refusal {
            refusal if is_retriable(refusal) => self.resumes_at = turn.now.plus_ms(20),
            Refusal::ProducerFenced
            | Refusal::InvalidProducerEpoch
            | Refusal::InvalidTxnState
            | Refusal::TransactionNotEnlisted => self.begin_anew(turn),
            other => turn.unexpected("processor", (self.name, self.state, other)),
        }
    }

    fn lost(&mut self, token: Token, turn: &mut Turn<'_>) {
        if self.waiting != Some(token) {
            return;
        }
        self.waiting = None;
        // Instead of sending the batch again it may give up; the batch may still be on its way.
        if self.state == State::Producing
            && turn.rng.permille(600)
            && let Some(work) = &mut self.work
        {
            work.result = TransactionResult::Abort;
            self.renews = true;
            self.state = State::Ending;
        }
    }

    fn is_done(&self) -> bool {
        self.work.is_none() && self.waiting.is_none()
    }
}
