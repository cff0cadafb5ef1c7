//! A topic with plugins gets more partitions.

use super::super::client::*;
use super::double::*;
use crate::Broker;
use kafka_protocol::messages::*;
use pelton_api::hooks::{Hooks, Sent, TopicHooks};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Notes with each batch for how many partitions it was attached; at most four are allowed.
#[derive(Default)]
struct Counting(Arc<Mutex<Vec<i32>>>);

impl Hooks for Counting {
    fn check(&self, _: &str, partitions: i32, _: &BTreeMap<String, String>) -> Result<(), String> {
        if partitions <= 4 { Ok(()) } else { Err(format!("{CHAIN}: {partitions} partitions are too many")) }
    }

    fn attach(&self, _: &str, partitions: i32, configs: &BTreeMap<String, String>) -> Option<Arc<dyn TopicHooks>> {
        configs.get(CHAIN)?;
        let seen = self.0.clone();
        let double = Double::new("count@1").on_send(move |_, _| {
            seen.lock().unwrap().push(partitions);
            Sent::Pass { changed: None, emitted: Vec::new() }
        });
        Some(Arc::new(double))
    }
}

async fn grow(client: &mut Client, count: i32) -> i16 {
    let topic = create_partitions_request::CreatePartitionsTopic::default()
        .with_name(topic_name("t"))
        .with_count(count)
        .with_assignments(None);
    client.call(3, &CreatePartitionsRequest::default().with_topics(vec![topic])).await.results[0].error_code
}

/// Sends numbered records to partition 0, several at a time, until it is told to stop; gives their number.
async fn produce_in_order(broker: Broker, stop: Arc<AtomicBool>) -> usize {
    let mut client = Client::connect(&broker).await;
    let mut waiting = VecDeque::new();
    let mut next = 0;
    while !stop.load(Ordering::Acquire) || !waiting.is_empty() {
        if waiting.len() < 5 && !stop.load(Ordering::Acquire) {
            waiting.push_back(client.send(9, &produce("t", 0, batch(&[&format!("n{next}")]), None)).await);
            next += 1;
            continue;
        }
        let id = waiting.pop_front().unwrap();
        let answer = client.receive::<ProduceRequest>(9, id).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    next
}

#[tokio::test]
async fn a_topic_grows_under_its_plugins_which_count_every_partition_from_then_on() {
    let temporary = tempfile::tempdir().unwrap();
    let hooks = Arc::new(Counting::default());
    let seen = hooks.0.clone();
    let broker = Broker::start(config(temporary.path()), move || Ok(hooks as Arc<dyn Hooks>)).await.unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.create_with("t", 2, &[(CHAIN, "count@1")]).await.error_code, 0);
    let stop = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn(produce_in_order(broker.clone(), stop.clone()));
    assert_eq!(client.produce("t", 1, batch(&["x"])).await.error_code, 0);
    for count in [3, 4] {
        assert_eq!(grow(&mut client, count).await, 0);
        assert_eq!(client.produce("t", count - 1, batch(&["y"])).await.error_code, 0);
        assert_eq!(seen.lock().unwrap().last(), Some(&count), "whoever grew it waits for the plugins");
    }
    stop.store(true, Ordering::Release);
    let sent = producing.await.unwrap();
    assert!(seen.lock().unwrap().is_sorted(), "no batch met the plugins of fewer partitions again");
    let mut got = Vec::new();
    while got.len() < sent {
        got.extend(values(&client.fetch("t", 0, got.len() as i64, 0).await.records));
    }
    assert_eq!(got, (0..sent).map(|number| format!("n{number}")).collect::<Vec<_>>(), "each once, in order");

    assert_eq!(broker.switches("t").len(), 1, "the plugins are the same");
    assert_eq!(grow(&mut client, 5).await, 40, "the plugins could not go with that");
    assert_eq!(broker.image().topic("t").unwrap().partitions, 4);
    broker.stop().await;
}
