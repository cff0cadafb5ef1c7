//! The 61 bytes in front of every batch.

use crate::BatchError;

/// Length of a version 2 batch header in bytes; the records follow it.
pub const HEADER_LEN: usize = 61;
/// Bytes of the base offset and the batch length, which the batch length does not count.
pub const LOG_OVERHEAD: usize = 12;
/// The format version of every batch that this crate reads and writes.
pub const MAGIC_V2: i8 = 2;
/// Producer id of a batch whose producer is not idempotent.
pub const NO_PRODUCER_ID: i64 = -1;
/// Producer epoch of a batch whose producer is not idempotent.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Base sequence of a batch without sequence numbers, such as a transaction marker.
pub const NO_SEQUENCE: i32 = -1;
/// Leader epoch of a batch that no leader has appended yet.
pub const NO_EPOCH: i32 = -1;
/// Timestamp of a batch without records.
pub const NO_TIMESTAMP: i64 = -1;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 1 << 6;

/// How the records of a batch are compressed. The header never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy in the framing of the Java library (xerial).
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

impl Codec {
    /// The codec with this number in a batch's attributes.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`] for 5, 6 and 7 (and whatever else is not 0 to 4).
    pub fn from_id(id: u8) -> Result<Self, BatchError> {
        Ok(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            other => return Err(BatchError::UnknownCodec(other)),
        })
    }

    /// The codec's number in a batch's attributes.
    pub fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec's name in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Who set the timestamps of a batch (`message.timestamp.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer.
    Create,
    /// The broker, when it appended the batch: all its records have the header's `max_timestamp`.
    LogAppend,
}

/// The attributes of a batch: bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// How the records are compressed.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`].
    pub fn codec(self) -> Result<Codec, BatchError> {
        Codec::from_id((self.0 & CODEC_MASK) as u8)
    }

    /// Who set the timestamps.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & LOG_APPEND_TIME == 0 { TimestampType::Create } else { TimestampType::LogAppend }
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL != 0
    }

    /// Whether the batch holds a marker of the broker and no records of a user.
    pub fn is_control(self) -> bool {
        self.0 & CONTROL != 0
    }

    /// Whether the base timestamp is the time from which tombstones and the marker of the batch may go (KIP-534). A
    /// compaction says so, and no producer.
    pub fn has_delete_horizon(self) -> bool {
        self.0 & DELETE_HORIZON != 0
    }

    /// These attributes with another codec.
    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Self {
        Self((self.0 & !CODEC_MASK) | i16::from(codec.id()))
    }

    /// These attributes with another timestamp type.
    #[must_use]
    pub fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        self.with_bit(LOG_APPEND_TIME, timestamp_type == TimestampType::LogAppend)
    }

    /// These attributes with the transactional bit set or cleared.
    #[must_use]
    pub fn with_transactional(self, transactional: bool) -> Self {
        self.with_bit(TRANSACTIONAL, transactional)
    }

    /// These attributes with the control bit set or cleared.
    #[must_use]
    pub fn with_control(self, control: bool) -> Self {
        self.with_bit(CONTROL, control)
    }

    /// These attributes with the bit of the delete horizon set or cleared.
    #[must_use]
    pub fn with_delete_horizon(self, delete_horizon: bool) -> Self {
        self.with_bit(DELETE_HORIZON, delete_horizon)
    }

    fn with_bit(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// The header of a version 2 batch. The CRC covers everything from `attributes` on, so that a broker
/// sets the base offset and the leader epoch without touching it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the batch's first record (of the first that it ever had: compaction keeps it).
    pub base_offset: i64,
    /// Bytes of the batch after this field.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; [`NO_EPOCH`] from a producer.
    pub partition_leader_epoch: i32,
    /// Format version, always [`MAGIC_V2`].
    pub magic: i8,
    /// CRC-32C of the bytes from `attributes` to the end.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control.
    pub attributes: Attributes,
    /// Offset of the last record less the base offset; kept by compaction.
    pub last_offset_delta: i32,
    /// Timestamp in milliseconds to which the records' deltas are added.
    pub base_timestamp: i64,
    /// Largest timestamp of the batch in milliseconds.
    pub max_timestamp: i64,
    /// Producer id, or [`NO_PRODUCER_ID`].
    pub producer_id: i64,
    /// Producer epoch, or [`NO_PRODUCER_EPOCH`].
    pub producer_epoch: i16,
    /// Sequence number of the first record, or [`NO_SEQUENCE`].
    pub base_sequence: i32,
    /// Number of records that are there.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`; the records need not be there.
    ///
    /// # Errors
    /// [`BatchError::Truncated`], [`BatchError::UnsupportedMagic`], [`BatchError::InvalidField`] for lengths,
    /// counts and offsets that contradict each other.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        // The format version stands at the same place in every version, so an old batch is named as such
        // even where it is shorter than a header of version 2.
        if let Some(&magic) = bytes.get(16)
            && magic as i8 != MAGIC_V2
        {
            return Err(BatchError::UnsupportedMagic(magic as i8));
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Truncated { needed: HEADER_LEN, available: bytes.len() });
        };
        let header = Self {
            base_offset: i64::from_be_bytes(field(bytes, 0)),
            batch_length: i32::from_be_bytes(field(bytes, 8)),
            partition_leader_epoch: i32::from_be_bytes(field(bytes, 12)),
            magic: i8::from_be_bytes(field(bytes, 16)),
            crc: u32::from_be_bytes(field(bytes, 17)),
            attributes: Attributes(i16::from_be_bytes(field(bytes, 21))),
            last_offset_delta: i32::from_be_bytes(field(bytes, 23)),
            base_timestamp: i64::from_be_bytes(field(bytes, 27)),
            max_timestamp: i64::from_be_bytes(field(bytes, 35)),
            producer_id: i64::from_be_bytes(field(bytes, 43)),
            producer_epoch: i16::from_be_bytes(field(bytes, 51)),
            base_sequence: i32::from_be_bytes(field(bytes, 53)),
            record_count: i32::from_be_bytes(field(bytes, 57)),
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), BatchError> {
        let invalid = |field, value| Err(BatchError::InvalidField { field, value });
        if (self.batch_length as i64) < (HEADER_LEN - LOG_OVERHEAD) as i64 {
            return invalid("batchLength", i64::from(self.batch_length));
        }
        if self.last_offset_delta < 0 {
            return invalid("lastOffsetDelta", i64::from(self.last_offset_delta));
        }
        // One offset past the batch must exist too, or the log could never go on.
        if self.base_offset < 0 || self.base_offset > i64::MAX - i64::from(self.last_offset_delta) - 1 {
            return invalid("baseOffset", self.base_offset);
        }
        if self.record_count < 0 || i64::from(self.record_count) > i64::from(self.last_offset_delta) + 1 {
            return invalid("recordsCount", i64::from(self.record_count));
        }
        Ok(())
    }

    /// Writes the header to the front of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`HEADER_LEN`].
    pub fn write_to(&self, out: &mut [u8]) {
        let out = out.first_chunk_mut::<HEADER_LEN>().expect("a batch header needs 61 bytes of room");
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        out[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        out[16] = self.magic as u8;
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.record_count.to_be_bytes());
    }

    /// Offset of the batch's last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset of the record after the batch.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequence number of the last record, or [`NO_SEQUENCE`]. After `i32::MAX` comes 0, as in Kafka.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return NO_SEQUENCE;
        }
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)) & i64::from(i32::MAX)) as i32
    }

    /// Bytes of the whole batch: header and records.
    pub fn total_len(&self) -> usize {
        LOG_OVERHEAD + self.batch_length.max(0) as usize
    }

    /// Whether an idempotent or transactional producer wrote the batch.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }
}

fn field<const N: usize>(bytes: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
