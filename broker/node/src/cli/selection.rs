//! Partitions of topics as people name them: `orders` for all of a topic, `orders:0,3` for some.

use super::wire::Topic;
use anyhow::{anyhow, bail};
use pelton_core::model::TopicPartition;
use std::collections::BTreeSet;
use std::str::FromStr;

/// A topic, or some of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The topic.
    pub topic: String,
    /// The partitions; all of them where none are named.
    pub partitions: Option<BTreeSet<i32>>,
}

impl FromStr for Selection {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let bad = || anyhow!("write TOPIC, or TOPIC:PARTITION,PARTITION such as orders:0,3");
        let (topic, partitions) = match text.split_once(':') {
            None => (text, None),
            Some((topic, list)) => {
                let number = |text: &str| text.trim().parse().ok().filter(|index: &i32| *index >= 0).ok_or_else(bad);
                (topic, Some(list.split(',').map(number).collect::<anyhow::Result<_>>()?))
            }
        };
        if topic.is_empty() {
            bail!(bad());
        }
        Ok(Self { topic: topic.to_owned(), partitions })
    }
}

impl Selection {
    /// The partitions that are meant.
    ///
    /// # Errors
    /// When the topic has not all of them.
    pub fn of(&self, topic: &Topic) -> anyhow::Result<Vec<TopicPartition>> {
        let all: BTreeSet<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
        let wanted = self.partitions.as_ref().unwrap_or(&all);
        if let Some(missing) = wanted.difference(&all).next() {
            bail!("{} has no partition {missing}; it has {}, from 0 on", self.topic, all.len());
        }
        Ok(wanted.iter().map(|index| TopicPartition::new(self.topic.as_str(), *index)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::wire::Partition;

    #[test]
    fn topics_and_partitions_are_named() {
        let topic = |count: i32| Topic {
            name: "orders".to_owned(),
            id: None,
            internal: false,
            partitions: (0..count)
                .map(|index| Partition { index, leader: 1, leader_epoch: 0, replicas: vec![1], isr: vec![1] })
                .collect(),
        };
        let of = |text: &str| text.parse::<Selection>().unwrap().of(&topic(3));
        let partitions = |indexes: &[i32]| -> Vec<TopicPartition> {
            indexes.iter().map(|index| TopicPartition::new("orders", *index)).collect()
        };
        assert_eq!(of("orders").unwrap(), partitions(&[0, 1, 2]));
        assert_eq!(of("orders:2,0, 2").unwrap(), partitions(&[0, 2]));
        assert!(of("orders:0,3").unwrap_err().to_string().contains("no partition 3"));
        for bad in ["", ":1", "orders:", "orders:x", "orders:-1", "orders:1,"] {
            assert!(bad.parse::<Selection>().is_err(), "{bad}");
        }
    }
}
