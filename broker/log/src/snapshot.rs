//! `.snapshot`: what a partition knew of its producers at one offset (KIP-98), in Kafka's format, version 1.
//!
//! Kafka keeps the last batch of each producer. So that a client that sends its last five batches again after a
//! restart is still recognized, the older ones follow behind Kafka's entries, under the same CRC: Kafka's reader
//! takes them for nothing, and a file without them is read too.
//!
//! What this does not do: it judges no sequence. A file that is torn or damaged is no snapshot, and an older one or
//! the batches themselves tell the producers.

use crate::disk::{Disk, DiskFile, temporary_path};
use crate::error::{IoContext, LogError};
use crate::{Offset, segment_file_name};
use std::path::Path;

/// Extension of a snapshot; its name is the offset up to which it holds.
pub(crate) const EXTENSION: &str = "snapshot";

const VERSION: i16 = 1;
/// Version, CRC and number of entries.
const HEAD_BYTES: usize = 10;
/// Where the CRC begins to count.
const CRC_FROM: usize = 6;
const ENTRY_BYTES: usize = 46;
const OLDER_BYTES: usize = 24;
/// Begins the part that Kafka does not have.
const OLDER_MAGIC: [u8; 4] = *b"PLT1";
/// Batches of a producer that are remembered at most, as in Kafka's `NUM_BATCHES_TO_RETAIN`.
pub const MAX_BATCHES: usize = 5;
/// A partition with more producers than this is not one that a broker keeps.
const MAX_SNAPSHOT_BYTES: usize = 256 << 20;

/// One batch of a producer, by its sequences and offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// How many offsets, and sequences, the first record lies before the last.
    pub offset_delta: i32,
    /// Its largest timestamp, in milliseconds.
    pub timestamp: i64,
}

/// One producer, as it stood at the offset of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEntry {
    /// The producer.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Epoch of the coordinator that wrote its last marker; `None` before the first.
    pub coordinator_epoch: Option<i32>,
    /// Timestamp of the last batch or marker, in milliseconds; -1 for none.
    pub last_timestamp: i64,
    /// First offset of the transaction that is open.
    pub open_since: Option<Offset>,
    /// Its last batches in this epoch, the newest last; [`MAX_BATCHES`] at most.
    pub batches: Vec<ProducerBatch>,
}

/// The bytes of a snapshot of these producers, in the order in which they are given.
pub fn encode(producers: &[ProducerEntry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + producers.len() * (ENTRY_BYTES + 1 + 4 * OLDER_BYTES));
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(producers.len() as u32).to_be_bytes());
    for producer in producers {
        let last = producer.batches.last();
        bytes.extend_from_slice(&producer.producer_id.to_be_bytes());
        bytes.extend_from_slice(&producer.producer_epoch.to_be_bytes());
        bytes.extend_from_slice(&last.map_or(-1, |batch| batch.last_sequence).to_be_bytes());
        bytes.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset).to_be_bytes());
        bytes.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        bytes.extend_from_slice(&producer.last_timestamp.to_be_bytes());
        bytes.extend_from_slice(&producer.coordinator_epoch.unwrap_or(-1).to_be_bytes());
        bytes.extend_from_slice(&producer.open_since.unwrap_or(-1).to_be_bytes());
    }
    if producers.iter().any(|producer| producer.batches.len() > 1) {
        encode_older(producers, &mut bytes);
    }
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[2..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn encode_older(producers: &[ProducerEntry], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&OLDER_MAGIC);
    for producer in producers {
        let older = &producer.batches[..producer.batches.len().saturating_sub(1)];
        let older = &older[older.len().saturating_sub(MAX_BATCHES - 1)..];
        bytes.push(older.len() as u8);
        for batch in older {
            bytes.extend_from_slice(&batch.last_sequence.to_be_bytes());
            bytes.extend_from_slice(&batch.last_offset.to_be_bytes());
            bytes.extend_from_slice(&batch.offset_delta.to_be_bytes());
            bytes.extend_from_slice(&batch.timestamp.to_be_bytes());
        }
    }
}

/// Reads big-endian numbers from the front of a slice.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }
}

/// The producers of a snapshot file.
///
/// # Errors
/// Says which rule of the format the bytes break.
pub fn decode(bytes: &[u8]) -> Result<Vec<ProducerEntry>, &'static str> {
    let mut reader = Reader(bytes);
    match reader.i16() {
        Some(VERSION) => {}
        Some(_) => return Err("its version is not 1"),
        None => return Err("it is shorter than its version"),
    }
    let crc = reader.take().map(u32::from_be_bytes).ok_or("it is shorter than its CRC")?;
    if crc32c::crc32c(&bytes[CRC_FROM..]) != crc {
        return Err("its CRC does not fit");
    }
    let count = reader.i32().and_then(|count| usize::try_from(count).ok()).ok_or("it has no number of entries")?;
    if count > reader.0.len() / ENTRY_BYTES {
        return Err("it is shorter than its entries");
    }
    let mut producers = Vec::with_capacity(count);
    for _ in 0..count {
        producers.push(decode_entry(&mut reader).ok_or("it is shorter than its entries")?);
    }
    if reader.0.starts_with(&OLDER_MAGIC) {
        reader.0 = &reader.0[OLDER_MAGIC.len()..];
        decode_older(&mut reader, &mut producers).ok_or("its older batches are not whole")?;
    }
    Ok(producers)
}

fn decode_entry(reader: &mut Reader<'_>) -> Option<ProducerEntry> {
    let (producer_id, producer_epoch) = (reader.i64()?, reader.i16()?);
    let (last_sequence, last_offset, offset_delta) = (reader.i32()?, reader.i64()?, reader.i32()?);
    let (timestamp, coordinator_epoch, open_since) = (reader.i64()?, reader.i32()?, reader.i64()?);
    let known = last_offset >= 0 && last_sequence >= 0 && offset_delta >= 0;
    let batch = ProducerBatch { last_sequence, last_offset, offset_delta, timestamp };
    Some(ProducerEntry {
        producer_id,
        producer_epoch,
        coordinator_epoch: (coordinator_epoch >= 0).then_some(coordinator_epoch),
        last_timestamp: timestamp,
        open_since: (open_since >= 0).then_some(open_since),
        batches: if known { vec![batch] } else { Vec::new() },
    })
}

fn decode_older(reader: &mut Reader<'_>, producers: &mut [ProducerEntry]) -> Option<()> {
    for producer in producers {
        let count = usize::from(reader.take::<1>()?[0]);
        if count >= MAX_BATCHES {
            return None;
        }
        let mut batches = Vec::with_capacity(MAX_BATCHES);
        for _ in 0..count {
            let (last_sequence, last_offset) = (reader.i32()?, reader.i64()?);
            let (offset_delta, timestamp) = (reader.i32()?, reader.i64()?);
            batches.push(ProducerBatch { last_sequence, last_offset, offset_delta, timestamp });
        }
        batches.append(&mut producer.batches);
        producer.batches = batches;
    }
    Some(())
}

/// Writes the snapshot of `offset`, whole or not at all as far as a process sees it. It is not synced.
pub(crate) fn write<D: Disk>(
    disk: &D,
    dir: &Path,
    offset: Offset,
    producers: &[ProducerEntry],
) -> Result<D::File, LogError> {
    let path = dir.join(segment_file_name(offset, EXTENSION));
    let temporary = temporary_path(&path);
    let file = disk.open(&temporary, true).context("open", &temporary)?;
    file.set_len(0).context("cut", &temporary)?;
    file.write_at(&encode(producers), 0).context("write", &temporary)?;
    disk.rename(&temporary, &path).context("replace", &path)?;
    Ok(file)
}

/// Reads the snapshot of `offset`: nothing when it is torn or damaged.
pub(crate) fn read<D: Disk>(disk: &D, dir: &Path, offset: Offset) -> Result<Option<Vec<ProducerEntry>>, LogError> {
    let path = dir.join(segment_file_name(offset, EXTENSION));
    let bytes = disk.read_small(&path, MAX_SNAPSHOT_BYTES).context("read", &path)?;
    match decode(&bytes) {
        Ok(producers) => Ok(Some(producers)),
        Err(reason) => {
            tracing::warn!(path = %path.display(), reason, "a snapshot of the producers is damaged and is not used");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
