//! The groups, stepped over a log that commits at once. What waits for what is the frame's affair and tested there.

mod admin;
mod commits;
mod durability;
mod membership;
mod model;
mod rebalance;

use super::Groups;
use crate::config::CoreConfig;
use crate::coordinator::{Coordinator, NewRecord, Outcome, StoredRecord};
use crate::event::{
    CommitOffset, CommittedOffset, GroupReply, GroupRequest, GroupState, JoinGroup, JoinedGroup, OffsetCommit, Reply,
    ReplyTo, Request, SyncGroup, SyncedGroup, TransactionReply,
};
use crate::model::{PartId, ProducerEpoch, ProducerId, Timestamp, Token, TopicPartition};
use crate::refusal::Refusal;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

const GROUP: &str = "g";
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

enum Entry {
    Record(Option<(ProducerId, ProducerEpoch)>, NewRecord, Timestamp),
    Marker(ProducerId, ProducerEpoch, bool),
}

/// The groups with their log, a clock, and everything that they answered.
struct Bench {
    groups: Groups,
    config: Arc<CoreConfig>,
    log: Vec<Entry>,
    now: Timestamp,
    tokens: u64,
    answers: BTreeMap<Token, Result<GroupReply, Refusal>>,
    questions: Vec<(PartId, u64, Request)>,
}

impl Bench {
    fn new() -> Self {
        Self::with(CoreConfig { group_initial_rebalance_delay_ms: 0, ..CoreConfig::default() })
    }

    fn with(config: CoreConfig) -> Self {
        let config = Arc::new(config);
        let groups = Groups::new(config.clone(), 7);
        let now = Timestamp(1_000_000);
        let (answers, questions) = (BTreeMap::new(), Vec::new());
        let mut bench = Self { groups, config, log: Vec::new(), now, tokens: 0, answers, questions };
        bench.restart();
        bench
    }

    /// A new process over the same log.
    fn restart(&mut self) {
        self.groups = Groups::new(self.config.clone(), 7);
        for entry in &self.log {
            match entry {
                Entry::Record(transaction, NewRecord { key, value }, timestamp) => self
                    .groups
                    .replay(StoredRecord {
                        key,
                        value: value.as_deref(),
                        timestamp: *timestamp,
                        transaction: *transaction,
                    })
                    .expect("what was written is read"),
                Entry::Marker(id, epoch, commit) => self.groups.replay_marker(*id, *epoch, *commit),
            }
        }
        self.step(|groups, now, out| groups.loaded(now, out));
    }

    fn step(&mut self, call: impl FnOnce(&mut Groups, Timestamp, &mut Outcome)) {
        let mut out = Outcome::default();
        call(&mut self.groups, self.now, &mut out);
        for (transaction, records) in out.batches {
            for NewRecord { key, value } in records {
                let record = StoredRecord { key: &key, value: value.as_deref(), timestamp: self.now, transaction };
                self.groups.replay(record).expect("what was written is read");
                self.log.push(Entry::Record(transaction, NewRecord { key, value }, self.now));
            }
        }
        for (to, reply) in out.replies {
            let (ReplyTo::Shell(token), Reply::Group(reply)) = (to, reply) else { panic!("an answer to nobody") };
            assert!(self.answers.insert(token, reply).is_none(), "{token:?} was answered twice");
        }
        self.questions.extend(out.questions);
    }

    fn ask(&mut self, request: GroupRequest) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.step(|groups, now, out| groups.handle(now, ReplyTo::Shell(token), Request::Group(request), out));
        token
    }

    fn join(&mut self, request: JoinGroup) -> Token {
        self.ask(GroupRequest::Join(request))
    }

    fn sync(&mut self, member: &str, generation: i32, assignments: &[(&str, &'static str)]) -> Token {
        let assign = |(member, text): &(&str, &'static str)| (Arc::from(*member), Bytes::from_static(text.as_bytes()));
        let assignments = assignments.iter().map(assign).collect();
        self.ask(GroupRequest::Sync(SyncGroup {
            group: GROUP.into(),
            generation,
            member: member.into(),
            instance: None,
            protocol_type: Some("consumer".into()),
            protocol: Some("range".into()),
            assignments,
        }))
    }

    fn heartbeat(&mut self, member: &str, generation: i32) -> Result<(), Refusal> {
        let (group, member) = (GROUP.into(), member.into());
        let token = self.ask(GroupRequest::Heartbeat { group, generation, member, instance: None });
        self.answered(token).map(|_| ())
    }

    fn answered(&self, token: Token) -> Result<&GroupReply, Refusal> {
        self.answers.get(&token).expect("it is answered").as_ref().map_err(Refusal::clone)
    }

    fn waits(&self, token: Token) -> bool {
        !self.answers.contains_key(&token)
    }

    fn joined(&self, token: Token) -> JoinedGroup {
        match self.answered(token) {
            Ok(GroupReply::Joined(joined)) => joined.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn synced(&self, token: Token) -> SyncedGroup {
        match self.answered(token) {
            Ok(GroupReply::Synced(synced)) => synced.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass, with a tick at every moment that the groups asked for.
    fn pass_ms(&mut self, ms: i64) {
        let end = self.now.plus_ms(ms);
        while let Some(at) = self.groups.next_wake().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step(|groups, now, out| groups.tick(now, out));
            assert!(self.groups.next_wake().is_none_or(|next| next > self.now), "a tick that changes nothing");
        }
        self.now = end;
    }

    fn commit(&mut self, member: &str, generation: i32, topic: &str, offset: i64) -> Result<(), Refusal> {
        let token = self.ask(GroupRequest::Commit(offset_commit(member, generation, topic, offset)));
        self.answered(token).map(|_| ())
    }

    fn fetch(&mut self, require_stable: bool) -> Result<Vec<(TopicPartition, Option<CommittedOffset>)>, Refusal> {
        let token = self.ask(GroupRequest::FetchOffsets { group: GROUP.into(), partitions: None, require_stable });
        match self.answered(token)? {
            GroupReply::Offsets(offsets) => Ok(offsets.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// Where the group stands, if it is there.
    fn state(&self) -> Option<GroupState> {
        self.groups.groups.get(GROUP).map(|group| group.classic.state())
    }

    /// The committed offset of partition 0 of a topic.
    fn offset(&mut self, topic: &str) -> Option<i64> {
        let offsets = self.fetch(false).expect("a plain fetch is never refused");
        offsets.into_iter().find(|(partition, _)| &*partition.topic == topic).and_then(|(_, at)| Some(at?.offset))
    }

    /// The transaction coordinator's answer to the oldest question.
    fn verified(&mut self, reply: Result<TransactionReply, Refusal>) {
        let (_, question, _) = self.questions.remove(0);
        self.step(|groups, now, out| groups.answered(now, question, Reply::Transaction(reply), out));
    }

    fn marker(&mut self, id: i64, epoch: i16, commit: bool) {
        let (producer_id, producer_epoch) = (ProducerId(id), ProducerEpoch(epoch));
        self.log.push(Entry::Marker(producer_id, producer_epoch, commit));
        self.ask(GroupRequest::CompleteTransaction { producer_id, producer_epoch, commit });
    }

    /// A group whose members have all joined; the first of `members` leads, and has yet to assign. Gives the generation.
    fn assigning(&mut self, members: &[&'static str]) -> i32 {
        // With no delay the first is alone in its generation; it joins again when the others are there.
        let mut joins: Vec<Token> = members.iter().map(|member| self.join(join(member))).collect();
        if members.len() > 1 {
            joins.push(self.join(rejoin(members[0])));
        }
        self.joined(joins[joins.len() - 1]).generation
    }

    /// The same, where each has its own name as assignment.
    fn stable(&mut self, members: &[&'static str]) -> i32 {
        let generation = self.assigning(members);
        let assignments: Vec<_> = members.iter().map(|member| (*member, *member)).collect();
        for member in members {
            self.sync(member, generation, &assignments);
        }
        generation
    }
}

/// The first join of a dynamic member of an old client, which gets the id `name` at once.
fn join(name: &str) -> JoinGroup {
    JoinGroup {
        group: GROUP.into(),
        member: "".into(),
        instance: None,
        proposed_member: name.into(),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from(format!("topics of {name}")))],
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        require_known_member: false,
    }
}

/// A join with the id that the member has.
fn rejoin(name: &str) -> JoinGroup {
    JoinGroup { member: name.into(), ..join(name) }
}

/// The first join of a process of the static member `instance`, which would get the id `name`.
fn join_static(name: &str, instance: &str) -> JoinGroup {
    let protocols = vec![("range".into(), Bytes::from(format!("topics of {instance}")))];
    JoinGroup { instance: Some(instance.into()), protocols, require_known_member: true, ..join(name) }
}

fn offset_commit(member: &str, generation: i32, topic: &str, offset: i64) -> OffsetCommit {
    let partition = TopicPartition::new(topic, 0);
    OffsetCommit {
        group: GROUP.into(),
        generation,
        member: member.into(),
        instance: None,
        retention_ms: None,
        offsets: vec![CommitOffset { partition, offset, leader_epoch: None, metadata: "note".into() }],
    }
}
