//! `pelton cluster log-dirs`: where logs lie, and how large they are.

use super::wire::{self, Directory, LogSize};
use super::{Bootstrap, output};
use anyhow::bail;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;

/// Show the log directories of the brokers, and how large the logs in them are.
///
/// Sizes are those of the segments; indexes come on top. The sum for each topic, or with `--partitions` every log.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n\
    \x20 pelton cluster log-dirs\n\
    \x20 pelton cluster log-dirs --topic orders --partitions")]
pub struct LogDirs {
    /// Show the logs of these topics alone; may be given several times.
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Show the directories of this broker alone.
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Show every log by itself.
    #[arg(long)]
    partitions: bool,
    /// Print the result as JSON, every log by itself.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl LogDirs {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut cluster = wire::Cluster::connect(&self.bootstrap.bootstrap)?;
        let all: Vec<i32> = cluster.brokers.iter().map(|broker| broker.id).collect();
        let mut directories = Vec::new();
        for id in self.broker.map_or(all, |id| vec![id]) {
            directories.extend(cluster.log_directories(id)?);
        }
        let is_wanted = |log: &LogSize| self.topic.is_empty() || self.topic.contains(&log.topic);
        directories.iter_mut().for_each(|directory| directory.logs.retain(is_wanted));
        let holds = |topic: &String| directories.iter().flat_map(|d| &d.logs).any(|log| log.topic == *topic);
        if let Some(missing) = self.topic.iter().find(|topic| !holds(topic)) {
            bail!("no log directory holds the topic {missing}; `pelton topic list` shows what there is");
        }
        if self.json {
            output::json(&directories.iter().map(as_json).collect::<Vec<_>>());
            return Ok(());
        }
        print_directories(&directories);
        output::line("");
        match self.partitions {
            true => print_logs(&directories),
            false => print_topics(&directories),
        }
        Ok(())
    }
}

fn as_json(directory: &Directory) -> serde_json::Value {
    let Directory { broker, path, failure, total_bytes, free_bytes, logs } = directory;
    let bytes: u64 = logs.iter().map(|log| log.bytes).sum();
    json!({
        "broker": broker, "directory": path, "failure": failure, "bytes": bytes, "total_bytes": total_bytes,
        "free_bytes": free_bytes, "logs": logs,
    })
}

fn print_directories(directories: &[Directory]) {
    let space = |bytes: Option<u64>| bytes.map_or("-".to_owned(), output::size);
    output::table(
        &["BROKER", "DIRECTORY", "LOGS", "SIZE", "FREE", "DISK", "STATE"],
        directories.iter().map(|directory| {
            vec![
                directory.broker.to_string(),
                directory.path.clone(),
                directory.logs.len().to_string(),
                output::size(directory.logs.iter().map(|log| log.bytes).sum()),
                space(directory.free_bytes),
                space(directory.total_bytes),
                directory.failure.clone().unwrap_or_else(|| "in use".to_owned()),
            ]
        }),
    );
}

fn print_topics(directories: &[Directory]) {
    let mut topics: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for log in directories.iter().flat_map(|directory| &directory.logs) {
        let (logs, bytes) = topics.entry(&log.topic).or_default();
        *logs += 1;
        *bytes += log.bytes;
    }
    output::table(
        &["TOPIC", "LOGS", "SIZE", "BYTES"],
        topics.into_iter().map(|(topic, (logs, bytes))| {
            vec![topic.to_owned(), logs.to_string(), output::size(bytes), output::grouped(bytes)]
        }),
    );
}

fn print_logs(directories: &[Directory]) {
    let rows = directories.iter().flat_map(|directory| {
        directory.logs.iter().map(|log| {
            let state = if log.moving { format!("moves here, {} behind", log.lag) } else { String::new() };
            vec![
                log.topic.clone(),
                log.partition.to_string(),
                output::size(log.bytes),
                output::grouped(log.bytes),
                directory.broker.to_string(),
                directory.path.clone(),
                state,
            ]
        })
    });
    output::table(&["TOPIC", "PARTITION", "SIZE", "BYTES", "BROKER", "DIRECTORY", ""], rows);
}
