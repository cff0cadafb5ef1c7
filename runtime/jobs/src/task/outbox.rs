//! What a task is about to send: records gathered into one batch for each partition.
//!
//! Bounds: a batch is closed before it grows past [`MAX_BATCH_BYTES`] (a record that is larger travels
//! alone), and the machine empties the outbox when [`Outbox::bytes`] has grown past its cap.

use bytes::Bytes;
use pelton_api::ports::Partition;
use pelton_record::{BatchBuilder, Header, Record};
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
    open: BTreeMap<Address, BatchBuilder>,
    closed: Vec<(Partition, Bytes)>,
    closed_bytes: usize,
    open_bytes: usize,
}

impl Outbox {
    /// An empty outbox for `topics`.
    pub fn new(topics: Vec<String>) -> Self {
        Self { topics, open: BTreeMap::new(), closed: Vec::new(), closed_bytes: 0, open_bytes: 0 }
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
        if self.open.get(&to).is_some_and(|batch| batch.len_bytes() + len > MAX_BATCH_BYTES) {
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
}
