//! `pelton topic`: topics and their settings, over Kafka's protocol.

mod alter;
mod create;
mod delete;
mod describe;
mod export;
mod import;
mod list;
mod snapshot;
mod truncate;

use super::{Bootstrap, config, output, selection, time, wire};
use clap::Subcommand;
use serde::Serialize;

/// Create, list, describe, alter, truncate, export, import and delete topics.
// A variant without a comment has the help of its struct, examples and all.
#[derive(Debug, Subcommand)]
pub enum Topic {
    Create(create::Create),
    List(list::List),
    Describe(describe::Describe),
    Alter(alter::Alter),
    Truncate(truncate::Truncate),
    Delete(delete::Delete),
    Export(export::Export),
    Import(import::Import),
}

/// What became of a topic.
#[derive(Debug, Serialize)]
struct Outcome {
    topic: String,
    result: &'static str,
}

impl Topic {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(),
            Self::List(command) => command.run(),
            Self::Describe(command) => command.run(),
            Self::Alter(command) => command.run(),
            Self::Truncate(command) => command.run(),
            Self::Delete(command) => command.run(),
            Self::Export(command) => command.run(),
            Self::Import(command) => command.run(),
        }
    }
}

/// What was refused, all of it in one error.
fn whole(refused: &[String]) -> anyhow::Result<()> {
    if refused.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("{}", refused.join("; "))) }
}

fn print_outcomes(outcomes: &[Outcome], json: bool) {
    if json {
        output::json(&outcomes);
    } else {
        outcomes.iter().for_each(|outcome| output::line(&format!("{} {}", outcome.result, outcome.topic)));
    }
}
