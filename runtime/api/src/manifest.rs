//! Plugin identity: name, version, kind and digest of the bytes.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `name@version`. Immutable: the bytes behind it never change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginRef {
    /// Letters, digits, `-` and `_`; at most 100 characters.
    pub name: String,
    /// From 1.
    pub version: u32,
}

/// The text is no `name@version`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no plugin reference; write NAME@VERSION, for example pv-count@1 (name: letters, digits, - and _)")]
pub struct BadPluginRef(pub String);

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for PluginRef {
    type Err = BadPluginRef;

    fn from_str(text: &str) -> Result<Self, BadPluginRef> {
        let bad = || BadPluginRef(text.to_owned());
        let (name, version) = text.split_once('@').ok_or_else(bad)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let version: u32 = version.parse().map_err(|_| bad())?;
        if name.is_empty() || name.len() > 100 || !name.chars().all(plain) || version == 0 {
            return Err(bad());
        }
        Ok(Self { name: name.to_owned(), version })
    }
}

impl TryFrom<String> for PluginRef {
    type Error = BadPluginRef;

    fn try_from(text: String) -> Result<Self, BadPluginRef> {
        text.parse()
    }
}

impl From<PluginRef> for String {
    fn from(plugin: PluginRef) -> Self {
        plugin.to_string()
    }
}

/// Which world a module implements; told by the interface that it exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginKind {
    /// `pelton:plugin/transform`: a step of a stream job.
    Transform,
}

/// What the registry keeps of a plugin beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginManifest {
    /// Name and version.
    pub plugin: PluginRef,
    /// The world that it exports.
    pub kind: PluginKind,
    /// The interface with its version, as exported: `pelton:plugin/transform@0.1.0`.
    pub interface: String,
    /// SHA-256 of the uploaded bytes, in hexadecimal.
    pub digest: String,
    /// Size of the uploaded bytes.
    pub size_bytes: u64,
    /// When it was uploaded, milliseconds since the Unix epoch.
    pub uploaded_at_ms: i64,
}
