//! What a task has written since its last commit, laid over its store.
//!
//! Writes stand in two layers: those of the guest call that is running, and those of the calls before it.
//! A call that fails is dropped as if it had never been ([`TaskState::drop_call`]); one that succeeds is
//! kept ([`TaskState::keep_call`]). Everything kept goes to the changelog ([`TaskState::changes`]) and,
//! once that is committed, to the store ([`TaskState::apply`]).
//!
//! Bounds: a call may write [`MAX_CALL_BYTES`]; the task commits early when [`TaskState::pending_bytes`]
//! has grown past its cap; the cache of clean values holds at most [`MAX_CLEAN_BYTES`].

use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::store::{Change, ChangelogStamp, StateStore, StoreError};
use pelton_api::transform::StateAccess;
use std::any::Any;
use std::collections::{BTreeMap, HashMap};

/// Most bytes of keys and values that one guest call may write.
pub const MAX_CALL_BYTES: usize = 32 << 20;
/// Most bytes of one key and its value together: they travel as one record of the changelog.
pub const MAX_ENTRY_BYTES: usize = 900 << 10;
/// Most bytes of clean values that a task keeps in memory.
pub const MAX_CLEAN_BYTES: usize = 16 << 20;

/// What an entry costs beyond its key and value: the nodes of the map and two handles.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// The writes of one layer, by store and key. Ordered, so that a commit writes the same changelog
/// whenever the same input is processed.
#[derive(Debug, Default)]
struct Writes {
    stores: Vec<BTreeMap<Bytes, Option<Bytes>>>,
    bytes: usize,
}

impl Writes {
    fn new(stores: usize) -> Self {
        Self { stores: vec![BTreeMap::new(); stores], bytes: 0 }
    }

    fn get(&self, store: usize, key: &[u8]) -> Option<&Option<Bytes>> {
        self.stores[store].get(key)
    }

    fn insert(&mut self, store: usize, key: Bytes, value: Option<Bytes>) {
        self.bytes += entry_bytes(&key, &value);
        let key_len = key.len();
        if let Some(old) = self.stores[store].insert(key, value) {
            self.bytes -= key_len + ENTRY_OVERHEAD_BYTES + old.map_or(0, |v| v.len());
        }
    }

    fn clear(&mut self) {
        self.stores.iter_mut().for_each(BTreeMap::clear);
        self.bytes = 0;
    }

    fn drain(&mut self) -> impl Iterator<Item = (usize, Bytes, Option<Bytes>)> {
        self.bytes = 0;
        self.stores
            .iter_mut()
            .enumerate()
            .flat_map(|(store, map)| std::mem::take(map).into_iter().map(move |(key, value)| (store, key, value)))
    }
}

fn entry_bytes(key: &Bytes, value: &Option<Bytes>) -> usize {
    key.len() + ENTRY_OVERHEAD_BYTES + value.as_ref().map_or(0, Bytes::len)
}

/// Values as the store holds them (absence included), in two generations: when the young one is full it
/// becomes the old one, and the old one goes. A value that is used moves back to the young one.
struct CleanCache {
    young: HashMap<(usize, Bytes), Option<Bytes>>,
    old: HashMap<(usize, Bytes), Option<Bytes>>,
    young_bytes: usize,
    cap_bytes: usize,
}

impl CleanCache {
    fn new(cap_bytes: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, cap_bytes }
    }

    fn get(&mut self, place: &(usize, Bytes)) -> Option<Option<Bytes>> {
        if let Some(value) = self.young.get(place) {
            return Some(value.clone());
        }
        let value = self.old.remove(place)?;
        self.insert(place.clone(), value.clone());
        Some(value)
    }

    fn insert(&mut self, place: (usize, Bytes), value: Option<Bytes>) {
        self.old.remove(&place);
        self.young_bytes += entry_bytes(&place.1, &value);
        let key_len = place.1.len();
        if let Some(old) = self.young.insert(place, value) {
            self.young_bytes -= key_len + ENTRY_OVERHEAD_BYTES + old.map_or(0, |v| v.len());
        }
        if self.young_bytes > self.cap_bytes / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

/// The state of one task.
pub struct TaskState {
    store: Box<dyn StateStore>,
    /// Most bytes of one key and its value, by store.
    entry_bytes: Vec<usize>,
    kept: Writes,
    call: Writes,
    call_fault: Option<Fault>,
    damage: Option<StoreError>,
    clean: CleanCache,
}

impl TaskState {
    /// The state over `store`, with the most bytes that one key and its value may have in each of its stores;
    /// past [`MAX_ENTRY_BYTES`] nothing is taken.
    pub fn new(store: Box<dyn StateStore>, entry_bytes: Vec<usize>) -> Self {
        let store_count = entry_bytes.len();
        Self {
            store,
            entry_bytes,
            kept: Writes::new(store_count),
            call: Writes::new(store_count),
            call_fault: None,
            damage: None,
            clean: CleanCache::new(MAX_CLEAN_BYTES),
        }
    }

    /// Keeps the writes of the call that has ended. Answers with [`TaskState::pending_bytes`].
    pub fn keep_call(&mut self) -> usize {
        self.call_fault = None;
        for (store, key, value) in self.call.drain() {
            self.kept.insert(store, key, value);
        }
        self.kept.bytes
    }

    /// Drops the writes of the call that has ended.
    pub fn drop_call(&mut self) {
        self.call_fault = None;
        self.call.clear();
    }

    /// What the guest did wrong with its state during the call, if it did, whatever it made of the error.
    pub fn call_fault(&self) -> Option<&Fault> {
        self.call_fault.as_ref()
    }

    /// What a read found wrong with the store's files, if it did: then no answer of the guest is to be believed.
    pub fn damage(&self) -> Option<&StoreError> {
        self.damage.as_ref()
    }

    /// Memory that the uncommitted writes take, the running call's included, in bytes.
    pub fn pending_bytes(&self) -> usize {
        self.kept.bytes + self.call.bytes
    }

    /// The last value of every key written since the last [`TaskState::apply`], ordered by store and key.
    pub fn changes(&self) -> Vec<Change> {
        let stores = self.kept.stores.iter().enumerate();
        stores
            .flat_map(|(store, map)| {
                map.iter().map(move |(key, value)| Change { store, key: key.clone(), value: value.clone() })
            })
            .collect()
    }

    /// Writes `changes` and `stamps` to the store in one step. The overlay is empty afterwards: what it held
    /// was committed with these changes.
    ///
    /// # Errors
    /// [`StoreError`]; the state must then be dropped and restored from the changelog.
    pub fn apply(&mut self, changes: &[Change], stamps: &[(usize, ChangelogStamp)]) -> Result<(), StoreError> {
        self.store.apply(changes, stamps)?;
        self.kept.clear();
        for change in changes {
            self.clean.insert((change.store, change.key.clone()), change.value.clone());
        }
        Ok(())
    }

    /// The stamps of the stores.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stamps(&self) -> Result<Vec<Option<ChangelogStamp>>, StoreError> {
        self.store.stamps()
    }

    /// Keys in the stores, estimated; the overlay not included.
    pub fn estimated_keys(&self) -> u64 {
        self.store.estimated_keys()
    }

    fn check(&mut self, store: usize, entry_bytes: usize) -> Result<(), String> {
        let stores = self.entry_bytes.len();
        let allowed = self.entry_bytes.get(store).copied().unwrap_or(0).min(MAX_ENTRY_BYTES);
        let fault = if store >= stores {
            Fault::Refused(format!("it used state store number {store}; the step has {stores}"))
        } else if entry_bytes > allowed {
            let detail = format!("a key and its value have {entry_bytes} bytes; {allowed} are allowed");
            Fault::Limit { limit: "state value", detail }
        } else if self.call.bytes + entry_bytes > MAX_CALL_BYTES {
            let detail = format!("one call wrote more than {MAX_CALL_BYTES} bytes of state");
            Fault::Limit { limit: "state", detail }
        } else {
            return Ok(());
        };
        let text = fault.to_string();
        self.call_fault.get_or_insert(fault);
        Err(text)
    }
}

impl StateAccess for TaskState {
    fn get(&mut self, store: usize, key: &[u8]) -> Result<Option<Bytes>, String> {
        self.check(store, key.len())?;
        if let Some(value) = self.call.get(store, key).or_else(|| self.kept.get(store, key)) {
            return Ok(value.clone());
        }
        let place = (store, Bytes::copy_from_slice(key));
        if let Some(value) = self.clean.get(&place) {
            return Ok(value);
        }
        let value = self.store.get(store, key).map_err(|error| {
            let text = error.to_string();
            if matches!(error, StoreError::Damaged(_)) {
                self.damage.get_or_insert(error);
            }
            text
        })?;
        self.clean.insert(place, value.clone());
        Ok(value)
    }

    fn put(&mut self, store: usize, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        self.check(store, key.len() + value.map_or(0, <[u8]>::len))?;
        self.call.insert(store, Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice));
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

#[cfg(test)]
mod tests;
