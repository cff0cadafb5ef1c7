//! A segment file piece by piece: batches, messages of old formats, bytes that are none of these, and reserved space.

use crate::Offset;
use crate::disk::DiskFile;
use crate::window::Window;
use pelton_record::{
    BatchHeader, BatchView, ControlType, HEADER_LEN, LOG_OVERHEAD, crc32, parse_control, uncompressed_batch,
};
use std::io;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// The largest batch that is opened, in bytes; the header and the CRC of a larger one are checked all the same.
const MAX_OPENED_BYTES: usize = 256 << 20;
/// A transaction marker is below a hundred bytes; a larger control batch is no marker.
const MAX_MARKER_BYTES: usize = 4096;
/// A message of format 0 has at least this many bytes after its length: CRC, magic, attributes, two lengths.
const MIN_OLD_BYTES: usize = 14;
/// The largest old message whose CRC is computed, in bytes; a larger one counts as damage.
const MAX_OLD_BYTES: usize = 128 << 20;

/// A batch of format version 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchAt {
    /// Where it begins.
    pub position: u64,
    /// Its header.
    pub header: BatchHeader,
    /// What is wrong with it: its CRC, or its place after the one before.
    pub problem: Option<String>,
    /// For a transaction marker: what it says, and the epoch of the coordinator that wrote it.
    pub control: Option<(ControlType, i32)>,
}

/// A message, or a set of them, of format version 0 or 1 with a CRC that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldMessage {
    /// Where it begins.
    pub position: u64,
    /// Its format version, 0 or 1.
    pub magic: i8,
    /// Its offset; of a compressed set, the last one's.
    pub offset: Offset,
    /// Bytes of it, with offset and length.
    pub len: u64,
}

/// What stands at a place of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A batch, perhaps with a problem.
    Batch(Box<BatchAt>),
    /// A message of an old format, which is not opened.
    Old(OldMessage),
    /// Bytes that are neither.
    Damage {
        /// Where they begin.
        position: u64,
        /// How many they are.
        len: u64,
        /// What is wrong with a batch that would begin there.
        reason: String,
    },
    /// Zeros up to the end of the file: space reserved ahead.
    Reserved {
        /// Where they begin.
        position: u64,
        /// How many they are.
        len: u64,
    },
}

/// Walks a segment from front to back, past whatever is damaged in it.
pub struct SegmentReader<'f, F> {
    window: Window<'f, F>,
    len: u64,
    position: u64,
    base_offset: Offset,
    next_offset: Offset,
}

impl<'f, F: DiskFile> SegmentReader<'f, F> {
    /// Begins at the front of `file`, whose name says `base_offset`.
    ///
    /// # Errors
    /// The operating system's, as in every method here.
    pub fn new(file: &'f F, base_offset: Offset) -> io::Result<Self> {
        let len = file.len()?;
        let window = Window::new(file, len, CHUNK_BYTES);
        Ok(Self { window, len, position: 0, base_offset, next_offset: base_offset })
    }

    /// Bytes of the file when it was opened.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// Where the next piece begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// One past the last offset of the batches so far.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// The next piece, or `None` at the end of the file. Each call goes on by at least one byte.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        let position = self.position;
        let Some(parsed) = self.window.header_at(position)? else { return Ok(None) };
        let (reason, certain) = match parsed {
            Ok(header) => {
                let problem = self.problem(position, &header)?;
                if problem.is_none() || self.goes_on(position + header.total_len() as u64, &header)? {
                    return self.batch(position, header, problem).map(Some);
                }
                (problem.unwrap_or_default(), false)
            }
            Err(error) => (error.to_string(), true),
        };
        if certain && let Some(old) = self.old_message(position)? {
            self.position += old.len;
            self.next_offset = old.offset.saturating_add(1).max(self.next_offset);
            return Ok(Some(Piece::Old(old)));
        }
        let data_end = self.window.end_of_data(position)?;
        if data_end <= position {
            self.position = self.len;
            return Ok(Some(Piece::Reserved { position, len: self.len - position }));
        }
        let end = self.next_whole_batch(position + 1)?.unwrap_or(data_end);
        self.position = end;
        Ok(Some(Piece::Damage { position, len: end - position, reason }))
    }

    /// The bytes of the batch, or `None` for one that is too large to be opened.
    pub fn batch_bytes(&mut self, batch: &BatchAt) -> io::Result<Option<Vec<u8>>> {
        let len = batch.header.total_len();
        if len > MAX_OPENED_BYTES {
            return Ok(None);
        }
        Ok(Some(self.window.at(batch.position, len)?.to_vec()))
    }

    fn batch(&mut self, position: u64, header: BatchHeader, problem: Option<String>) -> io::Result<Piece> {
        let len = header.total_len();
        let mut control = None;
        if header.attributes.is_control() && len <= MAX_MARKER_BYTES {
            let bytes = self.window.at(position, len)?;
            control = BatchView::parse(bytes).and_then(|batch| parse_control(&batch)).ok();
        }
        self.position = position + len as u64;
        if header.last_offset().saturating_sub(self.base_offset) <= Offset::from(i32::MAX) {
            self.next_offset = header.next_offset();
        }
        Ok(Piece::Batch(Box::new(BatchAt { position, header, problem, control })))
    }

    /// What is wrong with a batch whose header can be read.
    fn problem(&mut self, position: u64, header: &BatchHeader) -> io::Result<Option<String>> {
        if let Err(error) = self.window.verify_crc(position, header)? {
            return Ok(Some(error.to_string()));
        }
        if header.base_offset < self.next_offset {
            let expected = self.next_offset;
            return Ok(Some(format!("the batch begins at offset {}, before {expected}", header.base_offset)));
        }
        if header.last_offset().saturating_sub(self.base_offset) > Offset::from(i32::MAX) {
            return Ok(Some(format!("offset {} is too far from the segment's first", header.last_offset())));
        }
        if let Err(error) = header.attributes.codec() {
            return Ok(Some(error.to_string()));
        }
        Ok(None)
    }

    /// Whether the length of a batch with a problem can be believed: the file ends there, or something that follows it begins.
    fn goes_on(&mut self, end: u64, header: &BatchHeader) -> io::Result<bool> {
        if end == self.len {
            return Ok(true);
        }
        let follows = match self.window.header_at(end)? {
            Some(Ok(next)) => next.base_offset == header.next_offset(),
            _ => false,
        };
        Ok(follows || self.window.end_of_data(end)? <= end)
    }

    fn old_message(&mut self, position: u64) -> io::Result<Option<OldMessage>> {
        let (offset, magic, len, crc) = {
            let bytes = self.window.at(position, LOG_OVERHEAD + MIN_OLD_BYTES)?;
            let Some(front) = bytes.first_chunk::<{ LOG_OVERHEAD + MIN_OLD_BYTES }>() else { return Ok(None) };
            let offset = i64::from_be_bytes(array(front, 0));
            let size = i32::from_be_bytes(array(front, 8));
            (offset, front[16] as i8, size.max(0) as usize, u32::from_be_bytes(array(front, 12)))
        };
        let fits = (MIN_OLD_BYTES..=MAX_OLD_BYTES).contains(&len)
            && position + (LOG_OVERHEAD + len) as u64 <= self.len
            && offset >= 0;
        if !(0..=1).contains(&magic) || !fits {
            return Ok(None);
        }
        let covered = self.window.at(position + 16, len - 4)?;
        let whole = crc32(covered) == crc;
        Ok(whole.then_some(OldMessage { position, magic, offset, len: (LOG_OVERHEAD + len) as u64 }))
    }

    /// Where the next batch with a CRC that fits begins, at or after `from`. Headers that look right by chance cost a CRC each, so
    /// no more bytes are summed than a few times what is left of the file.
    fn next_whole_batch(&mut self, from: u64) -> io::Result<Option<u64>> {
        const MAGIC_AT: u64 = 16;
        let mut budget = 4 * (self.len - from.min(self.len)) + CHUNK_BYTES as u64;
        let farthest = self.base_offset.saturating_add(Offset::from(i32::MAX));
        let mut at = from;
        while at + (HEADER_LEN as u64) <= self.len {
            let magic = self.window.at(at + MAGIC_AT, CHUNK_BYTES / 4)?;
            match magic.iter().position(|byte| *byte == 2) {
                None if magic.is_empty() => return Ok(None),
                None => {
                    at += magic.len() as u64;
                    continue;
                }
                Some(distance) => at += distance as u64,
            }
            if let Some(Ok(header)) = self.window.header_at(at)?
                && (self.next_offset..=farthest).contains(&header.base_offset)
            {
                let len = header.total_len() as u64;
                if len > budget {
                    return Ok(None);
                }
                budget -= len;
                if self.window.verify_crc(at, &header)?.is_ok() {
                    return Ok(Some(at));
                }
            }
            at += 1;
        }
        Ok(None)
    }
}

/// Opens the records of a whole batch and counts them. `decompress_max_bytes` bounds what they may take when decompressed.
///
/// # Errors
/// Says what is wrong with them.
pub fn check_records(batch: &[u8], decompress_max_bytes: usize) -> Result<u64, String> {
    let view = BatchView::parse(batch).map_err(|error| error.to_string())?;
    if view.header().record_count == 0 {
        return Ok(0);
    }
    let whole = uncompressed_batch(&view, decompress_max_bytes).map_err(|error| error.to_string())?;
    let view = BatchView::parse(&whole).map_err(|error| error.to_string())?;
    let mut count = 0;
    for record in view.records().map_err(|error| error.to_string())? {
        let record = record.map_err(|error| format!("record {count}: {error}"))?;
        for header in record.headers() {
            header.map_err(|error| format!("record {count}: {error}"))?;
        }
        count += 1;
    }
    Ok(count)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
