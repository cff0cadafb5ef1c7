//! The contract between the broker, the plugins and the jobs.
//!
//! Declared here: what a stream job needs of the cluster it runs beside ([`ports`]), what it needs of
//! an engine that runs its code ([`transform`]) and of a local state store ([`store`]), how a plugin and a
//! job are described ([`manifest`], [`job`]), and what can go wrong in a guest ([`fault`]).
//!
//! Not here: tokio, wasmtime, RocksDB, files, sockets. Whoever implements a trait of this room lives
//! elsewhere, and only the composition root (`broker/node`) knows both sides.

pub mod fault;
pub mod hooks;
pub mod interceptor;
pub mod job;
pub mod manifest;
pub mod partitioner;
pub mod ports;
pub mod store;
pub mod transform;
