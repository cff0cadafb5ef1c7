//! Cuts input batches into the pieces that a guest is called with.
//!
//! A batch may begin before the offset that is needed (compaction, a restart in its middle): such records
//! are dropped here, before any guest sees them. A batch that is larger than one call may be is split.
//! A piece keeps the offsets of its records.

use bytes::Bytes;
use pelton_record::{BatchBuilder, BatchError, BatchView, Codec, NO_EPOCH, patch_offset_and_epoch};

/// What one guest call may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Most records.
    pub records: usize,
    /// Most bytes of records, unless a single one is larger.
    pub bytes: usize,
}

impl CallLimits {
    /// What a step is called with as long as it does not fail.
    pub const NORMAL: Self = Self { records: 4096, bytes: 1 << 20 };
    /// Record by record, to find the one that a step fails on.
    pub const SINGLE: Self = Self { records: 1, bytes: 0 };
}

/// Input for one guest call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// One uncompressed v2 batch.
    pub batch: Bytes,
    /// Records in it, at least 1.
    pub records: usize,
    /// Where the input goes on after it.
    pub next_offset: i64,
}

/// The chunks of `batch` that hold its records from offset `from` on.
///
/// # Errors
/// [`BatchError`] when the records cannot be read. A batch that can be passed on whole is not looked into.
pub fn split(batch: &Bytes, from: i64, limits: CallLimits) -> Result<Vec<Chunk>, BatchError> {
    let view = BatchView::parse(batch)?;
    let header = view.header();
    let records = header.record_count as usize;
    if header.next_offset() <= from || records == 0 {
        return Ok(Vec::new());
    }
    // No guest is given compressed bytes; the reader leaves them to what it could not decompress.
    if header.attributes.codec()? != Codec::None {
        return Err(BatchError::CompressedBatch(header.attributes.codec()?));
    }
    let fits = records <= limits.records && (records == 1 || view.body().len() <= limits.bytes);
    if header.base_offset >= from && fits {
        let batch = batch.slice(..view.bytes().len());
        return Ok(vec![Chunk { batch, records, next_offset: header.next_offset() }]);
    }
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut builder = BatchBuilder::new(header.base_timestamp);
    let empty_len = builder.len_bytes();
    let mut next_offset = header.base_offset;
    for record in view.records()? {
        let record = record?;
        let offset = record.offset(header);
        if offset < from {
            continue;
        }
        let record_len = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        let full = builder.count() as usize >= limits.records
            || builder.len_bytes() - empty_len + record_len + record.encoded_headers().len() > limits.bytes;
        if full && !builder.is_empty() {
            chunks.push(finish(&mut builder, header.base_offset, next_offset));
            builder.reset(header.base_timestamp);
        }
        builder.push_raw_headers_at(
            record.offset_delta,
            record.timestamp(header),
            record.key,
            record.value,
            record.header_count(),
            record.encoded_headers(),
        )?;
        next_offset = offset + 1;
    }
    if !builder.is_empty() {
        chunks.push(finish(&mut builder, header.base_offset, next_offset));
    }
    if let Some(last) = chunks.last_mut() {
        last.next_offset = header.next_offset();
    }
    Ok(chunks)
}

fn finish(builder: &mut BatchBuilder, base_offset: i64, next_offset: i64) -> Chunk {
    let records = builder.count() as usize;
    let mut batch = builder.finish().to_vec();
    patch_offset_and_epoch(&mut batch, base_offset, NO_EPOCH);
    Chunk { batch: batch.into(), records, next_offset }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_record::Header;
    use proptest::prelude::*;

    /// A batch at `base` with a record at each of `deltas`, whose value is its offset.
    fn batch(base: i64, deltas: &[i32], value_len: usize) -> Bytes {
        let mut builder = BatchBuilder::new(1000);
        for delta in deltas {
            let mut value = (base + i64::from(*delta)).to_be_bytes().to_vec();
            value.resize(8 + value_len, 0);
            let header = Header { key: "h", value: Some(b"v") };
            builder.push_at(*delta, 1000 + i64::from(*delta), Some(b"k"), Some(&value), &[header]).unwrap();
        }
        let mut bytes = builder.into_bytes();
        patch_offset_and_epoch(&mut bytes, base, 0);
        bytes.into()
    }

    fn offsets(chunk: &Chunk) -> Vec<i64> {
        let view = BatchView::parse(&chunk.batch).unwrap();
        let records: Vec<_> = view.records().unwrap().map(Result::unwrap).collect();
        for record in &records {
            let value: [u8; 8] = record.value.unwrap()[..8].try_into().unwrap();
            assert_eq!(record.offset(view.header()), i64::from_be_bytes(value), "a record keeps its offset");
            assert_eq!(record.timestamp(view.header()), 1000 + i64::from(record.offset_delta));
            assert_eq!(record.headers().count(), 1);
        }
        records.iter().map(|r| r.offset(view.header())).collect()
    }

    #[test]
    fn a_batch_that_is_needed_whole_is_not_copied() {
        let batch = batch(100, &[0, 1, 2], 0);
        let chunks = split(&batch, 90, CallLimits::NORMAL).unwrap();
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].batch.as_ptr(), batch.as_ptr());
        assert_eq!((chunks[0].records, chunks[0].next_offset), (3, 103));
    }

    #[test]
    fn a_compressed_batch_is_no_input() {
        let mut bytes = batch(100, &[0, 1], 0).to_vec();
        bytes[22] |= 1;
        let refused = split(&bytes.into(), 0, CallLimits::NORMAL);
        assert_eq!(refused, Err(BatchError::CompressedBatch(Codec::Gzip)));
    }

    #[test]
    fn a_batch_below_the_offset_gives_nothing() {
        assert!(split(&batch(100, &[0, 1], 0), 102, CallLimits::NORMAL).unwrap().is_empty());
    }

    #[test]
    fn a_record_larger_than_the_limit_is_a_chunk_of_its_own() {
        let chunks = split(&batch(0, &[0, 1, 2], 500), 0, CallLimits { records: 10, bytes: 100 }).unwrap();
        assert_eq!(chunks.iter().map(|c| c.records).collect::<Vec<_>>(), [1, 1, 1]);
    }

    proptest! {
        #[test]
        fn every_needed_record_is_in_exactly_one_chunk(
            deltas in proptest::collection::btree_set(0..200i32, 1..60),
            base in 0..1000i64,
            skip in -5..210i64,
            records in 1..20usize,
            bytes in 0..400usize,
        ) {
            let deltas: Vec<i32> = deltas.into_iter().collect();
            let from = base + skip;
            let batch = batch(base, &deltas, 0);
            let chunks = split(&batch, from, CallLimits { records, bytes }).unwrap();
            let got: Vec<i64> = chunks.iter().flat_map(offsets).collect();
            let needed: Vec<i64> = deltas.iter().map(|d| base + i64::from(*d)).filter(|o| *o >= from).collect();
            prop_assert_eq!(got, needed);
            for chunk in &chunks {
                let held = offsets(chunk);
                prop_assert_eq!(chunk.records, held.len());
                prop_assert!(held.len() <= records);
                prop_assert!(chunk.next_offset > *held.last().unwrap());
            }
            if let Some(last) = chunks.last() {
                prop_assert_eq!(last.next_offset, base + i64::from(*deltas.last().unwrap()) + 1);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), from in any::<i64>()) {
            let _ = split(&Bytes::from(bytes.clone()), from, CallLimits::SINGLE);
            if bytes.len() > 61 {
                let length = (bytes.len() - 12) as i32;
                bytes[8..12].copy_from_slice(&length.to_be_bytes());
                bytes[16] = 2;
                bytes[21..23].copy_from_slice(&[0, 0]);
                bytes[23..27].copy_from_slice(&[0, 0, 1, 0]);
                bytes[57..61].copy_from_slice(&[0, 0, 0, 20]);
                let _ = split(&Bytes::from(bytes), from, CallLimits::SINGLE);
            }
        }
    }
}
