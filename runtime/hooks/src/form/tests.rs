use super::*;
use crate::double::{batch, compressed, rows, values, wants, with_values};
use pelton_record::{BatchView, Header};
use proptest::prelude::*;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn amended(plain: &Bytes, wants: Wants, change: Change) -> Result<Option<Bytes>, Trouble> {
    amend(plain, &wants, &change, &[], true)
}

fn fault(outcome: Result<Option<Bytes>, Trouble>) -> String {
    match outcome.unwrap_err() {
        Trouble::Fault(fault) => fault.to_string(),
        Trouble::Given(error) => panic!("the batch is fine: {error}"),
    }
}

fn free() -> Wants {
    wants(&[])
}

#[test]
fn a_batch_comes_back_sealed_as_it_came() {
    let plain_batch = batch(&["a", "b", "c"]);
    for codec in CODECS {
        let came = compressed(&plain_batch, codec);
        let header = BatchHeader::parse(&came).unwrap();
        let unpacked = plain(&came, 1 << 20).unwrap();
        assert_eq!(rows(&unpacked), rows(&plain_batch));
        let changed = amended(&unpacked, free(), Change::Drop(vec![1])).unwrap().unwrap();
        let sealed = seal(&header, changed).unwrap();
        BatchView::parse(&sealed).unwrap().verify_crc().unwrap();
        let after = BatchHeader::parse(&sealed).unwrap();
        let (batch_length, crc) = (after.batch_length, after.crc);
        assert_eq!(after, BatchHeader { batch_length, crc, record_count: 2, ..header });
        assert_eq!(values(&sealed), ["a", "c"]);
        let empty = seal(&header, amended(&unpacked, free(), Change::Replace(Bytes::new())).unwrap().unwrap()).unwrap();
        BatchView::parse(&empty).unwrap().verify_crc().unwrap();
        let attributes = header.attributes.with_codec(Codec::None);
        let after = BatchHeader::parse(&empty).unwrap();
        let (batch_length, crc) = (after.batch_length, after.crc);
        assert_eq!(after, BatchHeader { batch_length, crc, attributes, record_count: 0, ..header });
        assert_eq!((after.last_offset_delta, empty.len()), (2, HEADER_LEN));
    }
}

#[test]
fn what_has_no_compression_is_not_copied() {
    let came = batch(&["a"]);
    let unpacked = plain(&came, 10).unwrap();
    assert_eq!(unpacked.as_ptr(), came.as_ptr());
    assert_eq!(project(&unpacked, Parts::ALL).unwrap().as_ptr(), came.as_ptr());
}

#[test]
fn a_bomb_is_refused_at_the_cap() {
    let big = "x".repeat(1 << 20);
    for codec in &CODECS[1..] {
        let came = compressed(&batch(&[&big]), *codec);
        assert!(matches!(plain(&came, 1 << 10), Err(CodecError::TooLarge(_))), "{codec:?}");
    }
}

#[test]
fn a_projection_has_what_is_read_and_nothing_else() {
    let given = batch(&["a", "b"]);
    let key_only = project(&given, Parts { key: true, ..Parts::NONE }).unwrap();
    let expected: Vec<_> = rows(&given).into_iter().map(|row| (row.0, row.1, row.2, None, Vec::new())).collect();
    assert_eq!(rows(&key_only), expected);
    assert_eq!(BatchHeader::parse(&key_only).unwrap().producer_id, 77);
    let rest = project(&given, Parts { key: false, ..Parts::ALL }).unwrap();
    let expected: Vec<_> = rows(&given).into_iter().map(|row| (row.0, row.1, None, row.3, row.4)).collect();
    assert_eq!(rows(&rest), expected);
}

#[test]
fn what_a_plugin_may_not_do_is_a_fault() {
    let given = batch(&["a", "b", "c"]);
    let no_drops = Wants { drops: false, ..free() };
    let key_only = Wants { writes: Parts { key: true, ..Parts::NONE }, ..free() };
    let upper = |_: i32, value: &[u8]| Some(value.to_ascii_uppercase());
    let cases = [
        (no_drops, Change::Drop(vec![0]), "`drops`"),
        (no_drops, Change::Replace(Bytes::new()), "`drops`"),
        (no_drops, Change::Replace(with_values(&given, |delta, value| (delta > 0).then(|| value.to_vec()))), "`drops`"),
        (free(), Change::Drop(vec![3]), "none there"),
        (free(), Change::Drop(vec![1, 1]), "ascending"),
        (free(), Change::Drop(vec![2, 1]), "ascending"),
        (free(), Change::Drop(vec![-1]), "none there"),
        (key_only, Change::Replace(with_values(&given, upper)), "value"),
        (free(), Change::Replace(batch(&["a", "b", "c", "d"])), "adds a record at offset delta 3"),
        (free(), Change::Replace(Bytes::from_static(b"nonsense")), "malformed"),
        (free(), Change::Replace([&given[..], b"x"].concat().into()), "bytes follow"),
        (free(), Change::Replace(compressed(&given, Codec::Zstd)), "compressed"),
    ];
    for (wants, change, what) in cases {
        let text = fault(amended(&given, wants, change.clone()));
        assert!(text.contains(what), "{change:?}: {text}");
    }
}

#[test]
fn only_what_is_declared_is_taken() {
    let given = batch(&["a", "b"]);
    let mut new = BatchBuilder::new(5);
    // Keys and headers come back as null, since they were not given; timestamps are of the guest's own making.
    new.push(7, None, Some(b"A"), &[]);
    new.push(9, None, Some(b"B"), &[]);
    let value_only = Parts { value: true, ..Parts::NONE };
    let wants = Wants { reads: value_only, writes: value_only, ..free() };
    let after = amended(&given, wants, Change::Replace(new.into_bytes().into())).unwrap().unwrap();
    let expected: Vec<_> = rows(&given)
        .into_iter()
        .zip(["A", "B"])
        .map(|(row, value)| (row.0, row.1, row.2, Some(Bytes::from(value)), row.4))
        .collect();
    assert_eq!(rows(&after), expected);
}

#[test]
fn a_replacement_that_is_the_same_changes_nothing() {
    let given = batch(&["a", "b"]);
    assert_eq!(amended(&given, free(), Change::Replace(given.clone())).unwrap(), None);
    assert_eq!(amended(&given, free(), Change::Drop(Vec::new())).unwrap(), None);
}

#[test]
fn refused_records_are_kept_as_they_were_or_taken_out() {
    let given = batch(&["a", "b", "c"]);
    let upper = with_values(&given, |_, value| Some(value.to_ascii_uppercase()));
    let no_drops = Wants { drops: false, ..free() };
    let cases: [(Change, bool, &[&str]); 6] = [
        (Change::None, true, &["a", "b", "c"]),
        (Change::None, false, &["a", "c"]),
        (Change::Replace(upper.clone()), true, &["A", "b", "C"]),
        (Change::Replace(upper), false, &["A", "C"]),
        (Change::Drop(vec![1]), true, &["a", "b", "c"]),
        (Change::Drop(vec![1]), false, &["a", "c"]),
    ];
    for (change, keep, expected) in cases {
        let after = amend(&given, &no_drops, &change, &[1], keep).unwrap().unwrap_or(given.clone());
        assert_eq!(values(&after), expected, "{change:?} {keep}");
    }
}

#[test]
fn headers_that_are_written_must_be_text() {
    let given = batch(&["a"]);
    let mut new = BatchBuilder::new(1_000);
    new.push(1_000, Some(b"k0"), Some(b"a"), &[Header { key: "zz", value: None }]);
    let mut bytes = new.into_bytes();
    let at = bytes.windows(2).position(|pair| pair == b"zz").unwrap();
    bytes[at] = 0xff;
    assert!(fault(amended(&given, free(), Change::Replace(bytes.into()))).contains("UTF-8"));
}

/// A batch with gaps and nulls, as compaction or a link before leaves it.
fn any_batch() -> impl Strategy<Value = Bytes> {
    let part = || prop::option::of(prop::collection::vec(any::<u8>(), 0..20));
    let header = ("[a-c]{0,3}", part());
    let record = (1..4_i32, -50..50_i64, part(), part(), prop::collection::vec(header, 0..3));
    prop::collection::vec(record, 0..12).prop_map(|records| {
        let mut out = BatchBuilder::new(1_000);
        let mut delta = -1;
        for (step, time, key, value, headers) in &records {
            delta += step;
            let headers: Vec<_> = headers.iter().map(|(k, v)| Header { key: k, value: v.as_deref() }).collect();
            out.push_at(delta, 1_000 + time, key.as_deref(), value.as_deref(), &headers).unwrap();
        }
        out.set_last_offset_delta(delta + 2);
        out.into_bytes_with_crc().into()
    })
}

fn any_parts() -> impl Strategy<Value = Parts> {
    any::<(bool, bool, bool)>().prop_map(|(key, value, headers)| Parts { key, value, headers })
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::None),
        prop::collection::vec(-1..40_i32, 0..6).prop_map(Change::Drop),
        prop::collection::btree_set(0..20_i32, 0..6).prop_map(|deltas| Change::Drop(deltas.into_iter().collect())),
        any_batch().prop_map(Change::Replace),
        prop::collection::vec(any::<u8>(), 0..100).prop_map(|bytes| Change::Replace(bytes.into())),
    ]
}

/// What must hold of a batch that was amended, whatever the plugin answered.
fn obeys(given: &Bytes, after: &Bytes, wants: &Wants, rejected: &[i32], keep: bool) -> Result<(), TestCaseError> {
    let (before, header) = (BatchHeader::parse(given).unwrap(), BatchHeader::parse(after).unwrap());
    let (batch_length, crc, record_count) = (header.batch_length, header.crc, header.record_count);
    prop_assert_eq!(header, BatchHeader { batch_length, crc, record_count, ..before });
    let (old, new) = (rows(given), rows(after));
    prop_assert_eq!(new.len(), record_count as usize);
    for row in &new {
        let was = old.iter().find(|was| was.0 == row.0).expect("no record is added");
        prop_assert_eq!(row.1, was.1);
        let exempt = rejected.contains(&row.0);
        prop_assert!(!exempt || (keep && row == was));
        prop_assert!(wants.writes.key || row.2 == was.2);
        prop_assert!(wants.writes.value || row.3 == was.3);
        prop_assert!(wants.writes.headers || row.4 == was.4);
    }
    for was in old.iter().filter(|was| !new.iter().any(|row| row.0 == was.0)) {
        prop_assert!(wants.drops || (!keep && rejected.contains(&was.0)));
    }
    for delta in rejected {
        prop_assert_eq!(new.iter().any(|row| row.0 == *delta), keep);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_answer_breaks_the_rules(
        given in any_batch(),
        reads in any_parts(),
        writes in any_parts(),
        drops: bool,
        change in any_change(),
        which in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        keep: bool,
    ) {
        let wants = Wants { reads, writes, drops, ..free() };
        let there: Vec<i32> = rows(&given).iter().map(|row| row.0).collect();
        let mut rejected: Vec<i32> = which.iter().filter(|_| !there.is_empty()).map(|i| *i.get(&there)).collect();
        rejected.sort_unstable();
        rejected.dedup();
        match amend(&given, &wants, &change, &rejected, keep) {
            Ok(after) => obeys(&given, &after.unwrap_or_else(|| given.clone()), &wants, &rejected, keep)?,
            Err(Trouble::Fault(_)) => {}
            Err(Trouble::Given(error)) => prop_assert!(false, "the batch is fine: {}", error),
        }
    }

    /// An honest plugin is never accused: it gives back what it was given, with changes that it declared.
    #[test]
    fn an_honest_answer_is_taken(
        given in any_batch(),
        reads in any_parts(),
        writes in any_parts(),
        gone in prop::collection::btree_set(0..12_usize, 0..4),
        text in prop::collection::vec(any::<u8>(), 0..10),
    ) {
        let wants = Wants { reads, writes, drops: true, ..free() };
        let view = project(&given, reads).unwrap();
        let shown = BatchView::parse(&view).unwrap();
        let mut out = BatchBuilder::new(0);
        let mut expected = Vec::new();
        for (index, record) in shown.records().unwrap().enumerate() {
            let record = record.unwrap();
            if gone.contains(&index) {
                continue;
            }
            let key = if writes.key { Some(&text[..]) } else { record.key };
            let value = if writes.value { Some(&text[..]) } else { record.value };
            let header = [Header { key: "new", value: Some(&text) }];
            if writes.headers {
                out.push_at(record.offset_delta, 0, key, value, &header).unwrap();
            } else {
                let (count, encoded) = (record.header_count(), record.encoded_headers());
                out.push_raw_headers_at(record.offset_delta, 0, key, value, count, encoded).unwrap();
            }
            let mut row = rows(&given)[index].clone();
            let text = Bytes::copy_from_slice(&text);
            if writes.key { row.2 = Some(text.clone()); }
            if writes.value { row.3 = Some(text.clone()); }
            if writes.headers { row.4 = vec![("new".to_owned(), Some(text))]; }
            expected.push(row);
        }
        let after = amend(&given, &wants, &Change::Replace(out.into_bytes().into()), &[], true).unwrap();
        prop_assert_eq!(rows(&after.unwrap_or(given)), expected);
    }

    /// Damage to the batch that came is never the plugin's fault where the plugin did nothing, and never a panic.
    #[test]
    fn damaged_batches_never_panic(
        given in any_batch(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        change in any_change(),
        reads in any_parts(),
        keep: bool,
    ) {
        let mut bytes = given.to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let came = Bytes::from(bytes);
        let Ok(unpacked) = plain(&came, 1 << 16) else { return Ok(()) };
        let wants = Wants { reads, ..free() };
        let _ = project(&unpacked, reads);
        let _ = deltas(&unpacked);
        prop_assert!(!matches!(amend(&unpacked, &wants, &Change::None, &[], keep), Err(Trouble::Fault(_))));
        if let Ok(Some(after)) = amend(&unpacked, &wants, &change, &[], keep) {
            let header = BatchHeader::parse(&came).unwrap();
            let _ = seal(&header, after);
        }
    }
}
