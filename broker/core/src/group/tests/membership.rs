//! Joining, leaving, sessions, static members.

use super::*;
use crate::event::LeavingMember;

#[test]
fn a_new_member_is_given_its_id_first_and_joins_with_it() {
    let mut bench = Bench::new();
    let first = bench.join(JoinGroup { require_known_member: true, ..join("m1") });
    assert_eq!(bench.answered(first).unwrap_err(), Refusal::MemberIdRequired("m1".into()));
    let second = bench.join(rejoin("m1"));
    let joined = bench.joined(second);
    assert_eq!((joined.generation, &*joined.leader, &*joined.member, &*joined.protocol), (1, "m1", "m1", "range"));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(joined.members[0].metadata, Bytes::from_static(b"topics of m1"));
}

#[test]
fn an_id_that_was_given_out_and_never_used_lapses_and_the_group_vanishes() {
    let mut bench = Bench::new();
    bench.join(JoinGroup { require_known_member: true, ..join("m1") });
    assert_eq!(bench.groups.groups.len(), 1);
    bench.pass_ms(i64::from(SESSION_MS));
    assert!(bench.groups.groups.is_empty() && bench.groups.wakes.is_empty());
    let late = bench.join(rejoin("m1"));
    assert_eq!(bench.answered(late).unwrap_err(), Refusal::UnknownMemberId);
}

#[test]
fn the_first_rebalance_waits_its_delay_and_longer_while_members_come() {
    let mut bench = Bench::with(CoreConfig::default());
    let first = bench.join(join("m1"));
    bench.pass_ms(2_999);
    assert!(bench.waits(first));
    let second = bench.join(join("m2"));
    bench.pass_ms(1);
    assert!(bench.waits(first), "a member came, so the delay is extended");
    bench.pass_ms(3_000);
    assert_eq!((bench.joined(first).generation, bench.joined(second).generation), (1, 1));
    assert_eq!(
        bench.joined(first).members.len() + bench.joined(second).members.len(),
        2,
        "the leader alone sees members"
    );
}

#[test]
fn the_delay_is_never_extended_past_the_rebalance_timeout() {
    let mut bench = Bench::with(CoreConfig::default());
    let first = bench.join(JoinGroup { rebalance_timeout_ms: 7_000, ..join("m0") });
    for name in ["m1", "m2", "m3"] {
        bench.pass_ms(2_000);
        bench.join(JoinGroup { rebalance_timeout_ms: 7_000, ..join(name) });
    }
    assert!(bench.waits(first));
    bench.pass_ms(1_000);
    assert_eq!(bench.joined(first).generation, 1);
}

#[test]
fn joins_that_no_group_can_take_are_refused_and_leave_nothing_behind() {
    let mut bench = Bench::new();
    let mut refused = |request: JoinGroup| {
        let token = bench.join(request);
        let refusal = bench.answered(token).unwrap_err();
        assert!(bench.groups.groups.is_empty());
        refusal
    };
    assert_eq!(refused(JoinGroup { group: "".into(), ..join("m") }), Refusal::InvalidGroupId);
    assert_eq!(refused(JoinGroup { group: "x".repeat(32_768).into(), ..join("m") }), Refusal::InvalidGroupId);
    assert_eq!(refused(JoinGroup { session_timeout_ms: 5_999, ..join("m") }), Refusal::InvalidSessionTimeout);
    assert_eq!(refused(JoinGroup { session_timeout_ms: 1_800_001, ..join("m") }), Refusal::InvalidSessionTimeout);
    assert_eq!(refused(JoinGroup { protocols: Vec::new(), ..join("m") }), Refusal::InconsistentGroupProtocol);
    assert_eq!(refused(JoinGroup { protocol_type: "".into(), ..join("m") }), Refusal::InconsistentGroupProtocol);
    assert_eq!(refused(rejoin("m")), Refusal::UnknownMemberId);
    let half = Bytes::from(vec![0; (4 << 20) / 2 + 1]);
    let large = vec![("p".into(), half.clone()), ("q".into(), half)];
    assert_eq!(refused(JoinGroup { protocols: large, ..join("m") }), Refusal::RecordTooLarge);
    let long: Arc<str> = "x".repeat(32_768).into();
    let requests = [
        JoinGroup { client_id: long.clone(), ..join("m") },
        JoinGroup { client_host: long.clone(), ..join("m") },
        JoinGroup { protocol_type: long.clone(), ..join("m") },
        JoinGroup { instance: Some(long.clone()), ..join("m") },
        JoinGroup { protocols: vec![(long.clone(), Bytes::new())], ..join("m") },
        JoinGroup { protocols: vec![("p".into(), Bytes::new()); 65], ..join("m") },
        join(&long),
    ];
    for request in requests {
        assert!(matches!(refused(request), Refusal::InvalidRequest(_)));
    }
}

#[test]
fn a_member_of_another_kind_or_without_a_common_protocol_is_refused() {
    let mut bench = Bench::new();
    bench.stable(&["m1"]);
    let connect = bench.join(JoinGroup { protocol_type: "connect".into(), ..join("m2") });
    assert_eq!(bench.answered(connect).unwrap_err(), Refusal::InconsistentGroupProtocol);
    let sticky = bench.join(JoinGroup { protocols: vec![("sticky".into(), Bytes::new())], ..join("m2") });
    assert_eq!(bench.answered(sticky).unwrap_err(), Refusal::InconsistentGroupProtocol);
    assert_eq!(bench.heartbeat("m1", 1), Ok(()), "the group did not notice");
}

#[test]
fn the_protocol_that_most_members_prefer_is_chosen_among_those_that_all_support() {
    let mut bench = Bench::with(CoreConfig::default());
    let protocols = |names: &[&'static str]| names.iter().map(|name| (Arc::from(*name), Bytes::new())).collect();
    let first = bench.join(JoinGroup { protocols: protocols(&["only-mine", "range", "sticky"]), ..join("m1") });
    bench.join(JoinGroup { protocols: protocols(&["sticky", "range"]), ..join("m2") });
    bench.join(JoinGroup { protocols: protocols(&["sticky", "range"]), ..join("m3") });
    bench.pass_ms(10_000);
    assert_eq!(&*bench.joined(first).protocol, "sticky");
}

#[test]
fn a_member_that_is_silent_for_its_session_is_dropped_and_the_rest_rebalances() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["m1", "m2"]);
    bench.pass_ms(6_000);
    assert_eq!(bench.heartbeat("m1", generation), Ok(()));
    bench.pass_ms(4_000);
    assert_eq!(bench.heartbeat("m1", generation), Err(Refusal::RebalanceInProgress));
    assert_eq!(bench.heartbeat("m2", generation), Err(Refusal::UnknownMemberId));
    let again = bench.join(rejoin("m1"));
    assert_eq!((bench.joined(again).generation, bench.joined(again).members.len()), (generation + 1, 1));
}

#[test]
fn heartbeats_are_checked_for_member_generation_and_instance() {
    let mut bench = Bench::new();
    assert_eq!(bench.heartbeat("m1", 1), Err(Refusal::UnknownMemberId));
    bench.stable(&["m1"]);
    assert_eq!(bench.heartbeat("m1", 0), Err(Refusal::IllegalGeneration));
    assert_eq!(bench.heartbeat("m2", 1), Err(Refusal::UnknownMemberId));
    let (group, member, instance) = (GROUP.into(), "m1".into(), Some("i".into()));
    let token = bench.ask(GroupRequest::Heartbeat { group, generation: 1, member, instance });
    assert_eq!(bench.answered(token).unwrap_err(), Refusal::UnknownMemberId);
}

fn leave(bench: &mut Bench, leavers: &[(&str, Option<&str>)]) -> Vec<Option<Refusal>> {
    let leaving = |(member, instance): &(&str, Option<&str>)| LeavingMember {
        member: Arc::from(*member),
        instance: instance.map(Arc::from),
    };
    let members = leavers.iter().map(leaving).collect();
    let token = bench.ask(GroupRequest::Leave { group: GROUP.into(), members });
    match bench.answered(token) {
        Ok(GroupReply::Left(results)) => results.iter().map(|result| result.refusal.clone()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_leaves_is_answered_one_by_one_and_the_rest_rebalances() {
    let mut bench = Bench::new();
    assert_eq!(leave(&mut bench, &[("m1", None)]), [Some(Refusal::UnknownMemberId)]);
    let generation = bench.stable(&["m1", "m2"]);
    assert_eq!(leave(&mut bench, &[("m9", None), ("m1", None)]), [Some(Refusal::UnknownMemberId), None]);
    assert_eq!(bench.heartbeat("m2", generation), Err(Refusal::RebalanceInProgress));
    assert_eq!(leave(&mut bench, &[("m2", None)]), [None]);
    assert!(bench.groups.groups[GROUP].classic.is_deserted());
    bench.restart();
    assert!(bench.groups.groups[GROUP].classic.is_deserted(), "that it is empty is in the log");
    assert_eq!(bench.groups.groups[GROUP].classic.generation(), generation + 1);
}

#[test]
fn a_group_without_members_and_offsets_vanishes_from_memory_and_log() {
    let mut bench = Bench::new();
    bench.stable(&["m1"]);
    leave(&mut bench, &[("m1", None)]);
    bench.pass_ms(600_000);
    assert!(bench.groups.groups.is_empty());
    bench.restart();
    assert!(bench.groups.groups.is_empty());
}

#[test]
fn a_static_member_comes_back_without_a_rebalance_and_the_old_process_is_fenced() {
    let mut bench = Bench::new();
    let first = bench.join(join_static("old", "i1"));
    let generation = bench.joined(first).generation;
    bench.sync("old", generation, &[("old", "mine")]);
    let second = bench.join(join_static("new", "i1"));
    let joined = bench.joined(second);
    assert_eq!((joined.generation, &*joined.member, &*joined.leader), (generation, "new", "new"));
    assert!(joined.skip_assignment, "the leader must not assign anew");
    assert_eq!(joined.members[0].instance.as_deref(), Some("i1"));
    let (group, member, instance) = (GROUP.into(), "old".into(), Some("i1".into()));
    let token = bench.ask(GroupRequest::Heartbeat { group, generation, member, instance });
    assert_eq!(bench.answered(token).unwrap_err(), Refusal::FencedInstanceId);
    for _ in 0..2 {
        let token = bench.sync("new", generation, &[]);
        assert_eq!(bench.synced(token).assignment, Bytes::from_static(b"mine"));
        bench.restart();
    }
}

#[test]
fn a_static_member_that_comes_back_during_a_rebalance_fences_the_waiting_join() {
    let mut bench = Bench::with(CoreConfig::default());
    let first = bench.join(join_static("old", "i1"));
    let second = bench.join(join_static("new", "i1"));
    assert_eq!(bench.answered(first).unwrap_err(), Refusal::FencedInstanceId);
    bench.pass_ms(10_000);
    assert_eq!(bench.joined(second).members.len(), 1);
}

#[test]
fn a_static_member_whose_topics_change_the_protocol_causes_a_rebalance() {
    let mut bench = Bench::new();
    let both = |name: &str, first: &str, second: &str| JoinGroup {
        protocols: vec![(first.into(), Bytes::new()), (second.into(), Bytes::new())],
        ..join_static(name, "i1")
    };
    let first = bench.join(both("old", "range", "sticky"));
    bench.sync("old", bench.joined(first).generation, &[]);
    let second = bench.join(both("new", "sticky", "range"));
    let joined = bench.joined(second);
    assert_eq!((joined.generation, &*joined.protocol, joined.skip_assignment), (2, "sticky", false));
}

#[test]
fn a_static_member_stays_through_a_rebalance_until_its_session_ends() {
    let mut bench = Bench::new();
    let token = bench.join(join_static("s", "i1"));
    bench.sync("s", bench.joined(token).generation, &[]);
    let token = bench.join(JoinGroup { rebalance_timeout_ms: 1_000, session_timeout_ms: 30_000, ..join("m1") });
    bench.pass_ms(i64::from(SESSION_MS) - 1);
    assert!(bench.waits(token));
    bench.pass_ms(1);
    let joined = bench.joined(token);
    assert_eq!((joined.generation, joined.members.len(), &*joined.leader), (2, 1, "m1"));
    assert_eq!(leave(&mut bench, &[("", Some("i1"))]), [Some(Refusal::UnknownMemberId)]);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance() {
    let mut bench = Bench::new();
    bench.join(join_static("s", "i1"));
    assert_eq!(leave(&mut bench, &[("other", Some("i1"))]), [Some(Refusal::FencedInstanceId)]);
    assert_eq!(leave(&mut bench, &[("", Some("i1"))]), [None]);
    assert!(bench.groups.groups[GROUP].classic.is_deserted());
}

#[test]
fn a_group_is_not_larger_than_its_limit() {
    let config = CoreConfig { group_max_size: 1, group_initial_rebalance_delay_ms: 0, ..CoreConfig::default() };
    let mut bench = Bench::with(config);
    let token = bench.join(join_static("old", "i1"));
    bench.sync("old", bench.joined(token).generation, &[]);
    let token = bench.join(join("m2"));
    assert_eq!(bench.answered(token).unwrap_err(), Refusal::GroupMaxSizeReached);
    let token = bench.join(join_static("new", "i1"));
    assert_eq!(&*bench.joined(token).member, "new", "a static member takes its own place");
}
