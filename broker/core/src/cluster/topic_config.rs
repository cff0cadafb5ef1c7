//! The topic configs that exist, with their types, defaults and meanings: Kafka's, and what DescribeConfigs shows.
//!
//! A config that is not in [`TOPIC_CONFIGS`], or a value of the wrong type, is refused when it is set. Those that have no
//! meaning on one broker, or without tiered storage, are kept and change nothing.
//!
//! Source: <https://kafka.apache.org/documentation/#topicconfigs>.

use self::ConfigKind::{Boolean, Double, Int, IntOf, List, Long, OneOf, SomeOf, Text};
use crate::refusal::Refusal;
use std::collections::BTreeMap;

/// Topic configs that one topic may have, known or of plugins.
const MAX_CONFIGS: usize = 1_000;
/// Bytes of one value.
pub(super) const MAX_VALUE_BYTES: usize = 64 << 10;

/// One config, of a topic or of a broker (Kafka's `ConfigDef.ConfigKey`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfigKey {
    /// Its name.
    pub name: &'static str,
    /// What its values look like.
    pub kind: ConfigKind,
    /// Its value where nobody sets another; empty where there is none.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// What the values of a config look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ConfigKind {
    /// `true` or `false`.
    Boolean,
    /// A 32-bit integer of at least this.
    Int(i32),
    /// A 32-bit integer within one of these ranges, ends included.
    IntOf(&'static [(i32, i32)]),
    /// A 64-bit integer of at least this.
    Long(i64),
    /// A number between these two.
    Double(f64, f64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Some of these words, separated by commas.
    SomeOf(&'static [&'static str]),
    /// Any text, in Kafka a list separated by commas.
    List,
    /// Any text.
    Text,
}

/// A line of a table of configs.
pub const fn config(name: &'static str, kind: ConfigKind, default: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey { name, kind, default, doc }
}

/// Every topic config, by name. Values of `compression.type` and defaults are Kafka's.
pub const TOPIC_CONFIGS: &[ConfigKey] = &[
    config(
        "cleanup.policy",
        SomeOf(&["delete", "compact"]),
        "delete",
        "What becomes of old records: deleted by time and size, compacted by key, or both.",
    ),
    config("compression.gzip.level", IntOf(&[(-1, -1), (1, 9)]), "-1", "The level of gzip; -1 is gzip's own default."),
    config(
        "compression.lz4.level",
        IntOf(&[(1, 17)]),
        "9",
        "The level of lz4. The encoder of this broker has one level, so it changes nothing.",
    ),
    config(
        "compression.type",
        OneOf(&["uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"]),
        "producer",
        "The codec in which batches are kept; `producer` keeps the producer's.",
    ),
    config("compression.zstd.level", IntOf(&[(-131_072, 22)]), "3", "The level of zstd."),
    config("delete.retention.ms", Long(0), "86400000", "How long a compacted topic keeps tombstones, in milliseconds."),
    config(
        "durability",
        OneOf(&["fsync", "replicated"]),
        "fsync",
        "Whether acks=all waits for fdatasync, or for the write alone, which is what Kafka does.",
    ),
    config("file.delete.delay.ms", Long(0), "60000", "How long a deleted segment's file stays, in milliseconds."),
    config(
        "flush.messages",
        Long(1),
        "9223372036854775807",
        "Records after which the log is synced, beside what acknowledgements need.",
    ),
    config(
        "flush.ms",
        Long(0),
        "9223372036854775807",
        "Milliseconds after which the log is synced, beside what acknowledgements need.",
    ),
    config(
        "follower.replication.throttled.replicas",
        List,
        "",
        "Follower replicas whose replication is throttled. There is one broker, so it changes nothing.",
    ),
    config("index.interval.bytes", Int(0), "4096", "Bytes of log between two entries of the offset index."),
    config(
        "leader.replication.throttled.replicas",
        List,
        "",
        "Leader replicas whose replication is throttled. There is one broker, so it changes nothing.",
    ),
    config(
        "local.retention.bytes",
        Long(-2),
        "-2",
        "Bytes kept locally before a tiered segment goes; -2 means retention.bytes.",
    ),
    config(
        "local.retention.ms",
        Long(-2),
        "-2",
        "Milliseconds kept locally before a tiered segment goes; -2 means retention.ms.",
    ),
    config(
        "max.compaction.lag.ms",
        Long(1),
        "9223372036854775807",
        "The longest that a record of a compacted topic stays uncompacted, in milliseconds.",
    ),
    config("max.message.bytes", Int(0), "1048588", "The largest record batch, compressed, in bytes."),
    config(
        "message.timestamp.after.max.ms",
        Long(0),
        "3600000",
        "How far a record's timestamp may lie ahead of the broker's clock, in milliseconds.",
    ),
    config(
        "message.timestamp.before.max.ms",
        Long(0),
        "9223372036854775807",
        "How far a record's timestamp may lie behind the broker's clock, in milliseconds.",
    ),
    config(
        "message.timestamp.type",
        OneOf(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whether the producer or the broker stamps records.",
    ),
    config(
        "min.cleanable.dirty.ratio",
        Double(0.0, 1.0),
        "0.5",
        "The share of a compacted log that must be uncompacted before it is compacted again.",
    ),
    config("min.compaction.lag.ms", Long(0), "0", "The shortest that a record stays uncompacted, in milliseconds."),
    config("min.insync.replicas", Int(1), "1", "In-sync replicas that must have a record before acks=all is given."),
    config(
        "preallocate",
        Boolean,
        "false",
        "Whether a segment's file is allocated whole when it is made. It is always grown ahead of its end, by a part.",
    ),
    config("remote.log.copy.disable", Boolean, "false", "Whether a tiered topic is copied no more."),
    config(
        "remote.log.delete.on.disable",
        Boolean,
        "false",
        "Whether what was tiered is deleted when tiering is switched off.",
    ),
    config("remote.storage.enable", Boolean, "false", "Whether the topic is tiered."),
    config("retention.bytes", Long(-1), "-1", "Bytes of a partition that are kept; -1 for no limit."),
    config("retention.ms", Long(-1), "604800000", "Milliseconds that records are kept; -1 for no limit."),
    config("segment.bytes", Int(14), "1073741824", "Bytes of one segment."),
    config("segment.index.bytes", Int(4), "10485760", "Bytes of one segment's index."),
    config("segment.jitter.ms", Long(0), "0", "The most that is taken off segment.ms at random, in milliseconds."),
    config("segment.ms", Long(1), "604800000", "Milliseconds after which a segment is closed though it is not full."),
    config(
        "unclean.leader.election.enable",
        Boolean,
        "false",
        "Whether a replica that is not in sync may become leader when no other is left; records may be lost then.",
    ),
];

/// The config of that name.
pub fn topic_config(name: &str) -> Option<&'static ConfigKey> {
    TOPIC_CONFIGS.iter().find(|config| config.name == name)
}

/// Checks the configs that are set for a topic.
///
/// # Errors
/// [`Refusal::InvalidConfig`] names the first that is unknown or malformed, and what would be right.
pub fn check_topic_configs(configs: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if configs.len() > MAX_CONFIGS {
        return Err(Refusal::InvalidConfig(format!("a topic has at most {MAX_CONFIGS} configs")));
    }
    for (name, value) in configs {
        check_one(name, value)?;
    }
    check_together(configs)
}

/// What Kafka's `LogConfig` asks of configs that bound each other, and of a broker without tiered storage.
fn check_together(configs: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let number = |name: &str| configs.get(name).and_then(|value| value.trim().parse::<i64>().ok());
    let (least, most) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"));
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        let why = format!("min.compaction.lag.ms: {least} is more than max.compaction.lag.ms, which is {most}");
        return Err(Refusal::InvalidConfig(why));
    }
    if configs.get("remote.storage.enable").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        let why = "remote.storage.enable: this broker has no tiered storage; leave it false";
        return Err(Refusal::InvalidConfig(why.to_owned()));
    }
    Ok(())
}

/// The broker config that is the default of a topic config (`ServerTopicConfigSynonyms`). All of them can be set at
/// run time.
pub fn broker_config_of(topic_config: &str) -> Option<&'static str> {
    BROKER_CONFIGS.iter().find(|(topic, _)| *topic == topic_config).map(|(_, broker)| *broker)
}

/// The topic config that has this broker config as its default.
pub fn topic_config_of(broker_config: &str) -> Option<&'static str> {
    BROKER_CONFIGS.iter().find(|(_, broker)| *broker == broker_config).map(|(topic, _)| *topic)
}

/// Topic configs and the broker configs behind them.
const BROKER_CONFIGS: &[(&str, &str)] = &[
    ("cleanup.policy", "log.cleanup.policy"),
    ("compression.gzip.level", "compression.gzip.level"),
    ("compression.lz4.level", "compression.lz4.level"),
    ("compression.type", "compression.type"),
    ("compression.zstd.level", "compression.zstd.level"),
    ("delete.retention.ms", "log.cleaner.delete.retention.ms"),
    ("durability", "durability"),
    ("file.delete.delay.ms", "log.segment.delete.delay.ms"),
    ("flush.messages", "log.flush.interval.messages"),
    ("flush.ms", "log.flush.interval.ms"),
    ("index.interval.bytes", "log.index.interval.bytes"),
    ("local.retention.bytes", "log.local.retention.bytes"),
    ("local.retention.ms", "log.local.retention.ms"),
    ("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"),
    ("max.message.bytes", "message.max.bytes"),
    ("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms"),
    ("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms"),
    ("message.timestamp.type", "log.message.timestamp.type"),
    ("min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio"),
    ("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms"),
    ("min.insync.replicas", "min.insync.replicas"),
    ("preallocate", "log.preallocate"),
    ("retention.bytes", "log.retention.bytes"),
    ("retention.ms", "log.retention.ms"),
    ("segment.bytes", "log.segment.bytes"),
    ("segment.index.bytes", "log.index.size.max.bytes"),
    ("segment.jitter.ms", "log.roll.jitter.ms"),
    ("segment.ms", "log.roll.ms"),
    ("unclean.leader.election.enable", "unclean.leader.election.enable"),
];

fn check_one(name: &str, value: &str) -> Result<(), Refusal> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(Refusal::InvalidConfig(format!("{}: a value has at most {MAX_VALUE_BYTES} bytes", shown(name))));
    }
    // Plugins are attached by these; what they name is checked where plugins are known.
    if name.starts_with("pelton.") {
        return Ok(());
    }
    let Some(config) = topic_config(name) else {
        return Err(Refusal::InvalidConfig(format!("{}: no topic config has that name", shown(name))));
    };
    if config.kind.fits(value) {
        return Ok(());
    }
    Err(Refusal::InvalidConfig(format!("{name}: {:?} is not {}", shown(value), config.kind.wanted())))
}

/// As much of a client's text as an error message should repeat.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

impl ConfigKind {
    /// Whether a value is of this kind.
    pub fn fits(self, value: &str) -> bool {
        let value = value.trim();
        match self {
            Boolean => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Int(least) => value.parse::<i32>().is_ok_and(|number| number >= least),
            IntOf(ranges) => value
                .parse::<i32>()
                .is_ok_and(|number| ranges.iter().any(|(least, most)| (*least..=*most).contains(&number))),
            Long(least) => value.parse::<i64>().is_ok_and(|number| number >= least),
            Double(least, most) => value.parse::<f64>().is_ok_and(|number| (least..=most).contains(&number)),
            OneOf(words) => words.contains(&value),
            SomeOf(words) => value.split(',').all(|word| words.contains(&word.trim())),
            List | Text => true,
        }
    }

    /// What would fit, for a message.
    pub fn wanted(self) -> String {
        match self {
            Boolean => "true or false".to_owned(),
            Int(least) => format!("a whole number from {least} to {}", i32::MAX),
            IntOf(ranges) => {
                let ranges = ranges.iter().map(|(least, most)| match least == most {
                    true => least.to_string(),
                    false => format!("{least} to {most}"),
                });
                format!("a whole number: {}", ranges.collect::<Vec<_>>().join(", or "))
            }
            Long(least) => format!("a whole number from {least} to {}", i64::MAX),
            Double(least, most) => format!("a number from {least} to {most}"),
            OneOf(words) => format!("one of {}", words.join(", ")),
            SomeOf(words) => format!("some of {}, separated by commas", words.join(", ")),
            List => "a list".to_owned(),
            Text => "a text".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<(), Refusal> {
        check_topic_configs(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn the_table_is_in_order_and_its_defaults_fit() {
        assert!(TOPIC_CONFIGS.is_sorted_by(|a, b| a.name < b.name));
        for config in TOPIC_CONFIGS {
            assert!(config.kind.fits(config.default), "{}", config.name);
        }
    }

    #[test]
    fn values_are_checked_by_their_types() {
        assert_eq!(check("cleanup.policy", "compact, delete"), Ok(()));
        assert_eq!(check("retention.ms", "-1"), Ok(()));
        assert_eq!(check("pelton.interceptors", "audit@2,mask@1"), Ok(()));
        for (name, value) in [
            ("cleanup.policy", "compress"),
            ("retention.ms", "-2"),
            ("retention.ms", "a week"),
            ("max.message.bytes", "3000000000"),
            ("min.cleanable.dirty.ratio", "NaN"),
            ("preallocate", "yes"),
            ("compression.gzip.level", "0"),
            ("compression.lz4.level", "18"),
            ("remote.storage.enable", "true"),
            ("message.timestamp.type", ""),
        ] {
            let Err(Refusal::InvalidConfig(why)) = check(name, value) else { panic!("{name}={value} was accepted") };
            assert!(why.starts_with(name), "{why}");
        }
    }

    #[test]
    fn configs_that_bound_each_other_must_agree() {
        let lags = |least: &str, most: &str| {
            let pairs = [("min.compaction.lag.ms", least), ("max.compaction.lag.ms", most)];
            check_topic_configs(&pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
        };
        assert_eq!(lags("5", "5"), Ok(()));
        assert!(matches!(lags("6", "5"), Err(Refusal::InvalidConfig(why)) if why.starts_with("min.compaction.lag.ms")));
        assert_eq!(check("compression.gzip.level", "-1"), Ok(()));
    }

    #[test]
    fn every_default_of_a_broker_is_one_of_a_known_topic_config() {
        assert!(BROKER_CONFIGS.is_sorted());
        for (topic, broker) in BROKER_CONFIGS {
            assert!(topic_config(topic).is_some(), "{topic}");
            assert_eq!(broker_config_of(topic).and_then(topic_config_of), Some(*topic));
            assert_eq!(topic_config_of(broker), Some(*topic));
        }
    }

    #[test]
    fn an_unknown_config_is_named() {
        let Err(Refusal::InvalidConfig(why)) = check("retention.hours", "1") else { panic!("it was accepted") };
        assert_eq!(why, "retention.hours: no topic config has that name");
    }
}
