//! `pelton topic describe`.

use super::wire::{Cluster, Config, Lookup, Source, Topic};
use super::{Bootstrap, output};
use anyhow::anyhow;
use clap::Args;
use pelton_core::model::TopicPartition;
use serde::Serialize;
use std::collections::BTreeMap;

/// Show the partitions, offsets and settings of topics.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n\x20 pelton topic describe orders\n\n\
    `pelton config describe --topic orders --all` shows the settings that hold by default as well.")]
pub struct Describe {
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, Serialize)]
struct Described {
    topic: String,
    id: Option<String>,
    partitions: Vec<DescribedPartition>,
    /// The settings that were given to the topic itself.
    configs: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct DescribedPartition {
    partition: i32,
    leader: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    /// Nothing while nobody leads the partition.
    start_offset: Option<i64>,
    /// As the start.
    high_watermark: Option<i64>,
}

impl Describe {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        let topics = cluster.named(&self.topics)?;
        let configs = cluster.topic_configs(&self.topics)?;
        let mut described = Vec::new();
        for (topic, (_, configs)) in topics.into_iter().zip(configs) {
            let configs = configs.map_err(|refused| anyhow!("the settings of {}: {refused}", topic.name))?;
            described.push(describe(&mut cluster, topic, &configs)?);
        }
        if self.json {
            output::json(&described);
        } else {
            described.iter().for_each(print);
        }
        Ok(())
    }
}

fn describe(cluster: &mut Cluster, topic: Topic, configs: &[Config]) -> anyhow::Result<Described> {
    let named: Vec<TopicPartition> =
        topic.partitions.iter().map(|partition| TopicPartition::new(topic.name.as_str(), partition.index)).collect();
    let mut ask = |lookup| -> anyhow::Result<Vec<Option<i64>>> {
        let found = cluster.offsets(&named, lookup)?;
        Ok(named.iter().map(|partition| found.get(partition)?.as_ref().ok().copied().flatten()).collect())
    };
    let (starts, ends) = (ask(Lookup::Start)?, ask(Lookup::End)?);
    let partitions =
        topic.partitions.into_iter().zip(starts).zip(ends).map(|((partition, start), end)| DescribedPartition {
            partition: partition.index,
            leader: partition.leader,
            replicas: partition.replicas,
            isr: partition.isr,
            start_offset: start,
            high_watermark: end,
        });
    Ok(Described { topic: topic.name, id: topic.id, partitions: partitions.collect(), configs: own(configs) })
}

/// The settings that were given to the topic itself.
pub fn own(configs: &[Config]) -> BTreeMap<String, String> {
    let own = configs.iter().filter(|config| config.source == Source::Topic);
    own.map(|config| (config.name.clone(), config.value.clone().unwrap_or_default())).collect()
}

fn print(topic: &Described) {
    let partitions = output::counted(topic.partitions.len(), "partition");
    output::line(&format!("topic {}, {partitions}", topic.topic));
    for (key, value) in &topic.configs {
        output::line(&format!("  {key}={value}"));
    }
    let header = ["PARTITION", "LEADER", "REPLICAS", "ISR", "START OFFSET", "HIGH WATERMARK"];
    output::table(
        &header,
        topic.partitions.iter().map(|partition| {
            vec![
                partition.partition.to_string(),
                partition.leader.to_string(),
                numbers(&partition.replicas),
                numbers(&partition.isr),
                offset(partition.start_offset),
                offset(partition.high_watermark),
            ]
        }),
    );
}

fn offset(offset: Option<i64>) -> String {
    offset.map_or("-".to_owned(), |offset| offset.to_string())
}

fn numbers(list: &[i32]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
