//! The functions that a host gives. The only place where the Wasm path and the native path differ.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native;
#[cfg(target_arch = "wasm32")]
pub mod wasm;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{count, delete, emit, gauge, get, get_many, log, now_ms, observe, put, put_many, random};
#[cfg(target_arch = "wasm32")]
pub(crate) use wasm::{count, delete, emit, gauge, get, get_many, log, now_ms, observe, put, put_many, random};
