//! What Apache Kafka 4.4's own classes write of these versions, byte for byte, and what becomes of it here.

use super::*;
use crate::protocol::shape::{self, Shape};
use crate::protocol::shapes;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::protocol::StrBytes;
use pelton_log::disk::Dice;

const ID: u128 = 0x0102030405060708090a0b0c0d0e0f10;
const OFFSET_COMMIT_V10: &str =
    "026700000005026d0269020102030405060708090a0b0c0d0e0f1002000000010000000000000007000000030278000000";
const OFFSET_FETCH_V10: &str =
    "030267026d00000002020102030405060708090a0b0c0d0e0f100300000000000000010000026800ffffffff00000100";
const WRITE_TXN_MARKERS_V2: &str = "0200000000000000070001010202740300000000000000010000000003020000";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn text(value: &'static str) -> StrBytes {
    StrBytes::from_static_str(value)
}

/// Reads it whole, as it is behind its shape; no prefix of it passes the shape, nor is one read without it.
fn whole<Q, R>(wire: &Wire<Q, R>, shape: &Shape, version: i16, hex: &str) -> Q {
    let bytes = bytes(hex);
    for cut in 0..bytes.len() {
        assert!(shape::check(shape, version, &bytes[..cut]).is_err(), "cut at {cut}");
        let mut body = Bytes::copy_from_slice(&bytes[..cut]);
        assert!((wire.read)(&mut body, version).is_err(), "cut at {cut}, and read");
    }
    shape::check(shape, version, &bytes).unwrap();
    let mut body = Bytes::from(bytes);
    let request = (wire.read)(&mut body, version).unwrap();
    assert!(body.is_empty(), "{} bytes are left", body.len());
    request
}

#[test]
fn offsets_by_topic_id_are_read_as_kafka_writes_them() {
    let committed = whole(&OFFSET_COMMIT, &shapes::OFFSET_COMMIT, 10, OFFSET_COMMIT_V10);
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(1)
        .with_committed_offset(7)
        .with_committed_leader_epoch(3)
        .with_committed_metadata(Some(text("x")));
    let topic =
        OffsetCommitRequestTopic::default().with_topic_id(uuid::Uuid::from_u128(ID)).with_partitions(vec![partition]);
    let expected = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(5)
        .with_member_id(text("m"))
        .with_group_instance_id(Some(text("i")))
        .with_topics(vec![topic]);
    assert_eq!(committed, expected);

    let fetched = whole(&OFFSET_FETCH, &shapes::OFFSET_FETCH, 10, OFFSET_FETCH_V10);
    let topic =
        OffsetFetchRequestTopics::default().with_topic_id(uuid::Uuid::from_u128(ID)).with_partition_indexes(vec![0, 1]);
    let some = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text("g")))
        .with_member_id(Some(text("m")))
        .with_member_epoch(2)
        .with_topics(Some(vec![topic]));
    let all = OffsetFetchRequestGroup::default().with_group_id(GroupId(text("h"))).with_topics(None);
    assert_eq!(fetched, OffsetFetchRequest::default().with_groups(vec![some, all]).with_require_stable(true));
}

#[test]
fn versions_of_transactions_are_read_with_their_markers() {
    let versioned = whole(&WRITE_TXN_MARKERS, &shapes::WRITE_TXN_MARKERS, 2, WRITE_TXN_MARKERS_V2);
    let topic = WritableTxnMarkerTopic::default().with_name(TopicName(text("t"))).with_partition_indexes(vec![0, 1]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(ProducerId(7))
        .with_producer_epoch(1)
        .with_transaction_result(true)
        .with_coordinator_epoch(3)
        .with_topics(vec![topic]);
    assert_eq!(versioned, [VersionedMarker { marker: marker.clone(), transaction_version: 2 }]);
    let mut body = BytesMut::new();
    WriteTxnMarkersRequest::default().with_markers(vec![marker.clone()]).encode(&mut body, 1).unwrap();
    let unversioned = (WRITE_TXN_MARKERS.read)(&mut body.freeze(), 1).unwrap();
    assert_eq!(unversioned, [VersionedMarker { marker, transaction_version: 0 }]);
}

#[test]
fn tagged_fields_that_nobody_knows_are_passed_over() {
    // One of two bytes behind the topic, one without bytes behind all.
    let tagged = OFFSET_COMMIT_V10.strip_suffix("0000").unwrap().to_owned() + "010502abcd" + "010700";
    assert_eq!(
        whole(&OFFSET_COMMIT, &shapes::OFFSET_COMMIT, 10, &tagged),
        whole(&OFFSET_COMMIT, &shapes::OFFSET_COMMIT, 10, OFFSET_COMMIT_V10)
    );
}

#[test]
fn no_damage_makes_a_reader_panic_and_what_the_walk_lets_pass_is_mostly_read() {
    fn damaged<Q, R>(numbers: &mut Dice, wire: &Wire<Q, R>, shape: &Shape, version: i16, hex: &str) {
        let (whole, mut passed, mut read) = (bytes(hex), 0, 0);
        for _ in 0..20_000 {
            let mut damaged = whole.clone();
            for _ in 0..=numbers.below(2) {
                let at = numbers.below(damaged.len() as u64) as usize;
                damaged[at] = numbers.below(256) as u8;
            }
            let walked = shape::check(shape, version, &damaged).is_ok();
            let answer = (wire.read)(&mut Bytes::from(damaged), version);
            passed += u32::from(walked);
            read += u32::from(walked && answer.is_ok());
        }
        assert!(passed > 1_000 && read > passed / 10 * 9, "{read} of {passed} are read");
    }
    let mut numbers = Dice::new(7);
    damaged(&mut numbers, &OFFSET_COMMIT, &shapes::OFFSET_COMMIT, 10, OFFSET_COMMIT_V10);
    damaged(&mut numbers, &OFFSET_FETCH, &shapes::OFFSET_FETCH, 10, OFFSET_FETCH_V10);
    damaged(&mut numbers, &WRITE_TXN_MARKERS, &shapes::WRITE_TXN_MARKERS, 2, WRITE_TXN_MARKERS_V2);
}

#[test]
fn an_array_that_may_not_be_null_is_refused() {
    // Group, generation, no member, no instance, null.
    let without_topics = bytes("026700000005010000");
    assert!((OFFSET_COMMIT.read)(&mut Bytes::from([without_topics, vec![0]].concat()), 10).is_err());
    let without_markers = bytes("0000");
    assert!((WRITE_TXN_MARKERS.read)(&mut Bytes::from(without_markers), 2).is_err());
}
