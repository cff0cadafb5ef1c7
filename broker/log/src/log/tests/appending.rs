//! A batch goes in with the header that it is given, uncopied, and a full disk is told from a broken one.

use super::*;
use crate::disk::{DiskFile, OsDisk};
use std::io::IoSlice;

#[test]
fn the_header_that_is_given_replaces_the_one_that_came() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    let sent = batch(0, 3, 7, b"value");
    let before = sent.clone();
    for base_offset in [0, 3] {
        let mut header = BatchHeader::parse(&sent).unwrap();
        (header.base_offset, header.partition_leader_epoch) = (base_offset, 4);
        log.append(&sent, &header).unwrap();
    }
    assert_eq!(sent, before);
    let stored = read_all(&log, 1 << 20);
    let expected = [at_offset(sent.clone(), 0, 4), at_offset(sent, 3, 4)].concat();
    assert_eq!(stored, expected);
    drop(log);
    assert_eq!(open(&disk).1.log_end, 6);
}

#[test]
fn a_header_of_another_length_is_refused() {
    let (mut log, _) = open(&SimDisk::new());
    let bytes = batch(0, 1, 1, b"value");
    let header = BatchHeader::parse(&bytes).unwrap();
    assert!(log.append(&bytes[..bytes.len() - 1], &header).is_err());
    assert!(log.append(&bytes[..20], &BatchHeader { batch_length: 8, ..header }).is_err());
    assert_eq!(log.log_end(), 0);
}

#[test]
fn a_full_disk_is_told_from_a_broken_one() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    let next = batch(0, 1, 1, b"z");
    let kinds = [(ErrorKind::StorageFull, true), (ErrorKind::QuotaExceeded, true), (ErrorKind::Other, false)];
    for (kind, full) in kinds {
        disk.inject(SimFault { operation: FaultOperation::Write, path_suffix: ".log".into(), after: 0, kind });
        let error = log.append(&next, &BatchHeader::parse(&next).unwrap()).unwrap_err();
        assert_eq!((error.is_out_of_space(), log.is_fenced(), log.log_end()), (full, false, 0), "{error}");
    }
    // A successor that cannot be made for want of room leaves the log as it was, too.
    fill(&mut log, 3);
    disk.inject(SimFault {
        operation: FaultOperation::Create,
        path_suffix: ".log".into(),
        after: 0,
        kind: ErrorKind::StorageFull,
    });
    let error = loop {
        let base = log.log_end();
        let next = batch(base, 1, 1, &[b'x'; 900]);
        if let Err(error) = log.append(&next, &BatchHeader::parse(&next).unwrap()) {
            break error;
        }
    };
    assert!(error.is_out_of_space() && !log.is_fenced(), "{error}");
    let end = log.log_end();
    fill(&mut log, 1);
    assert_eq!(log.log_end(), end + 1);
}

#[test]
fn parts_are_written_one_behind_the_other() {
    let temporary = tempfile::tempdir().unwrap();
    let file = OsDisk.open(&temporary.path().join("f"), true).unwrap();
    file.write_at(b"0123456789", 0).unwrap();
    file.write_vectored_at(&mut [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")], 3).unwrap();
    file.write_vectored_at(&mut [IoSlice::new(b"")], 0).unwrap();
    file.write_vectored_at(&mut [], 0).unwrap();
    let mut bytes = [0; 10];
    file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"012abcde89");
}

#[test]
fn as_a_segment_fills_up_a_flush_is_due_now_and_then() {
    let (mut log, _) = open(&SimDisk::default());
    let (mut due, mut synced) = (Vec::new(), 0);
    while log.segment_base_offsets().len() == 1 {
        let next = batch(log.log_end(), 1, 1, b"");
        append(&mut log, &next);
        if log.segment_base_offsets().len() > 1 {
            break;
        }
        if log.take_flush_is_due() {
            assert!(!log.take_flush_is_due(), "it is said once");
            due.push(log.size_bytes());
            flush(&mut log);
            synced = log.size_bytes();
        }
    }
    let full = due.last().copied().unwrap();
    assert!((2..=12).contains(&due.len()), "{due:?}");
    assert!(due[0] >= 3_000, "while there is much room nothing is due: {due:?}");
    assert!(synced == full && full > 3_750, "at most a sixteenth is left for the roll: {due:?}");
}
