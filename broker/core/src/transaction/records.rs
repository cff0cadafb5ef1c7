//! Kafka's schemas of the records in `__transaction_state`: `TransactionLogKey` v0 and `TransactionLogValue` v0.
//!
//! Reading takes bytes from disk as they are: every length is checked against what is left, nothing is allocated
//! from a length alone, and malformed bytes are an error that says what was expected.

use super::state::{Status, Transaction};
use crate::coordinator::NewRecord;
use crate::model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use std::collections::BTreeSet;
use std::sync::Arc;

const VERSION: i16 = 0;
/// What Kafka writes where a transaction has not begun.
const NO_TIMESTAMP: i64 = -1;

/// The record that makes `transaction` the state of `transactional_id`. Both the id and topic names must fit Kafka's
/// 16-bit string length; the coordinator refuses longer ones before it comes to this.
pub(super) fn state_record(transactional_id: &str, transaction: &Transaction) -> NewRecord {
    NewRecord { key: encode_key(transactional_id), value: Some(encode_value(transaction)) }
}

/// The record that forgets `transactional_id`.
pub(super) fn tombstone(transactional_id: &str) -> NewRecord {
    NewRecord { key: encode_key(transactional_id), value: None }
}

fn encode_key(transactional_id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + transactional_id.len());
    key.extend_from_slice(&VERSION.to_be_bytes());
    put_string(&mut key, transactional_id);
    key
}

fn encode_value(transaction: &Transaction) -> Vec<u8> {
    let mut value = Vec::with_capacity(64);
    value.extend_from_slice(&VERSION.to_be_bytes());
    value.extend_from_slice(&transaction.producer_id.0.to_be_bytes());
    value.extend_from_slice(&transaction.producer_epoch.0.to_be_bytes());
    value.extend_from_slice(&transaction.timeout_ms.to_be_bytes());
    value.push(transaction.status as u8);
    put_partitions(&mut value, transaction);
    value.extend_from_slice(&transaction.updated.0.to_be_bytes());
    value.extend_from_slice(&transaction.started.map_or(NO_TIMESTAMP, |at| at.0).to_be_bytes());
    value
}

/// Kafka writes null for an empty transaction, and the partitions grouped by topic otherwise.
fn put_partitions(value: &mut Vec<u8>, transaction: &Transaction) {
    if transaction.status == Status::Empty {
        value.extend_from_slice(&(-1i32).to_be_bytes());
        return;
    }
    let partitions: Vec<&TopicPartition> = transaction.partitions.iter().collect();
    let topics: Vec<&[&TopicPartition]> = partitions.chunk_by(|a, b| a.topic == b.topic).collect();
    put_len(value, topics.len());
    for topic in topics {
        put_string(value, &topic[0].topic);
        put_len(value, topic.len());
        for partition in topic {
            value.extend_from_slice(&partition.partition.to_be_bytes());
        }
    }
}

/// How many bytes `encode_value` makes of these partitions at most: one group for each.
pub(super) fn encoded_len_bound(partitions: &BTreeSet<TopicPartition>) -> usize {
    partitions.iter().map(|partition| partition.topic.len() + 10).sum()
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    let len = i16::try_from(text.len()).expect("checked by the coordinator: at most 32767 bytes");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    let len = i32::try_from(len).expect("bounded by the coordinator's limit on a transaction's partitions");
    out.extend_from_slice(&len.to_be_bytes());
}

/// Reads a key: the transactional id.
///
/// # Errors
/// Says what of the key is malformed.
pub(super) fn decode_key(key: &[u8]) -> Result<Arc<str>, String> {
    let mut reader = Reader { rest: key };
    let version = reader.int16("the key's version")?;
    if version != VERSION {
        return Err(format!("key version {version} of __transaction_state is not known; this broker reads version 0"));
    }
    let id = reader.string("the transactional id")?;
    reader.end("the key")?;
    Ok(Arc::from(id))
}

/// Reads a value; `None` is a dead transactional id.
///
/// # Errors
/// Says what of the value is malformed.
pub(super) fn decode_value(value: &[u8]) -> Result<Option<Transaction>, String> {
    let mut reader = Reader { rest: value };
    let version = reader.int16("the value's version")?;
    if version != VERSION {
        return Err(format!(
            "value version {version} of __transaction_state is not known; this broker reads version 0"
        ));
    }
    let producer_id = ProducerId(reader.int64("the producer id")?);
    let producer_epoch = ProducerEpoch(reader.int16("the producer epoch")?);
    let timeout_ms = reader.int32("the timeout")?;
    let status = reader.int8("the status")?;
    let partitions = reader.partitions()?;
    let updated = Timestamp(reader.int64("the time of the last update")?);
    let started = reader.int64("the time of the start")?;
    reader.end("the value")?;
    if status == STATUS_DEAD {
        return Ok(None);
    }
    let status = Status::from_byte(status).ok_or_else(|| format!("transaction status {status} is not known"))?;
    let started = (started != NO_TIMESTAMP).then_some(Timestamp(started));
    Ok(Some(Transaction { producer_id, producer_epoch, timeout_ms, status, partitions, updated, started }))
}

/// Kafka's status byte of an expired id, beside its tombstone.
const STATUS_DEAD: i8 = 6;

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| format!("the record ends inside {what}"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N, what)?);
        Ok(bytes)
    }

    fn int8(&mut self, what: &str) -> Result<i8, String> {
        self.array(what).map(i8::from_be_bytes)
    }

    fn int16(&mut self, what: &str) -> Result<i16, String> {
        self.array(what).map(i16::from_be_bytes)
    }

    fn int32(&mut self, what: &str) -> Result<i32, String> {
        self.array(what).map(i32::from_be_bytes)
    }

    fn int64(&mut self, what: &str) -> Result<i64, String> {
        self.array(what).map(i64::from_be_bytes)
    }

    fn string(&mut self, what: &str) -> Result<&'a str, String> {
        let len = self.int16(what)?;
        let len = usize::try_from(len).map_err(|_| format!("{what} has length {len}"))?;
        std::str::from_utf8(self.take(len, what)?).map_err(|_| format!("{what} is not UTF-8"))
    }

    /// The nullable array of topics with their partitions. Every element takes bytes, so the loops end with them.
    fn partitions(&mut self) -> Result<BTreeSet<TopicPartition>, String> {
        let mut partitions = BTreeSet::new();
        for _ in 0..self.int32("the number of topics")?.max(0) {
            let topic: Arc<str> = Arc::from(self.string("a topic name")?);
            for _ in 0..self.int32("the number of partitions")?.max(0) {
                let partition = self.int32("a partition")?;
                partitions.insert(TopicPartition { topic: Arc::clone(&topic), partition });
            }
        }
        Ok(partitions)
    }

    fn end(&self, what: &str) -> Result<(), String> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(format!("{} bytes are left behind the end of {what}", self.rest.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ongoing() -> Transaction {
        Transaction {
            producer_id: ProducerId(0x0102),
            producer_epoch: ProducerEpoch(3),
            timeout_ms: 60_000,
            status: Status::Ongoing,
            partitions: [("b", 1), ("a", 2), ("a", 0)].map(|(topic, index)| TopicPartition::new(topic, index)).into(),
            updated: Timestamp(0x11),
            started: Some(Timestamp(0x10)),
        }
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let record = state_record("ab", &ongoing());
        assert_eq!(record.key, [0, 0, 0, 2, b'a', b'b']);
        #[rustfmt::skip]
        let expected = [
            0, 0,                            // version
            0, 0, 0, 0, 0, 0, 1, 2,          // producer id
            0, 3,                            // producer epoch
            0, 0, 0xea, 0x60,                // timeout
            1,                               // Ongoing
            0, 0, 0, 2,                      // two topics
            0, 1, b'a', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2,
            0, 1, b'b', 0, 0, 0, 1, 0, 0, 0, 1,
            0, 0, 0, 0, 0, 0, 0, 0x11,       // last update
            0, 0, 0, 0, 0, 0, 0, 0x10,       // start
        ];
        assert_eq!(record.value.as_deref(), Some(&expected[..]));
        assert_eq!(decode_value(&expected), Ok(Some(ongoing())));
        assert_eq!(decode_key(&record.key).as_deref(), Ok("ab"));
    }

    #[test]
    fn an_empty_transaction_has_null_partitions_and_no_start() {
        let empty = Transaction { status: Status::Empty, partitions: BTreeSet::new(), started: None, ..ongoing() };
        let value = state_record("x", &empty).value.unwrap();
        assert_eq!(value[17..21], [0xff; 4]);
        assert_eq!(value[value.len() - 8..], [0xff; 8]);
        assert_eq!(decode_value(&value), Ok(Some(empty)));
    }

    #[test]
    fn an_expired_id_is_a_tombstone() {
        assert_eq!(tombstone("ab"), NewRecord { key: vec![0, 0, 0, 2, b'a', b'b'], value: None });
        let mut dead = state_record("ab", &ongoing()).value.unwrap();
        dead[16] = 6;
        assert_eq!(decode_value(&dead), Ok(None));
    }

    #[test]
    fn unknown_versions_and_statuses_are_named() {
        assert!(decode_key(&[0, 1, 0, 0]).unwrap_err().contains("version 1"));
        let mut value = state_record("ab", &ongoing()).value.unwrap();
        value[16] = 7;
        assert!(decode_value(&value).unwrap_err().contains("status 7"));
        value[1] = 1;
        assert!(decode_value(&value).unwrap_err().contains("version 1"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            id in "\\PC{0,40}", producer in any::<i64>(), epoch in any::<i16>(), timeout_ms in any::<i32>(),
            status in 1i8..=5, updated in any::<i64>(), started in proptest::option::of(0..i64::MAX),
            partitions in proptest::collection::btree_set(("[a-c]{1,3}", 0i32..50), 0..20),
        ) {
            let transaction = Transaction {
                producer_id: ProducerId(producer),
                producer_epoch: ProducerEpoch(epoch),
                timeout_ms,
                status: Status::from_byte(status).unwrap(),
                partitions: partitions.into_iter().map(|(topic, index)| TopicPartition::new(topic, index)).collect(),
                updated: Timestamp(updated),
                started: started.map(Timestamp),
            };
            let record = state_record(&id, &transaction);
            prop_assert_eq!(&*decode_key(&record.key).unwrap(), id.as_str());
            let value = record.value.unwrap();
            prop_assert!(value.len() <= 37 + encoded_len_bound(&transaction.partitions));
            for cut in 0..value.len() {
                prop_assert!(decode_value(&value[..cut]).is_err());
            }
            prop_assert_eq!(decode_value(&value).unwrap(), Some(transaction));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode_key(&bytes);
            let _ = decode_value(&bytes);
            let mut value = vec![0, 0];
            value.extend_from_slice(&bytes);
            let _ = decode_value(&value);
        }
    }
}
