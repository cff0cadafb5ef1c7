//! The state of a group, its protocol, and the record that makes a generation hard.

use super::super::records::{GroupMetadataKey, GroupMetadataValue};
use super::{Member, Step};
use crate::coordinator::NewRecord;
pub(in crate::group) use crate::event::GroupState as State;
use crate::event::{DescribedGroup, JoinedMember, ReplyTo};
use crate::model::{MemberId, Timestamp, Token};
use crate::refusal::Refusal;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The largest GroupMetadata value: with its frame it must fit into one batch of the default `message.max.bytes`.
const MAX_METADATA_BYTES: usize = 850_000;

/// When a rebalance stops waiting for members.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinDeadline {
    pub(super) at: Timestamp,
    /// Of a group that was empty: it waits the whole delay, and longer while members keep coming.
    pub(super) initial: Option<InitialDelay>,
}

/// The first rebalance of a group (`group.initial.rebalance.delay.ms`).
#[derive(Debug, Clone, Copy)]
pub(super) struct InitialDelay {
    /// By how much it may still be extended.
    pub(super) remaining_ms: i64,
    /// A member came since the delay was last set.
    pub(super) member_added: bool,
}

/// One group of the classic protocol.
#[derive(Debug)]
pub(in crate::group) struct ClassicGroup {
    pub(super) id: Arc<str>,
    pub(super) state: State,
    pub(super) state_since: Timestamp,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<Arc<str>>,
    pub(super) protocol: Option<Arc<str>>,
    pub(super) leader: Option<MemberId>,
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) instances: BTreeMap<Arc<str>, MemberId>,
    /// Ids that were given out and not yet used (KIP-394), and when they lapse.
    pub(super) pending: BTreeMap<MemberId, Timestamp>,
    /// Members that joined this generation and have not asked for their assignment.
    pub(super) unsynced: BTreeSet<MemberId>,
    pub(super) join_deadline: Option<JoinDeadline>,
    pub(super) sync_deadline: Option<Timestamp>,
    /// The log holds a record of the group.
    stored: bool,
}

impl ClassicGroup {
    /// A group that nobody has joined.
    pub(in crate::group) fn new(id: Arc<str>, now: Timestamp) -> Self {
        Self {
            id,
            state: State::Empty,
            state_since: now,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            join_deadline: None,
            sync_deadline: None,
            stored: false,
        }
    }

    pub(in crate::group) fn state(&self) -> State {
        self.state
    }

    pub(in crate::group) fn state_since(&self) -> Timestamp {
        self.state_since
    }

    pub(in crate::group) fn generation(&self) -> i32 {
        self.generation
    }

    /// Whether it was ever used with the group protocol.
    pub(in crate::group) fn has_protocol_type(&self) -> bool {
        self.protocol_type.is_some()
    }

    /// `consumer`, `connect` ...; empty for a group that was never used with the group protocol.
    pub(in crate::group) fn protocol_type(&self) -> Arc<str> {
        self.protocol_type.clone().unwrap_or_default()
    }

    /// The group as an administrator sees it. What members support and were given is shown of a whole generation alone.
    pub(in crate::group) fn described(&self) -> DescribedGroup {
        let protocol = self.protocol.as_ref().filter(|_| self.state == State::Stable);
        DescribedGroup {
            state: self.state,
            protocol_type: self.protocol_type(),
            protocol: protocol.cloned().unwrap_or_default(),
            members: self.members.values().map(|member| member.described(protocol)).collect(),
        }
    }

    /// Forgets the ids that were given out and not used.
    pub(in crate::group) fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// Whether the log holds a record of it.
    pub(in crate::group) fn is_stored(&self) -> bool {
        self.stored
    }

    /// Nobody is in it or about to be.
    pub(in crate::group) fn is_deserted(&self) -> bool {
        self.state == State::Empty && self.members.is_empty() && self.pending.is_empty()
    }

    pub(super) fn move_to(&mut self, state: State, now: Timestamp) {
        self.state = state;
        self.state_since = now;
    }

    /// Checks that the member is known and holds its instance id.
    pub(in crate::group) fn check_member(&self, member: &MemberId, instance: Option<&Arc<str>>) -> Result<(), Refusal> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(Refusal::UnknownMemberId),
                Some(holder) if holder != member => return Err(Refusal::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(Refusal::UnknownMemberId) }
    }

    /// The member was heard of.
    pub(in crate::group) fn touch(&mut self, member: &MemberId, now: Timestamp) {
        if let Some(member) = self.members.get_mut(member) {
            member.touch(now);
        }
    }

    pub(super) fn is_leader(&self, member: &MemberId) -> bool {
        self.leader.as_ref() == Some(member)
    }

    /// The longest that a member may take to join again.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(Member::rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// The protocols that every member supports, each with no votes yet.
    fn candidates(&self) -> BTreeMap<&Arc<str>, usize> {
        let mut members = self.members.values();
        let mut candidates: BTreeMap<_, _> =
            members.next().into_iter().flat_map(Member::protocols).map(|p| (p, 0)).collect();
        for member in members {
            let supported: BTreeSet<_> = member.protocols().collect();
            candidates.retain(|name, _| supported.contains(*name));
        }
        candidates
    }

    /// Whether a join with these protocols may take part.
    pub(super) fn supports(&self, protocol_type: &Arc<str>, protocols: &[(Arc<str>, Bytes)]) -> bool {
        if protocol_type.is_empty() || protocols.is_empty() {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        let candidates = self.candidates();
        self.protocol_type.as_ref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| candidates.contains_key(name))
    }

    /// The protocol that most members like best among those that all support; the first by name where
    /// votes are equal.
    pub(super) fn elect_protocol(&self) -> Option<Arc<str>> {
        let mut votes = self.candidates();
        for member in self.members.values() {
            if let Some(favourite) = member.protocols().find(|name| votes.contains_key(name)) {
                *votes.entry(favourite).or_default() += 1;
            }
        }
        let best = votes.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(name, _)| name.clone())
    }

    /// All members as the leader sees them.
    pub(super) fn roster(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let joined = |member: &Member| JoinedMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            metadata: member.subscription(protocol),
        };
        self.members.values().map(joined).collect()
    }

    /// The record of this generation with these assignments, or a refusal where it would be too large to store.
    pub(super) fn record(&self, now: Timestamp, assign: impl Fn(&Member) -> Bytes) -> Result<NewRecord, Refusal> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_since: Some(now),
            members: self.members.values().map(|member| member.metadata(protocol, assign(member))).collect(),
        };
        let value = value.encode();
        if value.len() > MAX_METADATA_BYTES {
            return Err(Refusal::RecordTooLarge);
        }
        Ok(NewRecord { key: self.record_key(), value: Some(value) })
    }

    /// The key of the group's record.
    pub(in crate::group) fn record_key(&self) -> Vec<u8> {
        GroupMetadataKey { group: self.id.clone() }.encode()
    }

    /// Applies a stored generation. A member that is known keeps what only this process knows of it.
    pub(in crate::group) fn apply(&mut self, value: GroupMetadataValue, written_at: Timestamp) {
        let stored: BTreeSet<MemberId> = value.members.iter().map(|member| member.member.clone()).collect();
        self.members.retain(|id, _| stored.contains(id));
        for metadata in value.members {
            match self.members.get_mut(&metadata.member) {
                Some(member) => member.assignment = metadata.assignment,
                None => {
                    let member = Member::stored(metadata, value.protocol.as_ref());
                    self.members.insert(member.id.clone(), member);
                }
            }
        }
        let holders = self.members.values().filter_map(|member| Some((member.instance.clone()?, member.id.clone())));
        self.instances = holders.collect();
        self.generation = value.generation;
        self.protocol_type = (!value.protocol_type.is_empty()).then_some(value.protocol_type);
        self.protocol = value.protocol;
        self.leader = value.leader;
        self.stored = true;
        let state = if self.members.is_empty() { State::Empty } else { State::Stable };
        self.move_to(state, value.state_since.unwrap_or(written_at));
    }

    /// Applies the tombstone of the group.
    pub(in crate::group) fn apply_tombstone(&mut self) {
        *self = Self::new(self.id.clone(), self.state_since);
    }

    /// The log has been replayed: the members' sessions start now.
    pub(in crate::group) fn loaded(&mut self, step: &mut Step<'_>) {
        for member in self.members.values_mut() {
            member.touch(step.now);
        }
        if self.members.len() > step.config.group_max_size {
            self.prepare_rebalance(step);
        }
    }

    /// Forgets a waiting answer; true if it was one of this group's.
    pub(in crate::group) fn cancel(&mut self, now: Timestamp, token: Token) -> bool {
        let gone = Some(ReplyTo::Shell(token));
        for member in self.members.values_mut() {
            if member.joining == gone {
                member.joining = None;
                member.settle(now);
                return true;
            }
            if member.syncing == gone {
                member.syncing = None;
                member.touch(now);
                return true;
            }
        }
        false
    }
}
