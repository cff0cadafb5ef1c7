//! `pelton cluster api-versions`: which requests a broker serves, in which versions.

use super::{Bootstrap, output, wire};
use clap::Args;

/// Show which requests the broker serves, in which versions.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n\x20 pelton cluster api-versions --bootstrap 127.0.0.1:9092")]
pub struct ApiVersions {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl ApiVersions {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let apis = wire::Cluster::connect(&self.bootstrap.bootstrap)?.apis();
        if self.json {
            output::json(&apis);
            return Ok(());
        }
        output::table(
            &["KEY", "REQUEST", "FROM", "TO"],
            apis.into_iter().map(|api| vec![api.key.to_string(), api.name, api.min.to_string(), api.max.to_string()]),
        );
        Ok(())
    }
}
