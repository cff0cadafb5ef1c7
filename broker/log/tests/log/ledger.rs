//! What was told to the log, and what it must therefore hold.

use pelton_log::Offset;
use pelton_record::{BatchBuilder, BatchHeader, BatchView, Codec, compressed_batch, patch_offset_and_epoch};
use std::collections::{BTreeMap, BTreeSet};

/// Keys of the records; few, so that compaction finds something to do.
const KEYS: u64 = 7;

/// A record as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: Offset,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// A batch that was appended.
#[derive(Debug, Clone)]
pub struct Written {
    pub base: Offset,
    /// One past its last offset.
    pub next: Offset,
    pub bytes: Vec<u8>,
}

/// Everything that a log was given and may still hold.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub batches: Vec<Written>,
    pub start: Offset,
    pub end: Offset,
    /// Everything below was told to be safe.
    pub acknowledged: Offset,
    /// Offsets of records that a later one of their key superseded where a compaction saw both.
    pub superseded: BTreeSet<Offset>,
}

/// A batch of `count` records at `base`, whose bytes follow from the arguments.
pub fn batch(base: Offset, count: u8, value_bytes: usize, codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(timestamp(base));
    for offset in base..base + Offset::from(count) {
        let dice = (offset as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let key = format!("k{}", dice % KEYS);
        let mut value = format!("value of {offset} ").into_bytes();
        value.resize_with(value.len() + value_bytes, || b'a' + (dice % 26) as u8);
        builder.push(timestamp(offset), Some(key.as_bytes()), Some(&value), &[]);
    }
    let plain = builder.into_bytes_with_crc();
    let mut bytes = match codec {
        Codec::None => plain,
        codec => compressed_batch(&BatchView::parse(&plain).unwrap(), codec).unwrap(),
    };
    patch_offset_and_epoch(&mut bytes, base, 3);
    bytes
}

/// The timestamp of the record at `offset`.
pub fn timestamp(offset: Offset) -> i64 {
    1_000 + offset
}

/// The records of a batch.
pub fn records(bytes: &[u8]) -> Vec<Record> {
    let view = BatchView::parse(bytes).unwrap();
    let plain = pelton_record::uncompressed_batch(&view, 1 << 20).unwrap();
    let plain = BatchView::parse(&plain).unwrap();
    let header = *plain.header();
    let records = plain.records().unwrap().map(|record| {
        let record = record.unwrap();
        let (key, value) = (record.key.map(Vec::from), record.value.map(Vec::from));
        Record { offset: record.offset(&header), timestamp: record.timestamp(&header), key, value }
    });
    records.collect()
}

impl Ledger {
    /// Notes a batch that the log took.
    pub fn appended(&mut self, bytes: Vec<u8>) {
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!(header.base_offset, self.end);
        self.end = header.next_offset();
        self.batches.push(Written { base: header.base_offset, next: header.next_offset(), bytes });
    }

    /// The log ends at `end` now; whatever reached above it is gone.
    pub fn cut(&mut self, end: Offset) {
        self.batches.retain(|batch| batch.next <= end);
        self.superseded.retain(|offset| *offset < end);
        self.end = end;
        self.acknowledged = self.acknowledged.min(end);
    }

    /// The batches of which a part lies above the log's start.
    pub fn kept(&self) -> impl Iterator<Item = &Written> {
        self.batches.iter().filter(|batch| batch.next > self.start)
    }

    /// All records that were appended and not cut.
    pub fn records(&self) -> BTreeMap<Offset, Record> {
        self.kept().flat_map(|batch| records(&batch.bytes)).map(|record| (record.offset, record)).collect()
    }

    /// The first offset of the batch that holds `offset`, or `offset` where none does.
    pub fn batch_of(&self, offset: Offset) -> Offset {
        self.batches.iter().find(|batch| (batch.base..batch.next).contains(&offset)).map_or(offset, |batch| batch.base)
    }

    /// What is certain to be left, at least, by a truncation to `offset`: compaction may have taken away what lies right
    /// below.
    pub fn floor_of(&self, offset: Offset) -> Offset {
        let mut floor = self.batch_of(offset);
        for batch in self.batches.iter().rev().filter(|batch| batch.next <= offset) {
            if !(batch.base..batch.next).all(|offset| self.superseded.contains(&offset)) {
                break;
            }
            floor = floor.min(batch.base);
        }
        floor
    }

    /// A compaction of everything below `end` is about to begin.
    pub fn compacting(&mut self, end: Offset) {
        let mut last = BTreeMap::new();
        for (offset, record) in self.records().range(..end) {
            if let Some(before) = last.insert(record.key.clone(), *offset) {
                self.superseded.insert(before);
            }
        }
    }
}
