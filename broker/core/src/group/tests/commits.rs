//! Offsets: who may commit, what is visible, what expires.

use super::*;
use crate::coordinator::partition_for;
use crate::event::{TransactionRequest, TransactionalOffsetCommit};
use crate::model::OFFSETS_TOPIC;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn commit_in_transaction(bench: &mut Bench, producer: (i64, i16), topic: &str, offset: i64) -> Token {
    bench.ask(GroupRequest::CommitInTransaction(TransactionalOffsetCommit {
        producer_id: ProducerId(producer.0),
        producer_epoch: ProducerEpoch(producer.1),
        transactional_id: "t".into(),
        commit: offset_commit("", -1, topic, offset),
    }))
}

#[test]
fn a_member_commits_and_the_offset_survives_the_process() {
    let mut bench = Bench::new();
    assert_eq!(bench.fetch(true), Ok(Vec::new()), "an unknown group has committed nothing");
    let generation = bench.stable(&["m1"]);
    assert_eq!(bench.commit("m1", generation, "a", 5), Ok(()));
    assert_eq!(bench.commit("m1", generation, "b", 6), Ok(()));
    assert_eq!(bench.commit("m1", generation, "a", 4), Ok(()), "going back is allowed");
    for _ in 0..2 {
        assert_eq!((bench.offset("a"), bench.offset("b"), bench.offset("c")), (Some(4), Some(6), None));
        bench.restart();
    }
    let partitions = Some(vec![TopicPartition::new("z", 0), TopicPartition::new("a", 0), TopicPartition::new("a", 0)]);
    let token = bench.ask(GroupRequest::FetchOffsets { group: GROUP.into(), partitions, require_stable: true });
    let Ok(GroupReply::Offsets(offsets)) = bench.answered(token) else { panic!("refused") };
    let committed = CommittedOffset {
        offset: 4,
        leader_epoch: None,
        metadata: "note".into(),
        committed_at: bench.now,
        expires_at: None,
    };
    assert_eq!(*offsets, [(TopicPartition::new("a", 0), Some(committed)), (TopicPartition::new("z", 0), None)]);
}

#[test]
fn nobody_but_a_member_of_the_current_generation_commits() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit("m1", 1, "a", 1), Err(Refusal::IllegalGeneration), "of a group that is not there");
    let generation = bench.stable(&["m1"]);
    assert_eq!(bench.commit("m1", generation - 1, "a", 1), Err(Refusal::IllegalGeneration));
    assert_eq!(bench.commit("m1", generation + 1, "a", 1), Err(Refusal::IllegalGeneration));
    assert_eq!(bench.commit("m2", generation, "a", 1), Err(Refusal::UnknownMemberId));
    assert_eq!(bench.commit("", -1, "a", 1), Err(Refusal::UnknownMemberId), "members hold the group");
    assert_eq!(bench.commit("m1", -1, "a", 1), Err(Refusal::IllegalGeneration));
    assert_eq!(bench.offset("a"), None);
    let second = bench.join(join("m2"));
    assert_eq!(bench.commit("m1", generation, "a", 2), Ok(()), "a member commits before it joins again");
    bench.join(rejoin("m1"));
    assert_eq!(bench.commit("m2", bench.joined(second).generation, "a", 1), Err(Refusal::RebalanceInProgress));
    assert_eq!(bench.offset("a"), Some(2));
}

#[test]
fn a_commit_counts_as_a_heartbeat() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["m1"]);
    for offset in 0..4 {
        bench.pass_ms(i64::from(SESSION_MS) - 1);
        assert_eq!(bench.commit("m1", generation, "a", offset), Ok(()));
    }
}

#[test]
fn a_consumer_outside_of_the_protocol_commits_to_an_empty_group() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit("", -1, "a", 1), Ok(()));
    assert_eq!(bench.commit("", -1, "a", 2), Ok(()));
    bench.restart();
    assert_eq!(bench.offset("a"), Some(2));
    assert_eq!(bench.commit("m1", 0, "a", 3), Err(Refusal::UnknownMemberId));
}

#[test]
fn metadata_and_names_that_are_too_long_are_refused() {
    let mut bench = Bench::with(CoreConfig { offset_metadata_max_bytes: usize::MAX, ..CoreConfig::default() });
    let mut refused = |change: &dyn Fn(&mut OffsetCommit)| {
        let mut commit = offset_commit("", -1, "a", 1);
        change(&mut commit);
        let token = bench.ask(GroupRequest::Commit(commit));
        bench.answered(token).unwrap_err()
    };
    let long: Arc<str> = "x".repeat(32_768).into();
    assert_eq!(refused(&|commit| commit.offsets[0].metadata = long.clone()), Refusal::OffsetMetadataTooLarge);
    assert_eq!(refused(&|commit| commit.group = long.clone()), Refusal::InvalidGroupId);
    let refusal = refused(&|commit| commit.offsets[0].partition.topic = long.clone());
    assert!(matches!(refusal, Refusal::InvalidRequest(_)));
    let mut bench = Bench::new();
    let mut commit = offset_commit("", -1, "a", 1);
    commit.offsets[0].metadata = "x".repeat(4_097).into();
    let token = bench.ask(GroupRequest::Commit(commit));
    assert_eq!(bench.answered(token).unwrap_err(), Refusal::OffsetMetadataTooLarge);
}

#[test]
fn offsets_of_a_transaction_are_verified_then_pending_then_visible() {
    let mut bench = Bench::new();
    bench.commit("", -1, "a", 1).unwrap();
    let token = commit_in_transaction(&mut bench, (9, 0), "a", 2);
    let (part, _, request) = &bench.questions[0];
    assert_eq!(*part, PartId::Transaction(partition_for("t", 50)));
    let Request::Transaction(TransactionRequest::Verify { partition, producer_id, .. }) = request else { panic!() };
    assert_eq!((partition, producer_id.0), (&TopicPartition::new(OFFSETS_TOPIC, 7), 9));
    assert!(bench.waits(token));
    assert!(bench.fetch(true).is_ok(), "nothing is written yet");
    bench.verified(Ok(TransactionReply::Done));
    assert!(bench.answered(token).is_ok());
    for _ in 0..2 {
        assert_eq!(bench.offset("a"), Some(1));
        assert_eq!(bench.fetch(true), Err(Refusal::UnstableOffsetCommit));
        bench.restart();
    }
    let partitions = Some(vec![TopicPartition::new("b", 0)]);
    let other = bench.ask(GroupRequest::FetchOffsets { group: GROUP.into(), partitions, require_stable: true });
    assert!(bench.answered(other).is_ok(), "the other partitions are stable");
    bench.marker(9, 0, true);
    for _ in 0..2 {
        assert_eq!((bench.offset("a"), bench.fetch(true).is_ok()), (Some(2), true));
        bench.restart();
    }
}

#[test]
fn offsets_of_an_aborted_transaction_vanish() {
    let mut bench = Bench::new();
    commit_in_transaction(&mut bench, (9, 0), "a", 2);
    bench.verified(Ok(TransactionReply::Done));
    bench.marker(9, 1, false);
    assert_eq!(bench.fetch(true), Ok(Vec::new()));
    assert!(bench.groups.groups.is_empty() && bench.groups.producers.is_empty());
    bench.restart();
    assert_eq!(bench.fetch(true), Ok(Vec::new()));
}

#[test]
fn a_marker_decides_its_own_producer_and_no_newer_epoch() {
    let mut bench = Bench::new();
    commit_in_transaction(&mut bench, (9, 3), "a", 2);
    bench.verified(Ok(TransactionReply::Done));
    bench.marker(9, 2, true);
    bench.marker(8, 3, true);
    assert_eq!((bench.offset("a"), bench.fetch(true)), (None, Err(Refusal::UnstableOffsetCommit)));
    bench.marker(9, 3, true);
    assert_eq!(bench.offset("a"), Some(2));
}

#[test]
fn a_plain_commit_after_the_transactional_one_wins_whenever_the_marker_comes() {
    let mut bench = Bench::new();
    commit_in_transaction(&mut bench, (9, 0), "a", 2);
    bench.verified(Ok(TransactionReply::Done));
    bench.commit("", -1, "a", 7).unwrap();
    bench.marker(9, 0, true);
    for _ in 0..2 {
        assert_eq!(bench.offset("a"), Some(7));
        bench.restart();
    }
}

#[test]
fn a_commit_that_is_not_verified_writes_nothing() {
    let mut bench = Bench::new();
    let refused = commit_in_transaction(&mut bench, (9, 0), "a", 2);
    bench.verified(Err(Refusal::ProducerFenced));
    assert_eq!(bench.answered(refused).unwrap_err(), Refusal::ProducerFenced);
    let late = commit_in_transaction(&mut bench, (9, 0), "a", 2);
    bench.marker(9, 0, false);
    bench.verified(Ok(TransactionReply::Done));
    assert_eq!(bench.answered(late).unwrap_err(), Refusal::InvalidTxnState, "the transaction was decided meanwhile");
    let records = bench.log.iter().filter(|entry| matches!(entry, Entry::Record(..)));
    assert_eq!((records.count(), bench.groups.groups.len()), (0, 0));
}

#[test]
fn a_member_that_was_replaced_while_its_transaction_was_verified_commits_nothing() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["m1"]);
    let commit = TransactionalOffsetCommit {
        producer_id: ProducerId(9),
        producer_epoch: ProducerEpoch(0),
        transactional_id: "t".into(),
        commit: offset_commit("m1", generation, "a", 2),
    };
    let token = bench.ask(GroupRequest::CommitInTransaction(commit.clone()));
    bench.pass_ms(i64::from(SESSION_MS));
    bench.verified(Ok(TransactionReply::Done));
    assert_eq!(bench.answered(token).unwrap_err(), Refusal::UnknownMemberId);
    let token = bench.ask(GroupRequest::CommitInTransaction(commit));
    assert_eq!(bench.answered(token).unwrap_err(), Refusal::UnknownMemberId, "without a question");
    assert_eq!(bench.fetch(true), Ok(Vec::new()));
}

#[test]
fn a_cancelled_transactional_commit_goes_on_without_an_answer() {
    let mut bench = Bench::new();
    let gone = commit_in_transaction(&mut bench, (9, 0), "a", 2);
    bench.step(|groups, now, out| groups.cancelled(now, gone, out));
    bench.verified(Ok(TransactionReply::Done));
    bench.marker(9, 0, true);
    assert_eq!((bench.offset("a"), bench.waits(gone)), (Some(2), true));
}

#[test]
fn offsets_that_nobody_uses_expire_and_with_the_last_the_group() {
    let mut bench = Bench::new();
    bench.commit("", -1, "a", 1).unwrap();
    bench.pass_ms(DAY_MS);
    bench.commit("", -1, "b", 1).unwrap();
    bench.pass_ms(6 * DAY_MS + 600_000);
    assert_eq!((bench.offset("a"), bench.offset("b")), (None, Some(1)));
    bench.pass_ms(DAY_MS);
    assert!(bench.groups.groups.is_empty());
    bench.restart();
    assert!(bench.groups.groups.is_empty());
}

#[test]
fn offsets_of_a_group_with_members_do_not_expire_and_then_not_before_it_is_left() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["m1"]);
    bench.commit("m1", generation, "a", 1).unwrap();
    for _ in 0..8 * DAY_MS / 9_000 {
        bench.pass_ms(9_000);
        assert_eq!(bench.heartbeat("m1", generation), Ok(()));
    }
    bench.pass_ms(6 * DAY_MS);
    assert_eq!(bench.offset("a"), Some(1), "its last member left less than seven days ago");
    bench.pass_ms(DAY_MS + 1_200_000);
    assert_eq!(bench.offset("a"), None);
    assert!(bench.groups.groups.is_empty());
}

#[test]
fn pending_offsets_do_not_expire() {
    let mut bench = Bench::new();
    bench.commit("", -1, "a", 1).unwrap();
    commit_in_transaction(&mut bench, (9, 0), "a", 2);
    bench.verified(Ok(TransactionReply::Done));
    bench.pass_ms(30 * DAY_MS);
    assert_eq!(bench.offset("a"), Some(1));
    bench.marker(9, 0, true);
    assert_eq!(bench.offset("a"), Some(2));
}

#[test]
fn a_record_that_cannot_be_read_is_an_error_that_says_why() {
    let mut groups = Groups::new(Arc::new(CoreConfig::default()), 0);
    let record = |key, value| StoredRecord { key, value, timestamp: Timestamp(0), transaction: None };
    assert!(groups.replay(record(b"", None)).is_err());
    assert!(groups.replay(record(b"\x00\x02\x00\x01g", Some(b"\x00\x63"))).unwrap_err().contains("version 99"));
    assert_eq!(groups.replay(record(b"\x00\x09whatever", Some(b"?"))), Ok(()), "a later release's type is skipped");
}
