//! OffsetCommit (key 8), v2-9: stores the offsets of a group.
//!
//! v2-4 carry a retention time, which is ignored as Kafka ignores it since KIP-211. v6 added leader epochs, v7
//! static membership, v9 the new group protocol (KIP-848), whose member epochs are not served here: classic
//! members send their generation in the same field. Partitions that do not exist are refused one by one; the
//! others are committed together, and the answer leaves when they are durable, and after the `on-commit` hooks of their
//! topics.
//!
//! Left out: v10 (topic ids), member epochs.

use super::Scope;
use super::scope::{partition_of, resolve, unexpected};
use crate::hooks::commit::Committed;
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use pelton_core::event::{CommitOffset, GroupReply, GroupRequest, OffsetCommit};
use pelton_core::model::LeaderEpoch;
use pelton_core::refusal::Refusal;
use uuid::Uuid;

/// Commits what can be committed.
pub async fn handle(scope: Scope, request: OffsetCommitRequest) -> Option<OffsetCommitResponse> {
    let image = scope.image();
    let mut offsets = Vec::new();
    let mut checked = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let target = resolve(&image, false, &topic.name, Uuid::nil())
                .and_then(|(name, described)| partition_of(name, described, asked.partition_index));
            partitions.push((asked.partition_index, target.as_ref().err().cloned()));
            if let Ok(partition) = target {
                offsets.push(CommitOffset {
                    partition,
                    offset: asked.committed_offset,
                    leader_epoch: (asked.committed_leader_epoch >= 0)
                        .then_some(LeaderEpoch(asked.committed_leader_epoch)),
                    metadata: asked.committed_metadata.as_ref().map_or("", |m| m.as_str()).into(),
                });
            }
        }
        checked.push((topic.name.clone(), partitions));
    }
    let result = if offsets.is_empty() {
        Ok(())
    } else {
        let commit = OffsetCommit {
            group: request.group_id.0.as_str().into(),
            generation: request.generation_id_or_member_epoch,
            member: request.member_id.as_str().into(),
            instance: text::optional(request.group_instance_id.as_ref()),
            offsets,
        };
        let seen = Committed {
            group: commit.group.clone(),
            member: commit.member.clone(),
            transactional: false,
            offsets: scope.committing(&commit.offsets),
        };
        match scope.ask_group(&request.group_id.0, GroupRequest::Commit(commit)).await {
            Ok(GroupReply::Done) => scope.server.hooks.committed(|| scope.client(), seen).await,
            Ok(other) => Err(unexpected(&other)),
            Err(refusal) => Err(refusal),
        }
    };
    let whole = result.err();
    let topics = checked.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, refusal): (i32, Option<Refusal>)| {
            let error = refusal.as_ref().or(whole.as_ref()).map_or(NONE, |refusal| code(Operation::Group, refusal));
            OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(error)
        });
        OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    Some(OffsetCommitResponse::default().with_topics(topics.collect()))
}
