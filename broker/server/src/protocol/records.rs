//! Turns the record set of a Produce request into batches that a partition may be asked to append.
//!
//! Length, magic, CRC and, where the batch is not compressed, the framing of its records are checked here
//! and nowhere else. What the numbers mean (sequences, counts, control batches) is the partition's affair.

use bytes::Bytes;
use pelton_core::event::IncomingBatch;
use pelton_core::refusal::Refusal;
use pelton_record::{BatchError, BatchView, Codec, TimestampType, compute_crc};

/// The batches of one record set. Produce v3 and later carry exactly one for each partition.
///
/// # Errors
/// [`Refusal::UnsupportedFormat`] for the formats before version 2, [`Refusal::CorruptMessage`] for a batch
/// that is damaged, [`Refusal::InvalidRecord`] for one that breaks a rule.
pub fn split(records: &Bytes) -> Result<Vec<IncomingBatch>, Refusal> {
    let view = BatchView::parse(records).map_err(refusal)?;
    if view.bytes().len() != records.len() {
        return Err(Refusal::InvalidRecord(
            "a produce request holds exactly one record batch for each partition".to_owned(),
        ));
    }
    view.verify_crc().map_err(refusal)?;
    if view.header().attributes.codec().map_err(refusal)? == Codec::None {
        for record in view.records().map_err(refusal)? {
            record.map_err(|error| Refusal::InvalidRecord(error.to_string()))?;
        }
    }
    Ok(vec![IncomingBatch { header: *view.header(), bytes: records.clone() }])
}

/// Whether the batch is compressed with zstd, which Produce knows from v7 on (KIP-110).
pub fn is_zstd(batch: &IncomingBatch) -> bool {
    batch.header.attributes.codec() == Ok(Codec::Zstd)
}

/// The batch with the broker's time in place of the producer's (`message.timestamp.type=LogAppendTime`).
pub fn stamp(batch: IncomingBatch, now_ms: i64) -> IncomingBatch {
    let mut header = batch.header;
    header.attributes = header.attributes.with_timestamp_type(TimestampType::LogAppend);
    header.max_timestamp = now_ms;
    let mut bytes = batch.bytes.to_vec();
    header.write_to(&mut bytes);
    header.crc = compute_crc(&bytes);
    header.write_to(&mut bytes);
    IncomingBatch { header, bytes: bytes.into() }
}

fn refusal(error: BatchError) -> Refusal {
    match error {
        BatchError::UnsupportedMagic(_) => Refusal::UnsupportedFormat,
        BatchError::InvalidField { .. } | BatchError::UnknownCodec(_) => Refusal::InvalidRecord(error.to_string()),
        _ => Refusal::CorruptMessage(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_record::BatchBuilder;

    fn batch() -> Vec<u8> {
        let mut builder = BatchBuilder::new(1_000);
        builder.push(1_000, Some(b"key"), Some(b"value"), &[]);
        builder.into_bytes_with_crc()
    }

    #[test]
    fn a_whole_batch_is_taken_as_it_is() {
        let bytes = Bytes::from(batch());
        let batches = split(&bytes).unwrap();
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].bytes, bytes);
        assert_eq!(batches[0].header.record_count, 1);
    }

    #[test]
    fn a_stamped_batch_is_whole_and_has_the_brokers_time() {
        let stamped = stamp(split(&batch().into()).unwrap().remove(0), 5_000);
        let again = split(&stamped.bytes).unwrap().remove(0);
        assert_eq!(again.header, stamped.header);
        let view = BatchView::parse(&again.bytes).unwrap();
        let record = view.records().unwrap().next().unwrap().unwrap();
        assert_eq!(record.timestamp(view.header()), 5_000);
    }

    #[test]
    fn what_is_damaged_old_or_doubled_is_refused() {
        let whole = batch();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(matches!(split(&flipped.into()), Err(Refusal::CorruptMessage(_))));
        let mut old = whole.clone();
        old[16] = 1;
        assert_eq!(split(&old.into()).unwrap_err(), Refusal::UnsupportedFormat);
        let twice: Vec<u8> = [whole.clone(), whole.clone()].concat();
        assert!(matches!(split(&twice.into()), Err(Refusal::InvalidRecord(_))));
        assert!(matches!(split(&Bytes::new()), Err(Refusal::CorruptMessage(_))));
        for cut in 0..whole.len() {
            assert!(split(&Bytes::copy_from_slice(&whole[..cut])).is_err(), "cut at {cut}");
        }
    }
}
