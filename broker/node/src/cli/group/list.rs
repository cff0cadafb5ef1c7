//! `pelton group list`.

use super::wire::{Cluster, ListedGroup};
use super::{Bootstrap, output};
use clap::{Args, ValueEnum};

/// List the groups with their states.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n\
    \x20 pelton group list\n\
    \x20 pelton group list --state stable --state empty --json")]
pub struct List {
    /// List the groups in this state alone; may be given several times.
    #[arg(long, value_enum, ignore_case = true, value_name = "STATE")]
    state: Vec<State>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// The states of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// Members join, or have to join anew.
    #[value(alias = "PreparingRebalance")]
    PreparingRebalance,
    /// The leader of the group assigns.
    #[value(alias = "CompletingRebalance")]
    CompletingRebalance,
    /// Members have their assignments.
    Stable,
    /// Nobody is in it; its offsets are kept.
    Empty,
    /// It is going away.
    Dead,
}

impl State {
    /// As Kafka writes it.
    fn name(self) -> &'static str {
        match self {
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Empty => "Empty",
            Self::Dead => "Dead",
        }
    }
}

impl List {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let states: Vec<String> = self.state.iter().map(|state| state.name().to_owned()).collect();
        let groups = Cluster::connect(&self.bootstrap.bootstrap)?.groups(&states)?;
        if self.json {
            output::json(&groups);
            return Ok(());
        }
        let shown = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        output::table(
            &["GROUP", "STATE", "TYPE", "PROTOCOL"],
            groups.into_iter().map(|group| {
                let ListedGroup { group, state, kind, protocol_type } = group;
                vec![group, shown(state), shown(kind), shown(protocol_type)]
            }),
        );
        Ok(())
    }
}
