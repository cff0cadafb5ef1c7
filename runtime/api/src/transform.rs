//! What a job asks of an engine: code that turns one batch into another, with state.
//!
//! A batch crosses as the bytes of one uncompressed Kafka record batch (format v2, design decision
//! D2): header and records. CRC, offsets, producer fields and epoch of a batch that a guest gives
//! back are ignored; the host writes its own.

use crate::fault::Fault;
use bytes::Bytes;

/// Makes instances of one compiled plugin. Shared by the tasks that run it.
pub trait TransformFactory: Send + Sync {
    /// A fresh instance that has accepted `config` (JSON text) and may use `stores`, numbered in this order.
    ///
    /// # Errors
    /// [`Fault::Refused`] when the plugin's `configure` refuses the configuration.
    fn instantiate(&self, config: &str, stores: &[String]) -> Result<Box<dyn Transform>, Fault>;
}

/// One instance of a transform, owned by one task. After a fault it must be dropped.
pub trait Transform: Send {
    /// Runs the guest over one batch, synchronously, on the caller's thread. The state is lent for the
    /// call and comes back whatever happens; what a failed call put into it must be discarded.
    fn process(
        &mut self,
        batch: &Bytes,
        state: Box<dyn StateAccess>,
    ) -> (Box<dyn StateAccess>, Result<Processed, Fault>);
}

/// What a transform made of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Processed {
    /// One record batch to emit, or nothing (empty bytes).
    pub output: Bytes,
    /// Records of the input that the plugin could not use; each goes to the dead-letter topic.
    pub rejected: Vec<Rejection>,
}

/// One input record that the plugin could not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Offset delta of the record in the input batch.
    pub offset_delta: i32,
    /// Why, for a person to read.
    pub reason: String,
}

/// The state stores of one task as its guest sees them: its own uncommitted writes included.
pub trait StateAccess: Send {
    /// The value under `key` in store number `store`.
    ///
    /// # Errors
    /// Text that says what failed; it becomes [`Fault::Host`].
    fn get(&mut self, store: usize, key: &[u8]) -> Result<Option<Bytes>, String>;

    /// Sets (`Some`) or deletes (`None`) the value under `key`.
    ///
    /// # Errors
    /// As for `get`.
    fn put(&mut self, store: usize, key: &[u8], value: Option<&[u8]>) -> Result<(), String>;

    /// Gives the concrete state back to its owner.
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send>;
}
