//! What decides whether a plugin may be kept and run: signatures, capabilities, quotas. No files, no clock.
//!
//! Invariant: a signature counts only over the name, the version and the digest of the very bytes, and only by a key
//! that the operator has named. What an upload says of itself is never believed beyond that.

use ed25519_dalek::{Signature, VerifyingKey};
use pelton_api::interceptor::{Hook, Parts};
use pelton_api::manifest::{Abi, ModuleFacts, PluginKind, PluginManifest, PluginRef, Provenance, signed_text};
use std::collections::BTreeSet;
use std::fmt;

#[cfg(test)]
mod tests;

/// The longest author that is kept, in bytes.
const AUTHOR_MAX_BYTES: usize = 200;

/// What the operator allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Plugins, each version counted (`pelton.plugin.max.count`).
    pub max_count: usize,
    /// Bytes of all modules; those that several plugins share count once (`pelton.plugin.max.total.bytes`).
    pub max_total_bytes: u64,
    /// Whether a plugin must be signed (`pelton.plugin.signatures`).
    pub signatures: Signatures,
    /// Keys whose signatures count (`pelton.plugin.trusted.keys`).
    pub trusted: Vec<TrustedKey>,
    /// Capabilities that no plugin may have (`pelton.plugin.forbid`).
    pub forbid: BTreeSet<Capability>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_count: 1_000,
            max_total_bytes: 4 << 30,
            signatures: Signatures::Allow,
            trusted: Vec::new(),
            forbid: BTreeSet::new(),
        }
    }
}

/// Whether a plugin must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signatures {
    /// Unsigned plugins run too. A signature that is there must be right.
    #[default]
    Allow,
    /// Only what a trusted key signed runs.
    Require,
}

/// A key that the operator trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The operator's name for it.
    pub name: String,
    key: VerifyingKey,
}

impl TrustedKey {
    /// A key by its 32 bytes in hexadecimal.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn new(name: &str, public_key: &str) -> Result<Self, String> {
        let key = public_key_of(public_key)?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// The keys of a file with lines `NAME HEXKEY`; empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// The line and what is wrong with it.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, String> {
        let mut keys: Vec<Self> = Vec::new();
        for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(name), Some(key), None) = (words.next(), words.next(), words.next()) else {
                return Err(format!("line {number}: write NAME HEXKEY, for example `release 3b6a27bc...`"));
            };
            let key = Self::new(name, key).map_err(|reason| format!("line {number}: {reason}"))?;
            if keys.iter().any(|known| known.name == key.name) {
                return Err(format!("line {number}: the name `{name}` is there twice; give each key its own"));
            }
            keys.push(key);
        }
        Ok(keys)
    }
}

/// Something that a plugin may do, by the name that the operator knows it under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(&'static str);

/// All capabilities: the worlds, what is imported, the hooks, and what becomes of records.
const CAPABILITIES: &[&str] = &[
    "transform",
    "interceptor",
    "partitioner",
    "log",
    "metrics",
    "state",
    "emit",
    "clock",
    "random",
    "on-send",
    "on-acknowledgement",
    "on-consume",
    "on-commit",
    "reads-key",
    "reads-value",
    "reads-headers",
    "writes-key",
    "writes-value",
    "writes-headers",
    "drops",
];

impl Capability {
    /// The capability of that name.
    ///
    /// # Errors
    /// The names that there are.
    pub fn new(name: &str) -> Result<Self, String> {
        match CAPABILITIES.iter().find(|known| **known == name) {
            Some(known) => Ok(Self(known)),
            None => Err(format!("`{name}` is no capability; there are: {}", CAPABILITIES.join(", "))),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Everything that a module may do. A flat module names no imports one by one, so it may do whatever its world grants.
pub fn capabilities(facts: &ModuleFacts) -> BTreeSet<Capability> {
    let kind = match facts.kind {
        PluginKind::Transform => "transform",
        PluginKind::Interceptor => "interceptor",
        PluginKind::Partitioner => "partitioner",
    };
    let mut found: BTreeSet<&'static str> = BTreeSet::from([kind]);
    found.extend(facts.imports.iter().filter_map(|import| Capability::new(import).ok()).map(Capability::name));
    if facts.abi == Abi::Flat {
        found.extend(["log", "metrics"]);
        match facts.kind {
            PluginKind::Transform => found.extend(["state"]),
            PluginKind::Interceptor => found.extend(["state", "emit", "clock", "random"]),
            PluginKind::Partitioner => {}
        }
    }
    if let Some(wants) = &facts.wants {
        found.extend(wants.hooks.iter().map(Hook::name));
        found.extend(parts(["reads-key", "reads-value", "reads-headers"], wants.reads));
        found.extend(parts(["writes-key", "writes-value", "writes-headers"], wants.writes));
        found.extend(wants.drops.then_some("drops"));
    }
    if let Some(reads) = facts.reads {
        found.extend(parts(["reads-key", "reads-value", "reads-headers"], reads));
    }
    found.into_iter().filter_map(|name| Capability::new(name).ok()).collect()
}

fn parts(names: [&'static str; 3], parts: Parts) -> impl Iterator<Item = &'static str> {
    names.into_iter().zip([parts.key, parts.value, parts.headers]).filter(|(_, has)| *has).map(|(name, _)| name)
}

/// Why a plugin is not taken, or does not run. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// As many plugins as there may be.
    #[error(
        "there are {limit} plugins already (`pelton.plugin.max.count`); delete those that nobody uses \
         (`pelton plugin delete NAME@VERSION`), or raise the limit"
    )]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// As many bytes as there may be.
    #[error(
        "the plugins have {used} bytes and this one {size_bytes} more; the limit is {limit} \
         (`pelton.plugin.max.total.bytes`): delete plugins that nobody uses, or raise the limit"
    )]
    TooLarge {
        /// Bytes of all modules that are kept.
        used: u64,
        /// Bytes of this one.
        size_bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Nothing signs it.
    #[error(
        "{plugin} is not signed, and this broker runs signed plugins only (`pelton.plugin.signatures`=require); sign it: \
         `pelton plugin upload {plugin} FILE --key PRIVATE_KEY_FILE`"
    )]
    Unsigned {
        /// The plugin.
        plugin: PluginRef,
    },
    /// The signature is right, and nobody trusts its key.
    #[error(
        "{plugin} is signed by a key that is not trusted here; sign it with a trusted one ({known}), or add its public key \
         to the file that `pelton.plugin.trusted.keys` names"
    )]
    Untrusted {
        /// The plugin.
        plugin: PluginRef,
        /// Names of the trusted keys.
        known: String,
    },
    /// The signature is wrong.
    #[error(
        "the signature of {plugin} is not right ({reason}); it must cover the text `{text}`: sign these very bytes under this \
         name and version"
    )]
    BadSignature {
        /// The plugin.
        plugin: PluginRef,
        /// What is wrong.
        reason: String,
        /// What must be signed.
        text: String,
    },
    /// What it says of itself cannot be kept.
    #[error("{0}")]
    BadProvenance(String),
    /// It may do what the operator forbids.
    #[error(
        "{plugin} has the capability {found}, which this broker refuses (`pelton.plugin.forbid`); build it without, or take it \
         off the list"
    )]
    Forbidden {
        /// The plugin.
        plugin: PluginRef,
        /// Names of the capabilities.
        found: String,
    },
}

impl Policy {
    /// Whether a plugin with these facts and this signature may run: the name of the trusted key that signed it, if one
    /// did.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn admit(
        &self,
        plugin: &PluginRef,
        digest: &str,
        facts: &ModuleFacts,
        provenance: &Provenance,
    ) -> Result<Option<String>, PolicyError> {
        let signed_by = self.signer(plugin, digest, provenance)?;
        let found: Vec<&str> =
            capabilities(facts).intersection(&self.forbid).map(|capability| capability.name()).collect();
        if !found.is_empty() {
            return Err(PolicyError::Forbidden { plugin: plugin.clone(), found: found.join(", ") });
        }
        Ok(signed_by)
    }

    /// Who signed it, as far as the operator knows. Asked before a module is compiled, so that what nobody signed is
    /// not even looked at.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn signer(
        &self,
        plugin: &PluginRef,
        digest: &str,
        provenance: &Provenance,
    ) -> Result<Option<String>, PolicyError> {
        let text = signed_text(plugin, digest);
        let bad = |reason: String| PolicyError::BadSignature { plugin: plugin.clone(), reason, text: text.clone() };
        let stated = provenance.public_key.as_deref().map(public_key_of).transpose().map_err(&bad)?;
        let Some(signature) = &provenance.signature else {
            return match (stated, self.signatures) {
                (Some(_), _) => Err(bad("a public key without a signature".to_owned())),
                (None, Signatures::Require) => Err(PolicyError::Unsigned { plugin: plugin.clone() }),
                (None, Signatures::Allow) => Ok(None),
            };
        };
        let signature = signature_of(signature).map_err(&bad)?;
        let right = |key: &VerifyingKey| key.verify_strict(text.as_bytes(), &signature).is_ok();
        if stated.as_ref().is_some_and(|key| !right(key)) {
            return Err(bad("the public key that came with it does not fit".to_owned()));
        }
        let named = self.trusted.iter().find(|trusted| right(&trusted.key));
        match (named, stated, self.signatures) {
            (Some(trusted), ..) => Ok(Some(trusted.name.clone())),
            (None, Some(_), Signatures::Allow) => Ok(None),
            (None, Some(_), Signatures::Require) => {
                let names: Vec<&str> = self.trusted.iter().map(|trusted| trusted.name.as_str()).collect();
                let known = if names.is_empty() { "there is none yet".to_owned() } else { names.join(", ") };
                Err(PolicyError::Untrusted { plugin: plugin.clone(), known })
            }
            (None, None, _) => Err(bad("no trusted key made it, and no public key came with it".to_owned())),
        }
    }

    /// Whether there is room for one more plugin of `size_bytes` beside those that are there. Bytes that one of them has
    /// already take no room.
    ///
    /// # Errors
    /// [`PolicyError::TooMany`], [`PolicyError::TooLarge`].
    pub fn room<'a>(
        &self,
        there: impl Iterator<Item = &'a PluginManifest>,
        digest: &str,
        size_bytes: u64,
    ) -> Result<(), PolicyError> {
        let (mut count, mut used, mut digests) = (0usize, 0u64, BTreeSet::new());
        for manifest in there {
            count += 1;
            if digests.insert(manifest.digest.as_str()) {
                used = used.saturating_add(manifest.size_bytes);
            }
        }
        if count >= self.max_count {
            return Err(PolicyError::TooMany { limit: self.max_count });
        }
        if !digests.contains(digest) && used.saturating_add(size_bytes) > self.max_total_bytes {
            return Err(PolicyError::TooLarge { used, size_bytes, limit: self.max_total_bytes });
        }
        Ok(())
    }
}

/// Whether what an upload says of itself can be kept: bounded, and fit to be shown.
///
/// # Errors
/// [`PolicyError::BadProvenance`].
pub fn check_provenance(provenance: &Provenance) -> Result<(), PolicyError> {
    let bad = |text: String| Err(PolicyError::BadProvenance(text));
    if let Some(author) = &provenance.author
        && (author.is_empty() || author.len() > AUTHOR_MAX_BYTES || author.chars().any(char::is_control))
    {
        return bad(format!("the author must be 1 to {AUTHOR_MAX_BYTES} bytes without control characters"));
    }
    if let Some(digest) = &provenance.source_digest
        && bytes_of::<32>(digest).is_none()
    {
        return bad("the source digest must be a SHA-256, as 64 hexadecimal digits".to_owned());
    }
    Ok(())
}

fn public_key_of(text: &str) -> Result<VerifyingKey, String> {
    let bytes = bytes_of::<32>(text).ok_or("a public key is 64 hexadecimal digits")?;
    match VerifyingKey::from_bytes(&bytes) {
        Ok(key) if !key.is_weak() => Ok(key),
        _ => Err("the public key is none of Ed25519; `pelton plugin keygen FILE` makes one".to_owned()),
    }
}

fn signature_of(text: &str) -> Result<Signature, String> {
    let bytes = bytes_of::<64>(text).ok_or("a signature is 128 hexadecimal digits")?;
    Ok(Signature::from_bytes(&bytes))
}

fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
