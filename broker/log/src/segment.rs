//! One segment: the batches from its base offset on, in one file, with the indexes beside it.

mod doubt;
mod promise;
mod slice;

pub use doubt::Unchecked;
pub(crate) use doubt::{Anchor, Chain, Doubt, First};
pub(crate) use promise::Promised;
pub(crate) use slice::Extent;

use crate::checkpoint::EpochEntry;
use crate::digest::{self, Digest, DigestFile};
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use crate::index::{AbortedTxn, IndexFile, OffsetEntry, TimeEntry};
use crate::recovery::{Indexer, SegmentScan};
use crate::window::Window;
use crate::{LogConfig, Offset, segment_file_name};
use pelton_record::{BatchHeader, HEADER_LEN};
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

/// Extensions of the files that belong to a segment beside its `.log`.
pub(crate) const INDEX_EXTENSIONS: [&str; 4] = ["index", "timeindex", "txnindex", digest::EXTENSION];
/// Bytes that a search for one batch reads at a time: about what lies between two index entries.
const SEARCH_BYTES: usize = 8 << 10;

/// A batch that was found in a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
    /// Where the walk began that found it.
    pub(crate) anchor: Anchor,
    /// The batch before it, if the walk came by one.
    before: Option<Anchor>,
}

impl Found {
    /// Where the batches begin that must be checked for this one to be what a reader of `offset` is given. Where it begins
    /// above, the offset may be one that the batch before it has lost by its header.
    pub(crate) fn doubted(&self, offset: Offset) -> Anchor {
        let this = Anchor { position: self.position, first: First::Begins(self.header.base_offset) };
        self.before.filter(|_| self.header.base_offset > offset).unwrap_or(this)
    }
}

/// One segment.
pub(crate) struct Segment<D: Disk> {
    pub(crate) base_offset: Offset,
    pub(crate) path: PathBuf,
    pub(crate) file: D::File,
    /// Bytes of whole batches; the file may be longer by reserved space.
    pub(crate) len: u64,
    /// One past the last offset, or the base offset when empty.
    pub(crate) next_offset: Offset,
    /// Largest timestamp of the first batch, in milliseconds.
    pub(crate) first_timestamp: Option<i64>,
    pub(crate) indexer: Indexer,
    /// Transactions whose abort markers stand in this segment, in the order of the markers.
    pub(crate) aborted: Vec<AbortedTxn>,
    /// Whether it is known that each batch begins just where the one before it ends.
    pub(crate) dense: bool,
    /// What an earlier process wrote and nobody has read with its CRC since.
    pub(crate) doubt: Option<Arc<Doubt>>,
    /// Bytes below this were handed to readers as a stretch of the file, and are never changed in place.
    shared_through: AtomicU64,
    allocated: u64,
    offset_index: IndexFile<D, OffsetEntry>,
    time_index: IndexFile<D, TimeEntry>,
    txn_index: IndexFile<D, AbortedTxn>,
    digest: DigestFile<D>,
    /// What the digest will say once the sync that is under way has returned.
    promise: Mutex<Option<Digest>>,
    /// What the indexes turned out to be that the digest alone has told of: `None` inside where they are just that.
    checked: OnceLock<Option<CheckedIndexes<D>>>,
}

/// Indexes that were written again from the batches.
type CheckedIndexes<D> = (IndexFile<D, OffsetEntry>, IndexFile<D, TimeEntry>);

impl<D: Disk> Segment<D> {
    /// Begins an empty segment. Its directory entry is not synced yet.
    pub(crate) fn create(disk: &D, dir: &Path, base_offset: Offset, config: &LogConfig) -> Result<Self, LogError> {
        let path = dir.join(segment_file_name(base_offset, "log"));
        let file = disk.open(&path, true).context("create", &path)?;
        file.set_len(0).context("cut", &path)?;
        let mut digest = DigestFile::new(dir, base_offset);
        digest.remove(disk)?;
        Ok(Self {
            base_offset,
            path,
            file,
            len: 0,
            next_offset: base_offset,
            first_timestamp: None,
            indexer: Indexer::new(base_offset, config.index_interval_bytes),
            aborted: Vec::new(),
            dense: true,
            doubt: None,
            shared_through: AtomicU64::new(0),
            allocated: 0,
            offset_index: IndexFile::new(dir.join(segment_file_name(base_offset, "index"))),
            time_index: IndexFile::new(dir.join(segment_file_name(base_offset, "timeindex"))),
            txn_index: IndexFile::new(dir.join(segment_file_name(base_offset, "txnindex"))),
            digest,
            promise: Mutex::new(None),
            checked: OnceLock::from(None),
        })
    }

    /// Takes away what a [`Segment::create`] that failed may have left.
    pub(crate) fn discard(disk: &D, dir: &Path, base_offset: Offset) -> Result<(), LogError> {
        let path = dir.join(segment_file_name(base_offset, "log"));
        if disk.exists(&path).context("look for", &path)? {
            disk.remove_file(&path).context("remove", &path)?;
            disk.sync_dir(dir).context("sync", dir)?;
        }
        Ok(())
    }

    /// Takes over a segment that was scanned, cuts what the scan found after its last whole batch, and
    /// writes again the indexes that do not fit. `sealed`: it is not the last one of its log.
    pub(crate) fn load(
        disk: &D,
        dir: &Path,
        base_offset: Offset,
        file: D::File,
        mut scan: SegmentScan,
        aborted: Vec<AbortedTxn>,
        sealed: bool,
    ) -> Result<Self, LogError> {
        let path = dir.join(segment_file_name(base_offset, "log"));
        if scan.stop.is_some() {
            file.set_len(scan.valid_len).context("cut", &path)?;
        }
        if sealed {
            scan.time_entries.extend(scan.indexer.time_entry());
        }
        let index = |extension| dir.join(segment_file_name(base_offset, extension));
        let segment = Self {
            base_offset,
            path,
            file,
            len: scan.valid_len,
            next_offset: scan.next_offset,
            first_timestamp: scan.first_timestamp,
            indexer: scan.indexer,
            dense: scan.dense,
            doubt: Doubt::below(scan.unchecked.0, scan.unchecked.1),
            shared_through: AtomicU64::new(0),
            allocated: scan.valid_len,
            offset_index: IndexFile::load(disk, index("index"), &scan.offset_entries)?,
            time_index: IndexFile::load(disk, index("timeindex"), &scan.time_entries)?,
            txn_index: IndexFile::load(disk, index("txnindex"), &aborted)?,
            aborted,
            digest: DigestFile::new(dir, base_offset),
            promise: Mutex::new(None),
            checked: OnceLock::from(None),
        };
        if disk.exists(segment.time_index.path()).context("look for", segment.time_index.path())? {
            segment.offset_index.ensure_exists(disk)?;
        }
        Ok(segment)
    }

    /// Whether `header`'s batch belongs into the next segment.
    pub(crate) fn must_roll_before(&self, header: &BatchHeader, config: &LogConfig) -> bool {
        if self.len == 0 {
            return false;
        }
        // Kafka's readers hold positions and relative offsets in signed 32-bit integers.
        let segment_bytes = u64::from(config.segment_bytes.min(i32::MAX as u32));
        let too_old = match (config.segment_ms, self.first_timestamp) {
            (Some(limit_ms), Some(first)) => {
                let limit_ms = limit_ms - self.jitter_ms(limit_ms, config);
                first >= 0 && header.max_timestamp.saturating_sub(first) > limit_ms
            }
            _ => false,
        };
        let index_full = self.offset_index.len_bytes() + OFFSET_ENTRY_BYTES > u64::from(config.segment_index_bytes);
        self.len + header.total_len() as u64 > segment_bytes
            || header.last_offset() - self.base_offset > Offset::from(i32::MAX)
            || too_old
            || index_full
    }

    /// How much sooner than others the segment is closed: the same for one segment always, and spread over the partitions.
    fn jitter_ms(&self, limit_ms: i64, config: &LogConfig) -> i64 {
        let most = config.segment_jitter_ms.min(limit_ms);
        if most <= 0 {
            return 0;
        }
        // FNV-1a, of the path, which names the partition and the segment.
        let path = self.path.as_os_str().as_encoded_bytes();
        let hash = path.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        (hash % most.unsigned_abs()) as i64
    }

    /// Bytes that the segment may still get.
    pub(crate) fn left(&self, config: &LogConfig) -> u64 {
        u64::from(config.segment_bytes).saturating_sub(self.len)
    }

    /// Writes a batch at the end: `header`, and what follows the header in `batch`, which is as long as `header` says.
    /// When this fails the segment is as it was, but its file may be longer.
    pub(crate) fn append(
        &mut self,
        disk: &D,
        batch: &[u8],
        header: &BatchHeader,
        config: &LogConfig,
    ) -> Result<(), LogError> {
        self.reserve(batch.len() as u64, config);
        let position = self.len;
        // The header as it was assigned, before the records as they came: nothing is copied.
        let mut head = [0; HEADER_LEN];
        header.write_to(&mut head);
        let mut parts = [IoSlice::new(&head), IoSlice::new(&batch[HEADER_LEN..])];
        self.file.write_vectored_at(&mut parts, position).context("append to", &self.path)?;
        self.len += batch.len() as u64;
        self.allocated = self.allocated.max(self.len);
        self.dense &= header.base_offset == self.next_offset;
        self.next_offset = header.next_offset();
        self.first_timestamp.get_or_insert(header.max_timestamp);
        let (offset_entry, time_entry) = self.indexer.on_batch(header, position);
        // Without an entry a search begins earlier; that is no reason to refuse what is written already.
        let indexed = offset_entry.map_or(Ok(()), |entry| self.offset_index.append(disk, entry));
        let timed = time_entry.map_or(Ok(()), |entry| self.time_index.append(disk, entry));
        if let Err(error) = indexed.and(timed) {
            tracing::warn!(%error, "an index entry could not be written");
        }
        Ok(())
    }

    /// Cuts whatever a failed write left after the last whole batch.
    pub(crate) fn drop_unwritten(&mut self) -> Result<(), LogError> {
        self.file.set_len(self.len).context("cut", &self.path)?;
        self.allocated = self.len;
        Ok(())
    }

    /// Grows the file ahead of its end, so that most syncs need not write its length.
    fn reserve(&mut self, more: u64, config: &LogConfig) {
        let needed = self.len + more;
        if needed <= self.allocated || config.preallocate_max_bytes == 0 || config.preallocate_min_bytes == 0 {
            return;
        }
        let (least, most) = (u64::from(config.preallocate_min_bytes), u64::from(config.preallocate_max_bytes));
        let step = self.len.clamp(least.min(most), most);
        let wanted = (needed + step).min(u64::from(config.segment_bytes)).max(needed);
        // A full disk shows itself in the write that follows; the reserve is only for speed.
        if self.file.allocate(wanted).is_ok() {
            self.allocated = wanted;
        }
    }

    /// Gives back the reserved space and makes the segment survive a power cut.
    pub(crate) fn seal(&mut self, disk: &D) -> Result<(), LogError> {
        if let Some(entry) = self.indexer.time_entry() {
            // Kafka's tools look for an `.index`, if an empty one, beside every `.timeindex`.
            let timed = self.offset_index.ensure_exists(disk).and_then(|()| self.time_index.append(disk, entry));
            if let Err(error) = timed {
                tracing::warn!(%error, "an index entry could not be written");
            }
        }
        self.trim_and_sync()?;
        self.write_digest(disk, true);
        self.offset_index.release();
        self.time_index.release();
        self.txn_index.release();
        self.digest.release();
        Ok(())
    }

    /// Gives back the reserved space and syncs, and leaves the segment open for more.
    pub(crate) fn trim_and_sync(&mut self) -> Result<(), LogError> {
        self.file.set_len(self.len).context("cut", &self.path)?;
        self.allocated = self.len;
        self.file.sync_data().context("sync", &self.path)
    }

    /// Notes a transaction whose abort marker stands in this segment.
    pub(crate) fn append_aborted(&mut self, disk: &D, aborted: AbortedTxn) {
        self.aborted.push(aborted);
        if let Err(error) = self.txn_index.append(disk, aborted) {
            tracing::warn!(%error, "an index entry could not be written");
        }
    }

    /// The first batch that ends at or after `offset`; nothing where the segment ends below it.
    ///
    /// # Errors
    /// [`LogError::Io`]; [`LogError::Damaged`] when a header on the way cannot be.
    pub(crate) fn find_offset(&self, disk: &D, offset: Offset) -> Result<Option<Found>, LogError> {
        if offset >= self.next_offset {
            return Ok(None);
        }
        let anchor = self.anchor_before(disk, offset)?;
        self.find_from(anchor, |header| header.last_offset() >= offset)
    }

    /// The first batch with a timestamp of at least `timestamp` that ends at or after `from`.
    pub(crate) fn find_timestamp(&self, disk: &D, timestamp: i64, from: Offset) -> Result<Option<Found>, LogError> {
        let entry = self.time_index(disk)?.last_where(disk, |entry| entry.timestamp <= timestamp)?;
        let after = entry.map_or(self.base_offset, |entry| self.base_offset + Offset::from(entry.relative_offset));
        let anchor = self.anchor_before(disk, after.max(from))?;
        self.find_from(anchor, |header| header.max_timestamp >= timestamp && header.last_offset() >= from)
    }

    fn anchor_before(&self, disk: &D, offset: Offset) -> Result<Anchor, LogError> {
        let relative = u32::try_from(offset - self.base_offset).unwrap_or(0);
        let entry = self.offset_index(disk)?.last_where(disk, |entry| entry.relative_offset <= relative)?;
        Ok(self.anchor(entry))
    }

    /// The batch of an index entry; the first one without an entry.
    fn anchor(&self, entry: Option<OffsetEntry>) -> Anchor {
        entry.map_or(Anchor { position: 0, first: First::Begins(self.base_offset) }, |entry| Anchor {
            position: u64::from(entry.position),
            first: First::Ends(self.base_offset + Offset::from(entry.relative_offset)),
        })
    }

    /// What the headers from `first` on must be, the leader epochs among them.
    pub(crate) fn chain(&self, first: First, epochs: &[EpochEntry]) -> Chain {
        let covering = epochs.iter().rposition(|entry| entry.start_offset <= self.base_offset).unwrap_or(0);
        let of_segment = epochs[covering..].iter().take_while(|entry| entry.start_offset < self.next_offset);
        Chain::new(first, self.dense, self.base_offset, self.next_offset, of_segment.copied().collect())
    }

    /// What has to be checked before anybody is given these batches, of which `found` is the first, if anything: they,
    /// and what lies before them from `begin` on.
    pub(crate) fn unchecked(
        &self,
        begin: Anchor,
        found: &Found,
        extent: &Extent,
        epochs: &[EpochEntry],
    ) -> Option<Unchecked> {
        let first = (extent.position, found.header.base_offset);
        let end = (extent.position + extent.len, extent.next_offset);
        Unchecked::of(self.doubt.as_ref()?, begin, first, end, |first| self.chain(first, epochs))
    }

    /// The first batch from `anchor` on for which `wanted` holds.
    fn find_from(&self, anchor: Anchor, wanted: impl Fn(&BatchHeader) -> bool) -> Result<Option<Found>, LogError> {
        let mut walk = self.walk(anchor);
        let mut before = None;
        while let Some((position, header)) = walk.next()? {
            if wanted(&header) {
                return Ok(Some(Found { position, header, anchor, before }));
            }
            before = Some(Anchor { position, first: First::Begins(header.base_offset) });
        }
        Ok(None)
    }

    /// The headers from `anchor` on, of which none is given that cannot be.
    fn walk(&self, anchor: Anchor) -> Walk<'_, D> {
        let window = Window::new(&self.file, self.len, SEARCH_BYTES);
        Walk { segment: self, window, position: anchor.position, chain: self.chain(anchor.first, &[]), last: None }
    }

    /// `len` bytes from `position` on, all of them batches of this segment.
    pub(crate) fn read_exact(&self, position: u64, len: usize) -> Result<Vec<u8>, LogError> {
        let mut bytes = vec![0; len];
        let read = self.file.read_at(&mut bytes, position).context("read", &self.path)?;
        if read < len {
            return Err(self.damaged(position, format!("{len} bytes should be there and {read} are")));
        }
        Ok(bytes)
    }

    /// The segment's files are in `dir` now.
    pub(crate) fn rehome(&mut self, dir: &Path) {
        let name = |extension| dir.join(segment_file_name(self.base_offset, extension));
        self.path = name("log");
        self.offset_index.rehome(name("index"));
        self.time_index.rehome(name("timeindex"));
        self.txn_index.rehome(name("txnindex"));
        self.digest = DigestFile::new(dir, self.base_offset);
        if let Some(Some((offset_index, time_index))) = self.checked.get_mut() {
            offset_index.rehome(name("index"));
            time_index.rehome(name("timeindex"));
        }
    }

    pub(crate) fn damaged(&self, position: u64, reason: String) -> LogError {
        LogError::Damaged { path: self.path.clone(), position, reason }
    }

    /// Removes the segment's files: the batches first, so that what is left behind is known for an orphan.
    pub(crate) fn remove_files(&self, disk: &D) -> Result<(), LogError> {
        disk.remove_file(&self.path).context("remove", &self.path)?;
        for path in [self.offset_index.path(), self.time_index.path(), self.txn_index.path(), self.digest.path()] {
            if disk.exists(path).context("look for", path)? {
                disk.remove_file(path).context("remove", path)?;
            }
        }
        Ok(())
    }
}

const OFFSET_ENTRY_BYTES: u64 = 8;

/// A walk over the headers of a segment, to its end.
struct Walk<'s, D: Disk> {
    segment: &'s Segment<D>,
    window: Window<'s, D::File>,
    position: u64,
    chain: Chain,
    last: Option<(u64, BatchHeader)>,
}

impl<D: Disk> Walk<'_, D> {
    /// The next batch and where it begins; nothing at the end.
    fn next(&mut self) -> Result<Option<(u64, BatchHeader)>, LogError> {
        let (segment, position) = (self.segment, self.position);
        let Some(header) = self.window.header_at(position).context("read", &segment.path)? else {
            if let Err(reason) = self.chain.ends(segment.next_offset, true) {
                self.check_last()?;
                return Err(segment.damaged(position, reason));
            }
            return Ok(None);
        };
        let taken = header.map_err(|error| error.to_string()).map(|header| (header, self.chain.take(&header)));
        let header = match taken {
            Ok((header, Ok(()))) => header,
            Ok((header, Err(reason))) => {
                self.check_last()?;
                self.in_its_place(&header)?.ok_or_else(|| segment.damaged(position, reason))?
            }
            Err(reason) => {
                self.check_last()?;
                return Err(segment.damaged(position, reason));
            }
        };
        self.position += header.total_len() as u64;
        self.last = Some((position, header));
        Ok(self.last)
    }

    /// Where the batches end before the damage that stopped the walk, position and offset, if there are any from `from` on.
    fn before_damage(&self, from: u64, error: LogError) -> Result<(u64, Offset), LogError> {
        match (&error, self.last) {
            (LogError::Damaged { position, .. }, Some((last, header))) if *position > from => {
                Ok(if *position == last {
                    (last, header.base_offset)
                } else {
                    (self.position, self.chain.next_offset())
                })
            }
            _ => Err(error),
        }
    }

    /// What is found at the walk's position does not follow from the header before: whether that one is wrong its CRC tells.
    fn check_last(&mut self) -> Result<(), LogError> {
        let Some((position, header)) = self.last else { return Ok(()) };
        let checked = self.window.verify_crc(position, &header).context("read", &self.segment.path)?;
        checked.map_err(|error| self.segment.damaged(position, error.to_string()))
    }

    /// The header as it must have been, if nothing is wrong with the batch but its base offset: one goes on behind it. It
    /// is not served itself, for a check finds what its file says.
    fn in_its_place(&mut self, header: &BatchHeader) -> Result<Option<BatchHeader>, LogError> {
        let Some(base_offset) = self.chain.place_of(header) else { return Ok(None) };
        let placed = BatchHeader { base_offset, ..*header };
        let whole = self.window.verify_crc(self.position, header).context("read", &self.segment.path)?.is_ok();
        Ok((whole && self.chain.take(&placed).is_ok()).then_some(placed))
    }
}
