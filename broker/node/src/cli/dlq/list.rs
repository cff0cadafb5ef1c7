//! `pelton dlq list`: which topics hold dead letters, and how many wait.

use super::progress::Progress;
use super::read::{self, Next, Partition};
use super::{decided, group, output};
use crate::cli::wire::Cluster;
use crate::cli::{AdminUrl, Bootstrap, connect};
use clap::Args;
use pelton_api::job::JobReport;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde::Serialize;
use std::collections::BTreeMap;

/// What dead-letter topics are called by default.
const SUFFIX: &str = "-dead-letter";
/// Offsets up to which letters are counted by reading them.
const COUNTED: i64 = 20_000;
/// The topic config that names another.
const CONFIG: &str = "pelton.interceptors.dead.letter.topic";

/// List the dead-letter topics, with how many letters wait in each.
///
/// These are the topics that end in `-dead-letter`, those that a topic names in `pelton.interceptors.dead.letter.topic`, and
/// those of jobs. Up to 20,000 waiting letters are counted one by one; more are counted by offsets (~), of which the marker of
/// a transaction takes one too.
#[derive(Debug, Args)]
pub struct List {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
    #[command(flatten)]
    admin: AdminUrl,
}

#[derive(Debug, Serialize)]
struct Listed {
    topic: String,
    partitions: usize,
    /// Offsets that its partitions hold.
    offsets: i64,
    waiting: i64,
    /// Whether the number that wait is exact, or one of offsets.
    counted: bool,
    /// Whose letters they are, where that is known.
    of: Vec<String>,
}

impl List {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let found = self.topics()?;
        let mut listed = Vec::new();
        for (topic, of) in found {
            let consumer = read::consumer(&self.bootstrap.bootstrap, &group(&topic))?;
            let partitions = read::partitions(&consumer, &topic)?;
            let progress = decided(&self.bootstrap.bootstrap, &topic, &partitions)?;
            let by_offsets: i64 = partitions.iter().map(|p| progress[&p.index].waiting(p.start, p.end)).sum();
            let counted = by_offsets <= COUNTED;
            let waiting = match counted {
                true => count(&consumer, &topic, &partitions, &progress)?,
                false => by_offsets,
            };
            let offsets = partitions.iter().map(|p| p.end - p.start).sum();
            listed.push(Listed { topic, partitions: partitions.len(), offsets, waiting, counted, of });
        }
        if self.json {
            output::json(&listed);
            return Ok(());
        }
        output::table(
            &["TOPIC", "PARTITIONS", "OFFSETS", "WAITING", "OF"],
            listed.into_iter().map(|topic| {
                let of = if topic.of.is_empty() { "-".to_owned() } else { topic.of.join(",") };
                let waiting = format!("{}{}", if topic.counted { "" } else { "~" }, topic.waiting);
                vec![topic.topic, topic.partitions.to_string(), topic.offsets.to_string(), waiting, of]
            }),
        );
        Ok(())
    }

    /// Dead-letter topics that exist, each with whose letters it holds.
    fn topics(&self) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
        let consumer: BaseConsumer = connect::kafka(&self.bootstrap.bootstrap)?.create()?;
        let metadata = consumer.fetch_metadata(None, connect::ANSWER).map_err(|e| connect::refused("metadata", &e))?;
        let names: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names.iter().filter(|name| name.ends_with(SUFFIX)) {
            found.entry((*name).to_owned()).or_default();
        }
        for (topic, letters) in self.named(&names)? {
            if names.contains(&letters.as_str()) {
                found.entry(letters).or_default().push(topic);
            }
        }
        // Jobs are known to the admin HTTP alone, which may be out of reach; their topics usually have the suffix.
        let jobs: Vec<JobReport> = self.admin.client().get("/v1/jobs").unwrap_or_default();
        for job in jobs {
            let letters = job.spec.dead_letter.clone().unwrap_or_else(|| format!("{}{SUFFIX}", job.spec.name));
            if names.contains(&letters.as_str()) {
                found.entry(letters).or_default().push(format!("job {}", job.spec.name));
            }
        }
        Ok(found)
    }

    /// Topics with the dead-letter topics that their configs name.
    fn named(&self, topics: &[&str]) -> anyhow::Result<Vec<(String, String)>> {
        let asked: Vec<String> =
            topics.iter().filter(|name| !name.starts_with("__")).map(|name| (*name).to_owned()).collect();
        let described = Cluster::connect(&self.bootstrap.bootstrap)?.topic_configs(&asked)?;
        let mut named = Vec::new();
        // A topic that went away since it was listed has no configs.
        for (topic, configs) in described.into_iter().filter_map(|(topic, configs)| Some((topic, configs.ok()?))) {
            let value = |name: &str| configs.iter().find(|config| config.name == name)?.value.clone();
            let (letters, chain) = (value(CONFIG), value("pelton.interceptors"));
            match letters.filter(|letters| !letters.is_empty()) {
                Some(letters) => named.push((topic, letters)),
                None if chain.is_some_and(|chain| !chain.is_empty()) => {
                    let letters = format!("{topic}{SUFFIX}");
                    named.push((topic, letters));
                }
                None => {}
            }
        }
        Ok(named)
    }
}

/// Counts the letters that wait.
fn count(
    consumer: &BaseConsumer,
    topic: &str,
    partitions: &[Partition],
    progress: &BTreeMap<i32, Progress>,
) -> anyhow::Result<i64> {
    use rdkafka::Message as _;
    let mut waiting = 0;
    for partition in partitions {
        let progress = &progress[&partition.index];
        let range = (partition.start.max(progress.position()), partition.end);
        read::range(consumer, topic, partition.index, range, |message| {
            waiting += i64::from(!progress.is_done(message.offset()));
            Ok(Next::Record)
        })?;
    }
    Ok(waiting)
}
