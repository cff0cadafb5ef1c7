//! The settings of the plugins and of who may change them: the registry's policy and the admin token.

use super::values::Values;
use super::{ConfigError, Secret};
use pelton_registry::Policy;
use pelton_registry::policy::{Capability, Signatures, TrustedKey};
use std::ffi::OsString;

/// This very program, also after another version of it was put in its place.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The program that compiles plugins, with its arguments.
pub(super) fn own_compiler() -> Vec<OsString> {
    let program = match std::path::Path::new(OWN_PROGRAM).exists() {
        true => OsString::from(OWN_PROGRAM),
        false => std::env::current_exe().map_or_else(|_| OsString::from("pelton"), Into::into),
    };
    vec![program, OsString::from("compile-plugin")]
}

/// The shortest token. What is shorter could be guessed.
const TOKEN_MIN_BYTES: usize = 16;

impl Values<'_> {
    /// What the registry lets in.
    pub(super) fn plugin_policy(&self) -> Result<Policy, ConfigError> {
        let signatures = match self.text("pelton.plugin.signatures") {
            "allow" => Signatures::Allow,
            "require" => Signatures::Require,
            _ => return self.refuse("pelton.plugin.signatures", "`allow` (unsigned plugins run too) or `require`"),
        };
        let policy = Policy {
            max_count: self.number("pelton.plugin.max.count", 0..=1_000_000)? as usize,
            max_total_bytes: self.number("pelton.plugin.max.total.bytes", 0..=i64::MAX)? as u64,
            signatures,
            trusted: self.trusted_keys()?,
            forbid: self.forbidden()?,
        };
        if policy.signatures == Signatures::Require && policy.trusted.is_empty() {
            return self.refuse(
                "pelton.plugin.signatures",
                "`require` together with pelton.plugin.trusted.keys, a file that names at least one key: without it no \
                 plugin could run",
            );
        }
        Ok(policy)
    }

    fn trusted_keys(&self) -> Result<Vec<TrustedKey>, ConfigError> {
        const KEY: &str = "pelton.plugin.trusted.keys";
        if !self.has(KEY) {
            return Ok(Vec::new());
        }
        let read = std::fs::read_to_string(self.text(KEY)).map_err(|error| error.to_string());
        match read.and_then(|text| TrustedKey::parse_file(&text)) {
            Ok(keys) => Ok(keys),
            Err(reason) => self.refuse(
                KEY,
                &format!("a file with lines `NAME HEXKEY`, as `pelton plugin keygen` prints them ({reason})"),
            ),
        }
    }

    fn forbidden(&self) -> Result<std::collections::BTreeSet<Capability>, ConfigError> {
        const KEY: &str = "pelton.plugin.forbid";
        let names = self.text(KEY).split(',').map(str::trim).filter(|name| !name.is_empty());
        match names.map(Capability::new).collect() {
            Ok(forbidden) => Ok(forbidden),
            Err(reason) => self.refuse(KEY, &format!("capabilities parted by commas ({reason})")),
        }
    }

    /// The token without which the admin HTTP answers nobody, if there is one.
    pub(super) fn admin_token(&self) -> Result<Option<Secret>, ConfigError> {
        const RIGHT: &str = "at least 16 characters of letters, digits and signs, without spaces; for example the output of \
                             `openssl rand -hex 32`";
        let (key, token) = match (self.has("pelton.admin.token"), self.has("pelton.admin.token.file")) {
            (false, false) => return Ok(None),
            (true, true) => {
                return self.refuse("pelton.admin.token.file", "nothing, as long as pelton.admin.token is set too");
            }
            (true, false) => ("pelton.admin.token", self.text("pelton.admin.token").to_owned()),
            (false, true) => {
                let key = "pelton.admin.token.file";
                match std::fs::read_to_string(self.text(key)) {
                    Ok(text) => (key, text.trim().to_owned()),
                    Err(error) => return self.refuse(key, &format!("a file that holds the token ({error})")),
                }
            }
        };
        if token.len() < TOKEN_MIN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return self.refuse(key, RIGHT);
        }
        Ok(Some(Secret(token)))
    }
}
