//! OffsetForLeaderEpoch (key 23), v2-4: where the records of a leader epoch end.
//!
//! Consumers ask it after a change of the leader, to see whether their position was truncated (KIP-320). The answer is the
//! largest epoch of the log that is not above the one that is asked for, and one past its last record; -1 and -1 where
//! the log knows no epoch that high. The asker's own view of the leader epoch is checked first (FENCED_LEADER_EPOCH,
//! UNKNOWN_LEADER_EPOCH). v3 added the id of the replica, which changes nothing here, v4 is flexible.
//!
//! Left out: v0-1, which Kafka 4 dropped.
//!
//! Memory: 22 bytes of answer for each 12 bytes that name a partition.

use super::Scope;
use super::of_each_partition::{answered, begin, reply};
use super::scope::unexpected;
use crate::auth::AclOperation;
use crate::driver::Pending;
use crate::protocol::error_code::{Operation, code};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use pelton_core::event::{OffsetLookup, PartitionReply, PartitionRequest};
use pelton_core::model::{Isolation, LeaderEpoch};
use pelton_core::refusal::Refusal;

/// Looks the epoch up in every partition.
pub async fn handle(scope: Scope, request: OffsetForLeaderEpochRequest) -> Option<OffsetForLeaderEpochResponse> {
    let image = scope.image();
    let begun = begin(
        request.topics.into_iter().map(|topic| (topic.topic, topic.partitions)),
        |name| scope.topic(AclOperation::Describe, &image, name),
        |asked| asked.partition,
        |partition, asked| {
            let current = asked.current_leader_epoch;
            let request = PartitionRequest::Locate {
                lookup: OffsetLookup::EpochEnd(LeaderEpoch(asked.leader_epoch)),
                isolation: Isolation::ReadUncommitted,
                current_leader_epoch: (current >= 0).then_some(LeaderEpoch(current)),
            };
            scope.ask_partition(partition, request)
        },
    );
    let topics = answered(begun, answer).await;
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| OffsetForLeaderTopicResult::default().with_topic(name).with_partitions(partitions));
    Some(OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
}

async fn answer(index: i32, pending: Result<Pending, Refusal>) -> EpochEndOffset {
    // Kafka's words for nothing.
    let nothing = EpochEndOffset::default().with_partition(index).with_leader_epoch(-1).with_end_offset(-1);
    match reply(pending).await {
        Ok(PartitionReply::Located { found: Some((end, _)), leader_epoch }) => {
            nothing.with_leader_epoch(leader_epoch.0).with_end_offset(end)
        }
        Ok(PartitionReply::Located { found: None, .. }) => nothing,
        Ok(other) => nothing.with_error_code(code(Operation::Read, &unexpected(&other))),
        Err(refusal) => nothing.with_error_code(code(Operation::Read, &refusal)),
    }
}
