//! State stores with types.
//!
//! A store of a job's step belongs to the task: one partition of the step's input. What a batch puts becomes durable with
//! that batch's transaction, or not at all; reads see the task's own writes at once.
//!
//! An interceptor has one store for each partition ([`Store::of_partition`]), in the broker's memory.
//!
//! A call to the host has a price of its own, so a plugin that knows the keys of a whole batch asks with
//! [`Store::get_many`] and answers with [`Store::put_many`].

use crate::codec::{Decode, Encode};
use crate::host;
use std::borrow::Borrow;
use std::marker::PhantomData;

/// The stores that the job's specification gives a step.
#[derive(Debug, Clone)]
pub struct Stores {
    names: Vec<String>,
}

impl Stores {
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self { names }
    }

    /// The names, in the order of the job's specification.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The store of that name, with the types of its keys and values.
    ///
    /// # Errors
    /// Text for the operator when the job's step has no store of that name.
    pub fn open<K, V>(&self, name: &str) -> Result<Store<K, V>, String> {
        let found = self.names.iter().position(|known| known == name).and_then(|index| u32::try_from(index).ok());
        let number = found.ok_or_else(|| {
            let known = if self.names.is_empty() { "none".to_owned() } else { self.names.join(", ") };
            format!("the step needs the store `{name}`; write stores = [\"{name}\"] in the job (it has: {known})")
        })?;
        Ok(Store { number, name: name.into(), types: PhantomData })
    }
}

/// One state store: values of type `V` under keys of type `K`.
#[derive(Debug, Clone)]
pub struct Store<K, V> {
    number: u32,
    name: Box<str>,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> Store<K, V> {
    /// The store of an interceptor: that of the partition whose batch is at hand. It holds 16 MiB at most and is empty
    /// after a restart.
    ///
    /// Batches of one partition are sent one by one to a plugin that uses it, and what `on_send` puts is kept only when the batch
    /// is appended: the store stands for exactly what lies in the partition.
    pub fn of_partition() -> Self {
        Self { number: 0, name: "of the partition".into(), types: PhantomData }
    }
}

impl<K, V: Encode + Decode> Store<K, V> {
    /// The value under `key`.
    ///
    /// # Errors
    /// Text when the stored bytes are no `V`: the store was written with another type.
    pub fn get<Q>(&self, key: &Q) -> Result<Option<V>, String>
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
    {
        let value = host::get(self.number, &encoded(key));
        value.map(|bytes| self.decode(&bytes)).transpose()
    }

    /// Sets the value under `key`.
    pub fn put<Q>(&mut self, key: &Q, value: &V)
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
    {
        host::put(self.number, &encoded(key), &encoded(value));
    }

    /// Deletes the value under `key`, if there is one.
    pub fn delete<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
    {
        host::delete(self.number, &encoded(key));
    }

    /// The values under `keys`, in their order, in one call to the host.
    ///
    /// # Errors
    /// As for [`Store::get`].
    pub fn get_many<'k, Q>(&self, keys: impl IntoIterator<Item = &'k Q>) -> Result<Vec<Option<V>>, String>
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized + 'k,
    {
        let mut list = Vec::new();
        let mut asked = 0;
        for key in keys {
            append(&mut list, key);
            asked += 1;
        }
        if asked == 0 {
            return Ok(Vec::new());
        }
        let answer = host::get_many(self.number, &list);
        let mut rest = &answer[..];
        let mut values = Vec::with_capacity(asked);
        for _ in 0..asked {
            let (value, after) = split_optional(rest).ok_or_else(|| self.truncated())?;
            values.push(value.map(|bytes| self.decode(bytes)).transpose()?);
            rest = after;
        }
        Ok(values)
    }

    /// Puts (`Some`) or deletes (`None`) the entries, in their order, in one call to the host.
    pub fn put_many<'e, Q>(&mut self, entries: impl IntoIterator<Item = (&'e Q, Option<&'e V>)>)
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized + 'e,
        V: 'e,
    {
        let mut list = Vec::new();
        for (key, value) in entries {
            append(&mut list, key);
            match value {
                Some(value) => append(&mut list, value),
                None => list.extend_from_slice(&(-1_i32).to_le_bytes()),
            }
        }
        if !list.is_empty() {
            host::put_many(self.number, &list);
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, String> {
        V::decode(bytes).map_err(|error| format!("store `{}`: {error}", self.name))
    }

    fn truncated(&self) -> String {
        format!("store `{}`: the host answered with fewer values than keys were asked for", self.name)
    }
}

fn encoded<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

/// Appends the length (u32, little-endian) and the bytes; the length is patched once it is known.
fn append<T: Encode + ?Sized>(list: &mut Vec<u8>, value: &T) {
    let at = list.len();
    list.extend_from_slice(&[0; 4]);
    value.encode(list);
    let len = u32::try_from(list.len() - at - 4).expect("a guest's memory holds less than 4 GiB");
    list[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

/// One optional value (i32 length, little-endian, -1 for none; bytes) and what follows it.
fn split_optional(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    match i32::from_le_bytes(*len) {
        -1 => Some((None, rest)),
        len => rest.split_at_checked(usize::try_from(len).ok()?).map(|(value, rest)| (Some(value), rest)),
    }
}
