use super::client::*;
use super::groups::{committed, find_coordinator};
use kafka_protocol::messages::*;
use std::time::Duration;

const CONCURRENT_TRANSACTIONS: i16 = 51;

/// A producer with a transactional id.
pub struct Producer {
    pub id: String,
    pub producer: (i64, i16),
}

impl Producer {
    pub async fn begin(client: &mut Client, id: &str) -> Self {
        find_coordinator(client, 1, id).await;
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(id))))
            .with_transaction_timeout_ms(60_000);
        loop {
            let given = client.call(4, &request).await;
            if given.error_code != CONCURRENT_TRANSACTIONS {
                assert_eq!(given.error_code, 0);
                return Self { id: id.to_owned(), producer: (given.producer_id.0, given.producer_epoch) };
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn add(&self, client: &mut Client, topic: &str, partition: i32) -> i16 {
        let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(&self.id)))
            .with_v3_and_below_producer_id(ProducerId(self.producer.0))
            .with_v3_and_below_producer_epoch(self.producer.1)
            .with_v3_and_below_topics(vec![topic]);
        // The markers of the transaction before may still be on their way, as every client knows.
        loop {
            let response = client.call(3, &request).await;
            let error = response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
            if error != CONCURRENT_TRANSACTIONS {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn produce(&self, client: &mut Client, topic: &str, values: &[&str], sequence: i32) -> i16 {
        let batch = producer_batch(values, self.producer, sequence, true);
        let response = client.call(9, &produce(topic, 0, batch, Some(&self.id))).await;
        response.responses[0].partition_responses[0].error_code
    }

    /// Commits the offset of partition 0 of `t` for the group, with the transaction.
    pub async fn commit(&self, client: &mut Client, group: &str, offset: i64) {
        let add = AddOffsetsToTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&self.id)))
            .with_producer_id(ProducerId(self.producer.0))
            .with_producer_epoch(self.producer.1)
            .with_group_id(GroupId(text(group)));
        // The markers of the transaction before may still be on their way.
        eventually("the transaction before is over", async || client.call(3, &add).await.error_code == 0).await;
        let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default()
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("")));
        let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(TransactionalId(text(&self.id)))
            .with_group_id(GroupId(text(group)))
            .with_producer_id(ProducerId(self.producer.0))
            .with_producer_epoch(self.producer.1)
            .with_generation_id(-1)
            .with_topics(vec![topic]);
        assert_eq!(client.call(3, &request).await.topics[0].partitions[0].error_code, 0);
    }

    pub async fn end(&self, client: &mut Client, commit: bool) -> i16 {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&self.id)))
            .with_producer_id(ProducerId(self.producer.0))
            .with_producer_epoch(self.producer.1)
            .with_committed(commit);
        client.call(3, &request).await.error_code
    }
}

/// Fetches until the last stable offset has reached the end, so that every marker is written.
pub async fn settled(client: &mut Client, topic: &str, partition: i32, isolation: i8) -> fetch_response::PartitionData {
    loop {
        let fetched = client.fetch(topic, partition, 0, isolation).await;
        if fetched.last_stable_offset == fetched.high_watermark {
            return fetched;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn read_committed_sees_a_transaction_when_it_is_committed() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let producer = Producer::begin(&mut client, "id").await;
    assert_eq!(producer.add(&mut client, "t", 0).await, 0);
    assert_eq!(producer.produce(&mut client, "t", &["a", "b"], 0).await, 0);
    let open = client.fetch("t", 0, 0, 1).await;
    assert_eq!((open.high_watermark, open.last_stable_offset), (2, 0));
    assert!(values(&open.records).is_empty());
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["a", "b"]);
    assert_eq!(producer.end(&mut client, true).await, 0);
    let closed = settled(&mut client, "t", 0, 1).await;
    assert_eq!(values(&closed.records), ["a", "b"]);
    assert_eq!(closed.high_watermark, 3, "the marker takes an offset");
    assert_eq!(closed.aborted_transactions, Some(Vec::new()));
    broker.stop().await;
}

#[tokio::test]
async fn an_aborted_transaction_is_named_to_read_committed_readers() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let producer = Producer::begin(&mut client, "id").await;
    producer.add(&mut client, "t", 0).await;
    producer.produce(&mut client, "t", &["bad"], 0).await;
    assert_eq!(producer.end(&mut client, false).await, 0);
    producer.add(&mut client, "t", 0).await;
    assert_eq!(producer.produce(&mut client, "t", &["good"], 1).await, 0);
    assert_eq!(producer.end(&mut client, true).await, 0);
    let fetched = settled(&mut client, "t", 0, 1).await;
    let aborted = fetched.aborted_transactions.unwrap();
    assert_eq!(aborted.len(), 1);
    assert_eq!((aborted[0].producer_id.0, aborted[0].first_offset), (producer.producer.0, 0));
    assert_eq!(fetched.high_watermark, 4);
    let uncommitted = client.fetch("t", 0, 0, 0).await;
    assert_eq!(uncommitted.aborted_transactions, None);
    broker.stop().await;
}

#[tokio::test]
async fn a_second_instance_fences_the_first() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let first = Producer::begin(&mut client, "id").await;
    first.add(&mut client, "t", 0).await;
    assert_eq!(first.produce(&mut client, "t", &["zombie"], 0).await, 0);
    let second = Producer::begin(&mut client, "id").await;
    assert_eq!(second.producer.0, first.producer.0);
    assert!(second.producer.1 > first.producer.1);
    assert_eq!(first.end(&mut client, true).await, 90, "PRODUCER_FENCED");
    assert_ne!(first.produce(&mut client, "t", &["late"], 1).await, 0);
    second.add(&mut client, "t", 0).await;
    assert_eq!(second.produce(&mut client, "t", &["new"], 0).await, 0);
    assert_eq!(second.end(&mut client, true).await, 0);
    let fetched = settled(&mut client, "t", 0, 1).await;
    assert_eq!(values(&fetched.records), ["zombie", "new"]);
    assert_eq!(fetched.aborted_transactions.unwrap().len(), 1, "what the first instance wrote is named as aborted");
    broker.stop().await;
}

#[tokio::test]
async fn a_partition_must_be_enlisted_before_it_is_written() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    client.create("u", 1).await;
    let producer = Producer::begin(&mut client, "id").await;
    producer.add(&mut client, "t", 0).await;
    assert_eq!(producer.produce(&mut client, "u", &["x"], 0).await, 48, "INVALID_TXN_STATE");
    assert_eq!(producer.add(&mut client, "missing", 0).await, 3);
    assert_eq!(producer.end(&mut client, true).await, 0);
    assert_eq!(client.fetch("u", 0, 0, 0).await.high_watermark, 0);
    broker.stop().await;
}

#[tokio::test]
async fn offsets_of_a_transaction_are_committed_with_it() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    let producer = Producer::begin(&mut client, "id").await;
    for (round, commit) in [(1, false), (2, true)] {
        producer.add(&mut client, "t", 0).await;
        producer.commit(&mut client, "g", 10 * round).await;
        assert_eq!(committed(&mut client, "g").await.0, -1, "pending offsets are nobody's yet");
        assert_eq!(producer.end(&mut client, commit).await, 0);
    }
    while committed(&mut client, "g").await.0 != 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    broker.stop().await;
}
