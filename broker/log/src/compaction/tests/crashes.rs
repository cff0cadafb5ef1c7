//! A compaction that fails at each of its calls to the medium, and a power cut right after: the log that is opened
//! then has the old segments or the new ones, whole, and so has one whose opening is cut off too.

use super::*;
use crate::disk::{FaultOperation, SimFault};
use std::io::ErrorKind;
use std::ops::Range;

/// The content of each segment file, by its first offset.
type Segments = BTreeMap<Offset, Vec<u8>>;

/// A log that was compacted once, and is dirty again; gives its checkpoint too.
fn history() -> (Fixture, Option<Offset>) {
    let mut fixture = Fixture::new();
    append(&mut fixture, 0..8);
    let checkpoint = fixture.compact(None, ROOMY).unwrap();
    append(&mut fixture, 8..16);
    // Whatever a crash may do to the last segment is not what is tested here.
    fixture.log.roll().unwrap();
    (fixture, checkpoint)
}

fn append(fixture: &mut Fixture, rounds: Range<usize>) {
    for round in rounds {
        let value = format!("value-{round}");
        let key = format!("shared-{}", round % 3);
        fixture.put(-1, false, Codec::None, &[(Some("a"), Some(&value)), (Some(&key), Some(&value))]);
        fixture.put(3, true, Codec::Lz4, &[(Some("b"), Some(&value)), (Some(&key), None)]);
        fixture.end_txn(3, if round % 3 == 1 { ControlType::Abort } else { ControlType::Commit });
    }
}

fn segments(log: &Log<SimDisk>) -> Segments {
    let mut found = Segments::new();
    let bases = log.segment_base_offsets();
    for batch in batches_of(log) {
        let header = BatchHeader::parse(&batch).unwrap();
        let base = bases.iter().rfind(|base| **base <= header.base_offset).unwrap();
        found.entry(*base).or_default().extend_from_slice(&batch);
    }
    found
}

/// Whether what is in `range` is the same in both.
fn same(left: &Segments, right: &Segments, range: Range<Offset>) -> bool {
    left.range(range.clone()).eq(right.range(range))
}

fn check_old_or_new(found: &Segments, old: &Segments, new: &Segments, end: Offset) {
    let mut starts: Vec<Offset> = new.keys().copied().filter(|base| *base < end).collect();
    starts.push(end);
    let mut replaced = Vec::new();
    for range in starts.windows(2).map(|pair| pair[0]..pair[1]) {
        let (is_old, is_new) = (same(found, old, range.clone()), same(found, new, range.clone()));
        assert!(is_old || is_new, "the segments of {range:?} are neither the old ones nor the new one");
        if !(is_old && is_new) {
            replaced.push(is_new);
        }
    }
    assert!(replaced.is_sorted_by(|earlier, later| earlier >= later), "the oldest are replaced first: {replaced:?}");
}

/// Lets one call fail. `false` when the compaction makes no such call any more.
fn crash_at(operation: FaultOperation, after: u32, seed: u64, old: &Segments, new: &Segments) -> bool {
    let (mut fixture, checkpoint) = history();
    let end = fixture.log.segment_base_offsets().last().copied().unwrap();
    fixture.disk.inject(SimFault { operation, path_suffix: String::new(), after, kind: ErrorKind::Other });
    if fixture.compact(checkpoint, ROOMY).is_ok() {
        return false;
    }
    fixture.disk.crash(seed);
    // The first opening may be cut off as well.
    let kind = ErrorKind::Other;
    let fault =
        SimFault { operation: FaultOperation::SyncDir, path_suffix: String::new(), after: seed as u32 % 4, kind };
    fixture.disk.inject(fault);
    drop(open(&fixture.disk, true));
    fixture.disk.crash(seed + 1);
    fixture.log = open(&fixture.disk, false).unwrap();
    let found = segments(&fixture.log);
    check_old_or_new(&found, old, new, end);
    let committed: Vec<Seen> =
        fixture.appended.iter().filter(|record| !fixture.aborted_offsets.contains(&record.offset)).cloned().collect();
    assert_eq!(fold(&committed_records(&fixture.log)), fold(&committed));
    let left = file_names(&fixture.disk);
    let unfinished = |name: &String| [".cleaned", ".swap", ".deleted", ".tmp"].iter().any(|end| name.ends_with(end));
    assert!(!left.iter().any(unfinished), "{left:?}");
    fixture.compact_all(ROOMY);
    assert_eq!(fold(&committed_records(&fixture.log)), fold(&committed));
    true
}

#[test]
fn a_crash_at_every_write_of_a_compaction_leaves_the_old_or_the_new_log() {
    let (mut fixture, checkpoint) = history();
    let old = segments(&fixture.log);
    fixture.compact(checkpoint, ROOMY).unwrap();
    let new = segments(&fixture.log);
    assert!(new.len() > 2 && new.len() < old.len(), "several segments become several: {} {}", old.len(), new.len());
    let mut crashes = 0;
    use FaultOperation::{Create, SetLen, Sync, SyncDir, Write};
    for operation in [Create, Write, SetLen, Sync, SyncDir] {
        let mut after = 0;
        while (0..4).all(|seed| crash_at(operation, after, seed * 7, &old, &new)) {
            (after, crashes) = (after + 1, crashes + 4);
        }
        assert!(after > 0, "a compaction makes such calls: {operation:?}");
    }
    assert!(crashes > 100, "{crashes}");
}

#[test]
fn a_kill_between_two_steps_is_finished_or_undone_when_the_log_is_opened() {
    for after in 0..9 {
        let (mut fixture, checkpoint) = history();
        let before = fold(&committed_records(&fixture.log));
        let kind = ErrorKind::Other;
        fixture.disk.inject(SimFault { operation: FaultOperation::SyncDir, path_suffix: String::new(), after, kind });
        let _ = fixture.compact(checkpoint, ROOMY);
        fixture.reopen(false);
        assert_eq!(fold(&committed_records(&fixture.log)), before);
    }
}
