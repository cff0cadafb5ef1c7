//! Stream jobs: a chain of steps, each of which runs a transform over its input, exactly once.
//!
//! A job specification is checked here ([`validate`]), its internal topics are named and made ([`names`],
//! [`scheduler`]), and for every step and partition one task runs ([`task`]). A task is a pure machine that
//! says what to do next and a thin shell that does it through the ports of `pelton-api`. What it has written
//! and not yet committed lies over its state store ([`state`]).
//!
//! Not here: the cluster, the engine and RocksDB, which are all behind traits; and where job specifications
//! are kept, which is the composition root's affair.
//!
//! Invariants: a group offset never passes a record whose outputs are not committed; the state of a task is
//! the fold of its committed input and of its changelog; a store is never deleted.

#[cfg(test)]
mod double;
pub mod names;
pub mod partitioner;
pub mod pass;
pub mod scheduler;
pub mod state;
pub mod task;
pub mod validate;

pub use scheduler::{JobError, JobRunner, Plugins};
