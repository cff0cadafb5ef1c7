//! What can be wrong with the bytes of a batch: one fact each.

use core::fmt;

/// Why bytes are not a record batch of format version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchError {
    /// The bytes end before the batch does.
    Truncated {
        /// Bytes that the batch needs, from its first byte.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// The batch has another format version than 2; its writer must write record format v2.
    UnsupportedMagic(i8),
    /// A field of the header holds a value that no batch may have.
    InvalidField {
        /// The field, by Kafka's name.
        field: &'static str,
        /// What it holds.
        value: i64,
    },
    /// The attributes name a compression codec that does not exist.
    UnknownCodec(u8),
    /// The records are compressed and must be decompressed before they are read.
    CompressedBatch(crate::Codec),
    /// The CRC-32C in the header is not that of the bytes.
    CrcMismatch {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A variable-length integer is longer than its type allows.
    VarintOverflow,
    /// A record, or a part of one, is longer than the bytes that are left.
    RecordOverrun,
    /// A length or count inside a record is negative where it may not be.
    NegativeLength,
    /// Bytes are left over after the last record, or inside a record after its last header.
    TrailingBytes(usize),
    /// The offset delta of a record is not above the one before it, or lies past the batch's last.
    OffsetOrder(i32),
    /// A record header's key is not UTF-8.
    HeaderKeyNotUtf8,
    /// The batch is no control batch, or its marker cannot be read.
    NotAControlBatch,
    /// The marker has a type that is neither abort nor commit.
    UnknownControlType(i16),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, available } => {
                write!(f, "the batch needs {needed} bytes and only {available} are there")
            }
            Self::UnsupportedMagic(magic) => {
                write!(
                    f,
                    "the batch has format version {magic}; only version 2 is read, so use a client that writes it"
                )
            }
            Self::InvalidField { field, value } => write!(f, "the batch header's {field} may not be {value}"),
            Self::UnknownCodec(id) => write!(f, "the batch names the unknown compression codec {id}"),
            Self::CompressedBatch(codec) => {
                write!(f, "the records are compressed with {}; decompress the batch first", codec.name())
            }
            Self::CrcMismatch { stored, computed } => {
                write!(f, "the batch's CRC-32C is {stored:08x} but its bytes give {computed:08x}")
            }
            Self::VarintOverflow => f.write_str("a variable-length integer is longer than its type allows"),
            Self::RecordOverrun => f.write_str("a record is longer than the bytes that are left"),
            Self::NegativeLength => f.write_str("a length inside a record is negative"),
            Self::TrailingBytes(count) => write!(f, "{count} bytes are left over after what the batch declares"),
            Self::OffsetOrder(delta) => {
                write!(f, "the offset delta {delta} is not above the one before it or lies past the batch's last")
            }
            Self::HeaderKeyNotUtf8 => f.write_str("the key of a record header is not UTF-8"),
            Self::NotAControlBatch => f.write_str("the batch holds no transaction marker that can be read"),
            Self::UnknownControlType(id) => write!(f, "the marker has the unknown control type {id}"),
        }
    }
}

impl core::error::Error for BatchError {}
