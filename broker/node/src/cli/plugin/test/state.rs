//! State stores of a trial: in memory, bounded, and undone where a call fails.

use bytes::Bytes;
use pelton_api::transform::StateAccess;
use std::any::Any;
use std::collections::BTreeMap;

/// What the stores of one partition may hold, keys and values together, in bytes.
const MAX_BYTES: usize = 256 << 20;

/// The number of a store, and a key in it.
type Key = (usize, Vec<u8>);

/// The stores of one partition.
#[derive(Debug, Default)]
pub struct Memory {
    entries: BTreeMap<Key, Bytes>,
    bytes: usize,
    /// What the running call has changed, as it was.
    undo: Vec<(Key, Option<Bytes>)>,
}

impl Memory {
    /// The call went well: what it wrote stays.
    pub fn keep(&mut self) {
        self.undo.clear();
    }

    /// The call failed: what it wrote is undone.
    pub fn discard(&mut self) {
        while let Some((key, value)) = self.undo.pop() {
            self.replace(key, value);
        }
    }

    fn replace(&mut self, key: Key, value: Option<Bytes>) -> Option<Bytes> {
        let len = key.1.len();
        let added = value.as_ref().map_or(0, |value| len + value.len());
        let former = match value {
            Some(value) => self.entries.insert(key, value),
            None => self.entries.remove(&key),
        };
        self.bytes = self.bytes + added - former.as_ref().map_or(0, |former| len + former.len());
        former
    }
}

impl StateAccess for Memory {
    fn get(&mut self, store: usize, key: &[u8]) -> Result<Option<Bytes>, String> {
        Ok(self.entries.get(&(store, key.to_vec())).cloned())
    }

    fn put(&mut self, store: usize, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        if value.is_some_and(|value| self.bytes + key.len() + value.len() > MAX_BYTES) {
            return Err(format!("a trial keeps at most {MAX_BYTES} bytes of state; try it with --max-records"));
        }
        let key = (store, key.to_vec());
        let former = self.replace(key.clone(), value.map(Bytes::copy_from_slice));
        self.undo.push((key, former));
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_leaves_no_state_behind() {
        let mut memory = Memory::default();
        memory.put(0, b"a", Some(b"1")).unwrap();
        memory.keep();
        memory.put(0, b"a", Some(b"22")).unwrap();
        memory.put(0, b"a", None).unwrap();
        memory.put(1, b"b", Some(b"3")).unwrap();
        memory.discard();
        assert_eq!(memory.get(0, b"a").unwrap().unwrap(), "1");
        assert_eq!((memory.get(1, b"b").unwrap(), memory.bytes, memory.entries.len()), (None, 2, 1));
    }
}
