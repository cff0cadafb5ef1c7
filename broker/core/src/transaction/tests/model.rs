//! The coordinator among partitions that lag, two instances of one producer, and crashes, in random order.
//!
//! Checked at the end, when everything has settled: a transaction is all or nothing, and as its client was told; an
//! instance that was fenced before it asked to commit never commits.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

const PARTITIONS: i32 = 3;
const INSTANCES: usize = 2;

/// One record: which transaction it belongs to (by serial number), in one partition.
#[derive(Default)]
struct ModelPartition {
    /// The newest producer seen; in this model ids only grow, as epochs do.
    newest: (i64, i16),
    open: Vec<u64>,
    visible: Vec<u64>,
    /// Client records that wait for the coordinator's word: (question, producer, transaction).
    waiting: VecDeque<(u64, (i64, i16), u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Open,
    Unknown,
    Committed,
    Aborted,
}

#[derive(Default)]
struct Instance {
    producer: Option<InitializedProducer>,
    /// The open transaction and the partitions whose record was acknowledged or may be there.
    transaction: Option<u64>,
    enlisted: BTreeSet<i32>,
    waiting: Option<Asked>,
    fenced: bool,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Init,
    Add(i32),
    Produce(i32),
    End(TransactionResult),
}

enum Message {
    Marker(u64, Marker),
    Verify(i32, InitializedProducer, u64),
}

struct World {
    machine: Transactions,
    now: Timestamp,
    durable: Vec<NewRecord>,
    /// What was decided and is not committed yet.
    pending: VecDeque<Outcome>,
    partitions: Vec<ModelPartition>,
    messages: Vec<VecDeque<Message>>,
    instances: [Instance; INSTANCES],
    fates: BTreeMap<u64, Fate>,
    acknowledged: BTreeMap<u64, Vec<i32>>,
    next_transaction: u64,
    next_producer_id: i64,
    next_verify: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Init(usize),
    Add(usize, i32),
    Produce(usize, i32),
    End(usize, bool),
    CommitLog,
    Deliver(usize),
    Pass(i64),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..INSTANCES;
    prop_oneof![
        1 => who.clone().prop_map(Step::Init),
        4 => (who.clone(), 0..PARTITIONS).prop_map(|(who, index)| Step::Add(who, index)),
        5 => (who.clone(), 0..PARTITIONS).prop_map(|(who, index)| Step::Produce(who, index)),
        2 => (who, any::<bool>()).prop_map(|(who, commit)| Step::End(who, commit)),
        12 => Just(Step::CommitLog),
        6 => (0..PARTITIONS as usize).prop_map(Step::Deliver),
        1 => prop_oneof![Just(100), Just(20_000), Just(60_000)].prop_map(Step::Pass),
        1 => Just(Step::Crash),
    ]
}

impl World {
    fn new() -> Self {
        Self {
            machine: Transactions::new(config(), 0),
            now: Timestamp(0),
            durable: Vec::new(),
            pending: VecDeque::new(),
            partitions: (0..PARTITIONS).map(|_| ModelPartition::default()).collect(),
            messages: (0..PARTITIONS).map(|_| VecDeque::new()).collect(),
            instances: Default::default(),
            fates: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            next_transaction: 0,
            next_producer_id: 1,
            next_verify: 0,
        }
    }

    fn settle(&mut self, out: Outcome) {
        for (_, records) in &out.batches {
            records.iter().for_each(|record| apply(&mut self.machine, self.now, record));
        }
        self.pending.push_back(out);
    }

    fn commit_log(&mut self) {
        let Some(out) = self.pending.pop_front() else { return };
        self.durable.extend(out.batches.into_iter().flat_map(|(_, records)| records));
        for (who, reply) in out.replies {
            let Reply::Transaction(reply) = reply else { panic!("{reply:?}") };
            match who {
                ReplyTo::Shell(Token(instance)) => self.told(instance as usize, reply),
                ReplyTo::Part(PartId::Partition(partition), number) => {
                    self.verified(partition.partition, number, reply.is_ok());
                }
                other => panic!("{other:?}"),
            }
        }
        for (part, question, request) in out.questions {
            match (part, request) {
                (PartId::Cluster, _) => {
                    let first = ProducerId(self.next_producer_id);
                    self.next_producer_id += 1;
                    let mut out = Outcome::default();
                    let reply = Reply::Cluster(Ok(ClusterReply::ProducerIds { first, count: 1 }));
                    self.machine.answered(self.now, question, reply, &mut out);
                    self.settle(out);
                }
                (PartId::Partition(to), Request::Partition(PartitionRequest::WriteMarker(marker))) => {
                    self.messages[to.partition as usize].push_back(Message::Marker(question, marker));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn ask(&mut self, who: ReplyTo, request: TransactionRequest) {
        let mut out = Outcome::default();
        self.machine.handle(self.now, who, Request::Transaction(request), &mut out);
        self.settle(out);
    }

    fn client(&mut self, instance: usize, asked: Asked) {
        let current = &self.instances[instance];
        if current.waiting.is_some() {
            return;
        }
        let who = ReplyTo::Shell(Token(instance as u64));
        let transactional_id: Arc<str> = ID.into();
        if matches!(asked, Asked::Init) {
            self.instances[instance] = Instance { waiting: Some(asked), ..Instance::default() };
            let request = TransactionRequest::InitProducer { transactional_id, timeout_ms: 60_000, current: None };
            return self.ask(who, request);
        }
        let (Some(producer), false) = (current.producer, current.fenced) else { return };
        let (producer_id, producer_epoch) = (producer.producer_id, producer.producer_epoch);
        match asked {
            Asked::Init => unreachable!("handled above"),
            Asked::Add(index) => {
                self.instances[instance].waiting = Some(asked);
                let partitions = vec![partition(index)];
                let request =
                    TransactionRequest::AddPartitions { transactional_id, producer_id, producer_epoch, partitions };
                self.ask(who, request);
            }
            Asked::Produce(index) => {
                let Some(transaction) = current.transaction.filter(|_| current.enlisted.contains(&index)) else {
                    return;
                };
                let message = Message::Verify(index, producer, transaction);
                self.instances[instance].waiting = Some(asked);
                self.messages[index as usize].push_back(message);
            }
            Asked::End(result) => {
                let Some(transaction) = current.transaction else { return };
                self.fates.insert(transaction, Fate::Unknown);
                self.instances[instance].waiting = Some(asked);
                let request = TransactionRequest::End { transactional_id, producer_id, producer_epoch, result };
                self.ask(who, request);
            }
        }
    }

    fn told(&mut self, instance: usize, reply: Result<TransactionReply, Refusal>) {
        let asked = self.instances[instance].waiting.take().expect("an answer to what was asked");
        match (asked, reply) {
            (Asked::Init, Ok(TransactionReply::Initialized(producer))) => {
                let newest = self.instances.iter().filter_map(|other| other.producer);
                let newest = newest.map(|other| (other.producer_id, other.producer_epoch)).max();
                assert!(newest.is_none_or(|newest| newest < (producer.producer_id, producer.producer_epoch)));
                self.instances.iter_mut().for_each(|other| other.fenced = true);
                self.instances[instance] = Instance { producer: Some(producer), ..Instance::default() };
            }
            (Asked::Add(index), Ok(TransactionReply::Done)) => {
                let next = self.next_transaction;
                let current = &mut self.instances[instance];
                current.enlisted.insert(index);
                let transaction = *current.transaction.get_or_insert(next);
                if transaction == next {
                    self.next_transaction += 1;
                    self.fates.insert(transaction, Fate::Open);
                }
            }
            (Asked::End(result), Ok(TransactionReply::Ended(_))) => {
                let current = &mut self.instances[instance];
                let transaction = current.transaction.take().expect("it had begun");
                current.enlisted.clear();
                let fate = if result == Commit { Fate::Committed } else { Fate::Aborted };
                self.fates.insert(transaction, fate);
            }
            (_, Err(Refusal::ConcurrentTransactions)) => {}
            (_, Err(_)) => self.instances[instance].fenced = true,
            (asked, reply) => panic!("{asked:?}: {reply:?}"),
        }
    }

    fn deliver(&mut self, index: usize) {
        match self.messages[index].pop_front() {
            None => {}
            Some(Message::Marker(question, marker)) => {
                let partition = &mut self.partitions[index];
                let producer = (marker.producer_id.0, marker.producer_epoch.0);
                assert!(producer >= partition.newest, "a marker of a fenced producer");
                partition.newest = producer;
                partition.waiting.clear();
                let open = std::mem::take(&mut partition.open);
                if marker.commit {
                    partition.visible.extend(open);
                }
                for instance in &mut self.instances {
                    // Whatever waited there was refused with the marker.
                    if matches!(instance.waiting, Some(Asked::Produce(at)) if at as usize == index) {
                        instance.waiting = None;
                        instance.fenced = true;
                    }
                }
                let appended = Appended { base_offset: 0, last_offset: 0, log_start: 0 };
                let mut out = Outcome::default();
                let reply = Reply::Partition(Ok(PartitionReply::Appended(appended)));
                self.machine.answered(self.now, question, reply, &mut out);
                self.settle(out);
            }
            Some(Message::Verify(at, producer, transaction)) => {
                let number = self.next_verify;
                self.next_verify += 1;
                let waiting = (number, (producer.producer_id.0, producer.producer_epoch.0), transaction);
                self.partitions[index].waiting.push_back(waiting);
                let request = TransactionRequest::Verify {
                    transactional_id: ID.into(),
                    producer_id: producer.producer_id,
                    producer_epoch: producer.producer_epoch,
                    partition: partition(at),
                };
                self.ask(ReplyTo::Part(PartId::Partition(partition(at)), number), request);
            }
        }
    }

    fn verified(&mut self, at: i32, number: u64, enlisted: bool) {
        let partition = &mut self.partitions[at as usize];
        let Some(place) = partition.waiting.iter().position(|(waiting, ..)| *waiting == number) else { return };
        let (_, producer, transaction) = partition.waiting.remove(place).expect("found above");
        let accepted = enlisted && producer >= partition.newest;
        if accepted {
            partition.newest = producer;
            partition.open.push(transaction);
            self.acknowledged.entry(transaction).or_default().push(at);
        }
        for instance in &mut self.instances {
            if instance.transaction == Some(transaction) && matches!(instance.waiting, Some(Asked::Produce(_))) {
                instance.waiting = None;
                instance.fenced |= !accepted;
            }
        }
    }

    /// The process dies: what was not committed is gone, and so is everything in flight.
    fn crash(&mut self) {
        self.pending.clear();
        self.messages.iter_mut().for_each(VecDeque::clear);
        self.partitions.iter_mut().for_each(|partition| partition.waiting.clear());
        for instance in &mut self.instances {
            match instance.waiting.take() {
                // Unknown whether it was done: a client begins anew.
                Some(Asked::End(_) | Asked::Produce(_) | Asked::Add(_)) => instance.fenced = true,
                Some(Asked::Init) | None => {}
            }
        }
        self.machine = Transactions::new(config(), 0);
        for record in self.durable.clone() {
            apply(&mut self.machine, self.now, &record);
        }
        let mut out = Outcome::default();
        self.machine.loaded(self.now, &mut out);
        self.settle(out);
    }

    fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        while self.machine.next_wake().is_some_and(|at| at <= self.now) {
            let mut out = Outcome::default();
            self.machine.tick(self.now, &mut out);
            self.settle(out);
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Init(who) => self.client(who, Asked::Init),
            Step::Add(who, index) => self.client(who, Asked::Add(index)),
            Step::Produce(who, index) => self.client(who, Asked::Produce(index)),
            Step::End(who, commit) => self.client(who, Asked::End(if commit { Commit } else { Abort })),
            Step::CommitLog => self.commit_log(),
            Step::Deliver(index) => self.deliver(index),
            Step::Pass(ms) => self.pass(ms),
            Step::Crash => self.crash(),
        }
    }

    fn drain(&mut self) {
        while !self.pending.is_empty() || self.messages.iter().any(|queue| !queue.is_empty()) {
            while !self.pending.is_empty() {
                self.commit_log();
            }
            (0..self.messages.len()).for_each(|index| self.deliver(index));
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (transaction, fate) in &self.fates {
            let mut visible = Vec::new();
            for (index, partition) in (0..).zip(&self.partitions) {
                prop_assert!(partition.open.is_empty(), "a transaction hangs open");
                visible.extend(partition.visible.iter().filter(|seen| *seen == transaction).map(|_| index));
            }
            let mut written = self.acknowledged.get(transaction).cloned().unwrap_or_default();
            written.sort_unstable();
            match fate {
                Fate::Committed => prop_assert_eq!(&visible, &written, "transaction {} is not whole", transaction),
                Fate::Open | Fate::Aborted => prop_assert!(visible.is_empty(), "{} was not committed", transaction),
                Fate::Unknown => prop_assert!(visible.is_empty() || visible == written, "{} is torn", transaction),
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn a_transaction_is_all_or_nothing(steps in proptest::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        world.client(0, Asked::Init);
        for step in steps {
            world.run(step);
        }
        world.drain();
        // What is still open times out.
        world.pass(60_000);
        world.drain();
        world.check()?;
    }
}
