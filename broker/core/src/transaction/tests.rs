//! The coordinator one step at a time, over a log that commits at once.

mod model;

use super::*;
use crate::coordinator::NewRecord;
use crate::event::{Appended, ClusterRequest};
use crate::event::{ClusterReply, InitializedProducer, Marker, PartitionReply, PartitionRequest, TransactionResult};
use crate::model::PartId;

pub(super) const ID: &str = "orders";

/// A coordinator whose records are committed at once; cluster questions are answered from a counter.
struct Bench {
    machine: Transactions,
    now: Timestamp,
    log: Vec<NewRecord>,
    markers: Vec<(u64, TopicPartition, Marker)>,
    replies: Vec<Reply>,
    next_producer_id: i64,
}

pub(super) fn partition(index: i32) -> TopicPartition {
    TopicPartition::new("pages", index)
}

pub(super) fn apply(machine: &mut Transactions, now: Timestamp, record: &NewRecord) {
    let stored = StoredRecord { key: &record.key, value: record.value.as_deref(), timestamp: now, transaction: None };
    machine.replay(stored).expect("the coordinator reads what it writes");
}

pub(super) fn config() -> Arc<CoreConfig> {
    Arc::new(CoreConfig::default())
}

impl Bench {
    fn new() -> Self {
        Self {
            machine: Transactions::new(config(), 0),
            now: Timestamp(1_000),
            log: Vec::new(),
            markers: Vec::new(),
            replies: Vec::new(),
            next_producer_id: 100,
        }
    }

    fn settle(&mut self, out: Outcome) {
        for record in out.batches.into_iter().flat_map(|(_, records)| records) {
            apply(&mut self.machine, self.now, &record);
            self.log.push(record);
        }
        self.replies.extend(out.replies.into_iter().map(|(_, reply)| reply));
        for (part, question, request) in out.questions {
            match (part, request) {
                (PartId::Cluster, Request::Cluster(ClusterRequest::AllocateProducerIds)) => {
                    let first = ProducerId(self.next_producer_id);
                    self.next_producer_id += 2;
                    self.answer(question, Reply::Cluster(Ok(ClusterReply::ProducerIds { first, count: 2 })));
                }
                (PartId::Partition(partition), Request::Partition(PartitionRequest::WriteMarker(marker))) => {
                    self.markers.push((question, partition, marker));
                }
                other => panic!("unexpected question {other:?}"),
            }
        }
    }

    fn answer(&mut self, question: u64, reply: Reply) {
        let mut out = Outcome::default();
        self.machine.answered(self.now, question, reply, &mut out);
        self.settle(out);
    }

    fn ask(&mut self, request: TransactionRequest) -> Result<TransactionReply, Refusal> {
        let mut out = Outcome::default();
        let who = ReplyTo::Shell(Token(1));
        self.machine.handle(self.now, who, Request::Transaction(request), &mut out);
        self.settle(out);
        match self.replies.pop().expect("every question is answered") {
            Reply::Transaction(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn init_as(&mut self, current: Option<InitializedProducer>) -> Result<InitializedProducer, Refusal> {
        let current = current.map(|producer| (producer.producer_id, producer.producer_epoch));
        let request = TransactionRequest::InitProducer { transactional_id: ID.into(), timeout_ms: 60_000, current };
        match self.ask(request)? {
            TransactionReply::Initialized(producer) => Ok(producer),
            other => panic!("{other:?}"),
        }
    }

    fn init(&mut self) -> InitializedProducer {
        self.init_as(None).unwrap()
    }

    fn add(&mut self, producer: InitializedProducer, partitions: &[i32]) -> Result<TransactionReply, Refusal> {
        self.ask(TransactionRequest::AddPartitions {
            transactional_id: ID.into(),
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            partitions: partitions.iter().map(|index| partition(*index)).collect(),
        })
    }

    fn end(&mut self, producer: InitializedProducer, result: TransactionResult) -> Result<TransactionReply, Refusal> {
        self.ask(TransactionRequest::End {
            transactional_id: ID.into(),
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            result,
        })
    }

    fn verify(&mut self, producer: InitializedProducer, index: i32) -> Result<TransactionReply, Refusal> {
        self.ask(TransactionRequest::Verify {
            transactional_id: ID.into(),
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            partition: partition(index),
        })
    }

    fn verify_all(&mut self, producer: InitializedProducer, indexes: &[i32]) -> Result<Vec<bool>, Refusal> {
        let verified = self.ask(TransactionRequest::VerifyAll {
            transactional_id: ID.into(),
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            partitions: indexes.iter().map(|index| partition(*index)).collect(),
        })?;
        let TransactionReply::Verified(enlisted) = verified else { panic!("{verified:?}") };
        Ok(enlisted)
    }

    fn answer_markers(&mut self, with: Result<(), Refusal>) {
        for (question, ..) in std::mem::take(&mut self.markers) {
            let appended = Appended { base_offset: 0, last_offset: 0, log_start: 0 };
            self.answer(question, Reply::Partition(with.clone().map(|()| PartitionReply::Appended(appended))));
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        while self.machine.next_wake().is_some_and(|at| at <= self.now) {
            let mut out = Outcome::default();
            self.machine.tick(self.now, &mut out);
            self.settle(out);
        }
    }

    fn status(&self) -> Status {
        self.machine.entries[ID].transaction.status
    }

    /// A new process over the same log.
    fn restart(&mut self) {
        self.machine = Transactions::new(config(), 0);
        self.markers.clear();
        for record in &self.log {
            apply(&mut self.machine, self.now, record);
        }
        let mut out = Outcome::default();
        self.machine.loaded(self.now, &mut out);
        self.settle(out);
    }
}

use TransactionResult::{Abort, Commit};

fn refusal<T>(result: Result<T, Refusal>) -> Refusal {
    result.err().expect("a refusal")
}

#[test]
fn a_commit_decides_then_marks_then_completes() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, &[0, 1]).unwrap();
    bench.verify(producer, 1).unwrap();
    assert_eq!(refusal(bench.verify(producer, 2)), Refusal::TransactionNotEnlisted);
    assert!(matches!(bench.end(producer, Commit), Ok(TransactionReply::Ended(ended)) if ended == producer));
    assert_eq!(bench.status(), Status::PrepareCommit);
    assert_eq!(bench.markers.len(), 2);
    for (_, _, marker) in &bench.markers {
        assert!(marker.commit);
        assert_eq!((marker.producer_id, marker.producer_epoch), (producer.producer_id, producer.producer_epoch));
    }
    assert_eq!(refusal(bench.add(producer, &[0])), Refusal::ConcurrentTransactions);
    assert_eq!(refusal(bench.verify(producer, 0)), Refusal::ConcurrentTransactions);
    assert_eq!(refusal(bench.end(producer, Commit)), Refusal::ConcurrentTransactions);
    assert_eq!(refusal(bench.end(producer, Abort)), Refusal::InvalidTxnState);
    assert_eq!(refusal(bench.init_as(None)), Refusal::ConcurrentTransactions);
    bench.answer_markers(Ok(()));
    assert_eq!(bench.status(), Status::CompleteCommit);
    assert!(bench.end(producer, Commit).is_ok(), "a repetition");
    assert_eq!(refusal(bench.end(producer, Abort)), Refusal::InvalidTxnState);
    assert_eq!(refusal(bench.verify(producer, 0)), Refusal::TransactionNotEnlisted);
}

#[test]
fn a_verification_of_many_tells_of_each_and_enlists_none() {
    let mut bench = Bench::new();
    let producer = bench.init();
    assert_eq!(bench.verify_all(producer, &[0]), Ok(vec![false]), "nothing is open");
    bench.add(producer, &[0, 2]).unwrap();
    for _ in 0..2 {
        assert_eq!(bench.verify_all(producer, &[2, 1, 0, 2]), Ok(vec![true, false, true, true]));
    }
    assert_eq!(bench.verify_all(producer, &[]), Ok(Vec::new()));
    bench.end(producer, Abort).unwrap();
    assert_eq!(bench.verify_all(producer, &[0]), Err(Refusal::ConcurrentTransactions));
    bench.answer_markers(Ok(()));
    assert_eq!(bench.verify_all(producer, &[0]), Ok(vec![false]), "it is over");
    let newer = bench.init();
    assert_eq!(bench.verify_all(producer, &[0]), Err(Refusal::ProducerFenced));
    let other = InitializedProducer { producer_id: ProducerId(newer.producer_id.0 + 1), ..newer };
    assert_eq!(bench.verify_all(other, &[0]), Err(Refusal::InvalidProducerIdMapping));
}

#[test]
fn what_is_decided_leaves_after_its_record() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, &[0]).unwrap();
    let mut out = Outcome::default();
    let request = TransactionRequest::End {
        transactional_id: ID.into(),
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        result: Commit,
    };
    bench.machine.handle(bench.now, ReplyTo::Nobody, Request::Transaction(request), &mut out);
    assert_eq!((out.batches.len(), out.questions.len()), (1, 1), "the marker waits for the decision's record");
    assert_eq!(bench.status(), Status::Ongoing, "only the record's replay changes the state");
}

#[test]
fn enlisting_again_writes_no_record() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, &[0, 1]).unwrap();
    let written = bench.log.len();
    bench.add(producer, &[1]).unwrap();
    bench.add(producer, &[]).unwrap();
    assert_eq!(bench.log.len(), written);
    bench.add(producer, &[1, 2]).unwrap();
    assert_eq!(bench.log.len(), written + 1);
}

#[test]
fn a_new_instance_fences_the_old_one_and_aborts_what_it_left_open() {
    let mut bench = Bench::new();
    let old = bench.init();
    bench.add(old, &[0]).unwrap();
    assert_eq!(refusal(bench.init_as(None)), Refusal::ConcurrentTransactions);
    assert_eq!(bench.status(), Status::PrepareAbort);
    let (_, _, marker) = bench.markers[0].clone();
    assert!(!marker.commit);
    assert_eq!(marker.producer_epoch.0, old.producer_epoch.0 + 1, "the marker itself fences the old epoch");
    assert_eq!(refusal(bench.end(old, Commit)), Refusal::ProducerFenced);
    bench.answer_markers(Ok(()));
    let new = bench.init();
    assert_eq!((new.producer_id, new.producer_epoch.0), (old.producer_id, old.producer_epoch.0 + 2));
    assert_eq!(refusal(bench.add(old, &[0])), Refusal::ProducerFenced);
    assert_eq!(refusal(bench.verify(old, 0)), Refusal::ProducerFenced);
    bench.add(new, &[0]).unwrap();
}

#[test]
fn a_producer_that_names_its_epoch_bumps_it_and_may_repeat_that() {
    let mut bench = Bench::new();
    let first = bench.init();
    let second = bench.init_as(Some(first)).unwrap();
    assert_eq!(second.producer_epoch.0, first.producer_epoch.0 + 1);
    assert_eq!(bench.init_as(Some(first)).unwrap(), second, "the answer was lost: the same again");
    let third = bench.init();
    assert_eq!(third.producer_epoch.0, second.producer_epoch.0 + 1);
    assert_eq!(refusal(bench.init_as(Some(second))), Refusal::ProducerFenced);
    assert_eq!(refusal(bench.init_as(Some(first))), Refusal::ProducerFenced);
    let stranger = InitializedProducer { producer_id: ProducerId(7), ..third };
    assert_eq!(refusal(bench.init_as(Some(stranger))), Refusal::ProducerFenced);
}

#[test]
fn a_late_repetition_of_init_does_not_abort_the_next_transaction() {
    let mut bench = Bench::new();
    let first = bench.init();
    let second = bench.init_as(Some(first)).unwrap();
    bench.add(second, &[0]).unwrap();
    assert_eq!(refusal(bench.init_as(Some(first))), Refusal::ProducerFenced);
    assert_eq!(bench.status(), Status::Ongoing);
    assert!(bench.end(second, Commit).is_ok());
}

#[test]
fn an_exhausted_epoch_takes_a_new_producer_id() {
    let mut bench = Bench::new();
    let first = bench.init();
    let mut worn = bench.machine.entries[ID].transaction.clone();
    worn.producer_epoch = ProducerEpoch(i16::MAX - 2);
    bench.settle({
        let mut out = Outcome::default();
        out.append(vec![records::state_record(ID, &worn)]);
        out
    });
    let last = bench.init();
    assert_eq!(last.producer_epoch.0, i16::MAX - 1);
    // A transaction under the last epoch can still be fenced: that is what the largest is for.
    bench.add(last, &[0]).unwrap();
    assert_eq!(refusal(bench.init_as(None)), Refusal::ConcurrentTransactions);
    assert_eq!(bench.markers[0].2.producer_epoch.0, i16::MAX);
    let forged = InitializedProducer { producer_epoch: ProducerEpoch(i16::MAX), ..last };
    bench.answer_markers(Ok(()));
    assert_eq!(refusal(bench.add(forged, &[0])), Refusal::ProducerFenced, "the largest epoch is nobody's");
    let fresh = bench.init();
    assert_ne!(fresh.producer_id, first.producer_id);
    assert_eq!(fresh.producer_epoch.0, 0);
    assert_eq!(refusal(bench.add(last, &[0])), Refusal::InvalidProducerIdMapping);
}

#[test]
fn a_transaction_that_is_open_too_long_is_aborted_and_its_producer_fenced() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, &[0]).unwrap();
    bench.pass(59_999);
    assert_eq!(bench.status(), Status::Ongoing);
    bench.pass(1);
    assert_eq!(bench.status(), Status::PrepareAbort);
    assert_eq!(refusal(bench.end(producer, Commit)), Refusal::ProducerFenced);
    bench.answer_markers(Ok(()));
    assert_eq!(bench.status(), Status::CompleteAbort);
    assert_eq!(refusal(bench.add(producer, &[0])), Refusal::ProducerFenced);
}

#[test]
fn a_refused_marker_is_tried_again_and_a_deleted_partition_is_not() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, &[0, 1]).unwrap();
    bench.end(producer, Commit).unwrap();
    let gone = bench.markers.remove(0);
    bench.answer(gone.0, Reply::Partition(Err(Refusal::UnknownTopicOrPartition)));
    bench.answer_markers(Err(Refusal::Storage("no space".into())));
    assert_eq!(bench.status(), Status::PrepareCommit);
    bench.pass(99);
    assert!(bench.markers.is_empty());
    bench.pass(1);
    assert_eq!(bench.markers.iter().map(|(_, partition, _)| partition.partition).collect::<Vec<_>>(), [1]);
    bench.answer_markers(Err(Refusal::Storage("no space".into())));
    bench.pass(199);
    assert!(bench.markers.is_empty(), "each time it waits twice as long");
    bench.pass(1);
    bench.answer_markers(Ok(()));
    assert_eq!(bench.status(), Status::CompleteCommit);
}

#[test]
fn a_partition_that_knows_a_later_epoch_needs_no_marker() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, &[0]).unwrap();
    bench.end(producer, Commit).unwrap();
    bench.answer_markers(Err(Refusal::InvalidProducerEpoch));
    assert_eq!(bench.status(), Status::CompleteCommit, "an operator's marker has ended it there");
    bench.add(producer, &[0]).unwrap();
}

#[test]
fn a_restart_carries_out_what_was_decided() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, &[0, 1]).unwrap();
    bench.end(producer, Abort).unwrap();
    bench.restart();
    assert_eq!(bench.markers.len(), 2);
    bench.answer_markers(Ok(()));
    assert_eq!(bench.status(), Status::CompleteAbort);
    bench.restart();
    assert!(bench.markers.is_empty());
    assert!(bench.end(producer, Abort).is_ok());
}

#[test]
fn an_open_transaction_outlives_a_restart_and_keeps_its_deadline() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, &[0]).unwrap();
    bench.now = bench.now.plus_ms(30_000);
    bench.restart();
    bench.verify(producer, 0).unwrap();
    bench.pass(30_000);
    assert_eq!(bench.status(), Status::PrepareAbort);
}

#[test]
fn an_idle_id_is_forgotten() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.pass(config().transactional_id_expiration_ms - 1);
    assert!(!bench.machine.entries.is_empty());
    bench.pass(1);
    assert!(bench.machine.entries.is_empty() && bench.machine.deadlines.is_empty());
    assert_eq!(bench.log.last().unwrap().value, None);
    assert_eq!(refusal(bench.add(producer, &[0])), Refusal::InvalidProducerIdMapping);
}

#[test]
fn what_the_log_cannot_hold_is_refused() {
    let mut bench = Bench::new();
    let producer = bench.init();
    let ask = |bench: &mut Bench, id: &str, timeout_ms| {
        let request = TransactionRequest::InitProducer { transactional_id: id.into(), timeout_ms, current: None };
        refusal(bench.ask(request))
    };
    assert!(matches!(ask(&mut bench, "", 1), Refusal::InvalidRequest(_)));
    assert!(matches!(ask(&mut bench, &"x".repeat(32_768), 1), Refusal::InvalidRequest(_)));
    assert_eq!(ask(&mut bench, "x", 0), Refusal::InvalidTransactionTimeout);
    assert_eq!(ask(&mut bench, "x", 900_001), Refusal::InvalidTransactionTimeout);
    let many: Vec<i32> = (0..50_000).collect();
    assert!(matches!(refusal(bench.add(producer, &many)), Refusal::InvalidRequest(_)));
    let long = TransactionRequest::AddOffsets {
        transactional_id: ID.into(),
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        offsets_partition: TopicPartition::new("t".repeat(40_000), 0),
    };
    assert!(matches!(refusal(bench.ask(long)), Refusal::InvalidRequest(_)));
}

#[test]
fn producers_wait_for_one_block_and_hear_when_there_is_none() {
    let mut machine = Transactions::new(config(), 0);
    let mut out = Outcome::default();
    for (token, id) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
        let request = TransactionRequest::InitProducer { transactional_id: id.into(), timeout_ms: 1, current: None };
        machine.handle(Timestamp(0), ReplyTo::Shell(Token(token)), Request::Transaction(request), &mut out);
    }
    assert_eq!(out.questions.len(), 1, "one block is asked for");
    let again = Reply::Transaction(Err(Refusal::ConcurrentTransactions));
    assert_eq!(format!("{:?}", out.replies), format!("{:?}", [(ReplyTo::Shell(Token(3)), again)]));
    machine.cancelled(Timestamp(0), Token(4), &mut out);
    let mut out = Outcome::default();
    machine.answered(Timestamp(0), 0, Reply::Cluster(Err(Refusal::CoordinatorNotAvailable)), &mut out);
    let told: Vec<_> = out.replies.iter().map(|(who, _)| who.clone()).collect();
    assert_eq!(told, [ReplyTo::Shell(Token(1)), ReplyTo::Shell(Token(2))]);
    assert!(out.batches.is_empty());
}

#[test]
fn ids_are_described_and_listed_as_they_stand() {
    use crate::event::{TransactionFilter, TransactionState};
    let mut bench = Bench::new();
    let missing = TransactionRequest::Describe { transactional_id: ID.into() };
    assert_eq!(refusal(bench.ask(missing)), Refusal::TransactionalIdNotFound(ID.to_owned()));
    let producer = bench.init();
    let described = |bench: &mut Bench| match bench.ask(TransactionRequest::Describe { transactional_id: ID.into() }) {
        Ok(TransactionReply::Described(described)) => described,
        other => panic!("{other:?}"),
    };
    let listed = |bench: &mut Bench, filter| match bench.ask(TransactionRequest::List(Arc::new(filter))) {
        Ok(TransactionReply::Listed(listed)) => listed.iter().map(|listed| listed.state).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let first = described(&mut bench);
    assert_eq!((first.state, first.started, first.partitions.len()), (TransactionState::Empty, None, 0));
    bench.add(producer, &[2, 0]).unwrap();
    let began = bench.now;
    bench.now = began.plus_ms(500);
    let open = described(&mut bench);
    assert_eq!((open.state, open.started), (TransactionState::Ongoing, Some(began)));
    assert_eq!((open.producer_id, open.timeout_ms), (producer.producer_id, 60_000));
    assert_eq!(open.partitions, [partition(0), partition(2)]);

    let ongoing = [TransactionState::Ongoing];
    assert_eq!(listed(&mut bench, TransactionFilter::default()), ongoing);
    let filters = [
        (TransactionFilter { states: [TransactionState::Empty].into(), ..Default::default() }, false),
        (TransactionFilter { states: ongoing.into(), ..Default::default() }, true),
        (TransactionFilter { producer_ids: [producer.producer_id].into(), ..Default::default() }, true),
        (TransactionFilter { producer_ids: [ProducerId(7)].into(), ..Default::default() }, false),
        (TransactionFilter { longer_than_ms: Some(499), ..Default::default() }, true),
        (TransactionFilter { longer_than_ms: Some(500), ..Default::default() }, false),
    ];
    for (filter, passes) in filters {
        let what = format!("{filter:?}");
        assert_eq!(!listed(&mut bench, filter).is_empty(), passes, "{what}");
    }
    bench.end(producer, TransactionResult::Abort).unwrap();
    assert_eq!(listed(&mut bench, TransactionFilter::default()), [TransactionState::PrepareAbort]);
    bench.answer_markers(Ok(()));
    let ended = described(&mut bench);
    assert_eq!((ended.state, ended.started), (TransactionState::CompleteAbort, Some(began)));
    assert_eq!(TransactionState::named("CompleteAbort"), Some(TransactionState::CompleteAbort));
    assert_eq!(TransactionState::named("Dead"), None);
}
