//! `pelton config describe`: settings with their values and where these come from.

use super::wire::{Cluster, Config, Resource, Source};
use super::{Bootstrap, Whose, output};
use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::json;

/// The longest value that is shown in a table.
const SHOWN: usize = 60;

/// Show settings of a topic, of a broker, or of all brokers, with where their values come from.
///
/// Without keys, the settings that somebody has set; `--all` shows those that hold by default as well. A setting that is
/// named is shown with its meaning, its type and every value that it has, the one in force first.
#[derive(Debug, Args)]
#[command(
    override_usage = "pelton config describe [OPTIONS] [KEY]...",
    arg_required_else_help = true,
    after_long_help = "Examples:\n\
    \x20 pelton config describe --topic orders\n\
    \x20 pelton config describe --topic orders retention.ms\n\
    \x20 pelton config describe --broker 1 --all"
)]
pub struct Describe {
    /// Settings to be shown with all that is known of them.
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    #[command(flatten)]
    whose: Whose,
    /// Show those that hold by default as well.
    #[arg(long)]
    all: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Describe {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let resource = self.whose.resource();
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        let described = cluster.configs(&resource)?;
        let configs = described.map_err(|refused| anyhow!("the settings of {resource}: {refused}"))?;
        let wanted = self.wanted(&resource, configs)?;
        if self.json {
            output::json(&json!({ "of": resource.to_string(), "configs": wanted }));
        } else if self.keys.is_empty() {
            print(&resource, &wanted);
        } else {
            wanted.iter().for_each(explain);
        }
        Ok(())
    }

    fn wanted(&self, resource: &Resource, configs: Vec<Config>) -> anyhow::Result<Vec<Config>> {
        if let Some(unknown) = self.keys.iter().find(|key| !configs.iter().any(|config| config.name == **key)) {
            bail!("{resource} has no setting {unknown}; --all shows those that it has");
        }
        let own = |config: &Config| match resource {
            Resource::Topic(_) => config.source == Source::Topic,
            Resource::Broker(_) => matches!(config.source, Source::Broker | Source::AllBrokers | Source::Start),
            Resource::AllBrokers => true,
        };
        let is_wanted = |config: &Config| match self.keys.is_empty() {
            true => self.all || own(config),
            false => self.keys.contains(&config.name),
        };
        Ok(configs.into_iter().filter(is_wanted).collect())
    }
}

fn shown(config: &Config) -> String {
    match (&config.value, config.sensitive) {
        (_, true) => "(a secret)".to_owned(),
        (Some(value), false) => value.clone(),
        (None, false) => "(none)".to_owned(),
    }
}

fn print(resource: &Resource, configs: &[Config]) {
    if configs.is_empty() {
        output::line(&format!("nothing is set for {resource}; --all shows what holds by default"));
        return;
    }
    output::table(
        &["KEY", "VALUE", "SET BY"],
        configs.iter().map(|config| {
            let read_only = if config.read_only { ", cannot be changed at run time" } else { "" };
            let value = output::shortened(&shown(config), SHOWN);
            vec![config.name.clone(), value, format!("{}{read_only}", config.source.name())]
        }),
    );
}

fn explain(config: &Config) {
    output::line(&format!("{}={}", config.name, shown(config)));
    if let Some(text) = &config.documentation {
        output::line(&format!("  {text}"));
    }
    let read_only = if config.read_only { "; it cannot be changed at run time" } else { "" };
    output::line(&format!("  type {}, set by {}{read_only}", config.kind, config.source.name()));
    for synonym in &config.synonyms {
        let value = synonym.value.as_deref().unwrap_or("(none)");
        output::line(&format!("  {}={value} ({})", synonym.name, synonym.source.name()));
    }
}
