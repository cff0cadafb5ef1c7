//! Known bytes of Kafka's schemas, round trips, and bytes that are not what they say.

use super::{GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue, RecordKey};
use crate::model::{LeaderEpoch, Timestamp, TopicPartition};
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

#[test]
fn the_offset_key_has_kafkas_bytes() {
    let key = OffsetCommitKey { group: "g1".into(), partition: TopicPartition::new("logs", 3) };
    let bytes = b"\x00\x01\x00\x02g1\x00\x04logs\x00\x00\x00\x03";
    assert_eq!(key.encode(), bytes);
    assert_eq!(RecordKey::parse(bytes), Ok(RecordKey::OffsetCommit(key.clone())));
    let mut of_version_0 = bytes.to_vec();
    of_version_0[1] = 0;
    assert_eq!(RecordKey::parse(&of_version_0), Ok(RecordKey::OffsetCommit(key)));
}

#[test]
fn the_group_key_has_kafkas_bytes() {
    let key = GroupMetadataKey { group: "g1".into() };
    assert_eq!(key.encode(), b"\x00\x02\x00\x02g1");
    assert_eq!(RecordKey::parse(b"\x00\x02\x00\x02g1"), Ok(RecordKey::GroupMetadata(key)));
    assert_eq!(RecordKey::parse(b"\x00\x03\x00\x02g1"), Ok(RecordKey::Unknown(3)));
    assert!(RecordKey::parse(b"\xff\xff\x00\x02g1").is_err());
}

fn offset_value(leader_epoch: Option<LeaderEpoch>) -> OffsetCommitValue {
    OffsetCommitValue {
        offset: 258,
        leader_epoch,
        metadata: "m".into(),
        committed_at: Timestamp(513),
        expires_at: None,
    }
}

#[test]
fn the_offset_value_has_kafkas_bytes_and_older_and_flexible_versions_are_read() {
    let v3 = b"\x00\x03\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x07\x00\x01m\x00\x00\x00\x00\x00\x00\x02\x01";
    let value = offset_value(Some(LeaderEpoch(7)));
    assert_eq!(value.encode(), v3);
    assert_eq!(OffsetCommitValue::parse(v3), Ok(value.clone()));

    let v0 = b"\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x01m\x00\x00\x00\x00\x00\x00\x02\x01";
    assert_eq!(OffsetCommitValue::parse(v0), Ok(offset_value(None)));
    let mut v1 = v0.to_vec();
    v1[1] = 1;
    assert!(OffsetCommitValue::parse(&v1).is_err(), "version 1 has an expiry at its end");
    v1.extend_from_slice(&(-1i64).to_be_bytes());
    assert_eq!(OffsetCommitValue::parse(&v1), Ok(offset_value(None)));
    let expiring = OffsetCommitValue { expires_at: Some(Timestamp(600)), ..offset_value(None) };
    assert_eq!(expiring.encode(), b"\x00\x01\x00\x00\x00\x00\x00\x00\x01\x02\x00\x01m\x00\x00\x00\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00\x02\x58");
    assert_eq!(OffsetCommitValue::parse(&expiring.encode()), Ok(expiring));
    let v4 = b"\x00\x04\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x07\x02m\x00\x00\x00\x00\x00\x00\x02\x01\
        \x01\x00\x100123456789abcdef";
    assert_eq!(OffsetCommitValue::parse(v4), Ok(value));
    assert!(OffsetCommitValue::parse(b"\x00\x05").is_err());
}

#[test]
fn the_group_value_has_kafkas_bytes_and_older_and_flexible_versions_are_read() {
    let value = GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 4,
        protocol: Some("range".into()),
        leader: Some("m1".into()),
        state_since: Some(Timestamp(5)),
        members: vec![MemberMetadata {
            member: "m1".into(),
            instance: Some("i".into()),
            client_id: "c".into(),
            client_host: "/h".into(),
            rebalance_timeout_ms: 9,
            session_timeout_ms: 8,
            subscription: Bytes::from_static(b"\xaa"),
            assignment: Bytes::from_static(b"\xbb\xcc"),
        }],
    };
    let v3 = b"\x00\x03\x00\x08consumer\x00\x00\x00\x04\x00\x05range\x00\x02m1\x00\x00\x00\x00\x00\x00\x00\x05\
        \x00\x00\x00\x01\x00\x02m1\x00\x01i\x00\x01c\x00\x02/h\x00\x00\x00\x09\x00\x00\x00\x08\
        \x00\x00\x00\x01\xaa\x00\x00\x00\x02\xbb\xcc";
    assert_eq!(value.encode(), v3);
    assert_eq!(GroupMetadataValue::parse(v3), Ok(value.clone()));
    let v4 = b"\x00\x04\x09consumer\x00\x00\x00\x04\x06range\x03m1\x00\x00\x00\x00\x00\x00\x00\x05\
        \x02\x03m1\x02i\x02c\x03/h\x00\x00\x00\x09\x00\x00\x00\x08\x02\xaa\x03\xbb\xcc\x00\x00";
    assert_eq!(GroupMetadataValue::parse(v4), Ok(value.clone()));
    let v0 = b"\x00\x00\x00\x08consumer\x00\x00\x00\x04\x00\x05range\x00\x02m1\x00\x00\x00\x01\
        \x00\x02m1\x00\x01c\x00\x02/h\x00\x00\x00\x08\x00\x00\x00\x01\xaa\x00\x00\x00\x02\xbb\xcc";
    let mut old = value;
    old.state_since = None;
    old.members[0].instance = None;
    old.members[0].rebalance_timeout_ms = 8;
    assert_eq!(GroupMetadataValue::parse(v0), Ok(old));
}

#[test]
fn a_length_that_lies_is_an_error_and_allocates_nothing() {
    let lies = b"\x00\x03\x00\x00\x00\x00\x00\x04\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x05\x7f\xff\xff\xff";
    assert!(GroupMetadataValue::parse(lies).unwrap_err().contains("announces"));
    assert!(RecordKey::parse(b"\x00\x01\x7f\xffx").unwrap_err().contains("announced"));
    assert!(RecordKey::parse(b"\x00\x02\xff\xff").unwrap_err().contains("null"));
    assert!(RecordKey::parse(b"\x00\x02\xff\xfe").is_err());
    assert!(GroupMetadataValue::parse(b"\x00\x04\xff\xff\xff\xff\xff").is_err());
}

prop_compose! {
    fn member()(
        names in prop::array::uniform3("[a-zé0-9./-]{0,12}"), instance in prop::option::of("[a-z]{0,5}"),
        rebalance_timeout_ms: i32, session_timeout_ms: i32,
        subscription in prop::collection::vec(any::<u8>(), 0..20), assignment in prop::collection::vec(any::<u8>(), 0..20),
    ) -> MemberMetadata {
        let [member, client_id, client_host] = names.map(Arc::from);
        MemberMetadata {
            member, instance: instance.map(Arc::from), client_id, client_host, rebalance_timeout_ms, session_timeout_ms,
            subscription: subscription.into(), assignment: assignment.into(),
        }
    }
}

proptest! {
    #[test]
    fn a_group_value_comes_back_as_it_was(
        protocol_type in "[a-z]{0,9}", generation: i32, protocol in prop::option::of("[a-z]{0,9}"),
        leader in prop::option::of("[a-z]{0,9}"), state_since in prop::option::of(0..i64::MAX),
        members in prop::collection::vec(member(), 0..4),
    ) {
        let value = GroupMetadataValue {
            protocol_type: protocol_type.into(), generation, protocol: protocol.map(Arc::from),
            leader: leader.map(Arc::from), state_since: state_since.map(Timestamp), members,
        };
        prop_assert_eq!(GroupMetadataValue::parse(&value.encode()), Ok(value));
    }

    #[test]
    fn an_offset_comes_back_as_it_was(
        group in "[a-zü]{0,9}", topic in "[a-z]{0,9}", partition: i32, offset: i64,
        epoch in prop::option::of(0..i32::MAX), metadata in ".{0,9}", committed_at: i64,
        expires_at in prop::option::of(0..i64::MAX),
    ) {
        let key = OffsetCommitKey { group: group.into(), partition: TopicPartition::new(topic, partition) };
        prop_assert_eq!(RecordKey::parse(&key.encode()), Ok(RecordKey::OffsetCommit(key)));
        let value = OffsetCommitValue {
            offset, leader_epoch: epoch.filter(|_| expires_at.is_none()).map(LeaderEpoch), metadata: metadata.into(),
            committed_at: Timestamp(committed_at), expires_at: expires_at.map(Timestamp),
        };
        prop_assert_eq!(OffsetCommitValue::parse(&value.encode()), Ok(value));
    }

    #[test]
    fn arbitrary_bytes_never_panic(version in 0u8..6, mut bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        bytes.splice(0..0, [0, version]);
        let _ = RecordKey::parse(&bytes);
        let _ = OffsetCommitValue::parse(&bytes);
        let _ = GroupMetadataValue::parse(&bytes);
    }
}
