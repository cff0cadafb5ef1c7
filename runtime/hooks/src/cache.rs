//! Results of on-consume, kept for the next consumer of the same batch. Bounded in bytes; what was used least lately goes first.
//!
//! An entry is found by the attachment (one version of the hooks of one topic, never used again for another), the partition,
//! the batch's base offset and CRC, and the principal where a plugin's answer holds for the principal alone. So neither a
//! switch of versions, nor a topic that was made anew, nor a batch that compaction rewrote can hit what was kept for another.
//!
//! Invariant: a hit gives what the chain would have given. Only whole answers are kept: none that a fault, an open circuit or
//! an emission had a part in.

use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// What an entry is counted with beside its bytes and its principal.
const ENTRY_OVERHEAD_BYTES: usize = 192;

/// Which batch, for whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// One version of the hooks of one topic.
    pub attachment: u64,
    /// Partition index.
    pub partition: i32,
    /// The batch's base offset.
    pub base_offset: i64,
    /// The batch's CRC as it lies in the log.
    pub crc: u32,
    /// Whom the result is for; `None`: everyone.
    pub principal: Option<Arc<str>>,
}

/// What the chain made of a batch: `None`, nothing.
pub type Kept = Option<Bytes>;

/// The cache of a node.
#[derive(Debug)]
pub struct Cache {
    most_bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Key, (Kept, u64)>,
    /// Keys by when they were used last.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    used_bytes: usize,
}

fn weight(key: &Key, kept: &Kept) -> usize {
    ENTRY_OVERHEAD_BYTES + kept.as_ref().map_or(0, Bytes::len) + key.principal.as_ref().map_or(0, |name| name.len())
}

impl Cache {
    /// An empty cache of at most `most_bytes` bytes; 0: nothing is kept.
    pub fn new(most_bytes: usize) -> Self {
        Self { most_bytes, inner: Mutex::default() }
    }

    /// What is kept for the batch.
    pub fn get(&self, key: &Key) -> Option<Kept> {
        let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        let (kept, used) = inner.entries.get_mut(key)?;
        inner.uses += 1;
        if let Some(key) = inner.by_use.remove(used) {
            inner.by_use.insert(inner.uses, key);
        }
        *used = inner.uses;
        Some(kept.clone())
    }

    /// Keeps what the chain made of the batch.
    pub fn put(&self, key: Key, kept: Kept) {
        let weight_bytes = weight(&key, &kept);
        // One entry never drives out more than a quarter of the others.
        if weight_bytes > self.most_bytes / 4 {
            return;
        }
        let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        inner.uses += 1;
        inner.used_bytes += weight_bytes;
        inner.by_use.insert(inner.uses, key.clone());
        if let Some((old, used)) = inner.entries.insert(key.clone(), (kept, inner.uses)) {
            inner.by_use.remove(&used);
            inner.used_bytes -= weight(&key, &old);
        }
        while inner.used_bytes > self.most_bytes {
            let Some((_, oldest)) = inner.by_use.pop_first() else { break };
            if let Some((kept, _)) = inner.entries.remove(&oldest) {
                inner.used_bytes -= weight(&oldest, &kept);
            }
        }
    }

    /// Bytes that are kept.
    pub fn used_bytes(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).used_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(base_offset: i64) -> Key {
        Key { attachment: 1, partition: 0, base_offset, crc: 7, principal: None }
    }

    #[test]
    fn every_part_of_the_key_tells_batches_apart() {
        let cache = Cache::new(100_000);
        cache.put(key(5), Some("a".into()));
        let others = [
            Key { attachment: 2, ..key(5) },
            Key { partition: 1, ..key(5) },
            key(6),
            Key { crc: 8, ..key(5) },
            Key { principal: Some("User:a".into()), ..key(5) },
        ];
        assert_eq!(cache.get(&key(5)), Some(Some("a".into())));
        for other in others {
            assert_eq!(cache.get(&other), None, "{other:?}");
            cache.put(other.clone(), None);
            assert_eq!(cache.get(&other), Some(None));
        }
    }

    proptest! {
        #[test]
        fn it_stays_below_its_bound_and_keeps_what_was_used_last(
            steps in prop::collection::vec((0_i64..20, any::<bool>(), 0_usize..300), 1..200)
        ) {
            let cache = Cache::new(2_000);
            let mut recent: Vec<(i64, usize)> = Vec::new();
            for (offset, write, len) in steps {
                let known = recent.iter().position(|(at, _)| *at == offset);
                if write {
                    cache.put(key(offset), Some(vec![1; len].into()));
                    known.map(|at| recent.remove(at));
                    recent.push((offset, len));
                    while recent.iter().map(|(_, len)| len + ENTRY_OVERHEAD_BYTES).sum::<usize>() > 2_000 {
                        recent.remove(0);
                    }
                } else {
                    prop_assert_eq!(cache.get(&key(offset)).map(|kept| kept.unwrap().len()), known.map(|at| recent[at].1));
                    if let Some(at) = known {
                        let used = recent.remove(at);
                        recent.push(used);
                    }
                }
                let expected: usize = recent.iter().map(|(_, len)| len + ENTRY_OVERHEAD_BYTES).sum();
                prop_assert_eq!(cache.used_bytes(), expected);
            }
        }
    }
}
