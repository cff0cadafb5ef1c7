//! The cluster as it stands: what every handler reads and only the cluster part changes.

use crate::model::{TopicId, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An immutable picture of the cluster; the next change makes another.
#[derive(Debug, Clone, Default)]
pub struct ClusterImage {
    /// Topics by name.
    pub topics: BTreeMap<Arc<str>, TopicImage>,
    /// Names by topic id.
    pub topic_names: BTreeMap<TopicId, Arc<str>>,
    /// Documents of the runtime: `plugin/NAME@VERSION` and `job/NAME`.
    pub documents: BTreeMap<Arc<str>, Arc<str>>,
    /// First producer id that no block has covered yet.
    pub next_producer_id: i64,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// Its identity.
    pub id: TopicId,
    /// How many partitions.
    pub partitions: i32,
    /// The configs that were set, by Kafka's names.
    pub configs: Arc<BTreeMap<String, String>>,
    /// Made by the broker for itself.
    pub internal: bool,
}

impl ClusterImage {
    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<&TopicImage> {
        self.topics.get(name)
    }

    /// The topic with that id, and its name.
    pub fn topic_by_id(&self, id: TopicId) -> Option<(&Arc<str>, &TopicImage)> {
        let name = self.topic_names.get(&id)?;
        self.topics.get_key_value(name)
    }

    /// Whether the partition exists.
    pub fn has(&self, partition: &TopicPartition) -> bool {
        self.topics.get(&partition.topic).is_some_and(|topic| (0..topic.partitions).contains(&partition.partition))
    }
}
