//! Records that a step could not use, as they go to the job's dead-letter topic: key, value, timestamp and
//! headers as they were, and headers that say why, and where the record came from.
//!
//! A dead letter always fits its topic. One that would not is cut: first the value, of which the front stays;
//! then the original headers; at last the key. The header [`TRUNCATED`] says how large the value was.

use super::TaskSpec;
use super::outbox::{Address, Outbox};
use pelton_api::ports::Partition;
use pelton_record::{HEADER_LEN, Header, Record};

/// Largest value that is kept whole; of a larger one the front is kept.
pub const MAX_VALUE_BYTES: usize = 16 << 20;
/// `max.message.bytes` of a dead-letter topic that the platform makes: room for the value, key and headers.
pub const MAX_MESSAGE_BYTES: usize = 20 << 20;
/// The least `max.message.bytes` of a dead-letter topic: room for the headers that the platform writes.
pub const LEAST_MESSAGE_BYTES: usize = 8 << 10;
/// Header of a dead letter that is not whole: the size of its value, in bytes, as it was.
pub const TRUNCATED: &str = "pelton.truncated";

/// Longest reason that is kept, in bytes.
const MAX_REASON_BYTES: usize = 4096;
/// Largest sum of the original headers that is kept.
const MAX_HEADERS_BYTES: usize = 1 << 20;
/// What a batch of one record takes beyond key, value and headers, at most.
const OVERHEAD_BYTES: usize = HEADER_LEN + 36;

/// Where a rejected record came from, and why it was rejected.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The task that rejected it.
    pub task: &'a TaskSpec,
    /// Where it was read.
    pub source: &'a Partition,
    /// Its offset there.
    pub offset: i64,
    /// Why, for a person to read.
    pub reason: &'a str,
}

/// Adds `record` to the outbox, addressed to topic number `topic`.
pub fn write(origin: &Origin<'_>, record: &Record<'_>, timestamp: i64, topic: usize, outbox: &mut Outbox) {
    let original: Vec<Header<'_>> = if record.encoded_headers().len() <= MAX_HEADERS_BYTES {
        record.headers().map_while(Result::ok).collect()
    } else {
        Vec::new()
    };
    write_parts(origin, record.key, record.value, &original, timestamp, topic, outbox);
}

/// Adds a whole batch whose records cannot be read, as the value of one record.
pub fn write_unreadable(origin: &Origin<'_>, batch: &[u8], timestamp: i64, topic: usize, outbox: &mut Outbox) {
    write_parts(origin, None, Some(batch), &[], timestamp, topic, outbox);
}

fn write_parts(
    origin: &Origin<'_>,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    original: &[Header<'_>],
    timestamp: i64,
    topic: usize,
    outbox: &mut Outbox,
) {
    let task = origin.task;
    let mut reason_len = origin.reason.len().min(MAX_REASON_BYTES);
    while !origin.reason.is_char_boundary(reason_len) {
        reason_len -= 1;
    }
    let index = origin.source.index.to_string();
    let offset = origin.offset.to_string();
    let plugin = task.plugin.to_string();
    let facts = [
        ("pelton.reason", &origin.reason[..reason_len]),
        ("pelton.topic", &origin.source.topic),
        ("pelton.partition", &index),
        ("pelton.offset", &offset),
        ("pelton.job", &task.id.job),
        ("pelton.step", &task.id.step),
        ("pelton.plugin", &plugin),
    ];
    let whole_len = value.map_or(0, <[u8]>::len).to_string();
    let note = Header { key: TRUNCATED, value: Some(whole_len.as_bytes()) };
    let mut headers: Vec<Header<'_>> =
        facts.iter().map(|(key, value)| Header { key, value: Some(value.as_bytes()) }).collect();
    let mut room = outbox.largest(topic).saturating_sub(OVERHEAD_BYTES + headers_len(&headers) + headers_len(&[note]));
    let mut take = |len: usize| room.checked_sub(len).inspect(|left| room = *left).is_some();
    let kept_key = key.filter(|key| take(key.len()));
    let kept_original = if take(headers_len(original)) { original } else { &[] };
    headers.splice(0..0, kept_original.iter().copied());
    let kept_value = value.map(|value| &value[..value.len().min(MAX_VALUE_BYTES).min(room)]);
    if kept_key != key || kept_original.len() != original.len() || kept_value != value {
        headers.push(note);
    }
    let (key, value) = (kept_key, kept_value);
    let to = Address { topic, partition: task.id.partition % task.dead_letter.partitions };
    outbox.push(to, timestamp, key, value, &headers);
}

/// What headers take in a record, at most.
fn headers_len(headers: &[Header<'_>]) -> usize {
    headers.iter().map(|header| 10 + header.key.len() + header.value.map_or(0, <[u8]>::len)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::at;
    use crate::task::Target;
    use bytes::Bytes;
    use pelton_api::store::TaskId;
    use pelton_record::{BatchBuilder, BatchView};

    fn task() -> TaskSpec {
        TaskSpec {
            id: TaskId { job: "j".into(), step: "s".into(), partition: 5 },
            plugin: "p@1".parse().unwrap(),
            config: "{}".into(),
            sources: vec![at("in", 5)],
            stores: Vec::new(),
            changelogs: Vec::new(),
            output: Target { topic: "out".into(), partitions: 1 },
            partitioned: false,
            dead_letter: Target { topic: "dead".into(), partitions: 4 },
            group: "g".into(),
            transactional_id: "t".into(),
            commit_interval_ms: 1,
        }
    }

    /// Key length, value length, and headers of the letter that a topic which takes `largest` bytes gets.
    fn letter(largest: usize, key: &[u8], value: &[u8], header: &[u8]) -> (Option<usize>, usize, Vec<(String, Bytes)>) {
        let task = task();
        let reason = "ä".repeat(MAX_REASON_BYTES);
        let mut batch = BatchBuilder::new(7);
        batch.push(7, Some(key), Some(value), &[Header { key: "own", value: Some(header) }]);
        let batch = batch.into_bytes();
        let record = BatchView::parse(&batch).unwrap().records().unwrap().next().unwrap().unwrap();
        let mut outbox = Outbox::limited(vec!["dead".into()], &[largest]);
        let origin =
            Origin { task: &task, source: &task.sources[0], offset: 9, reason: &reason[..MAX_REASON_BYTES + 4] };
        write(&origin, &record, 7, 0, &mut outbox);
        let sent = outbox.take();
        assert_eq!(sent[0].0, at("dead", 1));
        assert!(sent[0].1.len() <= largest, "{} of {largest}", sent[0].1.len());
        let letter = BatchView::parse(&sent[0].1).unwrap().records().unwrap().next().unwrap().unwrap();
        let headers = letter.headers().map(Result::unwrap);
        let headers = headers.map(|h| (h.key.to_owned(), Bytes::copy_from_slice(h.value.unwrap()))).collect();
        (letter.key.map(<[u8]>::len), letter.value.unwrap().len(), headers)
    }

    fn header(headers: &[(String, Bytes)], name: &str) -> Option<Bytes> {
        headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn what_is_too_large_is_cut_and_says_so() {
        let (key, value) = (vec![1; 3 << 20], vec![2; MAX_VALUE_BYTES + 1]);
        let (key_len, value_len, headers) = letter(MAX_MESSAGE_BYTES, &key, &value, b"v");
        assert_eq!((key_len, value_len), (Some(3 << 20), MAX_VALUE_BYTES));
        assert_eq!(header(&headers, TRUNCATED).unwrap(), (MAX_VALUE_BYTES + 1).to_string());
        assert_eq!(header(&headers, "pelton.reason").unwrap().len(), MAX_REASON_BYTES);
        assert_eq!(header(&headers, "pelton.offset").unwrap(), "9");
        assert_eq!(header(&headers, "own").unwrap(), "v");
    }

    #[test]
    fn a_dead_letter_fits_its_topic_whatever_it_is_about() {
        let part = |len: usize| vec![7; len];
        for (key, value, own, kept) in [
            (10, 100, 10, (Some(10), true)),
            (10, 100_000, 10, (Some(10), true)),
            (10, 100_000, 9_000, (Some(10), false)),
            (20_000, 100, 10, (None, true)),
            (20_000, 20_000, 20_000, (None, false)),
        ] {
            let (key_len, value_len, headers) = letter(LEAST_MESSAGE_BYTES, &part(key), &part(value), &part(own));
            assert_eq!((key_len, header(&headers, "own").is_some()), kept);
            let whole = value_len == value && key_len == Some(key) && kept.1;
            assert_eq!(header(&headers, TRUNCATED), (!whole).then(|| value.to_string().into()));
            assert!(header(&headers, "pelton.reason").is_some());
        }
    }
}
