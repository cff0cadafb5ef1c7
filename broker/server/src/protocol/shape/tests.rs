use super::super::shapes;
use super::*;
use crate::handlers::APIS;
use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use pelton_log::disk::Dice;
use uuid::Uuid;

#[path = "tests/admin.rs"]
mod admin;

fn text(value: &'static str) -> StrBytes {
    StrBytes::from_static_str(value)
}

fn encoded<Q: Encodable>(request: &Q, version: i16) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes, version).unwrap_or_else(|error| panic!("v{version}: {error}"));
    bytes
}

/// Every version of a request must be walked to its last byte, and no shorter prefix may pass.
fn walks<Q: Encodable>(shape: &Shape, versions: std::ops::RangeInclusive<i16>, sample: impl Fn(i16) -> Q) {
    for version in versions {
        let bytes = encoded(&sample(version), version);
        let weighed = check(shape, version, &bytes);
        assert!(weighed.is_ok(), "v{version}: {weighed:?}");
        for cut in 0..bytes.len() {
            assert!(check(shape, version, &bytes[..cut]).is_err(), "v{version} cut at {cut}");
        }
        let longer = [&bytes[..], &[0xff]].concat();
        assert_eq!(check(shape, version, &longer), weighed, "v{version}: what follows is ignored");
    }
}

fn produce(version: i16) -> ProduceRequest {
    use produce_request::{PartitionProduceData, TopicProduceData};
    let partition = PartitionProduceData::default().with_index(3).with_records(Some(Bytes::from_static(b"records")));
    let topic = TopicProduceData::default().with_partition_data(vec![partition]);
    let topic =
        if version >= 13 { topic.with_topic_id(Uuid::from_u128(7)) } else { topic.with_name(TopicName(text("t"))) };
    ProduceRequest::default()
        .with_transactional_id(Some(TransactionalId(text("id"))))
        .with_acks(-1)
        .with_timeout_ms(5)
        .with_topic_data(vec![topic.clone(), topic])
}

fn fetch(version: i16) -> FetchRequest {
    use fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
    let mut partition = FetchPartition::default().with_partition(1).with_fetch_offset(9).with_partition_max_bytes(10);
    if version >= 9 {
        partition = partition.with_current_leader_epoch(2);
    }
    if version >= 17 {
        partition = partition.with_replica_directory_id(Uuid::from_u128(4));
    }
    let topic = FetchTopic::default().with_partitions(vec![partition]);
    let topic =
        if version >= 13 { topic.with_topic_id(Uuid::from_u128(7)) } else { topic.with_topic(TopicName(text("t"))) };
    let mut request = FetchRequest::default().with_max_wait_ms(1).with_min_bytes(1).with_topics(vec![topic]);
    if version >= 7 {
        let forgotten = ForgottenTopic::default().with_partitions(vec![1, 2]);
        let forgotten = if version >= 13 { forgotten } else { forgotten.with_topic(TopicName(text("f"))) };
        request = request.with_forgotten_topics_data(vec![forgotten]);
    }
    if version >= 11 {
        request = request.with_rack_id(text("rack"));
    }
    if version >= 12 {
        request = request.with_cluster_id(Some(text("cluster")));
    }
    if version >= 15 {
        request =
            request.with_replica_state(ReplicaState::default().with_replica_id(BrokerId(5)).with_replica_epoch(6));
    }
    request
}

#[test]
fn produce_and_fetch_are_walked_in_every_version() {
    walks(&shapes::PRODUCE, 3..=13, produce);
    walks(&shapes::FETCH, 4..=18, fetch);
}

#[test]
fn reads_of_the_cluster_are_walked_in_every_version() {
    walks(&shapes::LIST_OFFSETS, 1..=10, |_| {
        use list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
        let partition = ListOffsetsPartition::default().with_partition_index(1).with_timestamp(-1);
        let topic = ListOffsetsTopic::default().with_name(TopicName(text("t"))).with_partitions(vec![partition]);
        ListOffsetsRequest::default().with_topics(vec![topic])
    });
    walks(&shapes::METADATA, 0..=13, |_| {
        let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(TopicName(text("t"))));
        MetadataRequest::default().with_topics(Some(vec![topic]))
    });
    walks(&shapes::API_VERSIONS, 0..=4, |version| {
        let request = ApiVersionsRequest::default();
        if version >= 3 { request.with_client_software_name(text("c")) } else { request }
    });
    walks(&shapes::DESCRIBE_CONFIGS, 1..=4, |_| {
        let resource = describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configuration_keys(Some(vec![text("retention.ms")]));
        DescribeConfigsRequest::default().with_resources(vec![resource])
    });
    walks(&shapes::ALTER_CONFIGS, 0..=2, |_| {
        use alter_configs_request::{AlterConfigsResource, AlterableConfig};
        let config = AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("1")));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configs(vec![config.clone(), config.with_value(None)]);
        AlterConfigsRequest::default().with_resources(vec![resource])
    });
    walks(&shapes::INCREMENTAL_ALTER_CONFIGS, 0..=1, |_| {
        use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
        let config = AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("1")));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configs(vec![config.clone(), config.with_config_operation(1).with_value(None)]);
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
    });
    walks(&shapes::ALTER_REPLICA_LOG_DIRS, 1..=2, |_| {
        use alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
        let topic = AlterReplicaLogDirTopic::default().with_name(TopicName(text("t"))).with_partitions(vec![0, 1]);
        let dir = AlterReplicaLogDir::default().with_path(text("/data")).with_topics(vec![topic]);
        AlterReplicaLogDirsRequest::default().with_dirs(vec![dir.clone(), dir])
    });
    walks(&shapes::DESCRIBE_LOG_DIRS, 1..=4, |_| {
        let topic = describe_log_dirs_request::DescribableLogDirTopic::default();
        let topic = topic.with_topic(TopicName(text("t"))).with_partitions(vec![0, 1]);
        DescribeLogDirsRequest::default().with_topics(Some(vec![topic]))
    });
    walks(&shapes::DESCRIBE_CLUSTER, 0..=2, |_| DescribeClusterRequest::default());
}

#[test]
fn groups_are_walked_in_every_version() {
    walks(&shapes::OFFSET_COMMIT, 2..=9, |_| {
        use offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
        let partition = OffsetCommitRequestPartition::default().with_committed_metadata(Some(text("m")));
        let topic =
            OffsetCommitRequestTopic::default().with_name(TopicName(text("t"))).with_partitions(vec![partition]);
        OffsetCommitRequest::default().with_group_id(GroupId(text("g"))).with_topics(vec![topic])
    });
    walks(&shapes::OFFSET_FETCH, 1..=9, |version| {
        use offset_fetch_request::*;
        if version >= 8 {
            let topic =
                OffsetFetchRequestTopics::default().with_name(TopicName(text("t"))).with_partition_indexes(vec![1, 2]);
            let group =
                OffsetFetchRequestGroup::default().with_group_id(GroupId(text("g"))).with_topics(Some(vec![topic]));
            return OffsetFetchRequest::default().with_groups(vec![group]);
        }
        let topic = OffsetFetchRequestTopic::default().with_name(TopicName(text("t"))).with_partition_indexes(vec![1]);
        OffsetFetchRequest::default().with_group_id(GroupId(text("g"))).with_topics(Some(vec![topic]))
    });
    walks(&shapes::FIND_COORDINATOR, 0..=6, |version| {
        let request = FindCoordinatorRequest::default();
        if version >= 4 {
            request.with_coordinator_keys(vec![text("g"), text("h")])
        } else {
            request.with_key(text("g"))
        }
    });
    walks(&shapes::JOIN_GROUP, 0..=9, |_| {
        let protocol = join_group_request::JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(b"meta"));
        JoinGroupRequest::default().with_group_id(GroupId(text("g"))).with_protocols(vec![protocol])
    });
    walks(&shapes::HEARTBEAT, 0..=4, |_| HeartbeatRequest::default().with_member_id(text("m")));
    walks(&shapes::LEAVE_GROUP, 0..=5, |version| {
        let request = LeaveGroupRequest::default().with_group_id(GroupId(text("g")));
        if version < 3 {
            return request.with_member_id(text("m"));
        }
        request.with_members(vec![leave_group_request::MemberIdentity::default().with_member_id(text("m"))])
    });
    walks(&shapes::SYNC_GROUP, 0..=5, |_| {
        let assignment = sync_group_request::SyncGroupRequestAssignment::default()
            .with_member_id(text("m"))
            .with_assignment(Bytes::from_static(b"a"));
        SyncGroupRequest::default().with_assignments(vec![assignment])
    });
    let groups = || vec![GroupId(text("g")), GroupId(text("h"))];
    walks(&shapes::DESCRIBE_GROUPS, 0..=6, |version| {
        DescribeGroupsRequest::default().with_groups(groups()).with_include_authorized_operations(version >= 3)
    });
    walks(&shapes::LIST_GROUPS, 0..=5, |version| {
        let named = |from, name| if version >= from { vec![text(name)] } else { Vec::new() };
        ListGroupsRequest::default().with_states_filter(named(4, "Empty")).with_types_filter(named(5, "classic"))
    });
    walks(&shapes::DELETE_GROUPS, 0..=2, |_| DeleteGroupsRequest::default().with_groups_names(groups()));
    walks(&shapes::OFFSET_DELETE, 0..=0, |_| {
        use offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(TopicName(text("t")))
            .with_partitions(vec![OffsetDeleteRequestPartition::default(); 2]);
        OffsetDeleteRequest::default().with_group_id(GroupId(text("g"))).with_topics(vec![topic])
    });
}

#[test]
fn topics_and_transactions_are_walked_in_every_version() {
    walks(&shapes::CREATE_TOPICS, 2..=7, |_| {
        use create_topics_request::*;
        let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1)]);
        let config = CreatableTopicConfig::default().with_name(text("k")).with_value(Some(text("v")));
        let topic = CreatableTopic::default()
            .with_name(TopicName(text("t")))
            .with_assignments(vec![assignment])
            .with_configs(vec![config]);
        CreateTopicsRequest::default().with_topics(vec![topic])
    });
    walks(&shapes::DELETE_TOPICS, 1..=6, |version| {
        let request = DeleteTopicsRequest::default();
        if version >= 6 {
            let topic = delete_topics_request::DeleteTopicState::default().with_name(Some(TopicName(text("t"))));
            return request.with_topics(vec![topic]);
        }
        request.with_topic_names(vec![TopicName(text("t"))])
    });
    walks(&shapes::INIT_PRODUCER_ID, 0..=5, |_| {
        InitProducerIdRequest::default().with_transactional_id(Some(TransactionalId(text("id"))))
    });
    walks(&shapes::ADD_PARTITIONS_TO_TXN, 0..=3, |_| {
        let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
            .with_name(TopicName(text("t")))
            .with_partitions(vec![0, 1]);
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text("id")))
            .with_v3_and_below_topics(vec![topic])
    });
    walks(&shapes::ADD_PARTITIONS_TO_TXN, 4..=5, |_| {
        use add_partitions_to_txn_request::*;
        let topic = AddPartitionsToTxnTopic::default().with_name(TopicName(text("t"))).with_partitions(vec![0, 1]);
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(TransactionalId(text("id")))
            .with_verify_only(true)
            .with_topics(vec![topic]);
        AddPartitionsToTxnRequest::default().with_transactions(vec![transaction.clone(), transaction])
    });
    walks(&shapes::ADD_OFFSETS_TO_TXN, 0..=4, |_| AddOffsetsToTxnRequest::default().with_group_id(GroupId(text("g"))));
    walks(&shapes::END_TXN, 0..=4, |_| EndTxnRequest::default().with_transactional_id(TransactionalId(text("id"))));
    walks(&shapes::TXN_OFFSET_COMMIT, 0..=4, |_| {
        use txn_offset_commit_request::*;
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(4);
        let topic =
            TxnOffsetCommitRequestTopic::default().with_name(TopicName(text("t"))).with_partitions(vec![partition]);
        TxnOffsetCommitRequest::default().with_topics(vec![topic])
    });
}

#[test]
fn counts_and_tags_that_lie_are_refused() {
    // Metadata v1: an array of i32::MAX topics in five bytes.
    assert_eq!(
        check(&shapes::METADATA, 1, &[0x7f, 0xff, 0xff, 0xff, 0]),
        Err(ShapeError::BadLength(i64::from(i32::MAX)))
    );
    assert_eq!(check(&shapes::METADATA, 1, &[0, 0, 1, 0, 0]), Err(ShapeError::Truncated));
    assert_eq!(check(&shapes::METADATA, 1, &[0xff, 0xff, 0xff, 0xfe]), Err(ShapeError::BadLength(-2)));
    // Fetch v12: the tagged cluster id is one byte longer than its content.
    let mut bytes = encoded(&fetch(12), 12);
    let at = bytes.len() - "cluster".len() - 2;
    assert_eq!(bytes[at], 8, "the size of the tagged field");
    bytes[at] = 9;
    bytes.push(0);
    assert_eq!(check(&shapes::FETCH, 12, &bytes), Err(ShapeError::BadTag(0)));
}

#[test]
fn a_request_weighs_what_its_elements_take_and_not_what_they_are_long() {
    let empty = check(&shapes::PRODUCE, 9, &[0, 0, 1, 0, 0, 0, 0, 1, 0]).unwrap();
    // A topic without a name, with one partition without records: 14 bytes. The partition has a tag that nobody knows.
    let topic: &[u8] = &[2, 1, 2, 0, 0, 0, 0, 0, 1, 5, 0, 0];
    let weighed = check(&shapes::PRODUCE, 9, &[&[0, 0, 1, 0, 0, 0, 0], topic, &[0]].concat()).unwrap();
    let most = size_of::<produce_request::TopicProduceData>() + size_of::<produce_request::PartitionProduceData>();
    assert!(weighed - empty >= most + FIRST_TAG_BYTES, "{weighed} {empty} {most}");
    // Records are not copied.
    let batch = |length: u8| {
        let partition = [&[2, 0, 0, 0, 0, length + 1][..], &vec![7; usize::from(length)], &[0]].concat();
        check(&shapes::PRODUCE, 9, &[&[0, 0, 1, 0, 0, 0, 0, 2, 1], &partition[..], &[0, 0]].concat()).unwrap()
    };
    assert_eq!(batch(100), batch(1));
}

#[test]
fn the_elements_of_all_arrays_of_a_request_are_counted_together() {
    // Metadata v1: names, each empty.
    let metadata = |names: u32| [&names.to_be_bytes()[..], &vec![0; names as usize * 2]].concat();
    assert_eq!(check(&shapes::METADATA, 1, &metadata(1_000_000)).map(drop), Ok(()));
    assert_eq!(check(&shapes::METADATA, 1, &metadata(1_000_001)), Err(ShapeError::BadLength(1_000_001)));
    // ListPartitionReassignments: two topics of half a million and one partitions each.
    let topic = [&[1][..], &[0xa2, 0xc2, 0x1e], &vec![0; 500_001 * 4], &[0]].concat();
    let request = [&[0, 0, 0, 0, 3][..], &topic, &topic, &[0]].concat();
    assert_eq!(check(&shapes::LIST_PARTITION_REASSIGNMENTS, 0, &request), Err(ShapeError::BadLength(500_001)));
}

#[test]
fn what_the_walk_accepts_decodes_without_harm() {
    // Bytes of real requests with a few of them changed: most are refused, the rest must decode or fail cleanly.
    let mut dice = Dice::new(1);
    let (mut accepted, mut decoded) = (0, 0);
    for round in 0..20_000 {
        let version = [4, 11, 12, 18][round % 4];
        let mut bytes = encoded(&fetch(version), version);
        for _ in 0..=dice.below(3) {
            let at = dice.index(bytes.len());
            bytes[at] = dice.roll() as u8;
        }
        if check(&shapes::FETCH, version, &bytes).is_ok() {
            accepted += 1;
            let mut bytes = Bytes::from(bytes);
            decoded += usize::from(FetchRequest::decode(&mut bytes, version).is_ok());
        }
    }
    // What the walk lets pass and the decoder does not is a null where the schema has none, which costs nothing.
    assert!(accepted > 1_000 && decoded > accepted / 2, "{decoded} of {accepted}");
}

#[test]
fn every_api_that_is_served_is_known_to_the_codec() {
    for api in APIS {
        let known = api.key.valid_versions();
        let first = if api.key == ApiKey::Produce { 3 } else { api.min };
        // These have one version more than the codec knows: `protocol/newest.rs`. Of OffsetCommit and OffsetFetch it knows
        // the answers of the last one alone, and counts that.
        let by_hand =
            i16::from(matches!(api.key, ApiKey::ListOffsets | ApiKey::DescribeLogDirs | ApiKey::WriteTxnMarkers));
        assert!(known.min <= first && api.max <= known.max + by_hand, "{}: {known}", api.name);
    }
}
