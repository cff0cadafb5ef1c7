//! `pelton plan`: what a load takes: disk, network, partitions, memory and processors of each broker.
//!
//! What follows from what is worked out in [`capacity`], which is pure; here are the arguments and the words.

mod capacity;

use super::{output, time};
use anyhow::anyhow;
use capacity::{Durability, Figure, Load, Unit};
use clap::{ArgGroup, Args, ValueEnum};

/// Work out what a load takes: disk, network, partitions, memory and processors of each broker, with the formulas.
///
/// No broker is asked. Leaders and replicas are taken to be spread evenly over the brokers.
#[derive(Debug, Args)]
#[command(
    override_usage = "pelton plan [OPTIONS]",
    group = ArgGroup::new("load").required(true).args(["records_per_sec", "mb_per_sec"]),
    arg_required_else_help = true,
    after_long_help = "Examples:\n\
    \x20 pelton plan --records-per-sec 50000 --record-bytes 1000 --consumer-groups 3\n\
    \x20 pelton plan --mb-per-sec 120 --compression-ratio 3 --retention 3d --brokers 6 --json"
)]
pub struct Plan {
    /// Records that producers send in a second, on average.
    #[arg(long, value_parser = positive, value_name = "N")]
    records_per_sec: Option<f64>,
    /// Megabytes (10^6 bytes) that producers send in a second, on average, before compression.
    #[arg(long, value_parser = positive, value_name = "MB")]
    mb_per_sec: Option<f64>,
    /// Bytes of a record with its key and headers, before compression.
    #[arg(long, value_parser = positive, default_value = "1000", value_name = "N")]
    record_bytes: f64,
    /// How many times smaller compression makes the records; 1 is none.
    #[arg(long, value_parser = at_least_one, default_value = "1", value_name = "RATIO")]
    compression_ratio: f64,
    /// How long records are kept, such as 7d or 12h (`retention.ms`).
    #[arg(long, value_parser = time::length_ms, default_value = "7d", value_name = "DURATION")]
    retention: i64,
    /// How many bytes of each partition are kept at most (`retention.bytes`); without it time alone decides.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "BYTES")]
    retention_bytes: Option<u64>,
    /// Replicas of each partition.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100), default_value = "3", value_name = "N")]
    replication_factor: u32,
    /// Brokers that share the load.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000), default_value = "3", value_name = "N")]
    brokers: u32,
    /// Consumer groups, each of which reads everything once.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=10_000), default_value = "1", value_name = "N")]
    consumer_groups: u32,
    /// How many times the average the load is at its peak.
    #[arg(long, value_parser = at_least_one, default_value = "2", value_name = "FACTOR")]
    peak_factor: f64,
    /// The share of disk, network, memory and processors that is to stay free.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=90), default_value = "30", value_name = "PERCENT")]
    headroom_percent: u32,
    /// Megabytes a second that are to go to one partition at most, as they are sent.
    #[arg(long, value_parser = positive, default_value = "10", value_name = "MB")]
    partition_mb_per_sec: f64,
    /// Megabytes a second that one consumer gets through, as they are sent.
    #[arg(long, value_parser = positive, default_value = "10", value_name = "MB")]
    consumer_mb_per_sec: f64,
    /// Number of partitions; without it as many as producers and consumers need.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    partitions: Option<u32>,
    /// Bytes of a segment (`segment.bytes`); records are deleted by whole segments.
    #[arg(long, value_parser = positive, default_value = "1073741824", value_name = "BYTES")]
    segment_bytes: f64,
    /// How far behind consumers may be and still be served from memory, in seconds.
    #[arg(long, value_parser = positive, default_value = "30", value_name = "SECONDS")]
    cache_secs: f64,
    /// What an acknowledgement waits for.
    #[arg(long, value_enum, default_value = "fsync", value_name = "MODE")]
    durability: Answers,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What an acknowledgement waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    /// The medium of every replica in sync.
    Fsync,
    /// The page cache of every replica in sync, as in Kafka.
    Replicated,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0 && *number <= 1e15);
    number.ok_or_else(|| "give a number above 0".to_owned())
}

fn at_least_one(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| (1.0..=1e6).contains(number));
    number.ok_or_else(|| "give a number from 1 on".to_owned())
}

impl Plan {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let figures = capacity::plan(&self.load()).map_err(|reason| anyhow!("{reason}"))?;
        if self.json {
            let named = figures.iter().map(|figure| {
                let Figure { name, value, unit, formula, .. } = figure;
                ((*name).to_owned(), serde_json::json!({ "value": value, "unit": unit, "formula": formula }))
            });
            output::json(&named.collect::<serde_json::Map<_, _>>());
            return Ok(());
        }
        output::table(
            &["WHAT IT TAKES", "", "FROM"],
            figures.iter().map(|figure| vec![figure.title.to_owned(), shown(figure), figure.formula.clone()]),
        );
        output::line("");
        output::line(capacity::SOURCES);
        Ok(())
    }

    fn load(&self) -> Load {
        let bytes_per_sec = self.mb_per_sec.map(|mb| mb * 1e6);
        let by_records = self.records_per_sec.map(|records| records * self.record_bytes);
        Load {
            bytes_per_sec: bytes_per_sec.or(by_records).unwrap_or_default(),
            record_bytes: self.record_bytes,
            compression_ratio: self.compression_ratio,
            retention_secs: self.retention as f64 / 1e3,
            retention_bytes: self.retention_bytes.map(|bytes| bytes as f64),
            replication_factor: f64::from(self.replication_factor),
            brokers: f64::from(self.brokers),
            consumer_groups: f64::from(self.consumer_groups),
            peak_factor: self.peak_factor,
            headroom: f64::from(self.headroom_percent) / 100.0,
            partition_bytes_per_sec: self.partition_mb_per_sec * 1e6,
            consumer_bytes_per_sec: self.consumer_mb_per_sec * 1e6,
            partitions: self.partitions.map(f64::from),
            segment_bytes: self.segment_bytes,
            cache_secs: self.cache_secs,
            durability: match self.durability {
                Answers::Fsync => Durability::Fsync,
                Answers::Replicated => Durability::Replicated,
            },
        }
    }
}

fn shown(figure: &Figure) -> String {
    let value = figure.value;
    match figure.unit {
        Unit::Count => output::grouped(value.ceil() as u64),
        Unit::Bytes => output::size(value.ceil() as u64),
        Unit::BytesPerSec => format!("{:.1} MB/s", value / 1e6),
        Unit::BitsPerSec => format!("{:.2} Gbit/s", value / 1e9),
        Unit::RecordsPerSec => format!("{}/s", output::grouped(value.round() as u64)),
        Unit::Cores => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn load(arguments: &[&str]) -> Option<Load> {
        let all = ["pelton", "plan"].iter().chain(arguments);
        match Cli::try_parse_from(all).ok()?.command {
            Command::Plan(plan) => Some(plan.load()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_load_is_said_in_records_or_in_bytes() {
        let by_records = load(&["--records-per-sec", "50000", "--record-bytes", "200"]).unwrap();
        assert_eq!(by_records, load(&["--mb-per-sec", "10", "--record-bytes", "200"]).unwrap());
        assert_eq!(by_records.bytes_per_sec, 1e7);
        assert!(load(&["--mb-per-sec", "1", "--json", "--brokers", "5", "--partitions", "10"]).is_some());
        assert_eq!(load(&["--mb-per-sec", "1", "--retention", "12h"]).unwrap().retention_secs, 43_200.0);
        for bad in [
            &[][..],
            &["--brokers", "3"],
            &["--mb-per-sec", "1", "--records-per-sec", "1"],
            &["--mb-per-sec", "0"],
            &["--mb-per-sec", "nan"],
            &["--mb-per-sec", "1", "--compression-ratio", "0.5"],
            &["--mb-per-sec", "1", "--headroom-percent", "100"],
            &["--mb-per-sec", "1", "--retention", "long"],
        ] {
            assert!(load(bad).is_none(), "{bad:?}");
        }
    }
}
