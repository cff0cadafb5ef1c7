//! How long records take from their producer to their consumers, without a change to either.
//!
//! On the way out it measures the broker's time of day less the time at which a record was sent, and hands the
//! differences to the histogram `end_to_end_seconds`, with the topic and the consumer's client id as labels: one call a
//! batch. When a record was sent, one of two sources tells:
//!
//! - `timestamp` (the default): the record's own timestamp, which every producer writes. Nothing is rewritten, and the
//!   batches stay as their producers made them. It is the producer's clock.
//! - `header`: on the way in, a header with the broker's time of day is added to each record, where the producer
//!   has not written one itself. It holds where timestamps mean something else (event time), and is one clock for all producers; the
//!   price is that every batch is written anew, and compressed anew, on its way in.
//!
//! A difference below zero is a clock that goes ahead: it is observed as zero, and counted in `clock_ahead_total`.
//!
//! Not here: how long a consumer takes after it was answered, which no broker knows.

use pelton_sdk::prelude::*;

#[cfg(test)]
mod tests;

/// The plugin.
pub struct Latency {
    config: Config,
}

/// Its configuration.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields, default)]
pub struct Config {
    /// What tells when a record was sent.
    source: Source,
    /// Name of the header, with the source `header`: milliseconds since the Unix epoch, in decimal digits.
    header: String,
    /// Whether consumers get the records without the header.
    strip: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { source: Source::Timestamp, header: "pelton.sent-at-ms".to_owned(), strip: false }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "lowercase")]
enum Source {
    Timestamp,
    Header,
}

impl Interceptor for Latency {
    type Config = Config;

    fn wants() -> Wants {
        Wants::new().on_send().on_consume().writes_headers()
    }

    fn configure(config: Config) -> Result<Self, String> {
        if config.header.is_empty() {
            return Err("`header` is empty; leave it out for pelton.sent-at-ms".to_owned());
        }
        if config.strip && config.source == Source::Timestamp {
            return Err("`strip` takes the header away, which is written with \"source\": \"header\" only".to_owned());
        }
        Ok(Self { config })
    }

    fn on_send(&mut self, _from: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        if self.config.source == Source::Header {
            let now = clock::now_ms().to_string();
            for record in batch {
                if record.header(&self.config.header)?.is_none() {
                    out.set_header(&record, &self.config.header, &now)?;
                }
            }
        }
        Ok(())
    }

    fn on_consume(&mut self, to: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        let now_ms = clock::now_ms();
        let labels = [("client", to.client_id.as_str())];
        let mut seconds = metrics::histogram("end_to_end_seconds", &labels);
        let mut ahead = metrics::counter("clock_ahead_total", &labels);
        for record in batch {
            let Some(sent_at_ms) = self.sent_at_ms(&record)? else { continue };
            let took_ms = now_ms.saturating_sub(sent_at_ms);
            ahead.add(u64::from(took_ms < 0));
            seconds.observe(took_ms.max(0) as f64 / 1000.0);
            if self.config.strip {
                out.remove_header(&record, &self.config.header)?;
            }
        }
        Ok(())
    }
}

impl Latency {
    /// When the record was sent; `None` when nothing tells.
    fn sent_at_ms(&self, record: &Record<'_>) -> Result<Option<i64>, String> {
        match self.config.source {
            Source::Timestamp => Ok(Some(record.timestamp_ms()).filter(|&sent| sent >= 0)),
            Source::Header => {
                let value = record.header(&self.config.header)?;
                Ok(value
                    .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
                    .filter(|&sent: &i64| sent >= 0))
            }
        }
    }
}

pelton_sdk::export_interceptor!(Latency);
