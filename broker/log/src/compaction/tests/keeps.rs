//! What stays and what goes, case by case.

use super::*;

fn fill(fixture: &mut Fixture, batches: usize) {
    for at in 0..batches {
        let key = format!("fill-{at}");
        fixture.put(-1, false, Codec::None, &[(Some(&key), Some("a value that fills segments"))]);
    }
}

fn values_of(fixture: &Fixture, key: &str) -> Vec<Option<String>> {
    let records = batches_of(&fixture.log).into_iter().flat_map(|batch| records_of(&batch));
    let of_key = records.filter(|record| record.key.as_deref() == Some(key.as_bytes()));
    of_key.map(|record| record.value.map(|value| String::from_utf8(value).unwrap())).collect()
}

#[test]
fn the_last_value_of_a_key_stays_at_its_offset() {
    let mut fixture = Fixture::new();
    fixture.put(-1, false, Codec::Lz4, &[(Some("a"), Some("1")), (Some("b"), Some("1")), (Some("a"), Some("2"))]);
    fill(&mut fixture, 8);
    fixture.put(-1, false, Codec::None, &[(Some("a"), Some("3"))]);
    fill(&mut fixture, 20);
    let before = fixture.log.size_bytes();
    assert_eq!(fixture.compact_all(ROOMY), 1);
    assert_eq!(values_of(&fixture, "a"), [Some("3".to_owned())]);
    assert_eq!(values_of(&fixture, "b"), [Some("1".to_owned())]);
    assert!(fixture.log.size_bytes() < before);
    let first = records_of(&batches_of(&fixture.log)[0]);
    assert_eq!(first[0], fixture.appended[1], "offset, timestamp and value of what stays are what they were");
}

#[test]
fn a_tombstone_stays_for_delete_retention_ms_after_what_it_deletes() {
    let mut fixture = Fixture::new();
    fixture.put(-1, false, Codec::None, &[(Some("a"), Some("1"))]);
    fill(&mut fixture, 8);
    fixture.put(-1, false, Codec::Zstd, &[(Some("a"), None), (Some("c"), Some("1"))]);
    fill(&mut fixture, 20);
    let checkpoint = fixture.compact(None, ROOMY).unwrap();
    assert_eq!(values_of(&fixture, "a"), [None], "readers that saw the value must learn that it is gone");
    fill(&mut fixture, 20);
    let checkpoint = fixture.compact(checkpoint, ROOMY).unwrap();
    assert_eq!(values_of(&fixture, "a"), [None], "its time has not come");
    fixture.now_ms += 2_000;
    fill(&mut fixture, 20);
    fixture.compact(checkpoint, ROOMY).unwrap();
    assert!(values_of(&fixture, "a").is_empty());
    assert_eq!(values_of(&fixture, "c"), [Some("1".to_owned())]);
}

#[test]
fn records_of_an_aborted_transaction_go_and_its_marker_goes_after_them() {
    let mut fixture = Fixture::new();
    fixture.put(-1, false, Codec::None, &[(Some("a"), Some("committed"))]);
    fixture.put(5, true, Codec::None, &[(Some("a"), Some("aborted"))]);
    fixture.end_txn(5, ControlType::Abort);
    fixture.put(5, true, Codec::None, &[(Some("b"), Some("later"))]);
    fixture.end_txn(5, ControlType::Commit);
    fill(&mut fixture, 20);
    let abort =
        |fixture: &Fixture| markers_of(&fixture.log).iter().any(|(_, _, control)| *control == ControlType::Abort);
    let checkpoint = fixture.compact(None, ROOMY).unwrap();
    assert_eq!(values_of(&fixture, "a"), [Some("committed".to_owned())]);
    assert!(abort(&fixture), "the marker stays in the compaction that takes its records");
    fill(&mut fixture, 20);
    let checkpoint = fixture.compact(checkpoint, ROOMY).unwrap();
    assert!(abort(&fixture), "its delete horizon begins only now");
    assert!(fixture.log.aborted_in(0, fixture.log.log_end()).is_empty());
    fixture.now_ms += 2_000;
    fill(&mut fixture, 20);
    fixture.compact(checkpoint, ROOMY).unwrap();
    assert!(!abort(&fixture));
    assert!(!markers_of(&fixture.log).is_empty(), "the commit marker decides records that are there");
    assert_eq!(values_of(&fixture, "b"), [Some("later".to_owned())]);
}

#[test]
fn an_aborted_batch_that_is_the_last_of_its_producer_leaves_its_header_and_its_marker() {
    let mut fixture = Fixture::new();
    fixture.put(5, true, Codec::Gzip, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]);
    fixture.end_txn(5, ControlType::Abort);
    fill(&mut fixture, 20);
    let sequences = last_sequences(&fixture.log);
    let mut checkpoint = None;
    for _ in 0..3 {
        checkpoint = fixture.compact(checkpoint, ROOMY).unwrap();
        fixture.now_ms += 2_000;
        fill(&mut fixture, 20);
    }
    let header = BatchHeader::parse(&batches_of(&fixture.log)[0]).unwrap();
    assert_eq!((header.record_count, header.last_offset_delta, header.producer_id), (0, 1, 5));
    assert_eq!(last_sequences(&fixture.log), sequences);
    assert_eq!(markers_of(&fixture.log).len(), 1);
    assert_eq!(fixture.log.aborted_in(0, 10).len(), 1);
    fixture.reopen(false);
    assert_eq!(fixture.log.aborted_in(0, 10).len(), 1, "the index is what the batches give");
}

#[test]
fn a_producer_without_sequences_keeps_its_newest_marker_alone() {
    let mut fixture = Fixture::new();
    for round in 0..3 {
        let mut builder = BatchBuilder::new(1_000);
        builder.set_producer(9, 0, -1);
        builder.set_transactional(true);
        builder.push(1_000, Some(b"offsets"), Some(&[round]), &[pelton_record::Header { key: "h", value: None }]);
        fixture.open_txns.insert(9, fixture.log.log_end());
        fixture.append(builder.into_bytes_with_crc());
        fixture.end_txn(9, ControlType::Commit);
    }
    fixture.put(-1, false, Codec::None, &[(Some("offsets"), Some("newest"))]);
    fill(&mut fixture, 20);
    let mut checkpoint = None;
    for _ in 0..3 {
        checkpoint = fixture.compact(checkpoint, ROOMY).unwrap();
        fixture.now_ms += 2_000;
        fill(&mut fixture, 20);
    }
    let markers: Vec<_> = markers_of(&fixture.log).into_iter().map(|(offset, ..)| offset).collect();
    // In the rounds after the first no newer marker is dirty, so those with the newest epoch stay.
    assert!(markers.contains(&5), "{markers:?}");
    assert!(fixture.log.read(0, fixture.log.log_end(), 1 << 20, true).is_ok());
}

#[test]
fn what_is_not_stable_is_not_touched() {
    let mut fixture = Fixture::new();
    fill(&mut fixture, 10);
    fixture.put(5, true, Codec::None, &[(Some("a"), Some("undecided"))]);
    let begun = fixture.log.log_end() - 1;
    fill(&mut fixture, 20);
    let cleanable = fixture.cleanable(None).unwrap();
    assert!(cleanable.end <= begun);
    fixture.compact_all(ROOMY);
    assert_eq!(values_of(&fixture, "a"), [Some("undecided".to_owned())]);
    assert_eq!(values_of(&fixture, "fill-3").len(), 2, "one below, one above the open transaction");
}

#[test]
fn segments_become_one_and_end_where_they_ended() {
    let mut fixture = Fixture::new();
    for _ in 0..60 {
        fixture.put(-1, false, Codec::None, &[(Some("a"), Some("x"))]);
    }
    // What a compaction left of full segments fits into one in the next.
    let checkpoint = fixture.compact(None, ROOMY).unwrap();
    fill(&mut fixture, 20);
    let before = fixture.log.sealed_segments();
    assert!(before.len() > 3);
    fixture.compact(checkpoint, ROOMY).unwrap();
    let after = fixture.log.sealed_segments();
    assert!(after.len() < before.len(), "{after:?}");
    let next = fixture.log.segment_base_offsets();
    assert_eq!(next.last(), before.last().map(|segment| &segment.end_offset));
    fixture.reopen(false);
    assert_eq!(fixture.log.sealed_segments(), after, "a log that is no longer compacted opens all the same");
}

#[test]
fn nothing_is_written_where_nothing_changes() {
    let mut fixture = Fixture::new();
    for at in 0..12 {
        let key = format!("key-{at}");
        fixture.put(-1, false, Codec::None, &[(Some(&key), Some(&"v".repeat(300)))]);
    }
    let synced = fixture.disk.synced_files();
    fixture.compact_all(ROOMY);
    assert_eq!(fixture.disk.synced_files(), synced);
    assert!(file_names(&fixture.disk).iter().all(|name| !name.ends_with(".cleaned")));
}

#[test]
fn a_full_map_takes_several_rounds() {
    let (mut roomy, mut small) = (Fixture::new(), Fixture::new());
    for fixture in [&mut roomy, &mut small] {
        for at in 0..100 {
            let key = format!("{}", at % 17);
            fixture.put(-1, false, Codec::None, &[(Some(&key), Some("1")), (Some("often"), Some("2"))]);
        }
    }
    assert_eq!(roomy.compact_all(ROOMY), 1);
    let rounds = small.compact_all(6 * 24);
    assert!(rounds > 3, "{rounds}");
    assert_eq!(fold(&committed_records(&small.log)), fold(&committed_records(&roomy.log)));
    assert_eq!(values_of(&small, "3").len(), values_of(&roomy, "3").len());
}

#[test]
fn damage_is_never_made_to_look_whole() {
    let mut fixture = Fixture::new();
    fixture.put(-1, false, Codec::None, &[(Some("a"), Some("1")), (Some("a"), Some("2"))]);
    fill(&mut fixture, 20);
    let path = Path::new(DIR).join("00000000000000000000.log");
    fixture.disk.corrupt(&path, |bytes| bytes[70] ^= 1).unwrap();
    let cleanable = fixture.cleanable(None).unwrap();
    let source = fixture.log.compaction_source(cleanable.end).unwrap();
    let outcome = Compaction::new(source, cleanable, [], 0).run(ROOMY, &mut AtOnce, &mut |_| panic!("it was read"));
    assert!(matches!(outcome, Err(CompactionError::Log(LogError::Damaged { position: 0, .. }))), "{outcome:?}");
}

#[test]
fn an_abort_that_no_index_knows_stops_the_compaction() {
    let mut fixture = Fixture::new();
    fixture.put(5, true, Codec::None, &[(Some("a"), Some("1"))]);
    fixture.append(control_batch(ControlType::Abort, 5, 0, 0, 1));
    fixture.open_txns.clear();
    fill(&mut fixture, 20);
    let error = fixture.compact(None, ROOMY).unwrap_err();
    assert!(matches!(error, CompactionError::Log(LogError::Damaged { .. })), "{error}");
}

#[test]
fn a_segment_that_retention_took_is_not_replaced() {
    let mut fixture = Fixture::new();
    for _ in 0..60 {
        fixture.put(-1, false, Codec::None, &[(Some("a"), Some("x"))]);
    }
    let cleanable = fixture.cleanable(None).unwrap();
    let source = fixture.log.compaction_source(cleanable.end).unwrap();
    let _ = fixture.log.delete_before(10).unwrap();
    let before = fixture.log.segment_base_offsets();
    let mut compaction = Compaction::new(source, cleanable, [], fixture.now_ms);
    let log = &mut fixture.log;
    let outcome = compaction.run(ROOMY, &mut AtOnce, &mut |cleaned| Ok(log.replace(cleaned)?.is_some()));
    assert!(matches!(outcome, Err(CompactionError::Stopped)));
    assert_eq!(fixture.log.segment_base_offsets(), before);
    assert!(file_names(&fixture.disk).iter().all(|name| !name.ends_with(".cleaned")));
}

#[test]
fn a_compaction_stops_when_it_is_told_to() {
    struct Never;
    impl Pace for Never {
        fn go_on(&mut self, _bytes: u64) -> bool {
            false
        }
    }
    let mut fixture = Fixture::new();
    fill(&mut fixture, 20);
    let cleanable = fixture.cleanable(None).unwrap();
    let source = fixture.log.compaction_source(cleanable.end).unwrap();
    let outcome = Compaction::new(source, cleanable, [], 0).run(ROOMY, &mut Never, &mut |_| panic!("nothing was read"));
    assert!(matches!(outcome, Err(CompactionError::Stopped)));
}
