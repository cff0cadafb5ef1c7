//! The settings that decisions depend on, under Kafka's names. `broker/node` fills them from its configuration.

use pelton_record::{Codec, TimestampType};
use std::collections::BTreeMap;

/// Settings of one broker's core. Defaults are Kafka's unless a comment says why not.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// `broker.id` / `node.id`: the id of this node, which leads everything.
    pub node_id: i32,
    /// `num.partitions`: partitions of a topic that is created without a number.
    pub num_partitions: i32,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_partitions: i32,
    /// `transaction.state.log.num.partitions`.
    pub transaction_topic_partitions: i32,
    /// `message.max.bytes`: the largest batch, compressed. A topic's `max.message.bytes` goes before.
    pub message_max_bytes: i32,
    /// `group.min.session.timeout.ms`.
    pub group_min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub group_max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long a first rebalance waits for more members.
    pub group_initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub group_max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds: how long offsets are kept once nobody uses the group.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`: how often offsets and groups that nobody uses are looked for.
    pub offsets_retention_check_interval_ms: i64,
    /// `transaction.max.timeout.ms`.
    pub transaction_max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`: a transactional id that was idle for this long is forgotten.
    pub transactional_id_expiration_ms: i64,
    /// Whether an acknowledgement waits for fdatasync (`durability=fsync`, the default) or for the write
    /// alone (`durability=replicated`, Kafka's default behaviour). A topic's `durability` goes before.
    pub fsync: bool,
    /// `min.insync.replicas`: as many must have a record before acks=all is given. A topic's goes before.
    pub min_insync_replicas: i32,
    /// `log.cleanup.policy`. A topic's `cleanup.policy` goes before.
    pub cleanup_policy: CleanupPolicy,
    /// `log.message.timestamp.type`. A topic's `message.timestamp.type` goes before, and so on for the next ones.
    pub message_timestamp_type: TimestampType,
    /// `log.message.timestamp.before.max.ms`.
    pub message_timestamp_before_max_ms: i64,
    /// `log.message.timestamp.after.max.ms`.
    pub message_timestamp_after_max_ms: i64,
    /// `compression.type`; `None` is Kafka's `producer`.
    pub compression: Option<Codec>,
    /// `compression.gzip.level`; `None` is gzip's own default.
    pub gzip_level: Option<i32>,
    /// `compression.zstd.level`.
    pub zstd_level: i32,
    /// `log.flush.interval.messages`: unsynced records after which a write is synced.
    pub flush_interval_messages: i64,
    /// `log.flush.interval.ms`: how long a record may stay unsynced, in milliseconds. `None`: no limit.
    pub flush_interval_ms: Option<i64>,
    /// The most bytes that the records of one batch may take when a rule makes the broker decompress them.
    pub decompressed_max_bytes: usize,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            node_id: 1,
            num_partitions: 1,
            offsets_topic_partitions: 50,
            transaction_topic_partitions: 50,
            message_max_bytes: 1_048_588,
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            group_initial_rebalance_delay_ms: 3_000,
            group_max_size: usize::MAX,
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1000,
            offsets_retention_check_interval_ms: 10 * 60 * 1000,
            transaction_max_timeout_ms: 900_000,
            transactional_id_expiration_ms: 7 * 24 * 60 * 60 * 1000,
            fsync: true,
            min_insync_replicas: 1,
            cleanup_policy: CleanupPolicy::default(),
            message_timestamp_type: TimestampType::Create,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: 3_600_000,
            compression: None,
            gzip_level: None,
            zstd_level: 3,
            flush_interval_messages: i64::MAX,
            flush_interval_ms: None,
            decompressed_max_bytes: 64 << 20,
        }
    }
}

/// `cleanup.policy`: what becomes of old records. Both may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Segments go by age and size.
    pub delete: bool,
    /// Of the records of one key only the last stays.
    pub compact: bool,
}

impl Default for CleanupPolicy {
    fn default() -> Self {
        Self { delete: true, compact: false }
    }
}

impl CleanupPolicy {
    /// Reads `delete`, `compact`, or both separated by a comma.
    pub fn parse(text: &str) -> Option<Self> {
        let mut policy = Self { delete: false, compact: false };
        for word in text.split(',') {
            match word.trim() {
                "delete" => policy.delete = true,
                "compact" => policy.compact = true,
                _ => return None,
            }
        }
        Some(policy)
    }

    /// The policy of a topic with these configs, where the broker's is `default`. Values were checked when they were set;
    /// one that does not parse is as good as none.
    pub fn of(topic_config: &BTreeMap<String, String>, default: Self) -> Self {
        topic_config.get("cleanup.policy").and_then(|policy| Self::parse(policy)).unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_a_topic_goes_before_the_brokers() {
        let compacted = CleanupPolicy { delete: false, compact: true };
        let topic = |policy: &str| BTreeMap::from([("cleanup.policy".to_owned(), policy.to_owned())]);
        assert_eq!(
            CleanupPolicy::of(&topic("compact, delete"), compacted),
            CleanupPolicy { delete: true, compact: true }
        );
        assert_eq!(CleanupPolicy::of(&topic("delete"), compacted), CleanupPolicy::default());
        assert_eq!(CleanupPolicy::of(&BTreeMap::new(), compacted), compacted);
        for wrong in ["", "compress", "delete,,compact"] {
            assert_eq!(CleanupPolicy::parse(wrong), None, "{wrong}");
        }
    }
}
