//! What W1 to W5 and W10 share: Pelton and Apache Kafka side by side, on one disk, with the same clients.
//!
//! The brokers of a workload are started once and live to its end, so a JVM is warmed up once; runs of one row take turns
//! from round to round. Each measured run is preceded by a discarded one of the same size and by a touch of as much
//! memory as it will fill: on a virtual machine that gives free pages back, the first touch of a page costs ten times
//! what a later one does, and whoever comes first would pay for both.

pub mod client;
pub mod contender;
pub mod cost;
pub mod memory;
pub mod open_loop;
pub mod probe;
pub mod rivals;
pub mod sheet;
pub mod tools;
pub mod values;

use crate::kafka::Home;
use crate::process::machine_name;
use crate::results;
use anyhow::{Result, ensure};
use clap::Args;
use sheet::Sheet;
use std::path::PathBuf;

/// What all of these workloads are told.
#[derive(Debug, Args)]
pub struct Options {
    /// The binary that is measured.
    #[arg(long)]
    pub pelton: PathBuf,
    /// Where `bench/kafka/setup.sh` put Apache Kafka: adds its rows and clients.
    #[arg(long, value_name = "DIR")]
    pub kafka: Option<PathBuf>,
    /// Rounds; each runs every row once.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Bytes of values of one run, in MB. A few hundred, so that recycled memory serves a run.
    #[arg(long, default_value_t = 400)]
    pub mb: u64,
    /// For how many seconds Kafka's JVM is warmed up at least, and then until its cost falls no more, but no longer than
    /// twice as long.
    #[arg(long, default_value_t = 60)]
    pub jvm_warmup_s: u64,
    /// Only the rows in whose name one of these occurs, for example `Kafka` or `zstd`.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// A setting of every broker, by Kafka's name; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// A config of every topic that is measured; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub topic_config: Vec<(String, String)>,
    /// Where the data directories are made.
    #[arg(long, default_value = "/tmp")]
    pub dir: PathBuf,
    /// Write every run as JSON, for `pelton-bench chart`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Put the table into this document, between the comments that bear the workload's name.
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Options {
    /// Checks what can be checked before hours are spent. `name`: of the workload, as `w1`.
    pub fn check(&self, name: &str) -> Result<Option<Home>> {
        ensure!(self.rounds > 0 && self.mb > 0, "--rounds and --mb are at least 1");
        if let Some(results) = &self.results {
            results::check(results, name)?;
        }
        self.kafka.as_deref().map(Home::new).transpose()
    }

    /// Bytes of values of one run.
    pub fn bytes(&self) -> u64 {
        self.mb * 1_000_000
    }

    /// Whether a row is wanted.
    pub fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| row.contains(part))
    }

    /// Keeps what was measured so far, whatever comes.
    pub fn keep(&self, sheet: &Sheet) -> Result<()> {
        match &self.out {
            Some(out) => sheet.write(out),
            None => Ok(()),
        }
    }

    /// Prints the table, and puts it where it belongs. `warmed_up`: whether Kafka was, before it was measured.
    pub fn publish(&self, home: Option<&Home>, sheet: &Sheet, warmed_up: bool) -> Result<()> {
        let mut report = format!("On {}.\n", machine_name()?);
        if let Some(home) = home {
            report.push_str(&format!("Apache Kafka {}, {}, 1 GiB of heap", home.version()?, home.jvm_version()?));
            if warmed_up {
                report.push_str(&format!(", warmed up for {} s at least", self.jvm_warmup_s));
            }
            report.push_str(".\n");
        }
        let said = self.set.iter().chain(&self.topic_config).map(|(key, value)| format!("`{key}={value}`"));
        let said: Vec<String> = said.collect();
        if !said.is_empty() {
            report.push_str(&format!("With {}.\n", said.join(", ")));
        }
        report.push_str(&sheet.table());
        results::print(&report)?;
        match &self.results {
            Some(path) => results::write(path, sheet.workload, &report),
            None => Ok(()),
        }
    }
}
