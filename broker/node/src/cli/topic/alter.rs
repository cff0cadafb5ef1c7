//! `pelton topic alter`: more partitions. What else is to change of a topic are its settings: `pelton config alter`.

use super::wire::Cluster;
use super::{Bootstrap, output};
use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::json;

/// Give a topic more partitions.
///
/// Records stay in the partitions where they are, so more partitions part the records of a key from those that come later. The
/// settings of a topic are changed by `pelton config alter --topic TOPIC`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example: pelton topic alter orders --partitions 12 --dry-run",
    arg_required_else_help = true
)]
pub struct Alter {
    /// Name of the topic.
    topic: String,
    /// How many partitions it is to have in all.
    #[arg(
        long, short, value_parser = clap::value_parser!(i32).range(1..), value_name = "N", required_unless_present = "settings"
    )]
    partitions: Option<i32>,
    /// What belongs to `pelton config alter`; whoever gives it here is told so.
    #[arg(long = "set", aliases = ["unset", "remove", "append", "subtract", "config"], hide = true, value_name = "SETTING")]
    settings: Vec<String>,
    /// Have the broker check the change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Alter {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let (Some(partitions), []) = (self.partitions, &self.settings[..]) else {
            bail!(
                "only partitions are changed here; for settings type `pelton config alter --topic {}` with --set KEY=VALUE, \
                 --unset KEY, --append or --subtract",
                self.topic
            );
        };
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        let created = cluster.create_partitions(&self.topic, partitions, self.dry_run)?;
        created.map_err(|refused| anyhow!("the topic {} was not changed: {refused}", self.topic))?;
        if self.json {
            output::json(&json!({ "topic": self.topic, "dry_run": self.dry_run, "partitions": partitions }));
            return Ok(());
        }
        output::line(&match self.dry_run {
            true => format!("{} would have {partitions} partitions; the broker has nothing against it", self.topic),
            false => format!("{} has {partitions} partitions", self.topic),
        });
        Ok(())
    }
}
