//! The four codecs of `compression.type`, with an output that never passes a cap.

use crate::{Attributes, BatchError, BatchHeader, BatchView, Codec, HEADER_LEN, LOG_OVERHEAD, recompute_crc};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use std::fmt;
use std::io::{self, Read, Write};

/// Why records could not be compressed or decompressed.
#[derive(Debug)]
pub enum CodecError {
    /// The output would be larger than the cap that the caller named, in bytes.
    TooLarge(usize),
    /// The bytes are not what the codec writes.
    Corrupt(Codec, io::Error),
    /// The batch around the records is damaged.
    Batch(BatchError),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(cap) => write!(f, "the records are larger than {cap} bytes when decompressed"),
            Self::Corrupt(codec, error) => write!(f, "the records are no valid {} data: {error}", codec.name()),
            Self::Batch(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TooLarge(_) => None,
            Self::Corrupt(_, error) => Some(error),
            Self::Batch(error) => Some(error),
        }
    }
}

impl From<BatchError> for CodecError {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

/// Decompresses `bytes` into at most `cap_bytes` bytes. Memory grows with what was really decompressed,
/// so a bomb is refused when it reaches the cap and is never allocated.
///
/// # Errors
/// [`CodecError::TooLarge`], [`CodecError::Corrupt`].
pub fn decompress(codec: Codec, bytes: &[u8], cap_bytes: usize) -> Result<Vec<u8>, CodecError> {
    match codec {
        Codec::None if bytes.len() > cap_bytes => Err(CodecError::TooLarge(cap_bytes)),
        Codec::None => Ok(bytes.to_vec()),
        Codec::Gzip => read_capped(codec, flate2::read::MultiGzDecoder::new(bytes), cap_bytes),
        Codec::Snappy => decompress_snappy(bytes, cap_bytes),
        Codec::Lz4 => read_capped(codec, lz4_flex::frame::FrameDecoder::new(bytes), cap_bytes),
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|e| CodecError::Corrupt(codec, e))?;
            read_capped(codec, decoder, cap_bytes)
        }
    }
}

fn read_capped(codec: Codec, reader: impl Read, cap_bytes: usize) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    let one_past_the_cap = (cap_bytes as u64).saturating_add(1);
    reader.take(one_past_the_cap).read_to_end(&mut out).map_err(|e| CodecError::Corrupt(codec, e))?;
    if out.len() > cap_bytes { Err(CodecError::TooLarge(cap_bytes)) } else { Ok(out) }
}

/// Compresses `bytes` at the codec's default level.
///
/// # Errors
/// [`CodecError::Corrupt`] when the codec's library fails.
pub fn compress(codec: Codec, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    compress_at(codec, None, bytes)
}

/// Compresses `bytes` at a level: 1 to 9 of gzip, -131072 to 22 of zstd. The others have one level. `None` is the codec's
/// default.
///
/// # Errors
/// [`CodecError::Corrupt`] when the codec's library fails.
pub fn compress_at(codec: Codec, level: Option<i32>, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    let failed = |error: io::Error| CodecError::Corrupt(codec, error);
    match codec {
        Codec::None => Ok(bytes.to_vec()),
        Codec::Gzip => {
            let level = level.map(|level| flate2::Compression::new(level.clamp(1, 9).unsigned_abs()));
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level.unwrap_or_default());
            encoder.write_all(bytes).map_err(failed)?;
            encoder.finish().map_err(failed)
        }
        Codec::Snappy => compress_snappy(bytes),
        Codec::Lz4 => {
            // Java's reader takes independent blocks only.
            let info = lz4_flex::frame::FrameInfo::new()
                .block_mode(lz4_flex::frame::BlockMode::Independent)
                .block_size(lz4_flex::frame::BlockSize::Max64KB);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(bytes).map_err(failed)?;
            encoder.finish().map_err(|error| failed(error.into()))
        }
        Codec::Zstd => zstd::stream::encode_all(bytes, level.unwrap_or(0)).map_err(failed),
    }
}

/// The header that snappy-java's stream writes: magic, version 1, compatible with version 1.
const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
/// snappy-java's default block size in bytes.
const XERIAL_BLOCK_LEN: usize = 32 * 1024;
/// A snappy copy of 3 bytes yields at most 64, so no valid block grows by more than this factor.
const SNAPPY_MAX_GROWTH: usize = 22;

fn decompress_snappy(bytes: &[u8], cap_bytes: usize) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    if !bytes.starts_with(XERIAL_MAGIC) {
        append_snappy_block(bytes, &mut out, cap_bytes)?;
        return Ok(out);
    }
    let mut rest = bytes.get(XERIAL_HEADER.len()..).ok_or_else(snappy_truncated)?;
    while !rest.is_empty() {
        let (len, tail) = rest.split_first_chunk::<4>().ok_or_else(snappy_truncated)?;
        let len = u32::from_be_bytes(*len) as usize;
        let (block, tail) = tail.split_at_checked(len).ok_or_else(snappy_truncated)?;
        append_snappy_block(block, &mut out, cap_bytes)?;
        rest = tail;
    }
    Ok(out)
}

fn append_snappy_block(block: &[u8], out: &mut Vec<u8>, cap_bytes: usize) -> Result<(), CodecError> {
    let corrupt = |error: snap::Error| CodecError::Corrupt(Codec::Snappy, error.into());
    let len = snap::raw::decompress_len(block).map_err(corrupt)?;
    if len > block.len().saturating_mul(SNAPPY_MAX_GROWTH) {
        let claim = io::Error::new(io::ErrorKind::InvalidData, "the block claims more bytes than it can hold");
        return Err(CodecError::Corrupt(Codec::Snappy, claim));
    }
    if len > cap_bytes.saturating_sub(out.len()) {
        return Err(CodecError::TooLarge(cap_bytes));
    }
    let start = out.len();
    out.resize(start + len, 0);
    snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(corrupt)?;
    Ok(())
}

fn compress_snappy(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut out = XERIAL_HEADER.to_vec();
    let mut encoder = snap::raw::Encoder::new();
    for chunk in bytes.chunks(XERIAL_BLOCK_LEN) {
        let block = encoder.compress_vec(chunk).map_err(|e| CodecError::Corrupt(Codec::Snappy, e.into()))?;
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    Ok(out)
}

fn snappy_truncated() -> CodecError {
    CodecError::Corrupt(Codec::Snappy, io::ErrorKind::UnexpectedEof.into())
}

/// The whole batch with [`Codec::None`] and a CRC that fits: borrowed where it is uncompressed already.
/// `cap_bytes` bounds the decompressed records.
///
/// # Errors
/// Those of [`decompress`]; [`CodecError::Batch`] when the records cannot be as many as the header says.
pub fn uncompressed_batch<'a>(batch: &BatchView<'a>, cap_bytes: usize) -> Result<Cow<'a, [u8]>, CodecError> {
    let codec = batch.header().attributes.codec()?;
    if codec == Codec::None {
        return Ok(Cow::Borrowed(batch.bytes()));
    }
    let body = decompress(codec, batch.body(), cap_bytes)?;
    let whole = with_body(batch.header(), Codec::None, &body)?;
    BatchView::parse(&whole)?;
    Ok(Cow::Owned(whole))
}

/// The whole batch, whose records are not compressed yet, with `codec` at its default level and a CRC that fits.
///
/// # Errors
/// [`BatchError::CompressedBatch`] when the batch is compressed already; those of [`compress`].
pub fn compressed_batch(batch: &BatchView<'_>, codec: Codec) -> Result<Vec<u8>, CodecError> {
    compressed_batch_at(batch, codec, None)
}

/// [`compressed_batch`] at a level, as for [`compress_at`].
///
/// # Errors
/// Those of [`compressed_batch`].
pub fn compressed_batch_at(batch: &BatchView<'_>, codec: Codec, level: Option<i32>) -> Result<Vec<u8>, CodecError> {
    match batch.header().attributes.codec()? {
        Codec::None => with_body(batch.header(), codec, &compress_at(codec, level, batch.body())?),
        already => Err(BatchError::CompressedBatch(already).into()),
    }
}

fn with_body(header: &BatchHeader, codec: Codec, body: &[u8]) -> Result<Vec<u8>, CodecError> {
    let total_len = HEADER_LEN + body.len();
    let batch_length =
        i32::try_from(total_len - LOG_OVERHEAD).map_err(|_| CodecError::TooLarge(i32::MAX as usize - HEADER_LEN))?;
    let attributes: Attributes = header.attributes.with_codec(codec);
    let mut whole = Vec::with_capacity(total_len);
    whole.resize(HEADER_LEN, 0);
    whole.extend_from_slice(body);
    BatchHeader { batch_length, attributes, ..*header }.write_to(&mut whole);
    recompute_crc(&mut whole);
    Ok(whole)
}
