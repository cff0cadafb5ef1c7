//! Groups: how many there are in each state, what they have committed, and how far they are behind.
//!
//! The lag of a group in a partition is the high watermark less the committed offset, as Kafka's tools print it. Partitions
//! that the group has committed nothing of have none; nor do those that are not here any more.
//!
//! Bound: [`MAX_SERIES`] partitions of groups; `pelton_group_series_left_out` says how many are left out.

use super::exposition::{Exposition, Kind, Labels};
use crate::driver::numbers::ShardNumbers;
use pelton_core::group::GroupNumbers;
use pelton_core::model::{Offset, TopicPartition};
use std::collections::BTreeMap;

/// Partitions of groups that are told of at most.
const MAX_SERIES: usize = 50_000;

/// What a group has committed of a partition, and how far that is behind.
#[derive(Debug, PartialEq, Eq)]
struct Behind<'a> {
    group: &'a str,
    partition: &'a TopicPartition,
    committed: Offset,
    lag: i64,
}

/// Writes the numbers of the groups.
pub fn write(text: &mut Exposition, shards: &[ShardNumbers]) {
    let groups = || shards.iter().flat_map(|shard| &shard.groups);
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for (state, count) in shards.iter().flat_map(|shard| &shard.group_states) {
        *states.entry(state).or_default() += count;
    }
    text.family("pelton_groups", Kind::Gauge, "Consumer groups, by state.");
    for (state, count) in states {
        text.sample(&[("state", &state)], count);
    }
    let logs = shards.iter().flat_map(|shard| &shard.logs);
    let ends: BTreeMap<&TopicPartition, Offset> = logs.map(|log| (&log.partition, log.high_watermark)).collect();
    let (behind, left_out) = behind(groups(), &ends, MAX_SERIES);
    let left_out = left_out + shards.iter().map(|shard| shard.group_partitions_left_out).sum::<usize>();
    type OfPartition = fn(&Behind<'_>) -> i64;
    let families: [(&'static str, &str, OfPartition); 2] = [
        ("pelton_group_offset", "The next offset that a group will read.", |behind| behind.committed),
        ("pelton_group_lag", "Records between that offset and the high watermark.", |behind| behind.lag),
    ];
    for (name, help, value) in families {
        text.family(name, Kind::Gauge, help);
        for found in &behind {
            let labels: Labels<'_> = &[
                ("group", &found.group),
                ("topic", &found.partition.topic),
                ("partition", &found.partition.partition),
            ];
            text.sample(labels, value(found));
        }
    }
    let help = "Partitions of groups that are not told of, because there are too many.";
    text.single("pelton_group_series_left_out", Kind::Gauge, help, left_out);
}

/// How far groups are behind, of at most `max` partitions, and how many more there are.
fn behind<'a>(
    groups: impl Iterator<Item = &'a GroupNumbers>,
    ends: &BTreeMap<&TopicPartition, Offset>,
    max: usize,
) -> (Vec<Behind<'a>>, usize) {
    let (mut found, mut left_out) = (Vec::new(), 0);
    for group in groups {
        for (partition, committed) in &group.committed {
            let Some(end) = ends.get(partition) else { continue };
            if found.len() == max {
                left_out += 1;
                continue;
            }
            let (group, committed) = (&*group.group, *committed);
            found.push(Behind { group, partition, committed, lag: (end - committed).max(0) });
        }
    }
    (found, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_lies_between_the_committed_offset_and_the_high_watermark() {
        let [a, b, gone] = [("a", 0), ("b", 3), ("gone", 0)].map(|(topic, index)| TopicPartition::new(topic, index));
        let committed = vec![(a.clone(), 7), (b.clone(), 12), (gone, 1)];
        let groups = [GroupNumbers { group: "g".into(), state: "Stable", committed }];
        let ends = BTreeMap::from([(&a, 10), (&b, 11)]);
        let (found, left_out) = behind(groups.iter(), &ends, 10);
        let expected = [
            Behind { group: "g", partition: &a, committed: 7, lag: 3 },
            // The log was cut, or deleted and made anew.
            Behind { group: "g", partition: &b, committed: 12, lag: 0 },
        ];
        assert_eq!((found.as_slice(), left_out), (expected.as_slice(), 0));
        let (found, left_out) = behind(groups.iter(), &ends, 1);
        assert_eq!((found.len(), left_out), (1, 1));
    }
}
