//! Records as a trial holds them, and the batches that are made of them.

use crate::cli::text;
use bytes::Bytes;
use pelton_api::interceptor::Parts;
use pelton_record::{BatchBuilder, BatchError, BatchView, Header, NO_EPOCH, patch_offset_and_epoch};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use serde::Serialize;

/// The largest offset delta in a batch of a trial.
pub const DELTA_MAX: i32 = 1 << 24;
/// How much of a part is shown in a difference.
const SHOWN: usize = 120;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owned {
    /// Its offset in its partition.
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What differs of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Partition of the record.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// `key`, `value`, `headers`, `dropped` or what else.
    pub part: &'static str,
    /// What it was; shortened.
    pub before: String,
    /// What it would be; shortened.
    pub after: String,
}

impl Owned {
    /// A record that was read.
    pub fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self {
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(0),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
        }
    }

    /// Bytes of key, value and headers.
    pub fn len(&self) -> usize {
        let of = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(key, value)| key.len() + of(value)).sum::<usize>();
        of(&self.key) + of(&self.value) + headers
    }

    fn headers_shown(&self) -> String {
        let shown = self.headers.iter().map(|(key, value)| format!("{key}={}", text::shown(value.as_deref(), SHOWN)));
        text::shown(Some(shown.collect::<Vec<_>>().join(" ").as_bytes()), SHOWN)
    }
}

/// A batch as a producer sends it: offset deltas 0, 1, 2 ...
pub fn sent(records: &[Owned], parts: Parts) -> Bytes {
    let mut builder = BatchBuilder::new(records.first().map_or(0, |record| record.timestamp));
    for record in records {
        with_headers(record, parts, |headers| {
            let key = record.key.as_deref().filter(|_| parts.key);
            let value = record.value.as_deref().filter(|_| parts.value);
            builder.push(record.timestamp, key, value, headers);
        });
    }
    builder.into_bytes_with_crc().into()
}

/// A batch as it is stored: at the offsets of its records.
///
/// # Errors
/// When the offsets are not ascending, or too far apart for one batch.
pub fn stored(records: &[Owned]) -> Result<Bytes, BatchError> {
    let first = records.first().map_or(0, |record| record.offset);
    let mut builder = BatchBuilder::new(records.first().map_or(0, |record| record.timestamp));
    for record in records {
        let delta = i32::try_from(record.offset - first).map_err(|_| BatchError::OffsetOrder(i32::MAX))?;
        with_headers(record, Parts::ALL, |headers| {
            builder.push_at(delta, record.timestamp, record.key.as_deref(), record.value.as_deref(), headers)
        })?;
    }
    let mut bytes = builder.into_bytes_with_crc();
    patch_offset_and_epoch(&mut bytes, first, NO_EPOCH);
    Ok(bytes.into())
}

fn with_headers<T>(record: &Owned, parts: Parts, write: impl FnOnce(&[Header<'_>]) -> T) -> T {
    let headers: Vec<Header<'_>> =
        record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
    write(if parts.headers { &headers } else { &[] })
}

/// The records of an uncompressed batch, with their offset deltas for offsets. No bytes: no records.
///
/// # Errors
/// When it is none.
pub fn parse(batch: &[u8]) -> Result<Vec<Owned>, BatchError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let view = BatchView::parse(batch)?;
    let mut found = Vec::new();
    for record in view.records()? {
        let record = record?;
        let headers = record.headers().map(|header| header.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))));
        found.push(Owned {
            offset: i64::from(record.offset_delta),
            timestamp: record.timestamp(view.header()),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers.collect::<Result<_, _>>()?,
        });
    }
    Ok(found)
}

/// What became of one record: the parts in which it differs.
pub fn differences(partition: i32, before: &Owned, after: Option<&Owned>) -> Vec<Difference> {
    let difference = |part, before, after| Difference { partition, offset: 0, part, before, after };
    let shown = |part: &Option<Vec<u8>>| text::shown(part.as_deref(), SHOWN);
    let mut found = Vec::new();
    match after {
        None => found.push(difference("dropped", shown(&before.value), "(no record)".to_owned())),
        Some(after) => {
            if before.key != after.key {
                found.push(difference("key", shown(&before.key), shown(&after.key)));
            }
            if before.value != after.value {
                found.push(difference("value", shown(&before.value), shown(&after.value)));
            }
            if before.headers != after.headers {
                found.push(difference("headers", before.headers_shown(), after.headers_shown()));
            }
        }
    }
    found.into_iter().map(|found| Difference { offset: before.offset, ..found }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, value: &str) -> Owned {
        Owned {
            offset,
            timestamp: 1_000 + offset,
            key: Some(b"k".to_vec()),
            value: Some(value.as_bytes().to_vec()),
            headers: vec![("h".to_owned(), None)],
        }
    }

    #[test]
    fn batches_hold_their_records_at_their_offsets() {
        let records = [record(10, "a"), record(12, "b"), record(19, "c")];
        let batch = stored(&records).unwrap();
        let view = BatchView::parse(&batch).unwrap();
        view.verify_crc().unwrap();
        assert_eq!((view.header().base_offset, view.header().last_offset()), (10, 19));
        let read = parse(&batch).unwrap();
        assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 2, 9]);
        assert_eq!(read[2], Owned { offset: 9, ..records[2].clone() });

        let read = parse(&sent(&records, Parts { value: true, ..Parts::NONE })).unwrap();
        assert_eq!(read[1], Owned { offset: 1, key: None, headers: Vec::new(), ..records[1].clone() });
        assert!(stored(&[record(5, ""), record(5, "")]).is_err());
    }

    #[test]
    fn differences_name_the_part() {
        let before = record(7, "a");
        assert!(differences(0, &before, Some(&before.clone())).is_empty());
        let after = Owned { value: None, headers: Vec::new(), ..before.clone() };
        let found = differences(3, &before, Some(&after));
        let parts: Vec<&str> = found.iter().map(|difference| difference.part).collect();
        assert_eq!((parts, found[0].offset, found[0].after.as_str()), (vec!["value", "headers"], 7, "null"));
        assert_eq!(differences(0, &before, None)[0].part, "dropped");
    }
}
