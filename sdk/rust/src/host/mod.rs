//! The six functions that a host gives. The only place where the Wasm path and the native path differ.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native;
#[cfg(target_arch = "wasm32")]
mod wasm;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{delete, get, get_many, log, put, put_many};
#[cfg(target_arch = "wasm32")]
pub use wasm::bindings;
#[cfg(target_arch = "wasm32")]
pub(crate) use wasm::{delete, get, get_many, log, put, put_many};
