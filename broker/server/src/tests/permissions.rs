//! Every handler asks the authorizer before it looks at anything; here it allows only what a test lets it.

use super::client::*;
use crate::Broker;
use crate::auth::{AclOperation, Authorizer, Resource, Subject};
use kafka_protocol::messages::*;
use pelton_core::refusal::Protected;
use std::path::Path;
use std::sync::{Arc, Mutex};

const TOPIC: i16 = 29;
const CLUSTER: i16 = 31;
const TRANSACTIONAL_ID: i16 = 53;

/// Allows these operations on resources of any name, and notes nothing.
#[derive(Debug, Default)]
struct Allowing(Mutex<Vec<AclOperation>>);

impl Authorizer for Allowing {
    fn allows(&self, subject: Subject<'_>, operation: AclOperation, _: Resource<'_>) -> bool {
        assert_eq!((subject.principal, subject.client_host), ("User:ANONYMOUS", "/127.0.0.1"));
        self.0.lock().unwrap().contains(&operation)
    }

    fn allows_anywhere(&self, subject: Subject<'_>, operation: AclOperation, _: Protected) -> bool {
        self.allows(subject, operation, Resource::Cluster)
    }
}

async fn start_with(path: &Path, allowing: &Arc<Allowing>) -> Broker {
    let settings = crate::ServerConfig { authorizer: allowing.clone(), ..config(path) };
    Broker::start(settings, no_plugins).await.unwrap()
}

#[tokio::test]
async fn who_may_do_nothing_to_topics_is_told_so_and_changes_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let allowing = Arc::new(Allowing(Mutex::new(vec![AclOperation::Create])));
    let broker = start_with(temporary.path(), &allowing).await;
    let mut client = Client::connect(&broker).await;
    let id = client.create("t", 1).await.topics[0].topic_id;
    allowing.0.lock().unwrap().clear();
    assert_eq!(client.create("u", 1).await.topics[0].error_code, TOPIC);
    assert_eq!(client.produce("t", 0, batch(&["x"])).await.error_code, TOPIC);
    assert_eq!(client.fetch("t", 0, 0, 0).await.error_code, TOPIC);
    // Nobody learns by asking which topics there are.
    assert_eq!(client.produce("missing", 0, batch(&["x"])).await.error_code, TOPIC);
    assert_eq!(client.fetch("missing", 0, 0, 0).await.error_code, TOPIC);
    let produced = client.call(9, &produce("t", 0, batch(&["x"]), Some("id"))).await;
    assert_eq!(produced.responses[0].partition_responses[0].error_code, TRANSACTIONAL_ID);

    let all = client.call(9, &MetadataRequest::default().with_topics(None)).await;
    assert!(all.topics.is_empty() && !all.brokers.is_empty());
    let by_name = metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let fresh = metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name("fresh")));
    let by_id = metadata_request::MetadataRequestTopic::default().with_name(None).with_topic_id(id);
    let request = MetadataRequest::default().with_topics(Some(vec![by_name, fresh, by_id]));
    let codes: Vec<i16> = client.call(12, &request).await.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [TOPIC, TOPIC, 100], "an id tells nothing");

    let more = create_partitions_request::CreatePartitionsTopic::default()
        .with_name(topic_name("t"))
        .with_count(2)
        .with_assignments(None);
    let grown = client.call(3, &CreatePartitionsRequest::default().with_topics(vec![more])).await;
    assert_eq!(grown.results[0].error_code, TOPIC);
    for (state, expected) in [
        (delete_topics_request::DeleteTopicState::default().with_name(Some(topic_name("t"))), TOPIC),
        (delete_topics_request::DeleteTopicState::default().with_name(Some(topic_name("missing"))), TOPIC),
        (delete_topics_request::DeleteTopicState::default().with_name(None).with_topic_id(id), 100),
    ] {
        let deleted = client.call(6, &DeleteTopicsRequest::default().with_topics(vec![state])).await;
        assert_eq!(deleted.responses[0].error_code, expected);
    }
    let partition = list_offsets_request::ListOffsetsPartition::default().with_timestamp(-1);
    let topic =
        list_offsets_request::ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
    let listed = client.call(7, &ListOffsetsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(listed.topics[0].partitions[0].error_code, TOPIC);
    let partition = delete_records_request::DeleteRecordsPartition::default();
    let topic = delete_records_request::DeleteRecordsTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let deleted = client.call(2, &DeleteRecordsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(deleted.topics[0].partitions[0].error_code, TOPIC);
    let topic =
        describe_producers_request::TopicRequest::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
    let described = client.call(0, &DescribeProducersRequest::default().with_topics(vec![topic])).await;
    assert_eq!(described.topics[0].partitions[0].error_code, TOPIC);
    let pages = client.call(0, &DescribeTopicPartitionsRequest::default()).await;
    assert!(pages.topics.is_empty());
    assert_eq!(broker.image().topics.len(), 1);
    assert_eq!(broker.image().topic("t").unwrap().partitions, 1);
    broker.stop().await;
}

#[tokio::test]
async fn who_may_do_nothing_to_the_cluster_is_told_so() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start_with(temporary.path(), &Arc::default()).await;
    let mut client = Client::connect(&broker).await;
    let resource = |kind: i8, name: &str| {
        describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequest::default().with_resources(vec![resource(2, "t"), resource(4, "1")]);
    let codes: Vec<i16> = client.call(4, &request).await.results.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [TOPIC, CLUSTER]);
    let alter = |kind: i8, name: &str| {
        incremental_alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
    };
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![alter(2, "t"), alter(4, "")]);
    let codes: Vec<i16> = client.call(1, &request).await.responses.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [TOPIC, CLUSTER]);

    assert_eq!(client.call(2, &ElectLeadersRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(1, &AlterPartitionReassignmentsRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(0, &ListPartitionReassignmentsRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(2, &DescribeQuorumRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(2, &UpdateFeaturesRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(0, &UnregisterBrokerRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(1, &ListConfigResourcesRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(3, &DescribeAclsRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(1, &DescribeClientQuotasRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(0, &DescribeUserScramCredentialsRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(4, &DescribeLogDirsRequest::default()).await.error_code, CLUSTER);
    assert_eq!(client.call(4, &idempotent()).await.error_code, CLUSTER);
    broker.stop().await;
}

#[tokio::test]
async fn who_may_do_nothing_to_transactions_is_told_so() {
    let temporary = tempfile::tempdir().unwrap();
    let allowing = Arc::<Allowing>::default();
    let broker = start_with(temporary.path(), &allowing).await;
    let mut client = Client::connect(&broker).await;
    let id = || TransactionalId(text("id"));
    let init = InitProducerIdRequest::default().with_transactional_id(Some(id())).with_transaction_timeout_ms(60_000);
    assert_eq!(client.call(4, &init).await.error_code, TRANSACTIONAL_ID);
    let end = EndTxnRequest::default().with_transactional_id(id());
    assert_eq!(client.call(3, &end).await.error_code, TRANSACTIONAL_ID);
    let offsets = AddOffsetsToTxnRequest::default().with_transactional_id(id()).with_group_id(GroupId(text("g")));
    assert_eq!(client.call(3, &offsets).await.error_code, TRANSACTIONAL_ID);
    let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![0]);
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id())
        .with_v3_and_below_topics(vec![topic]);
    let added = client.call(3, &add).await;
    let code = added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
    assert_eq!(code, TRANSACTIONAL_ID);
    let transaction = add_partitions_to_txn_request::AddPartitionsToTxnTransaction::default()
        .with_transactional_id(id())
        .with_topics(add.v3_and_below_topics.clone());
    let batched = AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]);
    for version in [4, 5] {
        let added = client.call(version, &batched).await;
        assert_eq!((added.error_code, added.results_by_transaction.len()), (CLUSTER, 0), "v{version}");
    }
    let described = client.call(0, &DescribeTransactionsRequest::default().with_transactional_ids(vec![id()])).await;
    assert_eq!(described.transaction_states[0].error_code, TRANSACTIONAL_ID);
    let topic = write_txn_markers_request::WritableTxnMarkerTopic::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0]);
    let marker = write_txn_markers_request::WritableTxnMarker::default().with_topics(vec![topic]);
    let markers = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    assert_eq!(client.call(1, &markers).await.markers[0].topics[0].partitions[0].error_code, CLUSTER);
    assert!(broker.image().topics.is_empty(), "nobody made a coordinator's topic");

    // UNKNOWN_TOPIC_OR_PARTITION: it was looked for.
    for operation in [AclOperation::Alter, AclOperation::ClusterAction] {
        *allowing.0.lock().unwrap() = vec![operation];
        let written = client.call(1, &markers).await;
        assert_eq!(written.markers[0].topics[0].partitions[0].error_code, 3, "{operation:?}");
    }
    *allowing.0.lock().unwrap() = vec![AclOperation::ClusterAction];
    let added = client.call(4, &batched).await;
    let code = added.results_by_transaction[0].topic_results[0].results_by_partition[0].partition_error_code;
    assert_eq!((added.error_code, code), (0, 3), "brokers need no right to the id or to the topic");
    for operation in [AclOperation::IdempotentWrite, AclOperation::Write] {
        *allowing.0.lock().unwrap() = vec![operation];
        assert_eq!(client.call(4, &idempotent()).await.error_code, 0, "{operation:?}");
    }
    let half = init.with_producer_id(ProducerId(7));
    assert_eq!(client.call(4, &half).await.error_code, 42, "INVALID_REQUEST: an id without an epoch");
    broker.stop().await;
}
