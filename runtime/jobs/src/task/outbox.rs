//! What a task is about to send: records gathered into one batch for each partition.
//!
//! Bounds: a batch is closed before it grows past [`MAX_BATCH_BYTES`] or what its topic takes (a record that
//! is larger travels alone), and the machine empties the outbox when [`Outbox::bytes`] has grown past its cap.

use bytes::Bytes;
use pelton_api::ports::Partition;
use pelton_record::{BatchBuilder, HEADER_LEN, Header, Record};
use std::collections::BTreeMap;

/// Largest batch of several records, in bytes. Below the smallest usual `max.message.bytes`.
pub const MAX_BATCH_BYTES: usize = 512 << 10;

/// What a record costs beyond key, value and headers, at most.
const RECORD_OVERHEAD_BYTES: usize = 36;

/// A partition of one of the topics that an outbox was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Number of the topic, in the order in which the outbox was given them.
    pub topic: usize,
    /// Partition.
    pub partition: i32,
}

/// Batches to be sent.
#[derive(Debug)]
pub struct Outbox {
    topics: Vec<String>,
    /// The largest batch that each topic takes, in bytes.
    largest: Vec<usize>,
    open: BTreeMap<Address, BatchBuilder>,
    closed: Vec<(Partition, Bytes)>,
    closed_bytes: usize,
    open_bytes: usize,
}

impl Outbox {
    /// An empty outbox for `topics`, which take batches of any size.
    pub fn new(topics: Vec<String>) -> Self {
        let largest = vec![usize::MAX; topics.len()];
        Self { topics, largest, open: BTreeMap::new(), closed: Vec::new(), closed_bytes: 0, open_bytes: 0 }
    }

    /// The same, for topics that take batches of at most so many bytes each (`max.message.bytes`).
    pub fn limited(topics: Vec<String>, largest: &[usize]) -> Self {
        let mut outbox = Self::new(topics);
        outbox.largest.iter_mut().zip(largest).for_each(|(held, largest)| *held = *largest);
        outbox
    }

    /// The largest batch that topic number `topic` takes, in bytes.
    pub fn largest(&self, topic: usize) -> usize {
        self.largest[topic]
    }

    /// Adds a record with the headers of `record`.
    pub fn push_record(&mut self, to: Address, timestamp: i64, record: &Record<'_>) {
        let len = record_len(record.key, record.value) + record.encoded_headers().len();
        let (key, value) = (record.key, record.value);
        self.write(to, timestamp, len, |batch| {
            batch.push_raw_headers(timestamp, key, value, record.header_count(), record.encoded_headers());
        });
    }

    /// Adds a record.
    pub fn push(
        &mut self,
        to: Address,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        let header_len = |h: &Header<'_>| 10 + h.key.len() + h.value.map_or(0, <[u8]>::len);
        let len = record_len(key, value) + headers.iter().map(header_len).sum::<usize>();
        self.write(to, timestamp, len, |batch| batch.push(timestamp, key, value, headers));
    }

    fn write(&mut self, to: Address, timestamp: i64, len: usize, push: impl FnOnce(&mut BatchBuilder)) {
        let cap = MAX_BATCH_BYTES.min(self.largest[to.topic]);
        if self.open.get(&to).is_some_and(|batch| batch.len_bytes() + len > cap) {
            self.close(to);
        }
        let batch = self.open.entry(to).or_insert_with(|| BatchBuilder::new(timestamp));
        let before = if batch.is_empty() { 0 } else { batch.len_bytes() };
        push(batch);
        self.open_bytes += batch.len_bytes() - before;
    }

    fn close(&mut self, to: Address) {
        let Some(batch) = self.open.remove(&to) else { return };
        self.open_bytes -= batch.len_bytes();
        self.closed_bytes += batch.len_bytes();
        let partition = Partition { topic: self.topics[to.topic].clone(), index: to.partition };
        self.closed.push((partition, batch.into_bytes().into()));
    }

    /// Bytes that wait to be sent.
    pub fn bytes(&self) -> usize {
        self.open_bytes + self.closed_bytes
    }

    /// Takes everything out, each partition's batches in the order in which their records came.
    pub fn take(&mut self) -> Vec<(Partition, Bytes)> {
        let open: Vec<Address> = self.open.keys().copied().collect();
        open.into_iter().for_each(|to| self.close(to));
        self.closed_bytes = 0;
        std::mem::take(&mut self.closed)
    }
}

/// The size of the batch that holds `record` alone, when that is more than `largest`: then its topic refuses it.
pub fn too_large(record: &Record<'_>, largest: usize) -> Option<usize> {
    let headers = record.encoded_headers();
    if HEADER_LEN + record_len(record.key, record.value) + headers.len() <= largest {
        return None;
    }
    let mut alone = BatchBuilder::new(0);
    alone.push_raw_headers(0, record.key, record.value, record.header_count(), headers);
    Some(alone.len_bytes()).filter(|len| *len > largest)
}

fn record_len(key: Option<&[u8]>, value: Option<&[u8]>) -> usize {
    RECORD_OVERHEAD_BYTES + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_record::BatchView;

    #[test]
    fn batches_stay_below_the_limit_and_keep_the_order() {
        let mut outbox = Outbox::new(vec!["a".into(), "b".into()]);
        let value = vec![7; 100_000];
        for n in 0..20u8 {
            outbox.push(Address { topic: 1, partition: i32::from(n % 2) }, 5, Some(&[n]), Some(&value), &[]);
        }
        outbox.push(Address { topic: 0, partition: 0 }, 5, None, Some(&vec![1; 2 * MAX_BATCH_BYTES]), &[]);
        let held = outbox.bytes();
        let sent = outbox.take();
        assert_eq!(held, sent.iter().map(|(_, batch)| batch.len()).sum::<usize>());
        assert_eq!((outbox.bytes(), outbox.take().len()), (0, 0));
        for partition in 0..2 {
            let keys: Vec<u8> = sent
                .iter()
                .filter(|(to, _)| to.topic == "b" && to.index == partition)
                .flat_map(|(_, batch)| {
                    assert!(batch.len() <= MAX_BATCH_BYTES);
                    let view = BatchView::parse(batch).unwrap();
                    view.records().unwrap().map(|r| r.unwrap().key.unwrap()[0]).collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(keys, (0..20).filter(|n| i32::from(n % 2) == partition).collect::<Vec<u8>>());
        }
        assert_eq!(sent.iter().filter(|(to, _)| to.topic == "a").count(), 1);
    }

    #[test]
    fn batches_stay_below_what_their_topic_takes() {
        let mut outbox = Outbox::limited(vec!["small".into(), "large".into()], &[1_000, usize::MAX]);
        for n in 0..50u8 {
            for topic in 0..2 {
                outbox.push(Address { topic, partition: 0 }, 5, Some(&[n]), Some(&[7; 100]), &[]);
            }
        }
        let sent = outbox.take();
        let small: Vec<_> = sent.iter().filter(|(to, _)| to.topic == "small").collect();
        assert!(small.len() > 5 && small.iter().all(|(_, batch)| batch.len() <= 1_000));
        assert_eq!(sent.len() - small.len(), 1);
    }

    #[test]
    fn a_record_fits_to_the_byte() {
        for value_len in [0, 10, 70, 200, 20_000] {
            let mut batch = BatchBuilder::new(9);
            let header = Header { key: "h", value: Some(b"v") };
            batch.push(9, Some(b"key"), Some(&vec![1; value_len]), &[header]);
            let batch = batch.into_bytes();
            let record = BatchView::parse(&batch).unwrap().records().unwrap().next().unwrap().unwrap();
            assert_eq!(too_large(&record, batch.len()), None);
            assert_eq!(too_large(&record, batch.len() - 1), Some(batch.len()));
        }
    }
}
