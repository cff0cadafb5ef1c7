//! Tests of a plugin without Wasm: [`Harness`] feeds records and shows what came of them.
//!
//! The records pass through the same bytes as in Pelton: they are encoded into a record batch, and what the
//! plugin emits is decoded from one.

use crate::codec::{Decode, Encode};
use crate::guest::Instance;
use crate::host::native::{StubHost, lend};
use crate::log::Level;
use crate::{Field, Transform};
use pelton_record::{BatchBuilder, BatchView, Header};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// A record with bytes of its own, as input or output of a [`Harness`].
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

    /// The key as text, with what is no UTF-8 replaced; `None` for null.
    pub fn key_text(&self) -> Option<String> {
        self.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned())
    }

    /// The value as text, with what is no UTF-8 replaced; `None` for null.
    pub fn value_text(&self) -> Option<String> {
        self.value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// What came of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What was emitted, in order.
    pub records: Vec<TestRecord>,
    /// Which input records (by their place in the batch, from 0) were rejected, and why.
    pub rejected: Vec<(i32, String)>,
}

/// One configured instance of a plugin with state stores of its own.
pub struct Harness<T> {
    instance: Instance<T>,
    host: StubHost,
    stores: Vec<String>,
    next_offset: i64,
}

impl<T> std::fmt::Debug for Harness<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("host", &self.host).field("stores", &self.stores).finish_non_exhaustive()
    }
}

impl<T: Transform> Harness<T> {
    /// Configures an instance with JSON text and names of stores, as the job's specification would.
    ///
    /// # Errors
    /// What the plugin has against its configuration.
    pub fn new(config: &str, stores: &[&str]) -> Result<Self, String> {
        let stores: Vec<String> = stores.iter().map(|&name| name.to_owned()).collect();
        let mut host = StubHost { stores: vec![BTreeMap::new(); stores.len()], lines: Vec::new() };
        let instance = lend(&mut host, || Instance::configure(config, stores.clone()))?;
        Ok(Self { instance, host, stores, next_offset: 0 })
    }

    /// Runs the plugin over one batch of records.
    ///
    /// # Errors
    /// The plugin's own error. The state is then as before the call, as in an aborted transaction.
    pub fn process(&mut self, records: &[TestRecord]) -> Result<Outcome, String> {
        let bytes = encode(self.next_offset, records);
        let before = self.host.stores.clone();
        match lend(&mut self.host, || self.instance.process(&bytes)) {
            Ok((output, rejected)) => {
                self.next_offset += records.len() as i64;
                Ok(Outcome { records: decode(&output)?, rejected })
            }
            Err(error) => {
                self.host.stores = before;
                Err(error)
            }
        }
    }

    /// Runs the plugin over one batch of values without keys.
    ///
    /// # Errors
    /// As for [`Harness::process`].
    pub fn process_values<V: Field>(&mut self, values: impl IntoIterator<Item = V>) -> Result<Outcome, String> {
        let records: Vec<TestRecord> = values.into_iter().map(|value| TestRecord::new((), value)).collect();
        self.process(&records)
    }

    /// Runs the plugin over one batch of keys and values.
    ///
    /// # Errors
    /// As for [`Harness::process`].
    pub fn process_keyed<K: Field, V: Field>(
        &mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Outcome, String> {
        let records: Vec<TestRecord> = pairs.into_iter().map(|(key, value)| TestRecord::new(key, value)).collect();
        self.process(&records)
    }

    /// The entries of a store, as bytes. Panics when the instance has no store of that name.
    pub fn state(&self, store: &str) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        let number = self.stores.iter().position(|name| name == store);
        &self.host.stores[number.unwrap_or_else(|| panic!("the harness has no store `{store}`"))]
    }

    /// The value under `key` of a store. Panics when there is no such store or the value is no `V`.
    pub fn stored<V: Decode>(&self, store: &str, key: &(impl Encode + ?Sized)) -> Option<V> {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        let value = self.state(store).get(&bytes)?;
        Some(V::decode(value).unwrap_or_else(|error| panic!("store `{store}`: {error}")))
    }

    /// The lines that the plugin has logged.
    pub fn log_lines(&self) -> &[(Level, String)] {
        &self.host.lines
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
        records.push(TestRecord {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers,
            timestamp_ms: record.timestamp(view.header()),
        });
    }
    Ok(records)
}
