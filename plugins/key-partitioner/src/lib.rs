//! Records that belong together meet in one partition: by the key, or by a part of the record, whatever language
//! their producers are written in.
//!
//! The part is the whole key, the key up to a delimiter (`customer/order`), or a field of a JSON key or value. It is hashed as
//! Java's clients hash keys (murmur2), or as librdkafka's do (CRC-32). Where a record does not have the part (no delimiter, no
//! JSON, no such field), its whole key is hashed; where it has no key either, any partition will do.
//!
//! A string field counts as what it says, anything else as it is written: `"7"` and `7` meet, `7` and `7.0` do not.

use pelton_sdk::json::{self, Path};
use pelton_sdk::partition::{keyed_crc32, keyed_murmur2};
use pelton_sdk::prelude::*;
use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// The plugin.
pub struct KeyPartitioner {
    by: By,
    hash: Hash,
}

/// Its configuration.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// The part: `"key"`, `{"key-until": "/"}`, `{"key-field": "PATH"}` or `{"value-field": "PATH"}`.
    #[serde(default)]
    by: By,
    #[serde(default)]
    hash: Hash,
}

/// The part of a record that decides.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "kebab-case")]
enum By {
    #[default]
    Key,
    KeyUntil(String),
    KeyField(Path),
    ValueField(Path),
}

/// How the part becomes a number.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "lowercase")]
enum Hash {
    /// Java's `DefaultPartitioner`.
    #[default]
    Murmur2,
    /// librdkafka's `consistent`.
    Crc32,
}

impl Partitioner for KeyPartitioner {
    type Config = Config;

    fn reads() -> Parts {
        Parts::none().key().value()
    }

    fn configure(config: Config) -> Result<Self, String> {
        if matches!(&config.by, By::KeyUntil(delimiter) if delimiter.is_empty()) {
            return Err("`key-until` is empty; write the text that ends the part, as {\"key-until\": \"/\"}".to_owned());
        }
        Ok(Self { by: config.by, hash: config.hash })
    }

    fn partition(&mut self, record: &Record<'_>, _topic: &str, partitions: i32) -> Option<i32> {
        let part = self.part(record).or(record.key().map(Cow::Borrowed))?;
        Some(match self.hash {
            Hash::Murmur2 => keyed_murmur2(&part, partitions),
            Hash::Crc32 => keyed_crc32(&part, partitions),
        })
    }
}

impl KeyPartitioner {
    fn part<'a>(&self, record: &Record<'a>) -> Option<Cow<'a, [u8]>> {
        match &self.by {
            By::Key => record.key().map(Cow::Borrowed),
            By::KeyUntil(delimiter) => {
                let key = record.key()?;
                let end = key.windows(delimiter.len()).position(|window| window == delimiter.as_bytes())?;
                Some(Cow::Borrowed(&key[..end]))
            }
            By::KeyField(path) => field(record.key()?, path),
            By::ValueField(path) => field(record.value()?, path),
        }
    }
}

fn field<'a>(document: &'a [u8], path: &Path) -> Option<Cow<'a, [u8]>> {
    let found = json::find(document, path).ok()??;
    match json::text(found) {
        _ if found.get() == "null" => None,
        Cow::Borrowed(text) => Some(Cow::Borrowed(text.as_bytes())),
        Cow::Owned(text) => Some(Cow::Owned(text.into_bytes())),
    }
}

pelton_sdk::export_partitioner!(KeyPartitioner);
