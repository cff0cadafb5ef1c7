//! Runs plugins: WebAssembly components in wasmtime, each within its limits. wasmtime lives only here.
//!
//! What this room does: it checks an uploaded module and says what is missing ([`Engine::compile`]), keeps
//! what it compiled on disk, gives each task an instance of its own, serves the guest's imports (`host`),
//! and turns what comes back into the types of `pelton_api` (`adapter`, one file for each kind of plugin).
//!
//! What it does not: it knows no topics, no jobs and no names beyond the one it is told. It starts no thread
//! for guests; a guest runs on its caller's thread, which must not be one of the network's.
//!
//! Invariants: nothing that a guest does ends the process, holds its thread for longer than the time limit
//! (plus the host's own time), or makes the host allocate more than the limits say. Precompiled code is run
//! only when this engine wrote it: the cache's MAC is checked before a byte of it is looked at.

mod adapter;
mod cache;
mod compile;
mod engine;
mod host;
mod limits;
mod plugin;

pub use engine::{Engine, EngineConfig, EngineError};
pub use limits::Limits;
pub use plugin::Plugin;

/// The interface that a transform exports, in the version that this engine speaks.
pub const TRANSFORM_INTERFACE: &str = "pelton:plugin/transform@0.1.0";
