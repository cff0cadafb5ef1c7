//! Groups: which there are, who is in them, what they have committed, and changing that while nobody is in them.

use super::{Cluster, Each, Kind, Refused, assignment, by_topic, wire};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, TopicName,
};
use pelton_core::model::TopicPartition;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The protocol type of consumers, whose assignments can be read.
const CONSUMER: &str = "consumer";
/// What a group that is not there is called by brokers that have no error for it.
const DEAD: &str = "Dead";

/// A group, in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ListedGroup {
    /// Its id.
    pub group: String,
    /// Its state, as Kafka calls it.
    pub state: String,
    /// `classic`, or another type of KIP-848; nothing where the broker does not say.
    #[serde(rename = "type")]
    pub kind: String,
    /// What its members do: `consumer`, `connect` and so on; nothing where only offsets were committed.
    pub protocol_type: String,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its state, as Kafka calls it.
    pub state: String,
    /// What its members do.
    pub protocol_type: String,
    /// The protocol that they have agreed on: for consumers, the assignor.
    pub protocol: String,
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// Who is in it.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub member: String,
    /// Its `group.instance.id`, where it is a static member.
    pub instance: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// What it was assigned; nothing where the group is not of consumers, or has no assignment now.
    pub assigned: BTreeSet<TopicPartition>,
}

/// An offset that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The offset of the next record that it will read.
    pub offset: i64,
    /// What its client wrote beside it.
    pub metadata: String,
}

impl Group {
    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && matches!(self.state.as_str(), "Empty" | DEAD)
    }
}

impl Cluster {
    /// The groups of all brokers, by id; where states are named, those in them.
    ///
    /// # Errors
    /// When a broker does not answer, or refuses.
    pub fn groups(&mut self, states: &[String]) -> anyhow::Result<Vec<ListedGroup>> {
        let request = ListGroupsRequest::default().with_states_filter(states.iter().map(|state| wire(state)).collect());
        let mut groups = BTreeSet::new();
        for id in self.brokers.iter().map(|broker| broker.id).collect::<Vec<_>>() {
            let answer = self.broker(id)?.ask(4..=5, &request)?;
            Refused::check(answer.error_code, None)?;
            groups.extend(answer.groups.into_iter().map(|group| ListedGroup {
                group: group.group_id.to_string(),
                state: group.group_state.to_string(),
                kind: group.group_type.to_string(),
                protocol_type: group.protocol_type.to_string(),
            }));
        }
        Ok(groups.into_iter().collect())
    }

    /// A group; `None` where there is none of that id.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses.
    pub fn group(&mut self, group: &str) -> anyhow::Result<Option<Group>> {
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(wire(group))]);
        let described = self.coordinated(group, |connection, coordinator| {
            let mut answer = connection.ask(4..=6, &request)?;
            let Some(found) = answer.groups.pop() else {
                return Ok(Err(Refused::by(ResponseError::UnknownServerError)));
            };
            let checked = Refused::check(found.error_code, found.error_message.as_ref());
            Ok(checked.map(|()| (coordinator, found)))
        })?;
        match described {
            Ok((_, found)) if &*found.group_state == DEAD => Ok(None),
            Ok((coordinator, found)) => {
                let consumers = found.protocol_type.as_str() == CONSUMER;
                let members = found.members.iter().map(|found| member(found, consumers)).collect();
                Ok(Some(Group {
                    state: found.group_state.to_string(),
                    protocol_type: found.protocol_type.to_string(),
                    protocol: found.protocol_data.to_string(),
                    coordinator,
                    members,
                }))
            }
            Err(refused) if refused.kind() == Kind::UnknownGroup => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }

    /// What a group has committed, transactions that are still open left out.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses.
    pub fn committed(&mut self, group: &str) -> anyhow::Result<BTreeMap<TopicPartition, Committed>> {
        let asked = OffsetFetchRequestGroup::default().with_group_id(GroupId(wire(group))).with_topics(None);
        let request = OffsetFetchRequest::default().with_groups(vec![asked]);
        let found = self.coordinated(group, |connection, _| {
            let mut answer = connection.ask(8..=9, &request)?;
            let Some(found) = answer.groups.pop() else {
                return Ok(Err(Refused::by(ResponseError::UnknownServerError)));
            };
            Ok(Refused::check(found.error_code, None).map(|()| found))
        })?;
        let found = match found {
            Ok(found) => found,
            Err(refused) if refused.kind() == Kind::UnknownGroup => return Ok(BTreeMap::new()),
            Err(refused) => return Err(refused.into()),
        };
        let mut committed = BTreeMap::new();
        for topic in found.topics {
            for partition in topic.partitions {
                let named = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                Refused::check(partition.error_code, None)?;
                if partition.committed_offset >= 0 {
                    let metadata = partition.metadata.map(|metadata| metadata.to_string()).unwrap_or_default();
                    committed.insert(named, Committed { offset: partition.committed_offset, metadata });
                }
            }
        }
        Ok(committed)
    }

    /// Removes a group that nobody is in, with its offsets.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn delete_group(&mut self, group: &str) -> anyhow::Result<Result<(), Refused>> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(wire(group))]);
        self.coordinated(group, |connection, _| {
            let answer = connection.ask(1..=2, &request)?;
            let code = answer.results.first().map(|result| result.error_code);
            Ok(Refused::check(code.unwrap_or(ResponseError::UnknownServerError.code()), None))
        })
    }

    /// Removes offsets of a group.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn delete_offsets(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> anyhow::Result<Result<Each<TopicPartition, ()>, Refused>> {
        let topics = by_topic(partitions.iter().map(|partition| (partition, ()))).map(|(topic, partitions)| {
            let partition =
                |(index, ()): (i32, ())| OffsetDeleteRequestPartition::default().with_partition_index(index);
            OffsetDeleteRequestTopic::default()
                .with_name(TopicName(wire(topic)))
                .with_partitions(partitions.into_iter().map(partition).collect())
        });
        let request = OffsetDeleteRequest::default().with_group_id(GroupId(wire(group))).with_topics(topics.collect());
        self.coordinated(group, |connection, _| {
            let answer = connection.ask(0..=0, &request)?;
            if let Err(refused) = Refused::check(answer.error_code, None) {
                return Ok(Err(refused));
            }
            let mut results = Vec::new();
            for topic in answer.topics {
                for partition in topic.partitions {
                    let named = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                    results.push((named, Refused::check(partition.error_code, None)));
                }
            }
            Ok(Ok(results))
        })
    }

    /// Commits offsets for a group that nobody is in.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn commit(
        &mut self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> anyhow::Result<Result<Each<TopicPartition, ()>, Refused>> {
        let topics = by_topic(offsets).map(|(topic, partitions)| {
            let partition = |(index, offset): (i32, &i64)| {
                OffsetCommitRequestPartition::default().with_partition_index(index).with_committed_offset(*offset)
            };
            OffsetCommitRequestTopic::default()
                .with_name(TopicName(wire(topic)))
                .with_partitions(partitions.into_iter().map(partition).collect())
        });
        let request = OffsetCommitRequest::default().with_group_id(GroupId(wire(group))).with_topics(topics.collect());
        self.coordinated(group, |connection, _| {
            let answer = connection.ask(7..=9, &request)?;
            let mut results = Vec::new();
            for topic in answer.topics {
                for partition in topic.partitions {
                    let named = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                    results.push((named, Refused::check(partition.error_code, None)));
                }
            }
            // A coordinator that refuses says so of every partition alike.
            let moved = results.iter().find_map(|(_, result)| {
                result.as_ref().err().filter(|refused| refused.kind() == Kind::CoordinatorMoved).cloned()
            });
            Ok(moved.map_or(Ok(results), Err))
        })
    }
}

fn member(found: &DescribedGroupMember, consumers: bool) -> Member {
    let assigned = consumers.then(|| assignment::partitions(&found.member_assignment)).flatten();
    Member {
        member: found.member_id.to_string(),
        instance: found.group_instance_id.as_ref().map(ToString::to_string),
        client_id: found.client_id.to_string(),
        host: found.client_host.trim_start_matches('/').to_owned(),
        assigned: assigned.unwrap_or_default(),
    }
}
