//! Kafka's record batch, format version 2 (magic 2): read, write, CRC-32C.
//!
//! What this room does: it reads the header of a batch ([`BatchHeader`]), views one complete batch in
//! place ([`BatchView`], [`batches`]), walks its records without copying ([`RecordIter`]), builds batches
//! in one buffer ([`BatchBuilder`]), writes transaction markers ([`control_batch`]), and, with features,
//! checks CRCs and (de)compresses the records. Guests, the runtime and the broker share it, so it is
//! `no_std` with `alloc`; hosts turn on `std`, `checksum` and `codecs`.
//!
//! What it does not do: no older formats (magic 0 and 1 are an error), no files, no offsets of its own.
//!
//! Invariant: no sequence of bytes makes a reader panic, read past its input, or allocate more than a
//! constant times what it was given (decompression: more than the cap that its caller names).
//!
//! Source of the format: <https://kafka.apache.org/documentation/#recordbatch> and KIP-98.

#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

mod batch;
mod builder;
#[cfg(feature = "codecs")]
mod codec;
mod control;
mod error;
mod header;
mod partition;
mod patch;
mod record;
pub mod varint;

pub use batch::{BatchIter, BatchView, batches};
pub use builder::BatchBuilder;
#[cfg(feature = "codecs")]
pub use codec::{
    CodecError, compress, compress_at, compressed_batch, compressed_batch_at, decompress, uncompressed_batch,
};
#[cfg(feature = "checksum")]
pub use control::control_batch;
pub use control::{ControlType, parse_control};
pub use error::BatchError;
pub use header::{
    Attributes, BatchHeader, Codec, HEADER_LEN, LOG_OVERHEAD, MAGIC_V2, NO_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
    NO_SEQUENCE, NO_TIMESTAMP, TimestampType,
};
pub use partition::{crc32, keyed_crc32, keyed_murmur2, murmur2};
pub use patch::patch_offset_and_epoch;
#[cfg(feature = "checksum")]
pub use patch::{compute_crc, patch_producer, recompute_crc};
pub use record::{Header, HeaderIter, MIN_RECORD_LEN, Record, RecordIter};

#[cfg(all(test, feature = "codecs"))]
mod tests;
