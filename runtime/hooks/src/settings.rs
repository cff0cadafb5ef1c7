//! The `pelton.*` configs of one topic, read and checked for form. Pure: whether plugins and topics exist is asked elsewhere.
//!
//! Every error begins with the name of the config that is wrong and says what would be right.

use crate::breaker::{BreakerSettings, WhenOpen};
use crate::policy::OnError;
use pelton_api::hooks::CONFIG_PREFIX;
use pelton_api::manifest::PluginRef;
use std::collections::BTreeMap;

/// The ordered chain: `audit@2,mask@1`.
pub const INTERCEPTORS: &str = "pelton.interceptors";
/// `reject`, `skip` or `dead-letter`.
pub const ON_ERROR: &str = "pelton.interceptors.on.error";
/// Faults in a row that open a circuit.
pub const BREAKER_FAULTS: &str = "pelton.interceptors.breaker.faults";
/// `refuse` or `bypass`.
pub const BREAKER_OPEN: &str = "pelton.interceptors.breaker.open";
/// Milliseconds until one call is tried.
pub const BREAKER_PAUSE_MS: &str = "pelton.interceptors.breaker.pause.ms";
/// A chain that sees what the live chain sees, and decides nothing.
pub const SHADOW: &str = "pelton.interceptors.shadow";
/// Where `on.error=dead-letter` puts records.
pub const DEAD_LETTER_TOPIC: &str = "pelton.interceptors.dead.letter.topic";
/// `murmur2`, `crc32`, `round-robin`, `sticky` or `NAME@VERSION`.
pub const PARTITIONER: &str = "pelton.partitioner";
/// `verify` or `route`.
pub const PARTITIONER_MODE: &str = "pelton.partitioner.mode";
/// The data topic of mode `route`.
pub const PARTITIONER_TARGET: &str = "pelton.partitioner.target";

const NAMES: [&str; 10] = [
    INTERCEPTORS,
    ON_ERROR,
    BREAKER_FAULTS,
    BREAKER_OPEN,
    BREAKER_PAUSE_MS,
    SHADOW,
    DEAD_LETTER_TOPIC,
    PARTITIONER,
    PARTITIONER_MODE,
    PARTITIONER_TARGET,
];
const PLUGIN_PREFIX: &str = "pelton.plugin.";
const CONFIG_SUFFIX: &str = ".config";
const EMIT_SUFFIX: &str = ".emit";

/// The most interceptors of one chain.
pub const MAX_LINKS: usize = 16;
/// The most topics to which one plugin may emit.
pub const MAX_EMIT_TOPICS: usize = 32;
/// The largest `pelton.plugin.NAME.config`, in bytes.
pub const MAX_CONFIG_BYTES: usize = 256 << 10;

/// Which partitioner a topic has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionerChoice {
    /// One that is built in.
    BuiltIn(BuiltIn),
    /// A plugin.
    Plugin(PluginRef),
}

/// The partitioners that need no plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// Java's: murmur2 of the key; a record without a key may be anywhere.
    Murmur2,
    /// librdkafka's default: CRC-32 of the key; a record without a key, or with an empty one, may be anywhere.
    Crc32,
    /// One partition after the other, keys or not.
    RoundRobin,
    /// One partition for each batch, keys or not.
    Sticky,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Murmur2, Self::Crc32, Self::RoundRobin, Self::Sticky];

    /// The name in `pelton.partitioner`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Murmur2 => "murmur2",
            Self::Crc32 => "crc32",
            Self::RoundRobin => "round-robin",
            Self::Sticky => "sticky",
        }
    }

    /// Whether it has one right answer for a record, so that a wrong one can be told.
    pub fn verifies(self) -> bool {
        matches!(self, Self::Murmur2 | Self::Crc32)
    }
}

impl std::fmt::Display for PartitionerChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn(built_in) => f.write_str(built_in.name()),
            Self::Plugin(plugin) => plugin.fmt(f),
        }
    }
}

/// What a topic does with its partitioner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// A record in the wrong partition is refused.
    Verify,
    /// The topic is an ingress: the platform moves its records to `target`.
    Route {
        /// The data topic.
        target: String,
    },
}

/// The partitioner of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partitioning {
    /// Which.
    pub choice: PartitionerChoice,
    /// What it is for.
    pub mode: Mode,
}

/// What a topic says of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginSettings {
    /// JSON object. `{}` where the topic says nothing.
    pub config: Option<String>,
    /// Topics to which it may emit.
    pub emit: Vec<String>,
}

impl PluginSettings {
    /// The configuration that the plugin is given.
    pub fn config(&self) -> &str {
        self.config.as_deref().unwrap_or("{}")
    }
}

/// All `pelton.*` configs of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The chain, in order.
    pub interceptors: Vec<PluginRef>,
    /// What becomes of faults and of refused records.
    pub on_error: OnError,
    /// The circuit of each plugin.
    pub breaker: BreakerSettings,
    /// The chain that decides nothing.
    pub shadow: Vec<PluginRef>,
    /// Where `dead-letter` puts records.
    pub dead_letter_topic: String,
    /// By plugin name, without version.
    pub plugins: BTreeMap<String, PluginSettings>,
    /// The partitioner, if the topic has one.
    pub partitioner: Option<Partitioning>,
}

impl Settings {
    /// Reads the configs of `topic`. Names that do not begin with `pelton.` are no affair of this room.
    ///
    /// # Errors
    /// Text for the operator that begins with the config's name.
    pub fn parse(topic: &str, configs: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut plugins: BTreeMap<String, PluginSettings> = BTreeMap::new();
        for (name, value) in configs.iter().filter(|(name, _)| name.starts_with(CONFIG_PREFIX)) {
            if !NAMES.contains(&name.as_str()) {
                read_plugin_config(name, value.trim(), topic, &mut plugins)?;
            }
        }
        let text = |name: &str| configs.get(name).map(|value| value.trim());
        let interceptors = chain(INTERCEPTORS, text(INTERCEPTORS).unwrap_or_default())?;
        let shadow = chain(SHADOW, text(SHADOW).unwrap_or_default())?;
        let on_error = one_of(
            ON_ERROR,
            text(ON_ERROR),
            OnError::Reject,
            &[("reject", OnError::Reject), ("skip", OnError::Skip), ("dead-letter", OnError::DeadLetter)],
        )?;
        let partitioner = partitioning(topic, &text)?;
        let by_default = if on_error == OnError::Reject { WhenOpen::Refuse } else { WhenOpen::Bypass };
        let open = [("refuse", WhenOpen::Refuse), ("bypass", WhenOpen::Bypass)];
        let breaker = BreakerSettings {
            faults: number(BREAKER_FAULTS, text(BREAKER_FAULTS), 5, 0, 1_000_000)?,
            open: one_of(BREAKER_OPEN, text(BREAKER_OPEN), by_default, &open)?,
            pause_ms: number(BREAKER_PAUSE_MS, text(BREAKER_PAUSE_MS), 30_000, 1, 86_400_000)?.into(),
        };
        let dead_letter_topic = text(DEAD_LETTER_TOPIC).map_or_else(|| format!("{topic}-dead-letter"), str::to_owned);
        if on_error == OnError::DeadLetter || configs.contains_key(DEAD_LETTER_TOPIC) {
            other_topic(DEAD_LETTER_TOPIC, &dead_letter_topic, topic)?;
        }
        let settings = Self { interceptors, on_error, breaker, shadow, dead_letter_topic, plugins, partitioner };
        settings.check_attached()?;
        Ok(settings)
    }

    /// What the topic says of a plugin.
    pub fn plugin(&self, name: &str) -> PluginSettings {
        self.plugins.get(name).cloned().unwrap_or_default()
    }

    /// Whether an interceptor, live or shadow, or a partitioner has this name.
    fn check_attached(&self) -> Result<(), String> {
        let intercepts = |name: &str| self.interceptors.iter().chain(&self.shadow).any(|plugin| plugin.name == name);
        let partitions = |name: &str| {
            matches!(&self.partitioner, Some(Partitioning { choice: PartitionerChoice::Plugin(plugin), .. })
                if plugin.name == name)
        };
        for (name, settings) in &self.plugins {
            if !settings.emit.is_empty() && !intercepts(name) {
                return Err(format!(
                    "{PLUGIN_PREFIX}{name}{EMIT_SUFFIX}: no interceptor `{name}` is attached to this topic; name it in {INTERCEPTORS} or remove this config"
                ));
            }
            if settings.config.is_some() && !intercepts(name) && !partitions(name) {
                return Err(format!(
                    "{PLUGIN_PREFIX}{name}{CONFIG_SUFFIX}: no plugin `{name}` is attached to this topic; name it in {INTERCEPTORS} or {PARTITIONER}, or remove this config"
                ));
            }
        }
        Ok(())
    }
}

/// Whether `name` is a topic config of this room, so that a broker may take it as a default for its topics.
pub fn is_topic_config(name: &str) -> bool {
    NAMES.contains(&name) || plugin_config(name).is_some()
}

/// The name of the config that carries a plugin's parameters.
pub fn config_name(plugin: &str) -> String {
    format!("{PLUGIN_PREFIX}{plugin}{CONFIG_SUFFIX}")
}

/// The name of the config that lists the topics to which a plugin may emit.
pub fn emit_name(plugin: &str) -> String {
    format!("{PLUGIN_PREFIX}{plugin}{EMIT_SUFFIX}")
}

/// Plugin and suffix of `pelton.plugin.NAME.config` or `.emit`.
fn plugin_config(name: &str) -> Option<(&str, &'static str)> {
    let rest = name.strip_prefix(PLUGIN_PREFIX)?;
    let (plugin, suffix) = [CONFIG_SUFFIX, EMIT_SUFFIX]
        .into_iter()
        .find_map(|suffix| rest.strip_suffix(suffix).map(|plugin| (plugin, suffix)))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (!plugin.is_empty() && plugin.len() <= 100 && plugin.chars().all(plain)).then_some((plugin, suffix))
}

fn read_plugin_config(
    name: &str,
    value: &str,
    topic: &str,
    plugins: &mut BTreeMap<String, PluginSettings>,
) -> Result<(), String> {
    let Some((plugin, suffix)) = plugin_config(name) else {
        return Err(unknown(name));
    };
    let settings = plugins.entry(plugin.to_owned()).or_default();
    if suffix == CONFIG_SUFFIX {
        if value.len() > MAX_CONFIG_BYTES {
            return Err(format!("{name}: {} bytes; at most {MAX_CONFIG_BYTES} are allowed", value.len()));
        }
        let json: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(value);
        json.map_err(|error| format!("{name}: not a JSON object: {error}"))?;
        settings.config = Some(value.to_owned());
        return Ok(());
    }
    for to in list(value) {
        other_topic(name, to, topic)
            .map_err(|error| format!("{error}; a topic that only receives sets {INTERCEPTORS} to nothing"))?;
        if to.starts_with("__") {
            return Err(format!("{name}: `{to}` is an internal topic; a plugin cannot emit to it"));
        }
        if settings.emit.iter().any(|known| known == to) {
            return Err(format!("{name}: `{to}` is named twice"));
        }
        settings.emit.push(to.to_owned());
    }
    if settings.emit.len() > MAX_EMIT_TOPICS {
        return Err(format!("{name}: {} topics; at most {MAX_EMIT_TOPICS} are allowed", settings.emit.len()));
    }
    Ok(())
}

fn unknown(name: &str) -> String {
    if let Some(rest) = name.strip_prefix(PLUGIN_PREFIX) {
        let plugin = rest.split('.').next().filter(|plugin| !plugin.is_empty()).unwrap_or("NAME");
        return format!(
            "{name}: unknown; a plugin has {} and {} (NAME without version)",
            config_name(plugin),
            emit_name(plugin)
        );
    }
    let nearest = NAMES.into_iter().min_by_key(|known| distance(name, known)).unwrap_or(INTERCEPTORS);
    format!("{name}: unknown; did you mean {nearest}?")
}

/// Levenshtein's distance, over the first 100 bytes.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (&a.as_bytes()[..a.len().min(100)], &b.as_bytes()[..b.len().min(100)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn chain(name: &str, value: &str) -> Result<Vec<PluginRef>, String> {
    let mut plugins: Vec<PluginRef> = Vec::new();
    for item in list(value) {
        let plugin: PluginRef = item.parse().map_err(|error| format!("{name}: {error}"))?;
        if plugins.iter().any(|known| known.name == plugin.name) {
            return Err(format!(
                "{name}: `{}` stands in the chain twice; a chain has one version of a plugin",
                plugin.name
            ));
        }
        plugins.push(plugin);
    }
    if plugins.len() > MAX_LINKS {
        return Err(format!("{name}: {} plugins; a chain has at most {MAX_LINKS}", plugins.len()));
    }
    Ok(plugins)
}

fn partitioning<'a>(topic: &str, text: &impl Fn(&str) -> Option<&'a str>) -> Result<Option<Partitioning>, String> {
    let mode = one_of(PARTITIONER_MODE, text(PARTITIONER_MODE), false, &[("verify", false), ("route", true)])?;
    let target = text(PARTITIONER_TARGET).filter(|target| !target.is_empty());
    let Some(choice) = text(PARTITIONER).filter(|choice| !choice.is_empty()) else {
        let without = |name: &str| Err(format!("{name}: set {PARTITIONER} too, or remove this config"));
        return match (text(PARTITIONER_MODE), target) {
            (Some(_), _) => without(PARTITIONER_MODE),
            (_, Some(_)) => without(PARTITIONER_TARGET),
            _ => Ok(None),
        };
    };
    let built_in = BuiltIn::ALL.into_iter().find(|built_in| built_in.name() == choice);
    let choice = match built_in {
        Some(built_in) => PartitionerChoice::BuiltIn(built_in),
        None => PartitionerChoice::Plugin(choice.parse().map_err(|_| {
            format!("{PARTITIONER}: `{choice}` is none of murmur2, crc32, round-robin, sticky and no NAME@VERSION")
        })?),
    };
    let mode = match (mode, target) {
        (true, Some(target)) => {
            other_topic(PARTITIONER_TARGET, target, topic)?;
            Mode::Route { target: target.to_owned() }
        }
        (true, None) => {
            return Err(format!(
                "{PARTITIONER_TARGET}: {PARTITIONER_MODE}=route needs the name of the data topic here"
            ));
        }
        (false, Some(_)) => {
            return Err(format!("{PARTITIONER_TARGET}: set {PARTITIONER_MODE}=route too, or remove this config"));
        }
        (false, None) => Mode::Verify,
    };
    if let (PartitionerChoice::BuiltIn(built_in), Mode::Verify) = (&choice, &mode)
        && !built_in.verifies()
    {
        return Err(format!(
            "{PARTITIONER}: {} cannot be verified, any partition is right; set {PARTITIONER_MODE}=route or choose murmur2, crc32 or a plugin",
            built_in.name()
        ));
    }
    Ok(Some(Partitioning { choice, mode }))
}

fn one_of<T: Copy>(name: &str, value: Option<&str>, by_default: T, allowed: &[(&str, T)]) -> Result<T, String> {
    let Some(value) = value else { return Ok(by_default) };
    allowed.iter().find(|(text, _)| *text == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let names: Vec<&str> = allowed.iter().map(|(text, _)| *text).collect();
        format!("{name}: `{value}` is none of {}", names.join(", "))
    })
}

fn number(name: &str, value: Option<&str>, by_default: u32, least: u32, most: u32) -> Result<u32, String> {
    let Some(value) = value else { return Ok(by_default) };
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{name}: `{value}` is no number from {least} to {most}"))
}

/// Checks the name of a topic that is not `topic` itself: records that a plugin or the platform puts there do not pass the
/// topic's own chain, so into itself they would break what the chain promises.
fn other_topic(name: &str, other: &str, topic: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if other.is_empty() || other.len() > 249 || matches!(other, "." | "..") || !other.chars().all(plain) {
        return Err(format!("{name}: `{other}` is no name of a topic (letters, digits, `.`, `-`, `_`, at most 249)"));
    }
    if other == topic {
        return Err(format!("{name}: `{other}` is the topic itself; name another topic"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
