//! Random clients on one group, with lost connections, silence and restarts of the broker.
//!
//! After every step: no request is answered twice (the bench sees to it), a generation has one leader,
//! nobody is given another's or another generation's assignment, and the committed offset is the last
//! one that was acknowledged. In the end everything that waits is answered.

use super::*;
use crate::event::LeavingMember;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
enum Op {
    Join(usize),
    /// A new process: it has forgotten its id.
    JoinAnew(usize),
    Sync(usize),
    Heartbeat(usize),
    Commit(usize),
    CommitInTransaction(usize, bool),
    Leave(usize),
    Cancel(usize),
    /// An administrator deletes the group.
    Delete,
    /// An administrator deletes the offset.
    DeleteOffset,
    TopicDeleted,
    Pass(i64),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let client = 0..CLIENTS;
    prop_oneof![
        6 => client.clone().prop_map(Op::Join),
        2 => client.clone().prop_map(Op::JoinAnew),
        8 => client.clone().prop_map(Op::Sync),
        3 => client.clone().prop_map(Op::Heartbeat),
        3 => client.clone().prop_map(Op::Commit),
        2 => (client.clone(), any::<bool>()).prop_map(|(client, commit)| Op::CommitInTransaction(client, commit)),
        1 => client.clone().prop_map(Op::Leave),
        1 => client.prop_map(Op::Cancel),
        1 => Just(Op::Delete),
        1 => Just(Op::DeleteOffset),
        1 => Just(Op::TopicDeleted),
        3 => (1i64..20_000).prop_map(Op::Pass),
        1 => Just(Op::Restart),
    ]
}

const CLIENTS: usize = 4;

/// What a client knows of itself.
#[derive(Debug, Clone, Default)]
struct Client {
    member: Arc<str>,
    generation: i32,
    leads: Vec<Arc<str>>,
    waiting: Option<Token>,
    /// Of a sync: the generation that it was sent in.
    syncing: Option<i32>,
}

struct Model {
    bench: Bench,
    clients: [Client; CLIENTS],
    names: u32,
    /// Who leads a generation: the instance id of a static member, the member id of another.
    leaders: BTreeMap<i32, Arc<str>>,
    identities: BTreeMap<Arc<str>, Arc<str>>,
    abandoned: BTreeSet<Token>,
    committed: Option<i64>,
    next_offset: i64,
}

impl Model {
    fn new() -> Self {
        let config = CoreConfig { group_initial_rebalance_delay_ms: 500, ..CoreConfig::default() };
        Self {
            bench: Bench::with(config),
            clients: Default::default(),
            names: 0,
            leaders: BTreeMap::new(),
            identities: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            committed: None,
            next_offset: 1,
        }
    }

    /// The last client is a static member.
    fn instance(client: usize) -> Option<Arc<str>> {
        (client == CLIENTS - 1).then(|| "static".into())
    }

    fn join(&mut self, at: usize) {
        self.names += 1;
        let name: Arc<str> = format!("m{}", self.names).into();
        let instance = Self::instance(at);
        self.identities.insert(name.clone(), instance.clone().unwrap_or_else(|| name.clone()));
        let mut request = join(&name);
        request.member = self.clients[at].member.clone();
        request.instance = instance;
        request.protocols = vec![("range".into(), Bytes::from(format!("topics of client {at}")))];
        request.require_known_member = at != 0;
        let token = self.bench.join(request);
        self.abandon(at);
        self.clients[at].waiting = Some(token);
    }

    /// The client no longer looks at what it asked for; the broker may still answer.
    fn abandon(&mut self, at: usize) {
        self.clients[at].waiting = None;
        self.clients[at].syncing = None;
    }

    fn sync(&mut self, at: usize) {
        let Client { member, generation, leads, .. } = self.clients[at].clone();
        let identity = |member: &Arc<str>| self.identities[member].clone();
        let assign = |member: &Arc<str>| (member.clone(), Bytes::from(format!("{generation} {}", identity(member))));
        let token = self.bench.ask(GroupRequest::Sync(SyncGroup {
            group: GROUP.into(),
            generation,
            member,
            instance: Self::instance(at),
            protocol_type: None,
            protocol: None,
            assignments: leads.iter().map(assign).collect(),
        }));
        self.abandon(at);
        self.clients[at].waiting = Some(token);
        self.clients[at].syncing = Some(generation);
    }

    fn commit(&mut self, at: usize) -> OffsetCommit {
        self.next_offset += 1;
        let Client { member, generation, .. } = &self.clients[at];
        // A client without an id is in no generation; -1 would make it a consumer outside of the protocol.
        let generation = if member.is_empty() { 1_000_000 } else { *generation };
        OffsetCommit { instance: Self::instance(at), ..offset_commit(member, generation, "a", self.next_offset) }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Join(at) => self.join(at),
            Op::JoinAnew(at) => {
                self.clients[at].member = "".into();
                self.join(at);
            }
            Op::Sync(at) => self.sync(at),
            Op::Heartbeat(at) => {
                let Client { member, generation, .. } = self.clients[at].clone();
                let _ = self.bench.heartbeat(&member, generation);
            }
            Op::Commit(at) => {
                let commit = self.commit(at);
                let token = self.bench.ask(GroupRequest::Commit(commit));
                if self.bench.answered(token).is_ok() {
                    self.committed = Some(self.next_offset);
                }
            }
            Op::CommitInTransaction(at, commit) => self.transaction(at, commit),
            Op::Leave(at) => {
                let members =
                    vec![LeavingMember { member: self.clients[at].member.clone(), instance: Self::instance(at) }];
                self.bench.ask(GroupRequest::Leave { group: GROUP.into(), members });
                self.clients[at].member = "".into();
            }
            Op::Cancel(at) => {
                if let Some(token) = self.clients[at].waiting.filter(|token| self.bench.waits(*token)) {
                    self.bench.step(|groups, now, out| groups.cancelled(now, token, out));
                    self.abandoned.insert(token);
                    self.abandon(at);
                }
            }
            Op::Delete => self.delete(),
            Op::DeleteOffset => {
                let partitions = vec![TopicPartition::new("a", 0)];
                let token = self.bench.ask(GroupRequest::DeleteOffsets { group: GROUP.into(), partitions });
                // Nobody here says what it subscribes to, so of a group with members nothing is deleted.
                let state = self.bench.state();
                match self.bench.answered(token) {
                    Ok(GroupReply::OffsetsDeleted(results)) => {
                        let deleted = results[0].1.is_none();
                        if deleted {
                            self.committed = None;
                        }
                        assert!(deleted || state != Some(GroupState::Empty), "{results:?}");
                        assert!(!deleted || state != Some(GroupState::Stable), "{results:?}");
                    }
                    Err(Refusal::GroupIdNotFound(_)) => assert_eq!(state, None),
                    other => panic!("{other:?}"),
                }
            }
            Op::TopicDeleted => {
                let topics = Arc::new(BTreeSet::from([Arc::from("a")]));
                self.bench.ask(GroupRequest::TopicsDeleted { topics });
                self.committed = None;
            }
            Op::Pass(ms) => self.bench.pass_ms(ms),
            Op::Restart => {
                let waiting = (1..=self.bench.tokens).map(Token).filter(|token| self.bench.waits(*token));
                self.abandoned.extend(waiting.collect::<Vec<_>>());
                self.bench.restart();
                // A generation that was not stored may be given again.
                self.leaders.clear();
                (0..CLIENTS).for_each(|at| self.abandon(at));
            }
        }
    }

    fn delete(&mut self) {
        let state = self.bench.state();
        let token = self.bench.ask(GroupRequest::Delete { groups: vec![GROUP.into()] });
        let Ok(GroupReply::Deleted(results)) = self.bench.answered(token) else { panic!("refused as a whole") };
        match (&results[0], state) {
            (None, Some(GroupState::Empty)) => {
                self.committed = None;
                self.leaders.clear();
                assert_eq!(self.bench.state(), None, "nothing is left of it");
            }
            (Some(Refusal::GroupIdNotFound(_)), None) => {}
            (Some(Refusal::NonEmptyGroup), Some(state)) => assert_ne!(state, GroupState::Empty),
            other => panic!("{other:?}"),
        }
    }

    fn transaction(&mut self, at: usize, commit: bool) {
        let request = crate::event::TransactionalOffsetCommit {
            producer_id: ProducerId(at as i64),
            producer_epoch: ProducerEpoch(0),
            transactional_id: "t".into(),
            commit: self.commit(at),
        };
        let token = self.bench.ask(GroupRequest::CommitInTransaction(request));
        if self.bench.waits(token) {
            self.bench.verified(Ok(TransactionReply::Done));
        }
        let accepted = self.bench.answered(token).is_ok();
        assert_eq!(self.bench.fetch(true).is_err(), accepted, "an open transaction is unstable");
        self.bench.marker(at as i64, 0, commit);
        if accepted && commit {
            self.committed = Some(self.next_offset);
        }
    }

    /// Looks at what was answered.
    fn observe(&mut self) {
        for at in 0..CLIENTS {
            let Some(token) = self.clients[at].waiting else { continue };
            let Some(answer) = self.bench.answers.get(&token).cloned() else { continue };
            let synced_in = self.clients[at].syncing;
            self.abandon(at);
            match answer {
                Ok(GroupReply::Joined(joined)) => {
                    let leader = self.identities[&joined.leader].clone();
                    let known = self.leaders.entry(joined.generation).or_insert_with(|| leader.clone());
                    assert_eq!(*known, leader, "generation {} has two leaders", joined.generation);
                    let client = &mut self.clients[at];
                    client.leads = joined.members.into_iter().map(|member| member.member).collect();
                    client.member = joined.member;
                    client.generation = joined.generation;
                }
                Ok(GroupReply::Synced(synced)) => {
                    let mine = self.identities[&self.clients[at].member].clone();
                    let generation = synced_in.expect("a sync was asked for");
                    // Empty where the leader did not know the members (it was replaced before it assigned).
                    let expected = Bytes::from(format!("{generation} {mine}"));
                    assert!(
                        synced.assignment == expected || synced.assignment.is_empty(),
                        "{synced:?}, not {expected:?}"
                    );
                }
                Ok(other) => panic!("{other:?}"),
                Err(Refusal::MemberIdRequired(id)) => self.clients[at].member = id.into(),
                Err(Refusal::UnknownMemberId | Refusal::FencedInstanceId) => self.clients[at].member = "".into(),
                Err(Refusal::RebalanceInProgress | Refusal::IllegalGeneration) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(self.bench.offset("a"), self.committed);
        assert!(self.bench.fetch(true).is_ok(), "no transaction is open");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_group_keeps_its_promises_whatever_its_members_do(ops in prop::collection::vec(op(), 1..120)) {
        let mut model = Model::new();
        for op in ops {
            model.apply(op);
            model.observe();
        }
        model.bench.pass_ms(30 * 60_000);
        for token in (1..=model.bench.tokens).map(Token) {
            prop_assert!(!model.bench.waits(token) || model.abandoned.contains(&token), "{token:?} waits for ever");
        }
        let group = model.bench.groups.groups.get(GROUP);
        prop_assert!(group.is_none_or(|group| group.classic.is_deserted()), "silent members are gone");
    }
}
