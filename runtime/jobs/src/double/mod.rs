//! A cluster in memory for tests: logs with transactions, markers, aborted records and compaction, read
//! committed; and a transform that counts. Deterministic: nothing here waits or chooses.

mod counting;
mod ports;

pub use counting::{CountingFactory, Mirror, TestPlugins};
pub use ports::SharedCluster;

use bytes::Bytes;
use pelton_api::ports::{Partition, PortError, ReadBatches, TopicDescription};
use pelton_record::{BatchBuilder, BatchView, Header, patch_offset_and_epoch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub fn at(topic: &str, index: i32) -> Partition {
    Partition { topic: topic.to_owned(), index }
}

/// A record as it is found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub offset: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub timestamp: i64,
    pub headers: Vec<(String, Bytes)>,
}

impl Stored {
    pub fn header(&self, name: &str) -> Option<String> {
        let header = self.headers.iter().find(|(key, _)| key == name)?;
        Some(String::from_utf8_lossy(&header.1).into_owned())
    }

    pub fn text(&self) -> (String, String) {
        let text = |bytes: &Option<Bytes>| String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
        (text(&self.key), text(&self.value))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug, Clone)]
enum Slot {
    Record {
        stored: Arc<Stored>,
        batch: i64,
        transaction: Option<u64>,
    },
    /// A marker, or a record that compaction took away.
    Nothing,
}

#[derive(Debug, Clone, Default)]
struct Log {
    slots: Vec<Slot>,
    start: i64,
}

#[derive(Debug, Default)]
struct Writer {
    epoch: u32,
    open: Option<u64>,
    touched: BTreeSet<Partition>,
}

#[derive(Debug, Default)]
pub struct Cluster {
    topics: BTreeMap<String, (String, Vec<Log>)>,
    writers: BTreeMap<String, Writer>,
    transactions: Vec<Outcome>,
    offsets: BTreeMap<(String, Partition), i64>,
    topics_made: u32,
    /// `max.message.bytes` of the topics that have one.
    pub largest: BTreeMap<String, usize>,
    /// Grows with everything that becomes visible.
    pub version: u64,
}

impl Cluster {
    pub fn make_topic(&mut self, name: &str, partitions: i32) -> TopicDescription {
        if !self.topics.contains_key(name) {
            self.topics_made += 1;
            let logs = vec![Log::default(); partitions as usize];
            self.topics.insert(name.to_owned(), (format!("{:032x}", self.topics_made), logs));
        }
        self.describe(name).unwrap()
    }

    pub fn delete_topic(&mut self, name: &str) {
        self.topics.remove(name);
    }

    pub fn describe(&self, name: &str) -> Option<TopicDescription> {
        let (id, logs) = self.topics.get(name)?;
        let max_message_bytes = self.largest_batch(name);
        let partitions = logs.len() as i32;
        Some(TopicDescription { name: name.to_owned(), id: id.clone(), partitions, max_message_bytes })
    }

    fn largest_batch(&self, topic: &str) -> usize {
        self.largest.get(topic).copied().unwrap_or(16 << 20)
    }

    fn log(&self, at: &Partition) -> Result<&Log, PortError> {
        let log = self.topics.get(&at.topic).and_then(|(_, logs)| logs.get(at.index as usize));
        log.ok_or_else(|| PortError::Unknown(format!("{}-{}", at.topic, at.index)))
    }

    fn append(&mut self, to: &Partition, batch: &[u8], transaction: Option<u64>) -> Result<(), PortError> {
        self.log(to)?;
        let logs = &mut self.topics.get_mut(&to.topic).unwrap().1;
        let log = &mut logs[to.index as usize];
        let view = BatchView::parse(batch).expect("a well-formed batch is sent");
        assert!(view.header().record_count > 0, "no empty batch is sent");
        let base = log.slots.len() as i64;
        for record in view.records().unwrap().map(Result::unwrap) {
            let own = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
            let headers = record.headers().map(Result::unwrap);
            let stored = Stored {
                offset: log.slots.len() as i64,
                key: own(record.key),
                value: own(record.value),
                timestamp: record.timestamp(view.header()),
                headers: headers.map(|h| (h.key.to_owned(), own(h.value).unwrap_or_default())).collect(),
            };
            log.slots.push(Slot::Record { stored: Arc::new(stored), batch: base, transaction });
        }
        if transaction.is_none() {
            self.version += 1;
        }
        Ok(())
    }

    /// Appends records outside of any transaction, or as part of one that ends at once.
    pub fn produce(&mut self, to: &Partition, records: &[(Option<&str>, &str)], committed: bool) {
        let mut batch = BatchBuilder::new(1_000);
        for (number, (key, value)) in records.iter().enumerate() {
            let timestamp = 1_000 + number as i64;
            let header = Header { key: "trace", value: Some(b"t") };
            batch.push(timestamp, key.map(str::as_bytes), Some(value.as_bytes()), &[header]);
        }
        let transaction = (!committed).then(|| self.begin());
        self.append(to, &batch.into_bytes(), transaction).unwrap();
        if let Some(transaction) = transaction {
            self.end(transaction, Outcome::Aborted, &BTreeSet::from([to.clone()]));
        }
    }

    fn begin(&mut self) -> u64 {
        self.transactions.push(Outcome::Open);
        self.transactions.len() as u64 - 1
    }

    fn end(&mut self, transaction: u64, outcome: Outcome, touched: &BTreeSet<Partition>) {
        self.transactions[transaction as usize] = outcome;
        for partition in touched {
            // A topic may have been deleted in the meantime.
            if let Some((_, logs)) = self.topics.get_mut(&partition.topic) {
                logs[partition.index as usize].slots.push(Slot::Nothing);
            }
        }
        self.version += 1;
    }

    pub fn init(&mut self, id: &str) -> u32 {
        let writer = self.writers.entry(id.to_owned()).or_default();
        writer.epoch += 1;
        let (epoch, open, touched) = (writer.epoch, writer.open.take(), std::mem::take(&mut writer.touched));
        if let Some(transaction) = open {
            self.end(transaction, Outcome::Aborted, &touched);
        }
        epoch
    }

    fn writer(&mut self, id: &str, epoch: u32) -> Result<&mut Writer, PortError> {
        let writer = self.writers.entry(id.to_owned()).or_default();
        if writer.epoch != epoch || epoch == 0 {
            return Err(PortError::Fenced(format!("{id} has epoch {}, not {epoch}", writer.epoch)));
        }
        Ok(writer)
    }

    pub fn send(&mut self, id: &str, epoch: u32, to: &Partition, batch: &[u8]) -> Result<(), PortError> {
        self.log(to)?;
        if batch.len() > self.largest_batch(&to.topic) {
            return Err(PortError::Fatal(format!("a batch for {} is too large", to.topic)));
        }
        let open = self.writer(id, epoch)?.open;
        let transaction = open.unwrap_or_else(|| self.begin());
        let writer = self.writer(id, epoch)?;
        writer.open = Some(transaction);
        writer.touched.insert(to.clone());
        self.append(to, batch, Some(transaction))
    }

    pub fn commit(
        &mut self,
        id: &str,
        epoch: u32,
        group: &str,
        offsets: &[(Partition, i64)],
    ) -> Result<BTreeMap<Partition, i64>, PortError> {
        let writer = self.writer(id, epoch)?;
        let (open, touched) = (writer.open.take(), std::mem::take(&mut writer.touched));
        let ends = touched.iter().map(|at| (at.clone(), self.log(at).unwrap().slots.len() as i64)).collect();
        for (source, offset) in offsets {
            let before = self.offsets.insert((group.to_owned(), source.clone()), *offset);
            assert!(before.is_none_or(|before| before <= *offset), "a committed offset never goes back");
        }
        match open {
            Some(transaction) => self.end(transaction, Outcome::Committed, &touched),
            None => self.version += 1,
        }
        Ok(ends)
    }

    pub fn abort(&mut self, id: &str, epoch: u32) -> Result<(), PortError> {
        let writer = self.writer(id, epoch)?;
        let (open, touched) = (writer.open.take(), std::mem::take(&mut writer.touched));
        if let Some(transaction) = open {
            self.end(transaction, Outcome::Aborted, &touched);
        }
        Ok(())
    }

    pub fn open_transactions(&self) -> usize {
        self.transactions.iter().filter(|outcome| **outcome == Outcome::Open).count()
    }

    pub fn committed_offset(&self, group: &str, source: &Partition) -> Option<i64> {
        self.offsets.get(&(group.to_owned(), source.clone())).copied()
    }

    fn visible(&self, transaction: Option<u64>) -> Outcome {
        transaction.map_or(Outcome::Committed, |t| self.transactions[t as usize])
    }

    pub fn bounds(&self, of: &Partition) -> Result<(i64, i64), PortError> {
        let log = self.log(of)?;
        let is_open = |slot: &Slot| matches!(slot, Slot::Record { transaction, .. } if self.visible(*transaction) == Outcome::Open);
        let none_open = self.writers.values().all(|writer| writer.open.is_none());
        let first_open = if none_open { None } else { log.slots.iter().position(is_open) };
        let end = first_open.unwrap_or(log.slots.len());
        Ok((log.start, end as i64))
    }

    /// Committed records of a partition, in order.
    pub fn committed_records(&self, of: &Partition) -> Vec<Arc<Stored>> {
        let Ok(log) = self.log(of) else { return Vec::new() };
        let visible = |slot: &Slot| match slot {
            Slot::Record { stored, transaction, .. } if self.visible(*transaction) == Outcome::Committed => {
                Some(stored.clone())
            }
            _ => None,
        };
        log.slots.iter().filter_map(visible).collect()
    }

    pub fn read(&self, from: &Partition, offset: i64, max_bytes: usize) -> Result<ReadBatches, PortError> {
        let log = self.log(from)?;
        let (start, end) = self.bounds(from)?;
        if offset < start || offset > end {
            let (topic, index) = (from.topic.clone(), from.index);
            return Err(PortError::OffsetOutOfRange { topic, index, asked: offset, start, end });
        }
        // From the front of the batch that holds the offset, as a broker reads.
        let base = match log.slots.get(offset as usize) {
            Some(Slot::Record { batch, .. }) => (*batch).max(start),
            _ => offset,
        };
        let mut batches: Vec<(i64, BatchBuilder)> = Vec::new();
        let mut next_offset = end;
        for position in base..end {
            let Slot::Record { stored, batch, transaction } = &log.slots[position as usize] else { continue };
            if self.visible(*transaction) == Outcome::Aborted {
                continue;
            }
            if batches.last().is_none_or(|(base, _)| base != batch) {
                if batches.iter().map(|(_, b)| b.len_bytes()).sum::<usize>() >= max_bytes {
                    next_offset = position;
                    break;
                }
                batches.push((*batch, BatchBuilder::new(stored.timestamp)));
            }
            let headers: Vec<_> = stored.headers.iter().map(|(k, v)| Header { key: k, value: Some(v) }).collect();
            let delta = (stored.offset - batch) as i32;
            let batch = &mut batches.last_mut().unwrap().1;
            batch.push_at(delta, stored.timestamp, stored.key.as_deref(), stored.value.as_deref(), &headers).unwrap();
        }
        let finish = |(base, batch): (i64, BatchBuilder)| {
            let mut bytes = batch.into_bytes();
            patch_offset_and_epoch(&mut bytes, base, 0);
            Bytes::from(bytes)
        };
        let batches = batches.into_iter().map(finish).collect();
        Ok(ReadBatches { batches, next_offset, last_stable_offset: end })
    }

    /// Takes away every committed record that a later one with the same key supersedes.
    pub fn compact(&mut self, partition: &Partition) {
        let last: BTreeMap<_, _> =
            self.committed_records(partition).into_iter().map(|record| (record.key.clone(), record.offset)).collect();
        let Some((_, logs)) = self.topics.get_mut(&partition.topic) else { return };
        for slot in &mut logs[partition.index as usize].slots {
            if let Slot::Record { stored, .. } = slot
                && last.get(&stored.key).is_some_and(|last| *last > stored.offset)
            {
                *slot = Slot::Nothing;
            }
        }
    }

    /// Deletes everything below `start`, as retention does.
    pub fn delete_before(&mut self, partition: &Partition, start: i64) {
        let logs = &mut self.topics.get_mut(&partition.topic).unwrap().1;
        let log = &mut logs[partition.index as usize];
        log.start = start;
        log.slots[..start as usize].fill_with(|| Slot::Nothing);
    }
}
