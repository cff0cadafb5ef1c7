//! Which plugins there are: names, versions, digests and bytes.
//!
//! What this room does: [`catalogue`] decides, without files, whether an upload may have the name and version
//! that it asks for, and [`policy`] whether it may be there at all (signatures, capabilities, quotas); [`Registry`]
//! keeps bytes and manifests on disk.
//!
//! What it does not: it neither compiles nor runs a plugin (that is `runtime/engine`), and it does not know which topic
//! or job uses one: who removes a plugin has asked that before.
//!
//! Invariants: the bytes behind `name@version` never change while it is there; an entry that is damaged on disk is named
//! in an error, never silently left out; the bytes of a plugin that the policy refuses are not given out, whenever
//! and under whatever policy they came.

pub mod catalogue;
pub mod policy;
mod store;

pub use policy::{Policy, PolicyError};
pub use store::{Registry, RegistryError, Upload};
