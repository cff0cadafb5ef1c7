use super::*;
use crate::SimDisk;
use crate::log::tests::{append, at_offset, batch, fill, open, read_all};

/// The bytes of a log by its slices, each of at most `max_bytes`.
fn sliced(log: &Log<SimDisk>, end: Offset, max_bytes: usize) -> Vec<u8> {
    let (mut from, mut bytes) = (log.log_start(), Vec::new());
    while let Some(slice) = log.slice(from, end, max_bytes, true).unwrap() {
        assert!(slice.len > 0 && slice.next_offset > from);
        assert!(slice.base_offset <= from || slice.base_offset < slice.next_offset);
        bytes.extend(slice.read().unwrap());
        from = slice.next_offset;
    }
    bytes
}

#[test]
fn slices_end_between_batches_whatever_the_limits() {
    let (mut log, _) = open(&SimDisk::new());
    let mut whole = Vec::new();
    let mut ends = Vec::new();
    for index in 0..60 {
        let bytes = at_offset(batch(index * 2, 2, index, &vec![b'v'; 7 * index as usize % 90]), index * 2, 0);
        append(&mut log, &bytes);
        whole.extend(bytes);
        ends.push(whole.len());
    }
    for max_bytes in [0, 1, 100, 150, 333, 1_000, usize::MAX >> 1] {
        assert_eq!(sliced(&log, 120, max_bytes), whole);
        for end in 0..=120 {
            // A batch that reaches the end is not given: one that holds the offset `end - 1` and `end` neither.
            let batches = end as usize / 2;
            let below = if batches == 0 { 0 } else { ends[batches - 1] };
            assert_eq!(sliced(&log, end, max_bytes), whole[..below], "end {end}, limit {max_bytes}");
        }
    }
    assert!(log.slice(0, 120, 1, false).unwrap().is_none(), "not even the first batch fits");
    assert_eq!(read_all(&log, 500), whole);
}

#[test]
fn a_slice_stays_what_it_is_though_the_log_is_cut_and_written_anew() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 9);
    let slices: Vec<_> = (0..9).filter_map(|from| log.slice(from, 9, usize::MAX >> 1, true).unwrap()).collect();
    let before: Vec<Bytes> = slices.iter().map(|slice| slice.read().unwrap()).collect();
    for cut in [7, 5, 3, 0] {
        log.truncate_to(cut).unwrap();
        for offset in cut..9 {
            append(&mut log, &at_offset(batch(offset, 1, 77, b"other"), offset, 1));
        }
        for (slice, before) in slices.iter().zip(&before) {
            assert_eq!(slice.read().unwrap(), before);
        }
    }
    let now = read_all(&log, 1_000);
    drop(log);
    let (log, _) = open(&disk);
    assert_eq!(read_all(&log, 1_000), now, "what took the name of the segment is what the log holds");
}

#[test]
fn a_slice_of_a_segment_that_is_deleted_can_still_be_read() {
    let (mut log, _) = open(&SimDisk::new());
    fill(&mut log, 40);
    let slice = log.slice(0, 40, usize::MAX >> 1, true).unwrap().unwrap();
    let before = slice.read().unwrap();
    let _ = log.delete_before(35).unwrap();
    assert!(log.segment_base_offsets()[0] > 0);
    assert_eq!(slice.read().unwrap(), before);
}

#[test]
fn a_slice_whose_file_lost_its_end_is_damaged_and_not_short() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 2);
    let slice = log.slice(0, 2, usize::MAX >> 1, true).unwrap().unwrap();
    slice.file.set_len(slice.len as u64 - 1).unwrap();
    assert!(matches!(slice.read(), Err(LogError::Damaged { .. })));
}
