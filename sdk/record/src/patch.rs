//! Changes to the header of a finished batch.

use crate::HEADER_LEN;

/// Sets the base offset and the leader epoch at the front of `batch`. The CRC does not cover them.
///
/// # Panics
/// When `batch` is shorter than [`HEADER_LEN`].
pub fn patch_offset_and_epoch(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    assert!(batch.len() >= HEADER_LEN, "a batch is at least its header");
    batch[0..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Sets the producer of the one batch in `batch` and recomputes its CRC.
///
/// # Panics
/// When `batch` is shorter than [`HEADER_LEN`].
#[cfg(feature = "checksum")]
pub fn patch_producer(batch: &mut [u8], producer_id: i64, producer_epoch: i16, base_sequence: i32) {
    assert!(batch.len() >= HEADER_LEN, "a batch is at least its header");
    batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
    batch[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&base_sequence.to_be_bytes());
    recompute_crc(batch);
}

/// The CRC-32C of the one batch in `batch`: of everything from its attributes on.
///
/// # Panics
/// When `batch` is shorter than [`HEADER_LEN`].
#[cfg(feature = "checksum")]
pub fn compute_crc(batch: &[u8]) -> u32 {
    assert!(batch.len() >= HEADER_LEN, "a batch is at least its header");
    crc32c::crc32c(&batch[21..])
}

/// Writes the CRC-32C of the one batch in `batch` into its header.
///
/// # Panics
/// When `batch` is shorter than [`HEADER_LEN`].
#[cfg(feature = "checksum")]
pub fn recompute_crc(batch: &mut [u8]) {
    let crc = compute_crc(batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}
