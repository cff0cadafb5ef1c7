use super::client::*;
use super::newest::*;
use crate::handlers::APIS;
use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Decodable;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn what_is_advertised_is_the_table() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    for version in 0..=4 {
        let answer = client.call(version, &ApiVersionsRequest::default()).await;
        assert_eq!((answer.error_code, answer.api_keys.len()), (0, APIS.len()));
        let supported: Vec<_> = answer.supported_features.iter().map(|f| (f.name.as_str(), f.max_version)).collect();
        let finalized: Vec<_> =
            answer.finalized_features.iter().map(|f| (f.name.as_str(), f.max_version_level)).collect();
        let expected: &[(&str, i16)] = if version >= 3 { &[("transaction.version", 1)] } else { &[] };
        assert_eq!((&supported[..], &finalized[..]), (expected, expected), "v{version}");
        // Java's clients before 3.9 throw at a minimum of 0.
        assert!(answer.supported_features.iter().all(|feature| feature.min_version > 0));
        let produce = answer.api_keys.iter().find(|api| api.api_key == 0).unwrap();
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
    }
    broker.stop().await;
}

/// Every API of this release with its first and its last version. Some minimums are odd: clients look for them.
const SERVED: &[(i16, i16, i16)] = &[
    (0, 0, 13),
    (1, 4, 18),
    (2, 1, 11),
    (3, 0, 13),
    (8, 2, 10),
    (9, 1, 10),
    (10, 0, 6),
    (11, 0, 9),
    (12, 0, 4),
    (13, 0, 5),
    (14, 0, 5),
    (15, 0, 6),
    (16, 0, 5),
    (17, 0, 1),
    (18, 0, 4),
    (19, 2, 7),
    (20, 1, 6),
    (21, 0, 2),
    (22, 0, 5),
    (23, 2, 4),
    (24, 0, 5),
    (25, 0, 4),
    (26, 0, 4),
    (27, 1, 2),
    (28, 0, 4),
    (29, 1, 3),
    (30, 1, 3),
    (31, 1, 3),
    (32, 1, 4),
    (33, 0, 2),
    (34, 1, 2),
    (35, 1, 5),
    (36, 0, 2),
    (37, 0, 3),
    (42, 0, 2),
    (43, 0, 2),
    (44, 0, 1),
    (45, 0, 1),
    (46, 0, 0),
    (47, 0, 0),
    (48, 0, 1),
    (49, 0, 1),
    (50, 0, 0),
    (51, 0, 0),
    (55, 0, 2),
    (57, 0, 2),
    (60, 0, 2),
    (61, 0, 0),
    (64, 0, 0),
    (65, 0, 0),
    (66, 0, 2),
    (74, 0, 1),
    (75, 0, 0),
];

#[test]
fn no_api_and_no_version_of_this_release_is_lost() {
    let table: Vec<_> = APIS.iter().map(|api| (api.key as i16, api.min, api.max)).collect();
    assert_eq!(table, SERVED);
}

#[tokio::test]
async fn versions_that_the_library_does_not_know_are_answered() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    client.produce("t", 0, batch(&["x"])).await;
    let listed = |timestamp| {
        let partition = list_offsets_request::ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = list_offsets_request::ListOffsetsTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        ListOffsetsRequest::default().with_topics(vec![topic])
    };
    for (version, timestamp, expected) in [(11, -1, (0, 1)), (11, -6, (0, -1)), (10, -6, (35, -1)), (8, -5, (35, -1))] {
        let id = client.send_written_as(version, version.min(10), &listed(timestamp)).await;
        let answer = client.receive::<ListOffsetsRequest>(version.min(10), id).await;
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.offset), expected, "v{version}: {timestamp}");
    }

    let id = client.send_written_as(5, 4, &DescribeLogDirsRequest::default().with_topics(None)).await;
    let mut answer = client.frame().await.unwrap();
    assert_eq!((answer.get_i32(), answer.get_u8()), (id, 0));
    let response = DescribeLogDirsResponse::decode(&mut answer, 4).unwrap();
    assert_eq!((response.results.len(), response.results[0].topics.len()), (1, 1));
    assert_eq!(&answer[..], [0], "a byte more for the one directory, which is open to new partitions");
    broker.stop().await;
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let mut frame = BytesMut::new();
    frame.put_slice(&[0, 0, 0, 12, 0, 18, 0, 9, 0, 0, 0, 77, 0, 0, 0, 0]);
    client.stream.write_all(&frame).await.unwrap();
    let mut answer = client.frame().await.unwrap();
    assert_eq!(answer.get_i32(), 77);
    let response = ApiVersionsResponse::decode(&mut answer, 0).unwrap();
    assert_eq!(response.error_code, 35);
    let own = response.api_keys.iter().find(|api| api.api_key == 18).unwrap();
    assert_eq!((own.min_version, own.max_version), (0, 4));
    assert!(!answer.has_remaining());
    // The connection goes on.
    assert_eq!(client.call(4, &ApiVersionsRequest::default()).await.error_code, 0);
    broker.stop().await;
}

/// Asks in every served version; `call` fails when the answer is not exactly one of that version.
macro_rules! every_version {
    ($client:ident, $versions:expr, $version:ident => $request:expr) => {
        for $version in $versions {
            $client.call($version, &$request).await;
        }
    };
}

#[tokio::test]
async fn every_version_is_answered_in_its_own_encoding() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    ask_in_every_version(&mut Client::connect(&broker).await).await;
    broker.stop().await;
}

/// Sends every version of every request that is answered in the encoding of its own version.
pub async fn ask_in_every_version(client: &mut Client) {
    let id = client.create("t", 1).await.topics[0].topic_id;
    super::groups::find_coordinator(client, 0, "g").await;
    super::groups::find_coordinator(client, 1, "id").await;
    client.produce("t", 0, batch(&["x"])).await;
    for known in [true, false] {
        let name = if known { "t" } else { "missing" };
        let id = if known { id } else { uuid::Uuid::from_u128(9) };
        every_version!(client, 3..=13, version => {
            let mut request = produce(if version >= 13 { "" } else { name }, 0, batch(&["x"]), None);
            if version >= 13 { request.topic_data[0].topic_id = id; }
            request
        });
        every_version!(client, 4..=18, version => {
            let mut request = fetch(if version >= 13 { "" } else { name }, 0, 0).with_isolation_level(1);
            if version >= 13 { request.topics[0].topic_id = id; }
            request
        });
        every_version!(client, 1..=10, version => {
            let partition = list_offsets_request::ListOffsetsPartition::default().with_timestamp(-1);
            let topic = list_offsets_request::ListOffsetsTopic::default()
                .with_name(topic_name(name)).with_partitions(vec![partition]);
            ListOffsetsRequest::default().with_topics(vec![topic])
        });
        every_version!(client, 0..=13, version => {
            let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            let request = MetadataRequest::default().with_topics(Some(vec![topic]));
            if version >= 4 { request.with_allow_auto_topic_creation(false) } else { request }
        });
        every_version!(client, 2..=9, version => {
            let partition = offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(1);
            let topic = offset_commit_request::OffsetCommitRequestTopic::default()
                .with_name(topic_name(name)).with_partitions(vec![partition]);
            OffsetCommitRequest::default().with_group_id(GroupId(text("g")))
                .with_generation_id_or_member_epoch(-1).with_topics(vec![topic])
        });
        every_version!(client, 1..=7, version => {
            let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
                .with_name(topic_name(name)).with_partition_indexes(vec![0]);
            OffsetFetchRequest::default().with_group_id(GroupId(text("g"))).with_topics(Some(vec![topic]))
        });
        every_version!(client, 8..=9, version => {
            let topic = offset_fetch_request::OffsetFetchRequestTopics::default()
                .with_name(topic_name(name)).with_partition_indexes(vec![0]);
            let group = offset_fetch_request::OffsetFetchRequestGroup::default()
                .with_group_id(GroupId(text("g"))).with_topics(Some(vec![topic]));
            OffsetFetchRequest::default().with_groups(vec![group])
        });
        by_topic_id(client, id).await;
        configs(client, name).await;
        every_version!(client, 0..=3, version => {
            let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
                .with_name(topic_name(name)).with_partitions(vec![0]);
            AddPartitionsToTxnRequest::default().with_v3_and_below_topics(vec![topic])
        });
        every_version!(client, 4..=5, version => {
            let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
                .with_name(topic_name(name)).with_partitions(vec![0]);
            let transaction = add_partitions_to_txn_request::AddPartitionsToTxnTransaction::default()
                .with_verify_only(known).with_topics(vec![topic]);
            AddPartitionsToTxnRequest::default().with_transactions(vec![transaction])
        });
        every_version!(client, 0..=4, version => {
            let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default();
            let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
                .with_name(topic_name(name)).with_partitions(vec![partition]);
            TxnOffsetCommitRequest::default().with_group_id(GroupId(text("g"))).with_topics(vec![topic])
        });
    }
    groups_and_topics(client).await;
    tools(client).await;
    security(client).await;
}

/// The versions of groups' offsets that name topics by their ids.
async fn by_topic_id(client: &mut Client, id: uuid::Uuid) {
    let body = offset_commit_v10(&commit_by_id("g", &[(id, &[(0, 1)])]));
    client.call_body::<OffsetCommitRequest>(10, &body).await;
    for topics in [Some(&[(id, &[0][..])][..]), None] {
        client.call_body::<OffsetFetchRequest>(10, &offset_fetch_v10(&fetch_by_id("g", topics))).await;
    }
}

async fn configs(client: &mut Client, name: &str) {
    every_version!(client, 1..=4, version => {
        let resource = describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(2).with_resource_name(text(name)).with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
        if version >= 3 { request.with_include_documentation(true) } else { request }
    });
    every_version!(client, 0..=2, version => {
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(2).with_resource_name(text(name));
        AlterConfigsRequest::default().with_resources(vec![resource])
    });
    every_version!(client, 0..=1, version => {
        let resource = incremental_alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(2).with_resource_name(text(name));
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
    });
}

async fn groups_and_topics(client: &mut Client) {
    for kind in [0, 1, 7] {
        every_version!(client, 0..=3, version => {
            let request = FindCoordinatorRequest::default().with_key(text("g"));
            if version >= 1 { request.with_key_type(kind) } else { request }
        });
        every_version!(client, 4..=6, version => {
            FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![text("g"), text("h")])
        });
    }
    every_version!(client, 0..=9, version => JoinGroupRequest::default().with_group_id(GroupId(text("g"))));
    every_version!(client, 0..=4, version => HeartbeatRequest::default().with_group_id(GroupId(text("g"))));
    every_version!(client, 0..=2, version => {
        LeaveGroupRequest::default().with_group_id(GroupId(text("g"))).with_member_id(text("m"))
    });
    every_version!(client, 3..=5, version => {
        let member = leave_group_request::MemberIdentity::default().with_member_id(text("m"));
        LeaveGroupRequest::default().with_group_id(GroupId(text("g"))).with_members(vec![member])
    });
    every_version!(client, 0..=5, version => SyncGroupRequest::default().with_group_id(GroupId(text("g"))));
    every_version!(client, 0..=6, version => {
        DescribeGroupsRequest::default()
            .with_groups(vec![GroupId(text("g")), GroupId(text("missing"))])
            .with_include_authorized_operations(version >= 3)
    });
    every_version!(client, 0..=5, version => ListGroupsRequest::default());
    every_version!(client, 0..=0, version => OffsetDeleteRequest::default().with_group_id(GroupId(text("g"))));
    every_version!(client, 0..=2, version => {
        DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text("g")), GroupId(text("missing"))])
    });
    every_version!(client, 0..=5, version => idempotent());
    every_version!(client, 0..=5, version => {
        InitProducerIdRequest::default().with_transactional_id(Some(TransactionalId(text(""))))
    });
    every_version!(client, 0..=4, version => AddOffsetsToTxnRequest::default().with_group_id(GroupId(text("g"))));
    every_version!(client, 0..=4, version => EndTxnRequest::default());
    every_version!(client, 0..=2, version => DescribeClusterRequest::default());
    for name in ["fresh", "a/b"] {
        every_version!(client, 2..=7, version => {
            let topic = create_topics_request::CreatableTopic::default()
                .with_name(topic_name(name)).with_num_partitions(1).with_replication_factor(1);
            CreateTopicsRequest::default().with_topics(vec![topic])
        });
        every_version!(client, 1..=5, version => {
            DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)])
        });
    }
    every_version!(client, 6..=6, version => {
        let topic = delete_topics_request::DeleteTopicState::default().with_name(Some(topic_name("missing")));
        DeleteTopicsRequest::default().with_topics(vec![topic])
    });
}

/// What the tools of administrators ask.
async fn tools(client: &mut Client) {
    for name in ["t", "missing"] {
        every_version!(client, 2..=4, version => {
            let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition::default();
            let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
                .with_topic(topic_name(name)).with_partitions(vec![partition]);
            OffsetForLeaderEpochRequest::default().with_topics(vec![topic])
        });
        every_version!(client, 0..=3, version => {
            let topic = create_partitions_request::CreatePartitionsTopic::default()
                .with_name(topic_name(name)).with_count(1).with_assignments(None);
            CreatePartitionsRequest::default().with_topics(vec![topic])
        });
        every_version!(client, 0..=2, version => {
            let topic = elect_leaders_request::TopicPartitions::default()
                .with_topic(topic_name(name)).with_partitions(vec![0]);
            ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic]))
        });
        every_version!(client, 0..=1, version => {
            let partition = alter_partition_reassignments_request::ReassignablePartition::default()
                .with_replicas(Some(vec![BrokerId(1)]));
            let topic = alter_partition_reassignments_request::ReassignableTopic::default()
                .with_name(topic_name(name)).with_partitions(vec![partition]);
            AlterPartitionReassignmentsRequest::default().with_topics(vec![topic])
        });
        every_version!(client, 0..=2, version => {
            let partition = describe_quorum_request::PartitionData::default();
            let name = if name == "t" { "__cluster_metadata" } else { name };
            let topic = describe_quorum_request::TopicData::default()
                .with_topic_name(topic_name(name)).with_partitions(vec![partition]);
            DescribeQuorumRequest::default().with_topics(vec![topic])
        });
        every_version!(client, 0..=2, version => {
            let update = update_features_request::FeatureUpdateKey::default()
                .with_feature(text(if name == "t" { "transaction.version" } else { name })).with_max_version_level(1);
            UpdateFeaturesRequest::default().with_feature_updates(vec![update])
        });
        let topic = write_txn_markers_request::WritableTxnMarkerTopic::default()
            .with_name(topic_name(name))
            .with_partition_indexes(vec![0]);
        let marker = write_txn_markers_request::WritableTxnMarker::default().with_topics(vec![topic]);
        let markers = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        client.call(1, &markers).await;
        let id = client.send_body::<WriteTxnMarkersRequest>(2, &write_txn_markers_v2(&markers, 2)).await;
        client.receive_written_as::<WriteTxnMarkersRequest>(2, 1, id).await;
        every_version!(client, 0..=0, version => {
            let topic = describe_producers_request::TopicRequest::default()
                .with_name(topic_name(name)).with_partition_indexes(vec![0]);
            DescribeProducersRequest::default().with_topics(vec![topic])
        });
        every_version!(client, 0..=0, version => {
            let topic = describe_topic_partitions_request::TopicRequest::default().with_name(topic_name(name));
            DescribeTopicPartitionsRequest::default().with_topics(vec![topic])
        });
    }
    every_version!(client, 0..=0, version => ListPartitionReassignmentsRequest::default().with_topics(None));
    every_version!(client, 0..=0, version => UnregisterBrokerRequest::default().with_broker_id(BrokerId(9)));
    every_version!(client, 0..=0, version => {
        DescribeTransactionsRequest::default().with_transactional_ids(vec![TransactionalId(text("id"))])
    });
    every_version!(client, 0..=2, version => ListTransactionsRequest::default());
    every_version!(client, 0..=1, version => ListConfigResourcesRequest::default());
}

/// What there is no security for.
async fn security(client: &mut Client) {
    every_version!(client, 0..=1, version => SaslHandshakeRequest::default().with_mechanism(text("PLAIN")));
    every_version!(client, 0..=2, version => SaslAuthenticateRequest::default());
    every_version!(client, 1..=3, version => DescribeAclsRequest::default());
    every_version!(client, 1..=3, version => {
        CreateAclsRequest::default().with_creations(vec![create_acls_request::AclCreation::default()])
    });
    every_version!(client, 1..=3, version => {
        DeleteAclsRequest::default().with_filters(vec![delete_acls_request::DeleteAclsFilter::default()])
    });
    every_version!(client, 0..=1, version => DescribeClientQuotasRequest::default());
    every_version!(client, 0..=1, version => {
        AlterClientQuotasRequest::default().with_entries(vec![alter_client_quotas_request::EntryData::default()])
    });
    every_version!(client, 0..=0, version => DescribeUserScramCredentialsRequest::default().with_users(None));
    every_version!(client, 0..=0, version => {
        let deletion = alter_user_scram_credentials_request::ScramCredentialDeletion::default().with_name(text("u"));
        AlterUserScramCredentialsRequest::default().with_deletions(vec![deletion])
    });
}
