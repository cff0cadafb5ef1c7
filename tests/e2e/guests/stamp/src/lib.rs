//! Writes the text of its configuration into the header `stamp` of every record that is sent, so that a test sees which
//! version a record went through.

use pelton_sdk::prelude::*;

/// The plugin.
pub struct Stamp {
    text: String,
}

/// What is written.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Config {
    text: String,
}

impl Interceptor for Stamp {
    type Config = Config;

    fn wants() -> Wants {
        Wants::new().on_send().reads_key().reads_value().reads_headers().writes_headers()
    }

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self { text: config.text })
    }

    fn on_send(&mut self, _from: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        for record in batch {
            out.set_header(&record, "stamp", self.text.as_str())?;
        }
        Ok(())
    }
}

pelton_sdk::export_interceptor!(Stamp);
