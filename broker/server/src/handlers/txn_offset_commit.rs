//! TxnOffsetCommit (key 28), v0-4: commits offsets as part of a transaction.
//!
//! The offsets stay pending until the transaction is decided. v2 added leader epochs, v3 the member and its
//! generation, which are checked when they are given (KIP-447). Partitions that do not exist are refused one by one.
//! The answer leaves after the `on-commit` hooks of the topics.
//!
//! A producer that was fenced is told INVALID_PRODUCER_EPOCH, as every version knows it. Where AddOffsetsToTxn has not come
//! first, the answer is INVALID_TXN_STATE, and from v4 on TRANSACTION_ABORTABLE (KIP-890).
//!
//! Left out: v5 (implicit enlisting, with `transaction.version` 2) and v6 (topic ids). Memory: 32 times the request, for
//! the partitions and their records.

use super::Scope;
use super::offsets_to_commit::{Asked, OffsetsToCommit, commit};
use crate::auth::{AclOperation, Resource};
use crate::hooks::commit::Committed;
use crate::protocol::error_code::Operation;
use crate::protocol::text;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use pelton_core::event::{CommitOffset, GroupRequest, OffsetCommit, TransactionalOffsetCommit};
use pelton_core::model::{ProducerEpoch, ProducerId};
use pelton_core::refusal::Refusal;

/// Commits what can be committed, pending the transaction.
pub async fn handle(scope: Scope, request: TxnOffsetCommitRequest) -> Option<TxnOffsetCommitResponse> {
    let image = scope.image();
    let allowed = scope
        .require(AclOperation::Write, Resource::TransactionalId(&request.transactional_id))
        .and_then(|()| scope.require(AclOperation::Read, Resource::Group(&request.group_id)));
    let mut checked = OffsetsToCommit::new(allowed);
    for topic in &request.topics {
        let asked = topic.partitions.iter().map(|asked| Asked {
            partition: asked.partition_index,
            offset: asked.committed_offset,
            leader_epoch: asked.committed_leader_epoch,
            metadata: asked.committed_metadata.as_ref(),
        });
        let find = || scope.topic(AclOperation::Read, &image, &topic.name);
        checked.add(&scope, &topic.name, find, asked);
    }
    let offsets = std::mem::take(&mut checked.offsets);
    let committed = if offsets.is_empty() { Ok(()) } else { commit_all(&scope, &request, offsets).await };
    let topics = checked.error_codes(Operation::TransactionalCommit(scope.version), committed).into_iter().map(
        |(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, error)| {
                TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(error)
            });
            TxnOffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions.collect())
        },
    );
    Some(TxnOffsetCommitResponse::default().with_topics(topics.collect()))
}

async fn commit_all(
    scope: &Scope,
    request: &TxnOffsetCommitRequest,
    offsets: Vec<CommitOffset>,
) -> Result<(), Refusal> {
    let commits = TransactionalOffsetCommit {
        producer_id: ProducerId(request.producer_id.0),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        transactional_id: request.transactional_id.0.as_str().into(),
        commit: OffsetCommit {
            group: request.group_id.0.as_str().into(),
            generation: request.generation_id,
            member: request.member_id.as_str().into(),
            instance: text::optional(request.group_instance_id.as_ref()),
            retention_ms: None,
            offsets,
        },
    };
    let seen = Committed {
        group: commits.commit.group.clone(),
        member: commits.transactional_id.clone(),
        transactional: true,
        offsets: scope.committing(&commits.commit.offsets),
    };
    commit(scope, GroupRequest::CommitInTransaction(commits), seen).await
}
