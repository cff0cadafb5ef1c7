//! `pelton group`: consumer groups: who is in them, how far behind they are, and moving their offsets.

mod delete;
mod delete_offsets;
mod describe;
mod export;
mod list;
mod offsets_file;
mod reset;

use super::{Bootstrap, input, output, selection, time, wire};
use anyhow::anyhow;
use clap::Subcommand;

/// List, describe, reset, export and delete consumer groups.
// A variant without a comment has the help of its struct, examples and all.
#[derive(Debug, Subcommand)]
pub enum Group {
    List(list::List),
    Describe(describe::Describe),
    Reset(reset::Reset),
    Export(export::Export),
    Delete(delete::Delete),
    DeleteOffsets(delete_offsets::DeleteOffsets),
}

impl Group {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(command) => command.run(),
            Self::Describe(command) => command.run(),
            Self::Reset(command) => command.run(),
            Self::Export(command) => command.run(),
            Self::Delete(command) => command.run(),
            Self::DeleteOffsets(command) => command.run(),
        }
    }
}

/// That there is no group of that id.
fn unknown(group: &str) -> anyhow::Error {
    anyhow!("there is no group {group}; `pelton group list` shows what there is")
}
