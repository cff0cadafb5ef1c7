use super::*;
use proptest::prelude::*;

fn segment(base_offset: Offset, end_offset: Offset, len_bytes: u64, timestamp: i64) -> SealedSegment {
    SealedSegment { base_offset, end_offset, len_bytes, first_timestamp: Some(timestamp), max_timestamp: timestamp }
}

fn three() -> [SealedSegment; 3] {
    [segment(0, 10, 100, 1_000), segment(10, 20, 200, 2_000), segment(20, 30, 300, 3_000)]
}

#[test]
fn everything_above_the_checkpoint_is_dirty() {
    let config = CompactionConfig::default();
    let found = cleanable(&three(), 0, 100, Some(10), &config, 5_000).unwrap();
    assert_eq!((found.first_dirty, found.end, found.clean_bytes, found.dirty_bytes), (10, 30, 100, 500));
    assert_eq!(found.dirty_ppm(), 833_333);
    assert!(found.is_due(&config));
    assert_eq!(cleanable(&three(), 0, 100, Some(30), &config, 5_000), None);
}

#[test]
fn a_checkpoint_outside_of_the_log_counts_as_none() {
    let config = CompactionConfig::default();
    for wrong in [None, Some(-5), Some(4), Some(31)] {
        let found = cleanable(&three(), 5, 100, wrong, &config, 5_000).unwrap();
        assert_eq!(found.first_dirty, 5, "{wrong:?}");
    }
}

#[test]
fn what_is_not_stable_or_too_young_ends_the_cleanable_part() {
    let config = CompactionConfig { min_compaction_lag_ms: 1_500, ..CompactionConfig::default() };
    assert_eq!(cleanable(&three(), 0, 29, None, &CompactionConfig::default(), 5_000).unwrap().end, 20);
    assert_eq!(cleanable(&three(), 0, 100, None, &config, 4_000).unwrap().end, 20);
    assert_eq!(cleanable(&three(), 0, 5, None, &config, 4_000), None);
    assert_eq!(cleanable(&[], 0, 5, None, &config, 4_000), None);
}

#[test]
fn a_record_that_waits_too_long_makes_its_log_due() {
    let config = CompactionConfig {
        min_cleanable_dirty_ppm: 900_000,
        max_compaction_lag_ms: Some(1_000),
        ..CompactionConfig::default()
    };
    let due = |now_ms| cleanable(&three(), 0, 100, Some(10), &config, now_ms).unwrap().is_due(&config);
    assert!(!due(3_000));
    assert!(due(3_001));
}

#[test]
fn the_overdue_log_goes_first_then_the_dirtiest() {
    let config = CompactionConfig::default();
    let log =
        |clean_bytes, dirty_bytes, overdue| Cleanable { first_dirty: 0, end: 1, clean_bytes, dirty_bytes, overdue };
    let logs = [log(10, 20, false), log(10, 90, false), log(90, 10, true), log(90, 10, false), log(0, 0, true)];
    let pick = |of: &[Cleanable]| dirtiest(of.iter().map(|log| (log, &config)));
    assert_eq!(pick(&logs), Some(2));
    assert_eq!(pick(&logs[..2]), Some(1));
    assert_eq!(pick(&logs[3..]), None);
}

proptest! {
    #[test]
    fn groups_hold_every_segment_once_and_fit(
        lens in proptest::collection::vec((1_u64..900, 1_i64..1_500_000_000), 0..30),
        segment_bytes in 1_u32..2_000,
    ) {
        let mut segments = Vec::new();
        let mut base = 0;
        for (len, span) in lens {
            segments.push(segment(base, base + span, len, 0));
            base += span;
        }
        let groups = group(&segments, segment_bytes, 10 << 20, 4096);
        let mut next = 0;
        for range in groups {
            prop_assert_eq!(range.start, next);
            next = range.end;
            let members = &segments[range];
            let len: u64 = members.iter().map(|segment| segment.len_bytes).sum();
            let span = members[members.len() - 1].end_offset - members[0].base_offset;
            prop_assert!(members.len() == 1 || (len <= u64::from(segment_bytes) && span <= i64::from(i32::MAX)));
        }
        prop_assert_eq!(next, segments.len());
    }
}
