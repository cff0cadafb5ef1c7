//! From the last join to the last sync, and what interrupts it.

use super::*;

#[test]
fn followers_wait_for_the_leader_and_everybody_gets_its_own_assignment() {
    let mut bench = Bench::new();
    bench.join(join("m1"));
    let second = bench.join(join("m2"));
    assert!(bench.waits(second), "m1 has to join again");
    let first = bench.join(rejoin("m1"));
    let (leader, follower) = (bench.joined(first), bench.joined(second));
    assert_eq!((leader.generation, leader.members.len()), (2, 2));
    assert_eq!((follower.generation, follower.members.len(), &*follower.leader), (2, 0, "m1"));
    let waiting = bench.sync("m2", 2, &[]);
    assert!(bench.waits(waiting));
    let records = bench.log.len();
    let leading = bench.sync("m1", 2, &[("m1", "one"), ("m2", "two"), ("stranger", "three")]);
    assert_eq!(bench.log.len(), records + 1, "the assignment is stored");
    assert_eq!(bench.synced(leading).assignment, Bytes::from_static(b"one"));
    assert_eq!(bench.synced(waiting).assignment, Bytes::from_static(b"two"));
    bench.restart();
    let again = bench.sync("m2", 2, &[]);
    assert_eq!(bench.synced(again).assignment, Bytes::from_static(b"two"), "it survives the process");
    assert_eq!(bench.heartbeat("m1", 2), Ok(()));
}

#[test]
fn syncs_are_checked() {
    let mut bench = Bench::new();
    let sync = |bench: &mut Bench, member: &str, generation| {
        let token = bench.sync(member, generation, &[]);
        bench.answered(token).map(|_| ())
    };
    assert_eq!(sync(&mut bench, "m1", 1), Err(Refusal::UnknownMemberId));
    bench.join(join("m1"));
    assert_eq!(sync(&mut bench, "m2", 1), Err(Refusal::UnknownMemberId));
    assert_eq!(sync(&mut bench, "m1", 2), Err(Refusal::IllegalGeneration));
    let token = bench.ask(GroupRequest::Sync(SyncGroup {
        group: GROUP.into(),
        generation: 1,
        member: "m1".into(),
        instance: None,
        protocol_type: None,
        protocol: Some("sticky".into()),
        assignments: BTreeMap::new(),
    }));
    assert_eq!(bench.answered(token).unwrap_err(), Refusal::InconsistentGroupProtocol);
    assert_eq!(sync(&mut bench, "m1", 1), Ok(()));
    bench.join(join("m2"));
    assert_eq!(sync(&mut bench, "m1", 1), Err(Refusal::RebalanceInProgress));
}

#[test]
fn a_join_while_the_leader_assigns_sends_the_waiting_syncs_back() {
    let mut bench = Bench::new();
    bench.assigning(&["m1", "m2"]);
    let waiting = bench.sync("m2", 2, &[]);
    bench.join(join("m3"));
    assert_eq!(bench.answered(waiting).unwrap_err(), Refusal::RebalanceInProgress);
    assert_eq!(bench.heartbeat("m1", 2), Err(Refusal::RebalanceInProgress));
    let first = bench.join(rejoin("m1"));
    bench.join(rejoin("m2"));
    assert_eq!((bench.joined(first).generation, bench.joined(first).members.len()), (3, 3));
}

#[test]
fn a_dynamic_member_that_does_not_join_again_in_time_is_dropped() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["m1"]);
    let second = bench.join(join("m2"));
    for _ in 0..12 {
        assert!(bench.waits(second));
        assert_eq!(bench.heartbeat("m1", generation), Err(Refusal::RebalanceInProgress), "it lives but does not join");
        bench.pass_ms(5_000);
    }
    let joined = bench.joined(second);
    assert_eq!((joined.generation, &*joined.leader, joined.members.len()), (2, "m2", 1));
    assert_eq!(bench.heartbeat("m1", generation), Err(Refusal::UnknownMemberId));
}

#[test]
fn members_that_never_sync_are_dropped() {
    let mut bench = Bench::new();
    bench.assigning(&["m1", "m2"]);
    let waiting = bench.sync("m2", 2, &[]);
    for _ in 0..12 {
        assert!(bench.waits(waiting));
        assert_eq!(bench.heartbeat("m1", 2), Ok(()), "the leader lives but does not assign");
        bench.pass_ms(5_000);
    }
    assert_eq!(bench.answered(waiting).unwrap_err(), Refusal::RebalanceInProgress);
    assert_eq!(bench.heartbeat("m1", 2), Err(Refusal::UnknownMemberId));
    let again = bench.join(rejoin("m2"));
    assert_eq!(&*bench.joined(again).leader, "m2");
}

#[test]
fn a_repeated_join_is_told_the_generation_unless_it_changes_something() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["m1", "m2"]);
    let same = bench.join(rejoin("m2"));
    assert_eq!((bench.joined(same).generation, bench.joined(same).members.len()), (generation, 0));
    assert_eq!(bench.heartbeat("m1", generation), Ok(()));
    let leader = bench.join(rejoin("m1"));
    assert!(bench.waits(leader), "the leader asks for a rebalance by joining");
    let changed = JoinGroup { protocols: vec![("range".into(), Bytes::from_static(b"more topics"))], ..rejoin("m2") };
    let follower = bench.join(changed.clone());
    assert_eq!(bench.joined(follower).generation, generation + 1);
    assert_eq!(bench.joined(leader).members[1].metadata, Bytes::from_static(b"more topics"));
    let lost = bench.join(rejoin("m1"));
    assert_eq!(bench.joined(lost).members.len(), 2, "the leader is told again, with the members");
    let token = bench.join(JoinGroup { protocols: rejoin("m2").protocols, ..changed });
    assert!(bench.waits(token), "a change while the leader assigns begins anew");
}

#[test]
fn a_join_that_is_sent_again_takes_the_place_of_the_one_that_waits() {
    let mut bench = Bench::new();
    bench.stable(&["m1", "m2"]);
    let earlier = bench.join(rejoin("m1"));
    let later = bench.join(rejoin("m1"));
    assert_eq!(bench.answered(earlier).unwrap_err(), Refusal::RebalanceInProgress);
    bench.join(rejoin("m2"));
    assert_eq!(bench.joined(later).members.len(), 2);
}

#[test]
fn a_cancelled_join_is_never_answered_and_its_member_times_out() {
    let mut bench = Bench::new();
    bench.stable(&["m1"]);
    let gone = bench.join(join("m2"));
    bench.step(|groups, now, out| groups.cancelled(now, gone, out));
    let first = bench.join(rejoin("m1"));
    assert!(bench.waits(first), "m2 may come back while its session lasts");
    bench.pass_ms(i64::from(SESSION_MS));
    assert_eq!(bench.joined(first).members.len(), 1);
    assert!(bench.waits(gone));
}

#[test]
fn a_cancelled_sync_is_never_answered_and_the_assignment_is_there_for_the_next() {
    let mut bench = Bench::new();
    bench.assigning(&["m1", "m2"]);
    let gone = bench.sync("m2", 2, &[]);
    bench.step(|groups, now, out| groups.cancelled(now, gone, out));
    bench.sync("m1", 2, &[("m2", "two")]);
    assert!(bench.waits(gone));
    let again = bench.sync("m2", 2, &[]);
    assert_eq!(bench.synced(again).assignment, Bytes::from_static(b"two"));
}

#[test]
fn an_assignment_that_is_too_large_to_store_is_refused_to_all() {
    let mut bench = Bench::new();
    bench.assigning(&["m1", "m2"]);
    let waiting = bench.sync("m2", 2, &[]);
    let records = bench.log.len();
    let large: &'static str = Box::leak("x".repeat(900_000).into_boxed_str());
    let leading = bench.sync("m1", 2, &[("m1", large)]);
    assert_eq!(bench.answered(leading).unwrap_err(), Refusal::RecordTooLarge);
    assert_eq!(bench.answered(waiting).unwrap_err(), Refusal::RecordTooLarge);
    assert_eq!(bench.log.len(), records);
    assert_eq!(bench.heartbeat("m1", 2), Err(Refusal::RebalanceInProgress));
}

#[test]
fn a_restart_during_a_rebalance_takes_the_members_back_to_the_stored_generation() {
    let mut bench = Bench::new();
    bench.stable(&["m1"]);
    bench.join(join("m2"));
    bench.join(rejoin("m1"));
    bench.restart();
    bench.pass_ms(i64::from(SESSION_MS) - 1);
    assert_eq!(bench.heartbeat("m1", 2), Err(Refusal::IllegalGeneration));
    assert_eq!(bench.heartbeat("m2", 2), Err(Refusal::UnknownMemberId));
    assert_eq!(bench.heartbeat("m1", 1), Ok(()), "sessions begin with the load");
    bench.pass_ms(i64::from(SESSION_MS));
    assert_eq!(bench.heartbeat("m1", 1), Err(Refusal::UnknownMemberId), "sessions run again after the load");
}

#[test]
fn a_static_leader_that_is_away_keeps_its_place_and_another_leads() {
    let mut bench = Bench::new();
    let token = bench.join(JoinGroup { session_timeout_ms: 1_000_000, ..join_static("a-static", "i1") });
    let generation = bench.joined(token).generation;
    bench.sync("a-static", generation, &[]);
    let token = bench.join(join("m1"));
    bench.pass_ms(i64::from(REBALANCE_MS) - 1);
    assert!(bench.waits(token));
    bench.pass_ms(1);
    let joined = bench.joined(token);
    assert_eq!((joined.generation, &*joined.leader, joined.members.len()), (generation + 1, "m1", 2));
}

#[test]
fn a_rebalance_that_nobody_joined_waits_for_the_static_members_that_are_away() {
    let mut bench = Bench::new();
    let request = JoinGroup { session_timeout_ms: 100_000, ..join_static("s", "i1") };
    let token = bench.join(request.clone());
    let generation = bench.joined(token).generation;
    bench.sync("s", generation, &[]);
    let gone = bench.join(join("m1"));
    bench.step(|groups, now, out| groups.cancelled(now, gone, out));
    bench.pass_ms(i64::from(REBALANCE_MS) + 1);
    let token = bench.join(JoinGroup { member: "s".into(), ..request });
    let joined = bench.joined(token);
    assert_eq!(
        (joined.generation, joined.members.len()),
        (generation + 1, 1),
        "no generation was made without members"
    );
}

#[test]
fn an_id_that_was_given_out_holds_a_rebalance_up_until_it_is_used_or_lapses() {
    let mut bench = Bench::new();
    bench.stable(&["m1"]);
    let second = bench.join(join("m2"));
    let asked = bench.join(JoinGroup { require_known_member: true, ..join("m3") });
    assert!(bench.answered(asked).is_err());
    bench.join(rejoin("m1"));
    assert!(bench.waits(second), "m3 is about to join");
    bench.pass_ms(i64::from(SESSION_MS));
    assert_eq!(bench.joined(second).generation, 2);
    let late = bench.join(rejoin("m3"));
    assert_eq!(bench.answered(late).unwrap_err(), Refusal::UnknownMemberId);
}
