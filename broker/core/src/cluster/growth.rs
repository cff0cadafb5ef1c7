//! CreatePartitions: a topic gets more partitions, never fewer.
//!
//! What it does not do: it moves no record. A key may belong to another partition from then on, as in Kafka.

use super::records::Change;
use super::{Cluster, ClusterImage, MAX_PARTITIONS, TopicImage, create_partitions, write};
use crate::coordinator::Outcome;
use crate::event::{MorePartitions, TopicRefusal};
use crate::refusal::Refusal;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Cluster {
    /// Enlarges topics, or only checks that it could; one result for each, in order.
    pub(super) fn grow(&self, topics: &[MorePartitions], validate_only: bool, out: &mut Outcome) -> Vec<TopicRefusal> {
        let mut names = BTreeSet::new();
        let doubled: BTreeSet<_> = topics.iter().map(|topic| &topic.name).filter(|name| !names.insert(*name)).collect();
        let mut next = self.image.clone();
        let mut taken: i32 = next.topics.values().map(|topic| topic.partitions).sum();
        let mut changes = Vec::new();
        let mut created = Vec::new();
        let mut results = Vec::with_capacity(topics.len());
        for MorePartitions { name, count } in topics {
            let grown = if doubled.contains(name) {
                Err(Refusal::InvalidRequest("Duplicate topic name.".to_owned()))
            } else {
                grown(&next, taken, name, *count)
            };
            results.push((name.clone(), grown.as_ref().map(|topic| topic.id).map_err(Refusal::clone)));
            if let Ok(topic) = grown {
                let present = self.image.topic(name).map_or(0, |topic| topic.partitions);
                taken += topic.partitions - present;
                created.push((name, present..topic.partitions));
                let change = Change::Topic(name.clone(), topic);
                changes.push(change.clone());
                change.apply(&mut next, &self.config);
            }
        }
        if validate_only || changes.is_empty() {
            return results;
        }
        for (name, indexes) in created {
            create_partitions(&next, name, indexes, out);
        }
        write(&changes, next, out);
        results
    }
}

/// The topic with so many partitions, in a cluster that has `taken` by now.
fn grown(image: &ClusterImage, taken: i32, name: &Arc<str>, count: i32) -> Result<TopicImage, Refusal> {
    let topic = image.topic(name).ok_or(Refusal::UnknownTopicOrPartition)?;
    if topic.internal {
        let why = format!("{name} belongs to the broker, which finds what is in it by its number of partitions");
        return Err(Refusal::InvalidRequest(why));
    }
    let present = topic.partitions;
    if count == present {
        return Err(Refusal::InvalidPartitions(format!("it has {present} partitions already")));
    }
    if count < present {
        let why =
            format!("{name} has {present} partitions; {count} would be fewer, and partitions cannot be taken away");
        return Err(Refusal::InvalidPartitions(why));
    }
    if count - present > MAX_PARTITIONS - taken {
        let why = format!("{count}; the cluster has {taken} and holds at most {MAX_PARTITIONS}");
        return Err(Refusal::InvalidPartitions(why));
    }
    Ok(TopicImage { partitions: count, ..topic.clone() })
}
