//! `pelton topic alter`: more partitions, other settings. The broker checks all of it before any of it is done.

use super::wire::{Alteration, Cluster, Refused, Resource};
use super::{Bootstrap, config, output};
use anyhow::{anyhow, bail};
use clap::Args;
use config::changes::ConfigChanges;
use serde_json::json;

/// Change the settings of a topic, and give it more partitions.
///
/// Records stay in the partitions where they are, so more partitions part the records of a key from those that come later.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n\
    \x20 pelton topic alter orders --set retention.ms=60000 --unset segment.bytes\n\
    \x20 pelton topic alter orders --append cleanup.policy=compact\n\
    \x20 pelton topic alter orders --set pelton.interceptors=audit@2,mask@1 --unset pelton.partitioner\n\
    \x20 pelton topic alter orders --partitions 12 --dry-run",
    arg_required_else_help = true
)]
pub struct Alter {
    /// Name of the topic.
    topic: String,
    /// How many partitions it is to have in all.
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..), value_name = "N")]
    partitions: Option<i32>,
    #[command(flatten)]
    changes: ConfigChanges,
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
        let alterations = self.changes.alterations()?;
        if alterations.is_empty() && self.partitions.is_none() {
            bail!("nothing is to be changed; give --set KEY=VALUE, --unset KEY, --append, --subtract or --partitions");
        }
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        self.apply(&mut cluster, &alterations, true)?;
        if !self.dry_run {
            self.apply(&mut cluster, &alterations, false)?;
        }
        if self.json {
            output::json(&json!({
                "topic": self.topic,
                "dry_run": self.dry_run,
                "partitions": self.partitions,
                "configs": alterations,
            }));
            return Ok(());
        }
        output::line(&match self.dry_run {
            true => format!("{} would be changed; the broker has nothing against it:", self.topic),
            false => format!("{} is changed:", self.topic),
        });
        if let Some(partitions) = self.partitions {
            output::line(&format!("  {partitions} partitions"));
        }
        alterations.iter().for_each(|change| output::line(&format!("  {}", config::changes::line(change))));
        Ok(())
    }

    fn apply(&self, cluster: &mut Cluster, alterations: &[Alteration], validate_only: bool) -> anyhow::Result<()> {
        let refused = |refused: Refused| anyhow!("the topic {} was not changed: {refused}", self.topic);
        if !alterations.is_empty() {
            let topic = Resource::Topic(self.topic.clone());
            cluster.alter_configs(&topic, alterations, validate_only)?.map_err(refused)?;
        }
        if let Some(partitions) = self.partitions {
            cluster.create_partitions(&self.topic, partitions, validate_only)?.map_err(refused)?;
        }
        Ok(())
    }
}
