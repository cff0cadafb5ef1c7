//! Records that a step could not use, as they go to the job's dead-letter topic: key, value, timestamp and
//! headers as they were, and headers that say why, and where the record came from.

use super::TaskSpec;
use super::outbox::{Address, Outbox};
use pelton_api::ports::Partition;
use pelton_record::{Header, Record};

/// Largest value that is kept whole; of a larger one the front is kept, and `pelton.truncated` says so.
pub const MAX_VALUE_BYTES: usize = 8 << 20;
/// `max.message.bytes` of a dead-letter topic that the platform makes: room for the value, key and headers.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Longest reason that is kept, in bytes.
const MAX_REASON_BYTES: usize = 4096;
/// Largest sum of the original headers, and largest key, that are kept.
const MAX_REST_BYTES: usize = 1 << 20;

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
    let original: Vec<Header<'_>> = if record.encoded_headers().len() <= MAX_REST_BYTES {
        record.headers().map_while(Result::ok).collect()
    } else {
        Vec::new()
    };
    let key = record.key.filter(|key| key.len() <= MAX_REST_BYTES);
    write_parts(origin, key, record.value, &original, timestamp, topic, outbox);
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
    let mut headers = original.to_vec();
    let facts = [
        ("pelton.reason", &origin.reason[..reason_len]),
        ("pelton.topic", &origin.source.topic),
        ("pelton.partition", &index),
        ("pelton.offset", &offset),
        ("pelton.job", &task.id.job),
        ("pelton.step", &task.id.step),
        ("pelton.plugin", &plugin),
    ];
    headers.extend(facts.iter().map(|(key, value)| Header { key, value: Some(value.as_bytes()) }));
    let whole_len = value.map_or(0, <[u8]>::len).to_string();
    if value.is_some_and(|v| v.len() > MAX_VALUE_BYTES) {
        headers.push(Header { key: "pelton.truncated", value: Some(whole_len.as_bytes()) });
    }
    let value = value.map(|v| &v[..v.len().min(MAX_VALUE_BYTES)]);
    let to = Address { topic, partition: task.id.partition % task.dead_letter.partitions };
    outbox.push(to, timestamp, key, value, &headers);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::at;
    use crate::task::Target;
    use pelton_api::store::TaskId;
    use pelton_record::{BatchBuilder, BatchView};

    #[test]
    fn what_is_too_large_is_cut_and_says_so() {
        let task = TaskSpec {
            id: TaskId { job: "j".into(), step: "s".into(), partition: 5 },
            plugin: "p@1".parse().unwrap(),
            config: "{}".into(),
            sources: vec![at("in", 5)],
            stores: Vec::new(),
            changelogs: Vec::new(),
            output: Target { topic: "out".into(), partitions: 1 },
            dead_letter: Target { topic: "dead".into(), partitions: 4 },
            group: "g".into(),
            transactional_id: "t".into(),
            commit_interval_ms: 1,
        };
        let reason = "ä".repeat(MAX_REASON_BYTES);
        let mut batch = BatchBuilder::new(7);
        batch.push(7, Some(&vec![1; MAX_REST_BYTES + 1]), Some(&vec![2; MAX_VALUE_BYTES + 1]), &[]);
        let batch = batch.into_bytes();
        let record = BatchView::parse(&batch).unwrap().records().unwrap().next().unwrap().unwrap();
        let mut outbox = Outbox::new(vec!["dead".into()]);
        let origin =
            Origin { task: &task, source: &task.sources[0], offset: 9, reason: &reason[..MAX_REASON_BYTES + 4] };
        write(&origin, &record, 7, 0, &mut outbox);
        let sent = outbox.take();
        assert_eq!(sent[0].0, at("dead", 1));
        assert!(sent[0].1.len() < MAX_MESSAGE_BYTES);
        let letter = BatchView::parse(&sent[0].1).unwrap().records().unwrap().next().unwrap().unwrap();
        assert_eq!((letter.key, letter.value.unwrap().len()), (None, MAX_VALUE_BYTES));
        let header = |name: &str| letter.headers().map(Result::unwrap).find(|h| h.key == name).unwrap().value.unwrap();
        assert_eq!(header("pelton.truncated"), (MAX_VALUE_BYTES + 1).to_string().as_bytes());
        assert_eq!(header("pelton.reason").len(), MAX_REASON_BYTES);
        assert_eq!(header("pelton.offset"), b"9");
    }
}
