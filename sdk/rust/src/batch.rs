//! The input: one Kafka record batch, read in place.

use pelton_record::{BatchHeader, BatchView, HeaderIter, RecordIter};
use std::cell::{Cell, RefCell};

/// What the walk over a batch has seen; the output and the end of the call look at it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Timestamp of the record read last: what a record emitted next inherits.
    pub(crate) timestamp_ms: Cell<i64>,
    /// The first thing found wrong with the batch.
    pub(crate) damage: RefCell<Option<String>>,
}

/// Whether offset deltas stand in ascending order, each once.
pub(crate) fn deltas_ascend(deltas: impl Iterator<Item = i32>) -> bool {
    deltas.is_sorted_by(|one, next| one < next)
}

/// One batch of input records, in the order of their offsets. Nothing is copied: keys, values and headers
/// point into the bytes that the host gave.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    view: &'a BatchView<'a>,
    progress: &'a Progress,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(view: &'a BatchView<'a>, progress: &'a Progress) -> Self {
        progress.timestamp_ms.set(view.header().base_timestamp);
        Self { view, progress }
    }

    /// The records. May be asked for again, which walks the batch once more.
    pub fn records(&self) -> Records<'a> {
        let records = match self.view.records() {
            Ok(records) => Some(records),
            Err(error) => {
                self.progress.damage.borrow_mut().get_or_insert_with(|| error.to_string());
                None
            }
        };
        Records { records, header: self.view.header(), progress: self.progress }
    }

    /// Offset of the batch's first record as its producer counted; that record itself may be gone.
    pub fn base_offset(&self) -> i64 {
        self.view.header().base_offset
    }

    /// Offset of the batch's last record as its producer counted; that record itself may be gone.
    pub fn last_offset(&self) -> i64 {
        let header = self.view.header();
        header.base_offset.saturating_add(i64::from(header.last_offset_delta))
    }

    /// How many records the batch has.
    pub fn len(&self) -> usize {
        usize::try_from(self.view.header().record_count).unwrap_or(0)
    }

    /// `true` when the batch has no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> IntoIterator for Batch<'a> {
    type Item = Record<'a>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.records()
    }
}

/// Iterates the records of a batch. A damaged record ends it, and fails the batch when the plugin returns.
#[derive(Debug)]
pub struct Records<'a> {
    records: Option<RecordIter<'a>>,
    header: &'a BatchHeader,
    progress: &'a Progress,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        match self.records.as_mut()?.next()? {
            Ok(record) => {
                let record = Record { record, header: self.header };
                self.progress.timestamp_ms.set(record.timestamp_ms());
                Some(record)
            }
            Err(error) => {
                self.records = None;
                self.progress.damage.borrow_mut().get_or_insert_with(|| error.to_string());
                None
            }
        }
    }
}

/// One input record.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    record: pelton_record::Record<'a>,
    header: &'a BatchHeader,
}

impl<'a> Record<'a> {
    /// The key, `None` for null.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.record.key
    }

    /// The value, `None` for null.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.record.value
    }

    /// The headers in their order. Names may repeat.
    pub fn headers(&self) -> HeaderIter<'a> {
        self.record.headers()
    }

    /// Value of the last header of this name; `None` when there is none, or its value is null.
    ///
    /// # Errors
    /// Text when the headers cannot be read.
    pub fn header(&self, name: &str) -> Result<Option<&'a [u8]>, String> {
        let mut found = None;
        for header in self.headers() {
            let header = header.map_err(|error| format!("a record's headers cannot be read: {error}"))?;
            if header.key == name {
                found = header.value;
            }
        }
        Ok(found)
    }

    /// Offset of the record in its input partition.
    pub fn offset(&self) -> i64 {
        self.record.offset(self.header)
    }

    /// Timestamp, in milliseconds since the Unix epoch; -1 when the producer gave none.
    pub fn timestamp_ms(&self) -> i64 {
        self.record.timestamp(self.header)
    }

    /// Offset of the record counted from the batch's first.
    pub fn offset_delta(&self) -> i32 {
        self.record.offset_delta
    }
}
