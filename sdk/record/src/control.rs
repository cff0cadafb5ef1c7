//! Transaction markers: the one record of a control batch (KIP-98, Kafka's `EndTxnMarker` schema).

use crate::{BatchError, BatchView};

/// What a transaction marker says about the transaction's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum ControlType {
    /// They are to be dropped.
    Abort = 0,
    /// They stand.
    Commit = 1,
}

/// The control batch that ends a transaction, with base offset 0 and its CRC. `timestamp` is in milliseconds.
#[cfg(feature = "checksum")]
pub fn control_batch(
    control_type: ControlType,
    producer_id: i64,
    producer_epoch: i16,
    coordinator_epoch: i32,
    timestamp: i64,
) -> alloc::vec::Vec<u8> {
    let mut key = [0; 4];
    key[2..4].copy_from_slice(&(control_type as i16).to_be_bytes());
    let mut value = [0; 6];
    value[2..6].copy_from_slice(&coordinator_epoch.to_be_bytes());
    let mut builder = crate::BatchBuilder::with_capacity(timestamp, 32);
    builder.set_producer(producer_id, producer_epoch, crate::NO_SEQUENCE);
    builder.set_transactional(true);
    builder.set_control(true);
    builder.push(timestamp, Some(&key), Some(&value), &[]);
    builder.into_bytes_with_crc()
}

/// Reads the marker of a control batch: its type and the epoch of the coordinator that wrote it.
/// Fields that later versions of the schema append are passed over.
///
/// # Errors
/// [`BatchError::NotAControlBatch`] when the batch is none or is damaged, [`BatchError::UnknownControlType`],
/// and those of [`BatchView::records`].
pub fn parse_control(batch: &BatchView<'_>) -> Result<(ControlType, i32), BatchError> {
    if !batch.header().attributes.is_control() {
        return Err(BatchError::NotAControlBatch);
    }
    let record = batch.records()?.next().ok_or(BatchError::NotAControlBatch)??;
    let key = record.key.and_then(|k| k.first_chunk::<4>()).ok_or(BatchError::NotAControlBatch)?;
    let control_type = match i16::from_be_bytes([key[2], key[3]]) {
        0 => ControlType::Abort,
        1 => ControlType::Commit,
        other => return Err(BatchError::UnknownControlType(other)),
    };
    let value = record.value.and_then(|v| v.first_chunk::<6>()).ok_or(BatchError::NotAControlBatch)?;
    Ok((control_type, i32::from_be_bytes([value[2], value[3], value[4], value[5]])))
}
