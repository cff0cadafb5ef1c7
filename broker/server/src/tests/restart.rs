use super::client::*;
use super::groups::{commit_offsets, committed, find_coordinator};
use super::transactions::Producer;
use crate::{Broker, StartError};
use kafka_protocol::messages::*;

async fn fill(broker: &Broker) -> (uuid::Uuid, (i64, i16)) {
    let mut client = Client::connect(broker).await;
    let id = client.create("t", 2).await.topics[0].topic_id;
    find_coordinator(&mut client, 0, "g").await;
    let given = client.call(4, &idempotent()).await;
    let producer = (given.producer_id.0, given.producer_epoch);
    for (sequence, value) in ["a", "b", "c"].into_iter().enumerate() {
        let batch = producer_batch(&[value], producer, sequence as i32, false);
        assert_eq!(client.produce("t", 0, batch).await.error_code, 0);
    }
    let commit = commit_offsets("g", &[("t", &[(0, 2)])]);
    assert_eq!(client.call(8, &commit).await.topics[0].partitions[0].error_code, 0);
    (id, producer)
}

async fn check(broker: &Broker, id: uuid::Uuid, producer: (i64, i16)) {
    let mut client = Client::connect(broker).await;
    let metadata = client.call(12, &MetadataRequest::default().with_topics(None)).await;
    let topic = metadata.topics.iter().find(|t| t.name == Some(topic_name("t"))).unwrap();
    assert_eq!((topic.topic_id, topic.partitions.len()), (id, 2));
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["a", "b", "c"]);
    assert_eq!(committed(&mut client, "g").await, (2, "note".to_owned()));
    // A retry that comes after the restart is still a retry.
    let retried = client.produce("t", 0, producer_batch(&["c"], producer, 2, false)).await;
    assert_eq!((retried.error_code, retried.base_offset), (0, 2));
    let given = client.call(4, &idempotent()).await;
    assert!(given.producer_id.0 > producer.0, "a producer id is given once");
}

#[tokio::test]
async fn a_broker_that_was_stopped_goes_on_where_it_was() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let cluster = broker.cluster_id().to_owned();
    let (id, producer) = fill(&broker).await;
    broker.stop().await;
    assert!(temporary.path().join(".kafka_cleanshutdown").exists());
    assert!(temporary.path().join("t-0/00000000000000000003.snapshot").exists());
    for (file, line) in
        [("recovery-point-offset-checkpoint", "\nt 0 3\n"), ("log-start-offset-checkpoint", "\nt 0 0\n")]
    {
        let text = std::fs::read_to_string(temporary.path().join(file)).unwrap();
        assert!(text.starts_with("0\n") && text.contains(line), "{file}: {text}");
    }
    let again = start(temporary.path()).await;
    assert!(!temporary.path().join(".kafka_cleanshutdown").exists());
    assert_eq!(again.cluster_id(), cluster);
    check(&again, id, producer).await;
    again.stop().await;
}

#[tokio::test]
async fn a_broker_that_was_killed_loses_nothing_that_it_acknowledged() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let (id, producer) = fill(&broker).await;
    drop(broker);
    assert!(!temporary.path().join(".kafka_cleanshutdown").exists());
    let again = start(temporary.path()).await;
    check(&again, id, producer).await;
    drop(again);
    let third = start(temporary.path()).await;
    check(&third, id, producer).await;
    third.stop().await;
}

#[tokio::test]
async fn a_deleted_topic_is_forgotten_by_the_checkpoints() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    fill(&broker).await;
    broker.stop().await;
    let recovery_points = temporary.path().join("recovery-point-offset-checkpoint");
    let again = start(temporary.path()).await;
    let mut client = Client::connect(&again).await;
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]).with_timeout_ms(60_000);
    assert_eq!(client.call(5, &request).await.responses[0].error_code, 0);
    // The answer does not wait for the files; what is asked of a new topic of that name does.
    let created = client.create("t", 1).await;
    assert_eq!(created.topics[0].error_code, 0);
    client.produce("t", 0, batch(&["new"])).await;
    let text = std::fs::read_to_string(&recovery_points).unwrap();
    assert!(!text.contains("\nt 0 "), "{text}");
    drop(again);
    let third = start(temporary.path()).await;
    let mut client = Client::connect(&third).await;
    assert_eq!(values(&client.fetch("t", 0, 0, 0).await.records), ["new"]);
    third.stop().await;
}

#[tokio::test]
async fn a_transaction_that_was_open_when_the_broker_was_killed_can_still_be_committed() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let producer = Producer::begin(&mut client, "id").await;
    assert_eq!(producer.add(&mut client, "t", 0).await, 0);
    assert_eq!(producer.produce(&mut client, "t", &["open"], 0).await, 0);
    drop(broker);

    let again = start(temporary.path()).await;
    let mut client = Client::connect(&again).await;
    let hidden = client.fetch("t", 0, 0, 1).await;
    assert_eq!((hidden.high_watermark, hidden.last_stable_offset), (1, 0));
    assert_eq!(producer.end(&mut client, true).await, 0);
    let response = client.call(12, &fetch("t", 0, 0).with_isolation_level(1).with_max_wait_ms(600_000)).await;
    assert_eq!(values(&response.responses[0].partitions[0].records), ["open"]);
    again.stop().await;
}

#[tokio::test]
async fn a_start_that_cannot_succeed_says_why() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let in_use = Broker::start(config(temporary.path()), no_plugins).await.err().unwrap();
    assert!(matches!(in_use, StartError::InUse { by: Some(pid), .. } if pid == std::process::id()));
    let other = tempfile::tempdir().unwrap();
    let mut occupied = config(other.path());
    occupied.listeners = broker.addresses().into_iter().map(Into::into).collect();
    let refused = Broker::start(occupied, no_plugins).await.err().unwrap();
    assert_eq!(refused, StartError::Occupied { addr: broker.addresses()[0] });
    let mut client = Client::connect(&broker).await;
    find_coordinator(&mut client, 0, "g").await;
    broker.stop().await;
    let mut changed = config(temporary.path());
    changed.core.offsets_topic_partitions = 5;
    let refused = Broker::start(changed, no_plugins).await.err().unwrap();
    assert!(refused.to_string().contains("set offsets.topic.num.partitions=3"), "{refused}");
    let file = other.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(matches!(Broker::start(config(&file), no_plugins).await.err().unwrap(), StartError::Unwritable { .. }));
}

#[tokio::test]
async fn damage_in_a_log_that_was_synced_long_ago_stops_the_start_and_is_named() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    client.create_with("t", 1, &[("segment.bytes", "100")]).await;
    for _ in 0..5 {
        client.produce("t", 0, batch(&["0123456789"])).await;
    }
    broker.stop().await;
    let segment = temporary.path().join("t-0").join("00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    // A start reads none of it as long as it is as long as it was; what is missing is noticed.
    bytes.pop();
    std::fs::write(&segment, bytes).unwrap();
    let Some(StartError::Storage(message)) = Broker::start(config(temporary.path()), no_plugins).await.err() else {
        panic!("the broker started on a damaged log");
    };
    assert!(message.contains("00000000000000000000.log"), "{message}");
    // The directory is free again.
    std::fs::remove_dir_all(temporary.path().join("t-0")).unwrap();
    start(temporary.path()).await.stop().await;
}
