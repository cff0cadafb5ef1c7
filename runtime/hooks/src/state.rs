//! The state of interceptors: one store for each plugin name and partition of a topic, in memory and bounded.
//!
//! A call sees the store and its own writes, which lie in an overlay. What on-send wrote waits until the broker says whether
//! the batch was appended ([`Store::settle`]); what the other hooks wrote is applied when their call ends well. A call that fails
//! leaves nothing behind.
//!
//! Invariant: what on-send wrote stands for exactly the batches that were appended. A store that is full takes nothing that makes
//! it grow, pending writes included; only where two hooks write the same keys at the same time may it pass its limit once,
//! by what one call wrote. The same holds for all stores of a node together.

use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::transform::StateAccess;
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What an entry is counted with beside its key and its value, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// Bounds of the stores of a node.
#[derive(Debug)]
pub struct StateLimits {
    /// Bytes of one store.
    pub store_bytes: usize,
    /// Bytes of all stores.
    pub total_bytes: usize,
    used: AtomicUsize,
}

impl StateLimits {
    /// Bounds, with nothing used.
    pub fn new(store_bytes: usize, total_bytes: usize) -> Self {
        Self { store_bytes, total_bytes, used: AtomicUsize::new(0) }
    }

    /// Bytes that all stores hold, pending writes included.
    pub fn used_bytes(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// The stores of one plugin name on one topic, by partition.
#[derive(Debug)]
pub struct Stores {
    limits: Arc<StateLimits>,
    by_partition: Mutex<BTreeMap<i32, Arc<Store>>>,
}

impl Stores {
    /// No store yet.
    pub fn new(limits: Arc<StateLimits>) -> Self {
        Self { limits, by_partition: Mutex::default() }
    }

    /// The store of a partition, made on first use.
    pub fn of(&self, partition: i32) -> Arc<Store> {
        let mut stores = lock(&self.by_partition);
        stores.entry(partition).or_insert_with(|| Arc::new(Store::new(self.limits.clone()))).clone()
    }

    /// The store of a partition, if anything asked for it yet.
    pub fn existing(&self, partition: i32) -> Option<Arc<Store>> {
        lock(&self.by_partition).get(&partition).cloned()
    }

    /// Bytes of all partitions, pending writes included.
    pub fn used_bytes(&self) -> usize {
        lock(&self.by_partition).values().map(|store| lock(&store.inner).held()).sum()
    }
}

type Writes = HashMap<Box<[u8]>, Option<Bytes>>;

/// The store of one plugin name and partition.
#[derive(Debug)]
pub struct Store {
    limits: Arc<StateLimits>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Box<[u8]>, Bytes>,
    used: usize,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    writes: Writes,
    reserved: usize,
}

impl Inner {
    fn held(&self) -> usize {
        self.used + self.pending.as_ref().map_or(0, |pending| pending.reserved)
    }
}

impl Store {
    fn new(limits: Arc<StateLimits>) -> Self {
        Self { limits, inner: Mutex::default() }
    }

    /// Keeps what the last on-send wrote, when its batch was appended, or discards it.
    pub fn settle(&self, appended: bool) {
        let mut inner = lock(&self.inner);
        let Some(pending) = inner.pending.take() else { return };
        self.limits.used.fetch_sub(pending.reserved, Ordering::Relaxed);
        if appended {
            self.apply(&mut inner, pending.writes);
        }
    }

    /// Keeps the writes of a call that ended well: at once, or when its batch is settled.
    ///
    /// # Errors
    /// [`Fault::Limit`] when other calls have used up the room meanwhile.
    fn keep(&self, writes: Writes, until_settled: bool) -> Result<(), Fault> {
        if writes.is_empty() {
            return Ok(());
        }
        let mut inner = lock(&self.inner);
        let (mut new, mut old) = (0_usize, 0_usize);
        for (key, value) in &writes {
            new += value.as_ref().map_or(0, |value| entry_bytes(key, value));
            old += inner.entries.get(key).map_or(0, |value| entry_bytes(key, value));
        }
        let growth = new.saturating_sub(old);
        if growth == 0 && !until_settled {
            // What frees room, or needs none, is never refused.
            self.apply(&mut inner, writes);
            return Ok(());
        }
        if growth > 0 && inner.held() + growth > self.limits.store_bytes {
            return Err(self.full(self.limits.store_bytes, "a partition's store"));
        }
        if growth > 0 && self.limits.used_bytes() + growth > self.limits.total_bytes {
            return Err(self.full(self.limits.total_bytes, "all stores of the broker"));
        }
        if until_settled {
            self.limits.used.fetch_add(growth, Ordering::Relaxed);
            inner.pending = Some(Pending { writes, reserved: growth });
        } else {
            self.apply(&mut inner, writes);
        }
        Ok(())
    }

    fn apply(&self, inner: &mut Inner, writes: Writes) {
        let before = inner.used;
        for (key, value) in writes {
            let old = match value {
                Some(value) => {
                    let key_len = key.len();
                    inner.used += entry_bytes(&key, &value);
                    inner.entries.insert(key, value).map(|old| key_len + old.len() + ENTRY_OVERHEAD_BYTES)
                }
                None => inner.entries.remove(&key).map(|old| entry_bytes(&key, &old)),
            };
            inner.used -= old.unwrap_or(0);
        }
        if inner.used >= before {
            self.limits.used.fetch_add(inner.used - before, Ordering::Relaxed);
        } else {
            self.limits.used.fetch_sub(before - inner.used, Ordering::Relaxed);
        }
    }

    fn full(&self, allowed: usize, of: &str) -> Fault {
        Fault::Limit { limit: "state", detail: format!("{of} may hold {allowed} bytes") }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let held = lock(&self.inner).held();
        self.limits.used.fetch_sub(held, Ordering::Relaxed);
    }
}

fn entry_bytes(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_OVERHEAD_BYTES
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic could leave behind here is whole: every change is made in one piece after it was computed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store as one call sees it.
#[derive(Debug)]
pub struct Access {
    store: Arc<Store>,
    writes: Writes,
    written: usize,
    full: Option<Fault>,
}

impl Access {
    /// A view without writes. On-send begins a new batch with it, so what an earlier one left unsettled is discarded: nobody
    /// has said that its batch was appended.
    pub fn new(store: Arc<Store>, for_send: bool) -> Self {
        if for_send {
            store.settle(false);
        }
        Self { store, writes: Writes::new(), written: 0, full: None }
    }

    /// The refusal that the call ran into, if it ran into one.
    pub fn refusal(&self) -> Option<&Fault> {
        self.full.as_ref()
    }

    /// Keeps what the call wrote: at once, or when its batch is settled.
    ///
    /// # Errors
    /// [`Fault::Limit`].
    pub fn keep(self, until_settled: bool) -> Result<(), Fault> {
        self.store.keep(self.writes, until_settled)
    }

    fn only_store(store: usize) -> Result<(), String> {
        if store == 0 { Ok(()) } else { Err(format!("there is no store {store}; an interceptor has store 0")) }
    }
}

impl StateAccess for Access {
    fn get(&mut self, store: usize, key: &[u8]) -> Result<Option<Bytes>, String> {
        Self::only_store(store)?;
        if let Some(written) = self.writes.get(key) {
            return Ok(written.clone());
        }
        Ok(lock(&self.store.inner).entries.get(key).cloned())
    }

    fn put(&mut self, store: usize, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        Self::only_store(store)?;
        // The overlay has a bound of its own, deletions included; what the store takes in the end is judged when it is kept.
        let new = key.len() + value.map_or(0, <[u8]>::len) + ENTRY_OVERHEAD_BYTES;
        let old =
            self.writes.get(key).map_or(0, |old| key.len() + old.as_ref().map_or(0, Bytes::len) + ENTRY_OVERHEAD_BYTES);
        let written = self.written - old + new;
        if written > self.store.limits.store_bytes {
            let fault = self.store.full(self.store.limits.store_bytes, "a partition's store");
            let text = fault.to_string();
            self.full = Some(fault);
            return Err(text);
        }
        self.written = written;
        self.writes.insert(key.into(), value.map(Bytes::copy_from_slice));
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// What a plugin that imports no state store is lent.
#[derive(Debug, Clone, Copy)]
pub struct NoState;

impl StateAccess for NoState {
    fn get(&mut self, _: usize, _: &[u8]) -> Result<Option<Bytes>, String> {
        Err("the plugin declares no state".into())
    }

    fn put(&mut self, _: usize, _: &[u8], _: Option<&[u8]>) -> Result<(), String> {
        Err("the plugin declares no state".into())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

#[cfg(test)]
mod tests;
