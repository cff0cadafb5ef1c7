//! Where in a segment the batches lie that a reader gets: positions alone, without reading the records.

use super::{Anchor, First, Found, Segment};
use crate::Offset;
use crate::disk::{Disk, DiskFile, temporary_path};
use crate::error::{IoContext, LogError};
use pelton_record::BatchHeader;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// Whole batches of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) position: u64,
    pub(crate) len: u64,
    /// Base offset of the batch behind the last one, or the segment's end.
    pub(crate) next_offset: Offset,
}

impl<D: Disk> Segment<D> {
    /// The batches from `first` on that end below `end_exclusive` and fit into `max_bytes`; with `at_least_one`
    /// the first one in any case. Reads a few headers, found by the offset index: at most what lies between two
    /// of its entries, and one batch more.
    ///
    /// # Errors
    /// [`LogError::Io`]; [`LogError::Damaged`] when a header on the way cannot be, so that no damage looks like a log that
    /// has nothing more to give.
    pub(crate) fn extent(
        &self,
        disk: &D,
        first: &Found,
        end_exclusive: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Option<Extent>, LogError> {
        let first_len = first.header.total_len();
        if first.header.last_offset() >= end_exclusive {
            self.check_reach(first)?;
            return Ok(None);
        }
        if first_len > max_bytes && !at_least_one {
            return Ok(None);
        }
        let (mut end, mut next_offset) = (self.len, self.next_offset);
        if end_exclusive < self.next_offset {
            let anchor = self.anchor_before(disk, end_exclusive)?;
            (end, next_offset) = self.boundary(anchor, first, |_, header| header.last_offset() >= end_exclusive)?;
        }
        if end <= first.position {
            let reason = format!("the batch that offset {end_exclusive} is in lies before the one that ends below it");
            return Err(self.damaged(first.position, reason));
        }
        let limit = first.position + max_bytes.max(first_len) as u64;
        if limit < end {
            (end, next_offset) = self.last_boundary(disk, first, limit)?;
        }
        Ok(Some(Extent { position: first.position, len: end - first.position, next_offset }))
    }

    /// Notes that bytes below `position` were handed out by reference.
    pub(crate) fn note_shared(&self, position: u64) {
        self.shared_through.fetch_max(position, Ordering::Relaxed);
    }

    /// The segment's file without what lies at or above `len`, synced. Bytes that were handed to readers may still be
    /// on their way, so where there are such the file is not cut: a copy of its beginning takes its name, and the
    /// readers keep theirs. Also says below which position the file is still shared.
    pub(crate) fn file_cut_to(&self, disk: &D, len: u64) -> Result<(D::File, u64), LogError> {
        let shared = self.shared_through.load(Ordering::Relaxed);
        if shared <= len {
            let file = self.file.try_clone().context("share", &self.path)?;
            file.set_len(len).context("cut", &self.path)?;
            file.sync_data().context("sync", &self.path)?;
            return Ok((file, shared));
        }
        let temporary = temporary_path(&self.path);
        let copy = disk.open(&temporary, true).context("create", &temporary)?;
        copy.set_len(0).context("cut", &temporary)?;
        let (mut at, mut piece) = (0, vec![0; COPY_BYTES.min(len as usize)]);
        while at < len {
            let wanted = piece.len().min((len - at) as usize);
            let read = self.file.read_at(&mut piece[..wanted], at).context("read", &self.path)?;
            if read < wanted {
                return Err(self.damaged(at, format!("{wanted} bytes should be there and {read} are")));
            }
            copy.write_at(&piece[..wanted], at).context("write", &temporary)?;
            at += wanted as u64;
        }
        copy.sync_data().context("sync", &temporary)?;
        disk.rename(&temporary, &self.path).context("rename", &temporary)?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        disk.sync_dir(dir).context("sync", dir)?;
        // By its own name, so that whatever speaks of the file says the right one.
        let file = disk.open(&self.path, false).context("open", &self.path)?;
        Ok((file, 0))
    }

    /// The last beginning of a batch that is not above `limit`, which lies below the segment's end and not below that of
    /// `first`, and that batch's base offset.
    fn last_boundary(&self, disk: &D, first: &Found, limit: u64) -> Result<(u64, Offset), LogError> {
        let entry = self.offset_index(disk)?.last_where(disk, |entry| u64::from(entry.position) <= limit)?;
        let anchor = match self.anchor(entry) {
            anchor if anchor.position > first.position => anchor,
            _ => Anchor { position: first.position, first: First::Begins(first.header.base_offset) },
        };
        self.boundary(anchor, first, |position, header| position + header.total_len() as u64 > limit)
    }

    /// Where the first batch from `anchor` on begins for which `behind` holds, and its base offset; or the first that is
    /// damaged, so that what lies between `first` and it can be read.
    fn boundary(
        &self,
        anchor: Anchor,
        first: &Found,
        behind: impl Fn(u64, &BatchHeader) -> bool,
    ) -> Result<(u64, Offset), LogError> {
        let mut walk = self.walk(anchor);
        loop {
            match walk.next() {
                Ok(Some((position, header))) if behind(position, &header) => return Ok((position, header.base_offset)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok((self.len, self.next_offset)),
                Err(error) => return walk.before_damage(first.position, error),
            }
        }
    }

    /// Whether a batch reaches no further than to the one behind it.
    fn check_reach(&self, found: &Found) -> Result<(), LogError> {
        let first = First::Begins(found.header.base_offset);
        let mut walk = self.walk(Anchor { position: found.position, first });
        walk.next()?;
        walk.next().map(|_| ())
    }
}
