//! What may be appended to a topic, and when it is made durable: the topic's configs, in the words of decisions.
//!
//! What it does: it reads the configs of appending, the topic's own before the broker's, and judges the records of
//! one batch by them as Kafka's `LogValidator` does. What it does not do: it decompresses and writes nothing; whoever has
//! the records shows them. Values were checked when they were set; one that does not parse is as good as none.
//!
//! Source: <https://kafka.apache.org/documentation/#topicconfigs>, KIP-467 (record errors), KIP-937 (timestamps).

use crate::config::{CleanupPolicy, CoreConfig};
use crate::model::{Timestamp, TopicPartition};
use crate::refusal::Refusal;
use pelton_record::{BatchHeader, BatchView, Codec, NO_TIMESTAMP, TimestampType};
use std::collections::BTreeMap;

/// Records of one batch that a refusal names; the message says how many there are.
pub const MAX_RECORD_ERRORS: usize = 1_000;
/// Records that the message itself describes.
const SHOWN_ERRORS: usize = 3;

/// What a batch of a client must be like to be appended, and what is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendRules {
    /// `max.message.bytes`: the largest batch, as it comes and as it is kept.
    pub max_message_bytes: i32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a record may lie behind the broker's clock.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far a record may lie ahead of the broker's clock.
    pub timestamp_after_max_ms: i64,
    /// Whether `cleanup.policy` holds `compact`: then every record needs a key.
    pub compacted: bool,
    /// `compression.type`: the codec in which batches are kept; `None` keeps the producer's.
    pub compression: Option<Codec>,
    /// The level of that codec; `None` is its own default.
    pub compression_level: Option<i32>,
    /// The most bytes that the records of a batch may take when they have to be decompressed.
    pub decompressed_max_bytes: usize,
}

/// When the high watermark of a partition may pass what was written, and what is synced beside that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurabilityRules {
    /// `durability=fsync`: the high watermark waits for fdatasync.
    pub synced: bool,
    /// `flush.messages`: a write that makes it this many unsynced records is synced before it is acknowledged.
    pub flush_messages: i64,
    /// `flush.ms`: no record stays unsynced for longer, in milliseconds. `None`: as long as the operating system likes.
    pub flush_ms: Option<i64>,
    /// `min.insync.replicas`: as many must have a record before acks=all is given, and there is only this one.
    pub min_insync_replicas: i32,
}

/// Why a batch is refused for its records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct RecordErrors {
    /// For the batch.
    pub refusal: Refusal,
    /// Records by their index in the batch, with reasons; at most [`MAX_RECORD_ERRORS`]. Empty where it is not a
    /// record's fault.
    pub records: Vec<(i32, String)>,
}

impl From<Refusal> for RecordErrors {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, records: Vec::new() }
    }
}

impl AppendRules {
    /// The rules of a topic with these configs.
    pub fn of(config: &CoreConfig, topic_config: &BTreeMap<String, String>) -> Self {
        let number = |name: &str| topic_config.get(name).and_then(|value| value.trim().parse::<i64>().ok());
        let level = |name: &str| topic_config.get(name).and_then(|value| value.trim().parse::<i32>().ok());
        let compression =
            topic_config.get("compression.type").map_or(config.compression, |name| compression_named(name.trim()));
        Self {
            max_message_bytes: number("max.message.bytes")
                .and_then(|bytes| i32::try_from(bytes).ok())
                .unwrap_or(config.message_max_bytes),
            timestamp_type: match topic_config.get("message.timestamp.type").map(|value| value.trim()) {
                Some("LogAppendTime") => TimestampType::LogAppend,
                Some("CreateTime") => TimestampType::Create,
                _ => config.message_timestamp_type,
            },
            timestamp_before_max_ms: number("message.timestamp.before.max.ms")
                .unwrap_or(config.message_timestamp_before_max_ms),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms")
                .unwrap_or(config.message_timestamp_after_max_ms),
            compacted: CleanupPolicy::of(topic_config, config.cleanup_policy).compact,
            compression,
            compression_level: match compression {
                // -1 is Kafka's word for gzip's own default.
                Some(Codec::Gzip) => level("compression.gzip.level").or(config.gzip_level).filter(|level| *level > 0),
                Some(Codec::Zstd) => Some(level("compression.zstd.level").unwrap_or(config.zstd_level)),
                _ => None,
            },
            decompressed_max_bytes: config.decompressed_max_bytes,
        }
    }

    /// Judges the size of a batch.
    ///
    /// # Errors
    /// [`Refusal::RecordTooLarge`].
    pub fn check_size(&self, bytes: usize) -> Result<(), Refusal> {
        let limit = usize::try_from(self.max_message_bytes).unwrap_or(0);
        if bytes > limit { Err(Refusal::RecordTooLarge) } else { Ok(()) }
    }

    /// Whether a rule cannot be judged by the header alone. The records of a compressed batch are opened only then; those
    /// of others are read in any case.
    pub fn need_records(&self, header: &BatchHeader, now: Timestamp) -> bool {
        let stamped_by_producer = self.timestamp_type == TimestampType::Create;
        self.compacted
            || self.kept_codec(header).is_some()
            || (stamped_by_producer
                && (self.timestamp_before_max_ms < i64::MAX
                    || self.is_out_of_range(header.base_timestamp, now)
                    || self.is_out_of_range(header.max_timestamp, now)))
    }

    /// The codec in which the batch has to be encoded anew; `None` where it is kept as it is. Without records there is
    /// nothing to compress.
    pub fn kept_codec(&self, header: &BatchHeader) -> Option<Codec> {
        let wanted = self.compression?;
        (header.record_count > 0 && header.attributes.codec() != Ok(wanted)).then_some(wanted)
    }

    /// Judges what the header says of timestamps: their type is the topic's to choose.
    ///
    /// # Errors
    /// [`Refusal::InvalidTimestamp`].
    pub fn check_timestamp_type(&self, header: &BatchHeader) -> Result<(), Refusal> {
        if header.attributes.timestamp_type() == TimestampType::Create {
            return Ok(());
        }
        Err(Refusal::InvalidTimestamp("a producer must not set the timestamp type to LogAppendTime".to_owned()))
    }

    /// Judges the records of an uncompressed batch. Gives the largest timestamp among them, [`NO_TIMESTAMP`] where there
    /// is none.
    ///
    /// # Errors
    /// Which records break which rule.
    pub fn check_records(
        &self,
        partition: &TopicPartition,
        batch: &BatchView<'_>,
        now: Timestamp,
    ) -> Result<i64, RecordErrors> {
        let broken = |error: pelton_record::BatchError| Refusal::InvalidRecord(error.to_string());
        let mut found = Found::default();
        let mut newest = NO_TIMESTAMP;
        for (index, record) in batch.records().map_err(broken)?.enumerate() {
            let record = record.map_err(broken)?;
            let timestamp = record.timestamp(batch.header());
            newest = newest.max(timestamp);
            if self.compacted && record.key.is_none() {
                found.note(index, || {
                    format!("Compacted topic cannot accept message without key in topic partition {partition}.")
                });
            } else if self.timestamp_type == TimestampType::Create && self.is_out_of_range(timestamp, now) {
                found.timestamps = true;
                found.note(index, || self.out_of_range(timestamp, index, now));
            }
        }
        found.judge().map(|()| newest)
    }

    fn is_out_of_range(&self, timestamp: i64, now: Timestamp) -> bool {
        if timestamp == NO_TIMESTAMP {
            return false;
        }
        let behind_ms = now.0.saturating_sub(timestamp);
        behind_ms > self.timestamp_before_max_ms || behind_ms.saturating_neg() > self.timestamp_after_max_ms
    }

    fn out_of_range(&self, timestamp: i64, index: usize, now: Timestamp) -> String {
        let earliest = now.0.saturating_sub(self.timestamp_before_max_ms);
        let latest = now.0.saturating_add(self.timestamp_after_max_ms);
        format!(
            "Timestamp {timestamp} of message with offset {index} is out of range. The timestamp should be within \
             [{earliest}, {latest}]"
        )
    }
}

/// Records that break a rule.
#[derive(Default)]
struct Found {
    count: usize,
    timestamps: bool,
    records: Vec<(i32, String)>,
}

impl Found {
    fn note(&mut self, index: usize, why: impl FnOnce() -> String) {
        self.count += 1;
        if self.records.len() < MAX_RECORD_ERRORS {
            self.records.push((i32::try_from(index).unwrap_or(i32::MAX), why()));
        }
    }

    fn judge(self) -> Result<(), RecordErrors> {
        let Self { count, timestamps, records } = self;
        if count == 0 {
            return Ok(());
        }
        let refusal = if timestamps {
            Refusal::InvalidTimestamp("One or more records have been rejected due to invalid timestamp".to_owned())
        } else {
            let shown: Vec<&str> = records.iter().take(SHOWN_ERRORS).map(|(_, why)| why.as_str()).collect();
            Refusal::InvalidRecord(format!(
                "One or more records have been rejected due to {count} record errors in total, and only showing the \
                 first three errors at most: {}",
                shown.join(" ")
            ))
        };
        Err(RecordErrors { refusal, records })
    }
}

impl DurabilityRules {
    /// The rules of a topic with these configs. `internal`: the broker's own topics are always synced.
    pub fn of(config: &CoreConfig, topic_config: &BTreeMap<String, String>, internal: bool) -> Self {
        let number = |name: &str| topic_config.get(name).and_then(|value| value.trim().parse::<i64>().ok());
        let synced = match topic_config.get("durability").map(|value| value.trim()) {
            Some("fsync") => true,
            Some("replicated") => false,
            _ => config.fsync,
        };
        let flush_ms = number("flush.ms").or(config.flush_interval_ms);
        Self {
            synced: synced || internal,
            flush_messages: number("flush.messages").unwrap_or(config.flush_interval_messages).max(1),
            // Kafka's word for never.
            flush_ms: flush_ms.filter(|ms| *ms < i64::MAX),
            // What the broker keeps its own state in can always be written, or no group could go on.
            min_insync_replicas: match internal {
                true => 1,
                false => number("min.insync.replicas")
                    .and_then(|replicas| i32::try_from(replicas).ok())
                    .unwrap_or(config.min_insync_replicas),
            },
        }
    }
}

/// The codec that `compression.type` names; `None` for `producer`.
pub fn compression_named(name: &str) -> Option<Codec> {
    Some(match name {
        "uncompressed" => Codec::None,
        "gzip" => Codec::Gzip,
        "snappy" => Codec::Snappy,
        "lz4" => Codec::Lz4,
        "zstd" => Codec::Zstd,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
