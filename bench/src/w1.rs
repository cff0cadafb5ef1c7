//! W1 and W2: what it costs a broker to take records, beside Apache Kafka: 1 KiB and 100 B values, uncompressed and
//! compressed by the client, from librdkafka and from Kafka's own ProducerPerformance.

use crate::kafka::Home;
use crate::sender::Batching;
use crate::stats::plateaued;
use crate::versus::client::{self, Moved, Target};
use crate::versus::contender::Contender;
use crate::versus::cost::{self, Cost};
use crate::versus::rivals::Rivals;
use crate::versus::sheet::{Column, Sample, Sheet};
use crate::versus::tools;
use crate::versus::values::{Tally, Values};
use crate::versus::{Options, memory};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use tempfile::NamedTempFile;

/// What it costs to take records.
#[derive(Debug, Args)]
pub struct Produce {
    #[command(flatten)]
    options: Options,
}

/// Which of the two.
#[derive(Debug, Clone, Copy)]
pub struct Which {
    /// Its name.
    pub workload: &'static str,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// `batch.size`.
    pub batch_bytes: usize,
}

/// 1 KiB.
pub const W1: Which = Which { workload: "w1", value_bytes: 1024, batch_bytes: 128 << 10 };
/// 100 B.
pub const W2: Which = Which { workload: "w2", value_bytes: 100, batch_bytes: 64 << 10 };

/// Partitions of the topics.
pub const PARTITIONS: i32 = 12;
/// Everybody who is measured.
const CONTENDERS: [Contender; 3] = [Contender::Fsync, Contender::Replicated, Contender::Kafka];
/// What the client compresses with.
const CODECS: [&str; 3] = ["none", "lz4", "zstd"];

pub const COLUMNS: [Column; 4] = [
    Column { key: "cpu_s_per_gb", head: "CPU-s/GB", decimals: 3, compared: true },
    Column { key: "mb_per_s", head: "MB/s", decimals: 0, compared: true },
    Column { key: "written_per_byte", head: "bytes written per byte", decimals: 2, compared: false },
    Column { key: "peak_rss_mib", head: "peak RSS MiB", decimals: 0, compared: false },
];

/// Who makes the load, and how it is compressed.
#[derive(Debug, Clone, Copy)]
struct Load {
    tool: bool,
    codec: &'static str,
}

impl Load {
    fn all(home: bool) -> Vec<Self> {
        let mut all: Vec<Self> = CODECS.iter().map(|&codec| Self { tool: false, codec }).collect();
        if home {
            all.push(Self { tool: true, codec: "none" });
        }
        all
    }

    fn row(self) -> String {
        row(if self.tool { "ProducerPerformance" } else { "librdkafka" }, self.codec)
    }
}

/// The name of a row.
pub fn row(client: &str, codec: &str) -> String {
    format!("{client}, {codec}")
}

impl Produce {
    /// Runs it and prints the table.
    pub fn run(self, which: Which) -> Result<()> {
        let home = self.options.check(which.workload)?;
        let lines = NamedTempFile::new()?;
        let mut values = Values::new(which.value_bytes);
        values.write_lines(lines.path())?;
        let rivals = Rivals::start(&self.options, home.as_ref(), &CONTENDERS)?;
        let (home, lines) = (home.as_ref(), lines.path());
        let mut runs = Runs { options: &self.options, home, which, rivals, values, lines, drawn: BTreeMap::new() };
        let head = format!(
            "{} B values, batches of {} KiB, {} MB in each of {} rounds:",
            which.value_bytes,
            which.batch_bytes >> 10,
            self.options.mb,
            self.options.rounds
        );
        let mut sheet = Sheet::new(which.workload, &COLUMNS, head);
        if home.is_some() {
            runs.warm_up_kafka()?;
        }
        for round in 0..self.options.rounds {
            for load in Load::all(home.is_some()) {
                for contender in runs.rivals.turns(round) {
                    let (row, name) = (load.row(), contender.name());
                    if !self.options.wants(&format!("{row} / {name}")) {
                        continue;
                    }
                    let (figures, beside) =
                        runs.measure(load, contender).with_context(|| format!("the run of {row} / {name}"))?;
                    sheet.push(Sample { row, contender, round, figures, beside });
                    self.options.keep(&sheet)?;
                }
            }
        }
        self.options.publish(home, &sheet, true)
    }
}

struct Runs<'a> {
    options: &'a Options,
    home: Option<&'a Home>,
    which: Which,
    rivals: Rivals,
    values: Values,
    lines: &'a Path,
    /// What ProducerPerformance draws from the lines, which is the same whenever: by number of records.
    drawn: BTreeMap<u64, Tally>,
}

type Figures = Vec<(&'static str, f64)>;

impl Runs<'_> {
    fn measure(&mut self, load: Load, contender: Contender) -> Result<(Figures, crate::process::Beside)> {
        // Discarded, of the same size: the code is compiled, and the pages that the run will fill exist.
        self.once(load, contender, self.options.bytes())?;
        let (moved, cost) = self.once(load, contender, self.options.bytes())?;
        Ok((figures(moved, &cost, self.values.bytes()), cost.beside))
    }

    /// Sends to a topic of its own, and checks what is in it.
    fn once(&mut self, load: Load, contender: Contender, bytes: u64) -> Result<(Moved, Cost)> {
        let topics = [self.rivals.topic(contender, PARTITIONS)?];
        let touched = memory::prepare(&self.options.dir, bytes)?;
        let server = self.rivals.server(contender);
        let target = Target { bootstrap: server.bootstrap(), topics: &topics, partitions: PARTITIONS };
        let batching = Batching { linger_ms: 5, batch_bytes: self.which.batch_bytes, codec: load.codec };
        let (moved, cost) = if load.tool {
            let home = self.home.context("ProducerPerformance needs --kafka")?;
            let records = bytes / self.values.bytes() as u64;
            touched.give_back_after(tools::BEGINS_AFTER);
            let (said, cost) =
                cost::of(server, || tools::produce(home, target.bootstrap, &topics[0], records, self.lines, batching))?;
            let tally = client::consume(target)?.tally;
            let expected = *self.drawn.entry(records).or_insert(tally);
            ensure!(tally.records == records && tally == expected, "void: {tally:?} was read, not {expected:?}");
            (Moved { tally, timed: records, seconds: records as f64 / said.per_s }, cost)
        } else {
            drop(touched);
            let (moved, cost) = cost::of(server, || client::produce(target, &mut self.values, batching, bytes))?;
            let read = client::consume(target)?.tally;
            ensure!(read == moved.tally, "void: {read:?} was read, not {:?}", moved.tally);
            (moved, cost)
        };
        self.rivals.forget(contender, &topics[0])?;
        Ok((moved, cost))
    }

    fn warm_up_kafka(&mut self) -> Result<()> {
        let options = self.options;
        warm_up(options, || {
            let mut cpu_s = 0.0;
            for codec in CODECS {
                let load = Load { tool: false, codec };
                cpu_s += self.once(load, Contender::Kafka, options.bytes() / 4)?.1.cpu_s;
            }
            Ok(cpu_s)
        })
    }
}

/// Does the same thing again and again until a JVM that does it has been warmed up.
pub fn warm_up(options: &Options, mut part: impl FnMut() -> Result<f64>) -> Result<()> {
    let (began, mut costs) = (Instant::now(), Vec::new());
    loop {
        let seconds = began.elapsed().as_secs();
        if seconds >= 2 * options.jvm_warmup_s || (seconds >= options.jvm_warmup_s && plateaued(&costs)) {
            let parts: Vec<String> = costs.iter().map(|cost| format!("{cost:.2}")).collect();
            crate::w9::say(&format!("Kafka is warm after {seconds} s; its CPU seconds by part: {}", parts.join(" ")));
            return Ok(());
        }
        costs.push(part()?);
    }
}

/// The figures of a run that moved records.
pub fn figures(moved: Moved, cost: &Cost, value_bytes: usize) -> Vec<(&'static str, f64)> {
    let bytes = (moved.tally.records * value_bytes as u64) as f64;
    vec![
        ("cpu_s_per_gb", cost.cpu_s / (bytes / 1e9)),
        ("mb_per_s", (moved.timed * value_bytes as u64) as f64 / 1e6 / moved.seconds),
        ("written_per_byte", cost.storage.written as f64 / bytes),
        ("peak_rss_mib", cost.peak_rss_mib),
    ]
}
