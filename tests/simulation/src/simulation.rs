//! The run of a seed: what happens next, and the looking after every step.

use crate::broker::{Broker, small_segments};
use crate::clients::{
    Client, Committer, DATA, MEMBER_GROUP, Member, OUT, Observer, PARTITIONS, Processor, Producer, SESSION_TIMEOUT_MS,
    Turn,
};
use crate::entry::{Entry, Ledgers};
use crate::invariants::{Facts, Invariant, all};
use crate::observation::Observation;
use crate::trace::Trace;
use pelton_core::config::CoreConfig;
use pelton_core::event::{ClusterReply, ClusterRequest, NewTopic, PartitionRequest, Reply, Request};
use pelton_core::model::{OFFSETS_TOPIC, PartId, TRANSACTIONS_TOPIC, Timestamp, Token, TopicId, TopicPartition};
use pelton_log::disk::{Dice, FaultOperation, SimFault};
use pelton_log::{LogConfig, SimDisk};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Steps of the busy part of a run; what is unfinished then is brought to its end.
const STEPS: u32 = 9_000;
/// Steps that the end may take; more means that something hangs.
const MAX_END_STEPS: u32 = 60_000;
/// How long a client waits for an answer.
const REQUEST_TIMEOUT_MS: i64 = 1_500;

/// What a run was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Fingerprint of everything that happened.
    pub trace: u64,
    /// How much happened.
    pub events: u64,
    /// Power cuts and kills.
    pub restarts: u32,
    /// Records below the high watermarks in the end, internal topics included.
    pub records: usize,
    /// Transactions that their client was told to be committed.
    pub committed: u32,
    /// Transactions that did not commit, as their client knows.
    pub not_committed: u32,
    /// Records that were acknowledged.
    pub acknowledged: usize,
    /// Offsets that members of a group committed under their generation.
    pub member_commits: u32,
    /// Times that a member came to its partitions.
    pub assignments: u32,
}

/// An invariant that does not hold.
#[derive(Debug)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
    /// At which step.
    pub step: u32,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken at step {}: {}", self.invariant, self.step, self.what)
    }
}

/// Runs a seed to its end.
///
/// # Errors
/// The first invariant that does not hold.
pub fn run(seed: u64) -> Result<Report, Violation> {
    run_on(seed, Weather::Mixed)
}

/// Runs a seed to its end under the default settings of every log. The power fails at random points and takes
/// everything with it that was not synced; nothing else fails.
///
/// # Errors
/// As [`run`].
pub fn run_with_power_cuts(seed: u64) -> Result<Report, Violation> {
    run_on(seed, Weather::PowerCuts)
}

/// What happens to the machine under the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Kills, power cuts that keep, lose and tear what was not synced, and a medium that refuses.
    Mixed,
    /// Power cuts that lose all that was not synced.
    PowerCuts,
}

fn run_on(seed: u64, weather: Weather) -> Result<Report, Violation> {
    let mut simulation = Simulation::start(seed, weather).map_err(|what| violation("start", what, 0))?;
    for _ in 0..STEPS {
        simulation.step()?;
    }
    simulation.end()
}

fn violation(invariant: &'static str, what: String, step: u32) -> Violation {
    Violation { invariant, what, step }
}

struct Simulation {
    weather: Weather,
    now: Timestamp,
    rng: Dice,
    trace: Trace,
    broker: Broker,
    clients: Vec<Box<dyn Client>>,
    /// Requests without an answer: whose, to whom, and until when it waits.
    waiting: BTreeMap<Token, (usize, PartId, Timestamp)>,
    /// Requests that the network holds up, and until when. Only appends: a client of transaction version 1 has to keep
    /// the order of what it asks of its coordinators (KAFKA-17754).
    held_up: Vec<(Timestamp, Token, PartId, Request)>,
    next_token: u64,
    ending: bool,
    ledgers: Ledgers,
    read_again: Option<Ledgers>,
    observed: Vec<Observation>,
    invariants: Vec<Box<dyn Invariant>>,
    steps: u32,
    report: Report,
}

impl Simulation {
    fn start(seed: u64, weather: Weather) -> Result<Self, String> {
        let now = Timestamp(1_000_000);
        let config = CoreConfig {
            offsets_topic_partitions: 2,
            transaction_topic_partitions: 2,
            group_initial_rebalance_delay_ms: 100,
            group_min_session_timeout_ms: SESSION_TIMEOUT_MS,
            // One run in eight trusts the page cache, as Kafka does: its broker is killed, and the power never fails.
            fsync: match weather {
                Weather::Mixed => seed % 8 != 7,
                Weather::PowerCuts => CoreConfig::default().fsync,
            },
            ..CoreConfig::default()
        };
        let mut trace = Trace::default();
        let log_config = match weather {
            Weather::Mixed => small_segments(),
            Weather::PowerCuts => LogConfig::default(),
        };
        let mut broker = Broker::start(now, SimDisk::new(), Arc::new(config), log_config, &mut trace)?;
        create_topics(now, &mut broker, &mut trace)?;
        let (offsets, transactions) =
            (broker.config().offsets_topic_partitions, broker.config().transaction_topic_partitions);
        let clients: Vec<Box<dyn Client>> = vec![
            Box::new(Producer::new(0, 0, 60)),
            Box::new(Producer::new(1, 1, 60)),
            Box::new(Producer::new(2, 0, 60)),
            Box::new(Processor::new(0, offsets, transactions)),
            Box::new(Processor::new(1, offsets, transactions)),
            Box::new(Committer::new(offsets)),
            Box::new(Member::new(0, offsets)),
            Box::new(Member::new(1, offsets)),
            Box::new(Observer::default()),
        ];
        Ok(Self {
            weather,
            now,
            rng: Dice::new(seed),
            trace,
            broker,
            clients,
            waiting: BTreeMap::new(),
            held_up: Vec::new(),
            next_token: 1_000,
            ending: false,
            ledgers: Ledgers::new(),
            read_again: None,
            observed: Vec::new(),
            invariants: all(),
            steps: 0,
            report: Report {
                trace: 0,
                events: 0,
                restarts: 0,
                records: 0,
                committed: 0,
                not_committed: 0,
                acknowledged: 0,
                member_commits: 0,
                assignments: 0,
            },
        })
    }

    fn step(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        self.choose().map_err(|what| violation("the broker", what, self.steps))?;
        self.hear()
    }

    /// Gives the clients their answers, but for those that the network loses, and looks.
    fn hear(&mut self) -> Result<(), Violation> {
        while let Some((token, reply)) = self.broker.next_answer() {
            if !self.waiting.contains_key(&token) || (!self.ending && self.rng.permille(8)) {
                continue;
            }
            if let Some((client, ..)) = self.waiting.remove(&token) {
                self.turn(client, |client, turn| client.answered(token, reply, turn));
            }
        }
        if let Some(broken) = self.broker.broken() {
            return Err(violation("the broker", broken, self.steps));
        }
        self.look(false)
    }

    /// One thing happens.
    fn choose(&mut self) -> Result<(), String> {
        match self.rng.below(1_000) {
            0..420 => match self.broker.busy_shard(&mut self.rng) {
                Some(shard) => self.broker.deliver(self.now, shard, &mut self.trace),
                None => self.client_acts(),
            },
            420..550 => self.broker.begin_flush(&mut self.rng),
            550..680 => self.broker.finish_flush(&mut self.rng),
            680..960 => self.client_acts(),
            960..997 => {
                let ms = 1 + self.rng.below(60) as i64;
                self.pass(ms);
            }
            997 if self.rng.permille(300) => {
                // Everybody was away for a while: transactions time out, and zombies come back.
                let ms = 2_000 + self.rng.below(6_000) as i64;
                self.pass(ms);
            }
            998 if self.rng.permille(700) => return self.restart(),
            999 if self.weather == Weather::PowerCuts => return self.restart(),
            999 => self.break_storage(),
            _ => {}
        }
        Ok(())
    }

    fn client_acts(&mut self) {
        let client = self.rng.index(self.clients.len());
        self.turn(client, |client, turn| client.act(turn));
    }

    fn turn(&mut self, index: usize, call: impl FnOnce(&mut dyn Client, &mut Turn<'_>)) {
        let mut turn = Turn {
            now: self.now,
            rng: &mut self.rng,
            ending: self.ending,
            next_token: &mut self.next_token,
            sent: Vec::new(),
            observed: Vec::new(),
        };
        call(&mut *self.clients[index], &mut turn);
        let Turn { sent, observed, .. } = turn;
        for (token, part, request) in sent {
            let deadline = self.now.plus_ms(REQUEST_TIMEOUT_MS);
            self.waiting.insert(token, (index, part.clone(), deadline));
            self.transmit(token, part, request);
        }
        for observation in &observed {
            match observation {
                Observation::Committed(_) => self.report.committed += 1,
                Observation::NotCommitted(_) => self.report.not_committed += 1,
                Observation::Acknowledged { values, .. } => self.report.acknowledged += values.len(),
                Observation::OffsetCommitted { group: MEMBER_GROUP, .. } => self.report.member_commits += 1,
                Observation::OffsetFetched { group: MEMBER_GROUP, .. } => self.report.assignments += 1,
                _ => {}
            }
        }
        self.observed.extend(observed);
    }

    /// The network: it loses some requests and holds some up, past the patience of their clients.
    fn transmit(&mut self, token: Token, part: PartId, request: Request) {
        let append = matches!(request, Request::Partition(PartitionRequest::Append { .. }));
        let fate = if self.ending { 1_000 } else { self.rng.below(1_000) };
        match fate {
            0..8 => {}
            8..50 if append => {
                // Often it arrives just when its client has given up and is busy with what follows from that.
                let held_ms = if self.rng.permille(500) { REQUEST_TIMEOUT_MS } else { 0 };
                let until = self.now.plus_ms(held_ms + self.rng.below(800) as i64);
                self.held_up.push((until, token, part, request));
            }
            _ => self.broker.ask(part, token, request),
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        self.broker.wake(self.now);
        let (arrived, held_up) = std::mem::take(&mut self.held_up).into_iter().partition(|(at, ..)| *at <= self.now);
        self.held_up = held_up;
        let arrived: Vec<_> = arrived;
        for (_, token, part, request) in arrived {
            self.broker.ask(part, token, request);
        }
        let late = self.waiting.iter().filter(|(_, (.., deadline))| *deadline <= self.now);
        let late: Vec<_> = late.map(|(token, (client, part, _))| (*token, *client, part.clone())).collect();
        for (token, client, part) in late {
            self.waiting.remove(&token);
            self.broker.cancel(part, token);
            self.turn(client, |client, turn| client.lost(token, turn));
        }
    }

    /// A power cut, or only a kill; then the broker starts again.
    fn restart(&mut self) -> Result<(), String> {
        self.report.restarts += 1;
        let disk = self.broker.disk.clone();
        // After a failed sync only a power cut is harsh enough: it shows what was really there.
        let power_cut = self.broker.has_failed_storage() || self.rng.permille(700);
        if self.weather == Weather::PowerCuts {
            disk.cut_power();
        } else if power_cut && self.broker.config().fsync {
            disk.crash(self.rng.roll());
        } else {
            disk.kill();
        }
        self.held_up.clear();
        for (token, (client, ..)) in std::mem::take(&mut self.waiting) {
            self.turn(client, |client, turn| client.lost(token, turn));
        }
        let config = Arc::new(self.broker.config().clone());
        self.now = self.now.plus_ms(self.rng.below(500) as i64);
        let log_config = self.broker.log_config().clone();
        self.broker = Broker::start(self.now, disk, config, log_config, &mut self.trace)?;
        for topic in [OFFSETS_TOPIC, TRANSACTIONS_TOPIC, DATA, OUT] {
            if self.broker.image().topic(topic).is_none() {
                return Err(format!("topic {topic} is gone after a restart"));
            }
        }
        let partitions: Vec<_> = self.broker.watermarks().into_iter().collect();
        let mut again = Ledgers::new();
        for (partition, (watermarks, _)) in partitions {
            let entries = self.broker.read(&partition, watermarks.log_start, watermarks.log_end)?;
            again.insert(partition, entries);
        }
        self.read_again = Some(again);
        Ok(())
    }

    /// The medium refuses a call to come. Only where records are; a broker whose metadata cannot be written stops.
    fn break_storage(&mut self) {
        if self.ending || !self.broker.config().fsync {
            return;
        }
        let operation = match self.rng.below(3) {
            0 => FaultOperation::Write,
            1 => FaultOperation::Allocate,
            _ => FaultOperation::Sync,
        };
        let kind =
            if operation == FaultOperation::Sync { std::io::ErrorKind::Other } else { std::io::ErrorKind::StorageFull };
        let after = self.rng.below(20) as u32;
        self.broker.disk.inject(SimFault { operation, path_suffix: ".log".into(), after, kind });
    }

    /// Extends the ledgers and asks every invariant.
    fn look(&mut self, at_the_end: bool) -> Result<(), Violation> {
        let step = self.steps;
        let watermarks = self.broker.watermarks();
        let added = self.extend_ledgers(&watermarks).map_err(|what| violation("the log", what, step))?;
        let observed = std::mem::take(&mut self.observed);
        if let Some(Observation::Unexpected(what)) =
            observed.iter().find(|observation| matches!(observation, Observation::Unexpected(_)))
        {
            return Err(violation("an honest client's due", what.clone(), step));
        }
        let read_again = self.read_again.take();
        let facts = Facts {
            ledgers: &self.ledgers,
            added: &added,
            watermarks: &watermarks,
            storage_failed: self.broker.has_failed_storage(),
            observed: &observed,
            read_again: read_again.as_ref(),
        };
        for invariant in &mut self.invariants {
            let held = invariant.step(&facts).and_then(|()| if at_the_end { invariant.end(&facts) } else { Ok(()) });
            held.map_err(|what| violation(invariant.name(), what, step))?;
        }
        Ok(())
    }

    fn extend_ledgers(
        &mut self,
        watermarks: &BTreeMap<TopicPartition, (pelton_core::model::Watermarks, i64)>,
    ) -> Result<Vec<(TopicPartition, Entry)>, String> {
        let mut added = Vec::new();
        for (partition, (watermarks, _)) in watermarks {
            let ledger = self.ledgers.entry(partition.clone()).or_default();
            let known = ledger.last().map_or(watermarks.log_start, |last| last.offset + 1);
            if known >= watermarks.high_watermark {
                continue;
            }
            let new = self.broker.read(partition, known, watermarks.high_watermark)?;
            if new.last().is_none_or(|last| last.offset + 1 != watermarks.high_watermark) {
                return Err(format!("{partition}: the log does not reach the high watermark {watermarks:?}"));
            }
            added.extend(new.iter().map(|entry| (partition.clone(), entry.clone())));
            ledger.extend(new);
        }
        Ok(added)
    }

    /// Brings everything to its end and looks a last time.
    fn end(mut self) -> Result<Report, Violation> {
        self.ending = true;
        // A medium that has failed, or is about to, is mended by a restart.
        let restarted = self.restart();
        restarted.map_err(|what| violation("the broker", what, self.steps))?;
        let mut quiet_ms = 0;
        for _ in 0..MAX_END_STEPS {
            self.step_to_end()?;
            let done = self.clients.iter().all(|client| client.is_done()) && !self.broker.is_busy();
            if !done {
                quiet_ms = 0;
                continue;
            }
            // Long enough for every transaction that was left open to time out and be aborted.
            self.pass(500);
            quiet_ms += 500;
            if quiet_ms > 4 * i64::from(crate::clients::TRANSACTION_TIMEOUT_MS) {
                return self.last_look();
            }
        }
        let busy: Vec<_> = self.clients.iter().map(|client| client.is_done()).collect();
        Err(violation("progress", format!("the run does not end; clients that are done: {busy:?}"), self.steps))
    }

    fn step_to_end(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        match self.rng.below(4) {
            0 => self.client_acts(),
            1 => self.broker.begin_flush(&mut self.rng),
            2 => self.broker.finish_flush(&mut self.rng),
            _ => match self.broker.busy_shard(&mut self.rng) {
                Some(shard) => self.broker.deliver(self.now, shard, &mut self.trace),
                None => self.pass(5),
            },
        }
        self.hear()
    }

    fn last_look(mut self) -> Result<Report, Violation> {
        self.look(true)?;
        let records = self.ledgers.values().map(Vec::len).sum();
        Ok(Report { trace: self.trace.hash(), events: self.trace.events(), records, ..self.report })
    }
}

fn create_topics(now: Timestamp, broker: &mut Broker, trace: &mut Trace) -> Result<(), String> {
    let topic = |name: &str, id: u128, partitions: i32, internal: bool| NewTopic {
        name: name.into(),
        id: TopicId(id),
        partitions,
        replication_factor: 1,
        configs: BTreeMap::new(),
        internal,
    };
    let config = broker.config();
    let topics = vec![
        topic(OFFSETS_TOPIC, 10, config.offsets_topic_partitions, true),
        topic(TRANSACTIONS_TOPIC, 11, config.transaction_topic_partitions, true),
        topic(DATA, 12, PARTITIONS, false),
        topic(OUT, 13, PARTITIONS, false),
    ];
    broker.ask(
        PartId::Cluster,
        Token(0),
        Request::Cluster(ClusterRequest::CreateTopics { topics, validate_only: false }),
    );
    broker.settle(now, trace)?;
    match broker.next_answer() {
        Some((_, Reply::Cluster(Ok(ClusterReply::Topics(topics))))) if topics.iter().all(|(_, made)| made.is_ok()) => {
            Ok(())
        }
        other => Err(format!("the topics are not made: {other:?}")),
    }
}
