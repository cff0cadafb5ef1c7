//! `pelton group reset`: moves the committed offsets of a group that nobody is in.
//!
//! Where each partition goes is decided in [`target`]; here the broker is asked for what that takes, and told the outcome.

mod target;

use super::offsets_file::{self, Offsets};
use super::selection::Selection;
use super::wire::{Cluster, Lookup};
use super::{Bootstrap, input, output, time, unknown};
use anyhow::{Context, anyhow, bail};
use clap::{ArgGroup, Args};
use pelton_core::model::TopicPartition;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use target::{Known, Move, Target};

/// Move the committed offsets of a group that nobody is in.
///
/// Shows what would be committed, and commits it with `--execute`. An offset that a partition does not have becomes the nearest
/// one that it has. Offsets of a group that is not there yet may be set, so that it begins there.
#[derive(Debug, Args)]
#[command(
    override_usage = "pelton group reset [OPTIONS] <GROUP>",
    group = ArgGroup::new("target").required(true).args([
        "to_earliest", "to_latest", "to_current", "to_offset", "shift_by", "to_datetime", "by_duration", "from_file",
    ]),
    after_long_help = "Examples:\n\
    \x20 pelton group reset billing --all-topics --to-earliest\n\
    \x20 pelton group reset billing --topic orders:0,3 --shift-by -100 --execute\n\
    \x20 pelton group reset billing --topic orders --to-datetime 2026-11-22T03:01:20Z --execute\n\
    \x20 pelton group export billing > billing.csv\n\
    \x20 pelton group reset billing --from-file billing.csv --execute"
)]
pub struct Reset {
    /// Id of the group.
    group: String,
    /// A topic, or TOPIC:PARTITION,PARTITION; may be given several times.
    #[arg(long, required_unless_present_any = ["all_topics", "from_file"], value_name = "TOPIC")]
    topic: Vec<Selection>,
    /// All partitions that the group has committed offsets of.
    #[arg(long, conflicts_with = "topic")]
    all_topics: bool,
    /// To the first offset that there is.
    #[arg(long)]
    to_earliest: bool,
    /// To the end, so that only what comes from now on is read.
    #[arg(long)]
    to_latest: bool,
    /// To where the group is now; where it has committed nothing, to the end.
    #[arg(long)]
    to_current: bool,
    /// To this offset in each of the partitions.
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..), value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// On by this many records, or back where it is negative.
    #[arg(long, allow_hyphen_values = true, value_name = "N")]
    shift_by: Option<i64>,
    /// To the first record of this time or a later one, in UTC.
    #[arg(long, value_parser = time::parse, value_name = "TIME")]
    to_datetime: Option<i64>,
    /// To the first record of the last 90m, 24h, 7d, or in Kafka's notation PT90M, P7D.
    #[arg(long, value_parser = time::length_ms, value_name = "DURATION")]
    by_duration: Option<i64>,
    /// To the offsets in a file that `pelton group export` or Kafka's tool wrote; `-` for standard input.
    #[arg(long, conflicts_with_all = ["topic", "all_topics"], value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Commit the offsets; without it they are only shown.
    #[arg(long)]
    execute: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Reset {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let target = self.target()?;
        let mut cluster = Cluster::connect(&self.bootstrap.bootstrap)?;
        let there = cluster.group(&self.group)?;
        if let Some(group) = there.as_ref().filter(|group| !group.is_empty()) {
            bail!(
                "the group {} is {} and has {}; stop its consumers first, offsets are reset while nobody is in it",
                self.group,
                group.state,
                output::counted(group.members.len(), "member")
            );
        }
        if there.is_none() && self.all_topics {
            bail!(unknown(&self.group));
        }
        let committed = cluster.committed(&self.group)?;
        let committed: Offsets = committed.into_iter().map(|(partition, found)| (partition, found.offset)).collect();
        let partitions = self.partitions(&mut cluster, &target, &committed)?;
        let moves = moves(&mut cluster, &target, &partitions, &committed)?;
        if self.execute {
            self.commit(&mut cluster, &moves)?;
        }
        self.print(&moves);
        Ok(())
    }

    fn target(&self) -> anyhow::Result<Target> {
        if let Some(file) = &self.from_file {
            let text = input::text(file)?;
            let read = offsets_file::read(&text, &self.group);
            return Ok(Target::Each(read.with_context(|| format!("cannot read {}", file.display()))?));
        }
        let at = self.by_duration.map(|length_ms| time::now_ms() - length_ms).or(self.to_datetime);
        let by_flag =
            [(self.to_earliest, Target::Start), (self.to_latest, Target::End), (self.to_current, Target::Current)];
        let by_flag = by_flag.into_iter().find_map(|(given, target)| given.then_some(target));
        by_flag
            .or(self.to_offset.map(Target::Offset))
            .or(self.shift_by.map(Target::Shift))
            .or(at.map(Target::At))
            .context("say where to, such as --to-earliest")
    }

    fn partitions(
        &self,
        cluster: &mut Cluster,
        target: &Target,
        committed: &Offsets,
    ) -> anyhow::Result<Vec<TopicPartition>> {
        if let Target::Each(offsets) = target {
            return Ok(offsets.keys().cloned().collect());
        }
        if self.all_topics {
            if committed.is_empty() {
                bail!("the group {} has committed nothing; name a topic by --topic", self.group);
            }
            return Ok(committed.keys().cloned().collect());
        }
        let mut partitions = Vec::new();
        for selection in &self.topic {
            let topics = cluster.named(std::slice::from_ref(&selection.topic))?;
            partitions.extend(selection.of(&topics[0])?);
        }
        partitions.sort();
        partitions.dedup();
        Ok(partitions)
    }

    fn commit(&self, cluster: &mut Cluster, moves: &BTreeMap<TopicPartition, Move>) -> anyhow::Result<()> {
        let offsets = moves.iter().map(|(partition, step)| (partition.clone(), step.to)).collect();
        let results = cluster.commit(&self.group, &offsets)?;
        let results = results.map_err(|refused| anyhow!("the offsets of {} were not reset: {refused}", self.group))?;
        for (partition, result) in results {
            result.map_err(|refused| anyhow!("the offset of {partition} was not reset: {refused}"))?;
        }
        Ok(())
    }

    fn print(&self, moves: &BTreeMap<TopicPartition, Move>) {
        if self.json {
            let partition = |(partition, step): (&TopicPartition, &Move)| {
                json!({
                    "topic": &*partition.topic, "partition": partition.partition, "committed": step.from, "new": step.to,
                    "note": step.note,
                })
            };
            let partitions: Vec<_> = moves.iter().map(partition).collect();
            output::json(&json!({ "group": self.group, "executed": self.execute, "partitions": partitions }));
            return;
        }
        output::table(
            &["TOPIC", "PARTITION", "COMMITTED", "NEW", "CHANGE", ""],
            moves.iter().map(|(partition, step)| {
                let from = step.from.map_or("-".to_owned(), |from| from.to_string());
                let change = step.from.map_or("-".to_owned(), |from| format!("{:+}", step.to - from));
                let note = step.note.unwrap_or_default().to_owned();
                vec![
                    partition.topic.to_string(),
                    partition.partition.to_string(),
                    from,
                    step.to.to_string(),
                    change,
                    note,
                ]
            }),
        );
        if !self.execute {
            output::note("nothing was committed; --execute commits it");
        }
    }
}

/// Where each partition goes.
fn moves(
    cluster: &mut Cluster,
    target: &Target,
    partitions: &[TopicPartition],
    committed: &Offsets,
) -> anyhow::Result<BTreeMap<TopicPartition, Move>> {
    let mut look_up = |lookup| -> anyhow::Result<BTreeMap<TopicPartition, Option<i64>>> {
        let found = cluster.offsets(partitions, lookup)?;
        let offset = |(partition, found): (TopicPartition, Result<_, _>)| match found {
            Ok(offset) => Ok((partition, offset)),
            Err(refused) => Err(anyhow!("{partition}: {refused}")),
        };
        found.into_iter().map(offset).collect()
    };
    let (starts, ends) = (look_up(Lookup::Start)?, look_up(Lookup::End)?);
    let found = if let Target::At(at_ms) = target { look_up(Lookup::At(*at_ms))? } else { BTreeMap::new() };
    let at = |offsets: &BTreeMap<TopicPartition, Option<i64>>, partition: &TopicPartition| {
        offsets.get(partition).copied().flatten()
    };
    let step = |partition: &TopicPartition| -> anyhow::Result<(TopicPartition, Move)> {
        let (Some(start), Some(end)) = (at(&starts, partition), at(&ends, partition)) else {
            bail!("{partition}: the broker does not say where it begins and ends");
        };
        let known = Known { committed: committed.get(partition).copied(), start, end, found: at(&found, partition) };
        Ok((partition.clone(), target.decide(partition, known)?))
    };
    partitions.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::Parser as _;

    #[test]
    fn where_to_and_of_what_is_said_exactly_once() {
        let takes = |arguments: &[&str]| {
            let all = ["pelton", "group", "reset", "billing"].iter().chain(arguments);
            Cli::try_parse_from(all).is_ok()
        };
        assert!(takes(&["--topic", "orders", "--to-earliest"]));
        assert!(takes(&["--topic", "orders:0,1", "--topic", "refunds", "--shift-by", "-5", "--execute"]));
        assert!(takes(&["--all-topics", "--by-duration", "P1DT2H"]));
        assert!(takes(&["--from-file", "-", "--execute", "--json"]));
        for bad in [
            &["--topic", "orders"][..],
            &["--to-earliest"],
            &["--all-topics", "--to-earliest", "--to-latest"],
            &["--all-topics", "--topic", "orders", "--to-latest"],
            &["--from-file", "f", "--topic", "orders"],
            &["--all-topics", "--to-offset", "-1"],
            &["--all-topics", "--to-datetime", "tomorrow"],
            &["--all-topics", "--by-duration", "long"],
        ] {
            assert!(!takes(bad), "{bad:?}");
        }
    }
}
