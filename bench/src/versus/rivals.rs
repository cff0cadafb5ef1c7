//! The brokers that run side by side, each in a directory of its own.

use super::Options;
use super::contender::Contender;
use crate::broker::Broker;
use crate::kafka::{Home, Kafka};
use crate::load;
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a broker may take to remove the files of a deleted topic. Kafka first looks for such topics half a minute after
/// its start.
const GONE_AT_MOST: Duration = Duration::from_secs(120);

/// A broker.
pub enum Server {
    /// Pelton.
    Pelton(Broker),
    /// Apache Kafka.
    Kafka(Kafka),
}

impl Server {
    /// Starts what a contender needs.
    pub fn start(options: &Options, home: Option<&Home>, contender: Contender) -> Result<Self> {
        let pelton = |durability: &str| {
            let settings = options.set.iter().map(|(key, value)| format!("{key}={value}"));
            let settings: Vec<String> = settings.chain([durability.to_owned()]).collect();
            let args: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
            Broker::start(&options.pelton, &options.dir, &args).map(Self::Pelton)
        };
        match contender {
            Contender::Fsync => pelton("durability=fsync"),
            Contender::Replicated => pelton("durability=replicated"),
            Contender::Kafka | Contender::KafkaFlushed => {
                let home = home.context("rows of Kafka need --kafka")?;
                Kafka::start(home, &options.dir, &options.set).map(Self::Kafka)
            }
        }
    }

    /// Where clients connect.
    pub fn bootstrap(&self) -> &str {
        match self {
            Self::Pelton(broker) => &broker.bootstrap,
            Self::Kafka(kafka) => &kafka.bootstrap,
        }
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        match self {
            Self::Pelton(broker) => broker.process(),
            Self::Kafka(kafka) => kafka.process(),
        }
    }

    /// Its process, to end it.
    pub fn process_mut(&mut self) -> &mut Process {
        match self {
            Self::Pelton(broker) => broker.process_mut(),
            Self::Kafka(kafka) => kafka.process_mut(),
        }
    }

    /// Starts it again where it was, without waiting until it is ready.
    pub fn revive(&mut self) -> Result<()> {
        match self {
            Self::Pelton(broker) => broker.revive(),
            Self::Kafka(kafka) => kafka.revive(),
        }
    }

    /// Waits until it is ready.
    pub fn await_ready(&mut self) -> Result<()> {
        match self {
            Self::Pelton(broker) => broker.await_ready(),
            Self::Kafka(kafka) => kafka.wait_until_it_answers(),
        }
    }

    /// Where its logs are.
    fn data(&self) -> PathBuf {
        match self {
            Self::Pelton(broker) => broker.data(),
            Self::Kafka(kafka) => kafka.data(),
        }
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        match self {
            Self::Pelton(broker) => broker.log_tail(),
            Self::Kafka(kafka) => kafka.log_tail(),
        }
    }
}

/// Contenders whose brokers run. Kafka with and without `flush.messages` is one broker with two kinds of topics.
pub struct Rivals {
    servers: Vec<(Contender, Server)>,
    contenders: Vec<Contender>,
    topic_configs: Vec<(String, String)>,
    topics: u64,
}

impl Rivals {
    /// Starts those of `all` that are wanted and possible.
    pub fn start(options: &Options, home: Option<&Home>, all: &[Contender]) -> Result<Self> {
        let contenders: Vec<Contender> = all.iter().copied().filter(|one| home.is_some() || !one.is_jvm()).collect();
        let mut servers: Vec<(Contender, Server)> = Vec::new();
        for &contender in &contenders {
            if !servers.iter().any(|(other, _)| serves(*other, contender)) {
                servers.push((contender, Server::start(options, home, contender)?));
            }
        }
        Ok(Self { servers, contenders, topic_configs: options.topic_config.clone(), topics: 0 })
    }

    /// Who takes part, in the order of the tables.
    pub fn contenders(&self) -> &[Contender] {
        &self.contenders
    }

    /// Who takes part, in an order that turns from round to round.
    pub fn turns(&self, round: usize) -> Vec<Contender> {
        let mut turns = self.contenders.clone();
        let by = round % turns.len().max(1);
        turns.rotate_left(by);
        turns
    }

    /// The broker of a contender.
    pub fn server(&self, contender: Contender) -> &Server {
        let found = self.servers.iter().find(|(other, _)| serves(*other, contender));
        &found.expect("every contender has a broker since the start").1
    }

    /// Makes a topic that has not been there before, and gives its name.
    pub fn topic(&mut self, contender: Contender, partitions: i32) -> Result<String> {
        self.topics += 1;
        let topic = format!("measured-{}", self.topics);
        let wanted = self.topic_configs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let configs: Vec<(&str, &str)> = contender.topic_configs().iter().copied().chain(wanted).collect();
        load::create_topic_with(self.server(contender).bootstrap(), &topic, partitions, &configs)?;
        Ok(topic)
    }

    /// Takes a topic away, and waits until its files are gone: to free them would disturb whoever is measured next on the
    /// same disk.
    pub fn forget(&self, contender: Contender, topic: &str) -> Result<()> {
        let server = self.server(contender);
        load::delete_topic(server.bootstrap(), topic)?;
        let (begun, prefix) = (Instant::now(), format!("{topic}-"));
        while has_name_with(&prefix, &server.data())? {
            ensure!(begun.elapsed() < GONE_AT_MOST, "{} does not remove the files of {topic}", contender.name());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn has_name_with(prefix: &str, directory: &Path) -> Result<bool> {
    for entry in std::fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        if entry?.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the broker that was started for one serves another too.
fn serves(started: Contender, other: Contender) -> bool {
    started == other || (started.is_jvm() && other.is_jvm())
}
