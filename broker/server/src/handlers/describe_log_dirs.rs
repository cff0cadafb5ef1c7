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

use super::{Answer, Call, Handling, Scope};
use crate::auth::{AclOperation, Resource};
use crate::driver::directories::placement::DirectoryIndex;
use crate::driver::directories::{LogDirectories, absolute};
use crate::protocol::answer_fields;
use crate::protocol::codec::{Malformed, Prelude};
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{ApiKey, DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use kafka_protocol::protocol::Encodable;
use pelton_core::model::{METADATA_TOPIC, Offset, TopicPartition};
use pelton_core::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

/// Bytes of a file system, and bytes of it that are free.
type Space = Option<(u64, u64)>;
/// The logs of a directory by partition, copies that move there after the others.
type Contents = BTreeMap<(TopicPartition, bool), DescribeLogDirsPartition>;

/// The last version that the library writes; the next has one byte more for each directory.
const LAST_WRITTEN: i16 = 4;

/// Answers in the request's version.
///
/// # Errors
/// A request that is not what its version says.
pub fn serve(mut call: Call) -> Result<Handling, Malformed> {
    let Prelude { version, correlation_id, .. } = call.prelude;
    if version <= LAST_WRITTEN {
        return super::serve(call, handle);
    }
    let request = super::decode_as(&mut call, LAST_WRITTEN)?;
    Ok(Box::new(move |scope| {
        let (admitted, numbers, charging) =
            (scope.admitted.clone(), scope.server.metrics.clone(), scope.charging.clone());
        Box::pin(async move {
            let mut answering = pin!(handle(scope, request));
            let settled = charging.settled(ApiKey::DescribeLogDirs, answering.as_mut());
            let Some(response) = settled.await? else { return Ok(None) };
            answer_fields::count_errors(&numbers, ApiKey::DescribeLogDirs, &response);
            let frame = frame_of_v5(correlation_id, &response)?;
            Ok(Some(Answer { frame: frame.into(), admitted: admitted.take() }))
        })
    }))
}

/// The answer in v5: as v4, with `is_cordoned` between the fields of a directory and its tagged ones.
fn frame_of_v5(correlation_id: i32, response: &DescribeLogDirsResponse) -> Result<Bytes, Malformed> {
    const NO_TAGS: u8 = 0;
    const NOT_CORDONED: u8 = 0;
    let failed = |error: &dyn std::fmt::Display| Malformed::Response(error.to_string());
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    frame.put_i32(correlation_id);
    frame.put_u8(NO_TAGS);
    frame.put_i32(response.throttle_time_ms);
    frame.put_i16(response.error_code);
    let mut count = response.results.len() + 1;
    while count >= 0x80 {
        frame.put_u8((count & 0x7f) as u8 | 0x80);
        count >>= 7;
    }
    frame.put_u8(count as u8);
    for result in &response.results {
        result.encode(&mut frame, LAST_WRITTEN).map_err(|error| failed(&error))?;
        frame.truncate(frame.len() - 1);
        frame.put_slice(&[NOT_CORDONED, NO_TAGS]);
    }
    frame.put_u8(NO_TAGS);
    let length = i32::try_from(frame.len() - 4).map_err(|error| failed(&error))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// Describes the directories of this broker.
async fn handle(scope: Scope, request: DescribeLogDirsRequest) -> Option<DescribeLogDirsResponse> {
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
