//! What a topic's configs mean for the logs of its partitions.

use pelton_log::LogConfig;
use std::collections::BTreeMap;

/// The settings of a log: the topic's where it sets them, the broker's otherwise. Values were checked when they
/// were set; one that does not parse is as good as none.
pub fn log_config(defaults: &LogConfig, configs: &BTreeMap<String, String>) -> LogConfig {
    let number = |name: &str| configs.get(name).and_then(|value| value.trim().parse::<i64>().ok());
    let size = |name: &str, default: u32| {
        number(name).and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default)
    };
    // -1 is Kafka's word for no limit.
    let limit = |name: &str, default: Option<i64>| match number(name) {
        Some(value) => (value >= 0).then_some(value),
        None => default,
    };
    let retention_bytes =
        limit("retention.bytes", defaults.retention_bytes.and_then(|bytes| i64::try_from(bytes).ok()));
    LogConfig {
        segment_bytes: size("segment.bytes", defaults.segment_bytes),
        segment_ms: limit("segment.ms", defaults.segment_ms),
        index_interval_bytes: size("index.interval.bytes", defaults.index_interval_bytes),
        segment_index_bytes: size("segment.index.bytes", defaults.segment_index_bytes),
        retention_bytes: retention_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
        retention_ms: limit("retention.ms", defaults.retention_ms),
        compact: has_policy(configs, "compact"),
        ..defaults.clone()
    }
}

/// Whether retention may delete segments of the topic: its `cleanup.policy` holds `delete`, and not `compact`
/// as well, since nothing has compacted what would go.
pub fn deletes(configs: &BTreeMap<String, String>) -> bool {
    !configs.contains_key("cleanup.policy") || (has_policy(configs, "delete") && !has_policy(configs, "compact"))
}

fn has_policy(configs: &BTreeMap<String, String>, policy: &str) -> bool {
    configs.get("cleanup.policy").is_some_and(|value| value.split(',').any(|word| word.trim() == policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_topic_overrides_the_broker_and_minus_one_is_no_limit() {
        let defaults = LogConfig { retention_bytes: Some(7), ..LogConfig::default() };
        let config = log_config(&defaults, &configs(&[("retention.ms", "-1"), ("segment.bytes", "1024")]));
        assert_eq!((config.retention_ms, config.segment_bytes, config.retention_bytes), (None, 1024, Some(7)));
        assert_eq!(log_config(&defaults, &configs(&[("retention.bytes", "-1")])).retention_bytes, None);
    }

    #[test]
    fn only_what_is_not_compacted_is_deleted_from() {
        assert!(deletes(&configs(&[])));
        assert!(deletes(&configs(&[("cleanup.policy", "delete")])));
        assert!(!deletes(&configs(&[("cleanup.policy", "compact")])));
        assert!(!deletes(&configs(&[("cleanup.policy", "compact, delete")])));
    }
}
