//! Several log directories: where partitions go, and which directories a start takes.

use super::client::*;
use crate::{Broker, ServerConfig, StartError};
use kafka_protocol::messages::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const STORAGE_ERROR: i16 = 56;

pub struct Dirs {
    pub temporary: TempDir,
    pub paths: Vec<PathBuf>,
}

impl Dirs {
    pub fn new(names: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let paths = names.iter().map(|name| temporary.path().join(name)).collect();
        Self { temporary, paths }
    }

    pub fn config(&self) -> ServerConfig {
        let mut config = config(&self.paths[0]);
        config.further_log_dirs = self.paths[1..].to_vec();
        config
    }

    pub async fn start(&self) -> Broker {
        Broker::start(self.config(), no_plugins).await.expect("the broker starts")
    }

    pub async fn refused(&self) -> StartError {
        Broker::start(self.config(), no_plugins).await.err().expect("the broker does not start")
    }

    /// The names in a directory that begin with `prefix`.
    pub fn names(&self, index: usize, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(&self.paths[index]).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        names
    }

    /// The directory that holds this partition.
    pub fn of(&self, partition: &str) -> usize {
        let found: Vec<usize> =
            (0..self.paths.len()).filter(|index| self.paths[*index].join(partition).is_dir()).collect();
        assert_eq!(found.len(), 1, "{partition} is in {found:?}");
        found[0]
    }

    /// Puts a file in the place of a directory; gives where the directory went.
    pub fn break_directory(&self, index: usize) -> PathBuf {
        let aside = self.temporary.path().join("aside");
        std::fs::rename(&self.paths[index], &aside).unwrap();
        std::fs::write(&self.paths[index], "no directory").unwrap();
        aside
    }

    pub fn repair_directory(&self, index: usize) {
        std::fs::remove_file(&self.paths[index]).unwrap();
        std::fs::rename(self.temporary.path().join("aside"), &self.paths[index]).unwrap();
    }
}

pub async fn describe(client: &mut Client) -> Vec<describe_log_dirs_response::DescribeLogDirsResult> {
    let response = client.call(4, &DescribeLogDirsRequest::default().with_topics(None)).await;
    assert_eq!(response.error_code, 0);
    response.results
}

/// Directory, whether it is a copy, and lag of each log of `t`, by partition.
pub async fn logs_of_t(client: &mut Client) -> BTreeMap<i32, Vec<(usize, bool, i64)>> {
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

pub async fn alter(client: &mut Client, path: &Path, topic: &str, partition: i32) -> i16 {
    use alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
    let topic = AlterReplicaLogDirTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let dir = AlterReplicaLogDir::default().with_path(text(path.to_str().unwrap())).with_topics(vec![topic]);
    let response = client.call(2, &AlterReplicaLogDirsRequest::default().with_dirs(vec![dir])).await;
    response.results[0].partitions[0].error_code
}

pub fn property(path: &Path, name: &str) -> String {
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
