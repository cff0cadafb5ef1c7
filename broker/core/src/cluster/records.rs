//! The records of `__cluster_metadata`: one JSON object as key, one as value, a tombstone to remove.
//!
//! The key names the thing, so that the newest record of a key says all that is to know of it and the log can be
//! compacted. Every value has a version; this release writes 1 and refuses any other, rather than guess.

use super::{ClusterImage, Configs, TopicImage};
use crate::config::CoreConfig;
use crate::coordinator::{NewRecord, StoredRecord};
use crate::model::TopicId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const VERSION: u32 = 1;

/// One change of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The topic is there, like this.
    Topic(Arc<str>, TopicImage),
    /// The topic is gone.
    TopicRemoved(Arc<str>),
    /// The document is there, with this text.
    Document(Arc<str>, Arc<str>),
    /// The document is gone.
    DocumentRemoved(Arc<str>),
    /// These configs of a broker, or of all (no id), are set at run time.
    BrokerConfigs(Arc<str>, Configs),
    /// Producer ids below this are given away.
    NextProducerId(i64),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Key {
    Topic(String),
    Document(String),
    Broker(String),
    ProducerIds,
}

#[derive(Debug, Serialize, Deserialize)]
struct TopicValue {
    version: u32,
    /// The topic id, 32 hexadecimal digits.
    id: String,
    partitions: i32,
    configs: BTreeMap<String, String>,
    internal: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct DocumentValue {
    version: u32,
    text: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct BrokerValue {
    version: u32,
    configs: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ProducerIdsValue {
    version: u32,
    next: i64,
}

/// Reads no more than the version, so that a newer value is named as such and not as malformed.
#[derive(Debug, Deserialize)]
struct AnyValue {
    version: u32,
}

impl Change {
    /// The record that says it.
    pub fn to_record(&self) -> NewRecord {
        let (key, value) = match self {
            Self::Topic(name, topic) => {
                let value = TopicValue {
                    version: VERSION,
                    id: format!("{:032x}", topic.id.0),
                    partitions: topic.partitions,
                    configs: (*topic.configs).clone(),
                    internal: topic.internal,
                };
                (Key::Topic(name.to_string()), Some(json(&value)))
            }
            Self::TopicRemoved(name) => (Key::Topic(name.to_string()), None),
            Self::Document(key, text) => {
                let value = DocumentValue { version: VERSION, text: text.to_string() };
                (Key::Document(key.to_string()), Some(json(&value)))
            }
            Self::DocumentRemoved(key) => (Key::Document(key.to_string()), None),
            Self::BrokerConfigs(broker, configs) => {
                let value = BrokerValue { version: VERSION, configs: (**configs).clone() };
                (Key::Broker(broker.to_string()), Some(json(&value)).filter(|_| !configs.is_empty()))
            }
            Self::NextProducerId(next) => {
                (Key::ProducerIds, Some(json(&ProducerIdsValue { version: VERSION, next: *next })))
            }
        };
        NewRecord { key: json(&key), value }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Says what is malformed, or which newer version the value has.
    pub fn from_record(record: StoredRecord<'_>) -> Result<Self, String> {
        let key: Key = serde_json::from_slice(record.key).map_err(|error| format!("key: {error}"))?;
        let Some(value) = record.value else {
            return match key {
                Key::Topic(name) => Ok(Self::TopicRemoved(name.into())),
                Key::Document(key) => Ok(Self::DocumentRemoved(key.into())),
                Key::Broker(broker) => Ok(Self::BrokerConfigs(broker.into(), Arc::default())),
                Key::ProducerIds => Err("the producer ids cannot be removed".to_owned()),
            };
        };
        let AnyValue { version } = parse(value)?;
        if version != VERSION {
            return Err(format!(
                "{key:?} has version {version}, which a newer release wrote; this one reads {VERSION}"
            ));
        }
        match key {
            Key::Topic(name) => {
                let TopicValue { id, partitions, configs, internal, .. } = parse(value)?;
                let id = u128::from_str_radix(&id, 16).map_err(|error| format!("topic id {id:?}: {error}"))?;
                if !(1..=super::MAX_PARTITIONS).contains(&partitions) {
                    return Err(format!("topic {name} has {partitions} partitions"));
                }
                let topic = TopicImage::new(TopicId(id), partitions, configs, internal);
                Ok(Self::Topic(name.into(), topic))
            }
            Key::Document(key) => {
                let DocumentValue { text, .. } = parse(value)?;
                Ok(Self::Document(key.into(), text.into()))
            }
            Key::Broker(broker) => {
                let BrokerValue { configs, .. } = parse(value)?;
                Ok(Self::BrokerConfigs(broker.into(), Arc::new(configs)))
            }
            Key::ProducerIds => {
                let ProducerIdsValue { next, .. } = parse(value)?;
                Ok(Self::NextProducerId(next))
            }
        }
    }

    /// Makes the change in the image of a broker with these settings.
    pub fn apply(self, image: &mut ClusterImage, config: &CoreConfig) {
        match self {
            Self::Topic(name, topic) => {
                let id = topic.id;
                image.topic_names.insert(id, name.clone());
                if let Some(former) = image.topics.insert(name.clone(), topic)
                    && former.id != id
                {
                    image.topic_names.remove(&former.id);
                }
                image.resolve(config, &name);
            }
            Self::TopicRemoved(name) => {
                if let Some(former) = image.topics.remove(&name) {
                    image.topic_names.remove(&former.id);
                }
            }
            Self::Document(key, text) => {
                image.documents.insert(key, text);
            }
            Self::DocumentRemoved(key) => {
                image.documents.remove(&key);
            }
            Self::BrokerConfigs(broker, configs) => {
                if configs.is_empty() {
                    image.broker_configs.remove(&broker);
                } else {
                    image.broker_configs.insert(broker, configs);
                }
                image.resolve_all(config);
            }
            Self::NextProducerId(next) => image.next_producer_id = image.next_producer_id.max(next),
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings, numbers and maps of strings are always JSON")
}

fn parse<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| format!("value: {error}"))
}
