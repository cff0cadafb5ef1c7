//! `pelton cluster describe`: who is in it, who leads it, and which features are in force.

use super::wire::{self, Features, Quorum, Voter};
use super::{Bootstrap, output, time};
use clap::Args;
use serde_json::json;

/// Show the brokers, the controller, the quorum that keeps the metadata, and the features.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n\x20 pelton cluster describe --json")]
pub struct Describe {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Describe {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut cluster = wire::Cluster::connect(&self.bootstrap.bootstrap)?;
        let (features, quorum) = (cluster.features(), cluster.quorum()?);
        if self.json {
            output::json(&json!({
                "cluster_id": cluster.id,
                "controller": cluster.controller,
                "brokers": cluster.brokers,
                "features": features,
                "quorum": quorum,
            }));
            return Ok(());
        }
        let id = cluster.id.as_deref().unwrap_or("without an id");
        output::line(&format!("cluster {id}, controller {}", cluster.controller));
        output::line("");
        output::table(
            &["BROKER", "HOST", "PORT", "RACK"],
            cluster.brokers.iter().map(|broker| {
                let rack = broker.rack.clone().unwrap_or_else(|| "-".to_owned());
                vec![broker.id.to_string(), broker.host.clone(), broker.port.to_string(), rack]
            }),
        );
        print_quorum(quorum.as_ref());
        print_features(&features);
        Ok(())
    }
}

fn print_quorum(quorum: Option<&Quorum>) {
    let Some(quorum) = quorum else { return };
    output::line("");
    let Quorum { leader, leader_epoch, high_watermark, .. } = quorum;
    output::line(&format!("metadata: leader {leader} in epoch {leader_epoch}, high watermark {high_watermark}"));
    let end =
        quorum.voters.iter().find(|voter| voter.id == *leader).map_or(*high_watermark, |node| node.log_end_offset);
    let row = |what: &str, node: &Voter| {
        let caught_up = match node.last_caught_up_ms {
            0.. => time::display(node.last_caught_up_ms),
            _ => "-".to_owned(),
        };
        let lag = end - node.log_end_offset;
        vec![node.id.to_string(), what.to_owned(), node.log_end_offset.to_string(), lag.to_string(), caught_up]
    };
    let voters = quorum.voters.iter().map(|node| row("voter", node));
    let observers = quorum.observers.iter().map(|node| row("observer", node));
    output::table(&["NODE", "ROLE", "LOG END", "LAG", "CAUGHT UP AT"], voters.chain(observers));
}

fn print_features(features: &Features) {
    if features.is_empty() {
        return;
    }
    output::line("");
    output::table(
        &["FEATURE", "IN FORCE", "SUPPORTED"],
        features.iter().map(|feature| {
            let finalized = feature.finalized.map_or("-".to_owned(), |level| level.to_string());
            let (from, to) = feature.supported;
            vec![feature.name.clone(), finalized, format!("{from} to {to}")]
        }),
    );
}
