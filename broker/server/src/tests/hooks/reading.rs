//! Records on their way out, and commits.

use super::super::client::*;
use super::super::groups::{commit_offsets, find_coordinator};
use super::super::transactions::Producer;
use super::double::*;
use pelton_api::hooks::Consumed;
use std::sync::{Arc, Mutex};

const UNKNOWN_SERVER_ERROR: i16 = -1;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;

/// Every batch with capital letters; control batches as they are.
fn capitals(records: &bytes::Bytes) -> bytes::Bytes {
    let mut out = Vec::new();
    for batch in pelton_record::batches(records) {
        let batch = batch.unwrap();
        let header = *batch.header();
        if header.attributes.is_control() {
            out.extend_from_slice(batch.bytes());
            continue;
        }
        let bytes = bytes::Bytes::copy_from_slice(batch.bytes());
        let mut changed = rewritten(&bytes, |value| Some(value.to_uppercase())).to_vec();
        pelton_record::patch_offset_and_epoch(&mut changed, header.base_offset, header.partition_leader_epoch);
        out.extend(changed);
    }
    out.into()
}

#[tokio::test]
async fn consumers_get_what_the_plugins_give_and_wait_for_what_they_emit() {
    let temporary = tempfile::tempdir().unwrap();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let called = calls.clone();
    let reader = Double::new("reader").on_consume(move |to, records| {
        called.lock().unwrap().push((to.topic.to_string(), to.partition, to.client_id.to_string()));
        Ok(Consumed { records: capitals(records), emitted: vec![emission("read-audit", "read")] })
    });
    let (broker, mut client) = hooked(temporary.path(), reader).await;
    client.create("plain", 1).await;
    for (topic, partition) in [("t", 0), ("t", 1), ("plain", 0)] {
        assert_eq!(client.produce(topic, partition, batch(&["a", "b"])).await.error_code, 0);
    }
    assert_eq!(client.fetch("t", 0, 2, 0).await.error_code, 0);
    assert!(calls.lock().unwrap().is_empty(), "an empty read calls nobody");
    // The topic that is emitted to does not exist: nothing is delivered.
    let failed = client.fetch("t", 0, 0, 0).await;
    assert_eq!((failed.error_code, values(&failed.records)), (UNKNOWN_SERVER_ERROR, Vec::new()));
    client.create("read-audit", 1).await;
    let mut request = fetch("t", 0, 0);
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = 1;
    request.topics[0].partitions.push(second);
    request.topics.extend(fetch("plain", 0, 0).topics);
    let answer = client.call(12, &request).await;
    let read: Vec<_> =
        answer.responses.iter().flat_map(|topic| &topic.partitions).map(|data| values(&data.records)).collect();
    assert_eq!(read, [["A", "B"], ["A", "B"], ["a", "b"]]);
    assert_eq!(values(&client.fetch("read-audit", 0, 0, 0).await.records), ["read", "read"]);
    let mut seen = calls.lock().unwrap().split_off(1);
    seen.sort();
    let expected = |partition| ("t".to_owned(), partition, "test".to_owned());
    assert_eq!(seen, [expected(0), expected(1)]);
    broker.stop().await;
}

#[tokio::test]
async fn a_topic_that_fails_closed_gives_nothing_and_its_neighbours_do() {
    let temporary = tempfile::tempdir().unwrap();
    let failing = Double::new("p").on_consume(|to, _| match to.partition {
        0 => Err("p@1 trapped".to_owned()),
        _ => panic!("on purpose"),
    });
    let (broker, mut client) = hooked(temporary.path(), failing).await;
    client.create("plain", 1).await;
    for (topic, partition) in [("t", 0), ("t", 1), ("plain", 0)] {
        client.produce(topic, partition, batch(&["a"])).await;
    }
    for partition in [0, 1] {
        let failed = client.fetch("t", partition, 0, 0).await;
        assert_eq!((failed.error_code, values(&failed.records)), (UNKNOWN_SERVER_ERROR, Vec::new()));
    }
    assert_eq!(values(&client.fetch("plain", 0, 0, 0).await.records), ["a"]);
    attach(&broker, "t", None).await;
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["a"]);
    broker.stop().await;
}

#[tokio::test]
async fn records_that_a_plugin_makes_longer_leave_in_whole_batches() {
    let temporary = tempfile::tempdir().unwrap();
    let swell = Double::new("p").on_consume(|_, records| {
        let mut out = Vec::new();
        for batch in pelton_record::batches(records) {
            let batch = batch.unwrap();
            let bytes = bytes::Bytes::copy_from_slice(batch.bytes());
            let mut changed = rewritten(&bytes, |value| Some(value.repeat(500))).to_vec();
            pelton_record::patch_offset_and_epoch(&mut changed, batch.header().base_offset, 0);
            out.extend(changed);
        }
        Ok(Consumed { records: out.into(), emitted: Vec::new() })
    });
    let doubles = Doubles::of([swell]);
    let broker = start_with(temporary.path(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    for _ in 0..3 {
        client.produce("t", 0, batch(&["0123456789"])).await;
    }
    attach(&broker, "t", Some("p")).await;
    // Much more than twice of what was read: the first batch leaves, whole, and then the next.
    for offset in 0..3 {
        let read = client.fetch("t", 0, offset, 0).await;
        assert_eq!(values(&read.records), ["0123456789".repeat(500)]);
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_commit_is_told_once_for_each_topic_before_it_is_answered() {
    let temporary = tempfile::tempdir().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let auditor = Double::new("p").on_commit(move |commit| {
        assert!(!commit.transactional);
        let told = (commit.group.to_string(), commit.topic.to_string(), commit.offsets.clone());
        hears.lock().unwrap().push(told);
        vec![emission("commit-audit", "committed")]
    });
    let (broker, mut client) = hooked(temporary.path(), auditor).await;
    find_coordinator(&mut client, 0, "g").await;
    client.create("plain", 1).await;
    let request = commit_offsets("g", &[("t", &[(0, 5), (1, 7)]), ("plain", &[(0, 1)])]);
    let refused = client.call(8, &request).await;
    let code = refused.topics[0].partitions[0].error_code;
    assert_eq!(code, COORDINATOR_NOT_AVAILABLE, "what is emitted has nowhere to go, so the client commits again");
    client.create("commit-audit", 1).await;
    let done = client.call(8, &request).await;
    assert!(done.topics.iter().flat_map(|topic| &topic.partitions).all(|partition| partition.error_code == 0));
    assert_eq!(values(&client.fetch("commit-audit", 0, 0, 0).await.records), ["committed"]);
    let told = ("g".to_owned(), "t".to_owned(), vec![(0, 5), (1, 7)]);
    assert_eq!(*heard.lock().unwrap(), [told.clone(), told]);
    // What is refused is not told.
    let stale =
        commit_offsets("g", &[("t", &[(0, 9)])]).with_generation_id_or_member_epoch(3).with_member_id(text("nobody"));
    assert_ne!(client.call(8, &stale).await.topics[0].partitions[0].error_code, 0);
    assert_eq!(heard.lock().unwrap().len(), 2);
    broker.stop().await;
}

#[tokio::test]
async fn a_commit_within_a_transaction_is_told_with_its_transactional_id() {
    let temporary = tempfile::tempdir().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let auditor = Double::new("p").on_commit(move |commit| {
        hears.lock().unwrap().push((commit.member.to_string(), commit.transactional, commit.offsets.clone()));
        Vec::new()
    });
    let (broker, mut client) = hooked(temporary.path(), auditor).await;
    find_coordinator(&mut client, 0, "g").await;
    Producer::begin(&mut client, "id").await.commit(&mut client, "g", 4).await;
    assert_eq!(*heard.lock().unwrap(), [("id".to_owned(), true, vec![(0, 4)])]);
    broker.stop().await;
}
