//! The stub host of a native test: stores in ordered maps, log lines in a list.
//!
//! A harness lends its own [`StubHost`] to the thread for the time of one call, so two harnesses in one
//! test do not see one another. As in Pelton, a malformed list or an unknown store ends the guest: it panics.

use crate::log::Level;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// State and log of one harness.
#[derive(Debug, Clone, Default)]
pub(crate) struct StubHost {
    pub(crate) stores: Vec<BTreeMap<Vec<u8>, Vec<u8>>>,
    pub(crate) lines: Vec<(Level, String)>,
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
        call(host.as_mut().expect("a plugin calls its host only under pelton_sdk::testing::Harness"))
    })
}

fn with_store<R>(number: u32, call: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>) -> R) -> R {
    with(|host| call(host.stores.get_mut(number as usize).expect("the store is one of those that were configured")))
}

pub(crate) fn log(level: Level, message: &str) {
    with(|host| host.lines.push((level, message.to_owned())));
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

fn take_bytes<'a>(list: &mut &'a [u8]) -> &'a [u8] {
    let (len, rest) = list.split_first_chunk::<4>().expect("a list entry begins with its length");
    let len = u32::from_le_bytes(*len) as usize;
    let (bytes, rest) = rest.split_at_checked(len).expect("a list entry is as long as it says");
    *list = rest;
    bytes
}
