//! `pelton topic delete`.

use super::wire::Cluster;
use super::{Bootstrap, Outcome, print_outcomes, whole};
use clap::Args;

/// Delete topics with all their records.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n\x20 pelton topic delete orders\n\n\
    `pelton topic truncate` deletes records and keeps the topic.")]
pub struct Delete {
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Delete {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let results = Cluster::connect(&self.bootstrap.bootstrap)?.delete_topics(&self.topics)?;
        let (mut outcomes, mut refused) = (Vec::new(), Vec::new());
        for (topic, result) in results {
            match result {
                Ok(()) => outcomes.push(Outcome { topic, result: "deleted" }),
                Err(refusal) => refused.push(format!("the topic {topic} was not deleted: {refusal}")),
            }
        }
        print_outcomes(&outcomes, self.json);
        whole(&refused)
    }
}
