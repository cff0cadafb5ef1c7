//! Writes a batch into one buffer; the header is patched when the batch is finished.

use crate::{
    Attributes, BatchError, BatchHeader, HEADER_LEN, Header, LOG_OVERHEAD, MAGIC_V2, NO_EPOCH, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, varint,
};
use alloc::vec::Vec;

/// Builds one uncompressed batch at base offset 0. [`BatchBuilder::reset`] keeps the buffer, so a builder
/// that is used again and again stops allocating.
///
/// A batch must stay below 2 GiB, which is what its 32-bit length can say; the methods that add a record
/// panic past it. Callers bound their batches far below (`max.message.bytes`).
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    base_timestamp: i64,
    max_timestamp: i64,
    next_delta: i32,
    last_offset_delta: Option<i32>,
    count: i32,
    attributes: Attributes,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
}

impl BatchBuilder {
    /// An empty batch; record timestamps are stored relative to `base_timestamp` (milliseconds).
    pub fn new(base_timestamp: i64) -> Self {
        Self::with_capacity(base_timestamp, 0)
    }

    /// An empty batch with room for `records_bytes` bytes of encoded records.
    pub fn with_capacity(base_timestamp: i64, records_bytes: usize) -> Self {
        let mut builder = Self {
            bytes: Vec::with_capacity(HEADER_LEN + records_bytes),
            base_timestamp,
            max_timestamp: NO_TIMESTAMP,
            next_delta: 0,
            last_offset_delta: None,
            count: 0,
            attributes: Attributes::default(),
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
        };
        builder.reset(base_timestamp);
        builder
    }

    /// Starts an empty batch again, without producer and flags, and keeps the allocation.
    pub fn reset(&mut self, base_timestamp: i64) {
        self.bytes.clear();
        self.bytes.resize(HEADER_LEN, 0);
        self.base_timestamp = base_timestamp;
        self.max_timestamp = NO_TIMESTAMP;
        self.next_delta = 0;
        self.last_offset_delta = None;
        self.count = 0;
        self.attributes = Attributes::default();
        self.producer_id = NO_PRODUCER_ID;
        self.producer_epoch = NO_PRODUCER_EPOCH;
        self.base_sequence = NO_SEQUENCE;
    }

    /// Adds a record at the next offset delta. `timestamp` is in milliseconds.
    pub fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) {
        self.push_parts(self.next_delta, timestamp, key, value, Headers::List(headers));
    }

    /// Adds a record at the next offset delta, with headers as [`crate::Record::encoded_headers`] gives them.
    pub fn push_raw_headers(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        header_count: i32,
        encoded: &[u8],
    ) {
        self.push_parts(self.next_delta, timestamp, key, value, Headers::Encoded(header_count, encoded));
    }

    /// Adds a record at `offset_delta`, which may leave a gap: for a batch that keeps another one's offsets.
    ///
    /// # Errors
    /// [`BatchError::OffsetOrder`] when `offset_delta` is not above that of the record before.
    pub fn push_at(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), BatchError> {
        self.check_delta(offset_delta)?;
        self.push_parts(offset_delta, timestamp, key, value, Headers::List(headers));
        Ok(())
    }

    /// [`BatchBuilder::push_at`] with headers as [`crate::Record::encoded_headers`] gives them.
    ///
    /// # Errors
    /// As [`BatchBuilder::push_at`].
    pub fn push_raw_headers_at(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        header_count: i32,
        encoded: &[u8],
    ) -> Result<(), BatchError> {
        self.check_delta(offset_delta)?;
        self.push_parts(offset_delta, timestamp, key, value, Headers::Encoded(header_count, encoded));
        Ok(())
    }

    /// Stamps the batch with an idempotent or transactional producer.
    pub fn set_producer(&mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) {
        self.producer_id = producer_id;
        self.producer_epoch = producer_epoch;
        self.base_sequence = base_sequence;
    }

    /// Says whether the batch belongs to a transaction.
    pub fn set_transactional(&mut self, transactional: bool) {
        self.attributes = self.attributes.with_transactional(transactional);
    }

    /// Says whether the batch holds a marker of the broker.
    pub fn set_control(&mut self, control: bool) {
        self.attributes = self.attributes.with_control(control);
    }

    /// Makes the batch end at `last_offset_delta` although its last records are gone, as compaction and
    /// filtering must so that sequence numbers stay whole. Below the last record's delta it has no effect.
    pub fn set_last_offset_delta(&mut self, last_offset_delta: i32) {
        self.last_offset_delta = Some(last_offset_delta);
    }

    /// Bytes of the batch so far, header included.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Records so far. A batch without records still occupies an offset: do not append one.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Whether no record was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Patches the header and gives the batch, with a CRC of 0. More records may be added afterwards.
    pub fn finish(&mut self) -> &[u8] {
        let header = self.header();
        header.write_to(&mut self.bytes);
        &self.bytes
    }

    /// The finished batch, with a CRC of 0.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.finish();
        self.bytes
    }

    /// [`BatchBuilder::finish`] with the CRC-32C that Kafka's readers check.
    #[cfg(feature = "checksum")]
    pub fn finish_with_crc(&mut self) -> &[u8] {
        self.finish();
        crate::recompute_crc(&mut self.bytes);
        &self.bytes
    }

    /// [`BatchBuilder::into_bytes`] with the CRC-32C that Kafka's readers check.
    #[cfg(feature = "checksum")]
    pub fn into_bytes_with_crc(mut self) -> Vec<u8> {
        self.finish_with_crc();
        self.bytes
    }

    fn header(&self) -> BatchHeader {
        let last_record_delta = (self.next_delta - 1).max(0);
        BatchHeader {
            base_offset: 0,
            batch_length: i32::try_from(self.bytes.len() - LOG_OVERHEAD).expect("a batch is below 2 GiB"),
            partition_leader_epoch: NO_EPOCH,
            magic: MAGIC_V2,
            crc: 0,
            attributes: self.attributes,
            last_offset_delta: self.last_offset_delta.map_or(last_record_delta, |delta| delta.max(last_record_delta)),
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            record_count: self.count,
        }
    }

    fn check_delta(&self, offset_delta: i32) -> Result<(), BatchError> {
        // The last possible delta is left out so that there is always a next one.
        if offset_delta < self.next_delta || offset_delta == i32::MAX {
            return Err(BatchError::OffsetOrder(offset_delta));
        }
        Ok(())
    }

    fn push_parts(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers<'_>,
    ) {
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let record_len = 1
            + varint::len_i64(timestamp_delta)
            + varint::len_i32(offset_delta)
            + nullable_len(key)
            + nullable_len(value)
            + headers.len();
        let out = &mut self.bytes;
        varint::write_i32(out, i32::try_from(record_len).expect("a batch is below 2 GiB"));
        out.reserve(record_len);
        out.push(0);
        varint::write_i64(out, timestamp_delta);
        varint::write_i32(out, offset_delta);
        write_nullable(out, key);
        write_nullable(out, value);
        headers.write(out);
        self.max_timestamp = if self.count == 0 { timestamp } else { self.max_timestamp.max(timestamp) };
        self.next_delta = offset_delta + 1;
        self.count += 1;
    }
}

enum Headers<'a> {
    List(&'a [Header<'a>]),
    Encoded(i32, &'a [u8]),
}

impl Headers<'_> {
    fn count(&self) -> i32 {
        match self {
            Self::List(list) => i32::try_from(list.len()).expect("a batch is below 2 GiB"),
            Self::Encoded(count, _) => *count,
        }
    }

    fn len(&self) -> usize {
        varint::len_i32(self.count())
            + match self {
                Self::List(list) => {
                    list.iter().map(|h| nullable_len(Some(h.key.as_bytes())) + nullable_len(h.value)).sum()
                }
                Self::Encoded(_, encoded) => encoded.len(),
            }
    }

    fn write(&self, out: &mut Vec<u8>) {
        varint::write_i32(out, self.count());
        match self {
            Self::List(list) => {
                for header in *list {
                    write_nullable(out, Some(header.key.as_bytes()));
                    write_nullable(out, header.value);
                }
            }
            Self::Encoded(_, encoded) => out.extend_from_slice(encoded),
        }
    }
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    // A null is the length -1, which is one byte.
    bytes.map_or(1, |b| varint::len_i32(i32::try_from(b.len()).expect("a batch is below 2 GiB")) + b.len())
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::write_i32(out, -1),
        Some(b) => {
            varint::write_i32(out, b.len() as i32);
            out.extend_from_slice(b);
        }
    }
}
