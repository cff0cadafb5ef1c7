//! `pelton group delete-offsets`.

use super::selection::Selection;
use super::wire::Cluster;
use super::{Bootstrap, output, unknown};
use anyhow::{anyhow, bail};
use clap::Args;
use pelton_core::model::TopicPartition;
use serde_json::json;

/// Delete the offsets that a group has committed for a topic.
///
/// Consumers then begin where their `auto.offset.reset` says. Topics that members of the group subscribe to are refused.
#[derive(Debug, Args)]
#[command(
    override_usage = "pelton group delete-offsets [OPTIONS] <GROUP>",
    after_long_help = "Example:\n\x20 pelton group delete-offsets billing --topic orders --topic refunds:0,3"
)]
pub struct DeleteOffsets {
    /// Id of the group.
    group: String,
    /// A topic, or TOPIC:PARTITION,PARTITION; may be given several times.
    #[arg(long, required = true, value_name = "TOPIC")]
    topic: Vec<Selection>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl DeleteOffsets {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        if cluster.group(&self.group)?.is_none() {
            bail!(unknown(&self.group));
        }
        let committed = cluster.committed(&self.group)?;
        // The topic may be gone: what the group has committed tells its partitions.
        let is_meant = |partition: &&TopicPartition| {
            self.topic.iter().any(|selection| {
                let named = selection.partitions.as_ref();
                selection.topic == *partition.topic && named.is_none_or(|named| named.contains(&partition.partition))
            })
        };
        let partitions: Vec<TopicPartition> = committed.keys().filter(is_meant).cloned().collect();
        if partitions.is_empty() {
            bail!("the group {} has committed none of these; `pelton group describe` shows what it has", self.group);
        }
        let results = cluster.delete_offsets(&self.group, &partitions)?;
        let results =
            results.map_err(|refused| anyhow!("the offsets of {} were not deleted: {refused}", self.group))?;
        let (mut deleted, mut refused) = (Vec::new(), Ok(()));
        for (partition, result) in results {
            match result {
                Ok(()) => deleted.push(partition),
                Err(refusal) => refused = Err(anyhow!("the offset of {partition} was not deleted: {refusal}")),
            }
        }
        if self.json {
            let partition =
                |p: &TopicPartition| json!({"topic": &*p.topic, "partition": p.partition, "result": "deleted"});
            output::json(&deleted.iter().map(partition).collect::<Vec<_>>());
        } else {
            output::table(
                &["TOPIC", "PARTITION", "OFFSET DELETED"],
                deleted.iter().map(|partition| {
                    let offset = committed[partition].offset.to_string();
                    vec![partition.topic.to_string(), partition.partition.to_string(), offset]
                }),
            );
        }
        refused
    }
}
