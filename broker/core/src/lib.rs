//! The broker's decisions, and nothing else.
//!
//! Every part of a broker is a machine here: a [`partition`], a coordinator shard (a slice of the
//! [`group`]s, of the [`transaction`]s, or the [`cluster`] image). A machine is stepped with the time
//! and one event and answers with effects; it performs none of them. A [`shard::Shard`] owns many
//! machines and is what one thread of the binary, or the simulator, runs.
//!
//! What this room does not do: no files, no sockets, no clock, no randomness, no threads and no wire
//! types; its manifest holds none of the crates that would let it, and `tests/tidy` keeps it so.
//!
//! Invariants kept here: log start offset <= last stable offset <= high watermark <= log end offset
//! ([`model::Watermarks`]); an answer, success or error, leaves only when what it depends on is
//! durable ([`parking`]); hard coordinator state changes by replay of records alone ([`coordinator`]).

pub mod cluster;
pub mod config;
pub mod coordinator;
pub mod effect;
pub mod event;
pub mod group;
pub mod model;
pub mod parking;
pub mod partition;
pub mod refusal;
pub mod shard;
pub mod transaction;
