//! The cluster image and the machine that changes it.
//!
//! What it does: it creates, enlarges and deletes topics, changes their configs and the dynamic ones of brokers, keeps the
//! runtime's documents, and gives producer ids away, all as a coordinator over `__cluster_metadata-0`. What it does not do:
//! nobody asks it to read; it publishes an immutable [`ClusterImage`] after each change and every handler reads that.
//!
//! Invariants: an image is published only when the records that made it are committed, and only after the
//! partitions that it names were asked for; a producer id is given away once.

mod broker_config;
mod described;
mod growth;
mod image;
mod records;
pub mod topic_config;

pub use broker_config::dynamic_config;
pub use described::{broker_configs_in_record, describe_record, topic_in_record};
pub use image::{ClusterImage, Configs, TopicImage};

use crate::config::CoreConfig;
use crate::coordinator::{Coordinator, Outcome, StoredRecord};
use crate::effect::Effect;
use crate::event::{ClusterReply, ClusterRequest, GroupRequest, NewTopic, Reply, ReplyTo, Request, TopicRefusal};
use crate::model::{
    METADATA_TOPIC, OFFSETS_TOPIC, PartId, ProducerEpoch, ProducerId, Timestamp, Token, TopicPartition,
};
use crate::refusal::Refusal;
use records::Change;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Partitions of all topics together.
const MAX_PARTITIONS: i32 = 100_000;
/// Characters of a topic's name, as in Kafka: a name is a directory's name, with a suffix.
const MAX_NAME_LENGTH: usize = 249;
/// Producer ids in one block (KIP-730).
const PRODUCER_ID_BLOCK: i64 = 1_000;
/// Documents of the runtime.
const MAX_DOCUMENTS: usize = 10_000;
/// Bytes of one document.
const MAX_DOCUMENT_BYTES: usize = 512 << 10;

/// The machine behind the image.
#[derive(Debug)]
pub struct Cluster {
    config: Arc<CoreConfig>,
    image: ClusterImage,
}

impl Cluster {
    /// An empty cluster; its log follows by replay.
    pub fn new(config: Arc<CoreConfig>) -> Self {
        Self { config, image: ClusterImage::default() }
    }

    /// The image as it was decided last, which may not be committed yet.
    pub fn image(&self) -> &ClusterImage {
        &self.image
    }

    fn create_topics(&self, topics: Vec<NewTopic>, validate_only: bool, out: &mut Outcome) -> Vec<TopicRefusal> {
        let mut names = BTreeSet::new();
        let doubled: BTreeSet<_> =
            topics.iter().filter(|topic| !names.insert(&topic.name)).map(|topic| topic.name.clone()).collect();
        let mut next = self.image.clone();
        let mut taken = Taken::by(&next);
        let mut changes = Vec::new();
        let mut results = Vec::with_capacity(topics.len());
        for topic in topics {
            let checked = if doubled.contains(&topic.name) {
                Err(Refusal::InvalidRequest("the request names the topic more than once".to_owned()))
            } else {
                self.check_topic(&topic, &next, &taken)
            };
            results.push((topic.name.clone(), checked.as_ref().map(|_| topic.id).map_err(Refusal::clone)));
            if let Ok(image) = checked {
                taken.add(&topic.name, image.partitions);
                let change = Change::Topic(topic.name, image);
                changes.push(change.clone());
                change.apply(&mut next, &self.config);
            }
        }
        if validate_only || changes.is_empty() {
            return results;
        }
        for change in &changes {
            if let Change::Topic(name, topic) = change {
                create_partitions(&next, name, 0..topic.partitions, out);
            }
        }
        write(&changes, next, out);
        results
    }

    fn check_topic(&self, topic: &NewTopic, image: &ClusterImage, taken: &Taken) -> Result<TopicImage, Refusal> {
        check_topic_name(&topic.name)?;
        if *topic.name == *METADATA_TOPIC {
            return Err(Refusal::InvalidTopicName(format!("{METADATA_TOPIC} is the broker's own log")));
        }
        if !topic.internal && crate::partition::is_internal(&topic.name) {
            return Err(Refusal::InvalidTopicName(format!("{} is made by the broker itself", topic.name)));
        }
        if image.topics.contains_key(&topic.name) {
            return Err(Refusal::TopicAlreadyExists);
        }
        if let Some(other) = taken.names.get(&metric_name(&topic.name)) {
            return Err(Refusal::InvalidTopicName(format!(
                "{} differs from the topic {other} in . and _ alone, and metrics could not tell them apart",
                topic.name
            )));
        }
        if image.topic_names.contains_key(&topic.id) {
            return Err(Refusal::InvalidRequest("another topic has that id; try again".to_owned()));
        }
        let partitions = match topic.partitions {
            -1 => self.config.num_partitions,
            number => number,
        };
        if partitions < 1 {
            return Err(Refusal::InvalidPartitions(format!(
                "{partitions}; a topic has at least 1, and -1 means the default"
            )));
        }
        if partitions > MAX_PARTITIONS - taken.partitions {
            return Err(Refusal::InvalidPartitions(format!(
                "{partitions}; the cluster has {} and holds at most {MAX_PARTITIONS}",
                taken.partitions
            )));
        }
        if !matches!(topic.replication_factor, -1 | 1) {
            return Err(Refusal::InvalidReplicationFactor(format!(
                "{}: there is 1 broker, so it must be 1, or -1 for the default",
                topic.replication_factor
            )));
        }
        topic_config::check_topic_configs(&topic.configs)?;
        Ok(TopicImage::new(topic.id, partitions, topic.configs.clone(), topic.internal))
    }

    fn delete_topics(&self, topics: Vec<Arc<str>>, out: &mut Outcome) -> Vec<TopicRefusal> {
        let mut next = self.image.clone();
        let mut changes = Vec::new();
        let mut gone = Vec::new();
        let mut results = Vec::with_capacity(topics.len());
        for name in topics {
            let deleted = match next.topics.get(&name) {
                None => Err(Refusal::UnknownTopicOrPartition),
                Some(topic) if topic.internal => {
                    Err(Refusal::InvalidRequest(format!("{name} belongs to the broker and cannot be deleted")))
                }
                Some(topic) => Ok(topic.clone()),
            };
            results.push((name.clone(), deleted.as_ref().map(|topic| topic.id).map_err(Refusal::clone)));
            if let Ok(topic) = deleted {
                let change = Change::TopicRemoved(name.clone());
                changes.push(change.clone());
                change.apply(&mut next, &self.config);
                gone.push((name, topic));
            }
        }
        if !changes.is_empty() {
            forget_offsets(&next, gone.iter().map(|(name, _)| name.clone()).collect(), out);
            write(&changes, next, out);
            for (name, topic) in gone {
                delete_partitions(&name, &topic, out);
            }
        }
        results
    }

    /// The shell has worked out `configs` from `from`; another change since then would be lost, so it is refused.
    fn alter_topic_configs(
        &self,
        name: &Arc<str>,
        configs: BTreeMap<String, String>,
        from: &BTreeMap<String, String>,
        validate_only: bool,
        out: &mut Outcome,
    ) -> Result<ClusterReply, Refusal> {
        let topic = self.image.topic(name).ok_or(Refusal::UnknownTopicOrPartition)?;
        if *topic.configs != *from {
            return Err(Refusal::ConcurrentChange);
        }
        topic_config::check_topic_configs(&configs)?;
        if validate_only || configs == *from {
            return Ok(ClusterReply::Done);
        }
        let change = Change::Topic(name.clone(), TopicImage { configs: Arc::new(configs), ..topic.clone() });
        let next = self.after(&change);
        if let Some(topic) = next.topic(name) {
            configure_partitions(name, topic, out);
        }
        write(&[change], next, out);
        Ok(ClusterReply::Done)
    }

    fn put_document(&self, key: Arc<str>, value: Option<Arc<str>>, out: &mut Outcome) -> Result<(), Refusal> {
        let change = match value {
            None if !self.image.documents.contains_key(&key) => return Ok(()),
            None => Change::DocumentRemoved(key),
            Some(text) => {
                if key.is_empty() || key.len() + text.len() > MAX_DOCUMENT_BYTES {
                    return Err(Refusal::InvalidRequest(format!(
                        "a document has a key, and with its text at most {MAX_DOCUMENT_BYTES} bytes"
                    )));
                }
                if self.image.documents.len() >= MAX_DOCUMENTS && !self.image.documents.contains_key(&key) {
                    return Err(Refusal::PolicyViolation(format!(
                        "there are {MAX_DOCUMENTS} documents; remove some first"
                    )));
                }
                Change::Document(key, text)
            }
        };
        self.change(change, out);
        Ok(())
    }

    fn allocate_producer_ids(&self, out: &mut Outcome) -> Result<ClusterReply, Refusal> {
        let first = self.image.next_producer_id;
        let Some(next) = first.checked_add(PRODUCER_ID_BLOCK) else {
            return Err(Refusal::PolicyViolation("all producer ids are given away".to_owned()));
        };
        self.change(Change::NextProducerId(next), out);
        Ok(ClusterReply::ProducerIds { first: ProducerId(first), count: PRODUCER_ID_BLOCK })
    }

    fn change(&self, change: Change, out: &mut Outcome) {
        let next = self.after(&change);
        write(&[change], next, out);
    }

    /// The image with this change.
    fn after(&self, change: &Change) -> ClusterImage {
        let mut next = self.image.clone();
        change.clone().apply(&mut next, &self.config);
        next
    }
}

impl Coordinator for Cluster {
    fn handle(&mut self, _now: Timestamp, who: ReplyTo, request: Request, out: &mut Outcome) {
        let Request::Cluster(request) = request else {
            let refusal = Refusal::InvalidRequest("the cluster image cannot answer that".to_owned());
            out.reply(who, self.refuse(refusal));
            return;
        };
        let reply = match request {
            ClusterRequest::CreateTopics { topics, validate_only } => {
                Ok(ClusterReply::Topics(self.create_topics(topics, validate_only, out)))
            }
            ClusterRequest::CreatePartitions { topics, validate_only } => {
                Ok(ClusterReply::Topics(self.grow(&topics, validate_only, out)))
            }
            ClusterRequest::AlterBrokerConfigs { broker, configs, from, validate_only } => {
                self.alter_broker_configs(&broker, configs, &from, validate_only, out)
            }
            ClusterRequest::DeleteTopics { topics } => Ok(ClusterReply::Topics(self.delete_topics(topics, out))),
            ClusterRequest::AlterTopicConfigs { topic, configs, from, validate_only } => {
                self.alter_topic_configs(&topic, configs, &from, validate_only, out)
            }
            ClusterRequest::PutDocument { key, value } => {
                self.put_document(key, value, out).map(|()| ClusterReply::Done)
            }
            ClusterRequest::AllocateProducerIds => self.allocate_producer_ids(out),
        };
        out.reply(who, Reply::Cluster(reply));
    }

    fn answered(&mut self, _now: Timestamp, _question: u64, _reply: Reply, _out: &mut Outcome) {
        // The cluster asks nobody.
    }

    fn tick(&mut self, _now: Timestamp, _out: &mut Outcome) {
        // The cluster has no timers.
    }

    fn next_wake(&self) -> Option<Timestamp> {
        None
    }

    fn cancelled(&mut self, _now: Timestamp, _token: Token, _out: &mut Outcome) {
        // Every answer is decided at once, so no token is kept here.
    }

    fn replay(&mut self, record: StoredRecord<'_>) -> Result<(), String> {
        Change::from_record(record)?.apply(&mut self.image, &self.config);
        Ok(())
    }

    fn replay_marker(&mut self, _producer_id: ProducerId, _producer_epoch: ProducerEpoch, _commit: bool) {
        // No transaction reaches this log.
    }

    fn loaded(&mut self, _now: Timestamp, out: &mut Outcome) {
        for (name, topic) in &self.image.topics {
            create_partitions(&self.image, name, 0..topic.partitions, out);
        }
        out.perform(Effect::PublishImage(Arc::new(self.image.clone())));
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        Reply::Cluster(Err(refusal))
    }
}

/// Writes the changes and publishes the image that they make.
fn write(changes: &[Change], next: ClusterImage, out: &mut Outcome) {
    out.append(changes.iter().map(Change::to_record).collect());
    out.perform(Effect::PublishImage(Arc::new(next)));
}

/// Makes partitions of a topic that `image` has.
fn create_partitions(image: &ClusterImage, name: &Arc<str>, indexes: Range<i32>, out: &mut Outcome) {
    let Some(topic) = image.topic(name) else { return };
    for index in indexes {
        out.perform(Effect::CreatePartition {
            partition: TopicPartition::new(name.clone(), index),
            topic_id: topic.id,
            configs: topic.effective.clone(),
        });
    }
}

/// Has the partitions of a topic go by the configs that hold for it.
fn configure_partitions(name: &Arc<str>, topic: &TopicImage, out: &mut Outcome) {
    for index in 0..topic.partitions {
        out.perform(Effect::ConfigurePartition {
            partition: TopicPartition::new(name.clone(), index),
            topic_id: topic.id,
            configs: topic.effective.clone(),
        });
    }
}

/// Has the groups forget their offsets of topics that are deleted. They are told before anybody sees the image in which a
/// topic of the same name may be made again. Whoever is not reached is told of all topics at the next start.
fn forget_offsets(image: &ClusterImage, topics: BTreeSet<Arc<str>>, out: &mut Outcome) {
    let coordinators = image.topic(OFFSETS_TOPIC).map_or(0, |topic| topic.partitions);
    let topics = Arc::new(topics);
    for index in 0..coordinators {
        let request = Request::Group(GroupRequest::TopicsDeleted { topics: topics.clone() });
        out.perform(Effect::ask(PartId::Group(index), ReplyTo::Nobody, request));
    }
}

fn delete_partitions(name: &Arc<str>, topic: &TopicImage, out: &mut Outcome) {
    for index in 0..topic.partitions {
        out.perform(Effect::DeletePartition {
            partition: TopicPartition::new(name.clone(), index),
            topic_id: topic.id,
        });
    }
}

/// What the topics of a cluster have taken, counted once for all topics of a request.
struct Taken {
    partitions: i32,
    /// Topics by the name that they have in metrics.
    names: BTreeMap<String, Arc<str>>,
}

impl Taken {
    fn by(image: &ClusterImage) -> Self {
        let mut taken = Self { partitions: 0, names: BTreeMap::new() };
        image.topics.iter().for_each(|(name, topic)| taken.add(name, topic.partitions));
        taken
    }

    fn add(&mut self, name: &Arc<str>, partitions: i32) {
        self.partitions += partitions;
        self.names.insert(metric_name(name), name.clone());
    }
}

/// The name that a topic has in metrics, where Kafka writes `.` as `_` (`Topic.unifyCollisionChars`). No two topics may have
/// the same.
fn metric_name(topic: &str) -> String {
    topic.replace('.', "_")
}

/// Kafka's rules for the name of a topic (`Topic.validate`).
///
/// # Errors
/// [`Refusal::InvalidTopicName`] says which rule the name breaks.
pub fn check_topic_name(name: &str) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::InvalidTopicName(why));
    if name.is_empty() || name == "." || name == ".." {
        return invalid("a name is not empty and neither . nor ..".to_owned());
    }
    if name.len() > MAX_NAME_LENGTH {
        return invalid(format!("a name has at most {MAX_NAME_LENGTH} characters"));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return invalid("a name consists of ASCII letters, digits, '.', '_' and '-'".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
