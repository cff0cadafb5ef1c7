//! Records on their way to a reader: in memory, or where the shell has them.

use crate::model::Offset;
use bytes::Bytes;
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// Whole record batches in the shell's storage. The machines pass them on and never look inside; the shell knows its
/// own kind again (`&dyn Any`) and may send them from where they lie.
pub trait StoredRecords: Any + Debug + Send + Sync {
    /// Bytes of the batches.
    fn size_bytes(&self) -> usize;

    /// An offset above the last record and not above the next batch.
    fn next_offset(&self) -> Offset;

    /// The bytes, all in memory at once. May wait for the medium.
    ///
    /// # Errors
    /// What is wrong with the storage.
    fn read(&self) -> Result<Bytes, String>;
}

/// Whole record batches as stored; empty when nothing is readable.
#[derive(Debug, Clone)]
pub enum Records {
    /// In memory.
    Bytes(Bytes),
    /// Where the shell has them.
    Stored(Arc<dyn StoredRecords>),
}

impl Records {
    /// None.
    pub const EMPTY: Self = Self::Bytes(Bytes::new());

    /// How many bytes they have.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Stored(stored) => stored.size_bytes(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where a reader goes on that asked for `offset` and got these.
    pub fn next_offset(&self, offset: Offset) -> Offset {
        match self {
            Self::Bytes(bytes) => {
                let last = pelton_record::batches(bytes).map_while(Result::ok).last();
                last.map_or(offset, |batch| batch.header().next_offset())
            }
            Self::Stored(stored) => stored.next_offset(),
        }
    }

    /// The bytes. May wait for the medium, so it is not for a thread that others wait for.
    ///
    /// # Errors
    /// What is wrong with the storage.
    pub fn read(&self) -> Result<Bytes, String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Stored(stored) => stored.read(),
        }
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}
