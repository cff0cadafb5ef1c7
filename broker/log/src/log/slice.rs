//! Reading without copying: where batches lie in a file, for whoever can send them from there.

use super::Log;
use crate::Offset;
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use crate::segment::Unchecked;
use bytes::Bytes;
use pelton_record::BatchHeader;
use std::path::PathBuf;

/// Whole batches of one segment, as a stretch of its file.
///
/// The bytes stay what they are for as long as anybody holds the slice, or has handed it to the kernel: a segment
/// that is deleted goes on to exist without a name, and one that is cut below the slice's end is copied, not cut in
/// place. Its disk space is free only when the last slice is dropped, so a holder must not wait for ever.
///
/// What this process neither wrote nor has read with its CRC is checked before it is given to anybody: whoever takes the
/// bytes from the file calls [`LogSlice::check`] before, and [`LogSlice::read`] does.
pub struct LogSlice<D: Disk> {
    /// A handle of its own on the segment's file.
    pub file: D::File,
    /// First byte of the first batch.
    pub position: u64,
    /// Bytes of the batches; never 0.
    pub len: usize,
    /// Base offset of the first batch.
    pub base_offset: Offset,
    /// An offset above the last record and not above the next batch.
    pub next_offset: Offset,
    /// The segment's file when the slice was made, for messages.
    pub path: PathBuf,
    /// What is to be checked of it, if anything.
    pub unchecked: Option<Box<Unchecked>>,
}

impl<D: Disk> std::fmt::Debug for LogSlice<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSlice")
            .field("path", &self.path)
            .field("position", &self.position)
            .field("len", &self.len)
            .field("base_offset", &self.base_offset)
            .field("next_offset", &self.next_offset)
            .finish_non_exhaustive()
    }
}

impl<D: Disk> LogSlice<D> {
    /// Whether [`LogSlice::check`] has something to do.
    pub fn is_in_doubt(&self) -> bool {
        self.unchecked.as_ref().is_some_and(|unchecked| unchecked.is_due())
    }

    /// Reads those of the batches that are in doubt with their CRCs, and the one before them where the offset that was asked
    /// for could have been in it; their offsets and leader epochs must be those that the segment has there. Does nothing the second
    /// time. It waits for the medium, so it is not for a thread that others wait for.
    ///
    /// # Errors
    /// [`LogError::Damaged`]: nothing of the slice may be given to anybody. [`LogError::Io`].
    pub fn check(&self) -> Result<(), LogError> {
        self.unchecked.as_ref().map_or(Ok(()), |unchecked| unchecked.check(&self.file, &self.path))
    }

    /// The batches in front of the damage that [`LogSlice::check`] found, if there are any: they were checked, and may be
    /// given to whoever asked for these.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn before_damage(&self) -> Result<Option<Self>, LogError> {
        let Some((end, next_offset)) = self.unchecked.as_ref().and_then(|unchecked| unchecked.sound()) else {
            return Ok(None);
        };
        let file = self.file.try_clone().context("share", &self.path)?;
        let (len, path) = ((end - self.position) as usize, self.path.clone());
        Ok(Some(Self { file, len, next_offset, path, unchecked: None, ..*self }))
    }

    /// The bytes, all in memory at once, checked as by [`LogSlice::check`].
    ///
    /// # Errors
    /// [`LogError::Io`]; [`LogError::Damaged`] when they are not whole batches one behind the other.
    pub fn read(&self) -> Result<Bytes, LogError> {
        self.check()?;
        let mut bytes = vec![0; self.len];
        let read = self.file.read_at(&mut bytes, self.position).context("read", &self.path)?;
        if read < self.len {
            return Err(self.damaged(0, format!("{} bytes should be there and {read} are", self.len)));
        }
        let mut at = 0;
        while at < bytes.len() {
            let header = BatchHeader::parse(&bytes[at..]).map_err(|error| self.damaged(at, error.to_string()))?;
            if header.total_len() > bytes.len() - at {
                return Err(self.damaged(at, "the batch reaches into the next one".to_owned()));
            }
            at += header.total_len();
        }
        Ok(bytes.into())
    }

    fn damaged(&self, at: usize, reason: String) -> LogError {
        LogError::Damaged { path: self.path.clone(), position: self.position + at as u64, reason }
    }
}

impl<D: Disk> Log<D> {
    /// Where the batches lie that [`Log::read`] would give; `None` at the end. Costs a search in the offset index
    /// and a few headers, whatever `max_bytes` is. The slice may be in doubt.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`], [`LogError::Damaged`], [`LogError::Io`].
    pub fn slice(
        &self,
        from: Offset,
        end_exclusive: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Option<LogSlice<D>>, LogError> {
        if from < self.log_start || from > self.log_end() {
            let (log_start, log_end) = (self.log_start, self.log_end());
            return Err(LogError::OffsetOutOfRange { offset: from, log_start, log_end });
        }
        for segment in &self.segments[self.segment_index(from)..] {
            let Some(found) = segment.find_offset(&self.disk, from.max(segment.base_offset))? else { continue };
            let extent = segment.extent(&self.disk, &found, end_exclusive, max_bytes, at_least_one)?;
            return extent
                .map(|extent| {
                    segment.note_shared(extent.position + extent.len);
                    Ok(LogSlice {
                        file: segment.file.try_clone().context("share", &segment.path)?,
                        position: extent.position,
                        len: extent.len as usize,
                        base_offset: found.header.base_offset,
                        next_offset: extent.next_offset,
                        path: segment.path.clone(),
                        unchecked: segment.unchecked(found.doubted(from), &found, &extent, &self.epochs).map(Box::new),
                    })
                })
                .transpose();
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
