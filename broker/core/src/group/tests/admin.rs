//! Lists and descriptions of groups, and what is deleted by whom.

use super::*;
use crate::cluster::{ClusterImage, TopicImage};
use crate::event::{DescribedGroup, ListedGroup, TransactionalOffsetCommit};
use crate::model::TopicId;
use std::collections::BTreeSet;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What a consumer says of itself when it subscribes to these topics (ConsumerProtocolSubscription v0).
fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend_from_slice(&(topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend_from_slice(&(topic.len() as i16).to_be_bytes());
        bytes.extend_from_slice(topic.as_bytes());
    }
    bytes.extend_from_slice(&(-1i32).to_be_bytes());
    bytes.into()
}

fn subscriber(name: &str, topics: &[&str]) -> JoinGroup {
    JoinGroup { protocols: vec![("range".into(), subscription(topics))], ..join(name) }
}

impl Bench {
    fn list(&mut self, states: Option<&[GroupState]>) -> Vec<ListedGroup> {
        let states = states.map(|states| states.iter().copied().collect());
        let token = self.ask(GroupRequest::List { states });
        let Ok(GroupReply::Listed(groups)) = self.answered(token) else { panic!("refused") };
        groups.clone()
    }

    fn describe(&mut self) -> Result<DescribedGroup, Refusal> {
        let token = self.ask(GroupRequest::Describe { groups: vec![GROUP.into()] });
        let Ok(GroupReply::Described(groups)) = self.answered(token) else { panic!("refused") };
        groups[0].clone()
    }

    fn delete(&mut self, groups: &[&str]) -> Vec<Option<Refusal>> {
        let groups = groups.iter().map(|id| Arc::from(*id)).collect();
        let token = self.ask(GroupRequest::Delete { groups });
        let Ok(GroupReply::Deleted(results)) = self.answered(token) else { panic!("refused") };
        results.clone()
    }

    /// Why the offset of partition 0 of each topic was not deleted.
    fn delete_offsets(&mut self, topics: &[&str]) -> Result<Vec<Option<Refusal>>, Refusal> {
        let partitions = topics.iter().map(|topic| TopicPartition::new(*topic, 0)).collect();
        let token = self.ask(GroupRequest::DeleteOffsets { group: GROUP.into(), partitions });
        match self.answered(token)? {
            GroupReply::OffsetsDeleted(results) => Ok(results.iter().map(|(_, refusal)| refusal.clone()).collect()),
            other => panic!("{other:?}"),
        }
    }

    fn pending(&mut self, producer: i64, topic: &str, offset: i64) {
        self.ask(GroupRequest::CommitInTransaction(TransactionalOffsetCommit {
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
            transactional_id: "t".into(),
            commit: offset_commit("", -1, topic, offset),
        }));
        self.verified(Ok(TransactionReply::Done));
    }

    fn tombstones(&self) -> usize {
        self.log.iter().filter(|entry| matches!(entry, Entry::Record(_, NewRecord { value: None, .. }, _))).count()
    }

    /// A generation of one consumer of these topics.
    fn consume(&mut self, topics: &[&str]) -> i32 {
        let joined = self.join(subscriber("m1", topics));
        let generation = self.joined(joined).generation;
        self.sync("m1", generation, &[("m1", "all")]);
        generation
    }
}

fn leave(bench: &mut Bench, member: &str) {
    let member = crate::event::LeavingMember { member: member.into(), instance: None };
    bench.ask(GroupRequest::Leave { group: GROUP.into(), members: vec![member] });
}

#[test]
fn a_group_is_listed_and_described_in_every_state() {
    let mut bench = Bench::new();
    assert_eq!((bench.list(None), bench.describe()), (Vec::new(), Err(Refusal::GroupIdNotFound(GROUP.to_owned()))));
    bench.commit("", -1, "a", 1).unwrap();
    let listed = |protocol_type: &str, state| {
        vec![ListedGroup { group: GROUP.into(), protocol_type: protocol_type.into(), state }]
    };
    assert_eq!(bench.list(None), listed("", GroupState::Empty));
    let joined = bench.join(join("m1"));
    let generation = bench.joined(joined).generation;
    assert_eq!(bench.list(None), listed("consumer", GroupState::CompletingRebalance));
    let described = bench.describe().unwrap();
    assert_eq!((described.state, &*described.protocol), (GroupState::CompletingRebalance, ""));
    assert_eq!((described.members.len(), &described.members[0].metadata[..]), (1, &b""[..]));
    bench.sync("m1", generation, &[("m1", "all of it")]);
    for _ in 0..2 {
        let described = bench.describe().unwrap();
        assert_eq!(
            (described.state, &*described.protocol_type, &*described.protocol),
            (GroupState::Stable, "consumer", "range")
        );
        let member = &described.members[0];
        assert_eq!((&*member.member, &*member.client_id, &*member.client_host), ("m1", "client", "/127.0.0.1"));
        assert_eq!((&member.metadata[..], &member.assignment[..]), (&b"topics of m1"[..], &b"all of it"[..]));
        bench.restart();
    }
    bench.join(join("m2"));
    let described = bench.describe().unwrap();
    assert_eq!((described.state, described.members.len()), (GroupState::PreparingRebalance, 2));
    assert!(described.members.iter().all(|member| member.metadata.is_empty() && member.assignment.is_empty()));
    assert!(bench.list(Some(&[GroupState::Stable, GroupState::Empty])).is_empty());
    assert_eq!(bench.list(Some(&[GroupState::PreparingRebalance])).len(), 1);
    assert!(bench.list(Some(&[])).is_empty(), "of no state");
}

#[test]
fn a_group_without_members_is_deleted_with_its_offsets_for_good() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["m1"]);
    bench.commit("m1", generation, "a", 1).unwrap();
    assert_eq!(
        bench.delete(&[GROUP, "other"]),
        [Some(Refusal::NonEmptyGroup), Some(Refusal::GroupIdNotFound("other".to_owned()))]
    );
    assert_eq!((bench.offset("a"), bench.heartbeat("m1", generation)), (Some(1), Ok(())));
    leave(&mut bench, "m1");
    assert_eq!(bench.delete(&[GROUP]), [None]);
    assert_eq!(bench.tombstones(), 2, "of the offset and of the group");
    for _ in 0..2 {
        assert_eq!((bench.state(), bench.offset("a"), bench.list(None)), (None, None, Vec::new()));
        bench.restart();
    }
    assert_eq!(bench.delete(&[GROUP]), [Some(Refusal::GroupIdNotFound(GROUP.to_owned()))]);
}

#[test]
fn a_group_of_ids_that_were_given_out_is_deleted_with_them() {
    let mut bench = Bench::new();
    let asked = bench.join(JoinGroup { require_known_member: true, ..join("m1") });
    assert_eq!(bench.answered(asked).unwrap_err(), Refusal::MemberIdRequired("m1".to_owned()));
    assert_eq!(bench.delete(&[GROUP]), [None]);
    assert_eq!((bench.state(), bench.tombstones()), (None, 0));
    let late = bench.join(rejoin("m1"));
    assert_eq!(bench.answered(late).unwrap_err(), Refusal::UnknownMemberId);
}

#[test]
fn offsets_of_an_open_transaction_are_deleted_and_its_commit_does_not_bring_them_back() {
    let delete: [fn(&mut Bench); 3] = [
        |bench| assert_eq!(bench.delete(&[GROUP]), [None]),
        |bench| assert_eq!(bench.delete_offsets(&["a", "b"]), Ok(vec![None, None])),
        |bench| {
            let topics = Arc::new(BTreeSet::from([Arc::from("a"), Arc::from("b")]));
            let token = bench.ask(GroupRequest::TopicsDeleted { topics });
            assert!(bench.answered(token).is_ok());
        },
    ];
    for delete in delete {
        let mut bench = Bench::new();
        bench.commit("", -1, "a", 1).unwrap();
        bench.pending(9, "a", 2);
        bench.pending(9, "b", 2);
        delete(&mut bench);
        assert_eq!(bench.tombstones(), 2);
        bench.marker(9, 0, true);
        for _ in 0..2 {
            assert_eq!((bench.fetch(true), bench.state()), (Ok(Vec::new()), None));
            bench.restart();
        }
    }
}

#[test]
fn offsets_of_topics_that_are_subscribed_to_are_not_deleted() {
    let mut bench = Bench::new();
    assert_eq!(bench.delete_offsets(&["a"]), Err(Refusal::GroupIdNotFound(GROUP.to_owned())));
    let generation = bench.consume(&["a", "b"]);
    for topic in ["a", "b", "c"] {
        bench.commit("m1", generation, topic, 1).unwrap();
    }
    let subscribed = Some(Refusal::GroupSubscribedToTopic);
    assert_eq!(bench.delete_offsets(&["a", "c", "c", "never"]), Ok(vec![subscribed.clone(), None, None, None]));
    assert_eq!((bench.offset("a"), bench.offset("c"), bench.tombstones()), (Some(1), None, 1));
    // While members join, what they will subscribe to is not known.
    bench.join(join("m2"));
    assert_eq!(bench.delete_offsets(&["never"]), Ok(vec![subscribed]));
    leave(&mut bench, "m1");
    leave(&mut bench, "m2");
    assert_eq!(bench.delete_offsets(&["a", "b"]), Ok(vec![None, None]));
    assert_eq!(bench.fetch(true), Ok(Vec::new()));
}

#[test]
fn offsets_of_a_group_that_is_not_of_consumers_are_deleted_when_it_is_empty() {
    let mut bench = Bench::new();
    let joined = bench.join(JoinGroup { protocol_type: "connect".into(), ..join("m1") });
    let generation = bench.joined(joined).generation;
    bench.sync("m1", generation, &[]);
    assert_eq!(bench.delete_offsets(&["a"]), Err(Refusal::NonEmptyGroup));
    leave(&mut bench, "m1");
    bench.commit("", -1, "a", 1).unwrap();
    assert_eq!((bench.delete_offsets(&["a"]), bench.offset("a")), (Ok(vec![None]), None));
}

#[test]
fn offsets_of_a_deleted_topic_are_forgotten_also_by_groups_with_members() {
    let mut bench = Bench::new();
    let generation = bench.consume(&["a", "b"]);
    bench.commit("m1", generation, "a", 1).unwrap();
    bench.commit("m1", generation, "b", 2).unwrap();
    bench.ask(GroupRequest::TopicsDeleted { topics: Arc::new(BTreeSet::from([Arc::from("a")])) });
    for _ in 0..2 {
        assert_eq!((bench.offset("a"), bench.offset("b")), (None, Some(2)));
        bench.restart();
    }
    assert_eq!(bench.heartbeat("m1", generation), Ok(()));
}

#[test]
fn only_offsets_of_partitions_that_exist_are_kept() {
    let mut bench = Bench::new();
    for (topic, partition) in [("a", 0), ("a", 3), ("gone", 0)] {
        let mut commit = offset_commit("", -1, topic, 1);
        commit.offsets[0].partition = TopicPartition::new(topic, partition);
        let token = bench.ask(GroupRequest::Commit(commit));
        assert!(bench.answered(token).is_ok());
    }
    let topic = TopicImage::new(TopicId(1), 3, BTreeMap::new(), false);
    let mut image = ClusterImage::default();
    image.topics.insert("a".into(), topic);
    bench.ask(GroupRequest::KeepTopics { image: Arc::new(image) });
    let kept: Vec<_> = bench.fetch(true).unwrap().into_iter().map(|(partition, _)| partition).collect();
    assert_eq!((kept, bench.tombstones()), (vec![TopicPartition::new("a", 0)], 2));
}

#[test]
fn offsets_of_topics_that_consumers_have_left_expire() {
    let mut bench = Bench::new();
    let generation = bench.consume(&["a"]);
    bench.commit("m1", generation, "a", 1).unwrap();
    bench.commit("m1", generation, "b", 1).unwrap();
    let beat = |bench: &mut Bench, ms: i64| {
        for _ in 0..ms / 9_000 {
            bench.pass_ms(9_000);
            assert_eq!(bench.heartbeat("m1", generation), Ok(()));
        }
    };
    beat(&mut bench, 7 * DAY_MS - 60_000);
    assert_eq!((bench.offset("a"), bench.offset("b")), (Some(1), Some(1)));
    beat(&mut bench, 700_000);
    assert_eq!((bench.offset("a"), bench.offset("b")), (Some(1), None));
}

#[test]
fn retention_and_interval_are_those_of_the_configuration() {
    let config = CoreConfig {
        group_initial_rebalance_delay_ms: 0,
        offsets_retention_ms: 60_000,
        offsets_retention_check_interval_ms: 1_000,
        ..CoreConfig::default()
    };
    let mut bench = Bench::with(config);
    bench.commit("", -1, "a", 1).unwrap();
    bench.pass_ms(59_000);
    assert_eq!(bench.offset("a"), Some(1));
    bench.pass_ms(2_000);
    assert_eq!((bench.offset("a"), bench.state()), (None, None));
}

#[test]
fn a_restart_does_not_change_when_offsets_expire() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["m1"]);
    bench.commit("m1", generation, "a", 1).unwrap();
    leave(&mut bench, "m1");
    bench.pass_ms(6 * DAY_MS);
    bench.restart();
    bench.pass_ms(DAY_MS - 60_000);
    assert_eq!(bench.offset("a"), Some(1), "its last member left less than seven days ago");
    bench.pass_ms(660_000);
    for _ in 0..2 {
        assert_eq!((bench.offset("a"), bench.state()), (None, None));
        bench.restart();
    }
}

#[test]
fn a_retention_that_was_changed_holds_for_the_offsets_that_are_there() {
    let mut bench = Bench::new();
    bench.commit("", -1, "a", 1).unwrap();
    let of = |retention_ms| {
        Arc::new(CoreConfig {
            group_initial_rebalance_delay_ms: 0,
            offsets_retention_ms: retention_ms,
            ..CoreConfig::default()
        })
    };
    bench.config = of(30 * DAY_MS);
    bench.restart();
    bench.pass_ms(8 * DAY_MS);
    assert_eq!(bench.offset("a"), Some(1));
    bench.config = of(9 * DAY_MS);
    bench.restart();
    bench.pass_ms(DAY_MS - 60_000);
    assert_eq!(bench.offset("a"), Some(1));
    bench.pass_ms(660_000);
    assert_eq!((bench.offset("a"), bench.state()), (None, None));
}

#[test]
fn a_search_that_finds_more_than_it_may_forget_goes_on_soon() {
    let config = CoreConfig { offsets_retention_ms: 1_000, ..CoreConfig::default() };
    let interval_ms = config.offsets_retention_check_interval_ms;
    let mut bench = Bench::with(config);
    for group in ["first", "second"] {
        let mut commit = OffsetCommit { group: group.into(), ..offset_commit("", -1, "a", 1) };
        let offset = commit.offsets.remove(0);
        let partition = |index| TopicPartition { partition: index, ..offset.partition.clone() };
        commit.offsets =
            (0..10_000).map(|index| CommitOffset { partition: partition(index), ..offset.clone() }).collect();
        let token = bench.ask(GroupRequest::Commit(commit));
        assert!(bench.answered(token).is_ok());
    }
    bench.pass_ms(interval_ms);
    assert_eq!((bench.list(None).len(), bench.tombstones()), (1, 10_000));
    bench.pass_ms(1_000);
    assert_eq!((bench.list(None).len(), bench.tombstones()), (0, 20_000));
}

#[test]
fn an_offset_that_was_committed_with_a_retention_expires_by_that() {
    let mut bench = Bench::new();
    for (topic, retention_ms) in
        [("short", Some(1_000)), ("long", Some(30 * DAY_MS)), ("ever", Some(i64::MAX)), ("plain", None)]
    {
        let commit = OffsetCommit { retention_ms, ..offset_commit("", -1, topic, 1) };
        let token = bench.ask(GroupRequest::Commit(commit));
        assert!(bench.answered(token).is_ok());
    }
    bench.restart();
    bench.pass_ms(600_000);
    assert_eq!((bench.offset("short"), bench.offset("plain")), (None, Some(1)));
    bench.pass_ms(8 * DAY_MS);
    assert_eq!((bench.offset("plain"), bench.offset("long")), (None, Some(1)));
    bench.pass_ms(23 * DAY_MS);
    assert_eq!((bench.offset("long"), bench.offset("ever")), (None, Some(1)));
}

#[test]
fn a_group_that_never_committed_is_forgotten_with_a_tombstone() {
    let mut bench = Bench::new();
    bench.stable(&["m1"]);
    leave(&mut bench, "m1");
    assert_eq!((bench.state(), bench.tombstones()), (Some(GroupState::Empty), 0));
    bench.pass_ms(600_000);
    assert_eq!((bench.state(), bench.tombstones()), (None, 1));
    bench.restart();
    assert_eq!(bench.state(), None);
}

#[test]
fn a_group_without_a_name_is_refused() {
    let mut bench = Bench::new();
    let sync = SyncGroup {
        group: "".into(),
        generation: 1,
        member: "m".into(),
        instance: None,
        protocol_type: None,
        protocol: None,
        assignments: BTreeMap::new(),
    };
    let mut commit = offset_commit("", -1, "a", 1);
    commit.group = "".into();
    let in_transaction = TransactionalOffsetCommit {
        producer_id: ProducerId(1),
        producer_epoch: ProducerEpoch(0),
        transactional_id: "t".into(),
        commit: commit.clone(),
    };
    let heartbeat = GroupRequest::Heartbeat { group: "".into(), generation: 1, member: "m".into(), instance: None };
    let refused = [
        GroupRequest::Join(JoinGroup { group: "".into(), ..join("m") }),
        GroupRequest::Sync(sync),
        heartbeat,
        GroupRequest::Leave { group: "".into(), members: Vec::new() },
        GroupRequest::CommitInTransaction(in_transaction),
    ];
    for request in refused {
        let token = bench.ask(request);
        assert_eq!(bench.answered(token).unwrap_err(), Refusal::InvalidGroupId);
    }
    // Kafka lets consumers without a group commit.
    let token = bench.ask(GroupRequest::Commit(commit));
    assert!(bench.answered(token).is_ok());
}

#[test]
fn ids_that_were_given_out_do_not_count_as_members() {
    let mut bench =
        Bench::with(CoreConfig { group_max_size: 1, group_initial_rebalance_delay_ms: 0, ..CoreConfig::default() });
    for name in ["m1", "m2"] {
        let asked = bench.join(JoinGroup { require_known_member: true, ..join(name) });
        assert_eq!(bench.answered(asked).unwrap_err(), Refusal::MemberIdRequired(name.to_owned()));
    }
    bench.join(rejoin("m1"));
    let second = bench.join(rejoin("m2"));
    assert_eq!(bench.answered(second).unwrap_err(), Refusal::GroupMaxSizeReached);
}
