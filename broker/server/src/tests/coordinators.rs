//! The coordinators' own topics are compacted like any other, and what they hold is all there afterwards.

use super::client::*;
use super::configs::{SET, alter};
use super::groups::{commit, committed, find_coordinator, join, sync};
use super::transactions::{Producer, settled};
use crate::{Broker, ServerConfig};
use kafka_protocol::messages::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Keys and the records that the active segment may hold beside them.
const ACTIVE: usize = 12;

/// One partition for each coordinator.
fn one_each(path: &Path) -> ServerConfig {
    let mut config = config(path);
    config.cleaner.backoff_ms = 5;
    config.core.offsets_topic_partitions = 1;
    config.core.transaction_topic_partitions = 1;
    config
}

/// Starts again after a kill, without a cleaner: what is there was left by the one before.
async fn without_cleaner(path: &Path) -> Broker {
    let mut config = one_each(path);
    config.cleaner.enable = false;
    Broker::start(config, no_plugins).await.expect("the broker starts on what the cleaner left")
}

async fn use_small_segments(client: &mut Client, topic: &str) {
    let changes = [
        ("segment.bytes", SET, Some("400")),
        ("min.cleanable.dirty.ratio", SET, Some("0.01")),
        ("file.delete.delay.ms", SET, Some("0")),
    ];
    assert_eq!(alter(client, topic, &changes).await, (0, String::new()));
}

/// How many records the only partition of the topic holds, those of markers left out, and where it ends.
async fn records(client: &mut Client, topic: &str) -> (usize, i64) {
    let (mut next, mut count) = (0, 0);
    loop {
        let fetched = client.fetch(topic, 0, next, 0).await;
        assert_eq!(fetched.error_code, 0);
        let bytes = fetched.records.unwrap_or_default();
        if bytes.is_empty() {
            return (count, fetched.high_watermark);
        }
        for batch in pelton_record::batches(&bytes) {
            let batch = batch.unwrap();
            let header = batch.header();
            count += if header.attributes.is_control() { 0 } else { header.record_count as usize };
            next = header.next_offset();
        }
    }
}

async fn compacted(client: &mut Client, topic: &str, keys: usize) {
    let (mut left, mut end) = (0, 0);
    eventually(&format!("{topic} is compacted"), async || {
        (left, end) = records(client, topic).await;
        left <= keys + ACTIVE
    })
    .await;
    assert!(end > 4 * left as i64, "{left} records are left of {end}, so little was there to compact");
}

/// A group with one member; its id and the generation.
async fn member(client: &mut Client, group: &str) -> (String, i32) {
    let joined = client.call(3, &join(group, "")).await;
    assert_eq!(joined.error_code, 0);
    let member = joined.member_id.to_string();
    assert_eq!(client.call(3, &sync(group, joined.generation_id, &member, true)).await.error_code, 0);
    (member, joined.generation_id)
}

#[tokio::test]
async fn every_committed_offset_and_every_group_outlives_compaction() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = Broker::start(one_each(temporary.path()), no_plugins).await.unwrap();
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 0, "g").await;
    use_small_segments(&mut client, "__consumer_offsets").await;
    let (member, generation) = member(&mut client, "with-a-member").await;
    let mut expected = BTreeMap::new();
    let mut commits = async |client: &mut Client, group: String, offset: i64| {
        let answer = client.call(8, &commit(&group, -1, "", offset)).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        expected.insert(group, offset);
    };
    commits(&mut client, "once".to_owned(), 7).await;
    let producer = Producer::begin(&mut client, "id").await;
    for round in 0..40 {
        for group in 0..4 {
            commits(&mut client, format!("g{group}"), 10 * round + group).await;
        }
        producer.commit(&mut client, "transactional", round).await;
        assert_eq!(producer.end(&mut client, round % 2 == 0).await, 0);
    }
    expected.insert("transactional".to_owned(), 38);
    eventually("the last transaction is over", async || committed(&mut client, "transactional").await.0 == 38).await;
    // Six groups with offsets, one with a member.
    compacted(&mut client, "__consumer_offsets", 7).await;
    // This one is open when the broker is killed.
    producer.commit(&mut client, "undecided", 99).await;
    drop(client);
    drop(broker);

    let again = without_cleaner(temporary.path()).await;
    let mut client = Client::connect(&again).await;
    for (group, offset) in &expected {
        assert_eq!(committed(&mut client, group).await.0, *offset, "{group}");
    }
    assert_eq!(committed(&mut client, "undecided").await.0, -1);
    assert_eq!(producer.end(&mut client, true).await, 0);
    eventually("the undecided offset is decided", async || committed(&mut client, "undecided").await.0 == 99).await;
    let beat = HeartbeatRequest::default()
        .with_group_id(GroupId(text("with-a-member")))
        .with_generation_id(generation)
        .with_member_id(text(&member));
    assert_eq!(client.call(4, &beat).await.error_code, 0, "the member and its generation are known");
    again.stop().await;
}

#[tokio::test]
async fn every_transactional_id_outlives_compaction() {
    const IDS: [&str; 4] = ["a", "b", "c", "d"];
    let temporary = tempfile::tempdir().unwrap();
    let broker = Broker::start(one_each(temporary.path()), no_plugins).await.unwrap();
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    find_coordinator(&mut client, 1, "a").await;
    use_small_segments(&mut client, "__transaction_state").await;
    let mut producers = Vec::new();
    let mut expected = Vec::new();
    for id in IDS {
        producers.push(Producer::begin(&mut client, id).await);
    }
    for round in 0..20 {
        for producer in &producers {
            assert_eq!(producer.add(&mut client, "t", 0).await, 0);
            let value = format!("{}-{round}", producer.id);
            assert_eq!(producer.produce(&mut client, "t", &[&value], round).await, 0);
            let commit = round % 3 != 0;
            assert_eq!(producer.end(&mut client, commit).await, 0);
            expected.extend(commit.then_some(value));
        }
    }
    settled(&mut client, "t", 0, 1).await;
    compacted(&mut client, "__transaction_state", IDS.len()).await;
    assert_eq!(producers[0].add(&mut client, "t", 0).await, 0);
    assert_eq!(producers[0].produce(&mut client, "t", &["a-open"], 20).await, 0);
    drop(client);
    drop(broker);

    let again = without_cleaner(temporary.path()).await;
    let mut client = Client::connect(&again).await;
    let before = client.fetch("t", 0, 0, 1).await;
    assert!(before.last_stable_offset < before.high_watermark, "a transaction is open");
    assert_eq!(producers[0].end(&mut client, true).await, 0);
    expected.push("a-open".to_owned());
    for producer in &producers[1..] {
        let (id, epoch) = producer.producer;
        let next = Producer::begin(&mut client, &producer.id).await;
        assert_eq!(next.producer, (id, epoch + 1), "{}", producer.id);
        assert_eq!(producer.end(&mut client, true).await, 90, "PRODUCER_FENCED");
    }
    let fetched = settled(&mut client, "t", 0, 1).await;
    assert_eq!(committed_values(&fetched), expected);
    again.stop().await;
}

/// The values of the transactions that were committed.
fn committed_values(fetched: &fetch_response::PartitionData) -> Vec<String> {
    let records = fetched.records.clone().unwrap_or_default();
    let mut aborted: Vec<(i64, i64)> =
        fetched.aborted_transactions.iter().flatten().map(|a| (a.first_offset, a.producer_id.0)).collect();
    aborted.sort_unstable();
    let mut ends = std::collections::BTreeSet::new();
    let mut found = Vec::new();
    for batch in pelton_record::batches(&records) {
        let batch = batch.unwrap();
        let header = batch.header();
        while let Some((_, producer)) = aborted.first().filter(|(first, _)| *first <= header.base_offset) {
            ends.insert(*producer);
            aborted.remove(0);
        }
        if header.attributes.is_control() {
            ends.remove(&header.producer_id);
        } else if !ends.contains(&header.producer_id) {
            for record in batch.records().unwrap() {
                found.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
            }
        }
    }
    found
}
