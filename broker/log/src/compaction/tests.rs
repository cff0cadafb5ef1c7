//! Compactions of small logs on the simulated disk, against what was appended.

mod crashes;
mod keeps;
mod model;

use super::plan::{Cleanable, cleanable};
use super::*;
use crate::log::Opening;
use crate::{Disk, Log, LogConfig, SimDisk, index::AbortedTxn};
use pelton_record::{
    BatchBuilder, BatchHeader, BatchView, Codec, ControlType, batches, compressed_batch, control_batch, parse_control,
    patch_offset_and_epoch, uncompressed_batch,
};
use std::collections::BTreeMap;
use std::path::Path;

const DIR: &str = "/t-0";
const TOPIC_ID: u128 = 7;
/// Enough for any map of these tests.
const ROOMY: usize = 1 << 20;

/// A record as it was appended, or as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    offset: Offset,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    producer_id: i64,
}

/// A log with the producers that its partition would remember.
struct Fixture {
    disk: SimDisk,
    log: Log<SimDisk>,
    now_ms: i64,
    appended: Vec<Seen>,
    open_txns: BTreeMap<i64, Offset>,
    aborted_offsets: Vec<Offset>,
    sequences: BTreeMap<i64, i32>,
}

fn config(compact: bool) -> LogConfig {
    LogConfig {
        segment_bytes: 700,
        index_interval_bytes: 200,
        preallocate_min_bytes: 0,
        compact,
        compaction: CompactionConfig { delete_retention_ms: 1_000, ..CompactionConfig::default() },
        ..LogConfig::default()
    }
}

fn open(disk: &SimDisk, compact: bool) -> Result<Log<SimDisk>, LogError> {
    Log::open(disk.clone(), DIR, config(compact), Opening::of(TOPIC_ID), &mut |_| {}).map(|(log, _)| log)
}

/// Goes on without waiting.
struct AtOnce;

impl Pace for AtOnce {
    fn go_on(&mut self, _bytes: u64) -> bool {
        true
    }
}

impl Fixture {
    fn new() -> Self {
        let disk = SimDisk::new();
        let log = open(&disk, true).unwrap();
        Self {
            disk,
            log,
            now_ms: 1_000_000,
            appended: Vec::new(),
            open_txns: BTreeMap::new(),
            aborted_offsets: Vec::new(),
            sequences: BTreeMap::new(),
        }
    }

    /// Appends records, of a producer when `producer_id` is not -1, within its transaction if `transactional`.
    fn put(&mut self, producer_id: i64, transactional: bool, codec: Codec, records: &[(Option<&str>, Option<&str>)]) {
        let base = self.log.log_end();
        self.now_ms += 1;
        let mut builder = BatchBuilder::new(self.now_ms);
        if producer_id >= 0 {
            let sequence = self.sequences.entry(producer_id).or_default();
            builder.set_producer(producer_id, 0, *sequence);
            *sequence += records.len() as i32;
        }
        builder.set_transactional(transactional);
        for (at, (key, value)) in records.iter().enumerate() {
            let timestamp = self.now_ms + at as i64;
            let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
            let header = pelton_record::Header { key: "h", value: Some(b"x") };
            builder.push(timestamp, key, value, &[header]);
            let (key, value) = (key.map(Vec::from), value.map(Vec::from));
            self.appended.push(Seen { offset: base + at as i64, timestamp, key, value, producer_id });
        }
        let plain = builder.into_bytes_with_crc();
        let bytes = match codec {
            Codec::None => plain,
            codec => compressed_batch(&BatchView::parse(&plain).unwrap(), codec).unwrap(),
        };
        self.append(bytes);
        if transactional {
            self.open_txns.entry(producer_id).or_insert(base);
        }
    }

    fn append(&mut self, mut bytes: Vec<u8>) {
        patch_offset_and_epoch(&mut bytes, self.log.log_end(), 0);
        let header = BatchHeader::parse(&bytes).unwrap();
        self.log.append(&bytes, &header).unwrap();
    }

    fn end_txn(&mut self, producer_id: i64, control: ControlType) {
        let Some(first_offset) = self.open_txns.remove(&producer_id) else { return };
        let marker = self.log.log_end();
        self.append(control_batch(control, producer_id, 0, 0, self.now_ms));
        if control == ControlType::Abort {
            let last_stable_offset = self.open_txns.values().copied().min().unwrap_or(marker + 1);
            let aborted = AbortedTxn { producer_id, first_offset, last_offset: marker, last_stable_offset };
            self.log.append_aborted(aborted);
            let of_it = self.appended.iter().filter(|r| r.producer_id == producer_id && r.offset >= first_offset);
            self.aborted_offsets.extend(of_it.map(|record| record.offset));
        }
    }

    fn stable_end(&self) -> Offset {
        self.open_txns.values().copied().min().unwrap_or(self.log.log_end())
    }

    fn cleanable(&self, checkpoint: Option<Offset>) -> Option<Cleanable> {
        let (log, config) = (&self.log, &self.log.config().compaction);
        cleanable(&log.sealed_segments(), log.log_start(), self.stable_end(), checkpoint, config, self.now_ms)
    }

    /// One compaction from `checkpoint` on; gives the next checkpoint, or nothing when nothing may be compacted.
    fn compact(&mut self, checkpoint: Option<Offset>, buffer: usize) -> Result<Option<Offset>, CompactionError> {
        let Some(cleanable) = self.cleanable(checkpoint) else { return Ok(None) };
        let source = self.log.compaction_source(cleanable.end)?;
        let producers = last_of_producers(&batches_of(&self.log));
        let mut compaction = Compaction::new(source, cleanable, producers, self.now_ms);
        let log = &mut self.log;
        let disk = self.disk.clone();
        let end = compaction.run(buffer, &mut AtOnce, &mut |cleaned| {
            let removable = log.replace(cleaned)?.expect("nobody else changes this log");
            for path in removable {
                disk.remove_file(&path).unwrap();
            }
            Ok(true)
        })?;
        Ok(Some(end))
    }

    /// Compacts until all of the cleanable part is clean, however small the map. Says in how many rounds.
    fn compact_all(&mut self, buffer: usize) -> usize {
        let (mut checkpoint, mut rounds) = (None, 0);
        while let Some(end) = self.compact(checkpoint, buffer).unwrap() {
            assert!(Some(end) > checkpoint, "a round makes progress");
            (checkpoint, rounds) = (Some(end), rounds + 1);
        }
        rounds
    }

    fn reopen(&mut self, compact: bool) {
        self.disk.kill();
        self.log = open(&self.disk, compact).unwrap();
    }
}

/// Every batch of the log, whole.
fn batches_of(log: &Log<SimDisk>) -> Vec<Vec<u8>> {
    let (mut from, end) = (log.log_start(), log.log_end());
    let mut found = Vec::new();
    while from < end {
        let bytes = log.read(from, end, 1 << 20, true).unwrap();
        if bytes.is_empty() {
            break;
        }
        for batch in batches(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            from = batch.header().next_offset();
            found.push(batch.bytes().to_vec());
        }
    }
    found
}

fn records_of(batch: &[u8]) -> Vec<Seen> {
    let view = BatchView::parse(batch).unwrap();
    if view.header().attributes.is_control() {
        return Vec::new();
    }
    let plain = uncompressed_batch(&view, 1 << 20).unwrap();
    let plain = BatchView::parse(&plain).unwrap();
    let header = *plain.header();
    let records = plain.records().unwrap().map(|record| {
        let record = record.unwrap();
        assert_eq!(record.headers().count(), 1, "headers stay");
        let (key, value) = (record.key.map(Vec::from), record.value.map(Vec::from));
        let (offset, timestamp) = (record.offset(&header), record.timestamp(&header));
        Seen { offset, timestamp, key, value, producer_id: header.producer_id }
    });
    records.collect()
}

/// Where each producer stands by the batches: what the partition's machine finds when it opens the log.
fn last_of_producers(batches: &[Vec<u8>]) -> Vec<LastOfProducer> {
    let mut last: BTreeMap<i64, LastOfProducer> = BTreeMap::new();
    for batch in batches {
        let header = BatchHeader::parse(batch).unwrap();
        if !header.has_producer_id() {
            continue;
        }
        let (producer_id, producer_epoch) = (header.producer_id, header.producer_epoch);
        let known =
            last.entry(producer_id).or_insert(LastOfProducer { producer_id, producer_epoch, last_data_offset: None });
        if !header.attributes.is_control() && header.base_sequence >= 0 {
            known.last_data_offset = Some(header.last_offset());
        }
    }
    last.into_values().collect()
}

/// The sequence that each producer is at.
fn last_sequences(log: &Log<SimDisk>) -> BTreeMap<i64, (i16, i32)> {
    let mut last = BTreeMap::new();
    for batch in batches_of(log) {
        let header = BatchHeader::parse(&batch).unwrap();
        if header.has_producer_id() && !header.attributes.is_control() {
            last.insert(header.producer_id, (header.producer_epoch, header.last_sequence()));
        }
    }
    last
}

/// What a read_committed reader sees: the records that no aborted transaction of the index holds.
fn committed_records(log: &Log<SimDisk>) -> Vec<Seen> {
    let aborted = log.aborted_in(log.log_start(), log.log_end());
    let mut found = Vec::new();
    for batch in batches_of(log) {
        let header = BatchHeader::parse(&batch).unwrap();
        let dropped = header.attributes.is_transactional()
            && aborted.iter().any(|txn| {
                txn.producer_id == header.producer_id
                    && (txn.first_offset..txn.last_offset).contains(&header.base_offset)
            });
        if !dropped {
            found.extend(records_of(&batch));
        }
    }
    found
}

/// The last value of each key; keys with a tombstone are not in it.
fn fold(records: &[Seen]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut last = BTreeMap::new();
    for record in records {
        let Some(key) = &record.key else { continue };
        match &record.value {
            Some(value) => last.insert(key.clone(), value.clone()),
            None => last.remove(key),
        };
    }
    last
}

fn markers_of(log: &Log<SimDisk>) -> Vec<(Offset, i64, ControlType)> {
    let markers = batches_of(log).into_iter().filter_map(|batch| {
        let view = BatchView::parse(&batch).unwrap();
        let (control, _) = parse_control(&view).ok()?;
        Some((view.header().base_offset, view.header().producer_id, control))
    });
    markers.collect()
}

fn file_names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap()
}
