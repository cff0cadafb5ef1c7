//! `pelton topic`: create, list, describe, alter and delete topics, over Kafka's protocol.

mod alter;

use super::{Bootstrap, connect, output};
use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;
use serde::Serialize;
use std::collections::BTreeMap;

/// Create, list, describe, alter and delete topics.
#[derive(Debug, Subcommand)]
pub enum Topic {
    /// Create topics.
    Create(Create),
    /// List the topics.
    List(List),
    /// Show the partitions, offsets and settings of topics.
    Describe(Named),
    Alter(alter::Alter),
    /// Delete topics with all their records.
    Delete(Named),
}

/// Create topics.
#[derive(Debug, Args)]
pub struct Create {
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Number of partitions; without it the broker's `num.partitions`.
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..), value_name = "N")]
    partitions: Option<i32>,
    /// A setting of the topic, by Kafka's name; may be given several times.
    #[arg(long, short, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// A topic that exists is left as it is and is no error.
    #[arg(long)]
    if_not_exists: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// List the topics.
#[derive(Debug, Args)]
pub struct List {
    /// List the broker's own topics as well.
    #[arg(long)]
    internal: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Topics by name.
#[derive(Debug, Args)]
pub struct Named {
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
struct Outcome {
    topic: String,
    result: &'static str,
}

#[derive(Debug, Serialize)]
struct Listed {
    topic: String,
    partitions: usize,
}

#[derive(Debug, Serialize)]
struct Described {
    topic: String,
    partitions: Vec<DescribedPartition>,
    configs: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct DescribedPartition {
    partition: i32,
    leader: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    start_offset: i64,
    high_watermark: i64,
}

impl Topic {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(),
            Self::List(command) => command.run(),
            Self::Describe(command) => command.describe(),
            Self::Alter(command) => command.run(),
            Self::Delete(command) => command.delete(),
        }
    }
}

impl Create {
    fn run(self) -> anyhow::Result<()> {
        let mut configs = Vec::new();
        for pair in &self.config {
            let split = pair.split_once('=');
            configs.push(split.ok_or_else(|| anyhow!("--config {pair}: write KEY=VALUE, such as retention.ms=60000"))?);
        }
        let topics: Vec<NewTopic<'_>> = self
            .topics
            .iter()
            .map(|name| {
                let replicas = TopicReplication::Fixed(-1);
                let topic = NewTopic::new(name, self.partitions.unwrap_or(-1), replicas);
                configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
            })
            .collect();
        let results = with_admin(&self.bootstrap, async |admin| {
            admin.create_topics(&topics, &options()).await.map_err(|e| connect::refused("creating topics", &e))
        })?;
        let (mut outcomes, mut refused) = (Vec::new(), Ok(()));
        for result in results {
            match result {
                Ok(topic) => outcomes.push(Outcome { topic, result: "created" }),
                Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) if self.if_not_exists => {
                    outcomes.push(Outcome { topic, result: "exists" });
                }
                Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => {
                    refused = Err(anyhow!("the topic {topic} exists; --if-not-exists leaves it as it is"));
                }
                Err((topic, RDKafkaErrorCode::InvalidConfig)) => {
                    refused = Err(anyhow!("the topic {topic} was not created: {}", wrong_config(&configs)));
                }
                Err((topic, code)) => {
                    refused = Err(anyhow!("the topic {topic} was not created: {}", explained(code)));
                }
            }
        }
        print_outcomes(&outcomes, self.json);
        refused
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let consumer: BaseConsumer = connect::kafka(&self.bootstrap.bootstrap)?.create()?;
        let metadata = consumer.fetch_metadata(None, connect::ANSWER).map_err(|e| connect::refused("metadata", &e))?;
        let mut listed: Vec<Listed> = metadata
            .topics()
            .iter()
            .filter(|topic| self.internal || !topic.name().starts_with("__"))
            .map(|topic| Listed { topic: topic.name().to_owned(), partitions: topic.partitions().len() })
            .collect();
        listed.sort_by(|a, b| a.topic.cmp(&b.topic));
        if self.json {
            output::json(&listed);
        } else {
            output::table(
                &["TOPIC", "PARTITIONS"],
                listed.into_iter().map(|t| vec![t.topic, t.partitions.to_string()]),
            );
        }
        Ok(())
    }
}

impl Named {
    fn describe(self) -> anyhow::Result<()> {
        let config = connect::kafka(&self.bootstrap.bootstrap)?;
        let consumer: BaseConsumer = config.create()?;
        let mut described = Vec::new();
        for name in &self.topics {
            described.push(Described {
                topic: name.clone(),
                partitions: partitions(&consumer, name)?,
                configs: configs(&self.bootstrap, name)?,
            });
        }
        if self.json {
            output::json(&described);
            return Ok(());
        }
        for topic in described {
            output::line(&format!("topic {}, {} partitions", topic.topic, topic.partitions.len()));
            for (key, value) in topic.configs {
                output::line(&format!("  {key}={value}"));
            }
            let header = ["PARTITION", "LEADER", "REPLICAS", "ISR", "START OFFSET", "HIGH WATERMARK"];
            output::table(
                &header,
                topic.partitions.into_iter().map(|p| {
                    vec![
                        p.partition.to_string(),
                        p.leader.to_string(),
                        numbers(&p.replicas),
                        numbers(&p.isr),
                        p.start_offset.to_string(),
                        p.high_watermark.to_string(),
                    ]
                }),
            );
        }
        Ok(())
    }

    fn delete(self) -> anyhow::Result<()> {
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let results = with_admin(&self.bootstrap, async |admin| {
            admin.delete_topics(&names, &options()).await.map_err(|e| connect::refused("deleting topics", &e))
        })?;
        let (mut outcomes, mut refused) = (Vec::new(), Ok(()));
        for result in results {
            match result {
                Ok(topic) => outcomes.push(Outcome { topic, result: "deleted" }),
                Err((topic, code)) => {
                    refused = Err(anyhow!("the topic {topic} was not deleted: {}", explained(code)));
                }
            }
        }
        print_outcomes(&outcomes, self.json);
        refused
    }
}

fn partitions(consumer: &BaseConsumer, name: &str) -> anyhow::Result<Vec<DescribedPartition>> {
    let what = format!("the topic {name}");
    // All topics are asked for: asking for one by name could create it.
    let metadata = consumer.fetch_metadata(None, connect::ANSWER).map_err(|e| connect::refused(&what, &e))?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        bail!("there is no topic {name}; `pelton topic list` shows what there is");
    };
    let mut found = Vec::new();
    for partition in topic.partitions() {
        let (start_offset, high_watermark) = consumer
            .fetch_watermarks(name, partition.id(), connect::ANSWER)
            .map_err(|e| connect::refused(&what, &e))?;
        found.push(DescribedPartition {
            partition: partition.id(),
            leader: partition.leader(),
            replicas: partition.replicas().to_vec(),
            isr: partition.isr().to_vec(),
            start_offset,
            high_watermark,
        });
    }
    found.sort_by_key(|partition| partition.partition);
    Ok(found)
}

/// The settings that were given to the topic itself.
fn configs(bootstrap: &Bootstrap, name: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let results = with_admin(bootstrap, async |admin| {
        let topic = [ResourceSpecifier::Topic(name)];
        admin.describe_configs(&topic, &options()).await.map_err(|e| connect::refused("describing configs", &e))
    })?;
    let mut found = BTreeMap::new();
    for resource in results {
        let resource = resource.map_err(|code| anyhow!("the settings of {name}: {}", explained(code)))?;
        let own = resource.entries.into_iter().filter(|entry| !entry.is_default);
        let own = own.filter(|entry| matches!(entry.source, rdkafka::admin::ConfigSource::DynamicTopic));
        found.extend(own.map(|entry| (entry.name, entry.value.unwrap_or_default())));
    }
    Ok(found)
}

/// Runs one request of the admin client, on a runtime of its own.
pub(super) fn with_admin<T>(
    bootstrap: &Bootstrap,
    request: impl AsyncFnOnce(&AdminClient<DefaultClientContext>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let admin: AdminClient<DefaultClientContext> = connect::kafka(&bootstrap.bootstrap)?.create()?;
    runtime.block_on(request(&admin))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(connect::ANSWER)).operation_timeout(Some(connect::ANSWER))
}

fn explained(code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            "there is none of that name; `pelton topic list` shows what there is".to_owned()
        }
        RDKafkaErrorCode::InvalidTopic => "the name is not allowed; use letters, digits, `.`, `_` and `-`".to_owned(),
        other => other.to_string(),
    }
}

/// What is wrong with the settings of a topic: the client library keeps the broker's own words to itself.
fn wrong_config(configs: &[(&str, &str)]) -> String {
    let given = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    match pelton_core::cluster::topic_config::check_topic_configs(&given) {
        Err(refusal) => refusal.to_string(),
        Ok(()) => "the broker does not accept one of its settings".to_owned(),
    }
}

fn print_outcomes(outcomes: &[Outcome], json: bool) {
    if json {
        output::json(&outcomes);
    } else {
        outcomes.iter().for_each(|outcome| output::line(&format!("{} {}", outcome.result, outcome.topic)));
    }
}

fn numbers(list: &[i32]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
