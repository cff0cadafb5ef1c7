//! The cluster itself: features, the metadata quorum, log directories, and what a broker serves.

use super::connection::api_name;
use super::{Cluster, Refused};
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_quorum_response::ReplicaState;
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeQuorumRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use pelton_core::model::{METADATA_TOPIC, TopicPartition};
use serde::Serialize;
use std::ops::RangeInclusive;

/// Versions of DescribeQuorum.
const QUORUM: RangeInclusive<i16> = 0..=2;

/// A feature and its levels (KIP-584).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// The level that is in force; nothing where none is.
    pub finalized: Option<i16>,
    /// The lowest level that the broker supports, and the highest.
    pub supported: (i16, i16),
}

/// The features of a broker.
pub type Features = Vec<Feature>;

/// An API that a broker serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Api {
    /// Its key.
    pub key: i16,
    /// Its name.
    pub name: String,
    /// The first version that is served.
    pub min: i16,
    /// The last one.
    pub max: i16,
}

/// Who keeps the metadata, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quorum {
    /// The node that leads.
    pub leader: i32,
    /// The epoch of its leadership.
    pub leader_epoch: i32,
    /// Up to where a majority has the log.
    pub high_watermark: i64,
    /// Those who vote.
    pub voters: Vec<Voter>,
    /// Those who follow without a vote.
    pub observers: Vec<Voter>,
}

/// A node of the quorum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Voter {
    /// Its id.
    pub id: i32,
    /// The end of its log.
    pub log_end_offset: i64,
    /// When it last had everything, in milliseconds since the Unix epoch; -1 where that is not known.
    pub last_caught_up_ms: i64,
}

/// A log directory of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The broker.
    pub broker: i32,
    /// Its path there.
    pub path: String,
    /// Why it cannot be used.
    pub failure: Option<String>,
    /// Bytes of its file system; nothing where the broker does not say.
    pub total_bytes: Option<u64>,
    /// Bytes of it that are free.
    pub free_bytes: Option<u64>,
    /// The logs in it.
    pub logs: Vec<LogSize>,
}

/// A log in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogSize {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Bytes of its segments.
    pub bytes: u64,
    /// How many records it is behind.
    pub lag: i64,
    /// Whether it is on its way here from another directory.
    pub moving: bool,
}

impl Cluster {
    /// What the broker that was named first says of features.
    pub fn features(&mut self) -> Features {
        let served = self.any().served();
        let finalized = |name: &StrBytes| {
            let found = served.finalized_features.iter().find(|feature| feature.name == *name);
            found.map(|feature| feature.max_version_level)
        };
        let feature = |feature: &kafka_protocol::messages::api_versions_response::SupportedFeatureKey| Feature {
            name: feature.name.to_string(),
            finalized: finalized(&feature.name),
            supported: (feature.min_version, feature.max_version),
        };
        let mut features: Features = served.supported_features.iter().map(feature).collect();
        features.sort_by(|a, b| a.name.cmp(&b.name));
        features
    }

    /// What the broker that was named first serves, by key.
    pub fn apis(&mut self) -> Vec<Api> {
        let served = self.any().served();
        let mut apis: Vec<Api> = served
            .api_keys
            .iter()
            .map(|api| Api {
                key: api.api_key,
                name: api_name(api.api_key),
                min: api.min_version,
                max: api.max_version,
            })
            .collect();
        apis.sort_by_key(|api| api.key);
        apis
    }

    /// The metadata quorum; `None` where the broker knows none.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses.
    pub fn quorum(&mut self) -> anyhow::Result<Option<Quorum>> {
        if !self.any().serves::<DescribeQuorumRequest>(&QUORUM) {
            return Ok(None);
        }
        let topic = TopicData::default()
            .with_topic_name(TopicName(StrBytes::from_static_str(METADATA_TOPIC)))
            .with_partitions(vec![PartitionData::default().with_partition_index(0)]);
        let answer = self.any().ask(QUORUM, &DescribeQuorumRequest::default().with_topics(vec![topic]))?;
        Refused::check(answer.error_code, answer.error_message.as_ref())?;
        let partition = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let Some(found) = partition else { return Err(self.odd("DescribeQuorum")) };
        Refused::check(found.error_code, found.error_message.as_ref())?;
        Ok(Some(Quorum {
            leader: found.leader_id.0,
            leader_epoch: found.leader_epoch,
            high_watermark: found.high_watermark,
            voters: found.current_voters.iter().map(voter).collect(),
            observers: found.observers.iter().map(voter).collect(),
        }))
    }

    /// The log directories of a broker, with the logs in them.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses.
    pub fn log_directories(&mut self, broker: i32) -> anyhow::Result<Vec<Directory>> {
        let answer = self.broker(broker)?.ask(1..=4, &DescribeLogDirsRequest::default().with_topics(None))?;
        Refused::check(answer.error_code, None)?;
        let mut found: Vec<Directory> = answer.results.into_iter().map(|found| directory(broker, found)).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

fn voter(found: &ReplicaState) -> Voter {
    Voter {
        id: found.replica_id.0,
        log_end_offset: found.log_end_offset,
        last_caught_up_ms: found.last_caught_up_timestamp,
    }
}

fn directory(broker: i32, found: DescribeLogDirsResult) -> Directory {
    let mut logs = Vec::new();
    for topic in found.topics {
        for partition in topic.partitions {
            let named = TopicPartition::new(topic.name.as_str(), partition.partition_index);
            logs.push((named, partition));
        }
    }
    logs.sort_by(|(a, _), (b, _)| a.cmp(b));
    let logs = logs.into_iter().map(|(named, log)| LogSize {
        topic: named.topic.to_string(),
        partition: named.partition,
        bytes: u64::try_from(log.partition_size).unwrap_or(0),
        lag: log.offset_lag,
        moving: log.is_future_key,
    });
    Directory {
        broker,
        path: found.log_dir.to_string(),
        failure: Refused::check(found.error_code, None).err().map(|refused| refused.to_string()),
        total_bytes: u64::try_from(found.total_bytes).ok(),
        free_bytes: u64::try_from(found.usable_bytes).ok(),
        logs: logs.collect(),
    }
}
