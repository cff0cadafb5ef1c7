//! An interceptor that misbehaves as its configuration says. The engine's tests hold its limits against it.
//!
//! It goes past the SDK, to the contract itself, for a hostile guest does too. Built for anything but Wasm it is empty.

#[cfg(target_arch = "wasm32")]
mod misdeeds;
