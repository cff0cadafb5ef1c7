//! `pelton topic import`: makes a cluster have the topics of a document. Done twice, the second time does nothing.
//!
//! The broker checks every step before the first one is taken.

use super::export::saved;
use super::snapshot::{SavedTopic, Snapshot, Step};
use super::wire::{Cluster, NewTopic, Refused, Resource, Topic};
use super::{Bootstrap, config, output};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Create and alter topics so that they are as a document says that `pelton topic export` wrote.
///
/// Topics that the document does not name are left alone, and so is what can only be lost: no partition is taken away.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n\
    \x20 pelton topic import topics.json --dry-run\n\
    \x20 pelton topic export --bootstrap old:9092 | pelton topic import - --replication-factor 1")]
pub struct Import {
    /// The document; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Unset the settings of a topic that the document does not have.
    #[arg(long)]
    exact: bool,
    /// Number of replicas of new topics, whatever the document says.
    #[arg(long, value_parser = clap::value_parser!(i16).range(1..), value_name = "N")]
    replication_factor: Option<i16>,
    /// Have the broker check what is to be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Import {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let text = crate::cli::input::text(&self.file)?;
        let snapshot = Snapshot::read(&text).with_context(|| format!("cannot read {}", self.file.display()))?;
        let wanted: Vec<SavedTopic> = snapshot.topics.into_iter().map(|topic| self.replicated(topic)).collect();
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        let all = cluster.topics()?;
        let named: Vec<Topic> =
            all.into_iter().filter(|topic| wanted.iter().any(|wanted| wanted.topic == topic.name)).collect();
        let there: BTreeMap<String, SavedTopic> =
            saved(&mut cluster, &named)?.into_iter().map(|topic| (topic.topic.clone(), topic)).collect();
        let step = |wanted: &SavedTopic| Step::towards(wanted, there.get(&wanted.topic), self.exact);
        let steps: Vec<(Step, SavedTopic)> = wanted.into_iter().map(|wanted| (step(&wanted), wanted)).collect();
        for (step, wanted) in &steps {
            take(&mut cluster, step, wanted, true)?;
        }
        if !self.dry_run {
            for (step, wanted) in &steps {
                take(&mut cluster, step, wanted, false)?;
            }
        }
        self.print(&steps);
        Ok(())
    }

    fn replicated(&self, mut topic: SavedTopic) -> SavedTopic {
        topic.replication_factor = self.replication_factor.or(topic.replication_factor);
        topic
    }

    fn print(&self, steps: &[(Step, SavedTopic)]) {
        if self.json {
            let topics = steps.iter().map(|(step, _)| {
                let Step { topic, partitions, configs, left, .. } = step;
                json!({
                    "topic": topic, "result": step.result(), "partitions": partitions, "configs": configs, "left": left,
                })
            });
            output::json(&json!({ "dry_run": self.dry_run, "topics": topics.collect::<Vec<_>>() }));
            return;
        }
        for (step, wanted) in steps {
            let would = if self.dry_run && !step.is_nothing() { "would be " } else { "" };
            output::line(&format!("{would}{} {}", step.result(), step.topic));
            if step.create {
                wanted.configs.iter().for_each(|(key, value)| output::line(&format!("  {key}={value}")));
            }
            if let Some(partitions) = step.partitions {
                output::line(&format!("  {partitions} partitions"));
            }
            step.configs.iter().for_each(|change| output::line(&format!("  {}", config::changes::line(change))));
            step.left.iter().for_each(|left| output::line(&format!("  left as it is: {left}")));
        }
    }
}

/// Takes a step, or has the broker check it.
fn take(cluster: &mut Cluster, step: &Step, wanted: &SavedTopic, validate_only: bool) -> anyhow::Result<()> {
    let refused = |refused: Refused| anyhow!("the topic {}: {refused}", step.topic);
    if step.create {
        let configs = wanted.configs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let topic = NewTopic {
            name: &wanted.topic,
            partitions: wanted.partitions.unwrap_or(-1),
            replication_factor: wanted.replication_factor.unwrap_or(-1),
            configs: configs.collect(),
        };
        let Some((_, result)) = cluster.create_topics(&[topic], validate_only)?.pop() else {
            bail!("the broker does not say what became of the topic {}", step.topic);
        };
        result.map_err(refused)?;
    }
    if !step.configs.is_empty() {
        let topic = Resource::Topic(step.topic.clone());
        cluster.alter_configs(&topic, &step.configs, validate_only)?.map_err(refused)?;
    }
    if let Some(partitions) = step.partitions {
        cluster.create_partitions(&step.topic, partitions, validate_only)?.map_err(refused)?;
    }
    Ok(())
}
