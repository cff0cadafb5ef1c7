//! W9: what a stateless interceptor costs, beside the same broker without it, and beside Kafka Streams doing the same.
//!
//! Each round runs every row of the table once, in an order that turns from round to round, each against processes and
//! directories of its own. A row's cost is the CPU time of all its processes from the end of the warm-up until the last
//! acknowledgement, and for Kafka Streams until the last record is in its output topic.

mod subject;
mod table;
mod variant;

use crate::kafka::Home;
use crate::load::{self, Load, Shape};
use crate::process::{Beside, Machine, machine_name};
use crate::results;
use crate::stats::plateaued;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use subject::{Means, Subject, TOPIC};
use table::Row;
use variant::Variant;

/// What a stateless interceptor costs.
#[derive(Debug, Args)]
pub struct W9 {
    /// The binary that is measured.
    #[arg(long)]
    pelton: PathBuf,
    /// An older binary to compare the unhooked topic with.
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Where identity.wasm, filter.wasm and redact.wasm are.
    #[arg(long)]
    guests: PathBuf,
    /// Where `bench/kafka/setup.sh` put Apache Kafka: adds its rows.
    #[arg(long, value_name = "DIR")]
    kafka: Option<PathBuf>,
    /// Rounds; each runs every row once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measured bytes of values of one run, in MB.
    #[arg(long, default_value_t = 1000)]
    mb: u64,
    /// For how many seconds a JVM is warmed up at least, and then until its cost falls no more.
    #[arg(long, default_value_t = 60)]
    jvm_warmup_s: u64,
    /// What it is given in those seconds, in MB, if it is fast enough; twice as much at most.
    #[arg(long, default_value_t = 3000)]
    jvm_warmup_mb: u64,
    /// Sizes of values, in bytes.
    #[arg(long, value_delimiter = ',', default_value = "1000,100")]
    sizes: Vec<usize>,
    /// Only the rows in whose name one of these occurs, for example `Kafka` or `/ fsync /`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the data directories are made.
    #[arg(long, default_value = "/tmp")]
    dir: PathBuf,
    /// Write the rounds as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Put the tables into this document, between `<!-- w9 -->` and `<!-- /w9 -->`.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

/// In how many parts a JVM is given `--jvm-warmup-mb`.
const WARM_UP_PARTS: u64 = 10;

/// What a table says about how it was made.
pub struct Plan {
    mb: u64,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    cpu_s_per_gb: f64,
    mb_per_s: f64,
    records_per_s: f64,
    records_per_cpu_s: f64,
    guest_ns_per_record: Option<f64>,
    rss_mib: f64,
    beside: Beside,
}

impl W9 {
    /// Runs it and prints the tables.
    pub fn run(self) -> Result<()> {
        let home = self.kafka.as_deref().map(Home::new).transpose()?;
        if let Some(results) = &self.results {
            results::check(results, "w9")?;
        }
        for &size in &self.sizes {
            ensure!(size >= load::VALUE_MIN_BYTES, "values have at least {} bytes", load::VALUE_MIN_BYTES);
        }
        let mut variants = variant::all(self.baseline.is_some(), home.is_some());
        variants.retain(|row| self.only.is_empty() || self.only.iter().any(|part| row.name().contains(part)));
        ensure!(!variants.is_empty(), "no row is left; a name is for example `Pelton / fsync / identity`");
        let mut report = format!("On {}.\n", machine_name()?);
        if let Some(home) = &home {
            report.push_str(&format!(
                "Apache Kafka and Kafka Streams {}, {}; every JVM was warmed up for {} s at least, then until its cost fell \
                 no more, with {} MB at most.\n",
                home.version()?,
                home.jvm_version()?,
                self.jvm_warmup_s,
                2 * self.jvm_warmup_mb
            ));
        }
        let mut kept = Vec::new();
        for &size in &self.sizes {
            let rows = self.rounds_of(home.as_ref(), &variants, size, &mut kept)?;
            table::write(&mut report, &Plan { mb: self.mb }, size, &rows);
        }
        results::print(&report)?;
        match &self.results {
            Some(path) => results::write(path, "w9", &report),
            None => Ok(()),
        }
    }

    fn rounds_of(
        &self,
        home: Option<&Home>,
        variants: &[Variant],
        size: usize,
        kept: &mut Vec<Value>,
    ) -> Result<Vec<Row>> {
        let mut rows: Vec<Row> = variants.iter().map(|&variant| Row { variant, runs: Vec::new() }).collect();
        for round in 0..self.rounds {
            for turn in 0..rows.len() {
                let at = (turn + round) % variants.len();
                let variant = variants[at];
                let (run, warmup) =
                    self.measure(home, variant, size).with_context(|| format!("the run of {}", variant.name()))?;
                say(&format!(
                    "{size} B, round {}: {:<52} {:.3} CPU-s/GB, {:.0} MB/s",
                    round + 1,
                    variant.name(),
                    run.cpu_s_per_gb,
                    run.mb_per_s
                ));
                kept.push(json!({
                    "system": variant.system_name(), "mode": variant.mode(), "work": variant.work_name(),
                    "value_bytes": size, "round": round, "cpu_s_per_gb": run.cpu_s_per_gb, "mb_per_s": run.mb_per_s,
                    "plugin_ns_per_record": run.guest_ns_per_record, "peak_rss_mib": run.rss_mib,
                    "others_share": run.beside.others, "stolen_share": run.beside.stolen,
                    "warmup_cpu_s_per_gb": warmup,
                }));
                rows[at].runs.push(run);
                // After every run, so that what was measured is there whatever comes.
                if let Some(out) = &self.out {
                    std::fs::write(out, serde_json::to_vec_pretty(&kept)?)?;
                }
            }
        }
        Ok(rows)
    }

    fn measure(&self, home: Option<&Home>, variant: Variant, size: usize) -> Result<(Run, Vec<f64>)> {
        let shape = Shape { value_bytes: size, batch_bytes: if size >= 1000 { 128 << 10 } else { 64 << 10 } };
        let means = Means {
            pelton: &self.pelton,
            older: self.baseline.as_deref(),
            guests: &self.guests,
            kafka: home,
            dir: &self.dir,
            batch_bytes: shape.batch_bytes,
        };
        let mut subject = Subject::start(means, variant)?;
        let mut load = Load::new(subject.bootstrap(), shape)?;
        let warmup = self.warm_up(&mut subject, &mut load, variant)?;
        let (machine, before) = (Machine::now()?, load.tally());
        let part = Part::of(&mut subject, &mut load, variant, self.mb * 1_000_000)?;
        let beside = machine.beside(part.cpu_s)?;
        let records = (load.tally().records - before.records) as f64;
        let run = Run {
            cpu_s_per_gb: part.cpu_s_per_gb(records, size),
            mb_per_s: records * size as f64 / 1e6 / part.wall_s,
            records_per_s: records / part.wall_s,
            records_per_cpu_s: records / part.cpu_s,
            guest_ns_per_record: subject.guest_ns(variant, load.tally().records)?,
            rss_mib: subject.peak_rss_mib()?,
            beside,
        };
        let (expected, read) = (variant.expected(load.tally()), load::read_all(subject.bootstrap(), subject.output())?);
        ensure!(read == expected, "void: {read:?} was read, not {expected:?}");
        Ok((run, warmup))
    }

    /// Warms up, and tells what each part of it has cost, in CPU-s/GB.
    fn warm_up(&self, subject: &mut Subject, load: &mut Load, variant: Variant) -> Result<Vec<f64>> {
        if !variant.is_jvm() {
            Part::of(subject, load, variant, self.mb * 1_000_000 / 5)?;
            return Ok(Vec::new());
        }
        let began = Instant::now();
        let bytes = (self.jvm_warmup_mb * 1_000_000 / WARM_UP_PARTS).max(1_000_000);
        let pace = Duration::from_secs(self.jvm_warmup_s) / WARM_UP_PARTS as u32;
        let mut costs = Vec::new();
        for part in 0..2 * WARM_UP_PARTS as u32 {
            if began.elapsed().as_secs() >= self.jvm_warmup_s && plateaued(&costs) {
                break;
            }
            if part < WARM_UP_PARTS as u32 {
                // Compilers work in the background, and want time rather than bytes, which only fill the page cache.
                std::thread::sleep((began + pace * part).saturating_duration_since(Instant::now()));
            }
            let before = load.tally().records;
            let given = Part::of(subject, load, variant, bytes)?;
            costs.push(given.cpu_s_per_gb((load.tally().records - before) as f64, load.value_bytes()));
        }
        Ok(costs)
    }
}

/// Load that was given, and what it took.
struct Part {
    cpu_s: f64,
    wall_s: f64,
}

impl Part {
    /// Sends so many bytes of values and waits until the work on them is done.
    fn of(subject: &mut Subject, load: &mut Load, variant: Variant, bytes: u64) -> Result<Self> {
        let (before, began) = (subject.cpu_seconds()?, Instant::now());
        load.send(TOPIC, bytes)?;
        subject.settle(load.tally(), variant.expected(load.tally()))?;
        Ok(Self { wall_s: began.elapsed().as_secs_f64(), cpu_s: subject.cpu_seconds()? - before })
    }

    fn cpu_s_per_gb(&self, records: f64, value_bytes: usize) -> f64 {
        self.cpu_s / (records * value_bytes as f64 / 1e9)
    }
}

/// Progress, on standard error.
pub fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}
