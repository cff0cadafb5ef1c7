//! The end of a log that is harmed below what was synced, in each of the ways in which an open knows what was: by the
//! digest, by the clean stop, by the recovery point of the directory. It is never taken for the torn end of a crash.

use crate::ledger::Ledger;
use crate::partition::{Change, DIR, Partition, ReadError, Restart, TOPIC_ID, config, read_all};
use pelton_log::disk::Dice;
use pelton_log::{Disk, Log, LogError, Opening, SimDisk, segment_file_name};
use pelton_record::batches;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SEEDS: u64 = 600;
/// First byte of a batch that lies under its CRC, or decides where the next one begins.
const LENGTH_AT: usize = 8;
const CRC_AT: usize = 16;

/// A log of which everything was acknowledged, and its last segment.
fn stopped(dice: &mut Dice, clean: bool) -> (SimDisk, Ledger, PathBuf) {
    let mut partition = Partition::new(false);
    for _ in 0..20 + dice.below(20) {
        let (count, value_bytes) = (1 + dice.below(3) as u8, dice.below(200) as usize);
        partition.apply(&Change::Append { count, value_bytes, codec: 0 }).unwrap();
        partition.apply(&Change::Flush).unwrap();
    }
    let base = *partition.log().segment_base_offsets().last().unwrap();
    partition.stop(if clean { &Restart::Close } else { &Restart::Kill });
    let segment = Path::new(DIR).join(segment_file_name(base, "log"));
    (partition.disk, partition.ledger, segment)
}

/// Where the batches of the segment end.
fn batch_ends(disk: &SimDisk, segment: &Path) -> Vec<usize> {
    let bytes = disk.read_small(segment, 1 << 20).unwrap();
    let lengths = batches(&bytes).map_while(Result::ok).map(|batch| batch.bytes().len());
    lengths.scan(0, |end, len| Some(std::mem::replace(end, *end + len) + len)).collect()
}

/// A bit of the batches that their CRCs or their lengths tell of.
fn bit(dice: &mut Dice, ends: &[usize]) -> u64 {
    loop {
        let bit = dice.below(8 * ends[ends.len() - 1] as u64);
        let begin = ends.iter().rfind(|end| **end <= bit as usize / 8).copied().unwrap_or(0);
        let within = bit as usize / 8 - begin;
        if (LENGTH_AT..LENGTH_AT + 4).contains(&within) || within >= CRC_AT {
            return bit;
        }
    }
}

/// Says by what the open should have known, and whether it said that the segment is damaged.
fn run(seed: u64) -> (&'static str, bool) {
    let mut dice = Dice::new(seed);
    let clean = dice.below(2) == 0;
    let (disk, ledger, segment) = stopped(&mut dice, clean);
    let ends = batch_ends(&disk, &segment);
    let len = ends.last().copied().unwrap_or(0);
    let known_by = match dice.below(3) {
        0 => {
            disk.remove_file(&segment.with_extension("digest")).unwrap();
            if clean { "the clean stop" } else { "the recovery point" }
        }
        1 if disk.exists(&segment.with_extension("index")).unwrap() => {
            disk.remove_file(&segment.with_extension("index")).unwrap();
            "the digest, without indexes"
        }
        _ => "the digest",
    };
    let torn_at = match dice.below(3) {
        0 => {
            let cut = dice.below(len as u64);
            disk.corrupt(&segment, |bytes| bytes.truncate(cut as usize)).unwrap();
            cut
        }
        1 if clean => {
            disk.corrupt(&segment, |bytes| bytes.extend([0, 0, 7, 0])).unwrap();
            len as u64
        }
        _ => {
            let bit = bit(&mut dice, &ends);
            disk.corrupt(&segment, |bytes| bytes[bit as usize / 8] ^= 1 << (bit % 8)).unwrap();
            bit / 8
        }
    };
    let opening = Opening { clean, recovery_point: Some(ledger.end), ..Opening::of(TOPIC_ID) };
    let damage = match Log::open(disk.clone(), DIR, config(false), opening, &mut |_| {}) {
        Err(error) => Some(error),
        Ok((log, _)) => {
            assert_eq!((log.log_start(), log.log_end()), (ledger.start, ledger.end), "{known_by}: an end is gone");
            match read_all(&log) {
                Ok(found) => {
                    let same = found.iter().map(|bytes| &bytes[..]).eq(ledger.kept().map(|batch| &batch.bytes[..]));
                    assert!(same, "{known_by}: a wrong record is served");
                    None
                }
                Err(ReadError::Log(error)) => Some(error),
                Err(error) => panic!("nobody but the reader noticed: {error:?}"),
            }
        }
    };
    match damage {
        None => (known_by, false),
        Some(LogError::Damaged { path, position, .. }) => {
            assert_eq!(path, segment, "another file is said to be damaged");
            // Headers alone show it where the next batch does not follow.
            let latest = ends.iter().find(|end| **end as u64 > torn_at).copied().unwrap_or(len) as u64;
            assert!(position <= latest, "the damage is at byte {torn_at}, and said to be at {position}");
            (known_by, true)
        }
        Some(error) => panic!("harm below what was synced became {error}"),
    }
}

#[test]
fn an_end_that_was_synced_is_never_taken_for_a_torn_one() {
    let mut told: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let (known_by, found) =
            std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("seed {seed}; the reason is above"));
        *told.entry(known_by).or_default() += u64::from(found);
    }
    assert!(told.len() == 4 && told.values().all(|count| *count > SEEDS / 20), "{told:?}");
}
