use super::*;
use crate::disk::{Disk, SimDisk, SimFile};
use pelton_record::{BatchBuilder, patch_offset_and_epoch};

const PATH: &str = "/segment";

fn batch(base: Offset, count: Offset, epoch: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1);
    (0..count).for_each(|_| builder.push(1, None, Some(b"some value"), &[]));
    let mut bytes = builder.into_bytes_with_crc();
    patch_offset_and_epoch(&mut bytes, base, epoch);
    bytes
}

/// A file of these batches, and where each of them ends.
fn file(batches: &[Vec<u8>]) -> (SimFile, Vec<u64>) {
    let file = SimDisk::new().open(Path::new(PATH), true).unwrap();
    let mut ends = vec![0];
    for bytes in batches {
        file.write_at(bytes, ends[ends.len() - 1]).unwrap();
        ends.push(ends[ends.len() - 1] + bytes.len() as u64);
    }
    (file, ends)
}

fn epochs(entries: &[(i32, Offset)]) -> Vec<EpochEntry> {
    entries.iter().map(|(epoch, start_offset)| EpochEntry { epoch: *epoch, start_offset: *start_offset }).collect()
}

/// The header of a batch without records.
fn header(base: Offset, last: Offset, epoch: i32) -> BatchHeader {
    let header = BatchHeader::parse(&batch(base, 1, epoch)).unwrap();
    BatchHeader { last_offset_delta: (last - base) as i32, ..header }
}

#[test]
fn a_dense_chain_has_no_gaps_and_any_other_ascends() {
    let dense = |first| Chain::new(first, true, 10, 40, Vec::new());
    let mut chain = dense(First::Begins(10));
    chain.take(&header(10, 14, 0)).unwrap();
    assert!(chain.clone().take(&header(16, 17, 0)).is_err(), "a gap");
    assert!(chain.clone().take(&header(14, 17, 0)).is_err(), "backwards");
    chain.take(&header(15, 39, 0)).unwrap();
    chain.ends(40, true).unwrap();
    assert!(chain.ends(41, true).is_err() && chain.ends(41, false).is_ok() && chain.ends(39, false).is_err());
    assert!(dense(First::Begins(10)).take(&header(10, 40, 0)).is_err(), "past the end");
    assert!(dense(First::Begins(10)).take(&header(11, 12, 0)).is_err(), "it does not begin where it must");

    let mut chain = Chain::new(First::Begins(10), false, 10, 40, Vec::new());
    chain.take(&header(12, 14, 0)).unwrap();
    assert!(chain.clone().take(&header(14, 20, 0)).is_err(), "backwards");
    chain.take(&header(20, 20, 0)).unwrap();
}

#[test]
fn the_index_says_where_its_batch_ends() {
    for dense in [true, false] {
        let chain = Chain::new(First::Ends(25), dense, 10, 40, Vec::new());
        chain.clone().take(&header(20, 25, 0)).unwrap();
        assert!(chain.clone().take(&header(21, 26, 0)).is_err());
        assert!(chain.clone().take(&header(9, 25, 0)).is_err(), "before the segment");
    }
}

#[test]
fn the_epoch_of_a_batch_is_the_one_of_its_offsets() {
    let chain = |first| Chain::new(First::Begins(first), false, 0, 100, epochs(&[(3, 20), (5, 50)]));
    for (base, epoch, fits) in [
        (0, 9, true), // Nothing is known of it.
        (18, 9, false),
        (20, 3, true),
        (49, 3, false),
        (45, 5, false),
        (50, 5, true),
        (60, 3, false),
        (60, -1, true),
    ] {
        let took = chain(base).take(&header(base, base + 2, epoch));
        assert_eq!(took.is_ok(), fits, "offset {base}, epoch {epoch}: {took:?}");
    }
}

/// What is in doubt of the batches from `from` to `to`, found from the first one on.
fn unchecked(doubt: &Arc<Doubt>, ends: &[u64], from: usize, to: usize) -> Option<Unchecked> {
    let anchor = Anchor { position: 0, first: First::Begins(0) };
    let chain = |first| Chain::new(first, true, 0, 8, epochs(&[(1, 0)]));
    Unchecked::of(doubt, anchor, (ends[from], 2 * from as Offset), (ends[to], 2 * to as Offset), chain)
}

#[test]
fn a_byte_is_checked_once_by_whoever_reads_on() {
    let batches: Vec<Vec<u8>> = (0..4).map(|index| batch(2 * index, 2, 1)).collect();
    let (file, ends) = file(&batches);
    let doubt = Doubt::below(ends[3], 6).unwrap();
    // In the middle: checked from the anchor on, which is where the doubt begins.
    let middle = unchecked(&doubt, &ends, 1, 2).unwrap();
    assert!(middle.is_due());
    middle.check(&file, Path::new(PATH)).unwrap();
    assert!(!middle.is_due());
    assert!(unchecked(&doubt, &ends, 0, 2).is_none(), "all of it was seen");
    let rest = unchecked(&doubt, &ends, 1, 4).unwrap();
    assert_eq!((rest.from, rest.through), (ends[1], ends[3]), "what lies behind the doubt is believed");
    rest.check(&file, Path::new(PATH)).unwrap();
    assert!(unchecked(&doubt, &ends, 0, 4).is_none());
    assert!(unchecked(&doubt, &ends, 3, 4).is_none());
}

#[test]
fn what_lies_alone_is_checked_and_leaves_the_mark() {
    let batches: Vec<Vec<u8>> = (0..4).map(|index| batch(2 * index, 2, 1)).collect();
    let (file, ends) = file(&batches);
    let doubt = Doubt::below(ends[4], 8).unwrap();
    let anchor = Anchor { position: ends[2], first: First::Ends(5) };
    let chain = |first| Chain::new(first, true, 0, 8, Vec::new());
    let alone = Unchecked::of(&doubt, anchor, (ends[3], 6), (ends[4], 8), chain).unwrap();
    assert_eq!(alone.from, ends[2], "the batch of the index is checked too");
    alone.check(&file, Path::new(PATH)).unwrap();
    assert!(!alone.is_due() && unchecked(&doubt, &ends, 3, 4).is_some());
    assert_eq!(doubt.cut_to(ends[1], 2).map(|doubt| (doubt.end, doubt.next_offset)), Some((ends[1], 2)));
    assert!(doubt.cut_to(0, 0).is_none());
}

#[test]
fn every_flipped_bit_is_found_and_what_lies_before_it_is_sound() {
    let batches: Vec<Vec<u8>> = (0..4).map(|index| batch(2 * index, 2, 1)).collect();
    let whole = batches.concat();
    let (_, ends) = file(&batches);
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (file, _) = file(&[flipped]);
        let doubt = Doubt::below(ends[4], 8).unwrap();
        let all = unchecked(&doubt, &ends, 0, 4).unwrap();
        let Err(LogError::Damaged { position, .. }) = all.check(&file, Path::new(PATH)) else {
            panic!("bit {bit} is served")
        };
        let hit = ends.iter().rposition(|end| *end <= bit as u64 / 8).unwrap();
        assert_eq!(position, ends[hit], "bit {bit}");
        assert_eq!(all.sound(), (hit > 0).then(|| (ends[hit], 2 * hit as Offset)), "bit {bit}");
        assert!(all.is_due());
    }
}

#[test]
fn a_file_that_lost_its_end_is_damage() {
    let (file, ends) = file(&[batch(0, 2, 1), batch(2, 2, 1)]);
    let doubt = Doubt::below(ends[2], 4).unwrap();
    let chain = |first| Chain::new(first, true, 0, 4, Vec::new());
    let anchor = Anchor { position: 0, first: First::Begins(0) };
    for len in [ends[2] - 1, ends[1]] {
        file.set_len(len).unwrap();
        let all = Unchecked::of(&doubt, anchor, (0, 0), (ends[2], 4), chain).unwrap();
        let checked = all.check(&file, Path::new(PATH));
        assert!(matches!(checked, Err(LogError::Damaged { position, .. }) if position == ends[1]), "{checked:?}");
    }
}
