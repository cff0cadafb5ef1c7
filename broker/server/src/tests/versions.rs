use super::client::*;
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
        assert!(answer.supported_features.is_empty() && answer.finalized_features.is_empty());
        let produce = answer.api_keys.iter().find(|api| api.api_key == 0).unwrap();
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
    }
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
    let mut client = Client::connect(&broker).await;
    let id = client.create("t", 1).await.topics[0].topic_id;
    super::groups::find_coordinator(&mut client, 0, "g").await;
    super::groups::find_coordinator(&mut client, 1, "id").await;
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
        configs(&mut client, name).await;
        every_version!(client, 0..=3, version => {
            let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
                .with_name(topic_name(name)).with_partitions(vec![0]);
            AddPartitionsToTxnRequest::default().with_v3_and_below_topics(vec![topic])
        });
        every_version!(client, 0..=4, version => {
            let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default();
            let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
                .with_name(topic_name(name)).with_partitions(vec![partition]);
            TxnOffsetCommitRequest::default().with_group_id(GroupId(text("g"))).with_topics(vec![topic])
        });
    }
    groups_and_topics(&mut client).await;
    broker.stop().await;
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
        every_version!(client, 4..=5, version => {
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
