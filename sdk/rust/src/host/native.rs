//! The stub host of a native test: stores in ordered maps; log lines, numbers and emitted batches in lists.
//!
//! A harness lends its own [`StubHost`] to the thread for the time of one call, so two harnesses in one
//! test do not see one another. As in Pelton, a malformed list, an unknown store and what the world does not grant end
//! the guest: it panics.

use crate::log::Level;
use crate::metrics::Labels;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What a metric is told apart by: its name, and its labels in the order in which they were given.
pub(crate) type Series = (String, Vec<(String, String)>);

/// State, log and numbers of one harness.
#[derive(Debug, Clone, Default)]
pub(crate) struct StubHost {
    /// What only interceptors are granted; `None` in other worlds.
    pub(crate) granted: Option<Granted>,
    pub(crate) stores: Vec<BTreeMap<Vec<u8>, Vec<u8>>>,
    pub(crate) lines: Vec<(Level, String)>,
    pub(crate) counters: BTreeMap<Series, u64>,
    pub(crate) gauges: BTreeMap<Series, f64>,
    pub(crate) observations: BTreeMap<Series, Vec<f64>>,
}

/// What only interceptors are granted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Granted {
    pub(crate) now_ms: i64,
    /// Topics that may be emitted to.
    pub(crate) topics: BTreeSet<String>,
    pub(crate) emitted: Vec<(String, Vec<u8>)>,
    /// Where the sequence of pseudo-random numbers stands.
    pub(crate) random: u64,
}

thread_local! {
    static CURRENT: RefCell<Option<StubHost>> = const { RefCell::new(None) };
}

/// Runs `call` with `host` as the thread's host.
pub(crate) fn lend<R>(host: &mut StubHost, call: impl FnOnce() -> R) -> R {
    let before = CURRENT.replace(Some(std::mem::take(host)));
    let answer = call();
    *host = CURRENT.replace(before).expect("nothing else takes the host away during a call");
    answer
}

fn with<R>(call: impl FnOnce(&mut StubHost) -> R) -> R {
    CURRENT.with_borrow_mut(|host| {
        call(host.as_mut().expect("a plugin calls its host only under a harness of pelton_sdk::testing"))
    })
}

fn with_granted<R>(what: &str, call: impl FnOnce(&mut Granted) -> R) -> R {
    with(|host| match host.granted.as_mut() {
        Some(granted) => call(granted),
        None => panic!("{what} is granted to interceptors alone"),
    })
}

fn with_store<R>(number: u32, call: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>) -> R) -> R {
    with(|host| call(host.stores.get_mut(number as usize).expect("the store is one of those that were configured")))
}

pub(crate) fn log(level: Level, message: &str) {
    with(|host| host.lines.push((level, message.to_owned())));
}

/// As in Pelton, a name that Prometheus would not take is a fault.
fn series(name: &str, labels: Labels<'_>) -> Series {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    for name in std::iter::once(name).chain(labels.iter().map(|(name, _)| *name)) {
        assert!(plain(name), "`{name}` is no name of a metric or label: letters, digits and `_`");
    }
    (name.to_owned(), labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

pub(crate) fn count(name: &str, labels: Labels<'_>, by: u64) {
    with(|host| *host.counters.entry(series(name, labels)).or_default() += by);
}

pub(crate) fn gauge(name: &str, labels: Labels<'_>, value: f64) {
    with(|host| host.gauges.insert(series(name, labels), value));
}

pub(crate) fn observe(name: &str, labels: Labels<'_>, values: &[f64]) {
    with(|host| host.observations.entry(series(name, labels)).or_default().extend_from_slice(values));
}

pub(crate) fn get_many(store: u32, mut keys: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    while !keys.is_empty() {
        let key = take_bytes(&mut keys);
        match get(store, key) {
            Some(value) => {
                answer.extend_from_slice(&(value.len() as i32).to_le_bytes());
                answer.extend_from_slice(&value);
            }
            None => answer.extend_from_slice(&(-1_i32).to_le_bytes()),
        }
    }
    answer
}

pub(crate) fn put_many(store: u32, mut entries: &[u8]) {
    while !entries.is_empty() {
        let key = take_bytes(&mut entries);
        if entries.starts_with(&(-1_i32).to_le_bytes()) {
            entries = &entries[4..];
            delete(store, key);
        } else {
            let value = take_bytes(&mut entries);
            put(store, key, value);
        }
    }
}

pub(crate) fn get(store: u32, key: &[u8]) -> Option<Vec<u8>> {
    with_store(store, |store| store.get(key).cloned())
}

pub(crate) fn put(store: u32, key: &[u8], value: &[u8]) {
    with_store(store, |store| store.insert(key.to_vec(), value.to_vec()));
}

pub(crate) fn delete(store: u32, key: &[u8]) {
    with_store(store, |store| store.remove(key));
}

pub(crate) fn emit(topic: &str, batch: &[u8]) -> Result<(), String> {
    with_granted("emit", |granted| {
        if !granted.topics.contains(topic) {
            return Err(format!("the plugin may not emit to `{topic}`; name it in pelton.plugin.NAME.emit"));
        }
        granted.emitted.push((topic.to_owned(), batch.to_vec()));
        Ok(())
    })
}

pub(crate) fn now_ms() -> i64 {
    with_granted("the clock", |granted| granted.now_ms)
}

/// The same sequence in each harness (splitmix64): a test that fails once fails again.
pub(crate) fn random(count: usize) -> Vec<u8> {
    with_granted("randomness", |granted| {
        let mut next = || {
            granted.random = granted.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (granted.random ^ (granted.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) as u8
        };
        (0..count).map(|_| next()).collect()
    })
}

fn take_bytes<'a>(list: &mut &'a [u8]) -> &'a [u8] {
    let (len, rest) = list.split_first_chunk::<4>().expect("a list entry begins with its length");
    let len = u32::from_le_bytes(*len) as usize;
    let (bytes, rest) = rest.split_at_checked(len).expect("a list entry is as long as it says");
    *list = rest;
    bytes
}
