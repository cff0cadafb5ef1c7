//! `pelton topic export`: topics and their settings as a document.

use super::describe::own;
use super::snapshot::{SavedTopic, Snapshot};
use super::wire::{Cluster, Topic};
use super::{Bootstrap, output};
use anyhow::{Context, anyhow};
use clap::Args;
use std::path::PathBuf;

/// Write topics with their partitions and settings as JSON, for `pelton topic import`.
///
/// Settings are those that were given to the topics themselves; what holds by default is not written.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n\
    \x20 pelton topic export > topics.json\n\
    \x20 pelton topic export orders --out orders.json")]
pub struct Export {
    /// Names of the topics; without any, all but the broker's own.
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Export {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        let topics = match self.topics.is_empty() {
            true => cluster.topics()?.into_iter().filter(|topic| !topic.internal).collect(),
            false => cluster.named(&self.topics)?,
        };
        let snapshot = Snapshot { topics: saved(&mut cluster, &topics)? };
        let text = serde_json::to_string_pretty(&snapshot).expect("a snapshot has string keys") + "\n";
        match &self.out {
            None => output::bytes(text.as_bytes()),
            Some(file) => {
                std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
                let topics = output::counted(snapshot.topics.len(), "topic");
                output::note(&format!("{topics} written to {}", file.display()));
            }
        }
        Ok(())
    }
}

/// Topics as they are in the cluster.
///
/// # Errors
/// When the broker does not answer, or keeps their settings to itself.
pub fn saved(cluster: &mut Cluster, topics: &[Topic]) -> anyhow::Result<Vec<SavedTopic>> {
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let mut saved = Vec::with_capacity(topics.len());
    for (topic, (name, configs)) in topics.iter().zip(cluster.topic_configs(&names)?) {
        let configs = configs.map_err(|refused| anyhow!("the settings of {name}: {refused}"))?;
        let replicas = topic.partitions.first().map(|partition| partition.replicas.len());
        saved.push(SavedTopic {
            topic: name,
            partitions: i32::try_from(topic.partitions.len()).ok(),
            replication_factor: replicas.and_then(|count| i16::try_from(count).ok()),
            configs: own(&configs),
        });
    }
    Ok(saved)
}
