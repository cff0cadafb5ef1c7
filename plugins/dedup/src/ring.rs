//! The last ids of a partition: a ring in the state, and beside it the set of what is in the ring.
//!
//! Keys of the store: `c` holds the cursor (ids so far) and the size of the ring, `s` and a number the id in that slot, `i` and an
//! id nothing at all. A batch costs two reads and one write, however many records it has.
//!
//! Invariant: an id is in the set exactly when it is in one slot of the ring.

use pelton_sdk::{Decode, Encode, Store};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The most ids that a partition remembers: 12.5 MiB of the 16 that its state may have.
pub const MOST: u32 = 65_536;

/// Ids up to this length are kept as they are, longer ones as their SHA-256.
const WHOLE_ID_BYTES: usize = 32;

/// What tells a record from others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(Vec<u8>);

impl Id {
    /// From the bytes that a record gives. The first byte tells the two forms apart.
    pub fn new(bytes: &[u8]) -> Self {
        let mut id = Vec::with_capacity(1 + WHOLE_ID_BYTES);
        if bytes.len() <= WHOLE_ID_BYTES {
            id.push(0);
            id.extend_from_slice(bytes);
        } else {
            id.push(1);
            id.extend_from_slice(&Sha256::digest(bytes));
        }
        Self(id)
    }
}

/// A key of the store.
#[derive(Debug, Clone)]
enum Key {
    Cursor,
    Slot(u32),
    Id(Id),
}

impl Encode for Key {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Cursor => out.push(b'c'),
            Self::Slot(slot) => {
                out.push(b's');
                out.extend_from_slice(&slot.to_be_bytes());
            }
            Self::Id(id) => {
                out.push(b'i');
                out.extend_from_slice(&id.0);
            }
        }
    }
}

/// How many ids were admitted so far, and the size of the ring they went into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    admitted: u64,
    size: u32,
}

impl Cursor {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = self.admitted.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (admitted, size) = bytes.split_at_checked(8).ok_or("the cursor in the state is cut short")?;
        Ok(Self { admitted: u64::decode(admitted)?, size: u32::decode(size)? })
    }

    /// The slot that the next id goes into.
    fn slot(self) -> u32 {
        (self.admitted % u64::from(self.size)) as u32
    }
}

/// The ring of whichever partition is at hand.
pub struct Ring {
    store: Store<Key, Vec<u8>>,
    size: u32,
}

impl Ring {
    /// A ring of `size` ids.
    ///
    /// # Errors
    /// Text for the operator when the size is out of bounds.
    pub fn new(size: u32) -> Result<Self, String> {
        if !(1..=MOST).contains(&size) {
            return Err(format!("`remember` is between 1 and {MOST}, not {size}"));
        }
        Ok(Self { store: Store::of_partition(), size })
    }

    /// For each id, in order, whether it is new. New ones are remembered, and push out as many of the oldest.
    pub fn admit(&mut self, ids: &[Id]) -> Result<Vec<bool>, String> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut keys = vec![Key::Cursor];
        keys.extend(ids.iter().cloned().map(Key::Id));
        let mut answers = self.store.get_many(&keys)?.into_iter();
        let mut cursor = match answers.next().flatten() {
            Some(bytes) => Cursor::decode(&bytes)?,
            None => Cursor { admitted: 0, size: self.size },
        };
        let mut known: BTreeSet<&Id> =
            ids.iter().zip(answers).filter(|(_, it)| it.is_some()).map(|(id, _)| id).collect();
        let mut entries = Vec::new();
        if cursor.size != self.size {
            let kept = self.resize(&mut cursor, &mut entries)?;
            known.retain(|id| kept.contains(id));
        }
        let new: Vec<bool> = ids.iter().map(|id| known.insert(id)).collect();
        let fresh: Vec<&Id> = ids.iter().zip(&new).filter(|(_, new)| **new).map(|(id, _)| id).collect();
        if !fresh.is_empty() {
            self.push(cursor, &fresh, &mut entries)?;
        }
        self.store.put_many(entries.iter().map(|(key, value)| (key, value.as_ref())));
        Ok(new)
    }

    /// Writes the fresh ids into the slots from the cursor on. What stood there is forgotten.
    fn push(&self, mut cursor: Cursor, fresh: &[&Id], entries: &mut Vec<(Key, Option<Vec<u8>>)>) -> Result<(), String> {
        let mut slots = self.slots_from(cursor, fresh.len(), entries)?;
        for id in fresh {
            let slot = cursor.slot();
            if let Some(oldest) = slots.insert(slot, (*id).clone()) {
                entries.push((Key::Id(oldest), None));
            }
            entries.push((Key::Slot(slot), Some(id.0.clone())));
            entries.push((Key::Id((*id).clone()), Some(Vec::new())));
            cursor.admitted += 1;
        }
        entries.push((Key::Cursor, Some(cursor.bytes())));
        Ok(())
    }

    /// What stands in the next slots: as the store has it, and as the entries say that are not put yet.
    fn slots_from(
        &self,
        cursor: Cursor,
        count: usize,
        entries: &[(Key, Option<Vec<u8>>)],
    ) -> Result<BTreeMap<u32, Id>, String> {
        let count = count.min(cursor.size as usize);
        let numbers: Vec<u32> =
            (cursor.admitted..).take(count).map(|at| (at % u64::from(cursor.size)) as u32).collect();
        let keys: Vec<Key> = numbers.iter().copied().map(Key::Slot).collect();
        let stored = self.store.get_many(&keys)?;
        let mut slots: BTreeMap<u32, Id> =
            numbers.into_iter().zip(stored).filter_map(|(slot, id)| Some((slot, Id(id?)))).collect();
        for (key, value) in entries {
            if let Key::Slot(slot) = key {
                match value {
                    Some(id) => slots.insert(*slot, Id(id.clone())),
                    None => slots.remove(slot),
                };
            }
        }
        Ok(slots)
    }

    /// The configuration names another size than the ring has: the newest ids go into a ring of that size, which is
    /// written anew. Gives what is in it.
    fn resize(&self, cursor: &mut Cursor, entries: &mut Vec<(Key, Option<Vec<u8>>)>) -> Result<BTreeSet<Id>, String> {
        let size = u64::from(cursor.size.clamp(1, MOST));
        let oldest = cursor.admitted.saturating_sub(size);
        let keys: Vec<Key> = (oldest..cursor.admitted).map(|at| Key::Slot((at % size) as u32)).collect();
        let ids: Vec<Id> = self.store.get_many(&keys)?.into_iter().flatten().map(Id).collect();
        entries.extend(keys.into_iter().map(|slot| (slot, None)));
        let (forgotten, kept) = ids.split_at(ids.len().saturating_sub(self.size as usize));
        entries.extend(forgotten.iter().map(|id| (Key::Id(id.clone()), None)));
        entries.extend((0..).zip(kept).map(|(slot, id)| (Key::Slot(slot), Some(id.0.clone()))));
        *cursor = Cursor { admitted: kept.len() as u64, size: self.size };
        entries.push((Key::Cursor, Some(cursor.bytes())));
        Ok(kept.iter().cloned().collect())
    }
}
