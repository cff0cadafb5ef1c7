//! What the cluster image may be asked, and its answers.

use crate::cluster::Configs;
use crate::model::{ProducerId, TopicId};
use crate::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A question to the cluster part. Reads need no question: the shell publishes the image.
#[derive(Debug, Clone)]
pub enum ClusterRequest {
    /// CreateTopics. Answer: [`ClusterReply::Topics`], one result for each, in order.
    CreateTopics {
        /// What to create. The shell gives each an id, since the core has no randomness.
        topics: Vec<NewTopic>,
        /// Check only.
        validate_only: bool,
    },
    /// CreatePartitions: adds partitions to topics. Answer: [`ClusterReply::Topics`], one result for each, in order.
    CreatePartitions {
        /// Which topics are to have how many.
        topics: Vec<MorePartitions>,
        /// Check only.
        validate_only: bool,
    },
    /// DeleteTopics, by name. Answer: [`ClusterReply::Topics`].
    DeleteTopics {
        /// The names.
        topics: Vec<Arc<str>>,
    },
    /// AlterConfigs and IncrementalAlterConfigs of one topic. Answer: [`ClusterReply::Done`].
    AlterTopicConfigs {
        /// The topic.
        topic: Arc<str>,
        /// All configs that the topic is to have, Kafka's names: the shell has worked the changes in.
        configs: BTreeMap<String, String>,
        /// The configs that the shell worked from; when the topic has others by now, it is refused as a conflict
        /// ([`crate::refusal::Refusal::ConcurrentChange`]) and must be worked out anew.
        from: Configs,
        /// Check only.
        validate_only: bool,
    },
    /// AlterConfigs and IncrementalAlterConfigs of one broker, or of all of them. Answer: [`ClusterReply::Done`].
    AlterBrokerConfigs {
        /// The id of the broker, or nothing for what holds for all.
        broker: Arc<str>,
        /// All configs that are to be set dynamically, Kafka's names.
        configs: BTreeMap<String, String>,
        /// The configs that the shell worked from, as in [`ClusterRequest::AlterTopicConfigs`].
        from: Configs,
        /// Check only.
        validate_only: bool,
    },
    /// Sets or removes a document of the runtime: a plugin's manifest under `plugin/NAME@VERSION`, a job
    /// under `job/NAME`. The core keeps the text and does not read it. Answer: [`ClusterReply::Done`].
    PutDocument {
        /// Its key.
        key: Arc<str>,
        /// Its text, or `None` to remove it.
        value: Option<Arc<str>>,
    },
    /// A block of unused producer ids, durable before it is given (KIP-730). Answer: [`ClusterReply::ProducerIds`].
    AllocateProducerIds,
}

/// A topic to create.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// Its name.
    pub name: Arc<str>,
    /// Its identity, made by the shell.
    pub id: TopicId,
    /// How many partitions; -1 for the broker's default (`num.partitions`).
    pub partitions: i32,
    /// How many replicas; -1 for the broker's default. One node has one.
    pub replication_factor: i16,
    /// Topic configs, Kafka's names.
    pub configs: BTreeMap<String, String>,
    /// Made by the broker itself (`__consumer_offsets`): the name rules for users do not apply.
    pub internal: bool,
}

/// A topic that is to have more partitions.
#[derive(Debug, Clone)]
pub struct MorePartitions {
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions it is to have, those that are there included.
    pub count: i32,
}

/// What became of one topic.
pub type TopicRefusal = (Arc<str>, Result<TopicId, Refusal>);

/// An answer of the cluster part.
#[derive(Debug, Clone)]
pub enum ClusterReply {
    /// One result for each topic that was asked for, in order.
    Topics(Vec<TopicRefusal>),
    /// Producer ids `first .. first + count`.
    ProducerIds {
        /// The first.
        first: ProducerId,
        /// How many.
        count: i64,
    },
    /// It is done, and durable.
    Done,
}
