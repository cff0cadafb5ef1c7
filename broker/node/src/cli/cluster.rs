//! `pelton cluster`: brokers, quorum, features, log directories, and what is served.

mod api_versions;
mod describe;
mod log_dirs;

use super::{Bootstrap, output, time, wire};
use clap::Subcommand;

/// Show the brokers of a cluster, its quorum, its log directories and what it serves.
// A variant without a comment has the help of its struct, examples and all.
#[derive(Debug, Subcommand)]
pub enum Cluster {
    Describe(describe::Describe),
    LogDirs(log_dirs::LogDirs),
    ApiVersions(api_versions::ApiVersions),
}

impl Cluster {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Describe(command) => command.run(),
            Self::LogDirs(command) => command.run(),
            Self::ApiVersions(command) => command.run(),
        }
    }
}
