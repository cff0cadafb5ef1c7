//! Attach, switch and detach, under load and across restarts.

use super::super::client::*;
use super::super::transactions::Producer;
use super::double::*;
use crate::hooks::Switch;
use crate::{Broker, topic_configs::Change};
use kafka_protocol::messages::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Batches that a producer has in flight.
const IN_FLIGHT: usize = 5;

/// Producers with transactions, by the letter before their numbers.
const TRANSACTIONAL: std::ops::RangeInclusive<char> = 'a'..='h';

/// Sends numbered records of an idempotent producer to partition 0, several batches at a time, until it is told to
/// stop; gives the number of records.
async fn produce_in_flight(broker: Broker, topic: &str, stop: Arc<AtomicBool>) -> i32 {
    let mut client = Client::connect(&broker).await;
    let given = client.call(4, &idempotent()).await;
    let producer = (given.producer_id.0, given.producer_epoch);
    let mut waiting = VecDeque::new();
    let mut next = 0;
    while !stop.load(Ordering::Acquire) || !waiting.is_empty() {
        if waiting.len() < IN_FLIGHT && !stop.load(Ordering::Acquire) {
            let values = [format!("i{next}"), format!("i{}", next + 1)];
            let batch = producer_batch(&[&values[0], &values[1]], producer, next, false);
            waiting.push_back(client.send(9, &produce(topic, 0, batch, None)).await);
            next += 2;
            continue;
        }
        let id = waiting.pop_front().unwrap();
        let answer = client.receive::<ProduceRequest>(9, id).await;
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    }
    next
}

/// Sends numbered records in short transactions, some of them aborted; gives the number of records.
async fn produce_in_transactions(broker: Broker, topic: &str, prefix: char, stop: Arc<AtomicBool>) -> i32 {
    let mut client = Client::connect(&broker).await;
    let id = &format!("switching-{prefix}");
    let producer = Producer::begin(&mut client, id).await;
    let mut next = 0;
    while !stop.load(Ordering::Acquire) {
        assert_eq!(producer.add(&mut client, topic, 0).await, 0);
        // The first batch is verified with the coordinator; the others wait behind it.
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let batch = producer_batch(&[&format!("{prefix}{next}")], producer.producer, next, true);
            waiting.push(client.send(9, &produce(topic, 0, batch, Some(id))).await);
            next += 1;
        }
        for id in waiting {
            let answer = client.receive::<ProduceRequest>(9, id).await;
            assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        }
        assert_eq!(producer.end(&mut client, next % 2 == 0).await, 0);
    }
    next
}

async fn join(producers: Vec<tokio::task::JoinHandle<i32>>) -> Vec<i32> {
    let mut sent = Vec::with_capacity(producers.len());
    for producer in producers {
        sent.push(producer.await.unwrap());
    }
    sent
}

/// Everything in a partition, by offset.
async fn all(client: &mut Client, topic: &str) -> BTreeMap<i64, String> {
    let mut found = BTreeMap::new();
    let mut offset = 0;
    loop {
        let read = client.fetch(topic, 0, offset, 0).await;
        let records = read.records.unwrap_or_default();
        if records.is_empty() {
            return found;
        }
        for batch in pelton_record::batches(&records) {
            let batch = batch.unwrap();
            offset = batch.header().next_offset();
            if batch.header().attributes.is_control() {
                continue;
            }
            for record in batch.records().unwrap() {
                let record = record.unwrap();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                found.insert(batch.header().base_offset + i64::from(record.offset_delta), value);
            }
        }
    }
}

/// Which version should have marked the record at an offset.
fn version_at(switches: &[Switch], offset: i64) -> &str {
    let switch = switches.iter().rev().find(|switch| switch.offsets[0] <= offset);
    switch.map_or("", |switch| &switch.identity)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_is_exact_and_keeps_the_order_of_every_producer() {
    let temporary = tempfile::tempdir().unwrap();
    let doubles = Doubles::of([marker("v1"), marker("v2")]);
    let broker = start_with(temporary.path(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let stop = Arc::new(AtomicBool::new(false));
    let idempotent = tokio::spawn({
        let (broker, stop) = (broker.clone(), stop.clone());
        async move { produce_in_flight(broker, "t", stop).await }
    });
    // So many that some batch is always being verified with the coordinator.
    let transactional: Vec<_> = TRANSACTIONAL
        .map(|prefix| {
            let (broker, stop) = (broker.clone(), stop.clone());
            tokio::spawn(async move { produce_in_transactions(broker, "t", prefix, stop).await })
        })
        .collect();
    let mut end = 0;
    for plugin in [Some("v1"), Some("v2"), None, Some("v2"), Some("v1"), None, Some("v1")] {
        // Each version sees some records before the next one comes.
        while client.fetch("t", 0, 0, 0).await.high_watermark < end + 20 {
            tokio::task::yield_now().await;
        }
        attach(&broker, "t", plugin).await;
        end = client.fetch("t", 0, 0, 0).await.high_watermark;
    }
    while client.fetch("t", 0, 0, 0).await.high_watermark < end + 20 {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Release);
    let sent = idempotent.await.unwrap();
    let switches = broker.switches("t");
    let identities: Vec<_> = switches.iter().map(|switch| switch.identity.as_str()).collect();
    assert_eq!(identities, ["v1", "v2", "", "v2", "v1", "", "v1"]);
    assert!(switches.iter().all(|switch| switch.by == "admin"));
    assert!(switches.is_sorted_by(|a, b| a.offsets[0] < b.offsets[0]));
    let transactional = join(transactional).await;
    let mut by_producer: BTreeMap<char, Vec<i32>> = BTreeMap::new();
    for (offset, value) in all(&mut client, "t").await {
        let (number, version) = value.split_once(':').unwrap_or((&value, ""));
        assert_eq!(version, version_at(&switches, offset), "{value} at offset {offset}");
        by_producer.entry(number.chars().next().unwrap()).or_default().push(number[1..].parse().unwrap());
    }
    assert_eq!(by_producer[&'i'], (0..sent).collect::<Vec<_>>());
    for (prefix, transactional) in TRANSACTIONAL.zip(transactional) {
        assert_eq!(by_producer[&prefix], (0..transactional).collect::<Vec<_>>(), "{prefix}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_waits_for_the_batch_that_is_in_the_old_version() {
    let temporary = tempfile::tempdir().unwrap();
    let (old, entered) = blocked("old");
    let doubles = Doubles::of([old, marker("new")]);
    let broker = start_with(temporary.path(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    attach(&broker, "t", Some("old")).await;
    let first = client.send(9, &produce("t", 0, batch(&["first"]), None)).await;
    let inside = entered.recv_timeout(LONG).unwrap();
    let switching = {
        let broker = broker.clone();
        tokio::spawn(async move { attach(&broker, "t", Some("new")).await })
    };
    let second = client.send(9, &produce("t", 0, batch(&["second"]), None)).await;
    // What would be wrong would happen now.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!switching.is_finished(), "a batch is still in the old version");
    drop(inside);
    // The second may have been in time for the old version, or not.
    let letting_go = let_all_go(entered);
    switching.await.unwrap();
    for id in [first, second] {
        let answer = client.receive::<ProduceRequest>(9, id).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    let switches = broker.switches("t");
    assert!(switches[1].offsets[0] >= 1, "{switches:?}");
    for (offset, value) in all(&mut client, "t").await {
        assert_eq!(value.ends_with(":new"), version_at(&switches, offset) == "new", "{value} at offset {offset}");
    }
    broker.stop().await;
    drop((client, broker, doubles));
    letting_go.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_topic_keeps_its_order_until_its_lanes_are_empty() {
    let temporary = tempfile::tempdir().unwrap();
    let (old, entered) = blocked("old");
    let doubles = Doubles::of([old]);
    let broker = start_with(temporary.path(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    attach(&broker, "t", Some("old")).await;
    let given = client.call(4, &idempotent()).await;
    let producer = (given.producer_id.0, given.producer_epoch);
    let mut ids = Vec::new();
    for sequence in 0..3 {
        let batch = producer_batch(&[&format!("{sequence}")], producer, sequence, false);
        ids.push(client.send(9, &produce("t", 0, batch, None)).await);
    }
    let inside = entered.recv_timeout(LONG).unwrap();
    let detaching = {
        let broker = broker.clone();
        tokio::spawn(async move { attach(&broker, "t", None).await })
    };
    drop(inside);
    // The others are still to come, through the old version or through none.
    let letting_go = let_all_go(entered);
    for sequence in 3..50 {
        let batch = producer_batch(&[&format!("{sequence}")], producer, sequence, false);
        ids.push(client.send(9, &produce("t", 0, batch, None)).await);
    }
    detaching.await.unwrap();
    for id in ids {
        let answer = client.receive::<ProduceRequest>(9, id).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    assert_eq!(
        all(&mut client, "t").await.into_values().collect::<Vec<_>>(),
        (0..50).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    assert_eq!(broker.attached("t"), None);
    broker.stop().await;
    drop((client, broker, doubles));
    letting_go.join().unwrap();
}

#[tokio::test]
async fn a_restart_finds_the_switches_and_records_one_that_nobody_saw() {
    let temporary = tempfile::tempdir().unwrap();
    let doubles = Doubles::named("p", marker("v1"));
    let broker = start_with(temporary.path(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    client.produce("t", 0, batch(&["a"])).await;
    attach(&broker, "t", Some("p")).await;
    client.produce("t", 0, batch(&["b"])).await;
    let before = broker.switches("t");
    assert_eq!((before.len(), before[0].offsets.as_slice()), (1, &[1][..]));
    broker.stop().await;

    let broker = start_with(temporary.path(), &doubles).await;
    assert_eq!(broker.switches("t"), before, "nothing has changed");
    let mut client = Client::connect(&broker).await;
    client.produce("t", 0, batch(&["c"])).await;
    broker.stop().await;

    let other = Doubles::named("p", marker("v2"));
    let broker = start_with(temporary.path(), &other).await;
    let switches = broker.switches("t");
    assert_eq!(switches[0], before[0]);
    assert_eq!((switches[1].identity.as_str(), switches[1].by.as_str()), ("v2", "restart"));
    assert_eq!(switches[1].offsets, [3]);
    let mut client = Client::connect(&broker).await;
    client.produce("t", 0, batch(&["d"])).await;
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["a", "b:v1", "c:v1", "d:v2"]);
    broker.stop().await;
}

#[tokio::test]
async fn a_rollback_brings_back_what_was_there_before() {
    let temporary = tempfile::tempdir().unwrap();
    let doubles = Doubles::of([marker("v1"), marker("v2")]);
    let broker = start_with(temporary.path(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    assert!(broker.rollback("t", "admin").await.is_err(), "there is nothing to bring back");
    attach(&broker, "t", Some("v1")).await;
    attach(&broker, "t", Some("v2")).await;
    broker.rollback("t", "operator").await.unwrap();
    assert_eq!(broker.attached("t").as_deref(), Some("v1"));
    assert_eq!(broker.topic_configs("t").unwrap()[CHAIN], "v1");
    client.produce("t", 0, batch(&["a"])).await;
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["a:v1"]);
    let last = broker.switches("t").pop().unwrap();
    assert_eq!((last.identity.as_str(), last.by.as_str()), ("v1", "operator"));
    broker.stop().await;
}

#[tokio::test]
async fn the_brokers_defaults_reach_topics_that_do_not_decline_them() {
    let temporary = tempfile::tempdir().unwrap();
    let doubles = Doubles::of([marker("v1")]);
    let mut settings = config(temporary.path());
    settings.configs.insert(CHAIN.to_owned(), "v1".to_owned());
    settings.configs.insert("pelton.admin.listener".to_owned(), "127.0.0.1:0".to_owned());
    let broker = start_configured(settings.clone(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    client.produce("t", 0, batch(&["a"])).await;
    assert_eq!(broker.switches("t")[0].offsets, [0]);
    let nothing = vec![(CHAIN.to_owned(), Change::Set(String::new()))];
    broker.alter_topic_configs("t", nothing, "admin", false).await.unwrap();
    client.produce("t", 0, batch(&["b"])).await;
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["a:v1", "b"]);
    assert_eq!(broker.attached("t"), None);
    broker.rollback("t", "admin").await.unwrap();
    client.produce("t", 0, batch(&["c"])).await;
    assert_eq!(values(&client.fetch("t", 0, 2, 0).await.records), ["c:v1"]);
    broker.stop().await;
    // A default that appears with a start is a switch at the log end.
    settings.configs.remove(CHAIN);
    broker_without_default(settings, &doubles).await;
}

async fn broker_without_default(settings: crate::ServerConfig, doubles: &Arc<Doubles>) {
    let broker = start_configured(settings, doubles).await;
    assert_eq!(broker.attached("t").as_deref(), Some("v1"), "the rollback set it for the topic itself");
    broker.stop().await;
}

#[tokio::test]
async fn a_topic_made_anew_has_nothing_of_the_one_before() {
    let temporary = tempfile::tempdir().unwrap();
    let doubles = Doubles::of([marker("v1")]);
    let broker = start_with(temporary.path(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    attach(&broker, "t", Some("v1")).await;
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]).with_timeout_ms(5_000);
    assert_eq!(client.call(5, &delete).await.responses[0].error_code, 0);
    assert!(broker.switches("t").is_empty());
    while client.create("t", 1).await.topics[0].error_code != 0 {
        tokio::task::yield_now().await;
    }
    client.produce("t", 0, batch(&["a"])).await;
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["a"]);
    assert!(broker.switches("t").is_empty());
    broker.stop().await;
}

#[tokio::test]
async fn what_cannot_be_attached_changes_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let doubles = Doubles::of([marker("v1")]);
    let broker = start_with(temporary.path(), &doubles).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    attach(&broker, "t", Some("v1")).await;
    let unknown = vec![(CHAIN.to_owned(), Change::Set("v9".to_owned()))];
    let refused = broker.alter_topic_configs("t", unknown, "admin", false).await.unwrap_err();
    assert!(refused.to_string().contains("v9"), "{refused}");
    let valid = vec![(CHAIN.to_owned(), Change::Delete)];
    broker.alter_topic_configs("t", valid, "admin", true).await.unwrap();
    assert_eq!((broker.attached("t").as_deref(), broker.switches("t").len()), (Some("v1"), 1));
    broker.stop().await;
}
