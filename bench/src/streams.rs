//! A program of Kafka Streams for one run: `bench/kafka/src/Worker.java`, with one stateless step.

use crate::kafka::{Home, START};
use crate::load;
use crate::process::{self, Process};
use anyhow::{Context, Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Its application id, which is its group.
const APPLICATION: &str = "pelton-bench-streams";

/// How often it is asked whether all output is there: sixty small requests a second, which cost the broker nothing that
/// could be seen.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// How long nothing may come out before a run is given up.
const STALLED: Duration = Duration::from_secs(60);

/// `processing.guarantee`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// The default.
    AtLeastOnce,
    /// Input offsets and output in one transaction, every 100 ms.
    ExactlyOnce,
}

impl Guarantee {
    fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::ExactlyOnce => "exactly_once_v2",
        }
    }
}

/// What a program does.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Topic that it reads.
    pub input: &'a str,
    /// Topic that it writes.
    pub output: &'a str,
    /// `identity`, `filter=X` or `redact=FIELD`.
    pub work: &'a str,
    /// Its guarantee.
    pub guarantee: Guarantee,
    /// `batch.size` of its producer: the load's, which is more than Kafka's default, and cheaper.
    pub batch_bytes: usize,
}

/// A program of Kafka Streams that is being measured.
pub struct Streams {
    process: Process,
    dir: TempDir,
    asking: BaseConsumer,
    input: String,
    output: String,
    guarantee: Guarantee,
}

impl Streams {
    /// Starts it below `parent`, and waits until its tasks have their partitions.
    pub fn start(home: &Home, parent: &Path, bootstrap: &str, job: Job<'_>) -> Result<Self> {
        let dir = TempDir::with_prefix_in("pelton-bench-streams-", parent)?;
        let log = dir.path().join("streams.log");
        let mut java = home.java();
        java.args(["Worker", bootstrap, APPLICATION, job.input, job.output, job.work, job.guarantee.name()])
            .arg(job.batch_bytes.to_string())
            .arg(dir.path().join("state"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?);
        let mut process = Process::start(java)?;
        let stdout = process.child().stdout.take().context("its standard output")?;
        let (heard, hears) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let running = BufReader::new(stdout).lines().map_while(Result::ok).any(|line| line == "running");
            let _ = heard.send(running);
        });
        if hears.recv_timeout(START) != Ok(true) {
            bail!("Kafka Streams did not start: {}", process::tail(&log));
        }
        let asking = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", APPLICATION)
            .set("enable.auto.commit", "false")
            .create()?;
        let (input, output) = (job.input.to_owned(), job.output.to_owned());
        Ok(Self { process, dir, asking, input, output, guarantee: job.guarantee })
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until all that was sent to its input has come out: `sent` records in, `passed` records out.
    pub fn settle(&mut self, sent: u64, passed: u64) -> Result<()> {
        let (mut best, mut moved) = (0, Instant::now());
        loop {
            // Records without transactions are counted by the log ends. With transactions the log has markers too, but
            // then the committed input says which output is there.
            let (there, wanted) = match self.guarantee {
                Guarantee::AtLeastOnce => (self.log_ends()?, passed),
                Guarantee::ExactlyOnce => (self.committed()?, sent),
            };
            ensure!(there <= wanted, "Kafka Streams has {there} records done, more than the {wanted} that there are");
            if there == wanted {
                return Ok(());
            }
            if there > best {
                (best, moved) = (there, Instant::now());
            }
            if !self.process.alive()? || moved.elapsed() > STALLED {
                let log = process::tail(&self.dir.path().join("streams.log"));
                bail!("Kafka Streams stopped at {there} records of {wanted}: {log}");
            }
            std::thread::sleep(ASK_EVERY);
        }
    }

    fn log_ends(&self) -> Result<u64> {
        let mut sum = 0;
        for partition in 0..load::PARTITIONS {
            sum += u64::try_from(self.asking.fetch_watermarks(&self.output, partition, STALLED)?.1)?;
        }
        Ok(sum)
    }

    fn committed(&self) -> Result<u64> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.input, 0, load::PARTITIONS - 1);
        let committed = self.asking.committed_offsets(list, STALLED)?;
        let offset = |offset: Offset| match offset {
            Offset::Offset(offset) => u64::try_from(offset).unwrap_or(0),
            // Nothing is committed there yet.
            _ => 0,
        };
        Ok(committed.elements().iter().map(|partition| offset(partition.offset())).sum())
    }
}
