//! Which partition a record belongs to, as one answer for every client and language.

use crate::fault::Fault;
use crate::interceptor::Parts;
use bytes::Bytes;

/// Makes instances of one partitioner: a plugin's, or one that is built in.
pub trait PartitionerFactory: Send + Sync {
    /// Parts of a record that it reads.
    fn reads(&self) -> Parts;

    /// A fresh instance that has accepted `config` (JSON text).
    ///
    /// # Errors
    /// [`Fault::Refused`] when the configuration is refused.
    fn instantiate(&self, config: &str) -> Result<Box<dyn Partitioner>, Fault>;
}

/// One instance, used by one call at a time. After a fault it must be dropped.
pub trait Partitioner: Send {
    /// The partition of each record of one uncompressed batch, in order: one number for each record, 0 to
    /// `partitions - 1`, or -1 where any will do.
    ///
    /// # Errors
    /// What went wrong in the plugin; an answer out of range is [`Fault::Malformed`].
    fn partition(&mut self, batch: &Bytes, topic: &str, partitions: i32) -> Result<Vec<i32>, Fault>;
}
