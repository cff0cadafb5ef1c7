//! Batches from which records were taken away, and settings that change.

use super::*;

/// What is left of such a batch when interceptors have taken all but its first `kept` records away.
pub fn filtered(base_offset: Offset, count: i32, kept: i32, timestamp: i64, value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(timestamp);
    for index in 0..kept {
        builder.push(timestamp + i64::from(index), Some(b"key"), Some(value), &[]);
    }
    builder.set_last_offset_delta(count - 1);
    let mut bytes = builder.into_bytes();
    if kept == 0 {
        // As in Kafka, an emptied batch keeps the timestamp that it had.
        let header = BatchHeader::parse(&bytes).unwrap();
        BatchHeader { max_timestamp: timestamp + i64::from(count) - 1, ..header }.write_to(&mut bytes);
    }
    pelton_record::recompute_crc(&mut bytes);
    at_offset(bytes, base_offset, 0)
}

#[test]
fn a_batch_without_records_holds_its_offsets_and_is_found_by_no_timestamp() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    let parts = [
        batch(0, 2, 100, b"a"),
        filtered(2, 3, 0, 900, b""),
        filtered(5, 4, 1, 200, b"b"),
        filtered(9, 2, 0, 950, b""),
    ];
    parts.iter().for_each(|part| append(&mut log, part));
    log.roll().unwrap();
    append(&mut log, &filtered(11, 1, 0, 990, b""));
    for round in 0..2 {
        assert_eq!(log.log_end(), 12);
        assert_eq!(log.read(3, 12, parts[1].len(), true).unwrap(), parts[1], "round {round}: it is read as it is");
        assert_eq!(log.read(7, 12, 1, true).unwrap(), parts[2]);
        let found = |timestamp| log.offset_for_timestamp(timestamp, 12).unwrap().map(|found| found.offset);
        assert_eq!((found(0), found(101), found(102), found(201)), (Some(0), Some(1), Some(5), None));
        let newest = log.max_timestamp_offset(12).unwrap().unwrap();
        assert_eq!((newest.offset, newest.timestamp), (5, 200), "no record has the timestamps of the emptied ones");
        log = open(&disk).0;
    }
    let config = LogConfig { retention_ms: Some(100), ..small() };
    log.set_config(config);
    assert_eq!(log.retain(1_051, 12).unwrap().segments, 0, "it grows old by the timestamp that it had");
    assert_eq!(log.retain(1_052, 12).unwrap().segments, 1);
    assert_eq!(log.log_start(), 11);
}

#[test]
fn the_newest_record_is_found_though_its_batch_says_that_there_was_a_newer_one() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    append(&mut log, &batch(0, 3, 100, b"a"));
    // Of the timestamps 200 to 204 those up to 201 are left; the header is as the producer wrote it.
    let mut bytes = filtered(3, 5, 2, 200, b"b");
    let header = BatchHeader::parse(&bytes).unwrap();
    BatchHeader { max_timestamp: 204, ..header }.write_to(&mut bytes);
    pelton_record::recompute_crc(&mut bytes);
    append(&mut log, &bytes);
    append(&mut log, &filtered(8, 2, 0, 300, b""));
    for _ in 0..2 {
        let newest = log.max_timestamp_offset(10).unwrap().unwrap();
        assert_eq!((newest.offset, newest.timestamp), (4, 201));
        assert_eq!(log.max_timestamp_offset(3).unwrap(), None, "what is not readable yet is not told");
        assert_eq!(log.offset_for_timestamp(202, 10).unwrap(), None);
        log = open(&disk).0;
    }
}

#[test]
fn settings_hold_from_when_they_are_changed() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    fill(&mut log, 4);
    assert_eq!(log.segment_base_offsets(), [0]);
    log.set_config(LogConfig { segment_bytes: 300, ..small() });
    fill(&mut log, 3);
    assert_eq!(log.segment_base_offsets(), [0, 4, 5, 6], "the segment is too large already, then one batch each");
    log.set_config(small());
    fill(&mut log, 3);
    assert_eq!(log.segment_base_offsets(), [0, 4, 5, 6]);
    assert_eq!(log.retain(i64::MAX, 10).unwrap().segments, 0, "nothing limits what is kept");
    log.set_config(LogConfig { retention_bytes: Some(0), ..small() });
    assert_eq!(log.retain(i64::MAX, 10).unwrap().segments, 3);
    let (log, _) = open(&disk);
    assert_eq!((log.log_start(), log.log_end()), (6, 10));
}
