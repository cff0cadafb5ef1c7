//! Logs that move from one directory to another (AlterReplicaLogDirs).

use super::client::*;
use super::log_dirs::*;
use super::transactions::Producer;
use crate::{Broker, ServerConfig};
use kafka_protocol::messages::*;
use std::path::Path;
use std::time::Duration;

/// Waits until partition 0 of `t` is in a directory alone, half a minute at most.
async fn moved(client: &mut Client, to: usize) {
    eventually("the log arrives", async || logs_of_t(client).await.remove(&0).unwrap() == [(to, false, 0)]).await;
}

async fn read_all(client: &mut Client, isolation: i8) -> Vec<String> {
    let (mut found, mut offset) = (Vec::new(), 0);
    loop {
        let answer = client.fetch("t", 0, offset, isolation).await;
        assert_eq!(answer.error_code, 0);
        let records = answer.records.clone().unwrap_or_default();
        let Some(last) = pelton_record::batches(&records).map(|batch| batch.unwrap().header().next_offset()).last()
        else {
            return found;
        };
        let aborted: Vec<i64> = answer.aborted_transactions.iter().flatten().map(|a| a.producer_id.0).collect();
        for batch in pelton_record::batches(&records) {
            let batch = batch.unwrap();
            let header = batch.header();
            if header.attributes.is_control() || (isolation == 1 && aborted.contains(&header.producer_id)) {
                continue;
            }
            for record in batch.records().unwrap() {
                found.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
            }
        }
        offset = last;
    }
}

#[tokio::test]
async fn a_log_moves_to_another_directory_while_it_is_written_to() {
    let dirs = Dirs::new(&["a", "b"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create_with("t", 1, &[("segment.bytes", "20000")]).await;
    let given = client.call(4, &idempotent()).await;
    let producer = (given.producer_id.0, given.producer_epoch);
    let mut expected = Vec::new();
    let (from, filler) = (dirs.of("t-0"), "x".repeat(1000));
    let to = 1 - from;
    for sequence in 0..200 {
        let value = format!("{sequence}-{filler}");
        assert_eq!(client.produce("t", 0, producer_batch(&[&value], producer, sequence, false)).await.error_code, 0);
        expected.push(value);
        if sequence == 100 {
            assert_eq!(alter(&mut client, &dirs.paths[to], "t", 0).await, 0);
        }
    }
    moved(&mut client, to).await;
    assert_eq!(dirs.of("t-0"), to);
    assert_eq!(read_all(&mut client, 0).await, expected);
    // The sequences are those of before the move, and the log goes on in its new place.
    let again = producer_batch(&[&expected[199]], producer, 199, false);
    assert_eq!(client.produce("t", 0, again).await.base_offset, 199);
    for sequence in 200..250 {
        let value = format!("{sequence}-{filler}");
        assert_eq!(client.produce("t", 0, producer_batch(&[&value], producer, sequence, false)).await.error_code, 0);
        expected.push(value);
    }
    drop(broker);
    let killed = dirs.start().await;
    let mut client = Client::connect(&killed).await;
    assert_eq!(read_all(&mut client, 0).await, expected);
    let again = producer_batch(&[&expected[249]], producer, 249, false);
    assert_eq!(client.produce("t", 0, again).await.base_offset, 249);
    assert_eq!(alter(&mut client, &dirs.paths[from], "t", 0).await, 0);
    moved(&mut client, from).await;
    assert_eq!(read_all(&mut client, 0).await, expected);
    killed.stop().await;
    let stopped = dirs.start().await;
    let mut client = Client::connect(&stopped).await;
    assert_eq!(read_all(&mut client, 0).await, expected);
    stopped.stop().await;
    assert_eq!(dirs.names(from, "t-"), ["t-0"]);
    assert_eq!(dirs.names(to, "t-"), Vec::<String>::new());
}

#[tokio::test]
async fn aborted_transactions_move_with_the_log() {
    let dirs = Dirs::new(&["a", "b"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    client.produce("t", 0, batch(&["first"])).await;
    let producer = Producer::begin(&mut client, "id").await;
    assert_eq!(producer.add(&mut client, "t", 0).await, 0);
    assert_eq!(producer.produce(&mut client, "t", &["aborted"], 0).await, 0);
    assert_eq!(producer.end(&mut client, false).await, 0);
    client.produce("t", 0, batch(&["last"])).await;
    eventually("the transaction ends", async || read_all(&mut client, 1).await == ["first", "last"]).await;
    let to = 1 - dirs.of("t-0");
    assert_eq!(alter(&mut client, &dirs.paths[to], "t", 0).await, 0);
    moved(&mut client, to).await;
    assert_eq!(read_all(&mut client, 1).await, ["first", "last"]);
    assert_eq!(read_all(&mut client, 0).await, ["first", "aborted", "last"]);
    broker.stop().await;
    let again = dirs.start().await;
    let mut client = Client::connect(&again).await;
    assert_eq!(read_all(&mut client, 1).await, ["first", "last"]);
    again.stop().await;
}

/// A broker that was stopped, with ten records in a log of several segments; which directory it is in.
async fn filled(dirs: &Dirs) -> usize {
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create_with("t", 1, &[("segment.bytes", "200")]).await;
    for index in 0..10 {
        assert_eq!(client.produce("t", 0, batch(&[&format!("value-{index}")])).await.error_code, 0);
    }
    broker.stop().await;
    dirs.of("t-0")
}

fn copy_files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if wanted(entry.file_name().to_str().unwrap()) {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

async fn check_values(broker: &Broker) {
    let mut client = Client::connect(broker).await;
    let expected: Vec<String> = (0..10).map(|index| format!("value-{index}")).collect();
    assert_eq!(read_all(&mut client, 0).await, expected);
    assert_eq!(client.produce("t", 0, batch(&["more"])).await.base_offset, 10);
}

const COPY: &str = "t-0.0123456789abcdef0123456789abcdef-future";

#[tokio::test]
async fn a_move_that_the_end_of_the_broker_interrupted_goes_on() {
    for (marked, torn) in [(false, false), (true, false), (false, true)] {
        let dirs = Dirs::new(&["a", "b"]);
        let from = filled(&dirs).await;
        let to = 1 - from;
        let (log, copy) = (dirs.paths[from].join("t-0"), dirs.paths[to].join(COPY));
        copy_files(&log, &copy, |name| name.starts_with("00000000000000000000.log") || name == "partition.metadata");
        if torn {
            let segment = copy.join("00000000000000000000.log");
            let bytes = std::fs::read(&segment).unwrap();
            std::fs::write(&segment, &bytes[..bytes.len() - 3]).unwrap();
        }
        if marked {
            let id = property(&dirs.paths[to], "directory.id");
            std::fs::write(log.join("moving-to"), format!("{id}\n")).unwrap();
        }
        let broker = dirs.start().await;
        let mut client = Client::connect(&broker).await;
        moved(&mut client, to).await;
        check_values(&broker).await;
        broker.stop().await;
        assert_eq!((dirs.names(from, "t-"), dirs.names(to, "t-")), (Vec::new(), vec!["t-0".to_owned()]));
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_move_loses_nothing() {
    let dirs = Dirs::new(&["a", "b"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create_with("t", 1, &[("segment.bytes", "1000000")]).await;
    let filler = "y".repeat(200_000);
    let expected: Vec<String> = (0..100).map(|index| format!("{index}-{filler}")).collect();
    for value in &expected {
        assert_eq!(client.produce("t", 0, batch(&[value])).await.error_code, 0);
    }
    let to = 1 - dirs.of("t-0");
    assert_eq!(alter(&mut client, &dirs.paths[to], "t", 0).await, 0);
    drop(broker);
    let again = dirs.start().await;
    let mut client = Client::connect(&again).await;
    assert_eq!(read_all(&mut client, 0).await, expected);
    assert_eq!(alter(&mut client, &dirs.paths[to], "t", 0).await, 0);
    moved(&mut client, to).await;
    assert_eq!(read_all(&mut client, 0).await, expected);
    again.stop().await;
    assert_eq!(dirs.of("t-0"), to);
}

#[tokio::test]
async fn of_two_logs_the_one_that_was_left_behind_goes() {
    let dirs = Dirs::new(&["a", "b"]);
    let from = filled(&dirs).await;
    let to = 1 - from;
    let (log, copy) = (dirs.paths[from].join("t-0"), dirs.paths[to].join("t-0"));
    copy_files(&log, &copy, |_| true);
    let refused = dirs.refused().await.to_string();
    assert!(refused.contains(log.to_str().unwrap()) && refused.contains(copy.to_str().unwrap()), "{refused}");
    let id = property(&dirs.paths[to], "directory.id");
    std::fs::write(log.join("moving-to"), format!("{id}\n")).unwrap();

    // While the other directory is out of reach nobody can know which of the two is the log.
    if to == 1 {
        dirs.break_directory(1);
        let without = dirs.start().await;
        let mut client = Client::connect(&without).await;
        assert_eq!(client.fetch("t", 0, 0, 0).await.error_code, STORAGE_ERROR);
        without.stop().await;
        dirs.repair_directory(1);
    }
    let broker = dirs.start().await;
    check_values(&broker).await;
    broker.stop().await;
    assert_eq!((dirs.names(from, "t-"), dirs.of("t-0")), (Vec::new(), to));
}

#[tokio::test]
async fn what_cannot_be_moved_is_refused_and_a_move_can_be_given_up() {
    let dirs = Dirs::new(&["a", "b"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    client.produce("t", 0, batch(&["x"])).await;
    let here = dirs.of("t-0");
    assert_eq!(alter(&mut client, Path::new("/no/such/directory"), "t", 0).await, 57);
    assert_eq!(alter(&mut client, &dirs.paths[here], "t", 7).await, 9);
    assert_eq!(alter(&mut client, &dirs.paths[here], "missing", 0).await, 9);
    assert_eq!(alter(&mut client, &dirs.paths[here], "t", 0).await, 0);
    // A move and its end: wherever the first one was, the log ends where it was sent last.
    assert_eq!(alter(&mut client, &dirs.paths[1 - here], "t", 0).await, 0);
    assert_eq!(alter(&mut client, &dirs.paths[here], "t", 0).await, 0);
    moved(&mut client, here).await;
    assert_eq!(read_all(&mut client, 0).await, ["x"]);
    assert_eq!(alter(&mut client, &dirs.paths[1 - here], "t", 0).await, 0);
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]).with_timeout_ms(5_000);
    assert_eq!(client.call(5, &delete).await.responses[0].error_code, 0);
    let left = || dirs.names(0, "t-").len() + dirs.names(1, "t-").len();
    eventually("nothing of it is left", async || left() == 0).await;
    broker.stop().await;
}

#[tokio::test]
async fn moves_take_no_more_than_their_share_and_can_be_given_up_meanwhile() {
    let dirs = Dirs::new(&["a", "b"]);
    let slow = ServerConfig { move_bytes_per_second: Some(1), ..dirs.config() };
    let broker = Broker::start(slow, no_plugins).await.unwrap();
    let mut client = Client::connect(&broker).await;
    client.create("t", 1).await;
    let filler = "z".repeat(300_000);
    let expected: Vec<String> = (0..6).map(|index| format!("{index}-{filler}")).collect();
    for value in &expected {
        assert_eq!(client.produce("t", 0, batch(&[value])).await.error_code, 0);
    }
    let from = dirs.of("t-0");
    let to = 1 - from;
    assert_eq!(alter(&mut client, &dirs.paths[to], "t", 0).await, 0);
    let mut copies = Vec::new();
    eventually("the first batches are copied", async || {
        copies = logs_of_t(&mut client).await.remove(&0).unwrap();
        copies.retain(|(_, is_copy, _)| *is_copy);
        copies.iter().any(|(_, _, lag)| *lag < 6)
    })
    .await;
    // The next ones are due in days.
    for _ in 0..50 {
        let mut now = logs_of_t(&mut client).await.remove(&0).unwrap();
        now.retain(|(_, is_copy, _)| *is_copy);
        assert_eq!(now, copies);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(alter(&mut client, &dirs.paths[from], "t", 0).await, 0);
    eventually("what was copied goes", async || dirs.names(to, "t-").is_empty()).await;
    assert_eq!(alter(&mut client, &dirs.paths[to], "t", 0).await, 0);
    broker.stop().await;
    let again = dirs.start().await;
    let mut client = Client::connect(&again).await;
    moved(&mut client, to).await;
    assert_eq!(read_all(&mut client, 0).await, expected);
    again.stop().await;
}
