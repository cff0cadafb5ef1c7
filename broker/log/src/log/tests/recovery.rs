//! What an open reads, and what it makes of files that are missing, torn or damaged.

use super::*;
use crate::snapshot::{ProducerBatch, ProducerEntry};

/// A batch of one record of `producer_id`, its sequence the offset.
fn produced(offset: Offset, producer_id: i64, transactional: bool) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1000 + offset);
    builder.set_producer(producer_id, 0, offset as i32);
    builder.set_transactional(transactional);
    builder.push(1000 + offset, Some(b"key"), Some(&[b'p'; 100]), &[]);
    at_offset(builder.into_bytes_with_crc(), offset, 0)
}

fn entry(producer_id: i64, last_offset: Offset, open_since: Option<Offset>) -> ProducerEntry {
    let last_sequence = last_offset as i32;
    let batch = ProducerBatch { last_sequence, last_offset, offset_delta: 0, timestamp: 1000 + last_offset };
    ProducerEntry {
        producer_id,
        producer_epoch: 0,
        coordinator_epoch: None,
        last_timestamp: 1000 + last_offset,
        open_since,
        batches: vec![batch],
    }
}

fn opened(disk: &SimDisk, opening: Opening) -> Result<(Log<SimDisk>, Recovered, Vec<Offset>), LogError> {
    let mut visited = Vec::new();
    let mut visit = |batch: &BatchSummary| visited.push(batch.header.base_offset);
    let (log, recovered) = Log::open(disk.clone(), DIR, small(), opening, &mut visit)?;
    Ok((log, recovered, visited))
}

fn reads_of_segments(disk: &SimDisk, log: &Log<SimDisk>) -> Vec<(Offset, (u64, u64))> {
    let bases = log.segment_base_offsets().into_iter();
    bases.filter_map(|base| Some((base, disk.reads_of(&segment_path(base, "log"))?))).collect()
}

/// A log of several segments with a producer, closed well, with the snapshot of its end.
fn closed_well(disk: &SimDisk) -> Vec<Offset> {
    let (mut log, _) = open(disk);
    for offset in 0..60 {
        append(&mut log, &produced(offset, 7, false));
        if log.wants_snapshot() {
            log.write_snapshot(&[entry(7, offset, None)]).unwrap();
        }
    }
    let bases = log.segment_base_offsets();
    assert!(bases.len() > 2);
    log.write_snapshot(&[entry(7, 59, None)]).unwrap();
    log.close().unwrap();
    disk.kill();
    bases
}

fn clean(recovery_point: Offset) -> Opening {
    Opening { clean: true, recovery_point: Some(recovery_point), ..Opening::of(TOPIC_ID) }
}

#[test]
fn after_a_clean_stop_no_byte_of_a_segment_is_read() {
    for opening in [clean(60), Opening::of(TOPIC_ID)] {
        let disk = SimDisk::new();
        closed_well(&disk);
        disk.forget_reads();
        let synced = disk.synced_files();
        let (log, recovered, visited) = opened(&disk, opening).unwrap();
        assert_eq!(reads_of_segments(&disk, &log), []);
        assert_eq!(disk.synced_files(), synced);
        assert_eq!((recovered.log_end, recovered.visited_from, visited.len()), (60, 60, 0));
        assert_eq!(recovered.producers, [entry(7, 59, None)]);
        assert!(!log.wants_snapshot());
        assert_eq!(log.leader_epochs(), [EpochEntry { epoch: 0, start_offset: 0 }]);
        assert_eq!(log.offset_for_timestamp(1030, 60).unwrap().map(|found| found.offset), Some(30));
    }
}

#[test]
fn after_a_crash_only_what_lies_behind_the_last_sync_is_read() {
    let disk = SimDisk::new();
    closed_well(&disk);
    let (mut log, _) = open(&disk);
    let begun = log.size_bytes();
    fill(&mut log, 2);
    flush(&mut log);
    let active = *log.segment_base_offsets().last().unwrap();
    let synced_at = disk.read_small(&segment_path(active, "log"), 1 << 20).unwrap();
    let len = |disk: &SimDisk| open(disk).0.segments.last().unwrap().len;
    let _ = (begun, synced_at);
    let promised = log.segments.last().unwrap().len;
    fill(&mut log, 1);
    drop(log);
    disk.kill();
    disk.forget_reads();
    let (log, recovered, visited) = opened(&disk, Opening::of(TOPIC_ID)).unwrap();
    assert_eq!((recovered.log_end, recovered.truncated_bytes), (63, 0));
    // The producers are those of the last snapshot, at 60, so the headers from there on are shown too.
    assert_eq!((recovered.visited_from, visited), (60, vec![60, 61, 62]));
    let reads = reads_of_segments(&disk, &log);
    assert_eq!(reads.len(), 1, "{reads:?}");
    assert_eq!(reads[0].0, active);
    drop(log);
    // With a checkpoint in between, nothing before it is read.
    let (mut log, _) = open(&disk);
    let handle = log.checkpoint(&[entry(7, 59, None)]).unwrap().unwrap();
    assert_eq!((handle.recovery_point, handle.log_start), (63, 0));
    let snapshot = handle.sync().unwrap();
    log.mark_checkpointed(snapshot);
    assert!(log.checkpoint(&[]).unwrap().is_none(), "nothing was appended since");
    let from = log.segments.last().unwrap().len;
    assert!(from > promised);
    fill(&mut log, 1);
    drop(log);
    disk.kill();
    disk.forget_reads();
    let (log, recovered, visited) = opened(&disk, Opening::of(TOPIC_ID)).unwrap();
    assert_eq!((recovered.visited_from, visited), (63, vec![63]));
    let reads = reads_of_segments(&disk, &log);
    assert_eq!(reads.iter().map(|(base, (_, first))| (*base, *first)).collect::<Vec<_>>(), [(active, from)]);
    drop(log);
    assert_eq!(len(&disk), disk.read_small(&segment_path(active, "log"), 1 << 20).unwrap().len() as u64);
}

#[test]
fn what_was_synced_is_never_cut() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 4);
    flush(&mut log);
    let promised = log.segments[0].len;
    fill(&mut log, 2);
    let batch_len = (log.segments[0].len - promised) / 2;
    drop(log);
    disk.kill();
    let path = segment_path(0, "log");
    let original = disk.read_small(&path, 1 << 20).unwrap();
    // Behind the promise a flipped bit may be a torn write: it cuts the log there.
    disk.corrupt(&path, |bytes| bytes[(promised + batch_len) as usize + 70] ^= 1).unwrap();
    assert_eq!(open(&disk).1.log_end, 5);
    // A file that ends below it has lost what was acknowledged.
    disk.corrupt(&path, |bytes| bytes.clone_from(&original)).unwrap();
    disk.corrupt(&path, |bytes| bytes.truncate(promised as usize - 1)).unwrap();
    let error = open_error(&disk);
    assert!(
        matches!(&error, LogError::Damaged { path: named, position, .. }
        if *named == path && *position == promised - 1),
        "{error}"
    );
    // Without the digest the recovery point says the same; without either, everything may have been torn.
    disk.corrupt(&path, |bytes| bytes.clone_from(&original)).unwrap();
    disk.corrupt(&path, |bytes| bytes[(promised - batch_len) as usize + 70] ^= 1).unwrap();
    disk.remove_file(&segment_path(0, "digest")).unwrap();
    let told = Opening { recovery_point: Some(3), ..Opening::of(TOPIC_ID) };
    assert_eq!(opened(&disk, told).unwrap().1.log_end, 3, "it is cut at the recovery point, not below it");
    disk.remove_file(&segment_path(0, "digest")).unwrap();
    disk.corrupt(&path, |bytes| bytes[16] = 9).unwrap();
    let error = opened(&disk, told).unwrap_err();
    assert!(matches!(&error, LogError::Damaged { position: 0, .. }), "{error}");
    assert_eq!(opened(&disk, Opening::of(TOPIC_ID)).unwrap().1.log_end, 0);
}

#[test]
fn after_a_clean_stop_nothing_is_cut_and_no_segment_may_be_missing() {
    let disk = SimDisk::new();
    let bases = closed_well(&disk);
    let last = *bases.last().unwrap();
    disk.corrupt(&segment_path(last, "log"), |bytes| bytes.extend_from_slice(b"junk")).unwrap();
    assert!(matches!(opened(&disk, clean(60)).unwrap_err(), LogError::Damaged { .. }));
    for extension in ["log", "index", "timeindex", "digest"] {
        let _ = disk.remove_file(&segment_path(last, extension));
    }
    let error = opened(&disk, clean(60)).unwrap_err();
    assert!(matches!(&error, LogError::Damaged { .. }), "{error}");
}

/// Every file that is not a segment, missing, cut short, or with one bit flipped: the log and its answers are the same.
#[test]
fn every_file_beside_the_segments_may_be_lost_or_damaged() {
    let whole = SimDisk::new();
    closed_well(&whole);
    let (log, _, _) = opened(&whole, clean(60)).unwrap();
    let all = read_all(&log, 1 << 20);
    drop(log);
    let names = whole.list(Path::new(DIR)).unwrap();
    let beside = names.iter().filter(|name| !name.ends_with(".log") && *name != "partition.metadata");
    for name in beside {
        let path = Path::new(DIR).join(name);
        let len = whole.read_small(&path, 1 << 20).unwrap().len();
        let flips = (0..len * 8).step_by(7).map(Some).chain([None]);
        for flip in flips {
            for cut in [false, true] {
                let disk = SimDisk::new();
                closed_well(&disk);
                match flip {
                    None if cut => disk.remove_file(&path).unwrap(),
                    None => disk.corrupt(&path, Vec::clear).unwrap(),
                    Some(bit) if cut => disk.corrupt(&path, |bytes| bytes.truncate(bit / 8)).unwrap(),
                    Some(bit) => disk.corrupt(&path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8)).unwrap(),
                }
                // Epochs whose text is another number are the one file without a check of its own.
                let told = name != "leader-epoch-checkpoint";
                let (log, recovered, visited) = opened(&disk, Opening::of(TOPIC_ID)).unwrap();
                assert_eq!(recovered.log_end, 60, "{name} {flip:?} {cut}");
                assert!(read_all(&log, 1 << 20) == all, "{name} {flip:?} {cut}");
                for offset in [0, 17, 33, 59] {
                    let found = log.offset_for_timestamp(1000 + offset, 60).unwrap().map(|found| found.offset);
                    assert_eq!(found, Some(offset), "{name} {flip:?} {cut}");
                }
                let known = recovered.visited_from == 60 && recovered.producers == [entry(7, 59, None)];
                assert!(known || visited.contains(&59), "{name} {flip:?} {cut}");
                if told {
                    assert_eq!(log.leader_epochs(), [EpochEntry { epoch: 0, start_offset: 0 }]);
                }
            }
        }
    }
}

#[test]
fn open_transactions_go_on_from_the_snapshot() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    append(&mut log, &produced(0, 7, true));
    append(&mut log, &produced(1, 8, true));
    log.roll().unwrap();
    log.write_snapshot(&[entry(7, 0, Some(0)), entry(8, 1, Some(1))]).unwrap();
    append(&mut log, &produced(2, 7, true));
    flush(&mut log);
    let marker = |producer_id, offset| at_offset(control_batch(ControlType::Abort, producer_id, 0, 0, 0), offset, 0);
    append(&mut log, &marker(7, 3));
    drop(log);
    disk.kill();
    disk.forget_reads();
    let (mut log, recovered, visited) = opened(&disk, Opening::of(TOPIC_ID)).unwrap();
    assert_eq!((recovered.visited_from, visited), (2, vec![2, 3]));
    assert_eq!(recovered.producers, [entry(7, 0, Some(0)), entry(8, 1, Some(1))]);
    let aborted = AbortedTxn { producer_id: 7, first_offset: 0, last_offset: 3, last_stable_offset: 1 };
    assert_eq!(log.aborted_in(0, 9), [aborted]);
    assert_eq!(disk.reads_of(&segment_path(0, "log")), None);
    append(&mut log, &marker(8, 4));
    let second = AbortedTxn { producer_id: 8, first_offset: 1, last_offset: 4, last_stable_offset: 5 };
    log.append_aborted(second);
    log.close().unwrap();
    // A lost index of aborted transactions is not taken for one that is empty.
    disk.remove_file(&segment_path(2, "txnindex")).unwrap();
    let (log, _, _) = opened(&disk, clean(5)).unwrap();
    assert_eq!(log.aborted_in(0, 9), [aborted, second]);
}

#[test]
fn the_last_two_snapshots_are_kept_and_the_one_that_is_safe() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    let take = |log: &mut Log<SimDisk>| {
        fill(log, 1);
        log.write_snapshot(&[]).unwrap();
    };
    let names = || -> Vec<String> {
        let names = disk.list(Path::new(DIR)).unwrap();
        names
            .into_iter()
            .filter_map(|name| name.strip_suffix(".snapshot").map(|n| n.trim_start_matches('0').to_owned()))
            .collect()
    };
    take(&mut log);
    let handle = log.checkpoint(&[]).unwrap().unwrap();
    log.mark_checkpointed(handle.sync().unwrap());
    (0..3).for_each(|_| take(&mut log));
    assert_eq!(names(), ["1", "3", "4"]);
    log.truncate_to(3).unwrap();
    assert_eq!(names(), ["1", "3"], "what was cut away is known of no producer");
    log.reset_to(9).unwrap();
    assert!(names().is_empty());
}

#[test]
fn a_truncation_takes_its_promise_back() {
    for seed in 0..64 {
        let disk = SimDisk::new();
        let (mut log, _) = open(&disk);
        fill(&mut log, 45);
        flush(&mut log);
        log.truncate_to(20).unwrap();
        let (rp, end) = (Opening { recovery_point: Some(45), ..Opening::of(TOPIC_ID) }, log.log_end());
        drop(log);
        disk.crash(seed);
        let (mut log, recovered, _) = opened(&disk, rp).unwrap();
        assert_eq!(recovered.log_end, end);
        fill(&mut log, 1);
        assert_eq!(log.log_end(), end + 1);
    }
}
