//! Reads a segment from front to back through one buffer, without reading what is skipped.

use crate::disk::DiskFile;
use pelton_record::{BatchError, BatchHeader, HEADER_LEN};
use std::io;

/// A file seen through a moving buffer, up to `end`.
pub(crate) struct Window<'f, F> {
    file: &'f F,
    end: u64,
    chunk_bytes: usize,
    start: u64,
    buf: Vec<u8>,
}

impl<'f, F: DiskFile> Window<'f, F> {
    /// Sees the bytes of `file` below `end`, and reads at least `chunk_bytes` at a time.
    pub(crate) fn new(file: &'f F, end: u64, chunk_bytes: usize) -> Self {
        Self { file, end, chunk_bytes, start: 0, buf: Vec::new() }
    }

    /// Reads at least `chunk_bytes` at a time from now on.
    pub(crate) fn set_chunk(&mut self, chunk_bytes: usize) {
        self.chunk_bytes = chunk_bytes;
    }

    /// Up to `len` bytes from `position` on; fewer at the end.
    pub(crate) fn at(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        let len = (len as u64).min(self.end.saturating_sub(position)) as usize;
        let inside = position >= self.start && position + len as u64 <= self.start + self.buf.len() as u64;
        if !inside {
            let wanted = (len.max(self.chunk_bytes) as u64).min(self.end.saturating_sub(position)) as usize;
            self.buf.resize(wanted, 0);
            let read = self.file.read_at(&mut self.buf, position)?;
            self.buf.truncate(read);
            self.start = position;
        }
        let from = (position - self.start) as usize;
        Ok(&self.buf[from..self.buf.len().min(from + len)])
    }

    /// The header of the batch at `position`, whose records must be there too: `None` at the end.
    pub(crate) fn header_at(&mut self, position: u64) -> io::Result<Option<Result<BatchHeader, BatchError>>> {
        if position >= self.end {
            return Ok(None);
        }
        let available = self.end - position;
        let bytes = self.at(position, HEADER_LEN)?;
        let header = BatchHeader::parse(bytes).and_then(|header| {
            let needed = header.total_len();
            if needed as u64 <= available {
                return Ok(header);
            }
            Err(BatchError::Truncated { needed, available: available as usize })
        });
        Ok(Some(header))
    }

    /// Checks the CRC of the batch at `position`, in pieces, so that a large batch needs no large buffer.
    pub(crate) fn verify_crc(&mut self, position: u64, header: &BatchHeader) -> io::Result<Result<(), BatchError>> {
        let end = position + header.total_len() as u64;
        // The CRC covers everything after itself.
        let (mut at, mut computed) = (position + 21, 0);
        while at < end {
            let piece = ((end - at) as usize).min(self.chunk_bytes);
            let bytes = self.at(at, piece)?;
            if bytes.is_empty() {
                return Ok(Err(BatchError::Truncated {
                    needed: header.total_len(),
                    available: (at - position) as usize,
                }));
            }
            computed = crc32c::crc32c_append(computed, bytes);
            at += bytes.len() as u64;
        }
        let stored = header.crc;
        Ok(if computed == stored { Ok(()) } else { Err(BatchError::CrcMismatch { stored, computed }) })
    }

    /// One past the last byte from `position` on that is not zero; `position` if all are.
    pub(crate) fn end_of_data(&mut self, position: u64) -> io::Result<u64> {
        let (mut at, mut end) = (position, position);
        while at < self.end {
            let chunk = self.chunk_bytes;
            let bytes = self.at(at, chunk)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                end = at + last as u64 + 1;
            }
            at += bytes.len() as u64;
        }
        Ok(end)
    }
}
