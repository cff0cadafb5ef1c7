//! The broker configs that exist, with their types, defaults and meanings, as DescribeConfigs shows them.
//!
//! Those that are the defaults of topic configs are in the table of topic configs already; here are the others. Names are
//! Kafka's or begin with `pelton.`. Defaults are this broker's; where Kafka's is another on purpose, the text says so. Where
//! one depends on the machine, it is not here but comes with the start.
//!
//! Source: <https://kafka.apache.org/documentation/#brokerconfigs>.

use pelton_core::cluster::topic_config::ConfigKind::{Boolean, Double, Int, List, Long, OneOf, Text};
use pelton_core::cluster::topic_config::{
    ConfigKey, TOPIC_CONFIGS, broker_config_of, config, topic_config, topic_config_of,
};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Those that are no defaults of topic configs.
const OF_BROKERS: &[ConfigKey] = &[
    config(
        "advertised.listeners",
        List,
        "",
        "The addresses that clients are told; those of listeners where it is empty.",
    ),
    config(
        "auto.create.topics.enable",
        Boolean,
        "true",
        "Whether a topic is made when a client asks for its metadata.",
    ),
    config("broker.id", Int(0), "1", "The id of this broker; the same as node.id. Kafka's default is none."),
    config(
        "connections.max.idle.ms",
        Long(-1),
        "600000",
        "How long a connection may be silent before it is closed, in milliseconds; negative for ever.",
    ),
    config(
        "controller.listener.names",
        List,
        "",
        "Listeners that Kafka's controllers would have. This broker keeps the metadata itself and opens none of them.",
    ),
    config(
        "default.replication.factor",
        Int(1),
        "1",
        "Replicas of a topic that is made without a number. There is one broker, so it is always 1.",
    ),
    config("delete.topic.enable", Boolean, "true", "Whether clients may delete topics."),
    config("fetch.max.bytes", Int(1024), "57671680", "The most bytes that one fetch is answered with."),
    config(
        "group.initial.rebalance.delay.ms",
        Int(0),
        "3000",
        "How long the first rebalance of a group waits for more members, in milliseconds.",
    ),
    config(
        "group.max.session.timeout.ms",
        Int(0),
        "1800000",
        "The longest session timeout that a member may ask for, in milliseconds.",
    ),
    config("group.max.size", Int(1), "2147483647", "The most members of one group."),
    config(
        "group.min.session.timeout.ms",
        Int(0),
        "6000",
        "The shortest session timeout that a member may ask for, in milliseconds.",
    ),
    config(
        "listener.security.protocol.map",
        List,
        "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        "Which protocol the listener of a name speaks. Only PLAINTEXT is served.",
    ),
    config(
        "listeners",
        List,
        "PLAINTEXT://127.0.0.1:9092",
        "Where the broker listens. Kafka's default listens on every address; this one on the loopback address alone, as there is no authentication.",
    ),
    config(
        "log.cleaner.backoff.ms",
        Long(1),
        "15000",
        "How long the cleaner rests when there is nothing to compact, in milliseconds.",
    ),
    config(
        "log.cleaner.dedupe.buffer.size",
        Long(1_024),
        "134217728",
        "Memory for the offsets of keys while a log is compacted, in bytes.",
    ),
    config("log.cleaner.enable", Boolean, "true", "Whether logs are compacted."),
    config(
        "log.cleaner.io.max.bytes.per.second",
        Double(1.0, f64::MAX),
        "1.7976931348623157E308",
        "The most bytes that compaction reads and writes in a second.",
    ),
    config(
        "log.cleaner.threads",
        Int(1),
        "1",
        "Threads that compact logs. Kafka can change it at run time, this broker at a start.",
    ),
    config("log.dir", Text, "", "The directory of the logs where log.dirs is not set."),
    config(
        "log.dirs",
        List,
        "",
        "The directories of the logs. Kafka's default is /tmp/kafka-logs, this broker's ./pelton-data.",
    ),
    config(
        "log.flush.scheduler.interval.ms",
        Long(1),
        "9223372036854775807",
        "Kafka's interval of looking for logs to flush. Nothing here waits for one: flush.ms alone is obeyed.",
    ),
    config("log.retention.check.interval.ms", Long(1), "300000", "How often retention is checked, in milliseconds."),
    config(
        "log.retention.hours",
        Int(-1),
        "168",
        "Hours that records are kept where neither minutes nor milliseconds are set.",
    ),
    config("log.retention.minutes", Int(-1), "", "Minutes that records are kept where no milliseconds are set."),
    config("log.roll.hours", Int(1), "168", "Hours after which a segment is closed where no milliseconds are set."),
    config(
        "log.roll.jitter.hours",
        Int(0),
        "0",
        "The most hours that are taken off log.roll.ms at random where no milliseconds are set.",
    ),
    config("max.connections", Int(1), "2147483647", "The most connections at a time."),
    config("max.connections.per.ip", Int(0), "2147483647", "The most connections of one address at a time."),
    config(
        "max.connections.per.ip.overrides",
        List,
        "",
        "Addresses with a number of connections of their own: host:number. At run time addresses alone, no names.",
    ),
    config("max.incremental.fetch.session.cache.slots", Int(0), "1000", "The most fetch sessions."),
    config("node.id", Int(0), "1", "The id of this node. Kafka's default is none."),
    config(
        "num.io.threads",
        Int(1),
        "",
        "Threads that own partitions and coordinators. Kafka's default is 8, this broker's as many as there are processors; only a start can set it.",
    ),
    config(
        "num.network.threads",
        Int(1),
        "",
        "Threads that move frames. Kafka's default is 3, this broker's as many as there are processors; only a start can set it.",
    ),
    config("num.partitions", Int(1), "1", "Partitions of a topic that is made without a number."),
    config(
        "num.recovery.threads.per.data.dir",
        Int(1),
        "2",
        "Threads that open the logs of each directory at a start. Only a start can set it.",
    ),
    config("offset.metadata.max.bytes", Int(0), "4096", "The most bytes of metadata beside a committed offset."),
    config(
        "offsets.retention.check.interval.ms",
        Long(1),
        "600000",
        "How often committed offsets are checked for their age, in milliseconds.",
    ),
    config("offsets.retention.minutes", Int(1), "10080", "Minutes that the offsets of an empty group are kept."),
    config("offsets.topic.num.partitions", Int(1), "50", "Partitions of __consumer_offsets."),
    config("pelton.admin.listener", Text, "127.0.0.1:9644", "Where the admin HTTP is."),
    config("pelton.admin.token.file", Text, "", "A file with the token that the admin HTTP asks for."),
    config(
        "pelton.control.listener",
        Text,
        "",
        "A listener with threads, memory and connections of its own, which serves everything but Produce and Fetch; none where it is empty.",
    ),
    config(
        "pelton.fetch.sendfile.enable",
        Boolean,
        "true",
        "Whether records go from their file to the socket without a copy.",
    ),
    config(
        "pelton.log.format",
        OneOf(&["text", "json"]),
        "text",
        "How the broker writes what it does: as text for people, or as one JSON object in each line.",
    ),
    config(
        "pelton.log.level",
        Text,
        "info",
        "How much the broker writes of what it does: error, warn, info, debug, trace, or such for single modules.",
    ),
    config("pelton.plugin.forbid", List, "", "What plugins may not do."),
    config("pelton.plugin.max.bytes", Int(1_024), "33554432", "The largest plugin that may be uploaded, in bytes."),
    config("pelton.plugin.max.count", Int(1), "1000", "The most versions of plugins."),
    config("pelton.plugin.max.total.bytes", Long(1), "4294967296", "The most bytes of all plugins together."),
    config(
        "pelton.plugin.signatures",
        OneOf(&["allow", "require"]),
        "allow",
        "Whether a plugin must be signed by a trusted key.",
    ),
    config("pelton.plugin.trusted.keys", Text, "", "A file with the keys whose signatures are trusted."),
    config(
        "queued.max.request.bytes",
        Long(-1),
        "-1",
        "The most bytes of requests that are being answered. -1 is 512 MiB here; in Kafka it is no limit.",
    ),
    config(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        Long(1),
        "9223372036854775807",
        "The most bytes that are copied in a second when logs move from one directory to another.",
    ),
    config(
        "socket.listen.backlog.size",
        Int(1),
        "1024",
        "Connections that may wait to be accepted. Kafka's default is 50, fewer than come at once after a restart.",
    ),
    config(
        "socket.receive.buffer.bytes",
        Int(-1),
        "-1",
        "The receive buffer of a socket, in bytes; -1 leaves it to the operating system. Kafka's default is 102400, which is little on a long way.",
    ),
    config("socket.request.max.bytes", Int(1), "104857600", "The largest request, in bytes."),
    config(
        "socket.send.buffer.bytes",
        Int(-1),
        "-1",
        "The send buffer of a socket, in bytes; -1 leaves it to the operating system. Kafka's default is 102400, which is little on a long way.",
    ),
    config(
        "transaction.max.timeout.ms",
        Int(1),
        "900000",
        "The longest transaction that a producer may ask for, in milliseconds.",
    ),
    config("transaction.state.log.num.partitions", Int(1), "50", "Partitions of __transaction_state."),
    config(
        "transactional.id.expiration.ms",
        Int(1),
        "604800000",
        "How long a transactional id may be idle before it is forgotten, in milliseconds.",
    ),
];

/// Defaults of topic configs that have none themselves, since others of a coarser unit stand behind them.
const WITHOUT_DEFAULT: &[&str] = &["log.flush.interval.ms", "log.retention.ms", "log.roll.jitter.ms", "log.roll.ms"];

/// Every broker config, by name.
pub static BROKER_CONFIGS: LazyLock<BTreeMap<&'static str, ConfigKey>> = LazyLock::new(|| {
    let of_topics = TOPIC_CONFIGS.iter().filter_map(|topic| broker_config(broker_config_of(topic.name)?));
    OF_BROKERS.iter().copied().chain(of_topics).map(|config| (config.name, config)).collect()
});

/// The config of that name.
pub fn broker_config(name: &str) -> Option<ConfigKey> {
    if let Some(config) = OF_BROKERS.iter().find(|config| config.name == name) {
        return Some(*config);
    }
    let topic = topic_config(topic_config_of(name)?)?;
    let name = broker_config_of(topic.name)?;
    let default = if WITHOUT_DEFAULT.contains(&name) { "" } else { topic.default };
    Some(ConfigKey { name, default, ..*topic })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_core::cluster::dynamic_config;

    #[test]
    fn every_default_fits_its_kind_and_every_name_is_there_once() {
        assert!(OF_BROKERS.is_sorted_by(|a, b| a.name < b.name));
        for config in BROKER_CONFIGS.values() {
            let unset = config.default.is_empty();
            assert!(unset || config.kind.fits(config.default), "{}", config.name);
        }
        assert!(OF_BROKERS.iter().all(|config| topic_config_of(config.name).is_none()));
        for config in BROKER_CONFIGS.values() {
            assert!(dynamic_config(config.name).is_none_or(|kind| kind == config.kind), "{}", config.name);
        }
        assert_eq!(broker_config("log.retention.ms").map(|config| config.default), Some(""));
        assert_eq!(broker_config("retention.ms"), None);
    }
}
