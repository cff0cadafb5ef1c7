//! One bit of one file of a log turned over, many times: what is served is what was written, offsets and leader epochs
//! among it, or the log says what is damaged. Nothing that was acknowledged is silently gone.

use crate::ledger::{Ledger, timestamp};
use crate::partition::{Change, DIR, Partition, ReadError, Restart, open, read_all};
use pelton_log::disk::Dice;
use pelton_log::{Disk, Log, LogError, Offset, SimDisk};
use pelton_record::{BatchHeader, HEADER_LEN, batches};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FLIPS: u64 = 10_000;
/// Reads from somewhere that are tried of each log before all of it is read.
const PROBES: u32 = 3;

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
}

fn flip(disk: &SimDisk, path: &Path, bit: u64) {
    disk.corrupt(path, |bytes| bytes[bit as usize / 8] ^= 1 << (bit % 8)).unwrap();
}

/// First offset of the batch among whose records the bit is.
fn hit(template: &SimDisk, path: &Path, bit: u64) -> Option<Offset> {
    if path.extension().is_none_or(|extension| extension != "log") {
        return None;
    }
    let bytes = template.read_small(path, 1 << 20).unwrap();
    let (mut at, target) = (0, bit as usize / 8);
    for batch in batches(&bytes).map_while(Result::ok) {
        let end = at + batch.bytes().len();
        if (at + HEADER_LEN..end).contains(&target) {
            return Some(batch.header().base_offset);
        }
        at = end;
    }
    None
}

/// Reads from somewhere, as one does who comes back to a committed offset, and looks for a timestamp. `hit` is the batch
/// whose records are damaged.
fn probe(log: &Log<SimDisk>, ledger: &Ledger, dice: &mut Dice, path: &Path, hit: Option<Offset>) {
    let offset = ledger.start + dice.below((ledger.end - ledger.start) as u64) as Offset;
    let expected = ledger.kept().find(|batch| batch.next > offset).unwrap();
    let max_bytes = 1 + dice.below(2) as usize * 400;
    // Up to the end of some batch, as a reader of committed records sees it, who must not wait for ever before it.
    let ends: Vec<Offset> = ledger.kept().map(|batch| batch.next).filter(|next| *next > offset).collect();
    let end = ends[dice.index(ends.len())];
    match log.read(offset, end, max_bytes, true) {
        Ok(bytes) => assert!(bytes.starts_with(&expected.bytes), "another batch is given at {offset}"),
        Err(LogError::Damaged { path: damaged, .. }) => {
            assert_eq!(damaged, path);
            let alone = max_bytes == 1 && hit.is_some();
            assert!(!alone || hit == Some(expected.base), "the batch at {offset} is refused for another one");
        }
        Err(error) => panic!("a flipped bit became {error}"),
    }
    match log.offset_for_timestamp(timestamp(offset), ledger.end) {
        Ok(found) => assert_eq!(found.map(|found| (found.offset, found.leader_epoch)), Some((offset, 3))),
        Err(LogError::Damaged { path: damaged, .. }) => assert_eq!(damaged, path),
        Err(error) => panic!("a flipped bit became {error}"),
    }
}

fn try_flip(
    template: &SimDisk,
    ledger: &Ledger,
    (path, bit): (&Path, u64),
    clean: bool,
    dice: &mut Dice,
    outcomes: &mut Outcomes,
) {
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
    let hit = hit(template, path, bit);
    for _ in 0..PROBES {
        probe(&log, ledger, dice, path, hit);
    }
    match read_all(&log) {
        Ok(found) => {
            let same = found.iter().map(|bytes| &bytes[..]).eq(ledger.kept().map(|batch| &batch.bytes[..]));
            assert!(same, "a wrong record is served");
            outcomes.unharmed += 1;
        }
        Err(ReadError::Log(LogError::Damaged { path: damaged, position, .. })) => {
            assert_eq!(damaged, path, "another file is said to be damaged");
            assert!(position <= bit / 8, "the damage is at byte {}, and said to be at {position}", bit / 8);
            outcomes.told_by_reading += 1;
        }
        Err(error) => panic!("nobody but the reader noticed: {error:?}"),
    }
}

#[test]
fn no_flipped_bit_becomes_a_wrong_record() {
    for (clean, restart) in [(false, Restart::Kill), (true, Restart::Close)] {
        let (template, ledger) = template(&restart);
        let kinds = files(&template);
        let names: Vec<&str> = kinds.keys().map(String::as_str).collect();
        let all = [
            "digest",
            "index",
            "leader-epoch-checkpoint",
            "log",
            "log-start-offset-checkpoint",
            "metadata",
            "snapshot",
            "timeindex",
            "txnindex",
        ];
        for kind in all {
            assert!(names.contains(&kind), "there is no {kind} among {names:?}");
        }
        let mut outcomes = BTreeMap::new();
        let mut dice = Dice::new(0x5eed);
        for turn in 0..FLIPS / 2 {
            // Every other flip is in a segment, the rest takes the kinds of files in turn.
            let kind = if turn % 2 == 0 { "log" } else { names[(turn / 2) as usize % names.len()] };
            let of_kind = &kinds[kind];
            let (path, bits) = &of_kind[dice.index(of_kind.len())];
            let bit = dice.below(*bits);
            let outcomes = outcomes.entry(kind).or_default();
            let dice = &mut dice;
            let tried = || try_flip(&template, &ledger, (path, bit), clean, dice, outcomes);
            let tried = std::panic::AssertUnwindSafe(tried);
            if let Err(panic) = std::panic::catch_unwind(tried) {
                println!("bit {bit} of {} (clean: {clean}); the reason is above", path.display());
                std::panic::resume_unwind(panic);
            }
        }
        println!("clean {clean}: {outcomes:?}");
        for (kind, outcomes) in outcomes {
            match kind {
                "log" => assert!(outcomes.told_by_reading > FLIPS / 5, "{outcomes:?}"),
                // What follows from the batches is written again, or not missed.
                "digest" | "index" | "snapshot" | "timeindex" | "txnindex" => {
                    assert_eq!((outcomes.refused, outcomes.told_by_reading), (0, 0), "{kind}");
                }
                _ => assert_eq!(outcomes.told_by_reading, 0, "{kind}"),
            }
        }
    }
}

#[test]
fn where_there_are_gaps_nothing_but_a_base_offset_may_change() {
    let mut partition = Partition::new(true);
    for round in 0..60_u16 {
        partition.apply(&Change::Append { count: 1 + (round % 3) as u8, value_bytes: 90, codec: 0 }).unwrap();
        partition.apply(&Change::Flush).unwrap();
        if round == 45 {
            partition.apply(&Change::Roll).unwrap();
            partition.apply(&Change::Compact).unwrap();
        }
    }
    partition.stop(&Restart::Close);
    let template = partition.disk.copy();
    let whole = read_all(&open(&template.copy(), true, true).unwrap()).unwrap();
    let starts = whole.iter().map(|bytes| BatchHeader::parse(bytes).unwrap());
    let gaps = starts.clone().zip(starts.skip(1)).filter(|(one, next)| one.next_offset() < next.base_offset).count();
    assert!(gaps > 3, "there is nothing to see");
    let segments = &files(&template)["log"];
    let (mut dice, mut told, mut misplaced) = (Dice::new(0x9a9), 0, 0);
    for _ in 0..FLIPS / 4 {
        let (path, bits) = &segments[dice.index(segments.len())];
        let bit = dice.below(*bits);
        let disk = template.copy();
        flip(&disk, path, bit);
        let found = match open(&disk, true, true).map_err(ReadError::Log).and_then(|log| read_all(&log)) {
            Ok(found) => found,
            Err(ReadError::Log(LogError::Damaged { .. })) => {
                told += 1;
                continue;
            }
            Err(error) => panic!("bit {bit} of {}: {error:?}", path.display()),
        };
        assert!(found != whole, "bit {bit} of {} is of no use", path.display());
        let but_for_offsets = |batches: &[Vec<u8>]| batches.iter().map(|bytes| bytes[8..].to_vec()).collect::<Vec<_>>();
        assert_eq!(but_for_offsets(&found), but_for_offsets(&whole), "bit {bit} of {}", path.display());
        misplaced += 1;
    }
    println!("{told} were told, and {misplaced} changed a base offset within a gap");
    assert!(told > FLIPS / 5 && misplaced < FLIPS / 200, "{told} were told, and {misplaced} not");
}
