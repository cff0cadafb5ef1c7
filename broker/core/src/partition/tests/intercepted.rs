//! Batches from which interceptors have taken records: everything goes by their offsets, and nothing by their records.

use super::*;
use crate::event::{TransactionReply, TransactionRequest};

#[test]
fn a_batch_keeps_all_its_offsets_whatever_is_left_of_it() {
    let mut bench = Bench::new();
    bench.intercept(1, filtered(&plain(3), 1), Acks::All);
    bench.intercept(2, filtered(&plain(2), 0), Acks::All);
    bench.intercept(3, filtered(&plain(2), 2), Acks::All);
    bench.flush(7);
    assert_eq!(bench.offsets(1), Some((0, 2)));
    assert_eq!(bench.offsets(2), Some((3, 4)));
    assert_eq!(bench.offsets(3), Some((5, 6)));
    let written: Vec<_> = bench.written.iter().map(|b| (b.header.base_offset, b.header.record_count)).collect();
    assert_eq!(written, [(0, 1), (3, 0), (5, 2)]);
    assert_eq!(bench.partition.watermarks(), Watermarks::empty_at(7).with_log_start(0));
}

#[test]
fn it_never_has_more_records_than_offsets_and_keeps_every_other_rule() {
    let mut bench = Bench::new();
    let wrong = [
        with_header(plain(2), |header| header.record_count = 3),
        with_header(plain(2), |header| header.record_count = -1),
        with_header(filtered(&plain(1), 0), |header| header.attributes = Attributes::default().with_control(true)),
        filtered(&transactional(-1, -1, -1, 1), 0),
        filtered(&idempotent(7, -1, 0, 1), 0),
    ];
    for (token, batch) in wrong.into_iter().enumerate() {
        bench.intercept(token as u64, batch, Acks::All);
        let why = bench.refusal(token as u64);
        assert!(matches!(why, Refusal::InvalidRecord(_)), "batch {token} was refused with {why:?}");
    }
    bench.intercept(9, plain(80_000), Acks::All);
    assert_eq!(bench.refusal(9), Refusal::RecordTooLarge);
    bench.produce(10, filtered(&plain(2), 1), Acks::All);
    assert!(matches!(bench.refusal(10), Refusal::InvalidRecord(_)), "a client says so of its own batch");
    let mut bench = Bench::open(OFFSETS_TOPIC, CoreConfig::default(), RecoveredLog::default());
    bench.intercept(1, filtered(&plain(1), 0), Acks::All);
    assert!(matches!(bench.refusal(1), Refusal::InvalidTopicName(_)));
    assert!(bench.written.is_empty());
}

#[test]
fn sequences_run_on_over_what_was_taken_away() {
    let mut bench = Bench::new();
    bench.intercept(1, filtered(&idempotent(7, 0, 0, 3), 0), Acks::Leader);
    bench.produce(2, idempotent(7, 0, 3, 1), Acks::Leader);
    assert_eq!((bench.offsets(1), bench.offsets(2)), (Some((0, 2)), Some((3, 3))));
    bench.intercept(3, filtered(&idempotent(7, 0, 5, 1), 0), Acks::Leader);
    assert_eq!(bench.refusal(3), Refusal::OutOfOrderSequence);
    bench.produce(4, idempotent(7, 0, 0, 3), Acks::Leader);
    assert_eq!(bench.offsets(4), Some((0, 2)), "the client's batch that comes again is the one that was emptied");
    bench.intercept(5, filtered(&idempotent(7, 0, 0, 3), 1), Acks::Leader);
    assert_eq!(bench.offsets(5), Some((0, 2)), "whatever interceptors made of it this time");
    assert_eq!(bench.written.len(), 2);
    let mut bench = Bench::open("orders", CoreConfig::default(), bench.log());
    bench.produce(6, idempotent(7, 0, 0, 3), Acks::Leader);
    bench.produce(7, idempotent(7, 0, 4, 1), Acks::Leader);
    assert_eq!((bench.offsets(6), bench.offsets(7)), (Some((0, 2)), Some((4, 4))), "a restart knows it too");
}

#[test]
fn a_transaction_of_nothing_but_emptied_batches_opens_and_ends() {
    let mut bench = Bench::new();
    bench.intercept(1, filtered(&transactional(7, 0, 0, 2), 0), Acks::All);
    bench.intercept(2, filtered(&transactional(7, 0, 2, 1), 0), Acks::All);
    assert!(bench.written.is_empty(), "it is asked whether the partition is enlisted");
    let Event::Ask { reply_to: ReplyTo::Part(_, question), request } = bench.sent.remove(0).event else {
        panic!("no question")
    };
    assert!(matches!(request, Request::Transaction(TransactionRequest::Verify { .. })));
    bench.event(Event::Answer { question, reply: Reply::Transaction(Ok(TransactionReply::Done)) });
    bench.flush(3);
    assert_eq!((bench.offsets(1), bench.offsets(2)), (Some((0, 1)), Some((2, 2))));
    assert_eq!(bench.partition.watermarks().last_stable, 0);
    let restarted = Bench::open("orders", CoreConfig::default(), bench.log());
    assert_eq!(restarted.partition.watermarks().last_stable, 0, "a restart knows that it is open");
    let (producer_id, producer_epoch) = (ProducerId(7), ProducerEpoch(0));
    let marker = Marker { producer_id, producer_epoch, coordinator_epoch: 0, commit: false, transaction_version: 1 };
    bench.ask(3, PartitionRequest::WriteMarker(marker));
    bench.flush(4);
    assert_eq!(bench.offsets(3), Some((3, 3)));
    assert_eq!(bench.partition.watermarks().last_stable, 4);
    let aborted = bench.other.iter().find_map(|effect| match effect {
        Effect::RecordAborted { aborted, .. } => Some((aborted.first_offset, aborted.last_offset)),
        _ => None,
    });
    assert_eq!(aborted, Some((0, 3)));
}
