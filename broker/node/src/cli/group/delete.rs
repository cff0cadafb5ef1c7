//! `pelton group delete`.

use super::wire::{Cluster, Kind};
use super::{Bootstrap, output, unknown};
use anyhow::anyhow;
use clap::Args;
use serde_json::json;

/// Delete groups that nobody is in, with all their offsets.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n\x20 pelton group delete billing")]
pub struct Delete {
    /// Ids of the groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Delete {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        let (mut deleted, mut refused) = (Vec::new(), Vec::new());
        for group in &self.groups {
            match cluster.delete_group(group)? {
                Ok(()) => deleted.push(group),
                Err(refusal) if refusal.kind() == Kind::UnknownGroup => refused.push(unknown(group).to_string()),
                Err(refusal) => refused.push(format!("the group {group} was not deleted: {refusal}")),
            }
        }
        if self.json {
            output::json(&deleted.iter().map(|group| json!({"group": group, "result": "deleted"})).collect::<Vec<_>>());
        } else {
            deleted.iter().for_each(|group| output::line(&format!("deleted {group}")));
        }
        if refused.is_empty() { Ok(()) } else { Err(anyhow!("{}", refused.join("; "))) }
    }
}
