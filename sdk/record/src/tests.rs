//! Round trips, known answers, and bytes that mean harm.

use crate::*;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use proptest::collection::vec as vec_of;
use proptest::option;
use proptest::prelude::*;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// A batch that another implementation wrote: base offset 0, one record `hello` = `world` at delta 1.
const FOREIGN_BATCH: [u8; 79] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x43, 0, 0, 0, 0, 2, 0x73, 0x6d, 0x29, 0x7b, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x22, 1, 0xd0, 0x0f, 2, 0x0a,
    0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x0a, 0x77, 0x6f, 0x72, 0x6c, 0x64, 0,
];

type OwnedHeader = (String, Option<Vec<u8>>);
type OwnedRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<OwnedHeader>);

fn build(records: &[OwnedRecord]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(records.first().map_or(0, |r| r.0));
    push_all(&mut builder, records);
    builder.into_bytes_with_crc()
}

fn push_all(builder: &mut BatchBuilder, records: &[OwnedRecord]) {
    for (timestamp, key, value, headers) in records {
        let headers: Vec<_> = headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        builder.push(*timestamp, key.as_deref(), value.as_deref(), &headers);
    }
}

fn read(batch: &BatchView<'_>) -> Vec<OwnedRecord> {
    let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    batch
        .records()
        .unwrap()
        .map(|record| {
            let record = record.unwrap();
            let headers = record.headers().map(|h| h.map(|h| (h.key.into(), own(h.value))).unwrap()).collect();
            (record.timestamp(batch.header()), own(record.key), own(record.value), headers)
        })
        .collect()
}

fn records() -> impl Strategy<Value = Vec<OwnedRecord>> {
    let bytes = || option::of(vec_of(any::<u8>(), 0..200));
    vec_of((any::<i64>(), bytes(), bytes(), vec_of((any::<String>(), bytes()), 0..3)), 1..20)
}

#[test]
fn a_foreign_batch_is_read_and_its_crc_fits() {
    let batch = BatchView::parse(&FOREIGN_BATCH).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!((batch.header().last_offset_delta, batch.header().record_count), (3, 1));
    let records: Vec<_> = batch.records().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].offset_delta, 1);
    assert_eq!((records[0].key, records[0].value), (Some(&b"hello"[..]), Some(&b"world"[..])));
    let mut flipped = FOREIGN_BATCH;
    flipped[70] ^= 1;
    let error = BatchView::parse(&flipped).unwrap().verify_crc().unwrap_err();
    assert!(matches!(error, BatchError::CrcMismatch { stored: 0x736d_297b, .. }));
}

#[test]
fn old_formats_are_named() {
    let mut old = FOREIGN_BATCH;
    old[16] = 1;
    assert_eq!(BatchView::parse(&old[..34]).unwrap_err(), BatchError::UnsupportedMagic(1));
}

#[test]
fn sequences_wrap_as_in_kafka() {
    let mut header = BatchHeader::parse(&FOREIGN_BATCH).unwrap();
    header.base_sequence = i32::MAX - 1;
    assert_eq!(header.last_sequence(), 1);
    header.base_sequence = 7;
    assert_eq!(header.last_sequence(), 10);
    header.base_sequence = NO_SEQUENCE;
    assert_eq!(header.last_sequence(), NO_SEQUENCE);
}

#[test]
fn impossible_headers_are_refused() {
    let good = BatchHeader::parse(&FOREIGN_BATCH).unwrap();
    let bad = [
        BatchHeader { batch_length: 48, ..good },
        BatchHeader { batch_length: -1, ..good },
        BatchHeader { last_offset_delta: -1, ..good },
        BatchHeader { base_offset: -1, ..good },
        BatchHeader { base_offset: i64::MAX - 3, ..good },
        BatchHeader { record_count: -1, ..good },
        BatchHeader { record_count: 5, ..good },
        BatchHeader { record_count: 3, ..good },
    ];
    for header in bad {
        let mut bytes = FOREIGN_BATCH;
        header.write_to(&mut bytes);
        assert!(matches!(BatchView::parse(&bytes), Err(BatchError::InvalidField { .. })), "{header:?}");
    }
    let mut bytes = FOREIGN_BATCH;
    BatchHeader { attributes: Attributes(5), ..good }.write_to(&mut bytes);
    assert_eq!(BatchView::parse(&bytes).unwrap_err(), BatchError::UnknownCodec(5));
}

#[test]
fn a_declared_count_below_the_records_is_damage() {
    let mut bytes = FOREIGN_BATCH;
    BatchHeader { record_count: 0, ..BatchHeader::parse(&bytes).unwrap() }.write_to(&mut bytes);
    let results: Vec<_> = BatchView::parse(&bytes).unwrap().records().unwrap().collect();
    assert_eq!(results, [Err(BatchError::TrailingBytes(18))]);
}

#[test]
fn sparse_batches_keep_their_offsets() {
    let mut builder = BatchBuilder::new(5);
    builder.push_at(2, 5, None, Some(b"a"), &[]).unwrap();
    assert_eq!(builder.push_at(2, 5, None, Some(b"b"), &[]), Err(BatchError::OffsetOrder(2)));
    assert_eq!(builder.push_at(i32::MAX, 5, None, None, &[]), Err(BatchError::OffsetOrder(i32::MAX)));
    builder.push_raw_headers_at(7, 4, None, None, 0, &[]).unwrap();
    builder.set_last_offset_delta(9);
    builder.set_producer(44, 3, 100);
    let bytes = builder.into_bytes();
    let batch = BatchView::parse(&bytes).unwrap();
    let deltas: Vec<_> = batch.records().unwrap().map(|r| r.unwrap().offset_delta).collect();
    assert_eq!(deltas, [2, 7]);
    assert_eq!(batch.header().last_sequence(), 109);
    assert_eq!((batch.header().max_timestamp, batch.header().next_offset()), (5, 10));
}

#[test]
fn records_out_of_order_are_refused() {
    let bytes = build(&[(0, None, None, vec![]), (0, None, None, vec![])]);
    let mut swapped = bytes.clone();
    // Each record is seven bytes; the offset delta is the fourth of them.
    (swapped[HEADER_LEN + 3], swapped[HEADER_LEN + 10]) = (bytes[HEADER_LEN + 10], bytes[HEADER_LEN + 3]);
    let results: Vec<_> = BatchView::parse(&swapped).unwrap().records().unwrap().collect();
    assert_eq!(results[1], Err(BatchError::OffsetOrder(0)));
    assert_eq!(results.len(), 2);
}

#[test]
fn markers_round_trip() {
    for control_type in [ControlType::Abort, ControlType::Commit] {
        let bytes = control_batch(control_type, 9000, 4, 17, 1_234);
        let batch = BatchView::parse(&bytes).unwrap();
        batch.verify_crc().unwrap();
        assert!(batch.header().attributes.is_control() && batch.header().attributes.is_transactional());
        assert_eq!((batch.header().producer_id, batch.header().producer_epoch), (9000, 4));
        assert_eq!(batch.header().base_sequence, NO_SEQUENCE);
        assert_eq!(parse_control(&batch), Ok((control_type, 17)));
    }
    assert_eq!(parse_control(&BatchView::parse(&FOREIGN_BATCH).unwrap()), Err(BatchError::NotAControlBatch));
}

#[test]
fn patches_reach_only_their_fields() {
    let mut bytes = FOREIGN_BATCH;
    patch_offset_and_epoch(&mut bytes, 1 << 40, 12);
    let batch = BatchView::parse(&bytes).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!((batch.header().base_offset, batch.header().partition_leader_epoch), (1 << 40, 12));
    patch_producer(&mut bytes, 7, 1, 30);
    let patched = BatchView::parse(&bytes).unwrap();
    patched.verify_crc().unwrap();
    assert_eq!((patched.header().producer_id, patched.header().base_sequence), (7, 30));
    assert_eq!(patched.body(), &FOREIGN_BATCH[HEADER_LEN..]);
}

#[test]
fn a_partial_last_batch_is_truncated() {
    let mut two = FOREIGN_BATCH.to_vec();
    two.extend_from_slice(&FOREIGN_BATCH[..70]);
    let results: Vec<_> = batches(&two).collect();
    assert_eq!(results.len(), 2);
    assert!(results[0].is_ok());
    assert_eq!(results[1].unwrap_err(), BatchError::Truncated { needed: 79, available: 70 });
}

#[test]
fn bombs_stop_at_the_cap() {
    let zeros = vec![0; 4 << 20];
    for codec in CODECS {
        let small = compress(codec, &zeros).unwrap();
        assert!(matches!(decompress(codec, &small, (4 << 20) - 1), Err(CodecError::TooLarge(_))), "{codec:?}");
        assert_eq!(decompress(codec, &small, 4 << 20).unwrap(), zeros, "{codec:?}");
    }
    // A raw snappy block that claims 4 GiB in five bytes.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    assert!(matches!(decompress(Codec::Snappy, &claim, usize::MAX), Err(CodecError::Corrupt(Codec::Snappy, _))));
}

#[test]
fn raw_snappy_is_read_too() {
    let raw = snap::raw::Encoder::new().compress_vec(b"a raw block without any framing").unwrap();
    assert_eq!(decompress(Codec::Snappy, &raw, 100).unwrap(), b"a raw block without any framing");
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in records()) {
        let bytes = build(&records);
        let batch = BatchView::parse(&bytes).unwrap();
        batch.verify_crc().unwrap();
        prop_assert_eq!(batch.header().record_count as usize, records.len());
        prop_assert_eq!(batch.header().max_timestamp, records.iter().map(|r| r.0).max().unwrap());
        prop_assert_eq!(read(&batch), records);
    }

    #[test]
    fn a_reset_builder_forgets(first in records(), second in records()) {
        let mut builder = BatchBuilder::new(3);
        builder.set_producer(1, 2, 3);
        builder.set_transactional(true);
        push_all(&mut builder, &first);
        builder.finish();
        builder.reset(second[0].0);
        push_all(&mut builder, &second);
        prop_assert_eq!(builder.finish_with_crc(), &build(&second)[..]);
    }

    #[test]
    fn raw_headers_are_verbatim(records in records()) {
        let bytes = build(&records);
        let batch = BatchView::parse(&bytes).unwrap();
        let mut copy = BatchBuilder::new(batch.header().base_timestamp);
        for record in batch.records().unwrap() {
            let r = record.unwrap();
            copy.push_raw_headers(r.timestamp(batch.header()), r.key, r.value, r.header_count(), r.encoded_headers());
        }
        prop_assert_eq!(copy.into_bytes_with_crc(), bytes);
    }

    #[test]
    fn every_codec_round_trips(records in records(), codec in prop::sample::select(&CODECS[..])) {
        let bytes = build(&records);
        let packed = compressed_batch(&BatchView::parse(&bytes).unwrap(), codec).unwrap();
        let view = BatchView::parse(&packed).unwrap();
        view.verify_crc().unwrap();
        if codec != Codec::None {
            prop_assert_eq!(view.records().unwrap_err(), BatchError::CompressedBatch(codec));
        }
        prop_assert_eq!(&*uncompressed_batch(&view, 1 << 20).unwrap(), &bytes[..]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec_of(any::<u8>(), 0..400)) {
        consume(&bytes);
    }

    #[test]
    fn damaged_batches_never_panic(records in records(), damage in vec_of((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = build(&records);
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        consume(&bytes);
    }

    #[test]
    fn damaged_compression_never_panics(
        data in vec_of(any::<u8>(), 0..300),
        codec in prop::sample::select(&CODECS[..]),
        damage in vec_of((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut packed = compress(codec, &data).unwrap();
        for (index, byte) in damage {
            if !packed.is_empty() {
                let at = index.index(packed.len());
                packed[at] = byte;
            }
        }
        if let Ok(out) = decompress(codec, &packed, 1000) {
            prop_assert!(out.len() <= 1000);
        }
        let _ = decompress(codec, &data, 1000);
    }
}

/// Reads everything there is to read in `bytes`, whatever they are.
fn consume(bytes: &[u8]) {
    for batch in batches(bytes) {
        let Ok(batch) = batch else { break };
        let _ = (batch.verify_crc(), parse_control(&batch), batch.header().last_sequence());
        let _ = uncompressed_batch(&batch, 10_000);
        for record in batch.records().into_iter().flatten().flatten() {
            let _ = record.timestamp(batch.header());
            record.headers().for_each(drop);
        }
    }
}
