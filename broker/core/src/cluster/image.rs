//! The cluster as it stands: what every handler reads and only the cluster part changes.

use super::topic_config::topic_config_of;
use crate::config::CoreConfig;
use crate::model::{TopicId, TopicPartition};
use crate::partition::rules::AppendRules;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Configs with their values, by Kafka's names.
pub type Configs = Arc<BTreeMap<String, String>>;

/// An immutable picture of the cluster; the next change makes another.
#[derive(Debug, Clone, Default)]
pub struct ClusterImage {
    /// Topics by name.
    pub topics: BTreeMap<Arc<str>, TopicImage>,
    /// Names by topic id.
    pub topic_names: BTreeMap<TopicId, Arc<str>>,
    /// Documents of the runtime: `plugin/NAME@VERSION` and `job/NAME`.
    pub documents: BTreeMap<Arc<str>, Arc<str>>,
    /// Broker configs that were set at run time, by broker id; those of no id hold for every broker.
    pub broker_configs: BTreeMap<Arc<str>, Configs>,
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
    pub configs: Configs,
    /// The configs that hold for its partitions: its own, and below them what was set for topics of this broker, or of all
    /// brokers, at run time.
    pub effective: Configs,
    /// What may be appended to it by those, worked out when they change: every batch is judged by it.
    pub append: AppendRules,
    /// Made by the broker for itself.
    pub internal: bool,
}

impl TopicImage {
    /// A topic with these configs on a broker that sets nothing else. An image that takes it in works out what holds there.
    pub fn new(id: TopicId, partitions: i32, configs: BTreeMap<String, String>, internal: bool) -> Self {
        let append = AppendRules::of(&CoreConfig::default(), &configs);
        let configs = Arc::new(configs);
        Self { id, partitions, effective: configs.clone(), configs, append, internal }
    }
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

    /// Works out what holds for one topic, after it has changed.
    pub(super) fn resolve(&mut self, config: &CoreConfig, name: &str) {
        let below = self.set_for_topics(config.node_id);
        if let Some(topic) = self.topics.get_mut(name) {
            resolve(topic, &below, config);
        }
    }

    /// Works out what holds for every topic, after the configs of brokers have changed.
    pub(super) fn resolve_all(&mut self, config: &CoreConfig) {
        let below = self.set_for_topics(config.node_id);
        self.topics.values_mut().for_each(|topic| resolve(topic, &below, config));
    }

    /// What was set at run time for all topics of that broker: its own configs go before those of all brokers.
    fn set_for_topics(&self, node_id: i32) -> BTreeMap<String, String> {
        let mut set = BTreeMap::new();
        for broker in [String::new(), node_id.to_string()] {
            let configs = self.broker_configs.get(&*broker).into_iter().flat_map(|configs| configs.iter());
            let of_topics = configs.filter_map(|(name, value)| Some((topic_config_of(name)?, value)));
            set.extend(of_topics.map(|(name, value)| (name.to_owned(), value.clone())));
        }
        set
    }

    /// Whether the partition exists.
    pub fn has(&self, partition: &TopicPartition) -> bool {
        self.topics.get(&partition.topic).is_some_and(|topic| (0..topic.partitions).contains(&partition.partition))
    }
}

fn resolve(topic: &mut TopicImage, below: &BTreeMap<String, String>, config: &CoreConfig) {
    topic.effective = if below.is_empty() {
        topic.configs.clone()
    } else {
        let mut effective = below.clone();
        effective.extend(topic.configs.iter().map(|(name, value)| (name.clone(), value.clone())));
        Arc::new(effective)
    };
    topic.append = AppendRules::of(config, &topic.effective);
}
