//! What administrators ask of groups, and what the deletion of a topic does to offsets.
//!
//! Invariant: a group with members is never deleted, and no offset of a topic that its consumers subscribe to.

use super::classic::State;
use super::{Group, Groups, Step, offsets};
use crate::coordinator::NewRecord;
use crate::event::{DescribedGroup, GroupReply, GroupState, ListedGroup, ReplyTo};
use crate::model::TopicPartition;
use crate::refusal::Refusal;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Groups {
    pub(super) fn list(&self, step: &mut Step<'_>, to: ReplyTo, states: Option<&BTreeSet<GroupState>>) {
        let wanted = |group: &Group| states.is_none_or(|states| states.contains(&group.classic.state()));
        let listed = self.groups.iter().filter(|(_, group)| wanted(group)).map(|(id, group)| ListedGroup {
            group: id.clone(),
            protocol_type: group.classic.protocol_type(),
            state: group.classic.state(),
        });
        step.answer(to, GroupReply::Listed(listed.collect()));
    }

    pub(super) fn describe(&self, step: &mut Step<'_>, to: ReplyTo, groups: &[Arc<str>]) {
        let described = |id: &Arc<str>| -> Result<DescribedGroup, Refusal> {
            let group = self.groups.get(id).ok_or_else(|| Refusal::GroupIdNotFound(id.to_string()))?;
            Ok(group.classic.described())
        };
        step.answer(to, GroupReply::Described(groups.iter().map(described).collect()));
    }

    pub(super) fn delete(&mut self, step: &mut Step<'_>, to: ReplyTo, groups: &[Arc<str>]) {
        let mut records = Vec::new();
        let results = groups.iter().map(|id| self.delete_one(id, &mut records).err()).collect();
        step.out.append(records);
        step.answer(to, GroupReply::Deleted(results));
        for id in groups {
            // Of a group that has no records there is nothing to replay.
            self.settle(id, step.now);
        }
    }

    fn delete_one(&mut self, id: &Arc<str>, records: &mut Vec<NewRecord>) -> Result<(), Refusal> {
        let group = self.groups.get_mut(id).ok_or_else(|| Refusal::GroupIdNotFound(id.to_string()))?;
        if group.classic.state() != State::Empty {
            return Err(Refusal::NonEmptyGroup);
        }
        group.classic.forget_pending();
        records.extend(group.offsets.partitions().into_iter().map(|partition| offsets::tombstone(id, partition)));
        if group.classic.is_stored() {
            records.push(NewRecord { key: group.classic.record_key(), value: None });
        }
        Ok(())
    }

    pub(super) fn delete_offsets(
        &mut self,
        step: &mut Step<'_>,
        to: ReplyTo,
        id: &Arc<str>,
        partitions: Vec<TopicPartition>,
    ) {
        let Some(group) = self.groups.get(id) else {
            return step.refuse(to, Refusal::GroupIdNotFound(id.to_string()));
        };
        let classic = &group.classic;
        if classic.state() != State::Empty && !classic.is_of_consumers() {
            return step.refuse(to, Refusal::NonEmptyGroup);
        }
        let subscriptions = classic.subscriptions();
        let known = group.offsets.partitions();
        let mut deleted = BTreeSet::new();
        let mut results = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let is_subscribed = subscriptions.may_include(&partition.topic);
            if !is_subscribed && known.contains(&partition) {
                deleted.insert(partition.clone());
            }
            results.push((partition, is_subscribed.then_some(Refusal::GroupSubscribedToTopic)));
        }
        step.out.append(deleted.into_iter().map(|partition| offsets::tombstone(id, partition)).collect());
        step.answer(to, GroupReply::OffsetsDeleted(results));
    }

    /// Every group forgets its offsets of the partitions that are gone, those of open transactions too.
    pub(super) fn forget_partitions(
        &mut self,
        step: &mut Step<'_>,
        to: ReplyTo,
        is_gone: impl Fn(&TopicPartition) -> bool,
    ) {
        let mut records = Vec::new();
        for (id, group) in &self.groups {
            let gone = group.offsets.partitions().into_iter().filter(&is_gone);
            records.extend(gone.map(|partition| offsets::tombstone(id, partition)));
        }
        step.out.append(records);
        step.answer(to, GroupReply::Done);
    }
}
