//! What a topic's configs mean for the logs of its partitions.

use pelton_core::config::CleanupPolicy;
use pelton_log::LogConfig;
use pelton_log::compaction::CompactionConfig;
use std::collections::BTreeMap;

/// The settings of a log: the topic's where it sets them, the broker's otherwise. Values were checked when they
/// were set; one that does not parse is as good as none. `policy` is the topic's.
pub fn log_config(defaults: &LogConfig, policy: CleanupPolicy, configs: &BTreeMap<String, String>) -> LogConfig {
    let number = |name: &str| configs.get(name).and_then(|value| value.trim().parse::<i64>().ok());
    let size = |name: &str, default: u32| {
        number(name).and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default)
    };
    // -1 is Kafka's word for no limit.
    let limit = |name: &str, default: Option<i64>| match number(name) {
        Some(value) => (value >= 0).then_some(value),
        None => default,
    };
    let compact = policy.compact;
    let compaction = compaction_config(&defaults.compaction, configs);
    // As in Kafka, a segment is closed in time for its records to be compacted.
    let segment_ms = match (limit("segment.ms", defaults.segment_ms), compaction.max_compaction_lag_ms) {
        (Some(segment_ms), Some(lag_ms)) if compact => Some(segment_ms.min(lag_ms)),
        (None, Some(lag_ms)) if compact => Some(lag_ms),
        (segment_ms, _) => segment_ms,
    };
    let retention_bytes =
        limit("retention.bytes", defaults.retention_bytes.and_then(|bytes| i64::try_from(bytes).ok()));
    let segment_bytes = size("segment.bytes", defaults.segment_bytes);
    // Files are always grown ahead of their end, by a part of the segment; with `preallocate` by all of it.
    let (preallocate_min_bytes, preallocate_max_bytes) =
        match configs.get("preallocate").map(|value| value.trim().eq_ignore_ascii_case("true")) {
            Some(true) => (segment_bytes, segment_bytes),
            Some(false) => (LogConfig::default().preallocate_min_bytes, LogConfig::default().preallocate_max_bytes),
            None => (defaults.preallocate_min_bytes, defaults.preallocate_max_bytes),
        };
    LogConfig {
        segment_bytes,
        segment_ms,
        segment_jitter_ms: number("segment.jitter.ms").unwrap_or(defaults.segment_jitter_ms),
        preallocate_min_bytes,
        preallocate_max_bytes,
        index_interval_bytes: size("index.interval.bytes", defaults.index_interval_bytes),
        segment_index_bytes: size("segment.index.bytes", defaults.segment_index_bytes),
        retention_bytes: retention_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
        retention_ms: limit("retention.ms", defaults.retention_ms),
        compact,
        compaction,
        file_delete_delay_ms: number("file.delete.delay.ms").unwrap_or(defaults.file_delete_delay_ms),
        ..defaults.clone()
    }
}

fn compaction_config(defaults: &CompactionConfig, configs: &BTreeMap<String, String>) -> CompactionConfig {
    let millis = |name: &str| configs.get(name).and_then(|value| value.trim().parse::<i64>().ok());
    let ratio = configs.get("min.cleanable.dirty.ratio").and_then(|value| value.trim().parse::<f64>().ok());
    CompactionConfig {
        min_cleanable_dirty_ppm: ratio.map_or(defaults.min_cleanable_dirty_ppm, ratio_ppm),
        min_compaction_lag_ms: millis("min.compaction.lag.ms").unwrap_or(defaults.min_compaction_lag_ms),
        max_compaction_lag_ms: match millis("max.compaction.lag.ms") {
            // Kafka's word for no limit.
            Some(i64::MAX) => None,
            Some(lag_ms) => Some(lag_ms),
            None => defaults.max_compaction_lag_ms,
        },
        delete_retention_ms: millis("delete.retention.ms").unwrap_or(defaults.delete_retention_ms),
    }
}

/// A ratio from 0 to 1 in millionths.
pub fn ratio_ppm(ratio: f64) -> u32 {
    (ratio.clamp(0.0, 1.0) * 1_000_000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPACT: CleanupPolicy = CleanupPolicy { delete: false, compact: true };

    fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_topic_overrides_the_broker_and_minus_one_is_no_limit() {
        let defaults = LogConfig { retention_bytes: Some(7), ..LogConfig::default() };
        let config = log_config(
            &defaults,
            CleanupPolicy::default(),
            &configs(&[("retention.ms", "-1"), ("segment.bytes", "1024")]),
        );
        assert_eq!((config.retention_ms, config.segment_bytes, config.retention_bytes), (None, 1024, Some(7)));
        assert_eq!(
            log_config(&defaults, CleanupPolicy::default(), &configs(&[("retention.bytes", "-1")])).retention_bytes,
            None
        );
    }

    #[test]
    fn jitter_and_preallocation_are_the_topics_to_choose() {
        let config =
            |pairs: &[(&str, &str)]| log_config(&LogConfig::default(), CleanupPolicy::default(), &configs(pairs));
        let set = config(&[("segment.jitter.ms", "7"), ("preallocate", "true"), ("segment.bytes", "5000")]);
        assert_eq!((set.segment_jitter_ms, set.preallocate_min_bytes, set.preallocate_max_bytes), (7, 5_000, 5_000));
        assert_eq!(config(&[("preallocate", "false")]), LogConfig::default());
    }

    #[test]
    fn compaction_goes_by_the_topics_configs() {
        let config = log_config(
            &LogConfig::default(),
            COMPACT,
            &configs(&[
                ("min.cleanable.dirty.ratio", "0.1"),
                ("min.compaction.lag.ms", "5"),
                ("max.compaction.lag.ms", "60000"),
                ("delete.retention.ms", "7"),
                ("file.delete.delay.ms", "0"),
            ]),
        );
        let expected = CompactionConfig {
            min_cleanable_dirty_ppm: 100_000,
            min_compaction_lag_ms: 5,
            max_compaction_lag_ms: Some(60_000),
            delete_retention_ms: 7,
        };
        assert_eq!((config.compaction, config.file_delete_delay_ms), (expected, 0));
        assert_eq!(config.segment_ms, Some(60_000), "a segment is closed in time to be compacted");
        let unlimited = [("max.compaction.lag.ms", "9223372036854775807")];
        let config = log_config(&LogConfig::default(), COMPACT, &configs(&unlimited));
        assert_eq!(config.compaction, CompactionConfig::default());
    }
}
