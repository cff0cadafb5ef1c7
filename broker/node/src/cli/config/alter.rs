//! `pelton config alter`: changes settings at run time (KIP-226, KIP-339).

use super::changes::{self, ConfigChanges};
use super::wire::Cluster;
use super::{Bootstrap, Whose, output};
use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::json;

/// Change settings of a topic, of a broker, or of all brokers, at run time.
///
/// All changes of one command are made, or none. What a broker reads at its start alone is refused by name.
#[derive(Debug, Args)]
#[command(
    override_usage = "pelton config alter [OPTIONS]",
    arg_required_else_help = true,
    after_long_help = "Examples:\n\
    \x20 pelton config alter --topic orders --set retention.ms=60000 --unset segment.bytes\n\
    \x20 pelton config alter --topic orders --append cleanup.policy=compact --dry-run\n\
    \x20 pelton config alter --topic orders --set pelton.interceptors=audit@2,mask@1 --unset pelton.partitioner\n\
    \x20 pelton config alter --broker 1 --set log.retention.ms=3600000\n\
    \x20 pelton config alter --default --unset log.retention.ms"
)]
pub struct Alter {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    changes: ConfigChanges,
    /// Have the broker check the changes, and change nothing.
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
        if alterations.is_empty() {
            bail!("nothing is to be changed; give --set KEY=VALUE, --unset KEY, --append or --subtract");
        }
        let resource = self.whose.resource();
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        let altered = cluster.alter_configs(&resource, &alterations, self.dry_run)?;
        altered.map_err(|refused| anyhow!("the settings of {resource} were not changed: {refused}"))?;
        if self.json {
            output::json(&json!({
                "of": resource.to_string(), "dry_run": self.dry_run, "configs": alterations,
            }));
            return Ok(());
        }
        output::line(&match self.dry_run {
            true => format!("the settings of {resource} would be changed; the broker has nothing against it:"),
            false => format!("the settings of {resource} are changed:"),
        });
        alterations.iter().for_each(|change| output::line(&format!("  {}", changes::line(change))));
        Ok(())
    }
}
