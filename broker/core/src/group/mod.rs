//! The groups of one partition of `__consumer_offsets`: membership and committed offsets.
//!
//! What it does: the classic group protocol (`classic`), commits and fetches of offsets (`commit`, `offsets`), Kafka's
//! records for both (`records`), the expiry of what nobody uses (`expiry`), and what administrators ask (`admin`). What
//! it does not do: it makes no assignment (the leader among the clients does), and it does not know which topics exist:
//! it is told of those that were deleted.
//!
//! Invariants: offsets and generations change by replay of records and markers alone; a member that is not of the
//! current generation commits nothing; offsets of an open transaction are visible to nobody.

mod admin;
mod classic;
mod commit;
mod expiry;
mod numbers;
mod offsets;
mod records;
#[cfg(test)]
mod tests;

use crate::config::CoreConfig;
use crate::coordinator::{Coordinator, Outcome, StoredRecord};
use crate::event::{
    GroupReply, GroupRequest, JoinGroup, LeaveResult, LeavingMember, Reply, ReplyTo, Request, SyncGroup,
};
use crate::model::{ProducerEpoch, ProducerId, Timestamp, Token};
use crate::refusal::Refusal;
use classic::{ClassicGroup, State};
use commit::Verifications;
pub use numbers::GroupNumbers;
use offsets::GroupOffsets;
pub use records::describe_record;
use records::{GroupMetadataValue, MAX_STRING_BYTES, OffsetCommitValue, RecordKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many groups one partition of `__consumer_offsets` may hold.
const MAX_GROUPS: usize = 100_000;
/// How many assignment protocols a member may offer.
const MAX_PROTOCOLS: usize = 64;
/// How much metadata may come with them, in bytes: it is kept for as long as the member is, and a record of the group with
/// the metadata of all members under one protocol holds less.
const MAX_PROTOCOLS_BYTES: usize = 4 << 20;

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Groups {
    config: Arc<CoreConfig>,
    index: i32,
    groups: BTreeMap<Arc<str>, Group>,
    /// Producers with pending offsets: their epoch, and in which groups.
    producers: BTreeMap<ProducerId, (ProducerEpoch, BTreeSet<Arc<str>>)>,
    verifications: Verifications,
    /// When time next changes something, no later than it does; one entry for a group.
    wakes: BTreeSet<(Timestamp, Arc<str>)>,
    next_sweep: Option<Timestamp>,
    /// Offset records that were replayed: the order of the log.
    replayed: u64,
}

/// One group.
#[derive(Debug)]
struct Group {
    classic: ClassicGroup,
    offsets: GroupOffsets,
    wake: Option<Timestamp>,
}

impl Group {
    /// Nothing in it is worth remembering, and no record of it is in the log.
    fn is_vacant(&self) -> bool {
        let classic = &self.classic;
        classic.is_deserted() && classic.generation() == 0 && !classic.is_stored() && self.offsets.is_empty()
    }
}

/// The circumstances of one decision.
struct Step<'a> {
    now: Timestamp,
    config: &'a CoreConfig,
    out: &'a mut Outcome,
}

impl Step<'_> {
    fn answer(&mut self, to: ReplyTo, reply: GroupReply) {
        self.out.reply(to, Reply::Group(Ok(reply)));
    }

    fn refuse(&mut self, to: ReplyTo, refusal: Refusal) {
        self.out.reply(to, Reply::Group(Err(refusal)));
    }
}

impl Groups {
    /// The coordinator over partition `index` of `__consumer_offsets`, before its log is replayed.
    pub fn new(config: Arc<CoreConfig>, index: i32) -> Self {
        Self {
            config,
            index,
            groups: BTreeMap::new(),
            producers: BTreeMap::new(),
            verifications: Verifications::default(),
            wakes: BTreeSet::new(),
            next_sweep: None,
            replayed: 0,
        }
    }

    fn decide(&mut self, step: &mut Step<'_>, to: ReplyTo, request: GroupRequest) {
        match request {
            GroupRequest::Join(request) => self.join(step, to, request),
            GroupRequest::Sync(request) => self.sync(step, to, request),
            GroupRequest::Heartbeat { group, generation, member, instance } => match self.groups.get_mut(&group) {
                Some(group) => group.classic.heartbeat(step, to, generation, &member, instance.as_ref()),
                None => step.refuse(to, unknown_member(&group)),
            },
            GroupRequest::Leave { group, members } => self.leave(step, to, &group, members),
            GroupRequest::Commit(commit) => self.commit(step, to, commit),
            GroupRequest::CommitInTransaction(request) => self.commit_in_transaction(step, to, request),
            GroupRequest::CompleteTransaction { producer_id, producer_epoch, commit } => {
                self.verifications.decided(producer_id, producer_epoch);
                self.replay_marker(producer_id, producer_epoch, commit);
                step.answer(to, GroupReply::Done);
            }
            GroupRequest::FetchOffsets { group, partitions, require_stable } => {
                self.fetch_offsets(step, to, &group, partitions, require_stable);
            }
            GroupRequest::List { states } => self.list(step, to, states.as_ref()),
            GroupRequest::Describe { groups } => self.describe(step, to, &groups),
            GroupRequest::Delete { groups } => self.delete(step, to, &groups),
            GroupRequest::DeleteOffsets { group, partitions } => self.delete_offsets(step, to, &group, partitions),
            GroupRequest::TopicsDeleted { topics } => {
                self.forget_partitions(step, to, |partition| topics.contains(&partition.topic));
            }
            GroupRequest::KeepTopics { image } => self.forget_partitions(step, to, |partition| {
                image.topic(&partition.topic).is_none_or(|topic| partition.partition >= topic.partitions)
            }),
        }
    }

    fn join(&mut self, step: &mut Step<'_>, to: ReplyTo, request: JoinGroup) {
        if let Err(refusal) = check_join(&request, step.config) {
            return step.refuse(to, refusal);
        }
        let id = request.group.clone();
        if !self.groups.contains_key(&id) {
            if !request.member.is_empty() {
                return step.refuse(to, Refusal::UnknownMemberId);
            }
            if let Err(refusal) = self.check_group_bound() {
                return step.refuse(to, refusal);
            }
        }
        self.group(&id, step.now).classic.join(step, to, request);
        self.settle(&id, step.now);
    }

    fn sync(&mut self, step: &mut Step<'_>, to: ReplyTo, request: SyncGroup) {
        let id = request.group.clone();
        let Some(group) = self.groups.get_mut(&id) else { return step.refuse(to, unknown_member(&id)) };
        group.classic.sync(step, to, request);
        self.settle(&id, step.now);
    }

    fn leave(&mut self, step: &mut Step<'_>, to: ReplyTo, id: &Arc<str>, members: Vec<LeavingMember>) {
        if id.is_empty() {
            return step.refuse(to, Refusal::InvalidGroupId);
        }
        let Some(group) = self.groups.get_mut(id) else {
            let refusal = Some(Refusal::UnknownMemberId);
            let unknown =
                |LeavingMember { member, instance }| LeaveResult { member, instance, refusal: refusal.clone() };
            return step.answer(to, GroupReply::Left(members.into_iter().map(unknown).collect()));
        };
        group.classic.leave(step, to, members);
        self.settle(id, step.now);
    }

    fn check_group_bound(&self) -> Result<(), Refusal> {
        if self.groups.len() < MAX_GROUPS {
            return Ok(());
        }
        let index = self.index;
        Err(Refusal::PolicyViolation(format!(
            "partition {index} of __consumer_offsets holds {MAX_GROUPS} groups already"
        )))
    }

    fn group(&mut self, id: &Arc<str>, now: Timestamp) -> &mut Group {
        self.groups.entry(id.clone()).or_insert_with(|| Group {
            classic: ClassicGroup::new(id.clone(), now),
            offsets: GroupOffsets::default(),
            wake: None,
        })
    }

    /// After a change: forgets the group if nothing is left of it, else sees to its next deadline.
    fn settle(&mut self, id: &Arc<str>, now: Timestamp) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let vacant = group.is_vacant();
        // A deadline that has passed already is for the next tick.
        let wake = group.classic.next_deadline().filter(|_| !vacant).map(|at| at.max(now.plus_ms(1)));
        if group.wake != wake {
            if let Some(earlier) = group.wake {
                self.wakes.remove(&(earlier, id.clone()));
            }
            group.wake = wake;
            self.wakes.extend(wake.map(|at| (at, id.clone())));
        }
        if vacant {
            self.groups.remove(id);
        }
    }

    fn expire_groups(&mut self, step: &mut Step<'_>) {
        let due: Vec<_> = self.wakes.iter().take_while(|(at, _)| *at <= step.now).map(|(_, id)| id.clone()).collect();
        for id in due {
            if let Some(group) = self.groups.get_mut(&id) {
                group.classic.expire(step);
            }
            self.settle(&id, step.now);
        }
    }
}

/// Why a member of a group that is not there is refused. A group that has members has a name.
fn unknown_member(group: &Arc<str>) -> Refusal {
    if group.is_empty() { Refusal::InvalidGroupId } else { Refusal::UnknownMemberId }
}

/// What every join must keep to, whatever the group.
fn check_join(request: &JoinGroup, config: &CoreConfig) -> Result<(), Refusal> {
    if request.group.is_empty() || request.group.len() > MAX_STRING_BYTES {
        return Err(Refusal::InvalidGroupId);
    }
    let allowed = config.group_min_session_timeout_ms..=config.group_max_session_timeout_ms;
    if !allowed.contains(&request.session_timeout_ms) {
        return Err(Refusal::InvalidSessionTimeout);
    }
    if request.protocols.len() > MAX_PROTOCOLS {
        return Err(Refusal::InvalidRequest(format!(
            "a member may offer {MAX_PROTOCOLS} assignment protocols at most"
        )));
    }
    if request.protocols.iter().map(|(_, metadata)| metadata.len()).sum::<usize>() > MAX_PROTOCOLS_BYTES {
        return Err(Refusal::RecordTooLarge);
    }
    let texts = [&request.proposed_member, &request.client_id, &request.client_host, &request.protocol_type];
    let mut texts = texts.into_iter().chain(&request.instance).chain(request.protocols.iter().map(|(name, _)| name));
    if texts.any(|text| text.len() > MAX_STRING_BYTES) {
        return Err(Refusal::InvalidRequest(format!("a name in the join is longer than {MAX_STRING_BYTES} bytes")));
    }
    Ok(())
}

impl Coordinator for Groups {
    fn handle(&mut self, now: Timestamp, who: ReplyTo, request: Request, out: &mut Outcome) {
        let config = Arc::clone(&self.config);
        let mut step = Step { now, config: &config, out };
        match request {
            Request::Group(request) => self.decide(&mut step, who, request),
            Request::Partition(_) | Request::Transaction(_) | Request::Cluster(_) => {
                step.refuse(who, Refusal::NotCoordinator);
            }
        }
    }

    fn answered(&mut self, now: Timestamp, question: u64, reply: Reply, out: &mut Outcome) {
        let config = Arc::clone(&self.config);
        self.verified(&mut Step { now, config: &config, out }, question, reply);
    }

    fn tick(&mut self, now: Timestamp, out: &mut Outcome) {
        let config = Arc::clone(&self.config);
        let mut step = Step { now, config: &config, out };
        self.expire_groups(&mut step);
        if self.next_sweep.is_some_and(|at| at <= now) {
            self.sweep(&mut step);
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(at, _)| *at).into_iter().chain(self.next_sweep).min()
    }

    fn cancelled(&mut self, now: Timestamp, token: Token, _out: &mut Outcome) {
        if self.verifications.cancel(token) {
            return;
        }
        let rebalancing =
            |group: &Group| matches!(group.classic.state(), State::PreparingRebalance | State::CompletingRebalance);
        let mut groups = self.groups.iter_mut().filter(|(_, group)| rebalancing(group));
        let found = groups.find_map(|(id, group)| group.classic.cancel(now, token).then(|| id.clone()));
        if let Some(id) = found {
            self.settle(&id, now);
        }
    }

    fn replay(&mut self, record: StoredRecord<'_>) -> Result<(), String> {
        match RecordKey::parse(record.key)? {
            RecordKey::OffsetCommit(key) => {
                let value = record.value.map(OffsetCommitValue::parse).transpose()?;
                self.replayed += 1;
                let order = self.replayed;
                if let Some((producer_id, producer_epoch)) = record.transaction {
                    let (epoch, groups) =
                        self.producers.entry(producer_id).or_insert_with(|| (producer_epoch, BTreeSet::new()));
                    *epoch = (*epoch).max(producer_epoch);
                    groups.insert(key.group.clone());
                }
                let producer = record.transaction.map(|(producer_id, _)| producer_id);
                self.group(&key.group, record.timestamp).offsets.apply(key.partition, value, order, producer);
                self.settle(&key.group, record.timestamp);
            }
            RecordKey::GroupMetadata(key) => {
                let value = record.value.map(GroupMetadataValue::parse).transpose()?;
                let group = self.group(&key.group, record.timestamp);
                match value {
                    Some(value) => group.classic.apply(value, record.timestamp),
                    None => group.classic.apply_tombstone(),
                }
                self.settle(&key.group, record.timestamp);
            }
            RecordKey::Unknown(_) => {}
        }
        Ok(())
    }

    fn replay_marker(&mut self, producer_id: ProducerId, producer_epoch: ProducerEpoch, commit: bool) {
        match self.producers.get(&producer_id) {
            // A marker of an older epoch says nothing of this transaction.
            Some((epoch, _)) if *epoch <= producer_epoch => {}
            _ => return,
        }
        let Some((_, groups)) = self.producers.remove(&producer_id) else { return };
        for id in groups {
            if let Some(group) = self.groups.get_mut(&id) {
                group.offsets.complete(producer_id, commit);
                if group.is_vacant() {
                    self.groups.remove(&id);
                }
            }
        }
    }

    fn loaded(&mut self, now: Timestamp, out: &mut Outcome) {
        let config = Arc::clone(&self.config);
        let mut step = Step { now, config: &config, out };
        let ids: Vec<_> = self.groups.keys().cloned().collect();
        for id in ids {
            if let Some(group) = self.groups.get_mut(&id) {
                group.classic.loaded(&mut step);
            }
            self.settle(&id, now);
        }
        self.schedule_sweep(now);
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        Reply::Group(Err(refusal))
    }
}
