//! What the log promises, each with the fault that would break it.

mod appending;
mod doubted;
mod filtered;
mod model;
mod recovery;

use super::*;
use crate::disk::{FaultOperation, SimDisk, SimFault};
use crate::recovery::BatchSummary;
use crate::{LogConfig, OsDisk, Recovered};
use pelton_record::{
    BatchBuilder, BatchView, Codec, ControlType, batches, compressed_batch, control_batch, patch_offset_and_epoch,
};
use proptest::collection::vec as vec_of;
use proptest::prelude::*;
use std::io::ErrorKind;

const DIR: &str = "/data/orders-0";
const TOPIC_ID: u128 = 0x1234;

/// Small segments and indexes, so that a few records reach every branch.
fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 4000,
        segment_ms: None,
        index_interval_bytes: 300,
        preallocate_min_bytes: 1024,
        preallocate_max_bytes: 4096,
        retention_ms: None,
        ..LogConfig::default()
    }
}

pub(super) fn open(disk: &SimDisk) -> (Log<SimDisk>, Recovered) {
    Log::open(disk.clone(), DIR, small(), Opening::of(TOPIC_ID), &mut |_| {}).unwrap()
}

fn open_error(disk: &SimDisk) -> LogError {
    Log::open(disk.clone(), DIR, small(), Opening::of(TOPIC_ID), &mut |_| {}).unwrap_err()
}

/// A batch of `count` records at `base_offset`, the first with `timestamp` and each next one a millisecond later.
pub(super) fn batch(base_offset: Offset, count: i32, timestamp: i64, value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(timestamp);
    for index in 0..count {
        builder.push(timestamp + i64::from(index), Some(b"key"), Some(value), &[]);
    }
    at_offset(builder.into_bytes_with_crc(), base_offset, 0)
}

pub(super) fn at_offset(mut bytes: Vec<u8>, base_offset: Offset, leader_epoch: i32) -> Vec<u8> {
    patch_offset_and_epoch(&mut bytes, base_offset, leader_epoch);
    bytes
}

pub(super) fn append<D: Disk>(log: &mut Log<D>, bytes: &[u8]) {
    log.append(bytes, &BatchHeader::parse(bytes).unwrap()).unwrap();
}

/// Appends `batches` of one record of 100 bytes each.
pub(super) fn fill<D: Disk>(log: &mut Log<D>, batches: usize) {
    for _ in 0..batches {
        let offset = log.log_end();
        append(log, &batch(offset, 1, 1000 + offset, &[b'x'; 100]));
    }
}

fn flush<D: Disk>(log: &mut Log<D>) {
    let through = log.flush_handle().unwrap().sync().unwrap();
    log.mark_flushed(through);
}

/// Everything the log holds, read in pieces of `max_bytes`.
pub(super) fn read_all<D: Disk>(log: &Log<D>, max_bytes: usize) -> Vec<u8> {
    let (mut all, mut from) = (Vec::new(), log.log_start());
    while from < log.log_end() {
        let bytes = log.read(from, log.log_end(), max_bytes, true).unwrap();
        from = batches(&bytes).last().unwrap().unwrap().header().next_offset();
        all.extend_from_slice(&bytes);
    }
    all
}

fn segment_path(base: Offset, extension: &str) -> PathBuf {
    Path::new(DIR).join(crate::segment_file_name(base, extension))
}

#[test]
fn a_log_may_move_to_another_thread() {
    fn sendable<T: Send>() {}
    sendable::<Log<OsDisk>>();
    sendable::<FlushHandle<OsDisk>>();
}

#[test]
fn reads_begin_at_the_batch_that_holds_the_offset() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    let (first, second) = (batch(0, 3, 10, b"a"), batch(3, 2, 20, b"b"));
    append(&mut log, &first);
    append(&mut log, &second);
    assert_eq!(log.read(2, 5, 1 << 20, true).unwrap(), [&first[..], &second].concat());
    assert_eq!(log.read(3, 5, 1 << 20, true).unwrap(), second);
    assert_eq!(log.read(0, 5, first.len(), false).unwrap(), first);
    assert_eq!(log.read(0, 4, 1 << 20, true).unwrap(), first, "the end lies inside of the second batch");
    assert_eq!(log.read(0, 5, 10, true).unwrap(), first, "a first batch over the limit is given whole");
    assert!(log.read(0, 5, 10, false).unwrap().is_empty());
    assert!(log.read(5, 5, 1 << 20, true).unwrap().is_empty());
    assert!(matches!(log.read(6, 9, 10, true), Err(LogError::OffsetOutOfRange { offset: 6, log_end: 5, .. })));
}

#[test]
fn only_what_follows_is_appended() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 2);
    let late = batch(1, 1, 0, b"");
    let error = log.append(&late, &BatchHeader::parse(&late).unwrap()).unwrap_err();
    assert!(matches!(error, LogError::OutOfOrder { expected: 2, found: 1 }));
    let short = batch(2, 1, 0, b"");
    let error = log.append(&short[..short.len() - 1], &BatchHeader::parse(&short).unwrap()).unwrap_err();
    assert!(matches!(error, LogError::Batch(_)));
}

#[test]
fn segments_roll_and_every_offset_is_found() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 200);
    assert!(log.segment_base_offsets().len() > 5);
    let check = |log: &Log<SimDisk>| {
        for offset in 0..200 {
            let bytes = log.read(offset, 200, 1, true).unwrap();
            assert_eq!(BatchView::parse(&bytes).unwrap().header().base_offset, offset);
            let found = log.offset_for_timestamp(1000 + offset, 200).unwrap().unwrap();
            assert_eq!((found.offset, found.timestamp), (offset, 1000 + offset));
        }
    };
    check(&log);
    log.close().unwrap();
    check(&open(&disk).0);
}

#[test]
fn segments_roll_by_time() {
    let disk = SimDisk::new();
    let config = LogConfig { segment_ms: Some(50), ..small() };
    let (mut log, _) = Log::open(disk, DIR, config, Opening::of(TOPIC_ID), &mut |_| {}).unwrap();
    for (offset, timestamp) in [(0, 100), (1, 150), (2, 151), (3, 160)] {
        append(&mut log, &batch(offset, 1, timestamp, b""));
    }
    assert_eq!(log.segment_base_offsets(), [0, 2]);
}

#[test]
fn jitter_closes_segments_early_each_at_its_own_time() {
    let records = |segment_jitter_ms| -> Vec<i64> {
        let config = LogConfig { segment_ms: Some(1_000), segment_jitter_ms, segment_bytes: 1 << 20, ..small() };
        let (mut log, _) = Log::open(SimDisk::new(), DIR, config, Opening::of(TOPIC_ID), &mut |_| {}).unwrap();
        for offset in 0..1_000 {
            append(&mut log, &batch(offset, 1, offset * 10, b""));
        }
        log.segment_base_offsets().windows(2).map(|pair| pair[1] - pair[0]).collect()
    };
    let (steady, early) = (records(0), records(900));
    assert_eq!(steady, [101; 9]);
    assert!(early.len() > steady.len() && early.iter().all(|records| (11..=101).contains(records)), "{early:?}");
    assert!(early.windows(2).any(|pair| pair[0] != pair[1]), "{early:?}");
    assert_eq!(early, records(900), "a segment is closed at the same time after every start");
}

#[test]
fn the_files_are_the_ones_that_kafka_writes() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 4);
    append(&mut log, &at_offset(control_batch(ControlType::Abort, 7, 0, 1, 5), 4, 3));
    log.append_aborted(AbortedTxn { producer_id: 7, first_offset: 2, last_offset: 4, last_stable_offset: 5 });
    let batch_len = batch(0, 1, 0, &[b'x'; 100]).len() as u32;
    // More than 300 bytes lie between entries, which is two batches. An offset entry names the batch that it
    // stands before, a time entry the largest timestamp so far.
    let index = disk.read_small(&segment_path(0, "index"), 100).unwrap();
    assert_eq!(index, [2, 2 * batch_len, 4, 4 * batch_len].map(u32::to_be_bytes).concat());
    let time = disk.read_small(&segment_path(0, "timeindex"), 100).unwrap();
    let entry = |timestamp: i64, offset: u32| [&timestamp.to_be_bytes()[..], &offset.to_be_bytes()].concat();
    assert_eq!(time, [entry(1002, 2), entry(1003, 3)].concat());
    let txn = disk.read_small(&segment_path(0, "txnindex"), 100).unwrap();
    let fields: Vec<u8> = [7_i64, 2, 4, 5].iter().flat_map(|field| field.to_be_bytes()).collect();
    assert_eq!(txn, [&[0, 0][..], &fields].concat());
    let epochs = disk.read_small(&Path::new(DIR).join("leader-epoch-checkpoint"), 100).unwrap();
    assert_eq!(epochs, b"0\n2\n0 0\n3 4\n");
    let metadata = disk.read_small(&Path::new(DIR).join("partition.metadata"), 100).unwrap();
    assert_eq!(metadata, b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAASNA\n");
}

#[test]
fn no_time_index_stands_without_an_offset_index() {
    // A segment of one batch has no entry in its offset index, and one in its time index once it is closed.
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    append(&mut log, &batch(0, 1, 77, b"a"));
    log.roll().unwrap();
    let files = || {
        ["index", "timeindex"]
            .map(|extension| disk.read_small(&segment_path(0, extension), 100).ok().map(|bytes| bytes.len()))
    };
    assert_eq!(files(), [Some(0), Some(12)]);
    drop(log);
    disk.remove_file(&segment_path(0, "index")).unwrap();
    drop(open(&disk));
    assert_eq!(files(), [Some(0), Some(12)], "opening makes up for a lost one");
}

#[test]
fn lost_or_damaged_indexes_are_written_again() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 100);
    let bases = log.segment_base_offsets();
    log.close().unwrap();
    let files = |disk: &SimDisk| -> Vec<Vec<u8>> {
        let paths = bases.iter().flat_map(|base| [segment_path(*base, "index"), segment_path(*base, "timeindex")]);
        paths.map(|path| disk.read_small(&path, 1 << 20).unwrap()).collect()
    };
    let before = files(&disk);
    disk.remove_file(&segment_path(0, "index")).unwrap();
    disk.remove_file(&segment_path(bases[1], "timeindex")).unwrap();
    disk.corrupt(&segment_path(bases[1], "index"), |bytes| bytes[5] ^= 0x40).unwrap();
    disk.corrupt(&segment_path(bases[2], "timeindex"), |bytes| bytes.truncate(7)).unwrap();
    disk.open(&Path::new(DIR).join("00000000000000099999.index"), true).unwrap();
    let (log, recovered) = open(&disk);
    assert_eq!(recovered.truncated_bytes, 0);
    assert_eq!(read_all(&log, 700).len() as u64, log.size_bytes(), "a search finds what is damaged");
    assert_eq!(files(&disk), before);
    assert!(!disk.exists(&Path::new(DIR).join("00000000000000099999.index")).unwrap());
    assert_eq!(log.log_end(), 100);
}

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 3);
    let whole = read_all(&log, 1 << 20);
    drop(log);
    disk.kill();
    let last = whole.len() as u64;
    // A batch of which only a part arrived, in the middle of reserved space.
    let torn = batch(3, 1, 9, &[b'y'; 200]);
    disk.corrupt(&segment_path(0, "log"), |bytes| {
        bytes[last as usize..last as usize + 150].copy_from_slice(&torn[..150]);
    })
    .unwrap();
    let (mut log, recovered) = open(&disk);
    assert_eq!((recovered.log_end, recovered.truncated_bytes), (3, 150));
    fill(&mut log, 1);
    assert_eq!(log.log_end(), 4);
    assert!(read_all(&log, 1 << 20).starts_with(&whole));
}

#[test]
fn damage_below_the_last_segment_is_an_error_and_is_left_alone() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 60);
    log.close().unwrap();
    let path = segment_path(0, "log");
    let batch_len = batch(0, 1, 0, &[b'x'; 100]).len();
    let original = disk.read_small(&path, 1 << 20).unwrap();
    // Another magic, an overlong batch, zeros to the end, and a file that ends too soon.
    type Damage<'a> = (u64, &'a dyn Fn(&mut Vec<u8>));
    let damages: [Damage<'_>; 4] = [
        (2, &|bytes| bytes[2 * batch_len + 16] = 9),
        (3, &|bytes| bytes[3 * batch_len + 8] = 0x7f),
        (4, &|bytes| bytes[4 * batch_len..].fill(0)),
        (5, &|bytes| bytes.truncate(5 * batch_len)),
    ];
    for (index, damage) in damages {
        disk.corrupt(&path, damage).unwrap();
        let damaged = disk.read_small(&path, 1 << 20).unwrap();
        match open_error(&disk) {
            LogError::Damaged { path: named, position, .. } => {
                assert_eq!((named, position), (path.clone(), index * batch_len as u64));
            }
            other => panic!("{other}"),
        }
        assert_eq!(disk.read_small(&path, 1 << 20).unwrap(), damaged, "nothing may be cut");
        disk.corrupt(&path, |bytes| bytes.clone_from(&original)).unwrap();
    }
    assert_eq!(open(&disk).1.log_end, 60);
}

#[test]
fn zeros_after_a_sealed_segment_are_reserved_space() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 60);
    log.close().unwrap();
    disk.corrupt(&segment_path(0, "log"), |bytes| bytes.resize(bytes.len() + 700, 0)).unwrap();
    assert_eq!(open(&disk).1.log_end, 60);
}

#[test]
fn a_failed_write_leaves_the_log_as_it_was() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 3);
    let before = read_all(&log, 1 << 20);
    let kind = ErrorKind::StorageFull;
    let fault = |operation, path_suffix: &str| SimFault { operation, path_suffix: path_suffix.into(), after: 0, kind };
    disk.inject(fault(FaultOperation::Allocate, ".log"));
    disk.inject(fault(FaultOperation::Write, ".log"));
    let next = batch(3, 1, 1, &[b'z'; 900]);
    let error = log.append(&next, &BatchHeader::parse(&next).unwrap()).unwrap_err();
    assert!(matches!(&error, LogError::Io { source, .. } if source.kind() == kind), "{error}");
    assert!(!log.is_fenced());
    assert_eq!((log.log_end(), read_all(&log, 1 << 20)), (3, before.clone()));
    fill(&mut log, 1);
    assert!(read_all(&log, 1 << 20).starts_with(&before));

    disk.inject(fault(FaultOperation::Write, ".log"));
    disk.inject(fault(FaultOperation::SetLen, ".log"));
    let next = batch(4, 1, 1, b"z");
    log.append(&next, &BatchHeader::parse(&next).unwrap()).unwrap_err();
    assert!(log.is_fenced());
    assert!(matches!(log.append(&next, &BatchHeader::parse(&next).unwrap()), Err(LogError::Fenced { .. })));
}

#[test]
fn a_failed_sync_while_rolling_fences() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 3);
    let kind = ErrorKind::Other;
    disk.inject(SimFault { operation: FaultOperation::Sync, path_suffix: ".log".into(), after: 0, kind });
    log.roll().unwrap_err();
    assert!(log.is_fenced());
    assert!(matches!(log.flush_handle().err(), Some(LogError::Fenced { .. })));
}

#[test]
fn names_that_a_kill_left_in_memory_are_synced_before_they_are_relied_on() {
    for seed in 0..32 {
        let disk = SimDisk::new();
        let (mut log, _) = open(&disk);
        fill(&mut log, 3);
        let fault = SimFault {
            operation: FaultOperation::SyncDir,
            path_suffix: String::new(),
            after: 0,
            kind: ErrorKind::Other,
        };
        disk.inject(fault);
        log.roll().unwrap_err();
        disk.kill();
        let (mut log, _) = open(&disk);
        assert_eq!(log.segment_base_offsets(), [0, 3], "the new segment is there, in memory");
        fill(&mut log, 1);
        flush(&mut log);
        disk.crash(seed);
        assert_eq!(open(&disk).1.log_end, 4);
    }
}

#[test]
fn timestamps_are_found_within_compressed_batches() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    for (index, codec) in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd].into_iter().enumerate() {
        let offset = index as i64 * 10;
        let plain = batch(offset, 10, 100 * index as i64, b"value");
        let packed = compressed_batch(&BatchView::parse(&plain).unwrap(), codec).unwrap();
        append(&mut log, &packed);
    }
    for index in 0..5 {
        let found = log.offset_for_timestamp(100 * index + 7, 50).unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp), (10 * index + 7, 100 * index + 7));
        let between = log.offset_for_timestamp(100 * index - 5, 50).unwrap().unwrap();
        assert_eq!(between.offset, 10 * index);
    }
    assert_eq!(log.offset_for_timestamp(410, 50).unwrap(), None);
    assert_eq!(log.offset_for_timestamp(407, 47).unwrap(), None, "at the end is not below it");
    assert_eq!(log.max_timestamp_offset(50).unwrap().map(|found| found.offset), Some(49));
    let _ = log.delete_before(3).unwrap();
    assert_eq!(log.offset_for_timestamp(0, 50).unwrap().map(|found| found.offset), Some(3));
}

#[test]
fn retention_takes_whole_old_segments_below_the_high_watermark() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 100);
    let bases = log.segment_base_offsets();
    let count = bases.len();
    assert_eq!(log.retain(i64::MAX, 100).unwrap().segments, 0, "no limit is set");
    log.set_config(LogConfig { retention_ms: Some(50), ..small() });
    assert_eq!(log.retain(i64::MAX, bases[2] - 1).unwrap().segments, 1);
    assert_eq!(log.log_start(), bases[1]);
    // The newest record of segment 1 has the timestamp 1000 + bases[2] - 1.
    assert_eq!(log.retain(1000 + bases[2] - 1 + 50, 100).unwrap().segments, 0);
    assert_eq!(log.retain(1000 + bases[2] - 1 + 51, 100).unwrap().segments, 1);
    log.set_config(LogConfig { retention_bytes: Some(0), ..small() });
    assert_eq!(log.retain(0, 100).unwrap().segments, count - 3, "the active segment stays");
    assert_eq!(log.leader_epochs(), [EpochEntry { epoch: 0, start_offset: log.log_start() }]);
    assert!(matches!(log.read(0, 100, 1, true), Err(LogError::OffsetOutOfRange { .. })));
    let start = log.log_start();
    drop(log);
    disk.crash(1);
    assert_eq!(open(&disk).1.log_start, start);
}

#[test]
fn retention_by_time_takes_the_active_segment_too() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 3);
    log.set_config(LogConfig { retention_ms: Some(100), retention_bytes: Some(1), ..small() });
    assert_eq!(
        log.retain(1102, 3).unwrap().segments,
        0,
        "the newest record is kept for 100 ms, and size never takes the last"
    );
    assert_eq!(log.retain(1103, 2).unwrap().segments, 0, "the last record is not below the high watermark");
    assert_eq!(log.retain(1103, 3).unwrap().segments, 1);
    assert_eq!((log.log_start(), log.log_end(), log.size_bytes()), (3, 3, 0));
    assert_eq!(log.retain(9999, 3).unwrap().segments, 0, "an empty log has nothing to give");
    disk.crash(1);
    let (mut log, recovered) = open(&disk);
    assert_eq!((recovered.log_start, recovered.log_end), (3, 3), "offsets are never given out again");
    fill(&mut log, 1);
    assert_eq!((log.log_start(), log.log_end()), (3, 4));
}

#[test]
fn records_deleted_by_offset_stay_deleted() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 60);
    flush(&mut log);
    let _ = log.delete_before(45).unwrap();
    assert!(log.segment_base_offsets()[0] <= 45 && log.segment_base_offsets()[0] > 0);
    drop(log);
    disk.crash(3);
    let (mut log, recovered) = open(&disk);
    assert_eq!((recovered.log_start, recovered.log_end), (45, 60));
    log.truncate_to(20).unwrap();
    assert_eq!((log.log_start(), log.log_end()), (20, 20));
    fill(&mut log, 1);
    flush(&mut log);
    drop(log);
    disk.crash(4);
    let (_, recovered) = open(&disk);
    assert_eq!((recovered.log_start, recovered.log_end), (20, 21));
}

#[test]
fn epochs_answer_where_they_end() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    for (offset, epoch) in [(0, 1), (1, 1), (2, 4), (3, 6)] {
        append(&mut log, &at_offset(batch(offset, 1, 0, b""), offset, epoch));
    }
    let ends = |log: &Log<SimDisk>| (0..8).map(|epoch| log.epoch_end_offset(epoch)).collect::<Vec<_>>();
    let expected =
        [Some((0, 0)), Some((1, 2)), Some((1, 2)), Some((1, 2)), Some((4, 3)), Some((4, 3)), Some((6, 4)), None];
    assert_eq!(ends(&log), expected);
    log.close().unwrap();
    disk.remove_file(&Path::new(DIR).join("leader-epoch-checkpoint")).unwrap();
    let (mut log, _) = open(&disk);
    assert_eq!(ends(&log), expected, "the batches tell the epochs");
    log.truncate_to(3).unwrap();
    assert_eq!(log.epoch_end_offset(6), None);
    log.record_leader_epoch(9, 3);
    assert_eq!(log.epoch_end_offset(9), Some((9, 3)));
}

#[test]
fn aborted_transactions_are_found_again_from_the_batches() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    let data = |producer_id, offset| {
        let mut builder = BatchBuilder::new(0);
        builder.set_producer(producer_id, 0, 0);
        builder.set_transactional(true);
        builder.push(0, None, Some(&[0; 500]), &[]);
        at_offset(builder.into_bytes_with_crc(), offset, 0)
    };
    let marker = |control, producer_id, offset| at_offset(control_batch(control, producer_id, 0, 0, 0), offset, 0);
    for bytes in [data(1, 0), data(2, 1), data(3, 2), data(1, 3), marker(ControlType::Abort, 2, 4)] {
        append(&mut log, &bytes);
    }
    let second = AbortedTxn { producer_id: 2, first_offset: 1, last_offset: 4, last_stable_offset: 0 };
    log.append_aborted(second);
    for bytes in [data(2, 5), data(2, 6), marker(ControlType::Commit, 3, 7), marker(ControlType::Abort, 1, 8)] {
        append(&mut log, &bytes);
    }
    let first = AbortedTxn { producer_id: 1, first_offset: 0, last_offset: 8, last_stable_offset: 5 };
    log.append_aborted(first);
    append(&mut log, &marker(ControlType::Commit, 2, 9));
    let check = |log: &Log<SimDisk>| {
        assert_eq!(log.aborted_in(0, 10), [first, second]);
        assert_eq!(log.aborted_in(0, 1), [first]);
        assert_eq!(log.aborted_in(5, 10), [first]);
        assert_eq!(log.aborted_in(9, 10), []);
    };
    assert!(log.segment_base_offsets().len() > 1 || log.size_bytes() < 4000);
    check(&log);
    flush(&mut log);
    drop(log);
    disk.crash(11);
    let mut markers = Vec::new();
    let mut visit = |batch: &BatchSummary| markers.extend(batch.control.map(|(control, _)| control));
    let (log, _) = Log::open(disk, DIR, small(), Opening::of(TOPIC_ID), &mut visit).unwrap();
    check(&log);
    use ControlType::{Abort, Commit};
    assert_eq!(markers, [Abort, Commit, Abort, Commit]);
}

#[test]
fn a_real_file_system_holds_a_log_too() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("orders-0");
    let reopen = || Log::open(OsDisk, &dir, small(), Opening::of(TOPIC_ID), &mut |_| {}).unwrap();
    let (mut log, _) = reopen();
    fill(&mut log, 50);
    flush(&mut log);
    let all = read_all(&log, 1000);
    // Not closed: reserved space stays behind, as after a kill.
    drop(log);
    let (mut log, recovered) = reopen();
    assert_eq!((recovered.log_end, recovered.truncated_bytes), (50, 0));
    assert_eq!(read_all(&log, 1 << 20), all);
    log.truncate_to(7).unwrap();
    fill(&mut log, 1);
    log.close().unwrap();
    let (log, _) = reopen();
    assert_eq!(log.log_end(), 8);
    let error = Log::open(OsDisk, &dir, small(), Opening::of(99), &mut |_| {}).unwrap_err();
    assert!(matches!(error, LogError::WrongTopicId { expected: 99, found: TOPIC_ID, .. }));
}

proptest! {
    #[test]
    fn random_bytes_as_a_segment_never_panic(
        garbage in vec_of(any::<u8>(), 0..600),
        flips in vec_of((any::<prop::sample::Index>(), any::<u8>()), 0..5),
        keep in 0_usize..5,
    ) {
        let disk = SimDisk::new();
        let (mut log, _) = open(&disk);
        fill(&mut log, 5);
        let valid = read_all(&log, 1 << 20);
        drop(log);
        let kept = valid.len() * keep / 4;
        disk.corrupt(&segment_path(0, "log"), |bytes| {
            bytes.clear();
            bytes.extend_from_slice(&valid[..kept.min(valid.len())]);
            bytes.extend_from_slice(&garbage);
            for (index, byte) in &flips {
                if !bytes.is_empty() {
                    let at = index.index(bytes.len());
                    bytes[at] = *byte;
                }
            }
        }).unwrap();
        let (mut log, recovered) = open(&disk);
        prop_assert!(valid.starts_with(&read_all(&log, 1 << 20)) || !flips.is_empty());
        prop_assert!(recovered.log_end <= 5 || !flips.is_empty());
        fill(&mut log, 2);
        let _ = log.offset_for_timestamp(0, i64::MAX).unwrap();
        drop(log);
        disk.corrupt(&segment_path(0, "log"), |bytes| bytes.clone_from(&garbage)).unwrap();
        // With what is promised of the bytes that were there it is damage; without, it may be torn from its start.
        let damaged = recovered.log_end == 0 || matches!(open_error(&disk), LogError::Damaged { .. });
        prop_assert!(damaged);
        let _ = disk.remove_file(&segment_path(0, "digest"));
        open(&disk);
    }
}
