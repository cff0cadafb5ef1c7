//! The last offset of each key, in a table whose size is fixed when it is made.
//!
//! Keys are kept as the first 128 bits of their SHA-256, so that an entry has 24 bytes whatever the key: two keys that
//! anybody could find by trying will not meet there, and one that took another's place would lose its record.

use crate::Offset;
use sha2::{Digest, Sha256};

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 24;
/// The entries that are found with few probes: beyond this share, in percent, the table counts as full.
const MAX_LOAD_PERCENT: usize = 90;
const EMPTY: Offset = -1;

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: Hash,
    offset: Offset,
}

/// A hash as two words, so that an entry is not padded to a multiple of 16 bytes.
type Hash = [u64; 2];

/// The last offset of each key: a hash table with open addressing that never grows.
#[derive(Debug)]
pub struct OffsetMap {
    entries: Vec<Entry>,
    len: usize,
    room: usize,
}

impl OffsetMap {
    /// A table of at most `buffer_bytes` (`log.cleaner.dedupe.buffer.size`), and no larger than `keys` keys need. It has
    /// room for one key at least.
    pub fn new(buffer_bytes: usize, keys: u64) -> Self {
        let affordable = (buffer_bytes / ENTRY_BYTES).max(2);
        let keys = usize::try_from(keys).unwrap_or(usize::MAX).max(1);
        let needed = keys.saturating_mul(100) / MAX_LOAD_PERCENT + 2;
        let slots = affordable.min(needed);
        // One slot is always empty, so that a search for a key that is not there ends.
        let room = (slots * MAX_LOAD_PERCENT / 100).clamp(1, slots - 1);
        Self { entries: vec![Entry { hash: [0; 2], offset: EMPTY }; slots], len: 0, room }
    }

    /// Bytes that the table takes.
    pub fn size_bytes(&self) -> usize {
        self.entries.len() * ENTRY_BYTES
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Notes that the last record of `key` is at `offset`. `false`, and nothing noted, when the key is new and there is
    /// no room for it.
    #[must_use]
    pub fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = hash(key);
        let slot = self.slot(hash);
        if self.entries[slot].offset == EMPTY {
            if self.len == self.room {
                return false;
            }
            self.len += 1;
        }
        self.entries[slot] = Entry { hash, offset };
        true
    }

    /// Offset of the last record of `key`, if one was noted.
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let entry = self.entries[self.slot(hash(key))];
        (entry.offset != EMPTY).then_some(entry.offset)
    }

    /// Where the key is, or would be put.
    fn slot(&self, hash: Hash) -> usize {
        let mut slot = (hash[0] % self.entries.len() as u64) as usize;
        while self.entries[slot].offset != EMPTY && self.entries[slot].hash != hash {
            slot = (slot + 1) % self.entries.len();
        }
        slot
    }
}

fn hash(key: &[u8]) -> Hash {
    let digest = Sha256::digest(key);
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    [word(0), word(8)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_entry_is_as_large_as_it_says() {
        assert_eq!(size_of::<Entry>(), ENTRY_BYTES);
    }

    #[test]
    fn it_takes_no_more_memory_than_it_may_and_no_more_than_it_needs() {
        assert!(OffsetMap::new(128 << 20, 10).size_bytes() < 1024);
        let small = OffsetMap::new(2_400, u64::MAX);
        assert!(small.size_bytes() <= 2_400);
        assert_eq!(small.room, 90);
    }

    #[test]
    fn a_full_table_refuses_new_keys_and_takes_known_ones() {
        let mut map = OffsetMap::new(0, u64::MAX);
        assert!(map.put(b"a", 1));
        assert!(!map.put(b"b", 2));
        assert!(map.put(b"a", 3));
        assert_eq!((map.get(b"a"), map.get(b"b"), map.len()), (Some(3), None, 1));
    }

    proptest! {
        #[test]
        fn it_is_a_map_until_it_is_full(
            puts in proptest::collection::vec((0_u8..60, 0_i64..1_000), 0..200),
            slots in 2_usize..80,
        ) {
            let mut map = OffsetMap::new(slots * ENTRY_BYTES, u64::MAX);
            let mut model = BTreeMap::new();
            for (key, offset) in puts {
                let fits = model.contains_key(&key) || model.len() < map.room;
                prop_assert_eq!(map.put(&[key], offset), fits);
                if fits {
                    model.insert(key, offset);
                }
            }
            prop_assert_eq!(map.len(), model.len());
            for key in 0..60 {
                prop_assert_eq!(map.get(&[key]), model.get(&key).copied());
            }
        }

        #[test]
        fn the_keys_it_was_made_for_fit(keys in 1_u64..300) {
            let mut map = OffsetMap::new(128 << 20, keys);
            for key in 0..keys {
                prop_assert!(map.put(&key.to_be_bytes(), key as i64));
            }
        }
    }
}
