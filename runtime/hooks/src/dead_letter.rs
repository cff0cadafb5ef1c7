//! Records that a chain sets aside, as they go to the topic's dead-letter topic: key, value, timestamp and headers as they came
//! to the chain, and headers that say why, by whom, and where the record came from. The names are those of the jobs' dead letters.
//!
//! A letter always fits a topic with the default `max.message.bytes`. One that would not is cut: first the value, of which
//! the front stays; then the original headers; at last the key. The header [`TRUNCATED`] says how large the value was.
//! Letters of one batch share emissions where they fit.

use crate::circuit::shortened;
use bytes::Bytes;
use pelton_api::hooks::{Emission, Origin};
use pelton_api::interceptor::Hook;
use pelton_record::{BatchBuilder, BatchHeader, BatchView, HEADER_LEN, Header, Record};
use std::sync::Arc;

/// Header of a letter that is not whole: the size of its value, in bytes, as it was.
pub const TRUNCATED: &str = "pelton.truncated";
/// The largest batch of letters: Kafka's default `max.message.bytes` (1,048,588) less room for what a later version may add.
pub const MAX_BATCH_BYTES: usize = 1_000_000;

/// Longest reason that is kept, in bytes, of the first letters of a batch, and of the others.
const MAX_REASON_BYTES: [usize; 2] = [4096, 256];
/// How many letters of a batch have room for a long reason.
const LONG_REASONS: usize = 16;
/// Longest client id and principal that are kept, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// What a batch of one record takes beyond key, value and headers, at most.
const OVERHEAD_BYTES: usize = HEADER_LEN + 36;

/// Why records are set aside, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    /// The dead-letter topic.
    pub(crate) to: &'a Arc<str>,
    pub(crate) hook: Hook,
    /// `mask@1`.
    pub(crate) plugin: &'a str,
    pub(crate) digest: &'a str,
    pub(crate) origin: &'a Origin,
}

/// Letters for those records of a plain batch that `reason` has a reason for. A batch that cannot be read is set aside whole.
pub(crate) fn letters<'r>(
    about: &Circumstances<'_>,
    plain: &[u8],
    reason: impl Fn(i32) -> Option<&'r str>,
) -> Vec<Emission> {
    let walk = || {
        let view = BatchView::parse(plain)?;
        let mut writer = Writer::new(about);
        for record in view.records()? {
            let record = record?;
            if let Some(reason) = reason(record.offset_delta) {
                writer.record(view.header(), &record, reason);
            }
        }
        Ok::<_, pelton_record::BatchError>(writer.finish())
    };
    walk().unwrap_or_else(|error| unreadable(about, plain, &error.to_string()))
}

/// One letter for a whole batch that cannot be read: its bytes are the value.
pub(crate) fn unreadable(about: &Circumstances<'_>, batch: &[u8], reason: &str) -> Vec<Emission> {
    let header = BatchHeader::parse(batch).ok();
    let mut writer = Writer::new(about);
    let timestamp = header.map_or(0, |header| header.max_timestamp);
    writer.write(timestamp, header.map(|header| header.base_offset), None, Some(batch), &[], reason);
    writer.finish()
}

struct Writer<'a> {
    about: &'a Circumstances<'a>,
    batch: Option<BatchBuilder>,
    written: usize,
    emissions: Vec<Emission>,
}

impl<'a> Writer<'a> {
    fn new(about: &'a Circumstances<'a>) -> Self {
        Self { about, batch: None, written: 0, emissions: Vec::new() }
    }

    fn record(&mut self, batch: &BatchHeader, record: &Record<'_>, reason: &str) {
        let original: Vec<Header<'_>> = record.headers().map_while(Result::ok).collect();
        let offset = Some(record.offset(batch));
        self.write(record.timestamp(batch), offset, record.key, record.value, &original, reason);
    }

    fn write(
        &mut self,
        timestamp: i64,
        offset: Option<i64>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        original: &[Header<'_>],
        reason: &str,
    ) {
        let Circumstances { origin, hook, plugin, digest, .. } = *self.about;
        let partition = origin.partition.to_string();
        // A batch that is being sent has no offset yet.
        let offset = offset.filter(|_| hook == Hook::OnConsume).map(|offset| offset.to_string());
        let reason = shortened(reason, MAX_REASON_BYTES[usize::from(self.written >= LONG_REASONS)]);
        let facts = [
            ("pelton.reason", Some(reason)),
            ("pelton.topic", Some(&*origin.topic)),
            ("pelton.partition", Some(partition.as_str())),
            ("pelton.offset", offset.as_deref()),
            ("pelton.hook", Some(hook.name())),
            ("pelton.plugin", Some(plugin)),
            ("pelton.plugin.digest", Some(digest)),
            ("pelton.client.id", Some(shortened(&origin.client_id, MAX_NAME_BYTES))),
            ("pelton.principal", Some(shortened(&origin.principal, MAX_NAME_BYTES))),
        ];
        let whole_len = value.map_or(0, <[u8]>::len).to_string();
        let note = Header { key: TRUNCATED, value: Some(whole_len.as_bytes()) };
        let mut headers: Vec<Header<'_>> = facts
            .iter()
            .filter_map(|(key, value)| value.map(|value| Header { key, value: Some(value.as_bytes()) }))
            .collect();
        let mut room = MAX_BATCH_BYTES.saturating_sub(OVERHEAD_BYTES + headers_len(&headers) + headers_len(&[note]));
        let mut take = |len: usize| room.checked_sub(len).inspect(|left| room = *left).is_some();
        let kept_key = key.filter(|key| take(key.len()));
        let kept_original = if take(headers_len(original)) { original } else { &[] };
        headers.splice(0..0, kept_original.iter().copied());
        let kept_value = value.map(|value| &value[..value.len().min(room)]);
        if kept_key != key || kept_original.len() != original.len() || kept_value != value {
            headers.push(note);
        }
        self.push(timestamp, kept_key, kept_value, &headers);
    }

    fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) {
        let len = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers_len(headers) + OVERHEAD_BYTES;
        if self.batch.as_ref().is_some_and(|batch| batch.len_bytes() + len > MAX_BATCH_BYTES) {
            self.emit();
        }
        self.batch.get_or_insert_with(|| BatchBuilder::new(timestamp)).push(timestamp, key, value, headers);
        self.written += 1;
    }

    fn emit(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.emissions.push(Emission { topic: self.about.to.clone(), batch: Bytes::from(batch.into_bytes()) });
        }
    }

    fn finish(mut self) -> Vec<Emission> {
        self.emit();
        self.emissions
    }
}

/// What headers take in a record, at most.
fn headers_len(headers: &[Header<'_>]) -> usize {
    headers.iter().map(|header| 10 + header.key.len() + header.value.map_or(0, <[u8]>::len)).sum()
}

#[cfg(test)]
mod tests;
