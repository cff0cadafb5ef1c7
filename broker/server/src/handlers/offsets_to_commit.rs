//! What OffsetCommit and TxnOffsetCommit do alike: partitions that do not exist are refused one by one, the others are
//! committed together, and each is answered with its own error or with that of the commit.
//!
//! Who commits, and what the commit waits for, is for each API to say.

use super::Scope;
use super::scope::{partition_of, resolve, unexpected};
use crate::hooks::commit::Committed;
use crate::protocol::error_code::{NONE, Operation, code};
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use pelton_core::cluster::ClusterImage;
use pelton_core::event::{CommitOffset, GroupReply, GroupRequest};
use pelton_core::model::{LeaderEpoch, Offset};
use pelton_core::refusal::Refusal;
use uuid::Uuid;

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

/// What is known of each partition of a request, by topic, in its order.
type ByTopic<T> = Vec<(TopicName, Vec<(i32, T)>)>;

/// A request whose partitions were looked up.
#[derive(Default)]
pub struct OffsetsToCommit {
    /// Those that exist.
    pub offsets: Vec<CommitOffset>,
    topics: ByTopic<Option<Refusal>>,
}

impl OffsetsToCommit {
    /// Looks up the partitions that a request names under one topic.
    pub fn add<'a>(
        &mut self,
        image: &ClusterImage,
        topic: &TopicName,
        asked: impl ExactSizeIterator<Item = Asked<'a>>,
    ) {
        let mut partitions = Vec::with_capacity(asked.len());
        for asked in asked {
            let target = resolve(image, false, topic, Uuid::nil())
                .and_then(|(name, described)| partition_of(name, described, asked.partition));
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

    /// The error code of each partition.
    pub fn error_codes(self, committed: Result<(), Refusal>) -> ByTopic<i16> {
        let whole = committed.err();
        let error_code = |refusal: Option<Refusal>| {
            refusal.as_ref().or(whole.as_ref()).map_or(NONE, |refusal| code(Operation::Group, refusal))
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
    match scope.ask_group(&group, request).await? {
        GroupReply::Done => scope.server.hooks.committed(|| scope.client(), seen).await,
        other => Err(unexpected(&other)),
    }
}
