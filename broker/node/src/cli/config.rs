//! `pelton config`: the settings of topics and brokers, shown and changed at run time.

mod alter;
pub mod changes;
mod describe;

use super::wire::{self, Resource};
use super::{Bootstrap, output};
use clap::{Args, Subcommand};

/// Show and change the settings of topics and brokers.
// A variant without a comment has the help of its struct, examples and all.
#[derive(Debug, Subcommand)]
pub enum Config {
    Describe(describe::Describe),
    Alter(alter::Alter),
}

/// Whose settings.
#[derive(Debug, Clone, Args)]
#[group(id = "whose", required = true, multiple = false)]
struct Whose {
    /// Those of a topic.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Those of a broker, by its id.
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Those that were set at run time for all brokers.
    #[arg(long)]
    default: bool,
}

impl Config {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Describe(command) => command.run(),
            Self::Alter(command) => command.run(),
        }
    }
}

impl Whose {
    fn resource(&self) -> Resource {
        match (&self.topic, self.broker) {
            (Some(topic), _) => Resource::Topic(topic.clone()),
            (None, Some(id)) => Resource::Broker(id),
            (None, None) => Resource::AllBrokers,
        }
    }
}
