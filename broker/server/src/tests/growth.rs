//! CreatePartitions, and what must survive it.

use super::client::*;
use super::groups::{commit_offsets, find_coordinator};
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::*;

fn more(name: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count).with_assignments(None)
}

async fn grow(client: &mut Client, topics: Vec<CreatePartitionsTopic>, validate_only: bool) -> Vec<i16> {
    let request = CreatePartitionsRequest::default().with_topics(topics).with_validate_only(validate_only);
    client.call(3, &request).await.results.iter().map(|result| result.error_code).collect()
}

async fn partitions(client: &mut Client, name: &str) -> usize {
    let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    client.call(9, &request).await.topics[0].partitions.len()
}

#[tokio::test]
async fn a_topic_grows_and_keeps_its_records_its_offsets_and_its_id() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    let id = broker.image().topic("t").unwrap().id;
    find_coordinator(&mut client, 0, "g").await;
    assert_eq!(client.produce("t", 1, batch(&["before"])).await.error_code, 0);
    let commit = commit_offsets("g", &[("t", &[(1, 1)])]);
    assert_eq!(client.call(8, &commit).await.topics[0].partitions[0].error_code, 0);

    assert_eq!(grow(&mut client, vec![more("t", 4)], true).await, [0]);
    assert_eq!(partitions(&mut client, "t").await, 2, "it was only checked");
    assert_eq!(grow(&mut client, vec![more("t", 4)], false).await, [0]);
    assert_eq!(partitions(&mut client, "t").await, 4);
    assert_eq!(client.produce("t", 3, batch(&["after"])).await.error_code, 0);
    assert_eq!(broker.image().topic("t").unwrap().id, id);
    broker.stop().await;

    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(values(&client.fetch("t", 1, 0, 0).await.records), ["before"]);
    assert_eq!(values(&client.fetch("t", 3, 0, 0).await.records), ["after"]);
    let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![1]);
    let fetch = OffsetFetchRequest::default().with_group_id(GroupId(text("g"))).with_topics(Some(vec![topic]));
    assert_eq!(client.call(7, &fetch).await.topics[0].partitions[0].committed_offset, 1);
    broker.stop().await;
}

#[tokio::test]
async fn what_is_no_increase_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    client.create("u", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    let assigned = |brokers: &[&[i32]]| {
        let assignment = |ids: &&[i32]| {
            CreatePartitionsAssignment::default().with_broker_ids(ids.iter().map(|id| BrokerId(*id)).collect())
        };
        more("t", 4).with_assignments(Some(brokers.iter().map(assignment).collect()))
    };
    let asked = vec![
        more("t", 2),
        more("u", 2),
        more("missing", 3),
        more("__consumer_offsets", 5),
        more("__cluster_metadata", 5),
    ];
    let codes = grow(&mut client, asked, false).await;
    assert_eq!(codes, [37, 0, 3, 42, 3], "INVALID_PARTITIONS for as many as there are; the others by themselves");
    assert_eq!(grow(&mut client, vec![more("t", 1)], false).await, [37]);
    assert_eq!(grow(&mut client, vec![more("t", 3), more("t", 4)], false).await, [42, 42], "named twice");
    for wrong in [&[&[1][..]][..], &[&[1], &[2]], &[&[1], &[]], &[&[1], &[1, 1]]] {
        assert_eq!(grow(&mut client, vec![assigned(wrong)], false).await, [39], "{wrong:?}");
    }
    assert_eq!(partitions(&mut client, "t").await, 2);
    assert_eq!(grow(&mut client, vec![assigned(&[&[1], &[1]])], false).await, [0]);
    assert_eq!((partitions(&mut client, "t").await, partitions(&mut client, "u").await), (4, 2));
    broker.stop().await;
}
