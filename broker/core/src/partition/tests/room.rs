//! A full disk: what was not written is as if it had been refused.

use super::*;
use crate::event::Marker;

fn no_room(bench: &mut Bench, log_end: Offset) {
    bench.event(Event::NoRoom { log_end, message: "no space left on device".to_owned() });
    bench.written.retain(|batch| batch.header.base_offset < log_end);
}

/// What distinguishes one state of a partition from another.
fn state(bench: &Bench) -> String {
    format!("{:?} {:?}", bench.partition.watermarks, bench.partition.transactions)
}

#[test]
fn a_write_without_room_is_refused_and_the_next_one_is_tried_again() {
    let mut bench = Bench::new();
    bench.produce(1, idempotent(7, 0, 0, 2), Acks::All);
    bench.flush(2);
    assert_eq!(bench.offsets(1), Some((0, 1)));
    bench.partition.performed_before(1);
    bench.produce(2, idempotent(7, 0, 2, 3), Acks::All);
    no_room(&mut bench, 2);
    assert!(matches!(bench.refusal(2), Refusal::NoRoom(why) if why.contains("no space left")));
    assert_eq!(bench.partition.watermarks().log_end, 2);
    // The producer sends the same again, and it is neither a duplicate nor out of order.
    bench.partition.performed_before(2);
    bench.produce(3, idempotent(7, 0, 2, 3), Acks::All);
    assert_eq!(bench.written.last().unwrap().header.base_offset, 2);
    bench.flush(5);
    assert_eq!(bench.offsets(3), Some((2, 4)));
}

#[test]
fn only_what_lies_past_the_end_of_the_log_is_taken_back() {
    let mut bench = Bench::new();
    bench.produce(1, idempotent(7, 0, 0, 1), Acks::All);
    bench.produce(2, idempotent(7, 0, 1, 1), Acks::All);
    bench.produce(3, idempotent(8, 0, 0, 1), Acks::All);
    no_room(&mut bench, 1);
    assert!(matches!(bench.refusal(2), Refusal::NoRoom(_)) && matches!(bench.refusal(3), Refusal::NoRoom(_)));
    assert_eq!(bench.reply(1).map(|reply| reply.is_ok()), None, "it is written and waits for its sync");
    bench.flush(1);
    assert_eq!(bench.offsets(1), Some((0, 0)));
    bench.produce(4, idempotent(7, 0, 1, 1), Acks::All);
    bench.flush(2);
    assert_eq!(bench.offsets(4), Some((1, 1)));
}

#[test]
fn a_transaction_whose_first_batch_found_no_room_was_never_begun() {
    let mut bench = Bench::new();
    bench.produce(1, plain(1), Acks::All);
    bench.flush(1);
    let before = state(&bench);
    bench.partition.performed_before(1);
    // The coordinator's word, as `__consumer_offsets` gets it.
    let batches = vec![transactional(7, 0, 0, 2)];
    let (acks, origin) = (Acks::All, AppendOrigin::Coordinator);
    bench.ask(2, PartitionRequest::Append { batches, acks, origin, transactional_id: None });
    assert_ne!(state(&bench), before);
    no_room(&mut bench, 1);
    assert_eq!(state(&bench), before);
}

#[test]
fn a_marker_without_room_leaves_its_transaction_open() {
    let mut bench = Bench::new();
    let batches = vec![transactional(7, 0, 0, 2)];
    let (acks, origin) = (Acks::All, AppendOrigin::Coordinator);
    bench.ask(1, PartitionRequest::Append { batches, acks, origin, transactional_id: None });
    bench.flush(2);
    let before = state(&bench);
    bench.partition.performed_before(1);
    let (producer_id, producer_epoch) = (ProducerId(7), ProducerEpoch(0));
    let marker = Marker { producer_id, producer_epoch, coordinator_epoch: 0, commit: false, transaction_version: 1 };
    bench.ask(2, PartitionRequest::WriteMarker(marker));
    no_room(&mut bench, 2);
    assert!(matches!(bench.refusal(2), Refusal::NoRoom(_)));
    assert_eq!(state(&bench), before);
    bench.partition.performed_before(2);
    bench.ask(3, PartitionRequest::WriteMarker(marker));
    bench.flush(3);
    assert_eq!(bench.offsets(3), Some((2, 2)));
    assert_eq!(bench.partition.watermarks().last_stable, 3);
}

#[test]
fn without_fsync_the_high_watermark_goes_back_to_what_is_there() {
    let mut bench =
        Bench::open("orders", CoreConfig { fsync: false, ..CoreConfig::default() }, RecoveredLog::default());
    bench.produce(1, plain(2), Acks::Leader);
    bench.partition.performed_before(1);
    bench.produce(2, plain(2), Acks::Leader);
    no_room(&mut bench, 2);
    let marks = bench.partition.watermarks();
    assert_eq!((marks.high_watermark, marks.last_stable, marks.log_end), (2, 2, 2));
    bench.produce(3, plain(1), Acks::All);
    assert_eq!(bench.offsets(3), Some((2, 2)));
}
