//! `pelton topic list`.

use super::wire::Cluster;
use super::{Bootstrap, output};
use clap::Args;
use serde::Serialize;

/// List the topics.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n\x20 pelton topic list --json")]
pub struct List {
    /// List the broker's own topics as well.
    #[arg(long)]
    internal: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, Serialize)]
struct Listed {
    topic: String,
    partitions: usize,
}

impl List {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let topics = Cluster::connect(&self.bootstrap.bootstrap)?.topics()?;
        let listed: Vec<Listed> = topics
            .into_iter()
            .filter(|topic| self.internal || !topic.internal)
            .map(|topic| Listed { topic: topic.name, partitions: topic.partitions.len() })
            .collect();
        if self.json {
            output::json(&listed);
        } else {
            output::table(
                &["TOPIC", "PARTITIONS"],
                listed.into_iter().map(|t| vec![t.topic, t.partitions.to_string()]),
            );
        }
        Ok(())
    }
}
