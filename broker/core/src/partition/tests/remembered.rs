//! Producers that a restart finds in a snapshot instead of in the batches.

use super::*;
use proptest::collection::vec as vec_of;
use proptest::prelude::*;

/// What happens to the producers of a partition: a batch, or a marker.
#[derive(Debug, Clone)]
struct Happening {
    producer: i64,
    epoch: i16,
    sequence: i32,
    records: usize,
    transactional: bool,
    marker: bool,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one =
        (0..4_i64, 0..3_i16, prop_oneof![0..100, i32::MAX - 3..i32::MAX], 1..4_usize, any::<bool>(), any::<bool>());
    let happening = one.prop_map(|(producer, epoch, sequence, records, transactional, marker)| Happening {
        producer,
        epoch,
        sequence,
        records,
        transactional,
        marker,
    });
    vec_of(happening, 0..40)
}

fn note(producers: &mut Producers, happening: &Happening, offset: Offset) {
    let Happening { producer, epoch, sequence, records, transactional: in_transaction, marker } = *happening;
    if marker {
        producers.marked(ProducerId(producer), ProducerEpoch(epoch), i32::from(epoch));
        return;
    }
    let batch = if in_transaction {
        transactional(producer, epoch, sequence, records)
    } else {
        idempotent(producer, epoch, sequence, records)
    };
    producers.appended(&BatchHeader { base_offset: offset, ..batch.header });
}

proptest! {
    #[test]
    fn a_snapshot_and_the_batches_behind_it_tell_what_all_batches_tell(happenings in happenings(), at: prop::sample::Index) {
        let at = at.index(happenings.len() + 1);
        let (mut all, mut before) = (Producers::default(), Producers::default());
        for (index, happening) in happenings.iter().enumerate() {
            note(&mut all, happening, 10 * index as i64);
            if index < at {
                note(&mut before, happening, 10 * index as i64);
            }
        }
        let mut after = Producers::default();
        for state in before.states() {
            prop_assert_eq!(after.recall(&state), state.open_since);
        }
        prop_assert_eq!(after.states(), before.states());
        for (index, happening) in happenings.iter().enumerate().skip(at) {
            note(&mut after, happening, 10 * index as i64);
        }
        prop_assert_eq!(after.states(), all.states());
    }
}

#[test]
fn a_restart_from_a_snapshot_remembers_five_batches_and_the_open_transaction() {
    let mut bench = Bench::new();
    for sequence in 0..6 {
        bench.produce(sequence as u64, idempotent(7, 0, sequence, 1), Acks::Leader);
    }
    let mut producers = bench.partition.producers();
    producers.push(ProducerState {
        producer_id: ProducerId(8),
        epoch: ProducerEpoch(2),
        coordinator_epoch: Some(5),
        open_since: Some(4),
        batches: Vec::new(),
    });
    let log = RecoveredLog { log_start: 0, log_end: 6, leader_epoch: 4, producers, batches: Vec::new() };
    let mut bench = Bench::open("orders", CoreConfig::default(), log);
    assert_eq!(bench.partition.watermarks().last_stable, 4, "the transaction is open still");
    for sequence in 1..6 {
        bench.produce(10 + sequence as u64, idempotent(7, 0, sequence, 1), Acks::Leader);
        let offset = Offset::from(sequence);
        assert_eq!(bench.offsets(10 + sequence as u64), Some((offset, offset)), "it is there already");
    }
    bench.produce(20, idempotent(7, 0, 0, 1), Acks::Leader);
    assert_eq!(bench.refusal(20), Refusal::OutOfOrderSequence);
    bench.produce(21, idempotent(7, 0, 6, 1), Acks::Leader);
    assert_eq!(bench.offsets(21), Some((6, 6)));
}
