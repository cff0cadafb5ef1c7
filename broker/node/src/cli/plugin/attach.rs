//! `pelton plugin attach`, `detach`, `promote` and `rollback`: what runs on a topic, changed by its configs.

use super::chain::{self, Changes, Parameters, Place};
use super::list::{self, Described};
use super::topic_plugins::TopicPlugins;
use crate::cli::{Asking, output};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use pelton_api::manifest::{PluginKind, PluginRef};
use std::str::FromStr;

/// The partitioners that need no upload.
const BUILT_IN: [&str; 4] = ["murmur2", "crc32", "round-robin", "sticky"];

/// Attach a plugin to a topic, or switch to another version of it.
///
/// An interceptor joins the chain of the topic; where another version of it stands already, it takes that place, and
/// the broker records at which offsets. A partitioner becomes the topic's partitioner; murmur2, crc32, round-robin
/// and sticky are built in. Nothing a client sees is interrupted.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n\
    \x20 pelton plugin attach orders mask@2 --after audit --config @mask.json --on-error reject\n\
    \x20 pelton plugin attach orders mask@3 --shadow\n\
    \x20 pelton plugin attach orders-in geo@1 --mode route --target orders")]
pub struct Attach {
    /// Name of the topic.
    topic: String,
    /// Name and version, such as mask@1, or a partitioner that is built in.
    #[arg(value_name = "NAME@VERSION")]
    plugin: Attached,
    /// Put it before all others.
    #[arg(long, conflicts_with_all = ["before", "after"])]
    first: bool,
    /// Put it before the plugin of this name.
    #[arg(long, value_name = "NAME", conflicts_with = "after")]
    before: Option<String>,
    /// Put it after the plugin of this name.
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    /// Its parameters as JSON, or @FILE for those in a file.
    #[arg(long, value_name = "JSON|@FILE")]
    config: Option<String>,
    /// Topics that it may emit records to, parted by commas.
    #[arg(long, value_name = "TOPICS")]
    emit: Option<String>,
    /// What a fault of a plugin, or a rejection of a record by it, does on this topic.
    #[arg(long, value_enum, value_name = "POLICY")]
    on_error: Option<OnError>,
    /// Let it see what the live chain sees, and decide nothing.
    #[arg(long, conflicts_with = "on_error")]
    shadow: bool,
    /// Of a partitioner: refuse records in the wrong partition, or move them to the right one of another topic.
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<Mode>,
    /// Of a partitioner that routes: the topic that records are moved to.
    #[arg(long, value_name = "TOPIC")]
    target: Option<String>,
    /// Have the broker check the change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asking: Asking,
}

/// Detach a plugin from a topic.
///
/// Its parameters go with it. Where it is in the shadow as well, it leaves the shadow too.
#[derive(Debug, Args)]
pub struct Detach {
    /// Name of the topic.
    topic: String,
    /// Name of the plugin, without a version.
    #[arg(value_name = "NAME")]
    name: String,
    /// Only end the shadow that it is part of.
    #[arg(long)]
    shadow: bool,
    /// Have the broker check the change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asking: Asking,
}

/// Make the version that runs in the shadow the one that counts.
#[derive(Debug, Args)]
pub struct Promote {
    /// Name of the topic.
    topic: String,
    /// Name of the plugin, without a version.
    #[arg(value_name = "NAME")]
    name: String,
    /// Have the broker check the change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asking: Asking,
}

/// Go back to what was attached before the last switch.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Name of the topic.
    topic: String,
    #[command(flatten)]
    asking: Asking,
}

/// What a fault or a rejection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnError {
    /// The batch is refused; a consumer gets nothing.
    Reject,
    /// The batch goes on as if the plugin were not there.
    Skip,
    /// The records go to the dead-letter topic.
    DeadLetter,
}

/// What a partitioner does with records in the wrong partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// It refuses them, and names the right one.
    Verify,
    /// It moves records to the target topic.
    Route,
}

/// A plugin, or a partitioner that is built in.
#[derive(Debug, Clone)]
enum Attached {
    Plugin(PluginRef),
    BuiltIn(&'static str),
}

impl FromStr for Attached {
    type Err = pelton_api::manifest::BadPluginRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match BUILT_IN.iter().find(|name| **name == text) {
            Some(name) => Ok(Self::BuiltIn(name)),
            None => text.parse().map(Self::Plugin),
        }
    }
}

impl Attach {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let client = self.asking.admin.client();
        let kind = match &self.plugin {
            Attached::BuiltIn(_) => PluginKind::Partitioner,
            Attached::Plugin(plugin) => {
                let described: Described = client.get(&list::path(plugin))?;
                described.manifest.facts.kind
            }
        };
        let now = TopicPlugins::get(&client, &self.topic)?;
        let changes = self.changes(kind, &now)?;
        apply(&self.asking, &self.topic, changes, &now, self.dry_run)
    }

    fn changes(&self, kind: PluginKind, now: &TopicPlugins) -> anyhow::Result<Changes> {
        let parameters = Parameters { config: self.config()?, emit: self.emit.clone() };
        let place = match (&self.before, &self.after) {
            (Some(name), _) => Place::Before(name.clone()),
            (None, Some(name)) => Place::After(name.clone()),
            (None, None) if self.first => Place::First,
            (None, None) => Place::Kept,
        };
        let on_error = self.on_error.and_then(|policy| policy.to_possible_value());
        let configs = &now.known.configs;
        match (&self.plugin, kind) {
            (Attached::Plugin(plugin), PluginKind::Interceptor) => {
                if self.mode.is_some() || self.target.is_some() {
                    bail!("{plugin} is an interceptor; --mode and --target belong to partitioners");
                }
                match self.shadow {
                    true => chain::shadow(configs, plugin, &place, &parameters),
                    false => {
                        let on_error = on_error.as_ref().map(|policy| policy.get_name());
                        chain::attach(configs, plugin, &place, &parameters, on_error)
                    }
                }
            }
            (Attached::Plugin(plugin), PluginKind::Transform) => {
                bail!("{plugin} is a transform: it runs in a job, which `pelton job run` starts, not on a topic")
            }
            (attached, _) => {
                let (name, text) = match attached {
                    Attached::Plugin(plugin) => (plugin.name.clone(), plugin.to_string()),
                    Attached::BuiltIn(name) => ((*name).to_owned(), (*name).to_owned()),
                };
                if self.shadow || on_error.is_some() || place != Place::Kept {
                    bail!("{text} is a partitioner; --shadow, --on-error and a place belong to interceptors");
                }
                let mode = self.mode.map(|mode| if mode == Mode::Route { "route" } else { "verify" });
                if mode == Some("route") && self.target.is_none() && !configs.contains_key(chain::PARTITIONER_TARGET) {
                    bail!("--mode route needs --target TOPIC: the topic that records are moved to");
                }
                Ok(chain::partitioner(&name, &text, mode, self.target.as_deref(), &parameters))
            }
        }
    }

    /// The plugin's parameters, checked to be JSON.
    fn config(&self) -> anyhow::Result<Option<String>> {
        self.config.as_deref().map(json_text).transpose()
    }
}

/// Reads `JSON` or `@FILE`, and writes it in one line.
///
/// # Errors
/// When it is no JSON.
pub fn json_text(given: &str) -> anyhow::Result<String> {
    let text = match given.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?,
        None => given.to_owned(),
    };
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("--config {} is no JSON", output::shortened(given, 80)))?;
    Ok(value.to_string())
}

impl Detach {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let now = TopicPlugins::get(&self.asking.admin.client(), &self.topic)?;
        let (configs, own) = (&now.known.configs, &now.known.own);
        let changes = match self.shadow {
            true => chain::end_shadow(configs, own, &self.name)?,
            false => chain::detach(configs, own, &self.name)?,
        };
        apply(&self.asking, &self.topic, changes, &now, self.dry_run)
    }
}

impl Promote {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let now = TopicPlugins::get(&self.asking.admin.client(), &self.topic)?;
        let changes = chain::promote(&now.known.configs, &self.name)?;
        apply(&self.asking, &self.topic, changes, &now, self.dry_run)
    }
}

impl Rollback {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let client = self.asking.admin.client();
        let before = TopicPlugins::get(&client, &self.topic)?;
        let after = TopicPlugins::rollback(&client, &self.topic)?;
        if self.asking.json {
            output::json(&after.whole);
            return Ok(());
        }
        print_identity(&self.topic, &after);
        let keys: std::collections::BTreeSet<&String> = before.known.own.keys().chain(after.known.own.keys()).collect();
        for key in keys {
            let (was, is) = (before.known.own.get(key), after.known.own.get(key));
            if was != is {
                let text = |value: Option<&String>| value.map_or("(not set)", String::as_str).to_owned();
                output::line(&format!("  {key}: {} -> {}", text(was), text(is)));
            }
        }
        Ok(())
    }
}

fn apply(asking: &Asking, topic: &str, changes: Changes, now: &TopicPlugins, dry_run: bool) -> anyhow::Result<()> {
    let changes = changes.against(&now.known.own);
    if changes.is_empty() {
        match asking.json {
            true => output::json(&now.whole),
            false => output::line(&format!("{topic} is as it shall be; nothing was changed")),
        }
        return Ok(());
    }
    let after = TopicPlugins::change(&asking.admin.client(), topic, &changes, dry_run)?;
    if asking.json {
        output::json(&after.whole);
        return Ok(());
    }
    match dry_run {
        true => output::line(&format!("{topic} would be changed; the broker has nothing against it:")),
        false => print_identity(topic, &after),
    }
    for line in changes.lines(&now.known.configs) {
        output::line(&format!("  {line}"));
    }
    Ok(())
}

fn print_identity(topic: &str, after: &TopicPlugins) {
    match after.known.identity.as_deref().filter(|identity| !identity.is_empty()) {
        Some(identity) => output::line(&format!("{topic} runs {identity}")),
        None => output::line(&format!("nothing is attached to {topic}")),
    }
}
