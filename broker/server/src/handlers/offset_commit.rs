//! OffsetCommit (key 8), v2-10: stores the offsets of a group.
//!
//! v2-4 may carry a retention time, by which the offsets then expire (KIP-211 took it out of v5). v6 added leader
//! epochs, v7 static membership, v9 the new group protocol (KIP-848), whose member epochs are not served here: classic
//! members send their generation in the same field. v10 names topics by their ids, here and in the answer; an id that no
//! topic has, and so one of zeros, is UNKNOWN_TOPIC_ID in each of its partitions, whatever topics the client may read. Partitions
//! that do not exist are refused one by one; the others are committed together, and the answer leaves when they are
//! durable, and after the `on-commit` hooks of their topics.
//!
//! A member of a generation that is over gets UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION or REBALANCE_IN_PROGRESS, also
//! where the group is no longer there: Kafka answers that with GROUP_ID_NOT_FOUND from v9 on, which clients do not take
//! for a lost membership.
//!
//! Left out: member epochs. Memory: 32 times the request, for the partitions and their records.

use super::Scope;
use super::offsets_to_commit::{Asked, OffsetsToCommit, commit};
use crate::auth::{AclOperation, Resource};
use crate::hooks::commit::Committed;
use crate::protocol::error_code::Operation;
use crate::protocol::text;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use pelton_core::event::{CommitOffset, GroupRequest, OffsetCommit};
use pelton_core::refusal::Refusal;

/// Commits what can be committed.
pub async fn handle(scope: Scope, request: OffsetCommitRequest) -> Option<OffsetCommitResponse> {
    let image = scope.image();
    let mut checked = OffsetsToCommit::new(scope.require(AclOperation::Read, Resource::Group(&request.group_id)));
    for topic in &request.topics {
        let asked = topic.partitions.iter().map(|asked| Asked {
            partition: asked.partition_index,
            offset: asked.committed_offset,
            leader_epoch: asked.committed_leader_epoch,
            metadata: asked.committed_metadata.as_ref(),
        });
        let find = || match scope.version {
            10.. => scope.topic_by_id(AclOperation::Read, &image, topic.topic_id),
            _ => scope.topic(AclOperation::Read, &image, &topic.name),
        };
        checked.add(&scope, &topic.name, find, asked);
    }
    let offsets = std::mem::take(&mut checked.offsets);
    let committed = if offsets.is_empty() { Ok(()) } else { commit_all(&scope, &request, offsets).await };
    let answered = checked.error_codes(Operation::Group, committed).into_iter().zip(&request.topics);
    let topics = answered.map(|((name, partitions), asked)| {
        let partitions = partitions.into_iter().map(|(index, error)| {
            OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(error)
        });
        OffsetCommitResponseTopic::default()
            .with_name(name)
            .with_topic_id(asked.topic_id)
            .with_partitions(partitions.collect())
    });
    Some(OffsetCommitResponse::default().with_topics(topics.collect()))
}

async fn commit_all(scope: &Scope, request: &OffsetCommitRequest, offsets: Vec<CommitOffset>) -> Result<(), Refusal> {
    let commits = OffsetCommit {
        group: request.group_id.0.as_str().into(),
        generation: request.generation_id_or_member_epoch,
        member: request.member_id.as_str().into(),
        instance: text::optional(request.group_instance_id.as_ref()),
        retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
        offsets,
    };
    let seen = Committed {
        group: commits.group.clone(),
        member: commits.member.clone(),
        transactional: false,
        offsets: scope.committing(&commits.offsets),
    };
    commit(scope, GroupRequest::Commit(commits), seen).await
}
