//! The cleaner at work in a running broker.

use super::client::{Client, config, keyed_batch, no_plugins, started};
use crate::Broker;
use pelton_record::BatchView;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

async fn start(path: &Path) -> Broker {
    let mut settings = config(path);
    settings.cleaner.backoff_ms = 5;
    Broker::start(settings, no_plugins).await.unwrap()
}

async fn put(client: &mut Client, topic: &str, key: &str, value: Option<&str>) {
    assert_eq!(client.produce(topic, 0, keyed_batch(key, value)).await.error_code, 0);
}

/// Offset, key and value of every record that is there.
async fn read_all(client: &mut Client, topic: &str) -> Vec<(i64, String, Option<String>)> {
    let (mut next, mut found) = (0, Vec::new());
    loop {
        let fetched = client.fetch(topic, 0, next, 0).await;
        assert_eq!(fetched.error_code, 0);
        let records = fetched.records.unwrap_or_default();
        if records.is_empty() {
            assert!(next >= fetched.high_watermark, "nothing is read at {next} below {}", fetched.high_watermark);
            return found;
        }
        for batch in pelton_record::batches(&records) {
            let batch: BatchView<'_> = batch.unwrap();
            batch.verify_crc().unwrap();
            for record in batch.records().unwrap() {
                let record = record.unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                found.push((record.offset(batch.header()), text(record.key.unwrap()), record.value.map(text)));
            }
            next = batch.header().next_offset();
        }
    }
}

const COMPACTED: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "400"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("file.delete.delay.ms", "0"),
];

/// Waits until the log is as short as it gets: every key once, and what the active segment holds.
async fn compacted(client: &mut Client, topic: &str, most: usize) -> Vec<(i64, String, Option<String>)> {
    for _ in 0..2_000 {
        let found = read_all(client, topic).await;
        if found.len() <= most {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the log was not compacted for twenty seconds");
}

#[tokio::test]
async fn a_compacted_topic_keeps_the_last_value_of_each_key_through_a_restart() {
    let temporary = tempfile::tempdir().unwrap();
    let broker = start(temporary.path()).await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.create_with("t", 1, &COMPACTED).await.error_code, 0);
    let mut appended = BTreeMap::new();
    for round in 0..100_i64 {
        let (key, value) = (format!("key-{}", round % 7), format!("value-{round}"));
        put(&mut client, "t", &key, Some(&value)).await;
        appended.insert(round, (key, value));
    }
    let found = compacted(&mut client, "t", 7 + 8).await;
    for (offset, key, value) in &found {
        assert_eq!(appended[offset], (key.clone(), value.clone().unwrap()), "a record keeps its offset");
    }
    let last = |found: &[(i64, String, Option<String>)]| -> BTreeMap<String, Option<String>> {
        found.iter().map(|(_, key, value)| (key.clone(), value.clone())).collect()
    };
    let expected: BTreeMap<String, Option<String>> =
        appended.values().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    assert_eq!(last(&found), expected);
    broker.stop().await;
    let checkpoint = std::fs::read_to_string(temporary.path().join("cleaner-offset-checkpoint")).unwrap();
    assert!(checkpoint.lines().any(|line| line.starts_with("t 0 ")), "{checkpoint}");
    // Nothing is compacted now, so whatever is left was left by the start.
    let mut settings = config(temporary.path());
    settings.cleaner.enable = false;
    let again = Broker::start(settings, no_plugins).await.unwrap();
    let mut client = Client::connect(&again).await;
    assert_eq!(last(&read_all(&mut client, "t").await), expected);
    let names = std::fs::read_dir(temporary.path().join("t-0")).unwrap();
    for name in names.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        assert!(![".deleted", ".swap", ".cleaned"].iter().any(|end| name.ends_with(end)), "{name} was left behind");
    }
    again.stop().await;
}

#[tokio::test]
async fn a_topic_is_compacted_because_the_broker_says_so_and_several_at_once() {
    let (_temporary, broker) = started(|settings| {
        settings.cleaner.backoff_ms = 5;
        settings.cleaner.threads = 3;
        settings.core.cleanup_policy = pelton_core::config::CleanupPolicy { delete: false, compact: true };
    })
    .await;
    let mut client = Client::connect(&broker).await;
    let topics = ["t", "u", "v", "w"];
    for topic in topics {
        assert_eq!(client.create_with(topic, 1, &COMPACTED[1..]).await.error_code, 0);
    }
    for round in 0..60 {
        for topic in topics {
            put(&mut client, topic, &format!("key-{}", round % 3), Some(&format!("value-{round}"))).await;
        }
    }
    for topic in topics {
        let found = compacted(&mut client, topic, 3 + 8).await;
        let last: BTreeMap<String, Option<String>> = found.into_iter().map(|(_, key, value)| (key, value)).collect();
        let expected = [57, 58, 59].map(|round| (format!("key-{}", round % 3), Some(format!("value-{round}"))));
        assert_eq!(last, BTreeMap::from(expected), "{topic}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_kill_during_compaction_loses_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let mut expected = BTreeMap::new();
    for life in 0..5 {
        let broker = start(temporary.path()).await;
        let mut client = Client::connect(&broker).await;
        if life == 0 {
            assert_eq!(client.create_with("t", 1, &COMPACTED).await.error_code, 0);
        }
        let found = read_all(&mut client, "t").await;
        let last: BTreeMap<String, Option<String>> = found.into_iter().map(|(_, key, value)| (key, value)).collect();
        assert_eq!(last, expected, "life {life}");
        for round in 0..40 {
            let (key, value) = (format!("key-{}", round % 5), format!("value-{life}-{round}"));
            put(&mut client, "t", &key, Some(&value)).await;
            expected.insert(key, Some(value));
        }
        // Dropped as if it had been killed, wherever the cleaner is.
        drop(client);
        drop(broker);
    }
}

#[tokio::test]
async fn a_topic_may_be_compacted_and_deleted_from() {
    let (_temporary, broker) = started(|settings| {
        settings.cleaner.backoff_ms = 5;
        settings.retention_check_interval_ms = 10;
    })
    .await;
    let mut client = Client::connect(&broker).await;
    let mut configs = COMPACTED.to_vec();
    configs[0].1 = "compact,delete";
    configs.push(("retention.bytes", "1200"));
    assert_eq!(client.create_with("t", 1, &configs).await.error_code, 0);
    for round in 0..100 {
        put(&mut client, "t", &format!("key-{round}"), Some("value")).await;
    }
    let mut log_start = 0;
    for _ in 0..2_000 {
        log_start = client.fetch("t", 0, 100, 0).await.log_start_offset;
        if log_start > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(log_start > 0 && log_start < 100, "{log_start}");
    assert_eq!(client.fetch("t", 0, 0, 0).await.error_code, 1, "OFFSET_OUT_OF_RANGE");
    broker.stop().await;
}
