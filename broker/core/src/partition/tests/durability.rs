//! `durability`, `flush.messages` and `flush.ms`: what waits for a sync, and which syncs are asked for.

use super::*;

fn with(configs: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new();
    configure(&mut bench, configs);
    bench
}

fn configure(bench: &mut Bench, configs: &[(&str, &str)]) {
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    bench.partition.configure(&configs);
}

/// What was asked to be synced since the last call.
fn flushes(bench: &mut Bench) -> Vec<Offset> {
    let flush = |effect: Effect| match effect {
        Effect::Flush { through, .. } => Some(through),
        _ => None,
    };
    std::mem::take(&mut bench.other).into_iter().filter_map(flush).collect()
}

fn wakes(bench: &mut Bench) -> Vec<Timestamp> {
    let wake = |effect: Effect| match effect {
        Effect::WakeAt { at, .. } => Some(at),
        _ => None,
    };
    std::mem::take(&mut bench.other).into_iter().filter_map(wake).collect()
}

fn tick(bench: &mut Bench, now: Timestamp) {
    let mut effects = Vec::new();
    bench.partition.step(now, Event::Tick, &mut effects);
    bench.other.extend(effects);
}

#[test]
fn a_topic_chooses_its_durability_and_may_change_its_mind() {
    let mut bench = with(&[("durability", "replicated")]);
    bench.produce(1, plain(2), Acks::All);
    assert_eq!(bench.offsets(1), Some((0, 1)));
    assert_eq!((bench.partition.watermarks().high_watermark, flushes(&mut bench)), (2, vec![]));
    configure(&mut bench, &[("durability", "fsync")]);
    bench.produce(2, plain(1), Acks::All);
    assert_eq!((bench.offsets(2), flushes(&mut bench)), (None, vec![3]));
    configure(&mut bench, &[("durability", "replicated")]);
    bench.flush(3);
    assert_eq!(bench.offsets(2), Some((2, 2)));
}

#[test]
fn flush_messages_makes_the_write_that_reaches_it_wait_for_its_sync() {
    let mut bench = with(&[("durability", "replicated"), ("flush.messages", "4")]);
    bench.produce(1, plain(3), Acks::All);
    assert_eq!((bench.offsets(1), flushes(&mut bench)), (Some((0, 2)), vec![]));
    bench.produce(2, plain(1), Acks::All);
    assert_eq!((bench.offsets(2), flushes(&mut bench)), (None, vec![4]));
    // What comes meanwhile is committed behind it, not past it.
    bench.produce(3, plain(2), Acks::All);
    assert_eq!((bench.offsets(3), flushes(&mut bench)), (None, vec![]));
    bench.flush(3);
    assert_eq!((bench.offsets(2), bench.offsets(3)), (None, None), "an older sync");
    bench.flush(4);
    assert_eq!((bench.offsets(2), bench.offsets(3)), (Some((3, 3)), Some((4, 5))));
    bench.produce(4, plain(2), Acks::All);
    assert_eq!((bench.offsets(4), flushes(&mut bench)), (None, vec![8]), "four since the last one");
}

#[test]
fn flush_messages_of_one_is_a_sync_for_every_append() {
    let mut bench = with(&[("durability", "replicated"), ("flush.messages", "1")]);
    for (token, through) in [(1, 1), (2, 2)] {
        bench.produce(token, plain(1), Acks::All);
        assert_eq!((bench.offsets(token), flushes(&mut bench)), (None, vec![through]));
        bench.flush(through);
        assert!(bench.offsets(token).is_some());
    }
}

#[test]
fn flush_ms_syncs_what_is_unsynced_when_its_time_is_up() {
    let mut bench = with(&[("durability", "replicated"), ("flush.ms", "50")]);
    bench.produce(1, plain(1), Acks::All);
    assert_eq!(bench.offsets(1), Some((0, 0)), "nobody waits for it");
    assert_eq!(wakes(&mut bench), [NOW.plus_ms(50)]);
    bench.produce(2, plain(1), Acks::All);
    assert!(wakes(&mut bench).is_empty(), "one is enough");
    tick(&mut bench, NOW.plus_ms(49));
    assert!(flushes(&mut bench).is_empty());
    tick(&mut bench, NOW.plus_ms(50));
    assert_eq!(flushes(&mut bench), [2]);
    tick(&mut bench, NOW.plus_ms(51));
    assert!(flushes(&mut bench).is_empty());
    bench.produce(3, plain(1), Acks::All);
    assert_eq!(wakes(&mut bench), [NOW.plus_ms(50)], "the next one is timed anew");
}

#[test]
fn under_fsync_every_write_asks_for_its_sync_and_the_flush_configs_add_nothing() {
    let mut bench = with(&[("durability", "fsync"), ("flush.ms", "50"), ("flush.messages", "1")]);
    bench.produce(1, plain(1), Acks::All);
    assert!(!bench.other.iter().any(|effect| matches!(effect, Effect::WakeAt { .. })));
    assert_eq!(flushes(&mut bench), [1]);
}
