//! Several log directories: where partitions go, what a directory that fails takes with it, and logs that move.

use super::client::*;
use super::groups::find_coordinator;
use crate::{Broker, ServerConfig, StartError};
use kafka_protocol::messages::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const STORAGE_ERROR: i16 = 56;

struct Dirs {
    temporary: TempDir,
    paths: Vec<PathBuf>,
}

impl Dirs {
    fn new(names: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let paths = names.iter().map(|name| temporary.path().join(name)).collect();
        Self { temporary, paths }
    }

    fn config(&self) -> ServerConfig {
        let mut config = config(&self.paths[0]);
        config.further_log_dirs = self.paths[1..].to_vec();
        config
    }

    async fn start(&self) -> Broker {
        Broker::start(self.config(), no_plugins).await.expect("the broker starts")
    }

    async fn refused(&self) -> StartError {
        Broker::start(self.config(), no_plugins).await.err().expect("the broker does not start")
    }

    /// The names in a directory that begin with `prefix`.
    fn names(&self, index: usize, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(&self.paths[index]).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        names
    }

    /// The directory that holds this partition.
    fn of(&self, partition: &str) -> usize {
        let found: Vec<usize> =
            (0..self.paths.len()).filter(|index| self.paths[*index].join(partition).is_dir()).collect();
        assert_eq!(found.len(), 1, "{partition} is in {found:?}");
        found[0]
    }

    /// Puts a file in the place of a directory; gives where the directory went.
    fn break_directory(&self, index: usize) -> PathBuf {
        let aside = self.temporary.path().join("aside");
        std::fs::rename(&self.paths[index], &aside).unwrap();
        std::fs::write(&self.paths[index], "no directory").unwrap();
        aside
    }

    fn repair_directory(&self, index: usize) {
        std::fs::remove_file(&self.paths[index]).unwrap();
        std::fs::rename(self.temporary.path().join("aside"), &self.paths[index]).unwrap();
    }
}

async fn describe(client: &mut Client) -> Vec<describe_log_dirs_response::DescribeLogDirsResult> {
    let response = client.call(4, &DescribeLogDirsRequest::default().with_topics(None)).await;
    assert_eq!(response.error_code, 0);
    response.results
}

/// Directory, whether it is a copy, and lag of each log of `t`, by partition.
async fn logs_of_t(client: &mut Client) -> BTreeMap<i32, Vec<(usize, bool, i64)>> {
    let mut logs: BTreeMap<i32, Vec<(usize, bool, i64)>> = BTreeMap::new();
    for (index, directory) in describe(client).await.into_iter().enumerate() {
        let topics = directory.topics.iter().filter(|topic| topic.name == topic_name("t"));
        for partition in topics.flat_map(|topic| &topic.partitions) {
            let log = (index, partition.is_future_key, partition.offset_lag);
            logs.entry(partition.partition_index).or_default().push(log);
        }
    }
    logs
}

async fn alter(client: &mut Client, path: &Path, topic: &str, partition: i32) -> i16 {
    use alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
    let topic = AlterReplicaLogDirTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let dir = AlterReplicaLogDir::default().with_path(text(path.to_str().unwrap())).with_topics(vec![topic]);
    let response = client.call(2, &AlterReplicaLogDirsRequest::default().with_dirs(vec![dir])).await;
    response.results[0].partitions[0].error_code
}

/// Waits until partition 0 of `t` is in a directory alone, half a minute at most.
async fn moved(client: &mut Client, to: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let logs = logs_of_t(client).await.remove(&0).unwrap();
        if logs == [(to, false, 0)] {
            return;
        }
        assert!(Instant::now() < deadline, "the log does not arrive: {logs:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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

async fn create_with_segments(client: &mut Client, partitions: i32, segment_bytes: &str) {
    let segments = create_topics_request::CreatableTopicConfig::default()
        .with_name(text("segment.bytes"))
        .with_value(Some(text(segment_bytes)));
    let topic = create_topics_request::CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(vec![segments]);
    client.call(5, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
}

fn property(path: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(path.join("meta.properties")).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("{text} has no {name}")).to_owned()
}

#[tokio::test]
async fn partitions_are_spread_over_the_directories_and_found_again_in_any_order() {
    let mut dirs = Dirs::new(&["a", "b", "c"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 6).await;
    for partition in 0..6 {
        client.produce("t", partition, batch(&[&format!("value-{partition}")])).await;
    }
    let logs = logs_of_t(&mut client).await;
    let mut counts = [0; 3];
    logs.values().for_each(|log| counts[log[0].0] += 1);
    assert_eq!((logs.len(), counts), (6, [2, 2, 2]));
    broker.stop().await;
    for index in 0..3 {
        assert_eq!(dirs.names(index, "t-").len(), 2);
        assert_eq!(property(&dirs.paths[index], "cluster.id"), broker.cluster_id());
        assert!(dirs.paths[index].join(".kafka_cleanshutdown").exists());
    }
    let ids: std::collections::BTreeSet<String> =
        dirs.paths.iter().map(|path| property(path, "directory.id")).collect();
    assert_eq!(ids.len(), 3);
    dirs.paths.rotate_left(1);
    let again = dirs.start().await;
    let mut client = Client::connect(&again).await;
    for partition in 0..6 {
        let records = client.fetch("t", partition, 0, 0).await.records;
        assert_eq!(values(&records), [format!("value-{partition}")]);
    }
    client.create("u", 3).await;
    for partition in 0..3 {
        assert_eq!(client.fetch("u", partition, 0, 0).await.error_code, 0);
    }
    for index in 0..3 {
        assert_eq!(dirs.names(index, "u-").len(), 1, "{}", dirs.paths[index].display());
    }
    again.stop().await;
}

#[tokio::test]
async fn the_directories_are_described_in_every_version() {
    let dirs = Dirs::new(&["a", "b"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    client.create("t", 2).await;
    let size = batch(&["x"]).len() as i64;
    client.produce("t", 1, batch(&["x"])).await;
    let topic = describe_log_dirs_request::DescribableLogDirTopic::default();
    let topic = topic.with_topic(topic_name("t")).with_partitions(vec![1, 9]);
    for version in 1..=4 {
        let request = DescribeLogDirsRequest::default().with_topics(Some(vec![topic.clone()]));
        let results = client.call(version, &request).await.results;
        let paths: Vec<&str> = results.iter().map(|result| result.log_dir.as_str()).collect();
        assert_eq!(paths, [dirs.paths[0].to_str().unwrap(), dirs.paths[1].to_str().unwrap()]);
        let found: Vec<_> = results.iter().flat_map(|r| &r.topics).flat_map(|topic| &topic.partitions).collect();
        assert_eq!(found.len(), 1, "only what was asked for");
        assert_eq!((found[0].partition_index, found[0].partition_size, found[0].offset_lag), (1, size, 0));
        if version >= 4 {
            assert!(results.iter().all(|r| r.total_bytes >= r.usable_bytes && r.usable_bytes > 0));
        }
    }
    broker.stop().await;
}

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
    create_with_segments(&mut client, 4, "200").await;
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
    let deadline = Instant::now() + Duration::from_secs(30);
    while client.fetch("t", lost[1], 0, 0).await.error_code != STORAGE_ERROR {
        assert!(Instant::now() < deadline, "the directory does not go offline");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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
    // Its partitions are begun one after the other, some when the first has answered: 30 s at most.
    for _ in 0..6_000 {
        if (0..2).map(|dir| dirs.names(dir, "__consumer_offsets-").len()).sum::<usize>() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
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
async fn a_log_moves_to_another_directory_while_it_is_written_to() {
    let dirs = Dirs::new(&["a", "b"]);
    let broker = dirs.start().await;
    let mut client = Client::connect(&broker).await;
    create_with_segments(&mut client, 1, "20000").await;
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
    find_coordinator(&mut client, 1, "id").await;
    client.produce("t", 0, batch(&["first"])).await;
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text("id"))))
        .with_transaction_timeout_ms(60_000);
    let given = client.call(4, &request).await;
    let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![0]);
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(TransactionalId(text("id")))
        .with_v3_and_below_producer_id(given.producer_id)
        .with_v3_and_below_producer_epoch(given.producer_epoch)
        .with_v3_and_below_topics(vec![topic]);
    client.call(3, &add).await;
    let aborted = producer_batch(&["aborted"], (given.producer_id.0, given.producer_epoch), 0, true);
    client.call(9, &produce("t", 0, aborted, Some("id"))).await;
    let end = EndTxnRequest::default()
        .with_transactional_id(TransactionalId(text("id")))
        .with_producer_id(given.producer_id)
        .with_producer_epoch(given.producer_epoch)
        .with_committed(false);
    assert_eq!(client.call(3, &end).await.error_code, 0);
    client.produce("t", 0, batch(&["last"])).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while read_all(&mut client, 1).await != ["first", "last"] {
        assert!(Instant::now() < deadline, "the transaction does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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
    create_with_segments(&mut client, 1, "200").await;
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
    create_with_segments(&mut client, 1, "1000000").await;
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
    let deadline = Instant::now() + Duration::from_secs(30);
    while !(dirs.names(0, "t-").is_empty() && dirs.names(1, "t-").is_empty()) {
        assert!(Instant::now() < deadline, "{:?} {:?}", dirs.names(0, "t-"), dirs.names(1, "t-"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_start_names_the_directory_that_is_wrong() {
    let mut dirs = Dirs::new(&["a", "b"]);
    dirs.start().await.stop().await;
    // The cluster's log is in the first, so there is no start without it.
    dirs.break_directory(0);
    assert!(matches!(dirs.refused().await, StartError::Unwritable { path, .. } if path == dirs.paths[0]));
    dirs.repair_directory(0);

    let other = Dirs::new(&["x"]);
    other.start().await.stop().await;
    dirs.paths.push(other.paths[0].clone());
    assert!(matches!(dirs.refused().await, StartError::BadDirectory { path, .. } if path == other.paths[0]));

    dirs.paths[2] = dirs.temporary.path().join("b/../b");
    let twice = dirs.refused().await;
    assert!(matches!(&twice, StartError::BadDirectory { reason, .. } if reason.contains("once")), "{twice}");

    dirs.paths[2] = dirs.temporary.path().join("copy");
    std::fs::create_dir(&dirs.paths[2]).unwrap();
    std::fs::copy(dirs.paths[1].join("meta.properties"), dirs.paths[2].join("meta.properties")).unwrap();
    let copied = dirs.refused().await;
    assert!(matches!(&copied, StartError::BadDirectory { reason, .. } if reason.contains("copy of")), "{copied}");
    dirs.paths.pop();

    let running = dirs.start().await;
    let third = Dirs { temporary: tempfile::tempdir().unwrap(), paths: Vec::new() };
    let paths = vec![third.temporary.path().join("own"), dirs.paths[1].clone()];
    let third = Dirs { paths, ..third };
    assert!(matches!(third.refused().await, StartError::InUse { path, .. } if path == dirs.paths[1]));
    running.stop().await;

    // Partitions without the log that knows their topics.
    let broker = dirs.start().await;
    Client::connect(&broker).await.create("t", 2).await;
    broker.stop().await;
    let lonely = Dirs { temporary: tempfile::tempdir().unwrap(), paths: vec![dirs.paths[1].clone()] };
    let refused = lonely.refused().await.to_string();
    assert!(refused.contains("__cluster_metadata"), "{refused}");
}
