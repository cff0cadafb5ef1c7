//! `pelton topic truncate`: deletes the oldest records of a topic, or all of them, and keeps the topic.

use super::selection::Selection;
use super::wire::{Cluster, Lookup};
use super::{Bootstrap, output, time};
use anyhow::{anyhow, bail};
use clap::{ArgGroup, Args};
use pelton_core::model::TopicPartition;
use serde::Serialize;
use std::collections::BTreeMap;

/// Delete the oldest records of a topic, or all of them, and keep the topic.
///
/// Offsets go on where they were. What is deleted is gone for every reader.
#[derive(Debug, Args)]
#[command(
    override_usage = "pelton topic truncate [OPTIONS] <TOPIC>",
    group = ArgGroup::new("cut").required(true).args(["all", "before_offset", "before_time"]),
    after_long_help = "Examples:\n\
    \x20 pelton topic truncate orders --all\n\
    \x20 pelton topic truncate orders:0,3 --before-offset 1000 --dry-run\n\
    \x20 pelton topic truncate orders --before-time 2026-11-22T03:01:20Z"
)]
pub struct Truncate {
    /// Name of the topic, or TOPIC:PARTITION,PARTITION.
    #[arg(value_name = "TOPIC")]
    topic: Selection,
    /// Delete all records that there are.
    #[arg(long)]
    all: bool,
    /// Delete the records below this offset, in each of the partitions.
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..), value_name = "OFFSET")]
    before_offset: Option<i64>,
    /// Delete the records that come before the first one of this time or a later one.
    #[arg(long, value_parser = time::parse, value_name = "TIME")]
    before_time: Option<i64>,
    /// Show what would be deleted, and delete nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, Serialize)]
struct Truncated {
    topic: String,
    partition: i32,
    /// Where the partition began before.
    from: i64,
    /// Where it begins now.
    to: i64,
    /// Offsets that it does not hold any more.
    deleted: i64,
}

/// Where a partition is to begin that holds what lies from `start` up to `end`.
fn cut(wanted: i64, start: i64, end: i64) -> i64 {
    wanted.clamp(start, end)
}

impl Truncate {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        let topics = cluster.named(std::slice::from_ref(&self.topic.topic))?;
        let partitions = self.topic.of(&topics[0])?;
        let (starts, cuts) = self.cuts(&mut cluster, &partitions)?;
        let begins: BTreeMap<TopicPartition, i64> = if self.dry_run {
            cuts
        } else {
            let cuts = cuts.into_iter().filter(|(partition, cut)| *cut > starts[partition]).collect();
            let mut begins = starts.clone();
            for (partition, result) in cluster.delete_records(&cuts)? {
                let begin = result.map_err(|refused| anyhow!("the records of {partition} were not deleted: {refused}"));
                begins.insert(partition, begin?);
            }
            begins
        };
        let truncated: Vec<Truncated> = begins
            .iter()
            .map(|(partition, to)| Truncated {
                topic: partition.topic.to_string(),
                partition: partition.partition,
                from: starts[partition],
                to: *to,
                deleted: to - starts[partition],
            })
            .collect();
        self.print(&truncated);
        Ok(())
    }

    /// Where each partition begins, and where it is to.
    fn cuts(&self, cluster: &mut Cluster, partitions: &[TopicPartition]) -> anyhow::Result<(Offsets, Offsets)> {
        let starts = looked_up(cluster, partitions, Lookup::Start)?;
        let ends = looked_up(cluster, partitions, Lookup::End)?;
        let (Some(starts), Some(ends)) = (all(&starts), all(&ends)) else {
            bail!("the broker does not say where the partitions of {} begin and end", self.topic.topic);
        };
        let found = match self.before_time {
            Some(at) => looked_up(cluster, partitions, Lookup::At(at))?,
            None => BTreeMap::new(),
        };
        let cuts = partitions.iter().map(|partition| {
            let (start, end) = (starts[partition], ends[partition]);
            // Where no record is that late, all of them are earlier.
            let wanted = self.before_offset.or_else(|| found.get(partition).copied().flatten()).unwrap_or(end);
            (partition.clone(), cut(wanted, start, end))
        });
        let cuts = cuts.collect();
        Ok((starts, cuts))
    }

    fn print(&self, truncated: &[Truncated]) {
        if self.json {
            output::json(&truncated);
            return;
        }
        output::table(
            &["PARTITION", "BEGAN AT", if self.dry_run { "WOULD BEGIN AT" } else { "BEGINS AT" }, "OFFSETS DELETED"],
            truncated.iter().map(|truncated| {
                let Truncated { partition, from, to, deleted, .. } = truncated;
                [i64::from(*partition), *from, *to, *deleted].map(|number| number.to_string()).to_vec()
            }),
        );
        if self.dry_run {
            output::note("nothing was deleted; leave --dry-run out to do it");
        }
    }
}

type Offsets = BTreeMap<TopicPartition, i64>;

fn looked_up(
    cluster: &mut Cluster,
    partitions: &[TopicPartition],
    lookup: Lookup,
) -> anyhow::Result<BTreeMap<TopicPartition, Option<i64>>> {
    let found = cluster.offsets(partitions, lookup)?;
    let offset = |(partition, offset): (TopicPartition, Result<_, _>)| match offset {
        Ok(offset) => Ok((partition, offset)),
        Err(refused) => Err(anyhow!("{partition}: {refused}")),
    };
    found.into_iter().map(offset).collect()
}

fn all(offsets: &BTreeMap<TopicPartition, Option<i64>>) -> Option<Offsets> {
    offsets.iter().map(|(partition, offset)| Some((partition.clone(), (*offset)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    #[test]
    fn a_cut_lies_within_what_there_is() {
        assert_eq!(cut(5, 0, 10), 5);
        assert_eq!(cut(50, 0, 10), 10);
        assert_eq!(cut(3, 7, 10), 7);
    }

    #[test]
    fn what_is_to_be_deleted_is_said_exactly_once() {
        let takes = |arguments: &[&str]| {
            let all = ["pelton", "topic", "truncate", "orders"].iter().chain(arguments);
            Cli::try_parse_from(all).is_ok()
        };
        assert!(takes(&["--all", "--dry-run", "--json"]));
        assert!(takes(&["--before-time", "2026-11-22"]));
        assert!(!takes(&[]));
        assert!(!takes(&["--all", "--before-offset", "7"]));
        assert!(!takes(&["--before-offset", "-7"]));
        assert!(!takes(&["--before-time", "yesterday"]));
    }
}
