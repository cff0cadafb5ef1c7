//! The state of one task: the overlay of what is not committed yet, over a bounded cache, over a store.
//!
//! Not here: the files. `runtime/state` keeps them in RocksDB; [`memory`] keeps them in memory, with a
//! model of what a crash takes, for tests and simulations.
//!
//! Invariant: nothing reaches the store but through [`overlay::TaskState::apply`], which the task calls
//! only after the cluster has answered that the transaction is committed.

pub mod memory;
pub mod overlay;
