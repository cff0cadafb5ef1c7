//! Records that were sent before are taken away: each id passes once.
//!
//! An id is the record's key, one of its headers, or a field of its JSON value. Of each partition the last ids are
//! remembered (`remember`, 10,000 unless said otherwise) in the plugin's state in the broker's memory.
//!
//! It relies on what the state of an interceptor is: batches of one partition come one by one, and what is put into
//! the state while a batch is sent is kept only when that batch is appended. So an id counts as seen exactly when its record
//! lies in the log. A batch that is refused may be sent again, and passes.
//!
//! What it does not do: remember across a restart of the broker (a producer's own retries are Kafka's idempotence, which
//! does), or across partitions (records of one id have one key, or a partitioner that brings them together).

mod ring;
#[cfg(test)]
mod tests;

use pelton_sdk::json::{self, Path};
use pelton_sdk::prelude::*;
use ring::{Id, Ring};

/// The plugin.
pub struct Dedup {
    by: By,
    without: Without,
    ring: Ring,
}

/// Its configuration.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// What the id is: `"key"`, `{"header": "NAME"}` or `{"field": "PATH"}`.
    #[serde(default)]
    by: By,
    /// How many ids of each partition are remembered.
    #[serde(default = "ten_thousand")]
    remember: u32,
    /// What becomes of a record without id.
    #[serde(default)]
    without: Without,
}

fn ten_thousand() -> u32 {
    10_000
}

/// What the id of a record is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "lowercase")]
enum By {
    #[default]
    Key,
    Header(String),
    /// A field of the value. A string counts as what it says, anything else as it is written.
    Field(Path),
}

/// What becomes of a record without id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "lowercase")]
enum Without {
    #[default]
    Pass,
    Reject,
}

impl Interceptor for Dedup {
    type Config = Config;

    fn wants() -> Wants {
        Wants::new().on_send().reads_key().reads_value().reads_headers().drops()
    }

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self { by: config.by, without: config.without, ring: Ring::new(config.remember)? })
    }

    fn on_send(&mut self, _from: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        let mut identified = Vec::new();
        let mut ids = Vec::new();
        for record in batch {
            match self.id(&record)? {
                Some(id) => {
                    identified.push(record);
                    ids.push(id);
                }
                None if self.without == Without::Reject => out.reject(&record, self.by.missing()),
                None => {}
            }
        }
        let mut dropped = metrics::counter("dropped_total", &[]);
        for (record, new) in identified.iter().zip(self.ring.admit(&ids)?) {
            if !new {
                out.drop(record);
                dropped.add(1);
            }
        }
        Ok(())
    }
}

impl Dedup {
    fn id(&self, record: &Record<'_>) -> Result<Option<Id>, String> {
        Ok(match &self.by {
            By::Key => record.key().map(Id::new),
            By::Header(name) => record.header(name)?.map(Id::new),
            By::Field(path) => {
                let found = record.value().and_then(|value| json::find(value, path).ok().flatten());
                found.filter(|field| field.get() != "null").map(|field| Id::new(json::text(field).as_bytes()))
            }
        })
    }
}

impl By {
    fn missing(&self) -> String {
        match self {
            Self::Key => "no id: the key is null".to_owned(),
            Self::Header(name) => format!("no id: no header `{name}`"),
            Self::Field(_) => "no id: the value is no JSON document with that field".to_owned(),
        }
    }
}

pelton_sdk::export_interceptor!(Dedup);
