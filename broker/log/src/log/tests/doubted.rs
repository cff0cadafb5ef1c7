//! What an earlier process wrote is checked once, before anybody is given it.

use super::*;
use crate::compaction::plan::cleanable;
use crate::compaction::{Compaction, CompactionConfig, CompactionError, Pace};
use pelton_record::recompute_crc;

/// Byte of a batch that is the lowest of its leader epoch.
const EPOCH_AT: usize = 15;
/// Byte of a batch that is the lowest of its last offset delta.
const DELTA_AT: usize = 26;
/// Byte of a batch among its records.
const RECORD_AT: usize = 70;

/// Stops the log, in one way or the other, and opens it again.
fn reopened(disk: &SimDisk, log: Log<SimDisk>, close: bool) -> Log<SimDisk> {
    if close {
        log.close().unwrap();
    } else {
        drop(log);
    }
    disk.kill();
    open(disk).0
}

/// Changes a byte of the batch with this number in the segment at `base`, all of whose batches are equally long.
fn harm(disk: &SimDisk, base: Offset, batch: usize, at: usize, value: u8) {
    let change = |bytes: &mut Vec<u8>| {
        let len = 12 + u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize;
        bytes[batch * len + at] = value;
    };
    disk.corrupt(&segment_path(base, "log"), change).unwrap();
}

fn in_doubt(log: &Log<SimDisk>, from: Offset) -> bool {
    log.slice(from, log.log_end(), 1, true).unwrap().unwrap().is_in_doubt()
}

#[track_caller]
fn assert_damaged<T: std::fmt::Debug>(result: Result<T, LogError>, base: Offset) {
    let segment = segment_path(base, "log");
    assert!(matches!(&result, Err(LogError::Damaged { path, .. }) if *path == segment), "{result:?}");
}

#[test]
fn a_reader_pays_once_and_what_this_process_wrote_is_in_no_doubt() {
    for close in [true, false] {
        let disk = SimDisk::new();
        let (mut log, _) = open(&disk);
        fill(&mut log, 60);
        assert!((0..60).all(|offset| !in_doubt(&log, offset)), "it was all written here");
        flush(&mut log);
        let acknowledged = log.log_end();
        fill(&mut log, 3);
        let mut log = reopened(&disk, log, close);
        assert!(log.segments.len() > 2 && log.segments.iter().all(|segment| segment.dense));
        assert!((0..acknowledged).all(|offset| in_doubt(&log, offset)));
        // What lay behind the digest was read, with the CRC, when the log was opened.
        assert!((acknowledged..63).all(|offset| in_doubt(&log, offset) == close));
        fill(&mut log, 2);
        assert!(!in_doubt(&log, 63) && !in_doubt(&log, 64));
        assert!(log.read(30, 65, 1, true).is_ok() && in_doubt(&log, 30), "what lies alone leaves no mark");
        let whole = read_all(&log, 500);
        assert!((0..65).all(|offset| !in_doubt(&log, offset)));
        disk.forget_reads();
        assert_eq!(read_all(&log, 500), whole);
        let (read, _) = disk.reads_of(&segment_path(0, "log")).unwrap();
        let searched = (log.segments[0].len / 400 + 1) * (8 << 10);
        assert!(read <= log.segments[0].len + searched, "the CRCs are not read again: {read} bytes");
    }
}

#[test]
fn a_segment_of_which_the_headers_alone_were_read_is_in_doubt() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 60);
    let log = reopened(&disk, log, true);
    let sealed = log.segment_base_offsets()[1];
    drop(log);
    disk.remove_file(&segment_path(sealed, "digest")).unwrap();
    harm(&disk, sealed, 2, RECORD_AT, 0);
    let (log, _) = open(&disk);
    assert!(log.read(sealed, 60, 1, true).is_ok());
    assert_damaged(log.read(sealed + 2, 60, 1, true), sealed);
    let slice = log.slice(sealed, 60, 1 << 20, true).unwrap().unwrap();
    assert!(slice.before_damage().unwrap().is_none(), "nobody has looked yet");
    assert_damaged(slice.check(), sealed);
    let sound = slice.before_damage().unwrap().unwrap();
    assert_eq!((sound.base_offset, sound.next_offset, sound.is_in_doubt()), (sealed, sealed + 2, false));
    assert_eq!(batches(&sound.read().unwrap()).count(), 2);
    assert!(log.read(sealed + 3, 60, 1 << 20, true).is_ok(), "one can go on behind it");
    assert_damaged(log.offset_for_timestamp(1_000 + sealed + 2, 60), sealed);
}

#[test]
fn a_truncation_leaves_in_doubt_what_was() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 9);
    let mut log = reopened(&disk, log, true);
    log.read(0, 9, 300, true).unwrap();
    assert!(!in_doubt(&log, 0) && in_doubt(&log, 2));
    harm(&disk, 0, 3, RECORD_AT, 0);
    log.truncate_to(5).unwrap();
    fill(&mut log, 2);
    let doubted: Vec<bool> = (0..7).map(|offset| in_doubt(&log, offset)).collect();
    assert_eq!(doubted, [false, in_doubt(&log, 1), true, true, true, false, false]);
    assert_damaged(log.read(2, 7, 1 << 20, true), 0);
    assert!(log.read(4, 7, 1 << 20, true).is_ok());
}

#[test]
fn no_header_makes_a_read_empty_for_ever() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 9);
    let log = reopened(&disk, log, true);
    for delta in [1, 4, 8, 9, 200] {
        harm(&disk, 0, 0, DELTA_AT, delta);
        for end in 1..=9 {
            assert_damaged(log.read(0, end, 1 << 20, true), 0);
            assert_damaged(log.read(0, end, 1, true), 0);
        }
    }
    harm(&disk, 0, 0, DELTA_AT, 0);
    // The last one, behind which there is nothing that could say so.
    harm(&disk, 0, 8, DELTA_AT, 3);
    assert_damaged(log.read(8, 9, 1 << 20, true), 0);
    assert_damaged(log.read(0, 9, 1 << 20, true), 0);
    assert!(log.read(0, 4, 200, true).is_ok());
}

/// A batch of one record and `offsets` offsets, as compaction leaves it.
fn sparse(base: Offset, offsets: u8) -> Vec<u8> {
    let mut bytes = batch(base, 1, 1_000 + base, &[b'x'; 100]);
    bytes[DELTA_AT] = offsets - 1;
    recompute_crc(&mut bytes);
    bytes
}

#[test]
fn where_there_are_gaps_a_batch_cannot_hide_its_end() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    for base in [0, 10, 30, 40] {
        append(&mut log, &sparse(base, 10));
    }
    assert!(!log.segments[0].dense);
    let log = reopened(&disk, log, true);
    assert!(!log.segments[0].dense, "it is remembered");
    assert!(log.read(25, 50, 1, true).is_ok(), "a gap is no damage");
    harm(&disk, 0, 1, DELTA_AT, 3);
    assert_damaged(log.read(15, 50, 1, true), 0);
    assert_damaged(log.read(10, 50, 1, true), 0);
    assert_damaged(log.read(0, 50, 1 << 20, true), 0);
    assert!(log.read(30, 50, 1 << 20, true).is_ok());
    harm(&disk, 0, 1, DELTA_AT, 25);
    assert_damaged(log.read(10, 29, 1, true), 0);
}

struct AtOnce;

impl Pace for AtOnce {
    fn go_on(&mut self, _bytes: u64) -> bool {
        true
    }
}

#[test]
fn a_compaction_makes_nothing_new_of_what_is_damaged() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 60);
    let log = reopened(&disk, log, true);
    let compacted = || {
        let settings = CompactionConfig { min_cleanable_dirty_ppm: 0, ..CompactionConfig::default() };
        let cleanable = cleanable(&log.sealed_segments(), 0, 60, None, &settings, i64::MAX / 4).unwrap();
        let source = log.compaction_source(cleanable.end).unwrap();
        let mut compaction = Compaction::new(source, cleanable, Vec::new(), 1_000_000);
        compaction.run(1 << 20, &mut AtOnce, &mut |_| Ok(false))
    };
    harm(&disk, 0, 1, EPOCH_AT, 7);
    match compacted() {
        Err(CompactionError::Log(error)) => assert_damaged::<()>(Err(error), 0),
        other => panic!("it becomes {other:?}"),
    }
    harm(&disk, 0, 1, EPOCH_AT, 0);
    assert!(matches!(compacted(), Err(CompactionError::Stopped)), "it is not put in its place here");
    assert!(!in_doubt(&log, 0), "it has been read with its CRC");
}
