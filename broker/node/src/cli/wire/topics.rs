//! Topics: what there is, making and removing them, where their partitions begin and end, and deleting records.

use super::{Cluster, Each, Refused, by_topic, wire};
use anyhow::bail;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    ListOffsetsRequest, MetadataRequest, TopicName,
};
use pelton_core::model::TopicPartition;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Versions of Metadata: from the one that leaves a topic that is not there alone and knows leader epochs.
pub(super) const METADATA: RangeInclusive<i16> = 7..=13;
/// How long brokers may take over a request, in milliseconds; this program waits a little longer.
const TIMEOUT_MS: i32 = 25_000;
/// A leader that there is none of.
const NOBODY: i32 = -1;

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id, where the brokers have ids.
    pub id: Option<String>,
    /// Whether it is the broker's own: it says so, or the name begins as such names do.
    pub internal: bool,
    /// Its partitions, by index.
    pub partitions: Vec<Partition>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its index.
    pub index: i32,
    /// The broker that leads it; -1 where none does.
    pub leader: i32,
    /// The epoch of that leader.
    pub leader_epoch: i32,
    /// The brokers that have it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub isr: Vec<i32>,
}

/// A topic to be made.
#[derive(Debug, Clone)]
pub struct NewTopic<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many partitions; -1 for the broker's default.
    pub partitions: i32,
    /// How many replicas of each; -1 for the broker's default.
    pub replication_factor: i16,
    /// Its configs.
    pub configs: Vec<(&'a str, &'a str)>,
}

/// An offset to be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The first that is there.
    Start,
    /// The one after the last that can be read: the high watermark.
    End,
    /// That of the first record at or after this time, in milliseconds since the Unix epoch.
    At(i64),
}

impl Cluster {
    /// All topics, by name.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn topics(&mut self) -> anyhow::Result<Vec<Topic>> {
        let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
        let answer = self.any().ask(METADATA, &request)?;
        let topics = answer.topics.into_iter().filter_map(|topic| read(topic).1.ok());
        let mut topics: Vec<Topic> = topics.collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// These topics, in their order. None is made by asking.
    ///
    /// # Errors
    /// When one is not there.
    pub fn named(&mut self, names: &[String]) -> anyhow::Result<Vec<Topic>> {
        let mut found = Vec::with_capacity(names.len());
        for (name, topic) in self.find(names.iter().map(String::as_str))? {
            match topic {
                Ok(topic) => found.push(topic),
                Err(refused) => bail!("the topic {name}: {refused}"),
            }
        }
        Ok(found)
    }

    /// What there is of these topics.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn find<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> anyhow::Result<Each<String, Topic>> {
        let names: Vec<&str> = names.collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(TopicName(wire(name))));
        let asked: Vec<MetadataRequestTopic> = names.iter().map(topic).collect();
        let request = MetadataRequest::default().with_topics(Some(asked)).with_allow_auto_topic_creation(false);
        let answer = self.any().ask(METADATA, &request)?;
        let found: BTreeMap<String, Result<Topic, Refused>> = answer.topics.into_iter().map(read).collect();
        let of = |name: &str| found.get(name).cloned().ok_or_else(|| self.odd("Metadata"));
        names.into_iter().map(|name| Ok((name.to_owned(), of(name)?))).collect()
    }

    /// Makes topics, or checks that it could. Of each, how many partitions it has.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn create_topics(&mut self, topics: &[NewTopic<'_>], validate_only: bool) -> anyhow::Result<Each<String, i32>> {
        let config = |(name, value): &(&str, &str)| {
            CreatableTopicConfig::default().with_name(wire(name)).with_value(Some(wire(value)))
        };
        let topic = |topic: &NewTopic<'_>| {
            CreatableTopic::default()
                .with_name(TopicName(wire(topic.name)))
                .with_num_partitions(topic.partitions)
                .with_replication_factor(topic.replication_factor)
                .with_configs(topic.configs.iter().map(config).collect())
        };
        let request = CreateTopicsRequest::default()
            .with_topics(topics.iter().map(topic).collect())
            .with_timeout_ms(TIMEOUT_MS)
            .with_validate_only(validate_only);
        let answer = self.any().ask(5..=7, &request)?;
        let result = |topic: kafka_protocol::messages::create_topics_response::CreatableTopicResult| {
            let made = Refused::check(topic.error_code, topic.error_message.as_ref());
            (topic.name.to_string(), made.map(|()| topic.num_partitions))
        };
        Ok(answer.topics.into_iter().map(result).collect())
    }

    /// Gives a topic more partitions, `total` in all, or checks that it could.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn create_partitions(
        &mut self,
        topic: &str,
        total: i32,
        validate_only: bool,
    ) -> anyhow::Result<Result<(), Refused>> {
        let asked =
            CreatePartitionsTopic::default().with_name(TopicName(wire(topic))).with_count(total).with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![asked])
            .with_timeout_ms(TIMEOUT_MS)
            .with_validate_only(validate_only);
        let answer = self.any().ask(1..=3, &request)?;
        let [result] = &answer.results[..] else { return Err(self.odd("CreatePartitions")) };
        Ok(Refused::check(result.error_code, result.error_message.as_ref()))
    }

    /// Removes topics with all their records.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn delete_topics(&mut self, names: &[String]) -> anyhow::Result<Each<String, ()>> {
        let topic = |name: &String| DeleteTopicState::default().with_name(Some(TopicName(wire(name))));
        let request =
            DeleteTopicsRequest::default().with_topics(names.iter().map(topic).collect()).with_timeout_ms(TIMEOUT_MS);
        let answer = self.any().ask(6..=6, &request)?;
        let result = |topic: kafka_protocol::messages::delete_topics_response::DeletableTopicResult| {
            let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
            (name, Refused::check(topic.error_code, topic.error_message.as_ref()))
        };
        Ok(answer.responses.into_iter().map(result).collect())
    }

    /// Looks up an offset of each partition, as a consumer that reads everything sees them; `None` where no record is late
    /// enough.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub fn offsets(
        &mut self,
        partitions: &[TopicPartition],
        lookup: Lookup,
    ) -> anyhow::Result<BTreeMap<TopicPartition, Result<Option<i64>, Refused>>> {
        let timestamp = match lookup {
            Lookup::Start => -2,
            Lookup::End => -1,
            Lookup::At(ms) => ms.max(0),
        };
        let mut found = BTreeMap::new();
        let (leaders, refused) = self.leaders(partitions)?;
        found.extend(refused.into_iter().map(|(partition, refused)| (partition, Err(refused))));
        for (leader, partitions) in leaders {
            let topics = by_topic(partitions.iter().map(|partition| (partition, ()))).map(|(topic, partitions)| {
                let partition = |(index, ()): (i32, ())| {
                    ListOffsetsPartition::default().with_partition_index(index).with_timestamp(timestamp)
                };
                ListOffsetsTopic::default()
                    .with_name(TopicName(wire(topic)))
                    .with_partitions(partitions.into_iter().map(partition).collect())
            });
            let request = ListOffsetsRequest::default().with_replica_id(BrokerId(NOBODY)).with_topics(topics.collect());
            for topic in self.broker(leader)?.ask(4..=9, &request)?.topics {
                for partition in topic.partitions {
                    let offset = (partition.offset >= 0).then_some(partition.offset);
                    let result = Refused::check(partition.error_code, None).map(|()| offset);
                    found.insert(TopicPartition::new(topic.name.as_str(), partition.partition_index), result);
                }
            }
        }
        Ok(found)
    }

    /// Deletes the records of each partition below an offset. Of each, where it begins now.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub fn delete_records(
        &mut self,
        below: &BTreeMap<TopicPartition, i64>,
    ) -> anyhow::Result<Each<TopicPartition, i64>> {
        let partitions: Vec<TopicPartition> = below.keys().cloned().collect();
        let (leaders, refused) = self.leaders(&partitions)?;
        let mut results: Each<TopicPartition, i64> =
            refused.into_iter().map(|(partition, refused)| (partition, Err(refused))).collect();
        for (leader, partitions) in leaders {
            let offsets = partitions.iter().map(|partition| (partition, below[partition]));
            let topics = by_topic(offsets).map(|(topic, partitions)| {
                let partition = |(index, offset): (i32, i64)| {
                    DeleteRecordsPartition::default().with_partition_index(index).with_offset(offset)
                };
                DeleteRecordsTopic::default()
                    .with_name(TopicName(wire(topic)))
                    .with_partitions(partitions.into_iter().map(partition).collect())
            });
            let request = DeleteRecordsRequest::default().with_topics(topics.collect()).with_timeout_ms(TIMEOUT_MS);
            for topic in self.broker(leader)?.ask(1..=2, &request)?.topics {
                for partition in topic.partitions {
                    let result = Refused::check(partition.error_code, None).map(|()| partition.low_watermark);
                    let named = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                    results.push((named, result));
                }
            }
        }
        results.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(results)
    }

    /// The partitions by who leads them, and those that are not there.
    fn leaders(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<Leaders> {
        let mut names: Vec<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
        names.sort_unstable();
        names.dedup();
        let topics: BTreeMap<String, Result<Topic, Refused>> = self.find(names.into_iter())?.into_iter().collect();
        let (mut leaders, mut missing) = (BTreeMap::<i32, Vec<TopicPartition>>::new(), Vec::new());
        for partition in partitions {
            let found = match &topics[&*partition.topic] {
                Ok(topic) => topic.partitions.iter().find(|found| found.index == partition.partition),
                Err(refused) => {
                    missing.push((partition.clone(), refused.clone()));
                    continue;
                }
            };
            match found {
                Some(found) if found.leader != NOBODY => {
                    leaders.entry(found.leader).or_default().push(partition.clone());
                }
                Some(_) => missing.push((partition.clone(), Refused::by(ResponseError::LeaderNotAvailable))),
                None => missing.push((partition.clone(), Refused::by(ResponseError::UnknownTopicOrPartition))),
            }
        }
        Ok((leaders, missing))
    }
}

/// Partitions by their leader, and those that are not there with what the broker says.
type Leaders = (BTreeMap<i32, Vec<TopicPartition>>, Vec<(TopicPartition, Refused)>);

fn read(topic: MetadataResponseTopic) -> (String, Result<Topic, Refused>) {
    let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
    if let Err(refused) = Refused::check(topic.error_code, None) {
        return (name, Err(refused));
    }
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
    let mut partitions: Vec<Partition> = topic
        .partitions
        .iter()
        .map(|partition| Partition {
            index: partition.partition_index,
            leader: partition.leader_id.0,
            leader_epoch: partition.leader_epoch,
            replicas: ids(&partition.replica_nodes),
            isr: ids(&partition.isr_nodes),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    let id = (!topic.topic_id.is_nil()).then(|| topic.topic_id.to_string());
    let internal = topic.is_internal || name.starts_with("__");
    (name.clone(), Ok(Topic { name, id, internal, partitions }))
}
