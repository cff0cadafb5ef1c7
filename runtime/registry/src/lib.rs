//! Which plugins there are: names, versions, digests and bytes.
//!
//! What this room does: [`catalogue`] decides, without files, whether an upload may have the name and version
//! that it asks for; [`Registry`] keeps bytes and manifests on disk.
//!
//! What it does not: it neither compiles nor runs a plugin (that is `runtime/engine`), and it does not yet
//! know which topic a plugin applies to.
//!
//! Invariants: the bytes behind `name@version` never change, and an entry that is damaged on disk is named in
//! an error, never silently left out.

pub mod catalogue;
mod store;

pub use store::{Registry, RegistryError};
