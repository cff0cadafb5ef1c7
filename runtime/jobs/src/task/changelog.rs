//! State changes as records of a compacted topic: key and value of the store (no value: deleted), and in the
//! header [`COMMIT_HEADER`] the number of the task's commit that wrote them, in decimal digits.

use super::outbox::{Address, Outbox};
use crate::state::overlay::MAX_ENTRY_BYTES;
use bytes::Bytes;
use pelton_api::store::Change;
use pelton_record::{BatchError, BatchView, HEADER_LEN, Header, Record};

/// Name of the header that carries the commit's number.
pub const COMMIT_HEADER: &str = "pelton.commit";

/// What a record of a changelog takes beyond key and value, at most: its batch's header, the record's own fields,
/// and the header with the commit's number.
const OVERHEAD_BYTES: usize = HEADER_LEN + 36 + 10 + COMMIT_HEADER.len() + 20;

/// The largest key and value together that a changelog takes whose topic takes batches of `largest` bytes.
pub fn largest_entry(largest: usize) -> usize {
    MAX_ENTRY_BYTES.min(largest.saturating_sub(OVERHEAD_BYTES))
}

/// Adds `changes` to the outbox as commit number `commit`. The changelog of store 0 is topic `first_topic`.
pub fn write(changes: &[Change], commit: u64, first_topic: usize, partition: i32, now_ms: i64, outbox: &mut Outbox) {
    let commit = commit.to_string();
    let headers = [Header { key: COMMIT_HEADER, value: Some(commit.as_bytes()) }];
    for change in changes {
        let to = Address { topic: first_topic + change.store, partition };
        outbox.push(to, now_ms, Some(&change.key), change.value.as_deref(), &headers);
    }
}

/// One record of a changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The change.
    pub change: Change,
    /// Number of the commit that wrote it; `None` if the record was written by something else.
    pub commit: Option<u64>,
}

/// The records of `batches` from offset `from` on, for store number `store`.
///
/// # Errors
/// [`BatchError`] when a batch cannot be read.
pub fn read(batches: &[Bytes], from: i64, store: usize) -> Result<Vec<Entry>, BatchError> {
    let mut entries = Vec::new();
    for batch in batches {
        let view = BatchView::parse(batch)?;
        for record in view.records()? {
            let record = record?;
            // A record without a key names no entry of a store.
            let Some(key) = record.key.filter(|_| record.offset(view.header()) >= from) else { continue };
            let value = record.value.map(Bytes::copy_from_slice);
            let change = Change { store, key: Bytes::copy_from_slice(key), value };
            entries.push(Entry { change, commit: commit_of(&record) });
        }
    }
    Ok(entries)
}

fn commit_of(record: &Record<'_>) -> Option<u64> {
    let header = record.headers().filter_map(Result::ok).find(|header| header.key == COMMIT_HEADER)?;
    str::from_utf8(header.value?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_entry_fits_its_topic() {
        for (largest, key_len) in [(500, 0), (500, 30), (100_000, 7), (1 << 20, 3)] {
            let value = vec![1; largest_entry(largest) - key_len];
            let change = Change { store: 0, key: vec![0; key_len].into(), value: Some(value.into()) };
            let mut outbox = Outbox::new(vec!["log".into()]);
            write(&[change], u64::MAX, 0, 0, i64::MAX, &mut outbox);
            assert!(outbox.take()[0].1.len() <= largest);
        }
        assert_eq!((largest_entry(10), largest_entry(usize::MAX)), (0, MAX_ENTRY_BYTES));
    }

    #[test]
    fn changes_are_read_as_they_were_written() {
        let change = |key: &'static [u8], value: Option<&'static [u8]>| Change {
            store: 1,
            key: Bytes::from_static(key),
            value: value.map(Bytes::from_static),
        };
        let changes = [change(b"a", Some(b"1")), change(b"", Some(b"")), change(b"b", None)];
        let mut outbox = Outbox::new(vec!["x".into(), "log-0".into(), "log-1".into()]);
        write(&changes, 42, 1, 3, 99, &mut outbox);
        let sent = outbox.take();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].0.topic.as_str(), sent[0].0.index), ("log-1", 3));
        let batches = [sent[0].1.clone()];
        let entries = read(&batches, 0, 1).unwrap();
        assert!(entries.iter().all(|e| e.commit == Some(42)));
        assert_eq!(entries.into_iter().map(|e| e.change).collect::<Vec<_>>(), changes);
        assert_eq!(read(&batches, 2, 1).unwrap().len(), 1, "records below the offset are dropped");
    }
}
