//! DescribeLogDirs (key 35), v1-5: the log directories, what is in them, and how far logs that move are (KIP-113).
//!
//! v2 is flexible, v3 added an error code for the whole, v4 the space of the file systems (KIP-827), v5 whether a directory
//! takes no more partitions (KIP-1066), which none does. A directory that is offline has KAFKA_STORAGE_ERROR and nothing in it.
//!
//! Who may not describe the cluster gets no directories, and from v3 on an error.
//!
//! Left out: directories that are closed to new partitions (`cordoned.log.dirs`).
//!
//! Memory: some 30 bytes of answer for each partition that the broker has, and the request's, which takes at least 4 for each.

use super::Scope;
use crate::auth::{AclOperation, Resource};
use crate::driver::directories::placement::DirectoryIndex;
use crate::driver::directories::{LogDirectories, absolute};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use pelton_core::model::{METADATA_TOPIC, Offset, TopicPartition};
use pelton_core::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes of a file system, and bytes of it that are free.
type Space = Option<(u64, u64)>;
/// The logs of a directory by partition, copies that move there after the others.
type Contents = BTreeMap<(TopicPartition, bool), DescribeLogDirsPartition>;

/// Describes the directories of this broker.
pub async fn handle(scope: Scope, request: DescribeLogDirsRequest) -> Option<DescribeLogDirsResponse> {
    if let Err(refusal) = scope.require(AclOperation::Describe, Resource::Cluster) {
        let error = if scope.version >= 3 { code(Operation::Admin, &refusal) } else { NONE };
        return Some(DescribeLogDirsResponse::default().with_error_code(error));
    }
    let wanted = request.topics.map(wanted);
    let is_wanted = |partition: &TopicPartition| {
        &*partition.topic != METADATA_TOPIC && wanted.as_ref().is_none_or(|wanted| wanted.contains(partition))
    };
    let directories = scope.server.directories.clone();
    let spaces = look(&scope).await;
    let mut contents: Vec<Contents> = directories.all().iter().map(|_| Contents::new()).collect();
    let mut ends: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
    for log in scope.server.driver.log_sizes().await {
        if is_wanted(&log.partition) {
            ends.insert(log.partition.clone(), log.log_end);
            let described = partition(log.partition.partition, log.bytes, 0, false);
            contents[log.directory.0].insert((log.partition, false), described);
        }
    }
    for (moving, found) in directories.moves.all() {
        // A move that ended since has its log among the others.
        let Some(end) = ends.get(&moving) else { continue };
        let lag = end.saturating_sub(found.copied).max(0);
        contents[found.to.0].insert((moving.clone(), true), partition(moving.partition, found.bytes, lag, true));
    }
    let results = directories.all().iter().zip(spaces).zip(contents).map(|((directory, space), contents)| {
        let result =
            DescribeLogDirsResult::default().with_log_dir(text::wire(&absolute(directory.path()).to_string_lossy()));
        if let Some(failure) = directory.failure() {
            let refusal = Refusal::Storage(failure.to_owned());
            return result.with_error_code(code(Operation::Admin, &refusal)).with_total_bytes(-1).with_usable_bytes(-1);
        }
        let bytes = |bytes: Option<u64>| bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        let result = result.with_error_code(NONE).with_topics(topics(contents));
        if scope.version < 4 {
            return result;
        }
        let (total, usable) = (space.map(|(total, _)| total), space.map(|(_, usable)| usable));
        result.with_total_bytes(bytes(total)).with_usable_bytes(bytes(usable))
    });
    Some(DescribeLogDirsResponse::default().with_results(results.collect()))
}

/// Measures the file systems. A directory that is not what it was is offline from then on.
async fn look(scope: &Scope) -> Vec<Space> {
    let (directories, driver) = (scope.server.directories.clone(), scope.server.driver.clone());
    let look = move || {
        let look_at = |index: DirectoryIndex, directories: &Arc<LogDirectories>| {
            let directory = directories.of(index);
            if directory.failure().is_some() {
                return None;
            }
            match directory.check().and_then(|()| directory.space()) {
                Ok(space) => Some(space),
                Err(error) => {
                    driver.directory_failed(index, &error.to_string());
                    None
                }
            }
        };
        (0..directories.all().len()).map(|index| look_at(DirectoryIndex(index), &directories)).collect()
    };
    // A disk that hangs must not hold up the connections.
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

fn wanted(topics: Vec<DescribableLogDirTopic>) -> BTreeSet<TopicPartition> {
    let mut wanted = BTreeSet::new();
    for topic in topics {
        let name: Arc<str> = topic.topic.as_str().into();
        wanted.extend(topic.partitions.into_iter().map(|index| TopicPartition::new(name.clone(), index)));
    }
    wanted
}

fn partition(index: i32, bytes: u64, lag: i64, is_future: bool) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition::default()
        .with_partition_index(index)
        .with_partition_size(i64::try_from(bytes).unwrap_or(i64::MAX))
        .with_offset_lag(lag)
        .with_is_future_key(is_future)
}

fn topics(contents: Contents) -> Vec<DescribeLogDirsTopic> {
    let mut topics: Vec<DescribeLogDirsTopic> = Vec::new();
    for ((partition, _), described) in contents {
        match topics.last_mut().filter(|topic| topic.name.as_str() == &*partition.topic) {
            Some(topic) => topic.partitions.push(described),
            None => topics.push(
                DescribeLogDirsTopic::default()
                    .with_name(TopicName(text::wire(&partition.topic)))
                    .with_partitions(vec![described]),
            ),
        }
    }
    topics
}
