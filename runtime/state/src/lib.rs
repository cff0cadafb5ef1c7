//! State stores on disk: one RocksDB for each task, one column family for each store of the task.
//!
//! A store is a copy of its changelog topic and never the truth. [`RocksStores`] opens the stores of tasks,
//! and shares one block cache and one budget of write buffers among them. What a commit changes, and the
//! stamp that says how far the changelog has been taken in, go to RocksDB in one write batch, so that after
//! any crash a store holds exactly the changelog below its stamp.
//!
//! RocksDB's log stays on, and is not synced: after `kill -9` its bytes are in the page cache, so a restart
//! replays at most the one commit that was under way. Without the log everything since the last flush of a
//! memtable would have to be replayed; with a synced one every commit would wait for the disk a second time.
//! After a power cut RocksDB recovers a prefix of its log, and the stamp in it says where the changelog goes on.
//!
//! Not here: the overlay of uncommitted writes, the changelog itself, and when to write (`runtime/jobs`).
//! Nothing here deletes state: stores that cannot be used are renamed.

mod rocks;
mod stamp;

pub use rocks::{RocksConfig, RocksStores};
