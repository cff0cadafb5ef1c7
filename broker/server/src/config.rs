//! What a broker is told, and why it may refuse to start.

use crate::auth::{AllowAll, Authorizer};
use crate::driver::cleaner::CleanerConfig;
use crate::fetch::FetchConfig;
use crate::net::connection_limits::ConnectionLimits;
use crate::net::{Listener, SocketConfig};
use crate::quota::{ClientQuotas, Unlimited};
use crate::readiness::Readiness;
use pelton_core::config::CoreConfig;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// Settings of one broker. Field names are Kafka's where Kafka has them.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// `listeners`: where to listen. Port 0 takes a free one.
    pub listeners: Vec<Listener>,
    /// `pelton.control.listener`: a listener with threads, memory and connections of its own, which serves everything but
    /// Produce and Fetch.
    pub control_listener: Option<Listener>,
    /// What the sockets of all listeners are given.
    pub sockets: SocketConfig,
    /// `log.dirs`, the first: the data directory.
    pub data_dir: PathBuf,
    /// `log.dirs`, the others: further directories for partitions.
    pub further_log_dirs: Vec<PathBuf>,
    /// `num.io.threads`: shard threads.
    pub shards: usize,
    /// `num.recovery.threads.per.data.dir`: threads that open the logs of each log directory at a start, beside each
    /// other and beside those of the other directories. More help where the disk answers many reads at once, after a crash
    /// above all, when the ends of the logs are read; they end when the broker is ready.
    pub recovery_threads_per_data_dir: usize,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`: bytes that all moves of logs between directories copy, together.
    /// `None`: no limit.
    pub move_bytes_per_second: Option<u64>,
    /// Settings that decisions depend on.
    pub core: CoreConfig,
    /// Settings of logs, where their topics set nothing else.
    pub log: pelton_log::LogConfig,
    /// Settings of compaction.
    pub cleaner: CleanerConfig,
    /// Settings of reading.
    pub fetch: FetchConfig,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`: whether clients may delete topics.
    pub delete_topics: bool,
    /// `socket.request.max.bytes`: the largest request.
    pub request_max_bytes: usize,
    /// `connections.max.idle.ms`: how long a connection may be silent; 0 for ever.
    pub connections_max_idle_ms: u64,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`.
    pub max_connections_per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// `queued.max.request.bytes`: memory that requests may take together.
    pub request_memory_bytes: usize,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval_ms: u64,
    /// Static broker configs that somebody set, by Kafka's names: DescribeConfigs shows them, and those of plugins hold for
    /// topics that set nothing else.
    pub configs: BTreeMap<String, String>,
    /// Defaults of broker configs that depend on the machine, by Kafka's names, as DescribeConfigs shows them.
    pub default_configs: BTreeMap<String, String>,
    /// Who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// What clients may use up.
    pub quotas: Arc<dyn ClientQuotas>,
    /// Where the broker says how far it is.
    pub readiness: Arc<Readiness>,
}

impl ServerConfig {
    /// All of `log.dirs`.
    pub fn log_dirs(&self) -> Vec<PathBuf> {
        std::iter::once(&self.data_dir).chain(&self.further_log_dirs).cloned().collect()
    }

    /// How many connections there may be.
    pub fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            total: self.max_connections,
            per_ip: self.max_connections_per_ip,
            overrides: self.max_connections_per_ip_overrides.clone(),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listeners: vec![SocketAddr::from(([127, 0, 0, 1], 9092)).into()],
            control_listener: None,
            sockets: SocketConfig::default(),
            data_dir: PathBuf::from("./pelton-data"),
            further_log_dirs: Vec::new(),
            shards: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            recovery_threads_per_data_dir: 2,
            move_bytes_per_second: None,
            core: CoreConfig::default(),
            log: pelton_log::LogConfig::default(),
            cleaner: CleanerConfig::default(),
            fetch: FetchConfig::default(),
            auto_create_topics: true,
            delete_topics: true,
            request_max_bytes: 100 * 1024 * 1024,
            connections_max_idle_ms: 600_000,
            max_connections: 10_000,
            max_connections_per_ip: usize::MAX,
            max_connections_per_ip_overrides: BTreeMap::new(),
            request_memory_bytes: 512 << 20,
            retention_check_interval_ms: 300_000,
            configs: BTreeMap::new(),
            default_configs: BTreeMap::new(),
            authorizer: Arc::new(AllowAll),
            quotas: Arc::new(Unlimited),
            readiness: Arc::default(),
        }
    }
}

/// Why a broker did not start. The message is one line and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Somebody else listens there.
    #[error("{addr} is in use; stop the program that listens there or set another listener")]
    Occupied {
        /// The address.
        addr: SocketAddr,
    },
    /// The address cannot be listened on at all.
    #[error("cannot listen on {addr}: {reason}; set an address of this machine as the listener")]
    Unreachable {
        /// The address.
        addr: SocketAddr,
        /// What the operating system said.
        reason: String,
    },
    /// The data directory cannot be written.
    #[error("cannot write to the data directory {}: {reason}; choose another or change its permissions", path.display())]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// Another broker runs in the data directory.
    #[error("the data directory {} is in use{}; stop that broker or choose another directory", path.display(), by.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Its process, where that is known.
        by: Option<u32>,
    },
    /// The data directory belongs to something else.
    #[error("{} is not this broker's data directory: {reason}", path.display())]
    BadDirectory {
        /// The directory.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The plugins of the broker cannot be run.
    #[error("the plugins cannot be run: {0}")]
    Plugins(String),
    /// What is in the data directory cannot be loaded.
    #[error("the data directory cannot be loaded: {0}")]
    Storage(String),
}
