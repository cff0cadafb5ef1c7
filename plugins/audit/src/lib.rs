//! Who sent, who read and who committed, and when: one JSON record for each batch, to a topic of its own.
//!
//! - `sent`, when the broker has answered for a batch: from which offset on, how many records, or why it was refused;
//! - `read`, when a batch leaves to a consumer: which offsets. A consumer that reads a batch twice is written down twice;
//! - `committed`, when a group has committed: the next offset that it will read. One record for each partition.
//!
//! The key of a record is `TOPIC-PARTITION`, so what happened to one partition stands in one order. What a client asked
//! for waits until its record is durable: nothing is read, sent or committed that is not written down. It reads no key,
//! value or header.
//!
//! Attached to the topic it writes to, it writes nothing there about that topic, or each record would need a next.

use pelton_sdk::prelude::*;
use serde::Serialize;

#[cfg(test)]
mod tests;

/// The plugin.
pub struct Audit {
    topic: String,
}

/// Its configuration.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// The topic that is written to. The operator grants it in `pelton.plugin.audit.emit`.
    #[serde(default = "audit_log")]
    topic: String,
}

fn audit_log() -> String {
    "audit-log".to_owned()
}

/// A record of the audit topic. Members that an event does not have are left out.
#[derive(Debug, Default, Serialize)]
struct Event<'a> {
    event: &'static str,
    /// Milliseconds since the Unix epoch.
    at_ms: i64,
    principal: &'a str,
    client_id: &'a str,
    client_address: &'a str,
    topic: &'a str,
    partition: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'a str>,
    /// The next offset that the group will read.
    #[serde(skip_serializing_if = "Option::is_none")]
    committed_offset: Option<i64>,
    /// Whether the offset takes effect only when a transaction commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    transactional: Option<bool>,
}

impl Interceptor for Audit {
    type Config = Config;

    fn wants() -> Wants {
        Wants::new().on_acknowledgement().on_consume().on_commit()
    }

    fn configure(config: Config) -> Result<Self, String> {
        if config.topic.is_empty() {
            return Err("`topic` is empty; leave it out for audit-log".to_owned());
        }
        Ok(Self { topic: config.topic })
    }

    fn on_acknowledgement(&mut self, from: &Origin, acknowledged: &Acknowledgement) -> Result<(), String> {
        let first = Some(acknowledged.base_offset).filter(|&offset| offset >= 0);
        let count = i64::from(acknowledged.record_count);
        self.write([Event {
            event: "sent",
            at_ms: acknowledged.at_ms,
            first_offset: first,
            last_offset: first.filter(|_| count > 0).map(|first| first.saturating_add(count - 1)),
            record_count: Some(count),
            error: acknowledged.error.as_deref(),
            ..Event::of(from)
        }])
    }

    fn on_consume(&mut self, to: &Origin, batch: Batch<'_>, _out: &mut Verdict) -> Result<(), String> {
        self.write([Event {
            event: "read",
            at_ms: clock::now_ms(),
            first_offset: Some(batch.base_offset()),
            last_offset: Some(batch.last_offset()),
            record_count: Some(batch.len() as i64),
            ..Event::of(to)
        }])
    }

    fn on_commit(&mut self, committed: &Commit) -> Result<(), String> {
        let at_ms = clock::now_ms();
        self.write(committed.offsets.iter().map(|&(partition, offset)| Event {
            event: "committed",
            at_ms,
            principal: &committed.principal,
            client_id: &committed.client_id,
            client_address: &committed.client_address,
            topic: &committed.topic,
            partition,
            group: Some(&committed.group),
            member: Some(&committed.member),
            committed_offset: Some(offset),
            transactional: Some(committed.transactional),
            ..Event::default()
        }))
    }
}

impl<'a> Event<'a> {
    fn of(origin: &'a Origin) -> Self {
        Self {
            principal: &origin.principal,
            client_id: &origin.client_id,
            client_address: &origin.client_address,
            topic: &origin.topic,
            partition: origin.partition,
            ..Self::default()
        }
    }
}

impl Audit {
    fn write<'a>(&self, events: impl IntoIterator<Item = Event<'a>>) -> Result<(), String> {
        let mut failed = None;
        emit::batch(&self.topic, |batch| {
            for event in events.into_iter().filter(|event| event.topic != self.topic) {
                match serde_json::to_vec(&event) {
                    Ok(value) => batch.record(event.at_ms, format!("{}-{}", event.topic, event.partition), value),
                    Err(error) => failed = Some(error.to_string()),
                }
            }
        })?;
        failed.map_or(Ok(()), Err)
    }
}

pelton_sdk::export_interceptor!(Audit);
