//! Records for other topics. Granted to interceptors alone, and only for the topics that the operator names in
//! `pelton.plugin.NAME.emit`.

use crate::{Field, host};
use pelton_record::{BatchBuilder, Header};

/// Emits one batch to `topic`; nothing when `write` adds no record. What the hook was called for (the producer's
/// acknowledgement, the consumer's records, the answer to a commit) waits until the batch is durable. When the hook fails,
/// nothing of what it emitted is kept.
///
/// ```
/// # use pelton_sdk::prelude::*;
/// # fn example(from: &Origin) -> Result<(), String> {
/// emit::batch("audit-log", |batch| batch.record(clock::now_ms(), &from.topic, "seen"))
/// # }
/// ```
///
/// # Errors
/// Text that names the topic when it was not granted.
pub fn batch(topic: &str, write: impl FnOnce(&mut Emitted)) -> Result<(), String> {
    let mut emitted = Emitted { batch: None };
    write(&mut emitted);
    match emitted.batch {
        Some(batch) => host::emit(topic, &batch.into_bytes()),
        None => Ok(()),
    }
}

/// A batch that is being written; see [`batch`].
#[derive(Debug)]
pub struct Emitted {
    batch: Option<BatchBuilder>,
}

impl Emitted {
    /// Adds a record. `timestamp_ms` is in milliseconds since the Unix epoch.
    pub fn record(&mut self, timestamp_ms: i64, key: impl Field, value: impl Field) {
        self.record_with(timestamp_ms, key, value, &[]);
    }

    /// Adds a record with headers.
    pub fn record_with(&mut self, timestamp_ms: i64, key: impl Field, value: impl Field, headers: &[Header<'_>]) {
        let batch = self.batch.get_or_insert_with(|| BatchBuilder::new(timestamp_ms));
        batch.push(timestamp_ms, key.bytes(), value.bytes(), headers);
    }
}
