//! `pelton plugin`: the life of a plugin, from a new project to its rollback.
//!
//! All but `new`, `keygen` and `test` ask the admin HTTP. `test` runs the module in this process and only reads.

mod attach;
mod chain;
mod keys;
mod list;
mod logs;
mod new;
mod status;
mod test;
mod topic_plugins;
mod upload;

pub use topic_plugins::TopicPlugins;

use clap::Subcommand;
use std::process::ExitCode;

/// Write, test, upload, attach, watch and roll back plugins.
// A variant without a comment has the help of its struct, examples and all.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    New(new::New),
    Test(Box<test::Test>),
    Upload(upload::Upload),
    List(list::List),
    Describe(list::Describe),
    Delete(list::Delete),
    Keygen(keys::Keygen),
    Attach(attach::Attach),
    Detach(attach::Detach),
    Promote(attach::Promote),
    Rollback(attach::Rollback),
    Status(status::Status),
    Logs(logs::Logs),
}

impl Plugin {
    /// Runs the command. Exit status 1 without an error is that of `test` when the plugin failed.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::New(command) => command.run(),
            Self::Test(command) => return command.run(),
            Self::Upload(command) => command.run(),
            Self::List(command) => command.run(),
            Self::Describe(command) => command.run(),
            Self::Delete(command) => command.run(),
            Self::Keygen(command) => command.run(),
            Self::Attach(command) => command.run(),
            Self::Detach(command) => command.run(),
            Self::Promote(command) => command.run(),
            Self::Rollback(command) => command.run(),
            Self::Status(command) => command.run(),
            Self::Logs(command) => command.run(),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}
