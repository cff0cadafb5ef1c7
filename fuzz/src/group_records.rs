//! The logs of coordinators and of the cluster image, replayed: `__consumer_offsets`, `__transaction_state`,
//! `__cluster_metadata`.
//!
//! The first byte of the input chooses the coordinator, and whether the rest is a sequence of records ([`Records`]), the
//! record batches themselves, or the metadata of a consumer in a group (its subscription). The log is replayed as after a
//! restart, the coordinator is asked what it knows, and its timers run out. What is promised: what it takes grows with its
//! log, and what it does not understand stops it instead of being guessed.

use crate::allocation::bounded;
use bytes::Bytes;
use pelton_core::cluster::Cluster;
use pelton_core::config::CoreConfig;
use pelton_core::coordinator::Coordinator;
use pelton_core::coordinator::frame::Frame;
use pelton_core::event::{Event, GroupRequest, ReplyTo, Request, TransactionRequest};
use pelton_core::group::Groups;
use pelton_core::model::{PartId, Timestamp, Token, TopicPartition};
use pelton_core::transaction::Transactions;
use pelton_core::{cluster, group, transaction};
use pelton_record::{BatchBuilder, ControlType, NO_SEQUENCE, control_batch};
use std::sync::Arc;

/// The broker's clock at the restart.
const NOW_MS: i64 = 1_700_000_000_000;
/// Memory for each byte of the log: names in several maps, records that are written again, answers, messages.
const FACTOR: usize = 160;
/// What an empty coordinator takes, its answers and its effects.
const BESIDE_BYTES: usize = 64 << 10;

/// Records one after the other: flags, the lengths of key and value (two bytes each), key, value. A length that is more
/// than what is left means what is left.
struct Records<'a>(&'a [u8]);

/// One of them.
struct Stored<'a> {
    flags: u8,
    key: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> Iterator for Records<'a> {
    type Item = Stored<'a>;

    fn next(&mut self) -> Option<Stored<'a>> {
        let (front, rest) = self.0.split_first_chunk::<5>()?;
        let (flags, key, value) = (front[0], pair(front[1], front[2]), pair(front[3], front[4]));
        let (key, rest) = rest.split_at(key.min(rest.len()));
        let (value, rest) = rest.split_at(value.min(rest.len()));
        self.0 = rest;
        Some(Stored { flags, key, value: (flags & 1 == 0).then_some(value) })
    }
}

fn pair(high: u8, low: u8) -> usize {
    usize::from(high) << 8 | usize::from(low)
}

/// The batches of a log with these records. Flags: 1 a tombstone, 2 in a transaction, 4 a marker behind it, 8 that commits.
fn batches(records: Records<'_>) -> Vec<Bytes> {
    let mut batches = Vec::new();
    for record in records {
        let mut builder = BatchBuilder::new(NOW_MS - 1_000);
        if record.flags & 2 != 0 {
            builder.set_producer(5, 0, NO_SEQUENCE);
            builder.set_transactional(true);
        }
        builder.push(NOW_MS - 1_000, Some(record.key), record.value, &[]);
        batches.push(Bytes::from(builder.into_bytes_with_crc()));
        if record.flags & 4 != 0 {
            let decision = if record.flags & 8 != 0 { ControlType::Commit } else { ControlType::Abort };
            batches.push(Bytes::from(control_batch(decision, 5, 0, 0, NOW_MS)));
        }
    }
    batches
}

/// Reads the input as the log of a coordinator.
pub fn run(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    let most_bytes = FACTOR * input.len() + BESIDE_BYTES;
    if choice & 3 == 3 {
        return bounded(most_bytes, || subscription(rest));
    }
    let raw = choice & 4 != 0;
    let log = if raw { vec![Bytes::copy_from_slice(rest)] } else { batches(Records(rest)) };
    // Batches of one record each: their headers count, too.
    let log_bytes: usize = log.iter().map(Bytes::len).sum();
    let most_bytes = FACTOR * log_bytes + BESIDE_BYTES;
    let shown = |describe: fn(&[u8], Option<&[u8]>) -> bool| raw || Records(rest).all(|r| describe(r.key, r.value));
    match choice & 3 {
        0 => {
            let shown = shown(|key, value| group::describe_record(key, value).is_ok());
            bounded(most_bytes, || groups(log, shown));
        }
        1 => {
            let shown = shown(|key, value| transaction::describe_record(key, value).is_ok());
            let ids = Records(rest).filter_map(|record| transactional_id(record.key)).collect();
            bounded(most_bytes, || transactions(log, shown, ids));
        }
        _ => {
            let shown = shown(|key, value| cluster::describe_record(key, value).is_ok());
            bounded(most_bytes, || cluster_image(log, shown));
        }
    }
}

fn transactional_id(key: &[u8]) -> Option<Arc<str>> {
    let (key, _) = transaction::describe_record(key, None).ok()?;
    key["data"]["transactionalId"].as_str().map(Arc::from)
}

/// Replays the log; what is asked is asked only of a coordinator that could read all of it.
fn replayed<C: Coordinator>(part: PartId, machine: C, log: Vec<Bytes>, shown: bool) -> Option<Frame<C>> {
    let mut frame = Frame::new(part, machine);
    let mut effects = Vec::new();
    frame.step(Timestamp(NOW_MS), Event::Replay { batches: log }, &mut effects);
    if frame.failure().is_some() {
        return None;
    }
    assert!(shown, "a coordinator has taken a record that nobody can show");
    frame.step(Timestamp(NOW_MS), Event::Loaded, &mut effects);
    Some(frame)
}

fn ask<C: Coordinator>(frame: &mut Frame<C>, request: Request) {
    let reply_to = ReplyTo::Shell(Token(1));
    let mut effects = Vec::new();
    frame.step(Timestamp(NOW_MS), Event::Ask { reply_to, request }, &mut effects);
    assert!(frame.failure().is_none(), "{:?}", frame.failure());
}

/// Time passes, a minute, a day and a month.
fn tick<C: Coordinator>(frame: &mut Frame<C>) {
    for ms in [60_000, 86_400_000, 31 * 86_400_000i64] {
        let mut effects = Vec::new();
        frame.step(Timestamp(NOW_MS + ms), Event::Tick, &mut effects);
        assert!(frame.failure().is_none(), "{:?}", frame.failure());
    }
}

fn groups(log: Vec<Bytes>, shown: bool) {
    let machine = Groups::new(Arc::new(CoreConfig::default()), 0);
    let names = names(&log);
    let Some(mut frame) = replayed(PartId::Group(0), machine, log, shown) else { return };
    ask(&mut frame, Request::Group(GroupRequest::List { states: None }));
    ask(&mut frame, Request::Group(GroupRequest::Describe { groups: names.clone() }));
    for group in names {
        let partitions = vec![TopicPartition::new("t", 0)];
        ask(&mut frame, Request::Group(GroupRequest::DeleteOffsets { group: group.clone(), partitions }));
        let all = GroupRequest::FetchOffsets { group: group.clone(), partitions: None, require_stable: true };
        ask(&mut frame, Request::Group(all));
        ask(&mut frame, Request::Group(GroupRequest::Delete { groups: vec![group] }));
    }
    tick(&mut frame);
}

/// The groups that the records of a log name, each once; a few of them.
fn names(log: &[Bytes]) -> Vec<Arc<str>> {
    const MOST: usize = 8;
    let mut names: Vec<Arc<str>> = Vec::new();
    let batches = log.iter().flat_map(|bytes| pelton_record::batches(bytes)).map_while(Result::ok);
    for record in batches.filter_map(|batch| batch.records().ok()).flatten().map_while(Result::ok) {
        let described = record.key.and_then(|key| group::describe_record(key, None).ok());
        let name = described.and_then(|(key, _)| key["data"]["group"].as_str().map(Arc::from));
        if let Some(name) = name.filter(|name| !names.contains(name) && names.len() < MOST) {
            names.push(name);
        }
    }
    names
}

fn transactions(log: Vec<Bytes>, shown: bool, ids: Vec<Arc<str>>) {
    let machine = Transactions::new(Arc::new(CoreConfig::default()), 0);
    let Some(mut frame) = replayed(PartId::Transaction(0), machine, log, shown) else { return };
    for transactional_id in ids {
        ask(
            &mut frame,
            Request::Transaction(TransactionRequest::Describe { transactional_id: transactional_id.clone() }),
        );
        let again = TransactionRequest::InitProducer { transactional_id, timeout_ms: 60_000, current: None };
        ask(&mut frame, Request::Transaction(again));
    }
    tick(&mut frame);
}

fn cluster_image(log: Vec<Bytes>, shown: bool) {
    let machine = Cluster::new(Arc::new(CoreConfig::default()));
    let Some(mut frame) = replayed(PartId::Cluster, machine, log, shown) else { return };
    let image = frame.machine().image();
    for (name, topic) in &image.topics {
        assert!(topic.partitions > 0, "{name}");
    }
    tick(&mut frame);
}

/// A group of consumers with one member, who says this of itself.
fn subscription(metadata: &[u8]) {
    let Ok(length) = i32::try_from(metadata.len()) else { return };
    let mut value =
        b"\x00\x03\x00\x08consumer\x00\x00\x00\x01\x00\x05range\x00\x01m\x00\x00\x00\x00\x00\x00\x00\x05".to_vec();
    value.extend_from_slice(b"\x00\x00\x00\x01\x00\x01m\xff\xff\x00\x01c\x00\x01h\x00\x00\x00\x09\x00\x00\x00\x08");
    value.extend_from_slice(&length.to_be_bytes());
    value.extend_from_slice(metadata);
    value.extend_from_slice(&[0; 4]);
    let mut builder = BatchBuilder::new(NOW_MS);
    builder.push(NOW_MS, Some(b"\x00\x02\x00\x01g"), Some(&value), &[]);
    groups(vec![Bytes::from(builder.into_bytes_with_crc())], true);
}
