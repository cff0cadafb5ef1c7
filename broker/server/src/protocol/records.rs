//! What becomes of a record set before a partition is asked to append it.
//!
//! What it does: it checks length, magic, CRC and the rules of the topic, here and nowhere else, and brings the batch into
//! the form in which it is kept. The records of an uncompressed batch are read once; those of a compressed one are
//! opened only where a rule cannot be judged by the header. What has to change is the header, as a rule: it is kept
//! beside the bytes, so that nothing is copied; only another codec makes other bytes. What it does not do: what the
//! numbers mean (sequences, counts, control batches) is the partition's affair.

use bytes::Bytes;
use pelton_core::event::IncomingBatch;
use pelton_core::model::{Timestamp, TopicPartition};
use pelton_core::partition::rules::{AppendRules, RecordErrors};
use pelton_core::refusal::Refusal;
use pelton_record::{
    BatchError, BatchHeader, BatchView, Codec, CodecError, HEADER_LEN, TimestampType, compressed_batch_at,
    recompute_crc, uncompressed_batch,
};
use std::borrow::Cow;

/// Where the CRC of a batch begins to cover it.
const CRC_FROM: usize = 21;

/// The batch of one record set: Produce v3 and later carry exactly one for each partition.
///
/// # Errors
/// [`Refusal::UnsupportedFormat`] for the formats before version 2, [`Refusal::CorruptMessage`] for a batch
/// that is damaged, and what [`check`] finds.
pub fn accept(
    records: &Bytes,
    partition: &TopicPartition,
    rules: &AppendRules,
    now_ms: i64,
) -> Result<IncomingBatch, RecordErrors> {
    let view = BatchView::parse(records).map_err(refusal)?;
    if view.bytes().len() != records.len() {
        let why = "a produce request holds exactly one record batch for each partition";
        return Err(Refusal::InvalidRecord(why.to_owned()).into());
    }
    view.verify_crc().map_err(refusal)?;
    check(IncomingBatch { header: *view.header(), bytes: records.clone() }, partition, rules, now_ms)
}

/// The batch, when its records keep the rules of the topic. Its largest timestamp is then what its header says: a
/// producer's word is corrected, since searches and retention go by it.
///
/// # Errors
/// Which records break which rule; [`Refusal::RecordTooLarge`] for records that are too large when decompressed.
pub fn check(
    mut batch: IncomingBatch,
    partition: &TopicPartition,
    rules: &AppendRules,
    now_ms: i64,
) -> Result<IncomingBatch, RecordErrors> {
    let now = Timestamp(now_ms);
    rules.check_timestamp_type(&batch.header)?;
    forget_delete_horizon(&mut batch);
    let codec = batch.header.attributes.codec().map_err(refusal)?;
    if codec != Codec::None && !rules.need_records(&batch.header, now) {
        return Ok(batch);
    }
    let plain = plain(&batch, rules)?;
    let newest = rules.check_records(partition, &BatchView::parse(&plain).map_err(refusal)?, now)?;
    if batch.header.record_count > 0 && batch.header.max_timestamp != newest {
        batch.header.max_timestamp = newest;
        batch.header.crc = crc(&batch.header, &batch.bytes);
    }
    Ok(batch)
}

/// The batch as it is kept: with the broker's time in place of the producer's (`message.timestamp.type=LogAppendTime`),
/// and in the topic's codec (`compression.type`).
///
/// # Errors
/// When it has to be encoded anew and cannot be read, or is too large.
pub fn kept(mut batch: IncomingBatch, rules: &AppendRules, now_ms: i64) -> Result<IncomingBatch, Refusal> {
    let before = batch.header;
    if rules.timestamp_type == TimestampType::LogAppend {
        batch.header.attributes = before.attributes.with_timestamp_type(TimestampType::LogAppend);
        batch.header.max_timestamp = now_ms;
    }
    if let Some(codec) = rules.kept_codec(&before) {
        // As in Kafka, the limit holds for what comes as well, however small it would be kept.
        rules.check_size(batch.bytes.len())?;
        return recoded(&batch, codec, rules);
    }
    if batch.header != before {
        batch.header.crc = crc(&batch.header, &batch.bytes);
    }
    Ok(batch)
}

/// Only a compaction says when tombstones may go (KIP-534). Kafka takes such a batch, too, but its next compaction goes by
/// what the producer wrote, and a consumer may miss a deletion; here the bit is cleared.
fn forget_delete_horizon(batch: &mut IncomingBatch) {
    if batch.header.attributes.has_delete_horizon() {
        batch.header.attributes = batch.header.attributes.with_delete_horizon(false);
        batch.header.crc = crc(&batch.header, &batch.bytes);
    }
}

/// Whether the batch is compressed with zstd, which Produce knows from v7 on (KIP-110).
pub fn is_zstd(batch: &IncomingBatch) -> bool {
    batch.header.attributes.codec() == Ok(Codec::Zstd)
}

/// The whole batch with its records uncompressed. Its header is that of the bytes.
fn plain<'b>(batch: &'b IncomingBatch, rules: &AppendRules) -> Result<Cow<'b, [u8]>, Refusal> {
    let view = BatchView::parse(&batch.bytes).map_err(refusal)?;
    uncompressed_batch(&view, rules.decompressed_max_bytes).map_err(undecodable)
}

/// The batch in another codec.
fn recoded(batch: &IncomingBatch, codec: Codec, rules: &AppendRules) -> Result<IncomingBatch, Refusal> {
    let mut bytes = plain(batch, rules)?.into_owned();
    let BatchHeader { batch_length, .. } = BatchHeader::parse(&bytes).map_err(refusal)?;
    let attributes = batch.header.attributes.with_codec(Codec::None);
    BatchHeader { batch_length, attributes, ..batch.header }.write_to(&mut bytes);
    if codec == Codec::None {
        recompute_crc(&mut bytes);
    } else {
        let plain = BatchView::parse(&bytes).map_err(refusal)?;
        bytes = compressed_batch_at(&plain, codec, rules.compression_level).map_err(undecodable)?;
    }
    Ok(IncomingBatch { header: BatchHeader::parse(&bytes).map_err(refusal)?, bytes: bytes.into() })
}

/// The CRC of a batch with this header and the records of `bytes`.
fn crc(header: &BatchHeader, bytes: &[u8]) -> u32 {
    let mut head = [0; HEADER_LEN];
    header.write_to(&mut head);
    crc32c::crc32c_append(crc32c::crc32c(&head[CRC_FROM..]), &bytes[HEADER_LEN..])
}

fn refusal(error: BatchError) -> Refusal {
    match error {
        BatchError::UnsupportedMagic(_) => Refusal::UnsupportedFormat,
        BatchError::InvalidField { .. } | BatchError::UnknownCodec(_) => Refusal::InvalidRecord(error.to_string()),
        _ => Refusal::CorruptMessage(error.to_string()),
    }
}

/// The CRC was right, so this is what the producer wrote: sending it again does not help.
fn undecodable(error: CodecError) -> Refusal {
    match error {
        CodecError::TooLarge(_) => Refusal::RecordTooLarge,
        CodecError::Corrupt(..) | CodecError::Batch(_) => Refusal::InvalidRecord(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
