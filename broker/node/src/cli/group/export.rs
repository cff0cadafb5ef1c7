//! `pelton group export`.

use super::wire::Cluster;
use super::{Bootstrap, offsets_file, output, unknown};
use anyhow::{Context, bail};
use clap::Args;
use std::path::PathBuf;

/// Write the committed offsets of a group as CSV (topic, partition, offset) or JSON, for `pelton group reset --from-file`.
///
/// The CSV is that of Kafka's own `kafka-consumer-groups --export`, which reads it too.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n\
    \x20 pelton group export billing > billing.csv\n\
    \x20 pelton group export billing --json --out billing.json")]
pub struct Export {
    /// Id of the group.
    group: String,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write JSON instead of CSV.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Export {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        if cluster.group(&self.group)?.is_none() {
            bail!(unknown(&self.group));
        }
        let committed = cluster.committed(&self.group)?;
        let offsets = committed.into_iter().map(|(partition, committed)| (partition, committed.offset)).collect();
        let text = match self.json {
            true => offsets_file::to_json(&self.group, &offsets),
            false => offsets_file::to_csv(&offsets),
        };
        match &self.out {
            None => output::bytes(text.as_bytes()),
            Some(file) => {
                std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
                let offsets = output::counted(offsets.len(), "offset");
                output::note(&format!("{offsets} written to {}", file.display()));
            }
        }
        Ok(())
    }
}
