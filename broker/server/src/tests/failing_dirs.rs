//! A log directory that fails while the broker runs: what it takes with it, and what goes on.

use super::client::*;
use super::groups::find_coordinator;
use super::log_dirs::*;
use crate::Broker;
use kafka_protocol::messages::*;
use std::time::Duration;

#[tokio::test]
async fn a_directory_that_fails_takes_its_partitions_with_it_and_no_others() {
    let dirs = Dirs::new(&["a", "b"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    for partition in 0..2 {
        client.produce("t", partition, batch(&["before"])).await;
    }
    let lost = (0..2).find(|partition| dirs.of(&format!("t-{partition}")) == 1).unwrap();
    let kept = 1 - lost;
    let aside = dirs.break_directory(1);
    let results = describe(&mut client).await;
    assert_eq!((results[0].error_code, results[1].error_code), (0, STORAGE_ERROR));
    assert!(results[1].topics.is_empty() && results[1].total_bytes == -1);
    assert_eq!(client.produce("t", lost, batch(&["lost"])).await.error_code, STORAGE_ERROR);
    assert_eq!(client.fetch("t", lost, 0, 0).await.error_code, STORAGE_ERROR);
    assert_eq!(alter(&mut client, &dirs.paths[1], "t", kept).await, STORAGE_ERROR);
    assert_eq!(alter(&mut client, &dirs.paths[0], "t", lost).await, STORAGE_ERROR);
    assert_eq!(client.produce("t", kept, batch(&["after"])).await.error_code, 0);
    client.create("u", 2).await;
    for partition in 0..2 {
        assert_eq!(client.fetch("u", partition, 0, 0).await.error_code, 0);
    }
    assert_eq!(dirs.names(0, "u-"), ["u-0", "u-1"]);
    broker.stop().await;
    assert!(dirs.paths[0].join(".kafka_cleanshutdown").exists());
    assert!(!aside.join(".kafka_cleanshutdown").exists());

    let without = dirs.start().await;
    let mut client = Client::connect(&without).await;
    assert_eq!(client.fetch("t", lost, 0, 0).await.error_code, STORAGE_ERROR);
    assert_eq!(values(&client.fetch("t", kept, 0, 0).await.records), ["before", "after"]);
    assert_eq!(describe(&mut client).await[1].error_code, STORAGE_ERROR);
    without.stop().await;
    assert_eq!(dirs.names(0, "t-"), [format!("t-{kept}")]);

    dirs.repair_directory(1);
    let whole = dirs.start().await;
    let mut client = Client::connect(&whole).await;
    assert_eq!(values(&client.fetch("t", lost, 0, 0).await.records), ["before"]);
    assert_eq!(client.produce("t", lost, batch(&["again"])).await.error_code, 0);
    whole.stop().await;
}

#[tokio::test]
async fn a_write_that_fails_takes_the_whole_directory_offline() {
    let dirs = Dirs::new(&["a", "b"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create_with("t", 4, &[("segment.bytes", "200")]).await;
    for partition in 0..4 {
        client.produce("t", partition, batch(&["before"])).await;
    }
    let (lost, kept): (Vec<i32>, Vec<i32>) = (0..4).partition(|partition| dirs.of(&format!("t-{partition}")) == 1);
    assert_eq!((lost.len(), kept.len()), (2, 2));
    dirs.break_directory(1);
    // What is open can be written for a while; the next segment cannot be begun.
    let mut error_code = 0;
    for _ in 0..100 {
        error_code = client.produce("t", lost[0], batch(&["0123456789"])).await.error_code;
        if error_code != 0 {
            break;
        }
    }
    assert_eq!(error_code, STORAGE_ERROR);
    let lost_too = async || client.fetch("t", lost[1], 0, 0).await.error_code == STORAGE_ERROR;
    eventually("the directory goes offline", lost_too).await;
    for partition in kept {
        assert_eq!(client.produce("t", partition, batch(&["after"])).await.error_code, 0);
    }
    drop(broker);
    dirs.repair_directory(1);
    let whole = dirs.start().await;
    let mut client = Client::connect(&whole).await;
    assert_eq!(values(&client.fetch("t", lost[1], 0, 0).await.records), ["before"]);
    assert_eq!(values(&client.fetch("t", lost[0], 0, 0).await.records)[0], "before");
    whole.stop().await;
}

#[tokio::test]
async fn a_coordinator_in_a_directory_that_fails_is_not_available() {
    let dirs = Dirs::new(&["a", "b"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    find_coordinator(&mut client, 0, "g").await;
    // Its partitions are begun one after the other, some when the first has answered.
    let begun = |dir| dirs.names(dir, "__consumer_offsets-").len();
    eventually("every partition is begun", async || begun(0) + begun(1) == 3).await;
    let offline: Vec<String> = dirs.names(1, "__consumer_offsets-");
    dirs.break_directory(1);
    describe(&mut client).await;
    let mut seen = std::collections::BTreeSet::new();
    for group in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let heartbeat = HeartbeatRequest::default().with_group_id(GroupId(text(group))).with_member_id(text("m"));
        let error_code = client.call(4, &heartbeat).await.error_code;
        let index = pelton_core::coordinator::partition_for(group, 3);
        let is_offline = offline.contains(&format!("__consumer_offsets-{index}"));
        // COORDINATOR_NOT_AVAILABLE, or UNKNOWN_MEMBER_ID from one that works.
        assert_eq!(error_code, if is_offline { 15 } else { 25 }, "{group}");
        seen.insert(is_offline);
    }
    assert_eq!(seen.len(), 2, "both kinds were asked");
    broker.stop().await;
}

#[tokio::test]
async fn a_read_that_fails_takes_the_whole_directory_offline() {
    let dirs = Dirs::new(&["a", "b"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create_with("t", 4, &[("segment.bytes", "200")]).await;
    for partition in 0..4 {
        for _ in 0..5 {
            client.produce("t", partition, batch(&["0123456789"])).await;
        }
    }
    let (lost, kept): (Vec<i32>, Vec<i32>) = (0..4).partition(|partition| dirs.of(&format!("t-{partition}")) == 1);
    assert_eq!((lost.len(), kept.len()), (2, 2));
    broker.stop().await;
    let again = dirs.start().await;
    let mut client = Client::connect(&again).await;
    // Nothing looks at the index of a segment before somebody reads from it, and nothing writes to the directory: only
    // the reader notices, and only whoever tries to write finds out.
    let index = dirs.paths[1].join(format!("t-{}/00000000000000000000.index", lost[0]));
    std::fs::remove_file(&index).unwrap();
    std::fs::create_dir(&index).unwrap();
    std::fs::create_dir(dirs.paths[1].join(".probe.tmp")).unwrap();
    assert_eq!(client.fetch("t", lost[1], 0, 0).await.error_code, 0);
    assert_eq!(client.fetch("t", lost[0], 0, 0).await.error_code, STORAGE_ERROR);
    let lost_too = async || client.fetch("t", lost[1], 0, 0).await.error_code == STORAGE_ERROR;
    eventually("the directory goes offline", lost_too).await;
    for partition in kept {
        assert_eq!(client.fetch("t", partition, 0, 0).await.error_code, 0);
    }
    again.stop().await;
}

#[tokio::test]
async fn the_broker_says_so_when_it_cannot_go_on() {
    for (breaks, ends) in [(1, false), (0, true)] {
        let dirs = Dirs::new(&["a", "b"]);
        let broker = dirs.start().await;
        let mut client = Client::connect(&broker).await;
        client.create("t", 2).await;
        dirs.break_directory(breaks);
        // Asking for the directories looks at them.
        assert_eq!(describe(&mut client).await[breaks].error_code, STORAGE_ERROR);
        let failed = tokio::select! {
            biased;
            reason = broker.failed() => Some(reason),
            () = std::future::ready(()) => None,
        };
        assert_eq!(failed.is_some(), ends, "{failed:?}");
        if let Some(reason) = failed {
            let path = dirs.paths[0].to_str().unwrap();
            assert!(reason.contains(path) && reason.contains("__cluster_metadata-0"), "{reason}");
        }
        broker.stop().await;
        dirs.repair_directory(breaks);
        dirs.start().await.stop().await;
    }
}

#[tokio::test]
async fn a_write_of_the_cluster_that_fails_ends_the_broker_too() {
    let dirs = Dirs::new(&["a"]);
    let mut config = dirs.config();
    config.log.segment_bytes = 300;
    let broker = Broker::start(config, no_plugins).await.unwrap();
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    // The next segment of its log cannot be begun, and the directory as such works.
    let log = dirs.paths[0].join("__cluster_metadata-0");
    std::fs::rename(&log, dirs.temporary.path().join("aside")).unwrap();
    std::fs::write(&log, "no directory").unwrap();
    for round in 0..10 {
        client.create(&format!("t{round}"), 1).await;
    }
    let reason = tokio::time::timeout(Duration::from_secs(30), broker.failed()).await.expect("the broker says so");
    assert!(reason.contains("__cluster_metadata-0"), "{reason}");
    broker.stop().await;
}
