//! Runs plugins: WebAssembly components in wasmtime, each within its limits. wasmtime lives only here.
//!
//! What this room does: it checks an uploaded module and says what is missing ([`Engine::compile`]), compiles it in a child process where
//! it is told to ([`compile_on_stdio`]), keeps what it compiled on disk, makes instances, serves what a guest asks
//! (`host`), and turns what comes back into the types of `pelton_api` (`adapter`, one file for each kind of plugin).
//!
//! What it does not: it knows no chains, no policies, no jobs and no names beyond those it is told. It starts no thread
//! for guests; a guest runs on its caller's thread, which must not be one of the network's.
//!
//! Invariants: nothing that a guest does ends the process, holds its thread for longer than the time limit
//! (plus the host's own time), or makes the host allocate more than the limits say. Precompiled code is run
//! only when this engine wrote it: the cache's MAC is checked before a byte of it is looked at.

mod adapter;
mod cache;
mod clock;
mod compile;
mod compiler;
mod engine;
mod flat;
mod host;
mod limits;
mod metrics;
mod module;
mod observe;
mod plugin;
mod records;

pub use compiler::child::compile_on_stdio;
pub use engine::{Engine, EngineConfig, EngineError};
pub use limits::Limits;
pub use metrics::Metrics;
pub use observe::{Level, LogSink, MetricSink, NoMetrics, Series, TracedLog};
pub use plugin::Plugin;
