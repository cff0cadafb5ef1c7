//! Turns the texts of the settings into their types. Every refusal names the key, its place and what is right.

use super::{ConfigError, DEFAULT_DATA_DIR, NodeConfig, Origin};
use pelton_core::config::{CleanupPolicy, CoreConfig};
use pelton_core::partition::rules::compression_named;
use pelton_log::LogConfig;
use pelton_log::compaction::CompactionConfig;
use pelton_record::TimestampType;
use pelton_server::driver::cleaner::CleanerConfig;
use pelton_server::driver::ratio_ppm;
use pelton_server::fetch::FetchConfig;
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// The settings, about to be read.
pub struct Values<'a> {
    values: &'a BTreeMap<String, (String, Origin)>,
}

impl<'a> Values<'a> {
    /// Reads from these.
    pub fn new(values: &'a BTreeMap<String, (String, Origin)>) -> Self {
        Self { values }
    }

    /// The configuration.
    pub fn build(&self) -> Result<NodeConfig, ConfigError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (listeners, control_listener) = self.all_listeners()?;
        let admin_token = self.admin_token()?;
        let admin = self.admin(admin_token.is_some())?;
        let (data_dir, further_log_dirs) = self.log_dirs()?;
        let config = NodeConfig {
            listeners,
            control_listener,
            sockets: self.sockets()?,
            data_dir,
            further_log_dirs,
            admin,
            admin_token,
            network_threads: self.threads("num.network.threads", cores)?,
            shards: self.threads("num.io.threads", cores)?,
            recovery_threads_per_data_dir: self.number("num.recovery.threads.per.data.dir", 1..=256)? as usize,
            move_bytes_per_second: self.move_bytes_per_second()?,
            core: self.core()?,
            log: self.log()?,
            cleaner: self.cleaner()?,
            fetch: FetchConfig {
                fetch_max_bytes: self.number("fetch.max.bytes", 1_024..=i64::from(i32::MAX / 2))? as usize,
                session_slots: self.number("max.incremental.fetch.session.cache.slots", 0..=1_000_000)? as usize,
                sendfile: self.flag("pelton.fetch.sendfile.enable")?,
            },
            auto_create_topics: self.flag("auto.create.topics.enable")?,
            delete_topics: self.flag("delete.topic.enable")?,
            request_max_bytes: self.number("socket.request.max.bytes", 1_024..=i64::from(i32::MAX))? as usize,
            connections_max_idle_ms: self.idle_ms()?,
            max_connections: self.number("max.connections", 1..=i64::from(i32::MAX))? as usize,
            max_connections_per_ip: self.number("max.connections.per.ip", 0..=i64::from(i32::MAX))? as usize,
            max_connections_per_ip_overrides: self.per_ip_overrides()?,
            request_memory_bytes: self.request_memory_bytes()?,
            logging: self.logging()?,
            retention_check_interval_ms: self.number("log.retention.check.interval.ms", 1..=i64::MAX)? as u64,
            plugin_max_bytes: self.number("pelton.plugin.max.bytes", 1_024..=1 << 30)? as usize,
            plugin_compiler: Some(super::plugins::own_compiler()),
            plugin_policy: self.plugin_policy()?,
            statics: self.statics(),
            default_statics: BTreeMap::new(),
        };
        Ok(NodeConfig { default_statics: self.default_statics(&config), ..config })
    }

    /// What holds for the records of topics that set nothing else.
    fn appending(&self) -> Result<CoreConfig, ConfigError> {
        let message_timestamp_type = match self.text("log.message.timestamp.type") {
            "CreateTime" => TimestampType::Create,
            "LogAppendTime" => TimestampType::LogAppend,
            _ => return self.refuse("log.message.timestamp.type", "`CreateTime` or `LogAppendTime`"),
        };
        let Some(cleanup_policy) = CleanupPolicy::parse(self.text("log.cleanup.policy")) else {
            return self.refuse("log.cleanup.policy", "`delete`, `compact`, or both parted by a comma");
        };
        let compression = self.text("compression.type");
        if !["uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"].contains(&compression) {
            return self.refuse("compression.type", "`uncompressed`, `gzip`, `snappy`, `lz4`, `zstd` or `producer`");
        }
        let flush_interval_ms = if self.has("log.flush.interval.ms") {
            Some(self.number("log.flush.interval.ms", 0..=i64::MAX)?)
        } else {
            None
        };
        Ok(CoreConfig {
            cleanup_policy,
            message_timestamp_type,
            message_timestamp_before_max_ms: self.number("log.message.timestamp.before.max.ms", 0..=i64::MAX)?,
            message_timestamp_after_max_ms: self.number("log.message.timestamp.after.max.ms", 0..=i64::MAX)?,
            compression: compression_named(compression),
            gzip_level: self.gzip_level()?,
            zstd_level: self.number("compression.zstd.level", -131_072..=22)? as i32,
            flush_interval_messages: self.number("log.flush.interval.messages", 1..=i64::MAX)?,
            flush_interval_ms,
            ..CoreConfig::default()
        })
    }

    fn gzip_level(&self) -> Result<Option<i32>, ConfigError> {
        // The encoder of lz4 has one level, so that key is checked and changes nothing.
        self.number("compression.lz4.level", 1..=17)?;
        match self.number("compression.gzip.level", -1..=9)? {
            0 => self.refuse("compression.gzip.level", "-1, which is gzip's own default, or 1 to 9"),
            -1 => Ok(None),
            level => Ok(Some(level as i32)),
        }
    }

    fn core(&self) -> Result<CoreConfig, ConfigError> {
        const MAX: i64 = i32::MAX as i64;
        let id_key = if self.values.contains_key("broker.id") { "broker.id" } else { "node.id" };
        let fsync = match self.text("durability") {
            "fsync" => true,
            "replicated" => false,
            _ => return self.refuse("durability", "`fsync` (an answer waits for the disk) or `replicated`"),
        };
        let config = CoreConfig {
            node_id: self.number(id_key, 0..=MAX)? as i32,
            num_partitions: self.number("num.partitions", 1..=10_000)? as i32,
            offsets_topic_partitions: self.number("offsets.topic.num.partitions", 1..=1_000)? as i32,
            transaction_topic_partitions: self.number("transaction.state.log.num.partitions", 1..=1_000)? as i32,
            message_max_bytes: self.number("message.max.bytes", 0..=MAX)? as i32,
            min_insync_replicas: self.number("min.insync.replicas", 1..=MAX)? as i32,
            group_min_session_timeout_ms: self.number("group.min.session.timeout.ms", 0..=MAX)? as i32,
            group_max_session_timeout_ms: self.number("group.max.session.timeout.ms", 0..=MAX)? as i32,
            group_initial_rebalance_delay_ms: self.number("group.initial.rebalance.delay.ms", 0..=MAX)? as i32,
            group_max_size: self.number("group.max.size", 1..=MAX)? as usize,
            offset_metadata_max_bytes: self.number("offset.metadata.max.bytes", 0..=MAX)? as usize,
            offsets_retention_ms: self.number("offsets.retention.minutes", 1..=MAX)? * 60_000,
            offsets_retention_check_interval_ms: self.number("offsets.retention.check.interval.ms", 1..=i64::MAX)?,
            transaction_max_timeout_ms: self.number("transaction.max.timeout.ms", 1..=MAX)? as i32,
            transactional_id_expiration_ms: self.number("transactional.id.expiration.ms", 1..=MAX)?,
            fsync,
            ..self.appending()?
        };
        if config.group_min_session_timeout_ms > config.group_max_session_timeout_ms {
            return self.refuse("group.min.session.timeout.ms", "at most group.max.session.timeout.ms");
        }
        Ok(config)
    }

    fn log(&self) -> Result<LogConfig, ConfigError> {
        const HOUR_MS: i64 = 3_600_000;
        const MAX: i64 = i32::MAX as i64;
        let roll_ms = if self.has("log.roll.ms") {
            self.number("log.roll.ms", 1..=i64::MAX)?
        } else {
            self.number("log.roll.hours", 1..=MAX)? * HOUR_MS
        };
        let retention_ms = if self.has("log.retention.ms") {
            self.number("log.retention.ms", -1..=i64::MAX)?
        } else if self.has("log.retention.minutes") {
            self.number("log.retention.minutes", -1..=MAX)?.saturating_mul(60_000)
        } else {
            self.number("log.retention.hours", -1..=MAX)?.saturating_mul(HOUR_MS)
        };
        let jitter_ms = if self.has("log.roll.jitter.ms") {
            self.number("log.roll.jitter.ms", 0..=i64::MAX)?
        } else {
            self.number("log.roll.jitter.hours", 0..=MAX)? * HOUR_MS
        };
        let segment_bytes = self.number("log.segment.bytes", 1_048_576..=MAX)? as u32;
        let growth = LogConfig::default();
        let (preallocate_min_bytes, preallocate_max_bytes) = match self.flag("log.preallocate")? {
            true => (segment_bytes, segment_bytes),
            false => (growth.preallocate_min_bytes, growth.preallocate_max_bytes),
        };
        Ok(LogConfig {
            segment_bytes,
            segment_ms: Some(roll_ms),
            segment_jitter_ms: jitter_ms,
            preallocate_min_bytes,
            preallocate_max_bytes,
            index_interval_bytes: self.number("log.index.interval.bytes", 0..=MAX)? as u32,
            segment_index_bytes: self.number("log.index.size.max.bytes", 4..=MAX)? as u32,
            retention_bytes: u64::try_from(self.number("log.retention.bytes", -1..=i64::MAX)?).ok(),
            retention_ms: (retention_ms >= 0).then_some(retention_ms),
            compaction: self.compaction()?,
            file_delete_delay_ms: self.number("log.segment.delete.delay.ms", 0..=i64::MAX)?,
            ..LogConfig::default()
        })
    }

    fn compaction(&self) -> Result<CompactionConfig, ConfigError> {
        let max_lag_ms = self.number("log.cleaner.max.compaction.lag.ms", 1..=i64::MAX)?;
        Ok(CompactionConfig {
            min_cleanable_dirty_ppm: ratio_ppm(self.decimal("log.cleaner.min.cleanable.ratio", 0.0..=1.0)?),
            min_compaction_lag_ms: self.number("log.cleaner.min.compaction.lag.ms", 0..=i64::MAX)?,
            max_compaction_lag_ms: (max_lag_ms < i64::MAX).then_some(max_lag_ms),
            delete_retention_ms: self.number("log.cleaner.delete.retention.ms", 0..=i64::MAX)?,
        })
    }

    fn cleaner(&self) -> Result<CleanerConfig, ConfigError> {
        let io_max = self.decimal("log.cleaner.io.max.bytes.per.second", 1.0..=f64::MAX)?;
        Ok(CleanerConfig {
            enable: self.flag("log.cleaner.enable")?,
            threads: self.number("log.cleaner.threads", 1..=64)? as usize,
            dedupe_buffer_bytes: self.number("log.cleaner.dedupe.buffer.size", 1_024..=1 << 40)? as usize,
            // Kafka's default is the largest number there is, which is no limit.
            io_max_bytes_per_second: (io_max < u64::MAX as f64).then_some(io_max as u64),
            backoff_ms: self.number("log.cleaner.backoff.ms", 1..=i64::MAX)? as u64,
        })
    }

    fn move_bytes_per_second(&self) -> Result<Option<u64>, ConfigError> {
        let most = self.number("replica.alter.log.dirs.io.max.bytes.per.second", 1..=i64::MAX)?;
        // Kafka's default is the largest number there is, which is no limit.
        Ok((most < i64::MAX).then_some(most as u64))
    }

    fn admin(&self, has_token: bool) -> Result<SocketAddr, ConfigError> {
        const RIGHT: &str = "an address with a port, such as 127.0.0.1:9644";
        const RIGHT_ALONE: &str = "a loopback address with a port, such as 127.0.0.1:9644, as long as no \
                                   pelton.admin.token and no pelton.admin.token.file is set: whoever reaches it can run code";
        let text = self.text("pelton.admin.listener");
        match text.to_socket_addrs().ok().and_then(|mut all| all.next()) {
            Some(address) if has_token || address.ip().is_loopback() => Ok(address),
            Some(_) => self.refuse("pelton.admin.listener", RIGHT_ALONE),
            None => self.refuse("pelton.admin.listener", RIGHT),
        }
    }

    /// The first directory, and the others.
    fn log_dirs(&self) -> Result<(PathBuf, Vec<PathBuf>), ConfigError> {
        let key = if self.has("log.dirs") { "log.dirs" } else { "log.dir" };
        if !self.has(key) {
            return Ok((PathBuf::from(DEFAULT_DATA_DIR), Vec::new()));
        }
        let dirs: Vec<PathBuf> = self.text(key).split(',').map(|dir| PathBuf::from(dir.trim())).collect();
        let different: std::collections::BTreeSet<&PathBuf> =
            dirs.iter().filter(|dir| !dir.as_os_str().is_empty()).collect();
        match dirs.split_first() {
            Some((first, others)) if different.len() == dirs.len() => Ok((first.clone(), others.to_vec())),
            _ => self.refuse(key, "one directory, or several different ones parted by commas"),
        }
    }

    fn idle_ms(&self) -> Result<u64, ConfigError> {
        let idle_ms = self.number("connections.max.idle.ms", -1..=i64::MAX)?;
        // Kafka's negative value means that idle connections stay.
        Ok(u64::try_from(idle_ms).unwrap_or(0))
    }

    fn threads(&self, key: &str, default: usize) -> Result<usize, ConfigError> {
        if self.has(key) { Ok(self.number(key, 1..=1_024)? as usize) } else { Ok(default) }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|(value, _)| !value.is_empty())
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |(value, _)| value)
    }

    pub(super) fn number(&self, key: &str, allowed: RangeInclusive<i64>) -> Result<i64, ConfigError> {
        match self.text(key).parse::<i64>() {
            Ok(number) if allowed.contains(&number) => Ok(number),
            _ => self.refuse(key, &format!("a whole number from {} to {}", allowed.start(), allowed.end())),
        }
    }

    fn decimal(&self, key: &str, allowed: RangeInclusive<f64>) -> Result<f64, ConfigError> {
        match self.text(key).parse::<f64>() {
            Ok(number) if allowed.contains(&number) => Ok(number),
            _ => self.refuse(key, &format!("a number from {} to {:e}", allowed.start(), allowed.end())),
        }
    }

    fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        match self.text(key).to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => self.refuse(key, "`true` or `false`"),
        }
    }

    pub(super) fn refuse<T>(&self, key: &str, right: &str) -> Result<T, ConfigError> {
        let (value, origin) = match self.values.get(key) {
            Some((_, origin)) if super::keys::is_secret(key) => ("***", origin.to_string()),
            Some((value, origin)) => (value.as_str(), origin.to_string()),
            None => ("", Origin::Default.to_string()),
        };
        Err(ConfigError(format!("`{value}` is no value for {key} ({origin}); allowed: {right}")))
    }

    /// The settings that somebody made.
    fn statics(&self) -> BTreeMap<String, String> {
        let made = self.values.iter().filter(|(_, (value, origin))| *origin != Origin::Default && !value.is_empty());
        let shown = made.filter(|(key, _)| !super::keys::is_secret(key));
        let mut statics: BTreeMap<String, String> =
            shown.map(|(key, (value, _))| (key.clone(), value.clone())).collect();
        // Two names of one thing.
        let id = statics.get("node.id").or_else(|| statics.get("broker.id")).cloned();
        for key in ["node.id", "broker.id"] {
            statics.extend(id.clone().map(|id| (key.to_owned(), id)));
        }
        statics
    }

    /// Defaults that depend on the machine.
    fn default_statics(&self, config: &NodeConfig) -> BTreeMap<String, String> {
        let dirs = std::iter::once(&config.data_dir).chain(&config.further_log_dirs);
        let dirs: Vec<String> = dirs.map(|dir| dir.display().to_string()).collect();
        let all = [
            ("log.dirs", dirs.join(",")),
            ("num.io.threads", config.shards.to_string()),
            ("num.network.threads", config.network_threads.to_string()),
        ];
        let unset = all.into_iter().filter(|(key, _)| !self.has(key));
        unset.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}
