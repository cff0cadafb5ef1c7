//! What one group has committed, and what open transactions would commit.
//!
//! Invariant: a pending offset is visible to nobody before its transaction is committed, and then only
//! where no later commit stands: the order of the log decides, whenever the decision arrives.

use super::records::{OffsetCommitKey, OffsetCommitValue};
use crate::coordinator::NewRecord;
use crate::event::{CommitOffset, CommittedOffset, OffsetCommit};
use crate::model::{Offset, ProducerId, Timestamp, TopicPartition};
use crate::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An offset and its place among the records of the log.
#[derive(Debug, Clone)]
struct Ordered {
    offset: CommittedOffset,
    order: u64,
}

/// The offsets of one group.
#[derive(Debug, Default)]
pub(super) struct GroupOffsets {
    committed: BTreeMap<TopicPartition, Ordered>,
    pending: BTreeMap<ProducerId, BTreeMap<TopicPartition, Ordered>>,
}

impl GroupOffsets {
    /// Nothing is committed and nothing is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    /// What is committed, in the order of the partitions.
    pub(super) fn committed(&self) -> impl Iterator<Item = (&TopicPartition, Offset)> {
        self.committed.iter().map(|(partition, ordered)| (partition, ordered.offset.offset))
    }

    /// Applies an offset record: the `order`-th of the log, in the transaction of `producer` if it has one.
    pub(super) fn apply(
        &mut self,
        partition: TopicPartition,
        value: Option<OffsetCommitValue>,
        order: u64,
        producer: Option<ProducerId>,
    ) {
        match (value, producer) {
            (Some(value), producer) => {
                let OffsetCommitValue { offset, leader_epoch, metadata, committed_at, expires_at } = value;
                let offset = CommittedOffset { offset, leader_epoch, metadata, committed_at, expires_at };
                let offsets = match producer {
                    Some(producer) => self.pending.entry(producer).or_default(),
                    None => &mut self.committed,
                };
                offsets.insert(partition, Ordered { offset, order });
            }
            (None, None) => {
                self.committed.remove(&partition);
                // What was to be committed was written before; a commit must not bring it back.
                for offsets in self.pending.values_mut() {
                    offsets.remove(&partition);
                }
                self.pending.retain(|_, offsets| !offsets.is_empty());
            }
            // Nobody deletes an offset within a transaction.
            (None, Some(_)) => {}
        }
    }

    /// Applies the decision on a producer's transaction.
    pub(super) fn complete(&mut self, producer: ProducerId, commit: bool) {
        let Some(pending) = self.pending.remove(&producer) else { return };
        if !commit {
            return;
        }
        for (partition, ordered) in pending {
            let is_newer = self.committed.get(&partition).is_none_or(|standing| standing.order < ordered.order);
            if is_newer {
                self.committed.insert(partition, ordered);
            }
        }
    }

    fn is_pending(&self, partition: &TopicPartition) -> bool {
        self.pending.values().any(|offsets| offsets.contains_key(partition))
    }

    /// OffsetFetch: the committed offsets of these partitions, or of all. With `require_stable`, a partition
    /// with a pending offset refuses the whole request (KIP-447).
    pub(super) fn fetch(
        &self,
        partitions: Option<Vec<TopicPartition>>,
        require_stable: bool,
    ) -> Result<Vec<(TopicPartition, Option<CommittedOffset>)>, Refusal> {
        let of = |partition: &TopicPartition| self.committed.get(partition).map(|ordered| ordered.offset.clone());
        let Some(partitions) = partitions else {
            if require_stable && !self.pending.is_empty() {
                return Err(Refusal::UnstableOffsetCommit);
            }
            return Ok(self.committed.keys().map(|partition| (partition.clone(), of(partition))).collect());
        };
        if require_stable && partitions.iter().any(|partition| self.is_pending(partition)) {
            return Err(Refusal::UnstableOffsetCommit);
        }
        let wanted: BTreeSet<TopicPartition> = partitions.into_iter().collect();
        Ok(wanted.into_iter().map(|partition| (partition.clone(), of(&partition))).collect())
    }

    /// The partitions whose offsets nobody has used for longer than the retention, among the topics that may expire.
    /// `unused_since` is when the group's last member left, of a group that had members.
    pub(super) fn expired(
        &self,
        now: Timestamp,
        retention_ms: i64,
        unused_since: Option<Timestamp>,
        may_expire: impl Fn(&str) -> bool,
    ) -> Vec<TopicPartition> {
        let is_expired = |(partition, ordered): &(&TopicPartition, &Ordered)| {
            let CommittedOffset { committed_at, expires_at, .. } = ordered.offset;
            let since = unused_since.map_or(committed_at, |at| at.max(committed_at));
            let at = expires_at.unwrap_or_else(|| since.plus_ms(retention_ms));
            at <= now && may_expire(&partition.topic) && !self.is_pending(partition)
        };
        self.committed.iter().filter(is_expired).map(|(partition, _)| partition.clone()).collect()
    }

    /// All partitions with an offset, committed or pending.
    pub(super) fn partitions(&self) -> BTreeSet<TopicPartition> {
        self.committed.keys().chain(self.pending.values().flat_map(BTreeMap::keys)).cloned().collect()
    }

    /// How many partitions have a committed offset, if nothing is pending.
    pub(super) fn settled_len(&self) -> Option<usize> {
        self.pending.is_empty().then_some(self.committed.len())
    }
}

/// The records of a commit.
pub(super) fn records(commit: OffsetCommit, now: Timestamp) -> Vec<NewRecord> {
    let OffsetCommit { group, offsets, retention_ms, .. } = commit;
    let expires_at = retention_ms.map(|retention_ms| now.plus_ms(retention_ms.max(0)));
    let record = |commit: CommitOffset| NewRecord {
        key: OffsetCommitKey { group: group.clone(), partition: commit.partition }.encode(),
        value: Some(
            OffsetCommitValue {
                offset: commit.offset,
                leader_epoch: commit.leader_epoch,
                metadata: commit.metadata,
                committed_at: now,
                expires_at,
            }
            .encode(),
        ),
    };
    offsets.into_iter().map(record).collect()
}

/// The record that forgets an offset.
pub(super) fn tombstone(group: &Arc<str>, partition: TopicPartition) -> NewRecord {
    NewRecord { key: OffsetCommitKey { group: group.clone(), partition }.encode(), value: None }
}
