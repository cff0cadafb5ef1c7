//! A member of a consumer group, in Kafka's classic protocol: it joins, is assigned partitions of the inputs, reads them and
//! commits how far it came under its generation. Now and then it pauses for longer than its session, and comes back as a
//! zombie whose commits must be refused.

use super::{Client, DATA, MEMBER_GROUP, PARTITIONS, Turn, is_retriable, log_of};
use crate::entry::decode;
use crate::observation::Observation;
use bytes::Bytes;
use pelton_core::coordinator::partition_for;
use pelton_core::event::{
    CommitOffset, GroupReply, GroupRequest, JoinGroup, JoinedGroup, LeavingMember, OffsetCommit, PartitionReply,
    PartitionRequest, Reply, Request, SyncGroup,
};
use pelton_core::model::{Isolation, MemberId, Offset, PartId, Timestamp, Token, TopicPartition};
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;

/// How long a member may be silent.
pub const SESSION_TIMEOUT_MS: i32 = 3_000;

/// The client.
#[derive(Debug)]
pub struct Member {
    name: usize,
    group_part: PartId,
    /// How many ids it has proposed.
    lives: u32,
    member: MemberId,
    generation: i32,
    /// What it gives out as the leader.
    assignments: BTreeMap<MemberId, Bytes>,
    positions: BTreeMap<i32, Offset>,
    state: State,
    waiting: Option<Token>,
    resumes_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Joining,
    Syncing,
    FetchingOffsets,
    Idle,
    Reading(i32),
    Committing(i32),
    Heartbeating,
    Leaving,
}

impl Member {
    /// A member; `__consumer_offsets` has `offsets_partitions` partitions.
    pub fn new(name: usize, offsets_partitions: i32) -> Self {
        Self {
            name,
            group_part: PartId::Group(partition_for(MEMBER_GROUP, offsets_partitions)),
            lives: 0,
            member: "".into(),
            generation: -1,
            assignments: BTreeMap::new(),
            positions: BTreeMap::new(),
            state: State::Joining,
            waiting: None,
            resumes_at: Timestamp::default(),
        }
    }

    fn join_again(&mut self) {
        self.positions.clear();
        self.assignments.clear();
        self.state = State::Joining;
    }

    fn join(&mut self) -> GroupRequest {
        self.lives += 1;
        GroupRequest::Join(JoinGroup {
            group: MEMBER_GROUP.into(),
            member: self.member.clone(),
            instance: None,
            proposed_member: format!("member-{}-{}", self.name, self.lives).into(),
            client_id: "simulated".into(),
            client_host: "/127.0.0.1".into(),
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), Bytes::from_static(b"inputs"))],
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: SESSION_TIMEOUT_MS,
            require_known_member: true,
        })
    }

    fn request(&mut self, turn: &mut Turn<'_>) -> (PartId, Request) {
        let (group, member, generation) = (MEMBER_GROUP.into(), self.member.clone(), self.generation);
        let request = match self.state {
            State::Joining => self.join(),
            State::Syncing => GroupRequest::Sync(SyncGroup {
                group,
                generation,
                member,
                instance: None,
                protocol_type: Some("consumer".into()),
                protocol: Some("range".into()),
                assignments: self.assignments.clone(),
            }),
            State::FetchingOffsets => {
                let partitions = self.positions.keys().map(|index| TopicPartition::new(DATA, *index)).collect();
                GroupRequest::FetchOffsets { group, partitions: Some(partitions), require_stable: true }
            }
            State::Idle | State::Heartbeating => GroupRequest::Heartbeat { group, generation, member, instance: None },
            State::Leaving => GroupRequest::Leave { group, members: vec![LeavingMember { member, instance: None }] },
            State::Committing(index) => {
                let offset = self.positions[&index];
                turn.observe(Observation::OffsetAsked { group: MEMBER_GROUP, partition: index, offset });
                let partition = TopicPartition::new(DATA, index);
                let metadata = "".into();
                let offsets = vec![CommitOffset { partition, offset, leader_epoch: None, metadata }];
                let (instance, retention_ms) = (None, None);
                GroupRequest::Commit(OffsetCommit { group, generation, member, instance, retention_ms, offsets })
            }
            State::Reading(index) => {
                let request = PartitionRequest::Fetch {
                    offset: self.positions[&index],
                    current_leader_epoch: None,
                    max_bytes: 300,
                    isolation: Isolation::ReadUncommitted,
                };
                return (log_of(DATA, index), Request::Partition(request));
            }
        };
        (self.group_part.clone(), Request::Group(request))
    }

    fn joined(&mut self, joined: JoinedGroup) {
        self.member = joined.member;
        self.generation = joined.generation;
        self.assignments.clear();
        let members = joined.members.len();
        for (place, member) in joined.members.into_iter().enumerate() {
            let mine = (0..PARTITIONS as usize).filter(|index| index % members == place).map(|index| index as u8);
            self.assignments.insert(member.member, mine.collect::<Vec<u8>>().into());
        }
        self.state = State::Syncing;
    }

    fn granted(&mut self, reply: Reply, turn: &mut Turn<'_>) {
        match (self.state, reply) {
            (State::Joining, Reply::Group(Ok(GroupReply::Joined(joined)))) => self.joined(joined),
            (State::Syncing, Reply::Group(Ok(GroupReply::Synced(synced)))) => {
                self.positions = synced.assignment.iter().map(|index| (i32::from(*index), 0)).collect();
                self.state = if self.positions.is_empty() { State::Idle } else { State::FetchingOffsets };
            }
            (State::FetchingOffsets, Reply::Group(Ok(GroupReply::Offsets(offsets)))) => {
                for (TopicPartition { partition, .. }, committed) in offsets {
                    let offset = committed.map(|committed| committed.offset);
                    turn.observe(Observation::OffsetFetched { group: MEMBER_GROUP, partition, offset });
                    self.positions.insert(partition, offset.unwrap_or(0));
                }
                self.state = State::Idle;
            }
            (State::Heartbeating, Reply::Group(Ok(GroupReply::Done))) => self.state = State::Idle,
            (State::Leaving, Reply::Group(Ok(GroupReply::Left(_)))) => {
                self.member = "".into();
                self.join_again();
            }
            (State::Reading(index), Reply::Partition(Ok(PartitionReply::Fetched(fetched)))) => {
                match fetched.records.read().and_then(|bytes| decode(&bytes)) {
                    Ok(records) if records.is_empty() => self.state = State::Idle,
                    Ok(records) => {
                        let next = records.last().map_or(0, |last| last.offset + 1);
                        self.positions.insert(index, next);
                        self.state = State::Committing(index);
                    }
                    Err(error) => turn.unexpected("member", error),
                }
            }
            (State::Committing(index), Reply::Group(Ok(GroupReply::Done))) => {
                let offset = self.positions[&index];
                turn.observe(Observation::OffsetCommitted { group: MEMBER_GROUP, partition: index, offset });
                self.state = State::Idle;
            }
            (state, other) => turn.unexpected("member", (self.name, state, other)),
        }
    }
}

impl Client for Member {
    fn act(&mut self, turn: &mut Turn<'_>) {
        if self.waiting.is_some() || turn.now < self.resumes_at || turn.ending {
            return;
        }
        if turn.rng.permille(10) {
            self.resumes_at = turn.now.plus_ms(i64::from(SESSION_TIMEOUT_MS) + turn.rng.below(2_000) as i64);
            return;
        }
        if self.state == State::Idle {
            let assigned: Vec<_> = self.positions.keys().copied().collect();
            self.state = match turn.rng.below(100) {
                0 => State::Leaving,
                1..70 if !assigned.is_empty() => State::Reading(assigned[turn.rng.index(assigned.len())]),
                _ => State::Heartbeating,
            };
        }
        let (part, request) = self.request(turn);
        self.waiting = Some(turn.ask(part, request));
    }

    fn answered(&mut self, token: Token, reply: Reply, turn: &mut Turn<'_>) {
        if self.waiting != Some(token) {
            return;
        }
        self.waiting = None;
        let refusal = match &reply {
            Reply::Partition(Err(refusal)) | Reply::Group(Err(refusal)) => refusal,
            _ => return self.granted(reply, turn),
        };
        match refusal {
            refusal if is_retriable(refusal) => self.resumes_at = turn.now.plus_ms(20),
            Refusal::MemberIdRequired(member) => self.member = member.as_str().into(),
            Refusal::UnknownMemberId => {
                self.member = "".into();
                self.join_again();
            }
            Refusal::RebalanceInProgress | Refusal::IllegalGeneration => self.join_again(),
            other => turn.unexpected("member", (self.name, self.state, other)),
        }
    }

    fn lost(&mut self, token: Token, _turn: &mut Turn<'_>) {
        if self.waiting == Some(token) {
            self.waiting = None;
        }
    }

    fn is_done(&self) -> bool {
        self.waiting.is_none()
    }
}
