//! Who reads what: Kafka's range assignment of one topic, and its form on the wire (the consumer's embedded protocol).

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use std::ops::Range;

/// The name that members agree upon.
pub const PROTOCOL: &str = "range";
/// Version of the embedded protocol: what Kafka's own clients write has more fields, which range does not need.
const VERSION: i16 = 0;

/// The partitions of the member at `place` of the members in the order of their ids (`RangeAssignor`): each has as many
/// as every other, and the first ones have one more where it does not divide.
pub fn range(partitions: i32, members: usize, place: usize) -> Range<i32> {
    let members = i32::try_from(members).unwrap_or(i32::MAX).max(1);
    let place = i32::try_from(place).unwrap_or(i32::MAX);
    let (each, more) = (partitions / members, partitions % members);
    let begin = each * place + place.min(more);
    begin..begin + each + i32::from(place < more)
}

/// What a member says when it joins: the topic that it reads.
pub fn subscription(topic: &StrBytes) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    ConsumerProtocolSubscription::default().with_topics(vec![topic.clone()]).encode(&mut bytes, VERSION)?;
    Ok(bytes.freeze())
}

/// What the leader says to a member.
pub fn assignment(topic: &StrBytes, partitions: Range<i32>) -> Result<Bytes> {
    let assigned = TopicPartition::default().with_topic(TopicName(topic.clone())).with_partitions(partitions.collect());
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    ConsumerProtocolAssignment::default().with_assigned_partitions(vec![assigned]).encode(&mut bytes, VERSION)?;
    Ok(bytes.freeze())
}

/// What a member reads from it.
pub fn partitions_of(topic: &StrBytes, mut assignment: Bytes) -> Result<Vec<i32>> {
    let version = assignment.try_get_i16().context("an assignment without a version")?;
    let assigned = ConsumerProtocolAssignment::decode(&mut assignment, version)?;
    let mut partitions = Vec::new();
    for of_topic in assigned.assigned_partitions {
        ensure!(of_topic.topic.0 == *topic, "assigned to a topic that nobody subscribed to");
        partitions.extend(of_topic.partitions);
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_each_partition_once() {
        for (partitions, members) in [(100, 10), (7, 3), (2, 5), (0, 1)] {
            let ranges: Vec<_> = (0..members).map(|place| range(partitions, members, place)).collect();
            let all: Vec<i32> = ranges.iter().cloned().flatten().collect();
            assert_eq!(all, (0..partitions).collect::<Vec<_>>());
            assert!(ranges.windows(2).all(|pair| pair[0].len() >= pair[1].len() && pair[0].len() <= pair[1].len() + 1));
        }
    }

    #[test]
    fn what_the_leader_writes_a_member_reads() {
        let topic = StrBytes::from_static_str("read");
        let written = assignment(&topic, 3..6).unwrap();
        assert_eq!(partitions_of(&topic, written.clone()).unwrap(), [3, 4, 5]);
        assert!(partitions_of(&StrBytes::from_static_str("other"), written.clone()).is_err());
        for cut in 0..written.len() {
            assert!(partitions_of(&topic, written.slice(..cut)).is_err());
        }
    }

    #[test]
    fn a_subscription_names_the_topic() {
        let topic = StrBytes::from_static_str("read");
        let mut said = subscription(&topic).unwrap();
        assert_eq!(said.get_i16(), VERSION);
        assert_eq!(ConsumerProtocolSubscription::decode(&mut said, VERSION).unwrap().topics, [topic]);
    }
}
