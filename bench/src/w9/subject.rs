//! The processes of one run, ready to be given load.

use super::variant::{Durability, System, Variant, Work};
use crate::broker::Broker;
use crate::kafka::{Home, Kafka};
use crate::load::{self, Tally};
use crate::process::Process;
use crate::streams::{Job, Streams};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;

/// Where the load goes.
pub const TOPIC: &str = "measured";
/// Where Kafka Streams writes.
const OUTPUT: &str = "measured-out";
const NEIGHBOUR: &str = "hooked";

/// What is needed to start any of them.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// The binary that is measured.
    pub pelton: &'a Path,
    /// An older one.
    pub older: Option<&'a Path>,
    /// Where the guests are.
    pub guests: &'a Path,
    /// Where Kafka is.
    pub kafka: Option<&'a Home>,
    /// Where directories are made.
    pub dir: &'a Path,
    /// `batch.size` of the load.
    pub batch_bytes: usize,
}

/// What runs.
pub enum Subject {
    /// Pelton.
    Pelton(Broker),
    /// Kafka, with or without Kafka Streams.
    Kafka {
        /// Ended first.
        streams: Option<Streams>,
        /// Its broker.
        broker: Kafka,
    },
}

impl Subject {
    /// Starts everything that a variant needs, with its topics and plugins.
    pub fn start(means: Means<'_>, variant: Variant) -> Result<Self> {
        match variant.system {
            System::Older => {
                let older = means.older.context("no older binary was named")?;
                Self::start_pelton(older, means, variant, Durability::Replicated)
            }
            System::Pelton(durability) => Self::start_pelton(means.pelton, means, variant, durability),
            System::Kafka | System::Streams(_) => Self::start_kafka(means, variant),
        }
    }

    fn start_pelton(binary: &Path, means: Means<'_>, variant: Variant, durability: Durability) -> Result<Self> {
        let durability = match durability {
            Durability::Fsync => "durability=fsync",
            Durability::Replicated => "durability=replicated",
        };
        let broker = Broker::start(binary, means.dir, &["--set", durability])?;
        load::create_topic(&broker.bootstrap, TOPIC, load::PARTITIONS)?;
        if let Some(attached) = variant.attached() {
            let guest = attached.guest;
            broker.upload(guest, &means.guests.join(format!("{guest}.wasm")))?;
            let topic = if variant.work == Work::Beside { NEIGHBOUR } else { TOPIC };
            if topic != TOPIC {
                load::create_topic(&broker.bootstrap, topic, load::PARTITIONS)?;
            }
            let chain = ("pelton.interceptors".to_owned(), format!("{guest}@1"));
            broker.attach(topic, &[chain, (format!("pelton.plugin.{guest}.config"), attached.config)])?;
        }
        Ok(Self::Pelton(broker))
    }

    fn start_kafka(means: Means<'_>, variant: Variant) -> Result<Self> {
        let home = means.kafka.context("rows of Kafka need --kafka")?;
        let broker = Kafka::start(home, means.dir, &[])?;
        load::create_topic(&broker.bootstrap, TOPIC, load::PARTITIONS)?;
        let System::Streams(guarantee) = variant.system else {
            return Ok(Self::Kafka { streams: None, broker });
        };
        load::create_topic(&broker.bootstrap, OUTPUT, load::PARTITIONS)?;
        let work = variant.streams_work();
        let job = Job { input: TOPIC, output: OUTPUT, work: &work, guarantee, batch_bytes: means.batch_bytes };
        let streams = Streams::start(home, means.dir, &broker.bootstrap, job)
            .with_context(|| format!("the broker says: {}", broker.log_tail()))?;
        Ok(Self::Kafka { streams: Some(streams), broker })
    }

    /// Where clients connect.
    pub fn bootstrap(&self) -> &str {
        match self {
            Self::Pelton(broker) => &broker.bootstrap,
            Self::Kafka { broker, .. } => &broker.bootstrap,
        }
    }

    /// The topic that has the records after the work.
    pub fn output(&self) -> &'static str {
        match self {
            Self::Kafka { streams: Some(_), .. } => OUTPUT,
            _ => TOPIC,
        }
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        let (first, second) = match self {
            Self::Pelton(broker) => (broker.process(), None),
            Self::Kafka { streams, broker } => (broker.process(), streams.as_ref().map(Streams::process)),
        };
        std::iter::once(first).chain(second)
    }

    /// CPU time of all its processes so far, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        self.processes().map(Process::cpu_seconds).sum()
    }

    /// Sum of the largest resident sets of its processes, in MiB.
    pub fn peak_rss_mib(&self) -> Result<f64> {
        self.processes().map(Process::peak_rss_mib).sum()
    }

    /// Waits until the work is done on all that was sent and acknowledged. Pelton does it before it acknowledges.
    pub fn settle(&mut self, sent: Tally, expected: Tally) -> Result<()> {
        match self {
            Self::Kafka { streams: Some(streams), .. } => streams.settle(sent.records, expected.records),
            _ => Ok(()),
        }
    }

    /// Time for which the plugin itself was busy, in nanoseconds a record, as the broker reports it.
    pub fn guest_ns(&self, variant: Variant, records: u64) -> Result<Option<f64>> {
        let Self::Pelton(broker) = self else { return Ok(None) };
        if variant.attached().is_none() || variant.work == Work::Beside {
            return Ok(None);
        }
        let said = broker.plugins_of(TOPIC)?;
        let hooks = said.pointer("/links/0/hooks").and_then(Value::as_array);
        let hook = hooks.into_iter().flatten().find(|hook| hook["hook"] == "on-send");
        let number = |name: &str| -> Result<u64> {
            hook.and_then(|hook| hook[name].as_u64()).with_context(|| format!("no {name} of on-send in {said}"))
        };
        // Otherwise this is a run in which the plugin did not do the work.
        ensure!(number("records")? == records, "the plugin saw {} records, not {records}", number("records")?);
        ensure!(number("faults")? == 0 && number("bypassed")? == 0, "the plugin failed: {said}");
        Ok(Some(number("busy_ns")? as f64 / records.max(1) as f64))
    }
}
