//! The broker's configuration: Kafka's keys from a file, the environment and the command line.
//!
//! Precedence, strongest first: flags and `--set`, `PELTON_*` variables, the file, the defaults. An unknown key
//! is named in a warning; a bad value is an error that says where it stands and what would be right.

pub mod keys;
mod listeners;
pub mod logging;
mod plugins;
pub mod properties;
mod values;

use keys::Standing;
use logging::LogSettings;
use pelton_core::config::CoreConfig;
use pelton_log::LogConfig;
use pelton_registry::Policy;
use pelton_server::driver::cleaner::CleanerConfig;
use pelton_server::fetch::FetchConfig;
use pelton_server::net::{Listener, SocketConfig};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where the data goes when nothing says otherwise.
pub const DEFAULT_DATA_DIR: &str = "./pelton-data";

/// Everything that one node is started with.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// `listeners`.
    pub listeners: Vec<Listener>,
    /// `pelton.control.listener`.
    pub control_listener: Option<Listener>,
    /// `socket.receive.buffer.bytes`, `socket.send.buffer.bytes`, `socket.listen.backlog.size`.
    pub sockets: SocketConfig,
    /// `log.dirs`, the first.
    pub data_dir: PathBuf,
    /// `log.dirs`, the others.
    pub further_log_dirs: Vec<PathBuf>,
    /// `pelton.admin.listener`; a loopback address where there is no token.
    pub admin: SocketAddr,
    /// `pelton.admin.token`, or what stands in `pelton.admin.token.file`.
    pub admin_token: Option<Secret>,
    /// `num.network.threads`.
    pub network_threads: usize,
    /// `num.io.threads`: one shard each.
    pub shards: usize,
    /// `num.recovery.threads.per.data.dir`: threads that open the logs of each directory at a start.
    pub recovery_threads_per_data_dir: usize,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`, for all moves together. `None`: no limit.
    pub move_bytes_per_second: Option<u64>,
    /// What decisions depend on.
    pub core: CoreConfig,
    /// What topics are given unless their own configs say otherwise.
    pub log: LogConfig,
    /// `log.cleaner.*`: how logs are compacted, all of them together.
    pub cleaner: CleanerConfig,
    /// `fetch.max.bytes`, `max.incremental.fetch.session.cache.slots`, `pelton.fetch.sendfile.enable`.
    pub fetch: FetchConfig,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `socket.request.max.bytes`.
    pub request_max_bytes: usize,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval_ms: u64,
    /// `connections.max.idle.ms`; 0 for ever.
    pub connections_max_idle_ms: u64,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`.
    pub max_connections_per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// `queued.max.request.bytes`.
    pub request_memory_bytes: usize,
    /// `pelton.log.level`, `pelton.log.format`.
    pub logging: LogSettings,
    /// `pelton.plugin.max.bytes`.
    pub plugin_max_bytes: usize,
    /// The program, with its arguments, in which plugins are compiled: this one. `None`: in this process.
    pub plugin_compiler: Option<Vec<OsString>>,
    /// `pelton.plugin.max.count`, `pelton.plugin.max.total.bytes`, `pelton.plugin.signatures`,
    /// `pelton.plugin.trusted.keys`, `pelton.plugin.forbid`.
    pub plugin_policy: Policy,
    /// The settings that somebody made, for DescribeConfigs and as defaults of topics; without the secret ones.
    pub statics: BTreeMap<String, String>,
    /// Defaults that depend on the machine, for DescribeConfigs.
    pub default_statics: BTreeMap<String, String>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Whether `asked` is the secret. Takes as long for a wrong text as for the right one, so that it cannot be guessed
    /// byte by byte.
    pub fn is(&self, asked: &str) -> bool {
        use sha2::{Digest, Sha256};
        let (own, asked) = (Sha256::digest(&self.0), Sha256::digest(asked));
        own.iter().zip(&asked).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why no configuration came about; one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// What the operator should hear once logging is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Worth a warning.
    Warning(String),
    /// Worth a line for whoever looks for it.
    Debug(String),
}

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody.
    Default,
    /// A line of a file.
    File(PathBuf, usize),
    /// An environment variable.
    Variable(String),
    /// A flag, or `--set`.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The layers, laid over each other: call [`Settings::file`], [`Settings::environment`] and
/// [`Settings::flag`] in this order, then [`Settings::build`].
#[derive(Debug)]
pub struct Settings {
    values: BTreeMap<String, (String, Origin)>,
    notices: Vec<Notice>,
}

impl Default for Settings {
    fn default() -> Self {
        let filled = keys::KEYS.iter().filter(|key| !key.default.is_empty());
        let values = filled.map(|key| (key.name.to_owned(), (key.default.to_owned(), Origin::Default))).collect();
        Self { values, notices: Vec::new() }
    }
}

impl Settings {
    /// Lays a properties file over what is there.
    ///
    /// # Errors
    /// When the file cannot be read or a line is no property.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| ConfigError(format!("cannot read the configuration {}: {e}", path.display())))?;
        let found = properties::parse(&text).map_err(|e| ConfigError(format!("{}, {e}", path.display())))?;
        for property in found {
            self.set(property.key, property.value, Origin::File(path.to_owned(), property.line));
        }
        Ok(())
    }

    /// Lays the `PELTON_*` variables over what is there. Those that name no key are left to whoever knows them.
    pub fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, value) in variables {
            let Some(suffix) = name.strip_prefix("PELTON_") else { continue };
            match keys::of_variable(suffix) {
                Some(key) => self.set(key.to_owned(), value, Origin::Variable(name)),
                None => self.notices.push(Notice::Debug(format!("the environment variable {name} names no setting"))),
            }
        }
    }

    /// Lays one value from the command line over what is there.
    pub fn flag(&mut self, flag: &'static str, key: &str, value: &str) {
        self.set(key.trim().to_owned(), value.trim().to_owned(), Origin::Flag(flag));
    }

    fn set(&mut self, key: String, value: String, origin: Origin) {
        match keys::standing(&key) {
            Standing::Used => {
                // Kafka's newer name and the older one mean the same; whichever is set last counts.
                let other = match key.as_str() {
                    "log.dirs" => "log.dir",
                    "log.dir" => "log.dirs",
                    "node.id" => "broker.id",
                    "broker.id" => "node.id",
                    _ => "",
                };
                self.values.remove(other);
                self.values.insert(key, (value, origin));
            }
            Standing::WithoutMeaning => {
                self.notices.push(Notice::Debug(format!("`{key}` ({origin}) is Kafka's and changes nothing here")));
            }
            Standing::Security => self.notices.push(Notice::Warning(format!(
                "`{key}` ({origin}) has no effect: this version has no authentication, encryption or ACLs; keep the \
                 listeners on a network that you trust"
            ))),
            Standing::Unknown => {
                let hint = nearest(&key).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                self.notices.push(Notice::Warning(format!("unknown key `{key}` ({origin}) is ignored{hint}")));
            }
        }
    }

    /// The configuration, and what should be said about it.
    ///
    /// # Errors
    /// The first bad value, with its key, where it stands and what would be right.
    pub fn build(self) -> Result<(NodeConfig, Vec<Notice>), ConfigError> {
        let config = values::Values::new(&self.values).build()?;
        Ok((config, self.notices))
    }
}

/// The known key that differs from `key` by at most two letters.
fn nearest(key: &str) -> Option<&'static str> {
    let distances = keys::KEYS.iter().map(|known| (distance(key, known.name), known.name));
    distances.min().filter(|(distance, _)| *distance <= 2).map(|(_, name)| name)
}

/// Levenshtein's distance. Keys that are longer than any known one are not compared.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 100 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
