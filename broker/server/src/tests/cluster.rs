//! What administrators ask of the cluster: pages of topics, elections, moves, the quorum, features, and what there is no
//! security for.

use super::client::*;
use kafka_protocol::messages::*;

async fn page(
    client: &mut Client,
    limit: i32,
    cursor: Option<(&str, i32)>,
    names: &[&str],
) -> DescribeTopicPartitionsResponse {
    use describe_topic_partitions_request::{Cursor, TopicRequest};
    let cursor = cursor
        .map(|(topic, partition)| Cursor::default().with_topic_name(topic_name(topic)).with_partition_index(partition));
    let topics = names.iter().map(|name| TopicRequest::default().with_name(topic_name(name))).collect();
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(topics)
        .with_response_partition_limit(limit)
        .with_cursor(cursor);
    client.call(0, &request).await
}

/// A topic with the indexes of its partitions.
type Listed = (String, Vec<i32>);

/// The topics of a page with the indexes of their partitions, and its cursor.
fn shown(page: &DescribeTopicPartitionsResponse) -> (Vec<Listed>, Option<(String, i32)>) {
    let topic = |topic: &describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic| {
        let name = topic.name.as_ref().unwrap().0.to_string();
        (name, topic.partitions.iter().map(|partition| partition.partition_index).collect())
    };
    let cursor = page.next_cursor.as_ref().map(|cursor| (cursor.topic_name.0.to_string(), cursor.partition_index));
    (page.topics.iter().map(topic).collect(), cursor)
}

#[tokio::test]
async fn topics_are_described_page_by_page() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    for (name, partitions) in [("b", 3), ("a", 2), ("c", 1)] {
        client.create(name, partitions).await;
    }
    let owned = |name: &str, indexes: &[i32]| (name.to_owned(), indexes.to_vec());
    let first = page(&mut client, 3, None, &[]).await;
    assert_eq!(shown(&first), (vec![owned("a", &[0, 1]), owned("b", &[0])], Some(("b".to_owned(), 1))));
    assert_eq!(first.topics[0].topic_authorized_operations, 3576);
    let partition = &first.topics[0].partitions[0];
    assert_eq!(
        (partition.leader_id.0, partition.isr_nodes.len(), &partition.eligible_leader_replicas),
        (1, 1, &Some(vec![]))
    );
    let second = page(&mut client, 3, Some(("b", 1)), &[]).await;
    assert_eq!(shown(&second), (vec![owned("b", &[1, 2]), owned("c", &[0])], None));
    let exact = page(&mut client, 2, Some(("b", 1)), &[]).await;
    assert_eq!(shown(&exact), (vec![owned("b", &[1, 2])], Some(("c".to_owned(), 0))));
    let gone = page(&mut client, 9, Some(("bb", 7)), &[]).await;
    assert_eq!(shown(&gone), (vec![owned("c", &[0])], None), "the cursor's topic is gone");
    let named = page(&mut client, 9, None, &["c", "missing", "__cluster_metadata"]).await;
    let codes: Vec<i16> = named.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [3, 0, 3], "in the order of names");
    broker.stop().await;
}

#[tokio::test]
async fn one_broker_needs_no_election_and_nothing_moves() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let topic =
        elect_leaders_request::TopicPartitions::default().with_topic(topic_name("t")).with_partitions(vec![0, 5]);
    let elect = ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic]));
    let elected = client.call(2, &elect).await;
    let results = &elected.replica_election_results[0].partition_result;
    assert_eq!((elected.error_code, results[0].error_code, results[1].error_code), (0, 84, 3));
    let all = client.call(2, &ElectLeadersRequest::default().with_topic_partitions(None)).await;
    assert!(all.error_code == 0 && all.replica_election_results.is_empty());
    assert_eq!(client.call(2, &elect.with_election_type(7)).await.error_code, 42);

    use alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
    let moves = [Some(vec![1]), Some(vec![2]), Some(vec![]), Some(vec![1, 1]), None];
    for (replicas, expected) in moves.into_iter().zip([0, 39, 39, 39, 85]) {
        let replicas = replicas.map(|ids: Vec<i32>| ids.into_iter().map(BrokerId).collect());
        let partition = ReassignablePartition::default().with_replicas(replicas);
        let topic = ReassignableTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
        let answer = client.call(1, &request).await;
        assert_eq!(answer.responses[0].partitions[0].error_code, expected);
    }
    let moving = client.call(0, &ListPartitionReassignmentsRequest::default().with_topics(None)).await;
    assert!(moving.error_code == 0 && moving.topics.is_empty());

    let unregister = |id| UnregisterBrokerRequest::default().with_broker_id(BrokerId(id));
    assert_eq!(client.call(0, &unregister(9)).await.error_code, 102, "BROKER_ID_NOT_REGISTERED");
    assert_eq!(client.call(0, &unregister(1)).await.error_code, 42);
    broker.stop().await;
}

#[tokio::test]
async fn the_quorum_is_this_node_with_the_end_of_its_log() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let ask = |name: &str, index: i32| {
        let partition = describe_quorum_request::PartitionData::default().with_partition_index(index);
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(topic_name(name))
            .with_partitions(vec![partition]);
        DescribeQuorumRequest::default().with_topics(vec![topic])
    };
    let before = client.call(2, &ask("__cluster_metadata", 0)).await;
    client.create("t", 1).await;
    let after = client.call(2, &ask("__cluster_metadata", 0)).await;
    let end = |answer: &DescribeQuorumResponse| {
        let partition = &answer.topics[0].partitions[0];
        let voter = &partition.current_voters[0];
        assert_eq!((answer.error_code, partition.error_code, partition.leader_id.0, voter.replica_id.0), (0, 0, 1, 1));
        assert_eq!((partition.current_voters.len(), partition.high_watermark), (1, voter.log_end_offset));
        assert!(!voter.replica_directory_id.is_nil() && voter.last_caught_up_timestamp > 0);
        voter.log_end_offset
    };
    assert!(end(&after) > end(&before), "the topic is in the log");
    assert_eq!(after.nodes[0].listeners[0].port, broker.addresses()[0].port());
    for other in [ask("t", 0), ask("__cluster_metadata", 1)] {
        assert_eq!(client.call(2, &other).await.topics[0].partitions[0].error_code, 3);
    }
    broker.stop().await;
}

#[tokio::test]
async fn features_have_one_version_each() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let update = |name: &str, level: i16| {
        let update =
            update_features_request::FeatureUpdateKey::default().with_feature(text(name)).with_max_version_level(level);
        UpdateFeaturesRequest::default().with_feature_updates(vec![update])
    };
    for (name, level, expected) in
        [("transaction.version", 1, 0), ("transaction.version", 2, 95), ("group.version", 1, 95)]
    {
        assert_eq!(client.call(2, &update(name, level)).await.error_code, expected, "{name}={level}");
        assert_eq!(client.call(1, &update(name, level)).await.results[0].error_code, expected);
    }
    let mut doubled = update("transaction.version", 1);
    doubled.feature_updates.push(doubled.feature_updates[0].clone());
    assert_eq!(client.call(2, &doubled).await.error_code, 42);
    broker.stop().await;
}

#[tokio::test]
async fn resources_with_configs_are_listed_by_type() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let ask = |types: &[i8]| ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
    let shown = |answer: &ListConfigResourcesResponse| -> Vec<(i8, String)> {
        answer.config_resources.iter().map(|found| (found.resource_type, found.resource_name.to_string())).collect()
    };
    let all = client.call(1, &ask(&[])).await;
    assert_eq!(shown(&all), [(2, "t".to_owned()), (4, "1".to_owned())]);
    assert_eq!(shown(&client.call(1, &ask(&[4, 32])).await), [(4, "1".to_owned())]);
    assert_eq!(client.call(1, &ask(&[3])).await.error_code, 35);
    assert!(client.call(0, &ListConfigResourcesRequest::default()).await.config_resources.is_empty());
    broker.stop().await;
}

#[tokio::test]
async fn what_there_is_no_security_for_says_so() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.call(1, &SaslHandshakeRequest::default().with_mechanism(text("PLAIN"))).await.error_code, 34);
    assert_eq!(client.call(2, &SaslAuthenticateRequest::default()).await.error_code, 34);
    assert_eq!(client.call(3, &DescribeAclsRequest::default()).await.error_code, 54);
    let create = CreateAclsRequest::default().with_creations(vec![create_acls_request::AclCreation::default(); 2]);
    let codes: Vec<i16> = client.call(3, &create).await.results.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [54, 54]);
    let delete = DeleteAclsRequest::default().with_filters(vec![delete_acls_request::DeleteAclsFilter::default()]);
    assert_eq!(client.call(3, &delete).await.filter_results[0].error_code, 54);

    use describe_client_quotas_request::ComponentData;
    let component =
        |kind: &str| ComponentData::default().with_entity_type(text(kind)).with_match_type(2).with_match(None);
    let quotas = |kinds: &[&str]| {
        DescribeClientQuotasRequest::default().with_components(kinds.iter().map(|kind| component(kind)).collect())
    };
    let found = client.call(1, &quotas(&["user", "client-id"])).await;
    assert_eq!((found.error_code, found.entries), (0, Some(vec![])));
    for (kinds, expected) in [(&["group"][..], 35), (&["user", "user"], 42), (&["user", "ip"], 42)] {
        assert_eq!(client.call(1, &quotas(kinds)).await.error_code, expected, "{kinds:?}");
    }
    use alter_client_quotas_request::{EntityData, EntryData, OpData};
    let entity = EntityData::default().with_entity_type(text("user")).with_entity_name(Some(text("u")));
    for (remove, expected) in [(false, 44), (true, 0)] {
        let op = OpData::default().with_key(text("producer_byte_rate")).with_value(1.0).with_remove(remove);
        let entry = EntryData::default().with_entity(vec![entity.clone()]).with_ops(vec![op]);
        let answer = client.call(1, &AlterClientQuotasRequest::default().with_entries(vec![entry])).await;
        assert_eq!(answer.entries[0].error_code, expected);
    }

    use describe_user_scram_credentials_request::UserName;
    let users = vec![UserName::default().with_name(text("u"))];
    let all = client.call(0, &DescribeUserScramCredentialsRequest::default().with_users(None)).await;
    assert!(all.error_code == 0 && all.results.is_empty());
    let one = client.call(0, &DescribeUserScramCredentialsRequest::default().with_users(Some(users))).await;
    assert_eq!(one.results[0].error_code, 91, "RESOURCE_NOT_FOUND");
    use alter_user_scram_credentials_request::ScramCredentialUpsertion;
    let upsertion = ScramCredentialUpsertion::default().with_name(text("u")).with_mechanism(1).with_iterations(4096);
    let upsert = AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion]);
    assert_eq!(client.call(0, &upsert).await.results[0].error_code, 33);
    broker.stop().await;
}

#[tokio::test]
async fn what_a_client_may_do_is_told_when_it_asks() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let ask = |asks| {
        MetadataRequest::default()
            .with_topics(None)
            .with_include_topic_authorized_operations(asks)
            .with_include_cluster_authorized_operations(asks)
    };
    let told = client.call(9, &ask(true)).await;
    assert_eq!((told.topics[0].topic_authorized_operations, told.cluster_authorized_operations), (3576, 8096));
    let untold = client.call(9, &ask(false)).await;
    assert_eq!(
        (untold.topics[0].topic_authorized_operations, untold.cluster_authorized_operations),
        (i32::MIN, i32::MIN)
    );
    let cluster = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    assert_eq!(client.call(2, &cluster).await.cluster_authorized_operations, 8096);
    broker.stop().await;
}
