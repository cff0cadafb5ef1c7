//! The harness of a [`Transform`].

use super::{TestRecord, decode, encode};
use crate::codec::{Decode, Encode};
use crate::guest::transform::Instance;
use crate::host::native::{StubHost, lend};
use crate::log::Level;
use crate::{Field, Transform};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

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
        let mut host = StubHost { stores: vec![BTreeMap::new(); stores.len()], ..StubHost::default() };
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
