//! One bit of one file of a log turned over, many times: what is served is what was written, or its CRC tells, or the
//! log says what is damaged. Nothing that was acknowledged is silently gone.

use crate::ledger::{Ledger, same_under_crc};
use crate::partition::{Change, DIR, Partition, Restart, open, read_all};
use pelton_log::{Disk, LogError, SimDisk};
use pelton_record::batches;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FLIPS: u64 = 10_000;

/// A log with every kind of file that a partition has.
fn template(restart: &Restart) -> (SimDisk, Ledger) {
    let mut partition = Partition::new(false);
    for round in 0..40_u16 {
        partition.apply(&Change::Append { count: 1 + (round % 3) as u8, value_bytes: 90, codec: 0 }).unwrap();
        partition.apply(&Change::Flush).unwrap();
        match round {
            12 => partition.apply(&Change::Roll).unwrap(),
            38 => partition.apply(&Change::DeleteBefore(20)).unwrap(),
            20 | 30 => partition.apply(&Change::Checkpoint).unwrap(),
            25 => partition.log().append_aborted(pelton_log::AbortedTxn {
                producer_id: 5,
                first_offset: 40,
                last_offset: 45,
                last_stable_offset: 46,
            }),
            _ => {}
        }
    }
    partition.stop(restart);
    (partition.disk.copy(), partition.ledger)
}

/// The files of the log by their kind, with their lengths in bits.
fn files(disk: &SimDisk) -> BTreeMap<String, Vec<(PathBuf, u64)>> {
    let mut kinds: BTreeMap<String, Vec<(PathBuf, u64)>> = BTreeMap::new();
    for name in disk.list(Path::new(DIR)).unwrap() {
        let path = Path::new(DIR).join(&name);
        let bits = 8 * disk.read_small(&path, 1 << 20).unwrap().len() as u64;
        let kind = name.rsplit('.').next().unwrap_or_default().to_owned();
        if bits > 0 {
            kinds.entry(kind).or_default().push((path, bits));
        }
    }
    kinds
}

/// What came of a flip.
#[derive(Debug, Default)]
struct Outcomes {
    unharmed: u64,
    refused: u64,
    told_by_reading: u64,
    /// A batch says another base offset or leader epoch, and is what was written but for that.
    misplaced: u64,
}

fn flip(disk: &SimDisk, path: &Path, bit: u64) {
    disk.corrupt(path, |bytes| bytes[bit as usize / 8] ^= 1 << (bit % 8)).unwrap();
}

fn try_flip(template: &SimDisk, ledger: &Ledger, path: &Path, bit: u64, clean: bool, outcomes: &mut Outcomes) {
    let disk = template.copy();
    flip(&disk, path, bit);
    let log = match open(&disk, false, clean) {
        Ok(log) => log,
        Err(LogError::Damaged { .. } | LogError::Checkpoint { .. } | LogError::WrongTopicId { .. }) => {
            outcomes.refused += 1;
            return;
        }
        Err(error) => panic!("a flipped bit became {error}"),
    };
    let (start, end) = (log.log_start(), log.log_end());
    assert_eq!((start, end), (ledger.start, ledger.end), "something is silently gone");
    match read_all(&log) {
        Ok(found) => {
            let same = found.iter().map(|bytes| &bytes[..]).eq(ledger.kept().map(|batch| &batch.bytes[..]));
            let place = in_place(template, path, bit);
            let known = |bytes: &Vec<u8>| ledger.kept().any(|batch| same_under_crc(&batch.bytes, bytes));
            assert!(same || (place && found.iter().all(known)), "a wrong record is served");
            if same {
                outcomes.unharmed += 1;
            } else {
                outcomes.misplaced += 1;
            }
        }
        Err(_) => outcomes.told_by_reading += 1,
    }
}

/// Whether the bit is one of a batch's base offset or leader epoch, which no CRC covers.
fn in_place(template: &SimDisk, path: &Path, bit: u64) -> bool {
    if path.extension().is_none_or(|extension| extension != "log") {
        return false;
    }
    let bytes = template.read_small(path, 1 << 20).unwrap();
    let (mut at, target) = (0, bit as usize / 8);
    for batch in batches(&bytes).map_while(Result::ok) {
        let within = target.wrapping_sub(at);
        if within < batch.bytes().len() {
            return within < 8 || (12..16).contains(&within);
        }
        at += batch.bytes().len();
    }
    false
}

#[test]
fn no_flipped_bit_becomes_a_wrong_record() {
    for (clean, restart) in [(false, Restart::Kill), (true, Restart::Close)] {
        let (template, ledger) = template(&restart);
        let kinds = files(&template);
        let names: Vec<&str> = kinds.keys().map(String::as_str).collect();
        for kind in ["digest", "index", "log", "metadata", "snapshot", "timeindex", "txnindex"] {
            assert!(names.contains(&kind), "there is no {kind} among {names:?}");
        }
        let mut outcomes = BTreeMap::new();
        let mut dice = 0x5eed_u64;
        for turn in 0..FLIPS / 2 {
            // Every other flip is in a segment, the rest takes the kinds of files in turn.
            let kind = if turn % 2 == 0 { "log" } else { names[(turn / 2) as usize % names.len()] };
            let of_kind = &kinds[kind];
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (path, bits) = &of_kind[(dice >> 40) as usize % of_kind.len()];
            let bit = (dice >> 8) % bits;
            let outcomes = outcomes.entry(kind).or_default();
            let tried = std::panic::AssertUnwindSafe(|| try_flip(&template, &ledger, path, bit, clean, outcomes));
            if let Err(panic) = std::panic::catch_unwind(tried) {
                println!("bit {bit} of {} (clean: {clean}); the reason is above", path.display());
                std::panic::resume_unwind(panic);
            }
        }
        println!("clean {clean}: {outcomes:?}");
        assert!(outcomes.iter().all(|(kind, outcomes)| *kind == "log" || outcomes.misplaced == 0));
        let refused = outcomes["log"].refused + outcomes["log"].told_by_reading;
        assert!(refused > 0 && outcomes["index"].refused == 0, "{outcomes:?}");
    }
}
