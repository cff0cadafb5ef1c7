//! Records that are still in the files of their log.

use bytes::Bytes;
use pelton_core::event::{Records, StoredRecords};
use pelton_core::model::Offset;
use pelton_log::{LogSlice, OsDisk};
use std::any::Any;
use std::sync::Arc;

/// Whole batches in a segment's file.
#[derive(Debug)]
pub struct Stored(LogSlice<OsDisk>);

impl Stored {
    /// What lies in a slice.
    pub fn new(slice: LogSlice<OsDisk>) -> Self {
        Self(slice)
    }

    /// The records of a slice.
    pub fn records(slice: LogSlice<OsDisk>) -> Records {
        Records::Stored(Arc::new(Self::new(slice)))
    }

    /// The slice behind these records, where they are of this kind.
    pub fn of(records: &dyn StoredRecords) -> Option<&LogSlice<OsDisk>> {
        let any: &dyn Any = records;
        any.downcast_ref::<Self>().map(|stored| &stored.0)
    }
}

impl StoredRecords for Stored {
    fn size_bytes(&self) -> usize {
        self.0.len
    }

    fn next_offset(&self) -> Offset {
        self.0.next_offset
    }

    fn read(&self) -> Result<Bytes, String> {
        self.0.read().map_err(|error| error.to_string())
    }
}
