//! Answers, well-formed and not.

use super::*;
use pelton_record::BatchBuilder;

/// A batch with records at these offset deltas.
fn batch(deltas: &[i32], last: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1_000);
    for delta in deltas {
        builder.push_at(*delta, 1_000 + i64::from(*delta), None, Some(b"v"), &[]).unwrap();
    }
    builder.set_last_offset_delta(last);
    builder.into_bytes_with_crc()
}

fn rejection(offset_delta: i32) -> GuestRejection {
    GuestRejection { offset_delta, reason: "r\n".repeat(2_000) }
}

fn is_malformed<T: std::fmt::Debug>(answer: Result<T, Fault>) -> bool {
    matches!(answer, Err(Fault::Malformed(_)))
}

#[test]
fn rejections_and_drops_are_of_records_that_are_there() {
    let (dense, sparse) = (batch(&[0, 1, 2], 2), batch(&[1, 4], 7));
    let (dense, sparse) = (input(&dense).unwrap(), input(&sparse).unwrap());
    let kept = rejections(vec![rejection(2), rejection(0)], &dense).unwrap();
    assert_eq!(kept.iter().map(|kept| kept.offset_delta).collect::<Vec<_>>(), [2, 0]);
    assert!(kept[0].reason.len() < 1_100 && !kept[0].reason.contains('\n'));
    assert!(rejections(vec![rejection(4)], &sparse).is_ok());
    for foreign in [vec![3], vec![-1], vec![1, 1], vec![0, 1, 2, 0]] {
        assert!(is_malformed(rejections(foreign.into_iter().map(rejection).collect(), &dense)));
    }
    assert!(is_malformed(rejections(vec![rejection(2)], &sparse)), "a gap was rejected");
    assert_eq!(drops(vec![0, 2], &dense), Ok(vec![0, 2]));
    assert_eq!(drops(vec![1, 4], &sparse), Ok(vec![1, 4]));
    for (foreign, batch) in [(vec![2, 0], &dense), (vec![1, 1], &dense), (vec![3], &dense), (vec![0], &sparse)] {
        assert!(is_malformed(drops(foreign, batch)));
    }
}

#[test]
fn a_replacement_ends_where_its_batch_ends() {
    let dense = batch(&[0, 1, 2], 2);
    let header = *input(&dense).unwrap().header();
    for good in [batch(&[0, 2], 2), batch(&[1], 900), batch(&[0, 1, 2], 2)] {
        assert_eq!(replacement(good.clone(), 1 << 10, &header), Ok(Bytes::from(good)));
    }
    assert_eq!(replacement(batch(&[], 5), 1 << 10, &header), Ok(Bytes::new()));
    assert!(is_malformed(replacement(batch(&[0, 3], 3), 1 << 10, &header)));
    assert!(matches!(replacement(dense, 10, &header), Err(Fault::Limit { limit: "output", .. })));
}

#[test]
fn a_header_of_the_hosts_says_what_is_true() {
    let mut lying = batch(&[0, 5], 900);
    lying[35..43].copy_from_slice(&i64::MAX.to_be_bytes());
    lying[43..51].copy_from_slice(&77_i64.to_be_bytes());
    lying[22] = 0x18;
    let read = checked(&lying).unwrap();
    NormalHeader::of(&read).write_to(&mut lying);
    let header = *BatchView::parse(&lying).unwrap().header();
    assert_eq!((header.last_offset_delta, header.max_timestamp, header.record_count), (5, 1_005, 2));
    assert_eq!((header.producer_id, header.base_sequence, header.attributes), (-1, -1, Attributes::default()));
}

#[test]
fn there_is_one_existing_partition_for_each_record() {
    assert_eq!(partitions(vec![0, -1, 5], 3, 6), Ok(vec![0, -1, 5]));
    for (answer, count) in [(vec![6], 1), (vec![-2], 1), (vec![0], 2), (vec![0, 0], 1), (vec![], 1)] {
        assert!(is_malformed(partitions(answer, count, 6)));
    }
}
