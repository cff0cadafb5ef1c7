//! What `kafka-transactions.sh` and clients behind a change of the leader ask: transactions, producers, leader epochs.

use super::client::*;
use super::groups::find_coordinator;
use super::transactions::Producer;
use kafka_protocol::messages::*;

/// Begins a transaction in partition 0 of the topic and leaves it open; gives the producer.
async fn hang(client: &mut Client, id: &str, topic: &str) -> (i64, i16) {
    let producer = Producer::begin(client, id).await;
    assert_eq!(producer.add(client, topic, 0).await, 0);
    assert_eq!(producer.produce(client, topic, &["open", "too"], 0).await, 0);
    producer.producer
}

async fn producers(client: &mut Client, topic: &str, index: i32) -> describe_producers_response::PartitionResponse {
    let topic = describe_producers_request::TopicRequest::default()
        .with_name(topic_name(topic))
        .with_partition_indexes(vec![index, index]);
    let answer = client.call(0, &DescribeProducersRequest::default().with_topics(vec![topic])).await;
    assert_eq!(answer.topics[0].partitions.len(), 1, "a partition that is named twice is described once");
    answer.topics[0].partitions[0].clone()
}

#[tokio::test]
async fn a_hanging_transaction_is_found_and_aborted_in_its_partition() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let list = |request: ListTransactionsRequest| request.with_duration_filter(-1);
    let nothing = client.call(1, &list(ListTransactionsRequest::default())).await;
    assert!(nothing.error_code == 0 && nothing.transaction_states.is_empty(), "no coordinator yet");
    assert_eq!(client.produce("t", 0, batch(&["before"])).await.error_code, 0);
    let producer = hang(&mut client, "id", "t").await;

    let listed = client.call(1, &list(ListTransactionsRequest::default())).await;
    let state = &listed.transaction_states[0];
    let found = (state.transactional_id.0.as_str(), state.producer_id.0, state.transaction_state.as_str());
    assert_eq!((listed.transaction_states.len(), found), (1, ("id", producer.0, "Ongoing")));
    let filters = ListTransactionsRequest::default().with_state_filters(vec![text("Empty"), text("Asleep")]);
    let filtered = client.call(1, &list(filters)).await;
    assert_eq!((filtered.transaction_states.len(), &filtered.unknown_state_filters[..]), (0, &[text("Asleep")][..]));
    let dead = ListTransactionsRequest::default().with_state_filters(vec![text("Dead")]);
    let dead = client.call(1, &list(dead)).await;
    assert!(dead.transaction_states.is_empty() && dead.unknown_state_filters.is_empty());

    let ids = ["id", "unheard", "id"].map(|id| TransactionalId(text(id))).to_vec();
    let described = client.call(0, &DescribeTransactionsRequest::default().with_transactional_ids(ids)).await;
    let [known, unknown] = &described.transaction_states[..] else { panic!("{described:?}") };
    assert_eq!(
        (known.error_code, known.transaction_state.as_str(), known.transaction_timeout_ms),
        (0, "Ongoing", 60_000)
    );
    assert_eq!((known.topics[0].topic.0.as_str(), &known.topics[0].partitions[..]), ("t", &[0][..]));
    assert!(known.transaction_start_time_ms > 0);
    assert_eq!(unknown.error_code, 105, "TRANSACTIONAL_ID_NOT_FOUND");

    let active = producers(&mut client, "t", 0).await.active_producers;
    let [open] = &active[..] else { panic!("{active:?}") };
    assert_eq!((open.producer_id.0, open.producer_epoch, open.last_sequence), (producer.0, i32::from(producer.1), 1));
    assert_eq!((open.current_txn_start_offset, open.coordinator_epoch), (1, -1));
    assert_eq!(producers(&mut client, "t", 4).await.error_code, 3);

    // The producer's epoch may not be an older one's.
    let marker = |epoch: i16| {
        let topic = write_txn_markers_request::WritableTxnMarkerTopic::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0, 9]);
        let marker = write_txn_markers_request::WritableTxnMarker::default()
            .with_producer_id(ProducerId(producer.0))
            .with_producer_epoch(epoch)
            .with_transaction_result(false)
            .with_topics(vec![topic]);
        WriteTxnMarkersRequest::default().with_markers(vec![marker])
    };
    let late = client.call(1, &marker(producer.1 - 1)).await;
    assert_ne!(late.markers[0].topics[0].partitions[0].error_code, 0);
    assert_eq!(client.fetch("t", 0, 0, 1).await.last_stable_offset, 1);
    let written = client.call(1, &marker(producer.1)).await;
    let codes: Vec<i16> =
        written.markers[0].topics[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!((codes, written.markers[0].producer_id.0), (vec![0, 3], producer.0));
    let fetched = client.fetch("t", 0, 0, 1).await;
    assert_eq!((fetched.last_stable_offset, fetched.high_watermark), (4, 4), "the marker stands behind the records");
    assert_eq!(fetched.aborted_transactions.unwrap()[0].first_offset, 1);
    let [closed] = &producers(&mut client, "t", 0).await.active_producers[..] else { panic!("it is forgotten") };
    assert_eq!((closed.current_txn_start_offset, closed.coordinator_epoch), (-1, 0));
    broker.stop().await;
}

#[tokio::test]
async fn a_leader_epoch_ends_where_the_log_does() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    client.produce("t", 0, batch(&["a", "b"])).await;
    let mut ask = async |partition: i32, current: i32, epoch: i32| {
        let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
            .with_topic(topic_name("t"))
            .with_partitions(vec![partition]);
        let answer = client.call(4, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic])).await;
        let found = answer.topics[0].partitions[0].clone();
        (found.error_code, found.leader_epoch, found.end_offset)
    };
    assert_eq!(ask(0, -1, 0).await, (0, 0, 2));
    assert_eq!(ask(0, 0, 0).await, (0, 0, 2));
    assert_eq!(ask(0, -1, 5).await, (0, -1, -1), "the log knows no epoch that high");
    assert_eq!(ask(0, 5, 0).await, (75, -1, -1), "UNKNOWN_LEADER_EPOCH");
    assert_eq!(ask(3, -1, 0).await, (3, -1, -1));
    broker.stop().await;
}

#[tokio::test]
async fn transactional_ids_are_listed_by_an_expression() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    let list = async |client: &mut Client, pattern: Option<&str>| {
        let request = ListTransactionsRequest::default().with_transactional_id_pattern(pattern.map(text));
        let answer = client.call(2, &request).await;
        let ids = answer.transaction_states.iter().map(|found| found.transactional_id.0.to_string());
        let mut ids: Vec<String> = ids.collect();
        ids.sort();
        (answer.error_code, ids.join(" "))
    };
    assert_eq!(list(&mut client, Some("[")).await, (128, String::new()), "also where there is no coordinator yet");
    for id in ["orders-1", "orders-2", "my-orders-1"] {
        Producer::begin(&mut client, id).await;
    }
    for (pattern, expected) in [
        (None, "my-orders-1 orders-1 orders-2"),
        (Some(""), "my-orders-1 orders-1 orders-2"),
        (Some("orders-[0-9]"), "orders-1 orders-2"),
        (Some(".*-1"), "my-orders-1 orders-1"),
        (Some("orders"), ""),
    ] {
        assert_eq!(list(&mut client, pattern).await, (0, expected.to_owned()), "{pattern:?}");
    }
    assert_eq!(list(&mut client, Some("a)|(b")).await, (128, String::new()));
    broker.stop().await;
}

#[tokio::test]
async fn offsets_that_belong_to_no_transaction_are_refused_as_each_version_knows_it() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    let (producer_id, producer_epoch) = Producer::begin(&mut client, "id").await.producer;
    let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![txn_offset_commit_request::TxnOffsetCommitRequestPartition::default()]);
    let commit = TxnOffsetCommitRequest::default()
        .with_transactional_id(TransactionalId(text("id")))
        .with_group_id(GroupId(text("g")))
        .with_producer_id(ProducerId(producer_id))
        .with_producer_epoch(producer_epoch)
        .with_topics(vec![topic]);
    let mut error = async |version: i16| client.call(version, &commit).await.topics[0].partitions[0].error_code;
    assert_eq!(error(3).await, 48, "INVALID_TXN_STATE");
    assert_eq!(error(4).await, 120, "TRANSACTION_ABORTABLE");
    Producer::begin(&mut client, "id").await;
    for version in [0, 4] {
        let error = client.call(version, &commit).await.topics[0].partitions[0].error_code;
        assert_eq!(error, 47, "INVALID_PRODUCER_EPOCH: a newer instance has the id");
    }
    broker.stop().await;
}
