//! What OffsetCommit and TxnOffsetCommit do alike: partitions that do not exist, that the client may not read, or whose
//! metadata is longer than `offset.metadata.max.bytes`, are refused one by one; the others are committed together, and
//! each is answered with its own error or with that of the commit.
//!
//! Who commits, and what the commit waits for, is for each API to say.

use super::Scope;
use super::of_each_partition::ByTopic;
use super::scope::{partition_of, unexpected};
use crate::auth::AclOperation;
use crate::hooks::commit::Committed;
use crate::protocol::error_code::{NONE, Operation, code};
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use pelton_core::cluster::TopicImage;
use pelton_core::event::{CommitOffset, GroupReply, GroupRequest};
use pelton_core::model::{LeaderEpoch, Offset};
use pelton_core::refusal::Refusal;
use std::sync::Arc;

/// One partition of a request.
pub struct Asked<'a> {
    /// Its number.
    pub partition: i32,
    /// The next offset to read.
    pub offset: Offset,
    /// The epoch of the record before it; below 0 when the client does not know it.
    pub leader_epoch: i32,
    /// What the client keeps with the offset.
    pub metadata: Option<&'a StrBytes>,
}

/// A request whose partitions were looked up.
pub struct OffsetsToCommit {
    /// Those that exist.
    pub offsets: Vec<CommitOffset>,
    /// Whether the client may commit at all.
    allowed: Result<(), Refusal>,
    topics: ByTopic<(i32, Option<Refusal>)>,
}

impl OffsetsToCommit {
    /// Of a client that may commit, or why it may not: then nothing is looked at.
    pub fn new(allowed: Result<(), Refusal>) -> Self {
        Self { offsets: Vec::new(), allowed, topics: Vec::new() }
    }

    /// Looks up the partitions that a request names under one topic; `find` finds the topic if the client may read it.
    pub fn add<'a, 'i>(
        &mut self,
        scope: &Scope,
        topic: &TopicName,
        find: impl FnOnce() -> Result<(&'i Arc<str>, &'i TopicImage), Refusal>,
        asked: impl ExactSizeIterator<Item = Asked<'a>>,
    ) {
        let max_metadata = scope.server.core.offset_metadata_max_bytes;
        let readable = self.allowed.clone().and_then(|()| find());
        let mut partitions = Vec::with_capacity(asked.len());
        for asked in asked {
            let target = readable
                .clone()
                .and_then(|(name, described)| partition_of(name, described, asked.partition))
                .and_then(|partition| match asked.metadata {
                    Some(metadata) if metadata.len() > max_metadata => Err(Refusal::OffsetMetadataTooLarge),
                    _ => Ok(partition),
                });
            partitions.push((asked.partition, target.as_ref().err().cloned()));
            if let Ok(partition) = target {
                self.offsets.push(CommitOffset {
                    partition,
                    offset: asked.offset,
                    leader_epoch: (asked.leader_epoch >= 0).then_some(LeaderEpoch(asked.leader_epoch)),
                    metadata: asked.metadata.map_or("", |metadata| metadata.as_str()).into(),
                });
            }
        }
        self.topics.push((topic.clone(), partitions));
    }

    /// The error code of each partition, as that operation tells it, by topic in the order in which they were added.
    pub fn error_codes(self, operation: Operation, committed: Result<(), Refusal>) -> ByTopic<(i32, i16)> {
        let whole = committed.err();
        let error_code = |refusal: Option<Refusal>| {
            refusal.as_ref().or(whole.as_ref()).map_or(NONE, |refusal| code(operation, refusal))
        };
        let topics = self.topics.into_iter().map(|(name, partitions)| {
            (name, partitions.into_iter().map(|(index, refusal)| (index, error_code(refusal))).collect())
        });
        topics.collect()
    }
}

/// Asks the coordinator to commit, and then tells the `on-commit` hooks.
pub async fn commit(scope: &Scope, request: GroupRequest, seen: Committed) -> Result<(), Refusal> {
    let group = seen.group.clone();
    match scope.ask_group(AclOperation::Read, &group, request).await? {
        GroupReply::Done => scope.server.hooks.committed(|| scope.client(), seen).await,
        other => Err(unexpected(&other)),
    }
}
