//! Fields of JSON values, masked on their way to consumers who may not see them.
//!
//! The log keeps what the producers sent; whose principal is on the list gets that. Everybody else gets each named field in a masked
//! form, and the rest of the document as it was: numbers keep their digits, members their order.
//!
//! - `redact`: a fixed text takes its place;
//! - `hash`: HMAC-SHA-256 under the salt, the first 16 bytes in hexadecimal. Equal values stay equal, so records can still be
//!   joined and counted;
//! - `last4`: `****` and the last four characters, where there are at least eight; else `****`;
//! - `remove`: the field is taken out.
//!
//! `null` stays `null`, and an object or an array is redacted where it would be hashed or cut. A member that stands in an
//! object twice is masked twice, and a name with escapes is the name it means: no spelling goes around the mask.
//!
//! What is no JSON cannot be masked: it is rejected, unless the configuration says `pass`.
//!
//! Not here: keys and headers. A secret does not belong into a key.

use hmac::{Hmac, Mac};
use pelton_sdk::json::{self, Edit, Path, RawValue};
use pelton_sdk::prelude::*;
use sha2::Sha256;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// The plugin.
pub struct Mask {
    paths: Vec<Path>,
    /// For each path, how it is masked.
    modes: Vec<Mode>,
    allow: Vec<String>,
    salt: Option<Hmac<Sha256>>,
    not_json: NotJson,
    /// What stands in place of a redacted field, as JSON.
    redacted: String,
}

/// Its configuration.
#[derive(Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Paths, and how the field there is masked.
    fields: BTreeMap<String, Mode>,
    /// Principals that see everything: `User:fraud-team`.
    #[serde(default)]
    allow: Vec<String>,
    /// Key of the hashes, at least 16 bytes.
    #[serde(default)]
    salt: Option<String>,
    /// What becomes of a value that is no JSON.
    #[serde(default)]
    not_json: NotJson,
    /// What stands in place of a redacted field.
    #[serde(default = "masked")]
    text: String,
}

fn masked() -> String {
    "[masked]".to_owned()
}

/// How a field is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "lowercase")]
enum Mode {
    Redact,
    Hash,
    Last4,
    Remove,
}

/// What becomes of a value that is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "lowercase")]
enum NotJson {
    #[default]
    Reject,
    Pass,
}

const LEAST_SALT_BYTES: usize = 16;
/// The fewest characters of which `last4` shows four.
const LEAST_SHOWN_CHARS: usize = 8;

impl Interceptor for Mask {
    type Config = Config;

    fn wants() -> Wants {
        Wants::new().on_consume().writes_value().reuse(Reuse::ForPrincipal)
    }

    fn configure(config: Config) -> Result<Self, String> {
        if config.fields.is_empty() {
            return Err("`fields` is empty; name at least one, as {\"user.email\": \"redact\"}".to_owned());
        }
        let hashes = config.fields.values().any(|mode| *mode == Mode::Hash);
        let salt = config.salt.as_deref().filter(|_| hashes);
        if hashes && salt.is_none_or(|salt| salt.len() < LEAST_SALT_BYTES) {
            // Without one, a table of all card numbers undoes the hashes.
            return Err(format!("`hash` needs a `salt` of at least {LEAST_SALT_BYTES} bytes that nobody can guess"));
        }
        let salt = salt.map(|salt| Hmac::new_from_slice(salt.as_bytes()).expect("HMAC takes a key of any length"));
        let paths = config.fields.keys().map(|path| path.parse()).collect::<Result<_, _>>();
        Ok(Self {
            paths: paths.map_err(|error: json::BadPath| error.to_string())?,
            modes: config.fields.into_values().collect(),
            allow: config.allow,
            salt,
            not_json: config.not_json,
            redacted: json::quoted(&config.text),
        })
    }

    fn on_consume(&mut self, to: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        if self.allow.contains(&to.principal) {
            return Ok(());
        }
        for record in batch {
            let Some(value) = record.value() else { continue };
            match json::edit(value, &self.paths, |path, field| self.masked(self.modes[path], field)) {
                Ok(Some(value)) => out.replace_value(&record, value),
                Ok(None) => {}
                Err(_) if self.not_json == NotJson::Pass => {}
                Err(error) => out.reject(&record, format!("the value cannot be masked: {error}")),
            }
        }
        Ok(())
    }
}

impl Mask {
    fn masked(&self, mode: Mode, field: &RawValue) -> Edit {
        let container = field.get().starts_with(['{', '[']);
        match (mode, &self.salt) {
            (Mode::Remove, _) => Edit::Remove,
            _ if field.get() == "null" => Edit::Keep,
            (Mode::Hash, Some(salt)) if !container => {
                let mac = salt.clone().chain_update(json::text(field).as_bytes()).finalize().into_bytes();
                let hex: String = mac[..16].iter().map(|byte| format!("{byte:02x}")).collect();
                Edit::Replace(json::quoted(&hex))
            }
            (Mode::Last4, _) if !container => Edit::Replace(json::quoted(&last4(&json::text(field)))),
            _ => Edit::Replace(self.redacted.clone()),
        }
    }
}

fn last4(text: &str) -> String {
    let chars = text.chars().count();
    let shown = if chars < LEAST_SHOWN_CHARS { 0 } else { 4 };
    let tail: String = text.chars().skip(chars - shown).collect();
    format!("****{tail}")
}

pelton_sdk::export_interceptor!(Mask);
