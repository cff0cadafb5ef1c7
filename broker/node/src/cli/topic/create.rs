//! `pelton topic create`.

use super::wire::{Cluster, Kind, NewTopic};
use super::{Bootstrap, Outcome, print_outcomes, whole};
use anyhow::anyhow;
use clap::Args;

/// Create topics.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n\
    \x20 pelton topic create orders --partitions 6 --config retention.ms=86400000\n\
    \x20 pelton topic create orders audit-log --if-not-exists")]
pub struct Create {
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Number of partitions; without it the broker's `num.partitions`.
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..), value_name = "N")]
    partitions: Option<i32>,
    /// Number of replicas of each partition; without it the broker's `default.replication.factor`.
    #[arg(long, short, value_parser = clap::value_parser!(i16).range(1..), value_name = "N")]
    replication_factor: Option<i16>,
    /// A setting of the topic, by Kafka's name; may be given several times.
    #[arg(long, short, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// A topic that exists is left as it is and is no error.
    #[arg(long)]
    if_not_exists: bool,
    /// Have the broker check the topics, and make none.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Create {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut configs = Vec::new();
        for pair in &self.config {
            let split = pair.split_once('=');
            configs.push(split.ok_or_else(|| anyhow!("--config {pair}: write KEY=VALUE, such as retention.ms=60000"))?);
        }
        let topic = |name| NewTopic {
            name,
            partitions: self.partitions.unwrap_or(-1),
            replication_factor: self.replication_factor.unwrap_or(-1),
            configs: configs.clone(),
        };
        let topics: Vec<NewTopic<'_>> = self.topics.iter().map(|name| topic(name.as_str())).collect();
        let results = Cluster::connect(&self.bootstrap.bootstrap)?.create_topics(&topics, self.dry_run)?;
        let made = if self.dry_run { "could be created:" } else { "created" };
        let (mut outcomes, mut refused) = (Vec::new(), Vec::new());
        for (topic, result) in results {
            match result {
                Ok(_) => outcomes.push(Outcome { topic, result: made }),
                Err(refusal) if refusal.kind() == Kind::TopicExists && self.if_not_exists => {
                    outcomes.push(Outcome { topic, result: "exists" });
                }
                Err(refusal) if refusal.kind() == Kind::TopicExists => {
                    refused.push(format!("the topic {topic} exists; --if-not-exists leaves it as it is"));
                }
                Err(refusal) => refused.push(format!("the topic {topic} was not created: {refusal}")),
            }
        }
        print_outcomes(&outcomes, self.json);
        whole(&refused)
    }
}
