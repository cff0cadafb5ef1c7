//! Seeded runs on a medium that refuses (ENOSPC, EIO on write, sync and read) and on one that lies (lost, misdirected
//! and damaged writes). What refuses is an error and costs nothing that was acknowledged; what lies is found, or does
//! not matter, and never becomes another record.

use crate::ledger::Ledger;
use crate::partition::{Change, Partition, Restart, open, read_all};
use pelton_log::compaction::CompactionError;
use pelton_log::disk::{Dice, FaultOperation, Misdeed, SimFault, SimLie};
use pelton_log::{Log, LogError, SimDisk};
use std::io::ErrorKind;

const REFUSING_SEEDS: u64 = 250;
const LYING_SEEDS: u64 = 1_500;
const CHANGES: u64 = 60;
/// A fault happens once, so an open that goes on failing fails for another reason.
const MAX_OPENS: usize = 5;

fn change(dice: &mut Dice, compact: bool) -> Change {
    match dice.below(40) {
        0..24 => Change::Append {
            count: 1 + dice.below(5) as u8,
            value_bytes: dice.below(400) as usize,
            codec: dice.below(5) as u8,
        },
        24..31 => Change::Flush,
        31 => Change::Roll,
        32 => Change::Truncate(700 + dice.below(300) as u16),
        33 => Change::DeleteBefore(dice.below(400) as u16),
        34 => Change::Retain(6_000 + dice.below(6_000)),
        35..37 if compact => Change::Compact,
        _ => Change::Checkpoint,
    }
}

fn fault(dice: &mut Dice) -> SimFault {
    use FaultOperation::{Allocate, Create, Read, SetLen, Sync, SyncDir, Write};
    let operations = [Write, Write, Sync, Sync, Read, Allocate, SetLen, SyncDir, Create];
    let operation = operations[dice.index(operations.len())];
    let kinds = [ErrorKind::StorageFull, ErrorKind::Other];
    let kind = if matches!(operation, Read | Sync) { ErrorKind::Other } else { kinds[dice.index(2)] };
    let suffixes = ["", ".log", ".digest"];
    let path_suffix = suffixes[dice.index(3)].to_owned();
    SimFault { operation, path_suffix, after: dice.below(12) as u32, kind }
}

/// Opens the log, however often the medium refuses to; it may say nothing worse than that.
fn open_at_last(disk: &SimDisk, compact: bool) -> Log<SimDisk> {
    for _ in 0..MAX_OPENS {
        match open(disk, compact, false) {
            Ok(log) => return log,
            Err(LogError::Io { .. }) => {}
            Err(error) => panic!("a refusal became {error}"),
        }
    }
    panic!("the log cannot be opened")
}

/// Says how many changes were refused.
fn refusing_run(seed: u64) -> u32 {
    let mut dice = Dice::new(seed);
    let compact = seed % 2 == 1;
    let mut partition = Partition::new(compact);
    let mut refused = 0;
    for _ in 0..CHANGES {
        if dice.below(5) == 0 {
            partition.disk.inject(fault(&mut dice));
        }
        let change = change(&mut dice, compact);
        let before = partition.ledger.clone();
        let Err(error) = partition.apply(&change) else { continue };
        refused += 1;
        let CompactionError::Log(LogError::Io { .. }) = &error else { panic!("{change:?}: {error}") };
        let fenced = partition.log().is_fenced();
        if matches!(change, Change::Append { .. } | Change::Checkpoint) && !fenced {
            // The log is as it was, and goes on.
            assert_eq!(partition.log().log_end(), before.end, "{change:?}");
            continue;
        }
        // Which of the names and bytes arrived nobody knows; what was acknowledged stays.
        let Ledger { start, end, acknowledged, .. } = before;
        let latest_start = match change {
            Change::DeleteBefore(permille) => partition.offset_at(permille),
            Change::Retain(_) => acknowledged.max(start),
            _ => start,
        };
        assert_eq!(partition.ledger.end, end, "what failed is not appended");
        partition.stop(&Restart::Crash(dice.roll()));
        if dice.below(2) == 0 {
            partition.disk.inject(fault(&mut dice));
        }
        let log = open_at_last(&partition.disk, compact);
        // What is left of the fault would hit the reads of the check.
        drop(log);
        partition.disk.kill();
        let log = open_at_last(&partition.disk, compact);
        partition.resume(log, start..=latest_start);
    }
    partition.stop(&Restart::CutPower);
    let log = open_at_last(&partition.disk, compact);
    let start = partition.ledger.start;
    partition.resume(log, start..=start);
    refused
}

#[test]
fn a_refusing_medium_costs_nothing_that_was_acknowledged() {
    let refused: u32 = (0..REFUSING_SEEDS)
        .map(|seed| {
            let run = std::panic::catch_unwind(|| refusing_run(seed));
            run.unwrap_or_else(|_| panic!("seed {seed} of the refusing medium; the reason is above"))
        })
        .sum();
    assert!(u64::from(refused) > 2 * REFUSING_SEEDS, "{refused} refusals are too few");
}

/// Says whether the lie was found out.
fn lying_run(seed: u64) -> bool {
    let mut dice = Dice::new(seed);
    let mut partition = Partition::new(false);
    let after = dice.below(60) as u32;
    let what = match dice.below(3) {
        0 => Misdeed::Lose,
        1 => Misdeed::Misdirect(dice.below(3_000)),
        _ => Misdeed::Flip(dice.roll()),
    };
    let suffix = [".log", ".digest", "index", ".snapshot"][dice.index(4)];
    partition.disk.deceive(SimLie { what, path_suffix: suffix.to_owned(), after });
    for _ in 0..CHANGES {
        let change = match dice.below(12) {
            0..8 => Change::Append { count: 1 + dice.below(3) as u8, value_bytes: dice.below(300) as usize, codec: 0 },
            8..11 => Change::Flush,
            _ => Change::Checkpoint,
        };
        if partition.apply(&change).is_err() {
            return true;
        }
    }
    partition.disk.kill();
    partition.log = None;
    let Ok(log) = open(&partition.disk, false, false) else { return true };
    let acknowledged = partition.ledger.acknowledged;
    assert!(log.log_end() >= acknowledged, "{what:?} of {suffix}: cut to {}, below {acknowledged}", log.log_end());
    match read_all(&log) {
        Ok(found) => {
            for bytes in &found {
                let written = partition.ledger.batches.iter().any(|batch| batch.bytes == *bytes);
                assert!(written, "{what:?} of {suffix}: a batch is served that was never written");
            }
            false
        }
        Err(_) => true,
    }
}

#[test]
fn a_lying_medium_is_found_out_or_does_not_matter() {
    let mut found_out = 0;
    for seed in 0..LYING_SEEDS {
        let run = std::panic::catch_unwind(|| lying_run(seed));
        found_out += u64::from(run.unwrap_or_else(|_| panic!("seed {seed} of the lying medium; the reason is above")));
    }
    assert!(found_out > LYING_SEEDS / 20, "{found_out} lies were found out");
}

#[test]
fn a_failed_sync_is_not_made_good_by_a_later_one() {
    let mut partition = Partition::new(false);
    let append = Change::Append { count: 2, value_bytes: 100, codec: 0 };
    partition.apply(&append).unwrap();
    partition.apply(&Change::Flush).unwrap();
    let acknowledged = partition.ledger.acknowledged;
    partition.apply(&append).unwrap();
    let path_suffix = ".log".to_owned();
    partition.disk.inject(SimFault { operation: FaultOperation::Sync, path_suffix, after: 0, kind: ErrorKind::Other });
    let handle = partition.log().flush_handle().unwrap();
    assert!(handle.sync().is_err());
    // The kernel has taken the pages for clean: whoever tried again would be told that all is well.
    assert!(handle.sync().is_ok());
    partition.log().fence();
    assert!(matches!(partition.log().flush_handle(), Err(LogError::Fenced { .. })), "nobody tries again");
    partition.stop(&Restart::CutPower);
    let log = open_at_last(&partition.disk, false);
    assert_eq!(log.log_end(), acknowledged, "what the failed sync covered is not there");
}
