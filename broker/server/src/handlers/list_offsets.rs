//! ListOffsets (key 2), v1-11: offsets by time.
//!
//! -1 is the end that the isolation level may read (v2 added it), -2 the log start, -3 the record with the
//! largest timestamp (v7), -4 the start of what is stored locally, which is the log start (v8), -5 the end of
//! what is tiered (v9) and -6 the first that is to be tiered (v11), of which there is nothing. Other timestamps find the first
//! record at or after them; a negative one that the version does not know is UNSUPPORTED_VERSION. v4 added leader epochs, v10
//! a timeout.
//!
//! Left out: remote storage.
//!
//! Memory: some 30 bytes of answer for each 12 bytes that name a partition.

use super::Scope;
use super::of_each_partition::{answered, begin, reply};
use super::scope::unexpected;
use crate::auth::AclOperation;
use crate::driver::Pending;
use crate::protocol::error_code::{Operation, code};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use pelton_core::event::{OffsetLookup, PartitionReply, PartitionRequest};
use pelton_core::model::{Isolation, LeaderEpoch, Timestamp};
use pelton_core::refusal::Refusal;

/// Looks every partition up.
pub async fn handle(scope: Scope, request: ListOffsetsRequest) -> Option<ListOffsetsResponse> {
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let image = scope.image();
    let begun = begin(
        request.topics.into_iter().map(|topic| (topic.name, topic.partitions)),
        |name| scope.topic(AclOperation::Describe, &image, name),
        |asked| asked.partition_index,
        |partition, asked| {
            let Some(lookup) = lookup(scope.version, asked.timestamp)? else { return Ok(None) };
            let current = asked.current_leader_epoch;
            let current_leader_epoch = (current >= 0).then_some(LeaderEpoch(current));
            let request = PartitionRequest::Locate { lookup, isolation, current_leader_epoch };
            Ok(Some(scope.ask_partition(partition, request)))
        },
    );
    let topics = answered(begun, |index, begun| answer(scope.version, index, begun)).await;
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| ListOffsetsTopicResponse::default().with_name(name).with_partitions(partitions));
    Some(ListOffsetsResponse::default().with_topics(topics.collect()))
}

/// What a timestamp of the wire looks for; `None` where there can be nothing.
fn lookup(version: i16, timestamp: i64) -> Result<Option<OffsetLookup>, i16> {
    Ok(Some(match timestamp {
        -1 => OffsetLookup::Latest,
        -2 => OffsetLookup::Earliest,
        -3 if version >= 7 => OffsetLookup::MaxTimestamp,
        -4 if version >= 8 => OffsetLookup::Earliest,
        -5 if version >= 9 => return Ok(None),
        -6 if version >= 11 => return Ok(None),
        0.. => OffsetLookup::AtOrAfter(Timestamp(timestamp)),
        _ => return Err(ResponseError::UnsupportedVersion.code()),
    }))
}

async fn answer(
    version: i16,
    index: i32,
    begun: Result<Result<Option<Pending>, i16>, Refusal>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
    let result = match begun {
        Ok(Ok(Some(pending))) => reply(Ok(pending)).await,
        Ok(Ok(None)) => return response,
        Ok(Err(error)) => return response.with_error_code(error),
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(PartitionReply::Located { found: Some((offset, timestamp)), leader_epoch }) => response
            .with_offset(offset)
            .with_timestamp(timestamp.map_or(-1, |timestamp| timestamp.0))
            .with_leader_epoch(if version >= 4 { leader_epoch.0 } else { -1 }),
        Ok(PartitionReply::Located { found: None, .. }) => response,
        Ok(other) => response.with_error_code(code(Operation::Read, &unexpected(&other))),
        Err(refusal) => response.with_error_code(code(Operation::Read, &refusal)),
    }
}
