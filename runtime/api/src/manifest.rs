//! Plugin identity: name, version, kind and digest of the bytes.

use crate::interceptor::{Parts, Wants};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginKind {
    /// `pelton:plugin/transform`: a step of a stream job.
    Transform,
    /// `pelton:plugin/interceptor`: four hooks on the way of a topic's records.
    Interceptor,
    /// `pelton:plugin/partitioner`: which partition a record belongs to.
    Partitioner,
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transform => "transform",
            Self::Interceptor => "interceptor",
            Self::Partitioner => "partitioner",
        })
    }
}

/// In which form the contract is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Abi {
    /// The Component Model (`sdk/wit/plugin.wit`).
    #[default]
    Component,
    /// A core module (`sdk/wit/FLAT.md`).
    Flat,
}

/// What the engine found out about a module when it compiled it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFacts {
    /// The world that it exports.
    pub kind: PluginKind,
    /// The interface with its version, as exported: `pelton:plugin/transform@0.1.1`.
    pub interface: String,
    /// In which form it speaks the contract.
    #[serde(default)]
    pub abi: Abi,
    /// What it imports of the host: `log`, `state`, `emit`, `clock` ..., in order.
    #[serde(default)]
    pub imports: Vec<String>,
    /// Of an interceptor: what it declares to need and to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wants: Option<Wants>,
    /// Of a partitioner: the parts of a record that it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Parts>,
}

/// What an upload says of itself, beside its bytes. All of it is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// SHA-256 of the source that it was built from, in hexadecimal, as the uploader states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_digest: Option<String>,
    /// Ed25519 signature (RFC 8032) over [`signed_text`], in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The public key of the signature, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

/// What a signature of a plugin covers: its name, its version and its bytes.
pub fn signed_text(plugin: &PluginRef, digest: &str) -> String {
    format!("pelton plugin {plugin} sha256 {digest}")
}

/// What the registry keeps of a plugin beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginManifest {
    /// Name and version.
    pub plugin: PluginRef,
    /// What the engine found out.
    #[serde(flatten)]
    pub facts: ModuleFacts,
    /// SHA-256 of the uploaded bytes, in hexadecimal.
    pub digest: String,
    /// Size of the uploaded bytes.
    pub size_bytes: u64,
    /// When it was uploaded, milliseconds since the Unix epoch.
    pub uploaded_at_ms: i64,
    /// Who uploaded it, as the admin HTTP knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_by: Option<String>,
    /// What the upload said of itself.
    #[serde(default)]
    pub provenance: Provenance,
    /// The name of the trusted key that signed it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}
