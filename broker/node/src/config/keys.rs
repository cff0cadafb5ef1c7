//! The keys of the broker's configuration: those that have a meaning here, and Kafka's that have none.

/// A key that has a meaning.
#[derive(Debug)]
pub struct Key {
    /// Kafka's name, or one that begins with `pelton.`.
    pub name: &'static str,
    /// Its value where nothing sets it; empty where that depends on something else.
    pub default: &'static str,
    /// Whether its value is for nobody's eyes: not for DescribeConfigs, not for the log.
    pub secret: bool,
}

const fn key(name: &'static str, default: &'static str) -> Key {
    Key { name, default, secret: false }
}

const fn secret(name: &'static str) -> Key {
    Key { name, default: "", secret: true }
}

/// All keys with a meaning. The defaults are Kafka's, except for `listeners` and `log.dirs`, which make
/// `pelton serve` work without any configuration, and for sockets: buffers of a fixed 100 KiB, Kafka's default, keep the
/// operating system from giving a connection as much as its way is long, and 50 connections that wait to be accepted are
/// fewer than a restart brings at once.
pub const KEYS: &[Key] = &[
    key("node.id", "1"),
    key("broker.id", ""),
    key("listeners", "PLAINTEXT://127.0.0.1:9092"),
    key("advertised.listeners", ""),
    key(
        "listener.security.protocol.map",
        "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
    ),
    key("controller.listener.names", ""),
    key("pelton.control.listener", ""),
    key("log.dirs", ""),
    key("log.dir", ""),
    key("num.partitions", "1"),
    key("auto.create.topics.enable", "true"),
    key("delete.topic.enable", "true"),
    key("message.max.bytes", "1048588"),
    key("min.insync.replicas", "1"),
    key("log.segment.bytes", "1073741824"),
    key("log.segment.delete.delay.ms", "60000"),
    key("log.roll.hours", "168"),
    key("log.roll.ms", ""),
    key("log.roll.jitter.hours", "0"),
    key("log.roll.jitter.ms", ""),
    key("log.preallocate", "false"),
    key("log.retention.hours", "168"),
    key("log.retention.minutes", ""),
    key("log.retention.ms", ""),
    key("log.retention.bytes", "-1"),
    key("log.retention.check.interval.ms", "300000"),
    key("log.cleanup.policy", "delete"),
    key("log.cleaner.enable", "true"),
    key("log.cleaner.threads", "1"),
    key("log.cleaner.backoff.ms", "15000"),
    key("log.cleaner.dedupe.buffer.size", "134217728"),
    key("log.cleaner.delete.retention.ms", "86400000"),
    key("log.cleaner.io.max.bytes.per.second", "1.7976931348623157E308"),
    key("log.cleaner.max.compaction.lag.ms", "9223372036854775807"),
    key("log.cleaner.min.cleanable.ratio", "0.5"),
    key("log.cleaner.min.compaction.lag.ms", "0"),
    key("log.index.interval.bytes", "4096"),
    key("log.index.size.max.bytes", "10485760"),
    key("offsets.topic.num.partitions", "50"),
    key("transaction.state.log.num.partitions", "50"),
    key("transaction.max.timeout.ms", "900000"),
    key("transactional.id.expiration.ms", "604800000"),
    key("group.min.session.timeout.ms", "6000"),
    key("group.max.session.timeout.ms", "1800000"),
    key("group.initial.rebalance.delay.ms", "3000"),
    key("group.max.size", "2147483647"),
    key("offset.metadata.max.bytes", "4096"),
    key("offsets.retention.minutes", "10080"),
    key("offsets.retention.check.interval.ms", "600000"),
    key("num.network.threads", ""),
    key("num.io.threads", ""),
    key("num.recovery.threads.per.data.dir", "2"),
    key("replica.alter.log.dirs.io.max.bytes.per.second", "9223372036854775807"),
    key("socket.request.max.bytes", "104857600"),
    key("connections.max.idle.ms", "600000"),
    key("max.connections", "2147483647"),
    key("max.connections.per.ip", "2147483647"),
    key("max.connections.per.ip.overrides", ""),
    key("queued.max.request.bytes", "-1"),
    key("socket.listen.backlog.size", "1024"),
    key("socket.receive.buffer.bytes", "-1"),
    key("socket.send.buffer.bytes", "-1"),
    key("fetch.max.bytes", "57671680"),
    key("max.incremental.fetch.session.cache.slots", "1000"),
    key("pelton.fetch.sendfile.enable", "true"),
    key("durability", "fsync"),
    key("compression.type", "producer"),
    key("compression.gzip.level", "-1"),
    key("compression.lz4.level", "9"),
    key("compression.zstd.level", "3"),
    key("log.message.timestamp.type", "CreateTime"),
    key("log.message.timestamp.before.max.ms", "9223372036854775807"),
    key("log.message.timestamp.after.max.ms", "3600000"),
    key("log.flush.interval.messages", "9223372036854775807"),
    key("log.flush.interval.ms", ""),
    key("pelton.log.level", "info"),
    key("pelton.log.format", "text"),
    key("pelton.admin.listener", "127.0.0.1:9644"),
    secret("pelton.admin.token"),
    key("pelton.admin.token.file", ""),
    key("pelton.plugin.max.bytes", "33554432"),
    key("pelton.plugin.max.count", "1000"),
    key("pelton.plugin.max.total.bytes", "4294967296"),
    key("pelton.plugin.signatures", "allow"),
    key("pelton.plugin.trusted.keys", ""),
    key("pelton.plugin.forbid", ""),
    key("pelton.interceptors", ""),
    key("pelton.interceptors.on.error", ""),
    key("pelton.interceptors.breaker.faults", ""),
    key("pelton.interceptors.breaker.open", ""),
    key("pelton.interceptors.breaker.pause.ms", ""),
    key("pelton.interceptors.shadow", ""),
    key("pelton.interceptors.dead.letter.topic", ""),
    key("pelton.partitioner", ""),
    key("pelton.partitioner.mode", ""),
    key("pelton.partitioner.target", ""),
];

/// Whether `name` is `pelton.plugin.NAME.config` or `pelton.plugin.NAME.emit`: what a plugin is given on every topic
/// that sets nothing else.
pub fn is_of_a_plugin(name: &str) -> bool {
    let Some((plugin, what)) = name.strip_prefix("pelton.plugin.").and_then(|rest| rest.rsplit_once('.')) else {
        return false;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    matches!(what, "config" | "emit") && !plugin.is_empty() && plugin.chars().all(plain)
}

/// Whether `name` holds for every topic that sets nothing else: which plugins are attached, and how.
pub fn is_topic_default(name: &str) -> bool {
    let in_family =
        |family: &str| name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    in_family("pelton.interceptors") || in_family("pelton.partitioner") || is_of_a_plugin(name)
}

/// Whether the value of `name` is for nobody's eyes.
pub fn is_secret(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name && key.secret)
}

/// Kafka's keys that are accepted and change nothing on one node, or that Pelton settles by itself.
const WITHOUT_MEANING: &[&str] = &[
    "alter.config.policy.class.name",
    "auto.include.jmx.reporter",
    "auto.leader.rebalance.enable",
    "background.threads",
    "broker.heartbeat.interval.ms",
    "broker.id.generation.enable",
    "broker.rack",
    "broker.session.timeout.ms",
    "connection.failed.authentication.delay.ms",
    "create.topic.policy.class.name",
    "default.replication.factor",
    "delete.records.purgatory.purge.interval.requests",
    "early.start.listeners",
    "eligible.leader.replicas.enable",
    "fetch.purgatory.purge.interval.requests",
    "initial.broker.registration.timeout.ms",
    "inter.broker.listener.name",
    "inter.broker.protocol.version",
    "leader.imbalance.check.interval.seconds",
    "leader.imbalance.per.broker.percentage",
    "log.deletion.delay.ms",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "max.request.partition.size.limit",
    "metadata.log.dir",
    "node.rack",
    "num.replica.alter.log.dirs.threads",
    "num.replica.fetchers",
    "password.encoder.secret",
    "process.roles",
    "producer.id.expiration.check.interval.ms",
    "producer.id.expiration.ms",
    "producer.purgatory.purge.interval.requests",
    "queued.max.requests",
    "request.timeout.ms",
    "reserved.broker.max.id",
    "rack.id",
    "server.max.startup.time.ms",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
    "telemetry.max.bytes",
    "unclean.leader.election.enable",
    "unclean.leader.election.interval.ms",
    "unstable.api.versions.enable",
    "unstable.feature.versions.enable",
];

/// Families of Kafka's keys that are accepted and change nothing.
const FAMILIES_WITHOUT_MEANING: &[&str] = &[
    "controlled.shutdown.",
    "controller.",
    "group.consumer.",
    "group.coordinator.",
    "group.share.",
    "kafka.metrics.",
    "log.cleaner.",
    "log.dir.failure.",
    "log.flush.",
    "log.local.",
    "log.initial.task.",
    "metadata.",
    "metric.",
    "metrics.",
    "offsets.",
    "quorum.",
    "quota.",
    "remote.",
    "replica.",
    "share.",
    "transaction.",
    "zookeeper.",
];

/// Families of Kafka's keys that protect something in Kafka and do not here: whoever sets one must know.
const FAMILIES_OF_SECURITY: &[&str] = &[
    "allow.everyone.if.no.acl.found",
    "authorizer.",
    "delegation.token.",
    "early.security.",
    "listener.name.",
    "max.connection.creation.rate",
    "principal.",
    "sasl.",
    "security.",
    "ssl.",
    "super.users",
];

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has a meaning.
    Used,
    /// Kafka knows it; it changes nothing here.
    WithoutMeaning,
    /// Kafka knows it and would protect something by it; it changes nothing here.
    Security,
    /// Nobody knows it.
    Unknown,
}

/// Where `name` stands.
pub fn standing(name: &str) -> Standing {
    let in_family = |families: &[&str]| families.iter().any(|family| name.starts_with(family));
    if KEYS.iter().any(|key| key.name == name) || is_of_a_plugin(name) {
        Standing::Used
    } else if in_family(FAMILIES_OF_SECURITY) {
        Standing::Security
    } else if WITHOUT_MEANING.contains(&name) || in_family(FAMILIES_WITHOUT_MEANING) {
        Standing::WithoutMeaning
    } else {
        Standing::Unknown
    }
}

/// The key that the environment variable `PELTON_<suffix>` sets: `LOG_DIRS` sets `log.dirs`, and
/// `ADMIN_LISTENER` sets `pelton.admin.listener`.
pub fn of_variable(suffix: &str) -> Option<&'static str> {
    let wanted = suffix.to_ascii_lowercase().replace('_', ".");
    KEYS.iter().map(|key| key.name).find(|name| *name == wanted || name.strip_prefix("pelton.") == Some(&wanted))
}
