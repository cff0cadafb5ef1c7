//! The output: records to emit, written into one batch as they come, and records refused.

use crate::batch::Progress;
use crate::{Field, Record};
use pelton_record::{BatchBuilder, Header};
use std::rc::Rc;

/// What a call of `process` emits and rejects.
#[derive(Debug)]
pub struct Output {
    batch: Option<BatchBuilder>,
    rejected: Vec<(i32, String)>,
    progress: Rc<Progress>,
}

impl Output {
    pub(crate) fn new(progress: Rc<Progress>) -> Self {
        Self { batch: None, rejected: Vec::new(), progress }
    }

    /// Emits a record. Its timestamp is that of the input record read last, as in Kafka Streams.
    pub fn emit(&mut self, key: impl Field, value: impl Field) {
        self.emit_with(self.progress.timestamp_ms.get(), key, value, &[]);
    }

    /// Emits a record with a timestamp (milliseconds since the Unix epoch) and headers of its own.
    pub fn emit_with(&mut self, timestamp_ms: i64, key: impl Field, value: impl Field, headers: &[Header<'_>]) {
        self.batch.get_or_insert_with(|| BatchBuilder::new(timestamp_ms)).push(
            timestamp_ms,
            key.bytes(),
            value.bytes(),
            headers,
        );
    }

    /// Hands an input record that is of no use to the dead-letter topic, with the reason for a person to read.
    pub fn reject(&mut self, record: &Record<'_>, reason: impl Into<String>) {
        self.rejected.push((record.offset_delta(), reason.into()));
    }

    /// How many records were emitted so far.
    pub fn len(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.count() as usize)
    }

    /// `true` while nothing was emitted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<(i32, String)>) {
        (self.batch.map_or_else(Vec::new, BatchBuilder::into_bytes), self.rejected)
    }
}
