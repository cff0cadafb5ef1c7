//! `pelton:plugin/state`: the stores of the instance, one entry or many in one call.
//!
//! Invariant: the guest's bytes are never believed. A list whose lengths do not fit, an unknown store, or
//! more than the limits allow ends the guest, and nothing of the call is kept (the caller discards what was put).

use super::{Grant, HostData, Stop};
use pelton_api::fault::Fault;
use pelton_api::transform::StateAccess;
use std::time::Instant;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList};

const LENGTH_BYTES: usize = 4;
/// Entries between two looks at the clock.
const ENTRIES_A_LOOK: u32 = 256;

pub(super) fn add_to(linker: &mut Linker<HostData>) -> wasmtime::Result<()> {
    let mut state = linker.instance("pelton:plugin/state@0.1.1")?;
    state.func_wrap("get-many", |mut cx: StoreContextMut<'_, HostData>, (store, keys): (u32, WasmList<u8>)| {
        lent(&mut cx, store, [keys], |one, [keys]| one.get_many(keys)).map(|values| (values,))
    })?;
    state.func_wrap("put-many", |mut cx: StoreContextMut<'_, HostData>, (store, entries): (u32, WasmList<u8>)| {
        lent(&mut cx, store, [entries], |one, [entries]| one.put_many(entries))
    })?;
    state.func_wrap("get", |mut cx: StoreContextMut<'_, HostData>, (store, key): (u32, WasmList<u8>)| {
        lent(&mut cx, store, [key], |one, [key]| one.get(key)).map(|value| (value.map(Vec::from),))
    })?;
    state.func_wrap(
        "put",
        |mut cx: StoreContextMut<'_, HostData>, (store, key, value): (u32, WasmList<u8>, WasmList<u8>)| {
            lent(&mut cx, store, [key, value], |one, [key, value]| one.put(key, Some(value)))
        },
    )?;
    state.func_wrap("delete", |mut cx: StoreContextMut<'_, HostData>, (store, key): (u32, WasmList<u8>)| {
        lent(&mut cx, store, [key], |one, [key]| one.put(key, None))
    })
}

/// Runs `call` on the store, with the guest's lists in place.
fn lent<R, const N: usize>(
    cx: &mut StoreContextMut<'_, HostData>,
    store: u32,
    lists: [WasmList<u8>; N],
    call: impl FnOnce(&mut OneStore, [&[u8]; N]) -> Result<R, Stop>,
) -> wasmtime::Result<R> {
    let mut one = cx.data_mut().lend_store(store)?;
    // The state is out of the store's data at this point, so the guest's memory can be read in place.
    let answer = call(&mut one, lists.each_ref().map(|list| list.as_le_slice(&*cx)));
    cx.data_mut().take_back(one);
    Ok(answer?)
}

/// One store, for one call of the guest.
pub(crate) struct OneStore {
    access: Box<dyn StateAccess>,
    number: usize,
    entry_limit_bytes: usize,
    answer_limit_bytes: usize,
    write_limit_bytes: usize,
    written_bytes: usize,
    began: Instant,
    deadline: Instant,
    up: Fault,
    entries: u32,
}

impl HostData {
    /// A store to work on, and the clock of the host's work running. It must come back, whatever the work's outcome.
    pub(crate) fn lend_store(&mut self, store: u32) -> Result<OneStore, Stop> {
        self.granted(Grant::State)?;
        let began = Instant::now();
        let count = self.purpose.stores;
        let Some(number) = usize::try_from(store).ok().filter(|&number| number < count) else {
            return Err(Stop::malformed(format!("store number {store}: there are {count}")));
        };
        let Some(access) = self.state.take() else {
            return Err(Stop::malformed("the state is there in calls about records only, not in `configure`"));
        };
        let limits = self.limits();
        Ok(OneStore {
            access,
            number,
            entry_limit_bytes: limits.state_entry_bytes,
            answer_limit_bytes: limits.output_bytes,
            write_limit_bytes: limits.state_write_bytes,
            written_bytes: self.state_written_bytes,
            began,
            deadline: self.clock.host_deadline(),
            up: self.clock.is_up(),
            entries: 0,
        })
    }

    /// The end of [`HostData::lend_store`].
    pub(crate) fn take_back(&mut self, store: OneStore) {
        self.state = Some(store.access);
        self.state_written_bytes = store.written_bytes;
        self.clock.host_worked(store.began.elapsed());
    }
}

impl OneStore {
    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<bytes::Bytes>, Stop> {
        self.look_at_the_clock()?;
        self.access.get(self.number, key).map_err(|error| Stop(Fault::Host(error)))
    }

    pub(crate) fn put(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Stop> {
        self.look_at_the_clock()?;
        let entry_bytes = key.len() + value.map_or(0, <[u8]>::len);
        if entry_bytes > self.entry_limit_bytes {
            return Err(limit("state value", entry_bytes, self.entry_limit_bytes, "one entry, key and value"));
        }
        // An entry costs the host something beyond its bytes; an endless loop of deletions must end too.
        self.written_bytes += entry_bytes + LENGTH_BYTES * 2;
        if self.written_bytes > self.write_limit_bytes {
            return Err(limit("state value", self.written_bytes, self.write_limit_bytes, "all writes of one call"));
        }
        self.access.put(self.number, key, value).map_err(|error| Stop(Fault::Host(error)))
    }

    /// The epoch stops a guest's own code only; a list of millions of keys must not hold the thread either.
    fn look_at_the_clock(&mut self) -> Result<(), Stop> {
        let due = self.entries.is_multiple_of(ENTRIES_A_LOOK);
        self.entries = self.entries.wrapping_add(1);
        if due && Instant::now() >= self.deadline {
            return Err(Stop(self.up.clone()));
        }
        Ok(())
    }

    pub(crate) fn get_many(&mut self, mut keys: &[u8]) -> Result<Vec<u8>, Stop> {
        let mut values = Vec::new();
        while !keys.is_empty() {
            let key = split_bytes(&mut keys).ok_or_else(|| malformed("get-many", "key"))?;
            match self.get(key)? {
                Some(value) => {
                    let len = i32::try_from(value.len())
                        .map_err(|_| limit("state value", value.len(), i32::MAX as usize, "one value"))?;
                    values.extend_from_slice(&len.to_le_bytes());
                    values.extend_from_slice(&value);
                }
                None => values.extend_from_slice(&(-1_i32).to_le_bytes()),
            }
            if values.len() > self.answer_limit_bytes {
                return Err(limit("state value", values.len(), self.answer_limit_bytes, "the values of one get-many"));
            }
        }
        Ok(values)
    }

    pub(crate) fn put_many(&mut self, mut entries: &[u8]) -> Result<(), Stop> {
        while !entries.is_empty() {
            let key = split_bytes(&mut entries).ok_or_else(|| malformed("put-many", "key"))?;
            let value = split_optional(&mut entries).ok_or_else(|| malformed("put-many", "value"))?;
            self.put(key, value)?;
        }
        Ok(())
    }
}

fn limit(limit: &'static str, asked: usize, allowed: usize, what: &str) -> Stop {
    Stop(Fault::Limit { limit, detail: format!("{what} may have {allowed} bytes, not {asked}") })
}

fn malformed(call: &str, what: &str) -> Stop {
    Stop::malformed(format!("{call}: the length of a {what} does not fit the list"))
}

/// Takes a length (u32, little-endian) and as many bytes from the front of the list.
fn split_bytes<'a>(list: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = list.split_first_chunk::<LENGTH_BYTES>()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    *list = rest;
    Some(bytes)
}

/// Takes an optional value (i32 length, little-endian, -1 for none) from the front of the list.
fn split_optional<'a>(list: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (len, rest) = list.split_first_chunk::<LENGTH_BYTES>()?;
    let len = i32::from_le_bytes(*len);
    if len == -1 {
        *list = rest;
        return Some(None);
    }
    let (bytes, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *list = rest;
    Some(Some(bytes))
}

#[cfg(test)]
mod tests;
