//! TxnOffsetCommit (key 28), v0-4: commits offsets as part of a transaction.
//!
//! The offsets stay pending until the transaction is decided. v2 added leader epochs, v3 the member and its
//! generation, which are checked when they are given (KIP-447). Partitions that do not exist are refused one by one.
//! The answer leaves after the `on-commit` hooks of the topics.
//!
//! Left out: v5 (implicit enlisting, with `transaction.version` 2) and v6 (topic ids).

use super::Scope;
use super::scope::{partition_of, resolve, unexpected};
use crate::hooks::commit::Committed;
use crate::protocol::error_code::{NONE, Operation, code};
use crate::protocol::text;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use pelton_core::event::{CommitOffset, GroupReply, GroupRequest, OffsetCommit, TransactionalOffsetCommit};
use pelton_core::model::{LeaderEpoch, ProducerEpoch, ProducerId};
use pelton_core::refusal::Refusal;
use uuid::Uuid;

/// Commits what can be committed, pending the transaction.
pub async fn handle(scope: Scope, request: TxnOffsetCommitRequest) -> Option<TxnOffsetCommitResponse> {
    let operation = Operation::Group;
    let image = scope.image();
    let mut offsets = Vec::new();
    let mut checked = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let target = resolve(&image, false, &topic.name, Uuid::nil())
                .and_then(|(name, described)| partition_of(name, described, asked.partition_index));
            partitions.push((asked.partition_index, target.as_ref().err().map(|refusal| code(operation, refusal))));
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
    let whole = if offsets.is_empty() {
        NONE
    } else {
        commit(&scope, &request, offsets).await.map_or_else(|refusal| code(operation, &refusal), |()| NONE)
    };
    let topics = checked.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, error): (i32, Option<i16>)| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(error.unwrap_or(whole))
        });
        TxnOffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    Some(TxnOffsetCommitResponse::default().with_topics(topics.collect()))
}

async fn commit(scope: &Scope, request: &TxnOffsetCommitRequest, offsets: Vec<CommitOffset>) -> Result<(), Refusal> {
    let commit = TransactionalOffsetCommit {
        producer_id: ProducerId(request.producer_id.0),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        transactional_id: request.transactional_id.0.as_str().into(),
        commit: OffsetCommit {
            group: request.group_id.0.as_str().into(),
            generation: request.generation_id,
            member: request.member_id.as_str().into(),
            instance: text::optional(request.group_instance_id.as_ref()),
            offsets,
        },
    };
    let seen = Committed {
        group: commit.commit.group.clone(),
        member: commit.transactional_id.clone(),
        transactional: true,
        offsets: scope.committing(&commit.commit.offsets),
    };
    match scope.ask_group(&request.group_id.0, GroupRequest::CommitInTransaction(commit)).await? {
        GroupReply::Done => scope.server.hooks.committed(|| scope.client(), seen).await,
        other => Err(unexpected(&other)),
    }
}
