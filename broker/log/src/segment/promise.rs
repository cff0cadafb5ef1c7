//! A segment and its digest: what is promised of it, and what an open makes of the promise.

use super::{CheckedIndexes, Doubt, Segment};
use crate::Offset;
use crate::digest::{Digest, DigestFile};
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use crate::index::{AbortedTxn, IndexFile, OffsetEntry, TimeEntry, encoded, make_hold};
use crate::recovery::{BatchSummary, CrcFrom, ScanFrom, SegmentScan, scan_segment_from};
use crate::{LogConfig, segment_file_name};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock, PoisonError};

/// What an open finds of a segment before it reads any of its bytes.
pub(crate) enum Promised<D: Disk> {
    /// Everything is as the digest says.
    Whole(Box<Segment<D>>),
    /// There is no digest, or the files beside it are not what it says: the batches must tell.
    Unknown(D::File),
    /// There is a digest, and the batches must tell what the files beside it should hold.
    Stale(D::File, Box<Digest>),
}

impl<D: Disk> Segment<D> {
    /// Takes the segment at `base_offset` by its digest. Of one that has a successor the length must be what the
    /// digest says; the last one may go on behind it, and is then cut there for now: [`Segment::extend`] finds the rest.
    ///
    /// # Errors
    /// [`LogError::Io`]; [`LogError::Damaged`] when the last segment ends before its digest does.
    pub(crate) fn promised(
        disk: &D,
        dir: &Path,
        base_offset: Offset,
        next_base: Option<Offset>,
        config: &LogConfig,
    ) -> Result<Promised<D>, LogError> {
        let path = dir.join(segment_file_name(base_offset, "log"));
        let file = disk.open(&path, false).context("open", &path)?;
        let digest_file = DigestFile::new(dir, base_offset);
        let Some(digest) = digest_file.read(disk, base_offset, config.index_interval_bytes)? else {
            return Ok(Promised::Unknown(file));
        };
        let there = file.len().context("measure", &path)?;
        if let Some(next_base) = next_base {
            let ends_well = digest.next_offset == next_base || (config.compact && digest.next_offset < next_base);
            if !digest.sealed || there != digest.len || !ends_well {
                return Ok(Promised::Unknown(file));
            }
        } else if there < digest.len {
            let reason = format!(
                "the file ends here, and its batches up to byte {} and offset {} were synced once",
                digest.len, digest.next_offset
            );
            return Err(LogError::Damaged { path, position: there, reason });
        }
        let sealed = next_base.is_some();
        let index = |extension| dir.join(segment_file_name(base_offset, extension));
        let txn_index = IndexFile::promised(index("txnindex"), digest.txn_index);
        let Some(aborted) = txn_index.read_whole(disk)? else {
            return Ok(Promised::Stale(file, Box::new(digest)));
        };
        let segment = Self {
            base_offset,
            path,
            file,
            len: digest.len,
            next_offset: digest.next_offset,
            first_timestamp: digest.first_timestamp,
            indexer: digest.indexer.clone(),
            aborted,
            dense: digest.dense,
            doubt: Doubt::below(digest.len, digest.next_offset),
            shared_through: AtomicU64::new(0),
            // Whatever lies behind is looked at, and cut, before anything is appended.
            allocated: digest.len,
            offset_index: IndexFile::promised(index("index"), digest.offset_index),
            time_index: IndexFile::promised(index("timeindex"), digest.time_index),
            txn_index,
            digest: digest_file,
            promise: Mutex::new(None),
            checked: OnceLock::new(),
        };
        // Those of the last segment are few and get more entries; those of the others wait for their first use.
        let lengths_fit = segment.offset_index.fits(disk, sealed)? && segment.time_index.fits(disk, sealed)?;
        let whole = lengths_fit
            && (sealed || (segment.offset_index.is_whole(disk, false)? && segment.time_index.is_whole(disk, false)?));
        if !whole {
            return Ok(Promised::Stale(segment.file, Box::new(digest)));
        }
        if !sealed {
            let _ = segment.checked.set(None);
        }
        if segment.time_index.len_bytes() > 0 {
            segment.offset_index.ensure_exists(disk)?;
        }
        Ok(Promised::Whole(Box::new(segment)))
    }

    /// Reads what lies behind the digest of the last segment, and takes over the whole batches of it. The scan that is
    /// given back says why it stopped, if it did; the file is not cut yet.
    pub(crate) fn extend(&mut self, disk: &D, visit: &mut dyn FnMut(&BatchSummary)) -> Result<SegmentScan, LogError> {
        let from = ScanFrom { position: self.len, next_offset: self.next_offset, indexer: self.indexer.clone() };
        let scan = scan_segment_from(&self.file, &self.path, from, CrcFrom::Position(self.len), visit)?;
        self.len = scan.valid_len;
        self.next_offset = scan.next_offset;
        self.dense &= scan.dense;
        self.first_timestamp = self.first_timestamp.or(scan.first_timestamp);
        self.indexer = scan.indexer.clone();
        for entry in &scan.offset_entries {
            self.offset_index.append(disk, *entry)?;
        }
        for entry in &scan.time_entries {
            self.offset_index.ensure_exists(disk)?;
            self.time_index.append(disk, *entry)?;
        }
        Ok(scan)
    }

    /// Cuts what a scan left behind the last whole batch, and makes the rest survive a power cut.
    pub(crate) fn cut_tail(&mut self) -> Result<(), LogError> {
        self.trim_and_sync()
    }

    /// Notes the transactions that the batches from `from` on were found to have aborted, in place of those that are
    /// known from there on.
    pub(crate) fn replace_aborted(
        &mut self,
        disk: &D,
        from: Offset,
        mut found: Vec<AbortedTxn>,
    ) -> Result<(), LogError> {
        let mut aborted: Vec<AbortedTxn> =
            self.aborted.iter().filter(|aborted| aborted.last_offset < from).copied().collect();
        aborted.append(&mut found);
        let path = self.txn_index.path().to_owned();
        self.txn_index = IndexFile::load(disk, path, &aborted)?;
        self.aborted = aborted;
        Ok(())
    }

    /// What the segment is now, to be promised once it is synced.
    pub(crate) fn digest(&self, sealed: bool) -> Digest {
        Digest {
            base_offset: self.base_offset,
            len: self.len,
            next_offset: self.next_offset,
            sealed,
            dense: self.dense,
            first_timestamp: self.first_timestamp,
            indexer: self.indexer.clone(),
            offset_index: self.offset_index.digest(),
            time_index: self.time_index.digest(),
            txn_index: self.txn_index.digest(),
        }
    }

    /// Remembers what the segment is now, for [`Segment::keep_promise`].
    pub(crate) fn make_promise(&self) {
        *self.promise.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.digest(false));
    }

    /// A sync has returned that covers everything below `through`: writes what was remembered, if it is covered.
    pub(crate) fn keep_promise(&mut self, disk: &D, through: Offset) {
        let promise = self.promise.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = promise.take_if(|digest| digest.next_offset <= through) {
            self.note_digest(disk, &digest);
        }
    }

    /// Writes what the segment is now. All of it must have been synced.
    pub(crate) fn write_digest(&mut self, disk: &D, sealed: bool) {
        let digest = self.digest(sealed);
        self.note_digest(disk, &digest);
    }

    /// Without a digest the next open reads more; that is no reason to refuse anything.
    fn note_digest(&mut self, disk: &D, digest: &Digest) {
        if let Err(error) = self.digest.write(disk, digest) {
            tracing::warn!(%error, "a digest could not be written; the next start reads the segment instead");
        }
    }

    /// Promises nothing any more, durably once the directory is synced too: the segment is about to be cut.
    pub(crate) fn take_back_promise(&mut self, disk: &D) -> Result<(), LogError> {
        *self.promise.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        let nothing = Segment::<D>::nothing(self.base_offset, &self.indexer);
        self.digest.write(disk, &nothing)?;
        match self.digest.share()? {
            Some(file) => file.sync_data().context("sync", self.digest.path()),
            None => Ok(()),
        }
    }

    fn nothing(base_offset: Offset, like: &crate::recovery::Indexer) -> Digest {
        Digest {
            base_offset,
            len: 0,
            next_offset: base_offset,
            sealed: false,
            dense: true,
            first_timestamp: None,
            indexer: like.fresh(),
            offset_index: Default::default(),
            time_index: Default::default(),
            txn_index: Default::default(),
        }
    }

    /// The file of the digest, to be synced, if it was written since the segment was opened.
    pub(crate) fn share_digest(&self) -> Result<Option<(D::File, PathBuf)>, LogError> {
        Ok(self.digest.share()?.map(|file| (file, self.digest.path().to_owned())))
    }

    /// Lets go of the digest's file.
    pub(crate) fn release_digest(&mut self) {
        self.digest.release();
    }

    /// The offset index; checked, and written again if need be, before it is used for the first time.
    pub(crate) fn offset_index(&self, disk: &D) -> Result<&IndexFile<D, OffsetEntry>, LogError> {
        Ok(self.checked(disk)?.map_or(&self.offset_index, |(offset_index, _)| offset_index))
    }

    /// The time index, as [`Segment::offset_index`].
    pub(crate) fn time_index(&self, disk: &D) -> Result<&IndexFile<D, TimeEntry>, LogError> {
        Ok(self.checked(disk)?.map_or(&self.time_index, |(_, time_index)| time_index))
    }

    fn checked(&self, disk: &D) -> Result<Option<&CheckedIndexes<D>>, LogError> {
        if let Some(checked) = self.checked.get() {
            return Ok(checked.as_ref());
        }
        let whole = self.offset_index.is_whole(disk, true)? && self.time_index.is_whole(disk, true)?;
        let checked = if whole { None } else { Some(self.rebuilt(disk)?) };
        Ok(self.checked.get_or_init(|| checked).as_ref())
    }

    /// The indexes of a sealed segment as its batches give them.
    fn rebuilt(&self, disk: &D) -> Result<CheckedIndexes<D>, LogError> {
        tracing::warn!(path = %self.path.display(), "an index is damaged and is written again");
        let from = ScanFrom { position: 0, next_offset: self.base_offset, indexer: self.indexer.fresh() };
        let mut scan = scan_segment_from(&self.file, &self.path, from, CrcFrom::Never, &mut |_| {})?;
        if scan.valid_len < self.len {
            let reason = scan.stop.map_or("the file ends here".to_owned(), |stop| stop.reason);
            return Err(self.damaged(scan.valid_len, reason));
        }
        scan.time_entries.extend(scan.indexer.time_entry());
        make_hold(disk, self.offset_index.path(), &encoded(&scan.offset_entries))?;
        let offset_index = IndexFile::load(disk, self.offset_index.path().to_owned(), &scan.offset_entries)?;
        let time_index = IndexFile::load(disk, self.time_index.path().to_owned(), &scan.time_entries)?;
        Ok((offset_index, time_index))
    }
}
