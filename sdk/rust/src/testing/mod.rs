//! Tests of a plugin without Wasm: [`Harness`], [`InterceptorHarness`] and [`PartitionerHarness`] feed records and show
//! what came of them.
//!
//! The records pass through the same bytes as in Pelton: they are encoded into a record batch, and what the
//! plugin gives back is decoded from one.

mod interceptor;
mod partitioner;
mod transform;

pub use crate::log::Level;
pub use interceptor::{Emissions, InterceptorHarness, Judged};
pub use partitioner::PartitionerHarness;
pub use transform::{Harness, Outcome};

use crate::{Field, Parts};
use pelton_record::{BatchBuilder, BatchView, Header};

/// A record with bytes of its own, as input or output of a harness.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TestRecord {
    /// The key, `None` for null.
    pub key: Option<Vec<u8>>,
    /// The value, `None` for null.
    pub value: Option<Vec<u8>>,
    /// Names and values of the headers, in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}

impl TestRecord {
    /// A record with timestamp 0 and no headers.
    pub fn new(key: impl Field, value: impl Field) -> Self {
        let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
        Self { key: owned(key.bytes()), value: owned(value.bytes()), ..Self::default() }
    }

    /// The record with one header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Field) -> Self {
        self.headers.push((name.to_owned(), value.bytes().map(<[u8]>::to_vec)));
        self
    }

    /// The record with that timestamp, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn at(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = timestamp_ms;
        self
    }

    /// The key as text, with what is no UTF-8 replaced; `None` for null.
    pub fn key_text(&self) -> Option<String> {
        self.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned())
    }

    /// The value as text, with what is no UTF-8 replaced; `None` for null.
    pub fn value_text(&self) -> Option<String> {
        self.value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// The value of the last header of this name as text; `None` when there is none, or it is null.
    pub fn header_text(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().rev().find(|(other, _)| other == name)?;
        value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// What a plugin sees of it that reads these parts.
    fn projected(&self, reads: Parts) -> Self {
        Self {
            key: self.key.clone().filter(|_| reads.key),
            value: self.value.clone().filter(|_| reads.value),
            headers: if reads.headers { self.headers.clone() } else { Vec::new() },
            timestamp_ms: self.timestamp_ms,
        }
    }
}

fn encode(base_offset: i64, records: &[TestRecord]) -> Vec<u8> {
    let mut batch = BatchBuilder::new(records.first().map_or(0, |record| record.timestamp_ms));
    for record in records {
        let headers: Vec<Header<'_>> =
            record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        batch.push(record.timestamp_ms, record.key.as_deref(), record.value.as_deref(), &headers);
    }
    let mut bytes = batch.into_bytes();
    pelton_record::patch_offset_and_epoch(&mut bytes, base_offset, 0);
    bytes
}

fn decode(output: &[u8]) -> Result<Vec<TestRecord>, String> {
    Ok(decode_at(output)?.into_iter().map(|(_, record)| record).collect())
}

/// The records of a batch with their offset deltas.
fn decode_at(output: &[u8]) -> Result<Vec<(i32, TestRecord)>, String> {
    if output.is_empty() {
        return Ok(Vec::new());
    }
    let malformed = |error: pelton_record::BatchError| format!("the output is no record batch: {error}");
    let view = BatchView::parse(output).map_err(malformed)?;
    let mut records = Vec::new();
    for record in view.records().map_err(malformed)? {
        let record = record.map_err(malformed)?;
        let mut headers = Vec::new();
        for header in record.headers() {
            let header = header.map_err(malformed)?;
            headers.push((header.key.to_owned(), header.value.map(<[u8]>::to_vec)));
        }
        let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
        let timestamp_ms = record.timestamp(view.header());
        records.push((record.offset_delta, TestRecord { key, value, headers, timestamp_ms }));
    }
    Ok(records)
}
