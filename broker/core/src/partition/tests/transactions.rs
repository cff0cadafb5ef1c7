//! Transactions in one partition: enlisting, markers, the last stable offset.

use super::*;
use crate::event::{AbortedTransaction, TransactionReply, TransactionRequest};

/// The number of the one question that the partition has asked.
fn question(bench: &mut Bench) -> u64 {
    assert_eq!(bench.sent.len(), 1, "{:?}", bench.sent);
    let envelope = bench.sent.remove(0);
    assert_eq!(envelope.to, PartId::Transaction(crate::coordinator::partition_for("payments", 50)));
    match envelope.event {
        Event::Ask {
            reply_to: ReplyTo::Part(PartId::Partition(partition), question),
            request: Request::Transaction(TransactionRequest::Verify { partition: enlisted, .. }),
        } => {
            assert_eq!(partition, enlisted);
            question
        }
        other => panic!("no question for enlisting: {other:?}"),
    }
}

fn answer(bench: &mut Bench, question: u64, answer: Result<TransactionReply, Refusal>) {
    bench.event(Event::Answer { question, reply: Reply::Transaction(answer) });
}

/// Opens a transaction with one batch.
fn begin(bench: &mut Bench, producer: i64, sequence: i32) {
    bench.produce(900, transactional(producer, 0, sequence, 1), Acks::Leader);
    let asked = question(bench);
    answer(bench, asked, Ok(TransactionReply::Done));
    assert!(bench.offsets(900).is_some());
}

fn marker(producer: i64, epoch: i16, coordinator_epoch: i32, commit: bool) -> PartitionRequest {
    marker_of(1, producer, epoch, coordinator_epoch, commit)
}

fn marker_of(
    transaction_version: i8,
    producer: i64,
    epoch: i16,
    coordinator_epoch: i32,
    commit: bool,
) -> PartitionRequest {
    PartitionRequest::WriteMarker(Marker {
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(epoch),
        coordinator_epoch,
        commit,
        transaction_version,
    })
}

fn last_stable(bench: &Bench) -> Offset {
    bench.partition.watermarks().last_stable
}

#[test]
fn the_first_batch_waits_until_its_partition_is_known_to_be_enlisted() {
    let mut bench = Bench::new();
    bench.produce(1, transactional(7, 0, 0, 2), Acks::Leader);
    bench.produce(2, transactional(7, 0, 2, 1), Acks::Leader);
    bench.produce(3, plain(1), Acks::Leader);
    assert_eq!(bench.offsets(3), Some((0, 0)), "others do not wait");
    assert_eq!(bench.written.len(), 1);
    let asked = question(&mut bench);
    answer(&mut bench, asked, Ok(TransactionReply::Done));
    assert_eq!((bench.offsets(1), bench.offsets(2)), (Some((1, 2)), Some((3, 3))));
    bench.produce(4, transactional(7, 0, 3, 1), Acks::Leader);
    assert_eq!(bench.offsets(4), Some((4, 4)), "the transaction is open now");
    assert!(bench.sent.is_empty());
}

#[test]
fn a_batch_that_is_not_enlisted_is_refused_and_writes_nothing() {
    let mut bench = Bench::new();
    for (refusal, told) in [
        (Refusal::TransactionNotEnlisted, Refusal::TransactionNotEnlisted),
        (Refusal::NotCoordinator, Refusal::RequestTimedOut),
        (Refusal::ConcurrentTransactions, Refusal::RequestTimedOut),
    ] {
        bench.produce(1, transactional(7, 0, 0, 1), Acks::All);
        bench.produce(2, transactional(7, 0, 1, 1), Acks::All);
        let asked = question(&mut bench);
        answer(&mut bench, asked, Err(refusal));
        assert_eq!((bench.refusal(1), bench.refusal(2)), (told.clone(), told));
    }
    assert!(bench.written.is_empty());
    let append = PartitionRequest::Append {
        batches: vec![transactional(7, 0, 0, 1)],
        acks: Acks::All,
        origin: AppendOrigin::Client,
        transactional_id: None,
    };
    bench.ask(3, append);
    assert_eq!(bench.refusal(3), Refusal::InvalidTxnState, "there is nobody to ask");
}

#[test]
fn a_marker_that_passes_meanwhile_takes_the_answers_worth() {
    for (epoch, why) in [(0, Refusal::InvalidTxnState), (1, Refusal::InvalidProducerEpoch)] {
        let mut bench = Bench::new();
        bench.produce(1, transactional(7, 0, 0, 1), Acks::Leader);
        let asked = question(&mut bench);
        bench.ask(2, marker(7, epoch, 0, false));
        answer(&mut bench, asked, Ok(TransactionReply::Done));
        assert_eq!(bench.refusal(1), why);
        bench.flush(1);
        assert_eq!(bench.offsets(2), Some((0, 0)));
        assert_eq!(last_stable(&bench), 1, "no transaction hangs");
    }
}

#[test]
fn a_marker_that_comes_again_takes_the_answers_worth_too() {
    let mut bench = Bench::new();
    begin(&mut bench, 7, 0);
    bench.ask(1, marker(7, 0, 0, true));
    bench.produce(2, transactional(7, 0, 1, 1), Acks::Leader);
    let asked = question(&mut bench);
    bench.ask(3, marker(7, 0, 0, true));
    answer(&mut bench, asked, Ok(TransactionReply::Done));
    assert_eq!(bench.refusal(2), Refusal::InvalidTxnState);
    bench.flush(2);
    assert_eq!(last_stable(&bench), 2, "no transaction hangs");
}

#[test]
fn what_waited_in_another_epoch_is_judged_for_itself() {
    let mut bench = Bench::new();
    bench.produce(1, transactional(7, 0, 0, 1), Acks::Leader);
    bench.produce(2, transactional(7, 1, 0, 1), Acks::Leader);
    bench.produce(3, transactional(7, 1, 1, 1), Acks::Leader);
    let asked = question(&mut bench);
    answer(&mut bench, asked, Err(Refusal::InvalidProducerEpoch));
    assert_eq!(bench.refusal(1), Refusal::InvalidProducerEpoch);
    let asked = question(&mut bench);
    answer(&mut bench, asked, Ok(TransactionReply::Done));
    assert_eq!((bench.offsets(2), bench.offsets(3)), (Some((0, 0)), Some((1, 1))));
}

#[test]
fn a_client_that_stops_waiting_takes_nothing_back() {
    let mut bench = Bench::new();
    bench.produce(1, transactional(7, 0, 0, 1), Acks::Leader);
    bench.event(Event::Cancelled(Token(1)));
    let asked = question(&mut bench);
    answer(&mut bench, asked, Ok(TransactionReply::Done));
    assert_eq!(bench.written.len(), 1);
    assert!(bench.replies.is_empty());
}

#[test]
fn the_last_stable_offset_waits_for_the_committed_marker() {
    let mut bench = Bench::new();
    begin(&mut bench, 7, 0);
    begin(&mut bench, 8, 0);
    bench.produce(1, plain(1), Acks::Leader);
    bench.flush(3);
    assert_eq!(last_stable(&bench), 0);
    bench.ask(2, marker(7, 0, 0, true));
    assert_eq!(last_stable(&bench), 0, "the marker is not durable yet");
    assert_eq!(bench.offsets(2), None);
    bench.flush(4);
    assert_eq!(bench.offsets(2), Some((3, 3)));
    assert_eq!(last_stable(&bench), 1);
    bench.other.clear();
    bench.ask(3, marker(8, 0, 0, false));
    let aborted = AbortedTransaction { producer_id: ProducerId(8), first_offset: 1, last_offset: 4 };
    assert!(matches!(
        &bench.other[..],
        [Effect::RecordAborted { aborted: recorded, last_stable: 5, .. }, Effect::Flush { through: 5, .. }]
            if *recorded == aborted
    ));
    bench.flush(5);
    assert_eq!(last_stable(&bench), 5);
}

#[test]
fn a_committed_reader_waits_for_the_last_stable_offset() {
    let mut bench = Bench::new();
    begin(&mut bench, 7, 0);
    bench.flush(1);
    let isolation = Isolation::ReadCommitted;
    bench.ask(1, PartitionRequest::Watch { offset: 0, isolation });
    bench.ask(2, PartitionRequest::Watch { offset: 0, isolation: Isolation::ReadUncommitted });
    assert!(bench.reply(1).is_none());
    assert!(bench.reply(2).is_some());
    bench.ask(3, marker(7, 0, 0, true));
    bench.flush(2);
    assert!(bench.reply(1).is_some());
    bench.other.clear();
    bench.ask(4, PartitionRequest::Fetch { offset: 0, current_leader_epoch: None, max_bytes: 10, isolation });
    assert!(matches!(bench.other[..], [Effect::Read { end: 2, with_aborted: true, .. }]));
}

#[test]
fn markers_of_older_epochs_are_refused() {
    let mut bench = Bench::new();
    begin(&mut bench, 7, 0);
    bench.ask(1, marker(7, 1, 5, false));
    bench.ask(2, marker(7, 0, 5, true));
    assert_eq!(bench.refusal(2), Refusal::InvalidProducerEpoch);
    bench.ask(3, marker(7, 1, 4, true));
    assert_eq!(bench.refusal(3), Refusal::TransactionCoordinatorFenced);
    bench.flush(2);
    assert_eq!(bench.offsets(1), Some((1, 1)));
    bench.produce(4, transactional(7, 0, 1, 1), Acks::Leader);
    assert_eq!(bench.refusal(4), Refusal::InvalidProducerEpoch, "the marker has fenced the epoch");
}

#[test]
fn a_marker_of_version_2_is_of_an_epoch_past_its_transactions() {
    let mut bench = Bench::new();
    begin(&mut bench, 7, 0);
    let ended = |epoch, coordinator_epoch| marker_of(2, 7, epoch, coordinator_epoch, false);
    bench.ask(1, ended(0, 0));
    assert_eq!(bench.refusal(1), Refusal::InvalidProducerEpoch, "the transaction's own epoch ends nothing");
    assert_eq!(last_stable(&bench), 0);
    bench.ask(2, ended(1, 0));
    bench.flush(2);
    assert_eq!((bench.offsets(2), last_stable(&bench)), (Some((1, 1)), 2));
    bench.ask(3, ended(1, 0));
    assert!(bench.offsets(3).is_some(), "it may come again");
    assert_eq!(bench.written.len(), 2, "and is not written again");
    bench.ask(4, ended(0, 0));
    assert_eq!(bench.refusal(4), Refusal::InvalidProducerEpoch);
    bench.ask(5, ended(1, 1));
    bench.ask(6, ended(1, 0));
    assert_eq!(bench.refusal(6), Refusal::TransactionCoordinatorFenced);
    bench.ask(7, marker_of(2, 8, 0, 0, true));
    bench.flush(4);
    assert_eq!((bench.offsets(5), bench.offsets(7)), (Some((2, 2)), Some((3, 3))), "nothing is known of this producer");
}

#[test]
fn the_largest_epoch_ends_its_own_transaction() {
    let mut bench = Bench::new();
    bench.ask(1, marker(7, i16::MAX, 0, false));
    bench.produce(2, transactional(7, i16::MAX, 0, 1), Acks::Leader);
    let asked = question(&mut bench);
    answer(&mut bench, asked, Ok(TransactionReply::Done));
    bench.ask(3, marker_of(2, 7, i16::MAX, 0, false));
    bench.flush(3);
    assert_eq!((bench.offsets(3), last_stable(&bench)), (Some((2, 2)), 3));
}

#[test]
fn a_marker_that_comes_again_is_answered_and_written_once() {
    let mut bench = Bench::new();
    begin(&mut bench, 7, 0);
    bench.ask(1, marker(7, 0, 0, true));
    bench.ask(2, marker(7, 0, 0, true));
    assert_eq!(bench.written.len(), 2);
    assert_eq!((bench.offsets(1), bench.offsets(2)), (None, None), "neither before the marker is durable");
    bench.flush(2);
    assert_eq!((bench.offsets(1), bench.offsets(2)), (Some((1, 1)), Some((1, 1))));
    bench.ask(3, marker(7, 0, 0, true));
    assert!(bench.offsets(3).is_some());
    assert_eq!(bench.written.len(), 2);
}

#[test]
fn a_plain_batch_inside_of_a_transaction_is_refused() {
    let mut bench = Bench::new();
    begin(&mut bench, 7, 0);
    bench.produce(1, idempotent(7, 0, 1, 1), Acks::Leader);
    bench.produce(2, idempotent(7, 1, 0, 1), Acks::Leader);
    assert_eq!(bench.refusal(1), Refusal::InvalidTxnState);
    assert_eq!(bench.refusal(2), Refusal::InvalidTxnState, "also one of a later epoch, which would fence the marker");
    bench.ask(3, marker(7, 0, 0, true));
    bench.flush(2);
    assert_eq!(last_stable(&bench), 2);
}

#[test]
fn a_restart_finds_the_open_transactions() {
    let mut bench = Bench::new();
    begin(&mut bench, 7, 0);
    begin(&mut bench, 8, 0);
    bench.ask(1, marker(7, 0, 3, true));
    let mut bench = Bench::open("orders", CoreConfig::default(), bench.log());
    assert_eq!(last_stable(&bench), 1);
    bench.ask(2, marker(7, 0, 2, true));
    assert_eq!(bench.refusal(2), Refusal::TransactionCoordinatorFenced);
    bench.ask(3, marker(8, 0, 3, true));
    bench.flush(4);
    assert_eq!(last_stable(&bench), 4);
}

#[test]
fn groups_hear_of_a_committed_marker_even_when_nobody_waits_for_it() {
    let mut bench = Bench::open(OFFSETS_TOPIC, CoreConfig::default(), RecoveredLog::default());
    let offsets = PartitionRequest::Append {
        batches: vec![transactional(7, 0, -1, 1)],
        acks: Acks::All,
        origin: AppendOrigin::Coordinator,
        transactional_id: None,
    };
    bench.ask(1, offsets);
    bench.ask(2, marker(7, 0, 0, true));
    bench.event(Event::Cancelled(Token(2)));
    bench.flush(1);
    assert!(bench.sent.is_empty());
    bench.flush(2);
    let [crate::event::Envelope { to: PartId::Group(0), event: Event::Ask { reply_to: ReplyTo::Nobody, request } }] =
        &bench.sent[..]
    else {
        panic!("the groups were told {:?}", bench.sent)
    };
    assert!(matches!(
        request,
        Request::Group(GroupRequest::CompleteTransaction { producer_id: ProducerId(7), commit: true, .. })
    ));
    assert!(bench.reply(2).is_none());
}
