//! A start with logs in several directories, opened by several threads.

use super::client::*;
use super::groups::{commit, committed, find_coordinator};
use super::log_dirs::Dirs;
use super::transactions::{Producer, settled};
use crate::Broker;

const PARTITIONS: i32 = 12;

#[tokio::test]
async fn every_log_is_there_however_many_threads_open_them() {
    let dirs = Dirs::new(&["a", "b"]);
    let mut broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create("t", PARTITIONS).await;
    find_coordinator(&mut client, 0, "g").await;
    let mut expected: Vec<Vec<String>> = vec![Vec::new(); PARTITIONS as usize];
    let lives = [(1, 1, false), (1, 4, false), (3, 1, false), (2, 2, true), (3, 3, true)];
    for (life, (shards, threads, clean)) in lives.into_iter().enumerate() {
        for partition in 0..PARTITIONS {
            // Some have much behind their last checkpoint, some little.
            for round in 0..=partition {
                let value = format!("{life}-{partition}-{round}");
                assert_eq!(client.produce("t", partition, batch(&[&value])).await.error_code, 0);
                expected[partition as usize].push(value);
            }
        }
        assert_eq!(client.call(8, &commit("g", -1, "", life as i64)).await.topics[0].partitions[0].error_code, 0);
        let producer = Producer::begin(&mut client, "id").await;
        assert_eq!(producer.add(&mut client, "t", 0).await, 0);
        let value = format!("{life}-transaction");
        assert_eq!(producer.produce(&mut client, "t", &[&value], 0).await, 0);
        // Whether its marker is written before the end is left open: the coordinator writes it again where it is not.
        assert_eq!(producer.end(&mut client, true).await, 0);
        expected[0].push(value);
        if clean {
            broker.stop().await;
        }
        drop(broker);
        let mut config = dirs.config();
        (config.shards, config.recovery_threads_per_data_dir) = (shards, threads);
        broker = Broker::start(config, no_plugins).await.expect("the broker starts again");
        client = Client::connect(&broker).await;
        for (partition, expected) in expected.iter().enumerate() {
            let fetched = settled(&mut client, "t", partition as i32, 1).await;
            assert_eq!(values(&fetched.records), *expected, "life {life}, partition {partition}");
        }
        assert_eq!(committed(&mut client, "g").await.0, life as i64);
    }
    broker.stop().await;
}
