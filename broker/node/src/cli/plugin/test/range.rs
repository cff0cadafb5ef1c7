//! Where a trial begins and ends: offsets, times, or times ago.

use crate::cli::read::Partition;
use crate::cli::{connect, time};
use anyhow::{anyhow, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A point of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// The first record that is kept.
    Earliest,
    /// Behind the last record.
    Latest,
    /// This offset of each partition.
    Offset(i64),
    /// The first record of this time or later, in milliseconds since the Unix epoch.
    At(i64),
    /// The first record that is not older, in milliseconds.
    Ago(i64),
}

impl FromStr for Point {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let bad = || {
            anyhow!("`{text}` is no point of a topic; write earliest, latest, an offset, -1h or 2026-11-22T03:00:00Z")
        };
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().map(Self::Offset).map_err(|_| bad()),
            _ => match text.strip_prefix('-') {
                Some(ago) => time::duration_ms(ago).map(Self::Ago).map_err(|_| bad()),
                None => time::parse(text).map(Self::At).map_err(|_| bad()),
            },
        }
    }
}

/// The ranges of offsets to read, by partition.
///
/// # Errors
/// When the broker does not say which offsets belong to a time; when there is no such partition.
pub fn resolve(
    consumer: &BaseConsumer,
    topic: &str,
    partitions: &[Partition],
    only: Option<i32>,
    (from, to): (&Point, &Point),
) -> anyhow::Result<Vec<(i32, (i64, i64))>> {
    if let Some(only) = only
        && !partitions.iter().any(|partition| partition.index == only)
    {
        bail!("the topic {topic} has no partition {only}");
    }
    let now_ms = time::now_ms();
    let from = offsets(consumer, topic, partitions, from, now_ms)?;
    let to = offsets(consumer, topic, partitions, to, now_ms)?;
    let asked = partitions.iter().filter(|partition| only.is_none_or(|only| only == partition.index));
    Ok(asked
        .map(|partition| (partition.index, clamp(partition, from[&partition.index], to[&partition.index])))
        .collect())
}

fn clamp(partition: &Partition, from: i64, to: i64) -> (i64, i64) {
    (from.clamp(partition.start, partition.end), to.clamp(partition.start, partition.end))
}

fn offsets(
    consumer: &BaseConsumer,
    topic: &str,
    partitions: &[Partition],
    point: &Point,
    now_ms: i64,
) -> anyhow::Result<BTreeMap<i32, i64>> {
    let at_ms = match point {
        Point::Earliest => return Ok(partitions.iter().map(|p| (p.index, p.start)).collect()),
        Point::Latest => return Ok(partitions.iter().map(|p| (p.index, p.end)).collect()),
        Point::Offset(offset) => return Ok(partitions.iter().map(|p| (p.index, *offset)).collect()),
        Point::At(at_ms) => *at_ms,
        Point::Ago(ago_ms) => now_ms - ago_ms,
    };
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition_offset(topic, partition.index, Offset::Offset(at_ms))?;
    }
    let what = format!("the offsets of {} in {topic}", time::display(at_ms));
    let found = consumer.offsets_for_times(asked, connect::ANSWER).map_err(|e| connect::refused(&what, &e))?;
    let offset = |partition: &Partition| {
        let element = found.find_partition(topic, partition.index);
        match element.map(|element| element.offset()) {
            Some(Offset::Offset(offset)) => offset,
            // No record is as late as that.
            _ => partition.end,
        }
    };
    Ok(partitions.iter().map(|partition| (partition.index, offset(partition))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_and_others_refused() {
        for (text, point) in [
            ("earliest", Point::Earliest),
            ("latest", Point::Latest),
            ("0", Point::Offset(0)),
            ("17", Point::Offset(17)),
            ("-1h", Point::Ago(3_600_000)),
            ("1970-01-01T00:00:01Z", Point::At(1_000)),
        ] {
            assert_eq!(text.parse::<Point>().unwrap(), point, "{text}");
        }
        for bad in ["", "-", "-1", "1h", "yesterday", "99999999999999999999"] {
            assert!(bad.parse::<Point>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_range_lies_within_its_partition() {
        let partition = Partition { index: 0, start: 10, end: 20 };
        assert_eq!(clamp(&partition, 0, 100), (10, 20));
        assert_eq!(clamp(&partition, 12, 15), (12, 15));
        assert_eq!(clamp(&partition, 30, 40), (20, 20));
    }
}
