//! The requests of administrators' tools.

use super::*;

fn topic_name() -> TopicName {
    TopicName(text("t"))
}

#[test]
fn what_tools_ask_of_topics_is_walked_in_every_version() {
    walks(&shapes::OFFSET_FOR_LEADER_EPOCH, 2..=4, |version| {
        use offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
        let partitions = vec![OffsetForLeaderPartition::default().with_leader_epoch(3); 2];
        let topic = OffsetForLeaderTopic::default().with_topic(topic_name()).with_partitions(partitions);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        if version >= 3 { request.with_replica_id(BrokerId(-1)) } else { request }
    });
    walks(&shapes::CREATE_PARTITIONS, 0..=3, |_| {
        use create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
        let assignment = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1), BrokerId(2)]);
        let topic = CreatePartitionsTopic::default().with_name(topic_name()).with_count(3);
        let none = topic.clone().with_assignments(None);
        CreatePartitionsRequest::default().with_topics(vec![topic.with_assignments(Some(vec![assignment])), none])
    });
    walks(&shapes::ELECT_LEADERS, 0..=2, |_| {
        let topic = elect_leaders_request::TopicPartitions::default();
        let topic = topic.with_topic(topic_name()).with_partitions(vec![0, 1]);
        ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic]))
    });
    walks(&shapes::ALTER_PARTITION_REASSIGNMENTS, 0..=1, |_| {
        use alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
        let partition = ReassignablePartition::default();
        let partitions = vec![partition.clone().with_replicas(Some(vec![BrokerId(1)])), partition.with_replicas(None)];
        let topic = ReassignableTopic::default().with_name(topic_name()).with_partitions(partitions);
        AlterPartitionReassignmentsRequest::default().with_topics(vec![topic])
    });
    walks(&shapes::LIST_PARTITION_REASSIGNMENTS, 0..=0, |_| {
        let topic = list_partition_reassignments_request::ListPartitionReassignmentsTopics::default();
        let topic = topic.with_name(topic_name()).with_partition_indexes(vec![0, 1]);
        ListPartitionReassignmentsRequest::default().with_topics(Some(vec![topic]))
    });
    for cursor in [None, Some(describe_topic_partitions_request::Cursor::default().with_topic_name(topic_name()))] {
        walks(&shapes::DESCRIBE_TOPIC_PARTITIONS, 0..=0, |_| {
            let topic = describe_topic_partitions_request::TopicRequest::default().with_name(topic_name());
            DescribeTopicPartitionsRequest::default().with_topics(vec![topic]).with_cursor(cursor.clone())
        });
    }
    walks(&shapes::LIST_CONFIG_RESOURCES, 0..=1, |version| {
        let types = if version >= 1 { vec![2, 4] } else { Vec::new() };
        ListConfigResourcesRequest::default().with_resource_types(types)
    });
}

#[test]
fn what_tools_ask_of_transactions_is_walked_in_every_version() {
    walks(&shapes::WRITE_TXN_MARKERS, 1..=1, |_| {
        use write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
        let topic = WritableTxnMarkerTopic::default().with_name(topic_name()).with_partition_indexes(vec![0, 1]);
        let marker = WritableTxnMarker::default().with_topics(vec![topic]);
        WriteTxnMarkersRequest::default().with_markers(vec![marker.clone(), marker])
    });
    walks(&shapes::DESCRIBE_PRODUCERS, 0..=0, |_| {
        let topic = describe_producers_request::TopicRequest::default();
        let topic = topic.with_name(topic_name()).with_partition_indexes(vec![0, 1]);
        DescribeProducersRequest::default().with_topics(vec![topic])
    });
    walks(&shapes::DESCRIBE_TRANSACTIONS, 0..=0, |_| {
        DescribeTransactionsRequest::default().with_transactional_ids(vec![TransactionalId(text("id")); 2])
    });
    walks(&shapes::LIST_TRANSACTIONS, 0..=2, |version| {
        let request = ListTransactionsRequest::default()
            .with_state_filters(vec![text("Ongoing")])
            .with_producer_id_filters(vec![ProducerId(5)]);
        if version >= 2 { request.with_transactional_id_pattern(Some(text("a.*"))) } else { request }
    });
}

#[test]
fn what_tools_ask_of_the_cluster_is_walked_in_every_version() {
    walks(&shapes::DESCRIBE_QUORUM, 0..=2, |_| {
        let topic = describe_quorum_request::TopicData::default();
        let partitions = vec![describe_quorum_request::PartitionData::default(); 2];
        let topic = topic.with_topic_name(topic_name()).with_partitions(partitions);
        DescribeQuorumRequest::default().with_topics(vec![topic])
    });
    walks(&shapes::UPDATE_FEATURES, 0..=2, |version| {
        let update = update_features_request::FeatureUpdateKey::default().with_feature(text("f"));
        let update = if version >= 1 { update.with_upgrade_type(2) } else { update.with_allow_downgrade(true) };
        UpdateFeaturesRequest::default().with_feature_updates(vec![update.clone(), update])
    });
    walks(&shapes::UNREGISTER_BROKER, 0..=0, |_| UnregisterBrokerRequest::default().with_broker_id(BrokerId(3)));
    walks(&shapes::DESCRIBE_CLIENT_QUOTAS, 0..=1, |_| {
        let component = describe_client_quotas_request::ComponentData::default().with_entity_type(text("user"));
        let named = component.clone().with_match(Some(text("u")));
        DescribeClientQuotasRequest::default().with_components(vec![component.with_match(None), named])
    });
    walks(&shapes::ALTER_CLIENT_QUOTAS, 0..=1, |_| {
        use alter_client_quotas_request::{EntityData, EntryData, OpData};
        let entity = EntityData::default().with_entity_type(text("user")).with_entity_name(None);
        let op = OpData::default().with_key(text("producer_byte_rate")).with_value(1.5);
        let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![op.clone(), op]);
        AlterClientQuotasRequest::default().with_entries(vec![entry])
    });
}

#[test]
fn what_is_asked_of_security_is_walked_in_every_version() {
    walks(&shapes::SASL_HANDSHAKE, 0..=1, |_| SaslHandshakeRequest::default().with_mechanism(text("PLAIN")));
    walks(&shapes::SASL_AUTHENTICATE, 0..=2, |_| {
        SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(b"token"))
    });
    walks(&shapes::DESCRIBE_ACLS, 1..=3, |_| {
        DescribeAclsRequest::default().with_resource_name_filter(Some(text("t"))).with_host_filter(None)
    });
    walks(&shapes::CREATE_ACLS, 1..=3, |_| {
        let creation = create_acls_request::AclCreation::default().with_resource_name(text("t"));
        CreateAclsRequest::default().with_creations(vec![creation.clone(), creation])
    });
    walks(&shapes::DELETE_ACLS, 1..=3, |_| {
        let filter = delete_acls_request::DeleteAclsFilter::default().with_resource_name_filter(Some(text("t")));
        DeleteAclsRequest::default().with_filters(vec![filter.clone(), filter.with_resource_name_filter(None)])
    });
    walks(&shapes::DESCRIBE_USER_SCRAM_CREDENTIALS, 0..=0, |_| {
        let user = describe_user_scram_credentials_request::UserName::default().with_name(text("u"));
        DescribeUserScramCredentialsRequest::default().with_users(Some(vec![user.clone(), user]))
    });
    walks(&shapes::ALTER_USER_SCRAM_CREDENTIALS, 0..=0, |_| {
        use alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion};
        let upsertion = ScramCredentialUpsertion::default().with_name(text("u")).with_salt(Bytes::from_static(b"salt"));
        AlterUserScramCredentialsRequest::default()
            .with_deletions(vec![ScramCredentialDeletion::default().with_name(text("u"))])
            .with_upsertions(vec![upsertion])
    });
}

#[test]
fn arrays_and_tags_have_the_limits_of_kafka() {
    let elements = |count: u32| {
        let mut bytes = count.to_be_bytes().to_vec();
        bytes.resize(bytes.len() + 5 * count as usize, 0);
        bytes
    };
    let shape =
        Shape { flexible_from: 9, fields: &[Field { from: 0, to: 9, kind: Kind::List(&Kind::Fixed(1)), tag: None }] };
    assert_eq!(check(&shape, 0, &elements(1_000_000)).map(drop), Ok(()));
    assert_eq!(check(&shape, 0, &elements(1_000_001)).map(drop), Err(ShapeError::BadLength(1_000_001)));
    let tags = |count: u32| {
        let mut bytes = vec![(count & 0x7f) as u8 | 0x80, (count >> 7 & 0x7f) as u8];
        bytes.extend((0..count).flat_map(|_| [5, 0]));
        bytes
    };
    let shape = Shape { flexible_from: 0, fields: &[] };
    assert_eq!(check(&shape, 0, &tags(10_000)).map(drop), Ok(()));
    assert_eq!(check(&shape, 0, &tags(10_001)).map(drop), Err(ShapeError::BadLength(10_001)));
}
