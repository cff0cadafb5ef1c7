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
use super::scope::{partition_answer, partition_of, unexpected};
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
    let mut begun = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let resolved = scope.topic(AclOperation::Describe, &image, &topic.topic);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let pending = resolved.clone().and_then(|(name, described)| {
                let partition = partition_of(name, described, asked.partition)?;
                let current = asked.current_leader_epoch;
                let request = PartitionRequest::Locate {
                    lookup: OffsetLookup::EpochEnd(LeaderEpoch(asked.leader_epoch)),
                    isolation: Isolation::ReadUncommitted,
                    current_leader_epoch: (current >= 0).then_some(LeaderEpoch(current)),
                };
                Ok(scope.ask_partition(partition, request))
            });
            partitions.push((asked.partition, pending));
        }
        begun.push((topic.topic, partitions));
    }
    let mut topics = Vec::with_capacity(begun.len());
    for (name, asked) in begun {
        let mut partitions = Vec::with_capacity(asked.len());
        for (index, pending) in asked {
            partitions.push(answer(pending).await.with_partition(index));
        }
        topics.push(OffsetForLeaderTopicResult::default().with_topic(name).with_partitions(partitions));
    }
    Some(OffsetForLeaderEpochResponse::default().with_topics(topics))
}

async fn answer(pending: Result<Pending, Refusal>) -> EpochEndOffset {
    let result = match pending {
        Ok(pending) => partition_answer(pending.await),
        Err(refusal) => Err(refusal),
    };
    // Kafka's words for nothing.
    let nothing = EpochEndOffset::default().with_leader_epoch(-1).with_end_offset(-1);
    match result {
        Ok(PartitionReply::Located { found: Some((end, _)), leader_epoch }) => {
            nothing.with_leader_epoch(leader_epoch.0).with_end_offset(end)
        }
        Ok(PartitionReply::Located { found: None, .. }) => nothing,
        Ok(other) => nothing.with_error_code(code(Operation::Read, &unexpected(&other))),
        Err(refusal) => nothing.with_error_code(code(Operation::Read, &refusal)),
    }
}
