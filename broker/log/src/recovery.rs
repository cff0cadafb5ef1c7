//! What a segment holds, read from its bytes alone: the plan that opening a log then carries out.
//!
//! Nothing here writes. A scan walks the batches from the front, checks that each follows the one before,
//! and, for the last segment of a log, that its CRC fits; where it stops, the rest is either zeros
//! (space reserved ahead), the torn end of the last segment, or damage.

use crate::Offset;
use crate::disk::DiskFile;
use crate::error::{IoContext, LogError};
use crate::index::{AbortedTxn, OffsetEntry, TimeEntry};
use crate::snapshot::ProducerEntry;
use crate::window::Window;
use pelton_record::{BatchHeader, BatchView, ControlType, NO_EPOCH, NO_TIMESTAMP, parse_control};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes that a scan reads at a time.
const SCAN_BYTES: usize = 256 << 10;
/// Batches from this size on are stepped over, when only their headers are of interest.
const LARGE_BATCH_BYTES: usize = 16 << 10;
/// Bytes that are read at a time then.
const HEADERS_BYTES: usize = 512;
/// A transaction marker is below a hundred bytes; a larger control batch is no marker.
const MAX_MARKER_BYTES: usize = 4096;

/// What opening a log tells of each of its batches, in offset order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSummary {
    /// The batch's header.
    pub header: BatchHeader,
    /// For a transaction marker: what it says, and the epoch of the coordinator that wrote it.
    pub control: Option<(ControlType, i32)>,
}

/// Says when a segment's batches give index entries; the same while appending and while scanning.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Indexer {
    base_offset: Offset,
    interval_bytes: u64,
    pub(crate) bytes_since_entry: u64,
    pub(crate) last_time_entry: i64,
    /// Largest timestamp of the segment in milliseconds, or [`NO_TIMESTAMP`].
    pub(crate) max_timestamp: i64,
    /// Last offset of the first batch that has it.
    pub(crate) max_timestamp_offset: Offset,
    /// Largest timestamp of a batch that has records. One from which all were taken away keeps its timestamp, by
    /// which it grows old, and no record has it.
    pub(crate) max_record_timestamp: i64,
    /// Leader epoch of the last batch; -1 before the first.
    pub(crate) last_epoch: i32,
}

impl Indexer {
    /// The same for the same segment, before its first batch.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.base_offset, u32::try_from(self.interval_bytes).unwrap_or(u32::MAX))
    }

    pub(crate) fn new(base_offset: Offset, interval_bytes: u32) -> Self {
        Self {
            base_offset,
            interval_bytes: u64::from(interval_bytes),
            bytes_since_entry: 0,
            last_time_entry: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            max_timestamp_offset: base_offset,
            max_record_timestamp: NO_TIMESTAMP,
            last_epoch: NO_EPOCH,
        }
    }

    /// The entries that the batch at `position` gives.
    pub(crate) fn on_batch(&mut self, header: &BatchHeader, position: u64) -> (Option<OffsetEntry>, Option<TimeEntry>) {
        self.last_epoch = header.partition_leader_epoch;
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_offset = header.last_offset();
        }
        if header.record_count > 0 {
            self.max_record_timestamp = self.max_record_timestamp.max(header.max_timestamp);
        }
        let due = self.bytes_since_entry > self.interval_bytes;
        if due {
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.total_len() as u64;
        if !due {
            return (None, None);
        }
        let entry = OffsetEntry { relative_offset: self.relative(header.last_offset()), position: position as u32 };
        (Some(entry), self.time_entry())
    }

    /// The entry for the largest timestamp, if the last one does not say it yet.
    pub(crate) fn time_entry(&mut self) -> Option<TimeEntry> {
        if self.max_timestamp <= self.last_time_entry {
            return None;
        }
        self.last_time_entry = self.max_timestamp;
        let relative_offset = self.relative(self.max_timestamp_offset);
        Some(TimeEntry { timestamp: self.max_timestamp, relative_offset })
    }

    fn relative(&self, offset: Offset) -> u32 {
        u32::try_from(offset - self.base_offset).expect("a segment is rolled before its offsets pass 31 bits")
    }
}

/// Where and why a scan stopped before the end of the file.
#[derive(Debug)]
pub(crate) struct Stop {
    /// What is wrong with the batch there.
    pub(crate) reason: String,
    /// One past the last byte that is not zero; the position of the stop if only zeros follow.
    pub(crate) data_end: u64,
}

/// What a scan of a segment found.
#[derive(Debug)]
pub(crate) struct SegmentScan {
    /// Bytes up to the end of the last whole batch.
    pub(crate) valid_len: u64,
    /// One past the last offset, or the base offset of an empty segment.
    pub(crate) next_offset: Offset,
    pub(crate) offset_entries: Vec<OffsetEntry>,
    pub(crate) time_entries: Vec<TimeEntry>,
    pub(crate) indexer: Indexer,
    /// Largest timestamp of the first batch.
    pub(crate) first_timestamp: Option<i64>,
    /// Whether each batch begins just where the one before it ends.
    pub(crate) dense: bool,
    /// Up to this byte and this offset the CRCs were not checked.
    pub(crate) unchecked: (u64, Offset),
    /// Nothing when the file ends with a whole batch.
    pub(crate) stop: Option<Stop>,
}

impl SegmentScan {
    /// Of nothing yet.
    pub(crate) fn new(from: ScanFrom) -> Self {
        Self {
            valid_len: from.position,
            next_offset: from.next_offset,
            offset_entries: Vec::new(),
            time_entries: Vec::new(),
            indexer: from.indexer,
            first_timestamp: None,
            dense: true,
            unchecked: (0, from.next_offset),
            stop: None,
        }
    }

    /// Takes in the batch that lies where the others end.
    pub(crate) fn push(&mut self, header: &BatchHeader) {
        let (offset_entry, time_entry) = self.indexer.on_batch(header, self.valid_len);
        self.offset_entries.extend(offset_entry);
        self.time_entries.extend(time_entry);
        self.first_timestamp.get_or_insert(header.max_timestamp);
        self.dense &= header.base_offset == self.next_offset;
        self.next_offset = header.next_offset();
        self.valid_len += header.total_len() as u64;
    }

    /// Bytes after the last whole batch that are more than reserved space.
    pub(crate) fn torn_bytes(&self) -> u64 {
        self.stop.as_ref().map_or(0, |stop| stop.data_end - self.valid_len)
    }
}

/// Where a scan begins, and what is known of the segment up to there.
#[derive(Debug)]
pub(crate) struct ScanFrom {
    pub(crate) position: u64,
    pub(crate) next_offset: Offset,
    pub(crate) indexer: Indexer,
}

/// From where on a scan checks the CRCs of the batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CrcFrom {
    Never,
    Position(u64),
    Offset(Offset),
}

impl CrcFrom {
    fn wants(self, position: u64, header: &BatchHeader) -> bool {
        match self {
            Self::Never => false,
            Self::Position(from) => position >= from,
            Self::Offset(from) => header.base_offset >= from,
        }
    }
}

/// Walks the batches of the segment `file`, whose first offset is `base_offset`, and shows each to `visit`.
///
/// # Errors
/// [`LogError::Io`]; a batch that cannot be read is no error here but a [`Stop`].
pub(crate) fn scan_segment<F: DiskFile>(
    file: &F,
    path: &Path,
    base_offset: Offset,
    index_interval_bytes: u32,
    check_crc: bool,
    visit: &mut dyn FnMut(&BatchSummary),
) -> Result<SegmentScan, LogError> {
    let indexer = Indexer::new(base_offset, index_interval_bytes);
    let from = ScanFrom { position: 0, next_offset: base_offset, indexer };
    scan_segment_from(file, path, from, if check_crc { CrcFrom::Position(0) } else { CrcFrom::Never }, visit)
}

/// Walks the batches of the segment `file` that lie behind `from`, and shows each to `visit`.
///
/// # Errors
/// As [`scan_segment`].
pub(crate) fn scan_segment_from<F: DiskFile>(
    file: &F,
    path: &Path,
    from: ScanFrom,
    crc_from: CrcFrom,
    visit: &mut dyn FnMut(&BatchSummary),
) -> Result<SegmentScan, LogError> {
    let file_len = file.len().context("measure", path)?;
    let mut window = Window::new(file, file_len, SCAN_BYTES);
    let mut scan = SegmentScan::new(from);
    loop {
        let position = scan.valid_len;
        let Some(header) = window.header_at(position).context("read", path)? else { break };
        let checked = match header {
            Ok(header) => {
                let check_crc = crc_from.wants(position, &header);
                // Where nobody looks at the records of large batches, only their headers are read.
                let large = !check_crc && header.total_len() > LARGE_BATCH_BYTES;
                window.set_chunk(if large { HEADERS_BYTES } else { SCAN_BYTES });
                let checked = check_batch(&mut window, &header, &scan, check_crc).context("read", path)?;
                checked.map(|()| (header, check_crc))
            }
            Err(error) => Err(error.to_string()),
        };
        let (header, check_crc) = match checked {
            Ok(header) => header,
            Err(reason) => {
                window.set_chunk(SCAN_BYTES);
                let data_end = window.end_of_data(position).context("read", path)?;
                scan.stop = Some(Stop { reason, data_end });
                break;
            }
        };
        let control = read_marker(&mut window, position, &header).context("read", path)?;
        visit(&BatchSummary { header, control });
        scan.push(&header);
        if !check_crc {
            scan.unchecked = (scan.valid_len, scan.next_offset);
        }
    }
    Ok(scan)
}

fn check_batch<F: DiskFile>(
    window: &mut Window<'_, F>,
    header: &BatchHeader,
    scan: &SegmentScan,
    check_crc: bool,
) -> std::io::Result<Result<(), String>> {
    if header.base_offset < scan.next_offset {
        let reason = format!("the batch begins at offset {}, before {}", header.base_offset, scan.next_offset);
        return Ok(Err(reason));
    }
    if header.last_offset() - scan.indexer.base_offset > Offset::from(i32::MAX) || scan.valid_len > u64::from(u32::MAX)
    {
        return Ok(Err(format!("offset {} is too far from the segment's first", header.last_offset())));
    }
    if check_crc && let Err(error) = window.verify_crc(scan.valid_len, header)? {
        return Ok(Err(error.to_string()));
    }
    Ok(Ok(()))
}

fn read_marker<F: DiskFile>(
    window: &mut Window<'_, F>,
    position: u64,
    header: &BatchHeader,
) -> std::io::Result<Option<(ControlType, i32)>> {
    if !header.attributes.is_control() || header.total_len() > MAX_MARKER_BYTES {
        return Ok(None);
    }
    let bytes = window.at(position, header.total_len())?;
    Ok(BatchView::parse(bytes).and_then(|batch| parse_control(&batch)).ok())
}

/// Finds the aborted transactions again from the batches of a log, from its first to its last.
#[derive(Debug, Default)]
pub(crate) struct TxnReplay {
    /// First offset of each transaction that is open, by producer.
    open: BTreeMap<i64, Offset>,
}

impl TxnReplay {
    /// Goes on where these producers stood.
    pub(crate) fn from_producers(producers: &[ProducerEntry]) -> Self {
        let open = producers.iter().filter_map(|producer| Some((producer.producer_id, producer.open_since?)));
        Self { open: open.collect() }
    }

    /// The transaction that this batch aborts, if it does.
    pub(crate) fn on_batch(&mut self, batch: &BatchSummary) -> Option<AbortedTxn> {
        let header = &batch.header;
        if !header.attributes.is_transactional() {
            return None;
        }
        if !header.attributes.is_control() {
            self.open.entry(header.producer_id).or_insert(header.base_offset);
            return None;
        }
        let (control_type, _) = batch.control?;
        let first_offset = self.open.remove(&header.producer_id)?;
        let last_stable_offset = self.open.values().copied().min().unwrap_or(header.next_offset());
        (control_type == ControlType::Abort).then_some(AbortedTxn {
            producer_id: header.producer_id,
            first_offset,
            last_offset: header.last_offset(),
            last_stable_offset,
        })
    }
}
