//! Segments and producers as an open finds them: by what is promised of them, and by reading the batches of which
//! nothing is promised.

use super::open::Opening;
use crate::checkpoint::{self, EpochEntry};
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use crate::recovery::{BatchSummary, CrcFrom, Indexer, ScanFrom, SegmentScan, TxnReplay, scan_segment_from};
use crate::segment::{Promised, Segment};
use crate::snapshot::{self, ProducerEntry};
use crate::{LogConfig, Offset, segment_file_name};
use std::path::Path;

/// What an open goes by, and whom it tells.
pub(super) struct Loading<'a, D: Disk> {
    pub disk: &'a D,
    pub dir: &'a Path,
    pub config: &'a LogConfig,
    pub opening: &'a Opening,
    pub epochs: &'a mut Vec<EpochEntry>,
    pub visit: &'a mut dyn FnMut(&BatchSummary),
}

/// What an open found.
pub(super) struct Loaded<D: Disk> {
    pub segments: Vec<Segment<D>>,
    pub truncated_bytes: u64,
    pub producers: Vec<ProducerEntry>,
    pub visited_from: Offset,
    /// Offsets of the snapshots that are left, in order.
    pub snapshots: Vec<Offset>,
}

/// What follows from the batches.
struct Told {
    producers: Vec<ProducerEntry>,
    visited_from: Offset,
    snapshots: Vec<Offset>,
}

/// A segment that was read, in whole or from somewhere on: its aborted transactions from `from` on are to be found.
struct Untold {
    index: usize,
    from: Offset,
}

impl<D: Disk> Loading<'_, D> {
    /// Loads the segments that begin at `bases`, and the producers by the snapshots at `snapshots`; both in order.
    pub fn load(&mut self, bases: &[Offset], snapshots: &[Offset]) -> Result<Loaded<D>, LogError> {
        let mut segments: Vec<Segment<D>> = Vec::with_capacity(bases.len());
        let mut untold = Vec::new();
        let mut truncated_bytes = 0;
        let mut tail = None;
        for (index, &base_offset) in bases.iter().enumerate() {
            let next_base = bases.get(index + 1).copied();
            let promised = Segment::promised(self.disk, self.dir, base_offset, next_base, self.config)?;
            let (segment, from) = match (promised, next_base) {
                (Promised::Whole(segment), Some(_)) => (*segment, None),
                (Promised::Whole(segment), None) => {
                    tail = Some((segment.next_offset, segment.len));
                    let (segment, from, torn) = self.load_tail(*segment)?;
                    truncated_bytes = torn;
                    (segment, from)
                }
                (Promised::Unknown(file) | Promised::Stale(file, _), Some(next_base)) => {
                    (self.load_sealed(file, base_offset, next_base)?, Some(base_offset))
                }
                (Promised::Unknown(file), None) => {
                    let durable = if self.opening.clean { Durable::Everything } else { self.recovery_point() };
                    let (segment, torn) = self.load_last(file, base_offset, durable)?;
                    truncated_bytes = torn;
                    (segment, Some(base_offset))
                }
                (Promised::Stale(file, digest), None) => {
                    let (segment, torn) = self.load_last(file, base_offset, Durable::Bytes(digest.len))?;
                    truncated_bytes = torn;
                    (segment, Some(base_offset))
                }
            };
            if let Some(from) = from {
                untold.push(Untold { index, from });
            }
            segments.push(segment);
        }
        self.check_end(&segments)?;
        let told = self.tell(&mut segments, &untold, snapshots, tail)?;
        let Told { producers, visited_from, snapshots } = told;
        Ok(Loaded { segments, truncated_bytes, producers, visited_from, snapshots })
    }

    fn recovery_point(&self) -> Durable {
        Durable::Offsets(self.opening.recovery_point.unwrap_or(0))
    }

    /// Reads what lies behind the digest of the last segment.
    fn load_tail(&mut self, mut segment: Segment<D>) -> Result<(Segment<D>, Option<Offset>, u64), LogError> {
        let (promised_len, from) = (segment.len, segment.next_offset);
        let epochs = &mut *self.epochs;
        let scan = segment.extend(self.disk, &mut |batch| note_epoch(epochs, batch))?;
        let torn = scan.torn_bytes();
        let durable = if self.opening.clean { Durable::Everything } else { Durable::Bytes(promised_len) };
        durable.check(&scan, &segment.path)?;
        report_torn(&scan, &segment.path);
        if scan.stop.is_some() {
            segment.cut_tail()?;
        } else if segment.len > promised_len {
            segment.file.sync_data().context("sync", &segment.path)?;
        }
        let grown = segment.next_offset > from;
        Ok((segment, grown.then_some(from), torn))
    }

    /// Reads the headers of a segment that has a successor.
    fn load_sealed(&self, file: D::File, base_offset: Offset, next_base: Offset) -> Result<Segment<D>, LogError> {
        let path = self.dir.join(segment_file_name(base_offset, "log"));
        let scan = scan_segment_from(&file, &path, self.first_batch(base_offset), CrcFrom::Never, &mut |_| {})?;
        check_sealed(&scan, &path, next_base, self.config.compact)?;
        Segment::load(self.disk, self.dir, base_offset, file, scan, Vec::new(), true)
    }

    /// Reads the last segment from its first byte.
    fn load_last(
        &mut self,
        file: D::File,
        base_offset: Offset,
        durable: Durable,
    ) -> Result<(Segment<D>, u64), LogError> {
        let path = self.dir.join(segment_file_name(base_offset, "log"));
        let from = self.first_batch(base_offset);
        let epochs = &mut *self.epochs;
        let scan = scan_segment_from(&file, &path, from, durable.crc_from(), &mut |batch| note_epoch(epochs, batch))?;
        let torn = scan.torn_bytes();
        durable.check(&scan, &path)?;
        report_torn(&scan, &path);
        let segment = Segment::load(self.disk, self.dir, base_offset, file, scan, Vec::new(), false)?;
        // After a kill the end of the log may be in memory only. It is about to be shown to readers, so it must not
        // vanish at the next power cut.
        if segment.len > 0 || torn > 0 {
            segment.file.sync_data().context("sync", &segment.path)?;
        }
        Ok((segment, torn))
    }

    fn first_batch(&self, base_offset: Offset) -> ScanFrom {
        let indexer = Indexer::new(base_offset, self.config.index_interval_bytes);
        ScanFrom { position: 0, next_offset: base_offset, indexer }
    }

    /// After a clean stop the recovery point is the end of the log, so a log that ends below it has lost a segment.
    fn check_end(&self, segments: &[Segment<D>]) -> Result<(), LogError> {
        let Some(last) = segments.last() else { return Ok(()) };
        match self.opening.recovery_point {
            Some(recovery_point) if self.opening.clean && recovery_point > last.next_offset => {
                let reason = format!(
                    "the log ends at offset {} and ended at {recovery_point} when it was closed; a segment is missing",
                    last.next_offset
                );
                Err(last.damaged(last.len, reason))
            }
            _ => Ok(()),
        }
    }

    /// Finds what follows from the batches: producers, aborted transactions of segments that were read, and leader
    /// epochs where their file does not tell them.
    fn tell(
        &mut self,
        segments: &mut [Segment<D>],
        untold: &[Untold],
        snapshots: &[Offset],
        tail: Option<(Offset, u64)>,
    ) -> Result<Told, LogError> {
        let first = segments.first().map_or(0, |segment| segment.base_offset);
        let log_end = segments.last().map_or(0, |segment| segment.next_offset);
        let mut left = remove_above(self.disk, self.dir, snapshots, log_end)?;
        let (producers, visited_from) = match self.latest_snapshot(&mut left, log_end)? {
            Some((offset, producers)) => (producers, offset.max(first)),
            None => (Vec::new(), first),
        };
        let epochs_lost = !segments.iter().all(|segment| knows_epoch_of(self.epochs, segment));
        if epochs_lost {
            tracing::info!(dir = %self.dir.display(), "the leader epochs are found again from the batches");
            self.epochs.clear();
        }
        let (mut replay, replay_from) = match untold.iter().map(|untold| untold.from).min() {
            Some(from) if from < log_end => match self.latest_snapshot(&mut left, from)? {
                Some((offset, producers)) => (TxnReplay::from_producers(&producers), offset.max(first)),
                None => (TxnReplay::default(), first),
            },
            _ => (TxnReplay::default(), log_end),
        };
        let mut aborted = Vec::new();
        let from = if epochs_lost { first } else { visited_from.min(replay_from) };
        let Self { disk, epochs, visit, .. } = self;
        walk(*disk, segments, from, tail, &mut |batch| {
            let offset = batch.header.base_offset;
            if epochs_lost {
                note_epoch(epochs, batch);
            }
            if offset >= replay_from {
                aborted.extend(replay.on_batch(batch));
            }
            if offset >= visited_from {
                visit(batch);
            }
        })?;
        let last = segments.len().saturating_sub(1);
        for Untold { index, from } in untold {
            let segment = &mut segments[*index];
            let end = segment.next_offset;
            let found = aborted.iter().filter(|aborted| (*from..end).contains(&aborted.last_offset)).copied().collect();
            segment.replace_aborted(self.disk, *from, found)?;
            segment.write_digest(self.disk, *index < last);
            if *index < last {
                segment.release_digest();
            }
        }
        Ok(Told { producers, visited_from, snapshots: left })
    }

    /// The newest snapshot that is whole and not above `limit`. Those that are damaged are removed.
    fn latest_snapshot(
        &self,
        snapshots: &mut Vec<Offset>,
        limit: Offset,
    ) -> Result<Option<(Offset, Vec<ProducerEntry>)>, LogError> {
        while let Some(at) = snapshots.iter().rposition(|offset| *offset <= limit) {
            let offset = snapshots[at];
            if let Some(producers) = snapshot::read(self.disk, self.dir, offset)? {
                return Ok(Some((offset, producers)));
            }
            snapshots.remove(at);
            remove_snapshot(self.disk, self.dir, offset)?;
        }
        Ok(None)
    }
}

/// Up to where the last segment is known to have been synced.
#[derive(Debug, Clone, Copy)]
enum Durable {
    /// It was closed well.
    Everything,
    /// Below this position.
    Bytes(u64),
    /// Below this offset.
    Offsets(Offset),
}

impl Durable {
    fn crc_from(self) -> CrcFrom {
        match self {
            Self::Everything => CrcFrom::Position(0),
            Self::Bytes(len) => CrcFrom::Position(len),
            Self::Offsets(offset) => CrcFrom::Offset(offset),
        }
    }

    /// What was synced and cannot be read was lost by the medium and not by a crash.
    fn check(self, scan: &SegmentScan, path: &Path) -> Result<(), LogError> {
        let position = scan.valid_len;
        let (lost, promise) = match self {
            Self::Everything => (scan.torn_bytes() > 0, "all of it".to_owned()),
            Self::Bytes(len) => (position < len, format!("everything up to byte {len}")),
            Self::Offsets(offset) => (scan.next_offset < offset, format!("everything up to offset {offset}")),
        };
        if !lost {
            return Ok(());
        }
        let found = scan.stop.as_ref().map_or("the file ends here", |stop| &stop.reason);
        let reason = format!("{found}; {promise} was synced once");
        Err(LogError::Damaged { path: path.to_owned(), position, reason })
    }
}

/// Shows the batches from offset `from` on to `visit`, by their headers. `tail` is an offset of the last segment and the
/// position of the batch that begins there; where that is enough, nothing before it is read, and `visit` may be shown
/// batches before `from`.
fn walk<D: Disk>(
    disk: &D,
    segments: &[Segment<D>],
    from: Offset,
    tail: Option<(Offset, u64)>,
    visit: &mut dyn FnMut(&BatchSummary),
) -> Result<(), LogError> {
    for segment in segments.iter().filter(|segment| segment.next_offset > from) {
        let (next_offset, position) = match tail.filter(|(offset, _)| *offset <= from) {
            Some(tail) => tail,
            None if from <= segment.base_offset => (segment.base_offset, 0),
            None => match segment.find_offset(disk, from)? {
                Some(found) => (found.header.base_offset, found.position),
                None => continue,
            },
        };
        let from = ScanFrom { position, next_offset, indexer: segment.indexer.fresh() };
        let scan = scan_segment_from(&segment.file, &segment.path, from, CrcFrom::Never, visit)?;
        if scan.valid_len < segment.len {
            let reason = scan.stop.map_or("the file ends here".to_owned(), |stop| stop.reason);
            return Err(segment.damaged(scan.valid_len, reason));
        }
    }
    Ok(())
}

fn note_epoch(epochs: &mut Vec<EpochEntry>, batch: &BatchSummary) {
    checkpoint::assign_epoch(epochs, batch.header.partition_leader_epoch, batch.header.base_offset);
}

/// Whether the epochs say of the segment's last batch what its header says. The file is written anew with every new
/// epoch, so one that knows the last epoch knows those before it.
fn knows_epoch_of<D: Disk>(epochs: &[EpochEntry], segment: &Segment<D>) -> bool {
    let (epoch, last_offset) = (segment.indexer.last_epoch, segment.next_offset - 1);
    segment.len == 0
        || epoch < 0
        || epochs.iter().rfind(|entry| entry.start_offset <= last_offset).is_some_and(|entry| entry.epoch == epoch)
}

/// A segment that has a successor was synced before the successor was begun: whatever is missing is damage.
fn check_sealed(scan: &SegmentScan, path: &Path, next_base: Offset, compact: bool) -> Result<(), LogError> {
    let position = scan.valid_len;
    let damaged = |reason: String| Err(LogError::Damaged { path: path.to_owned(), position, reason });
    if scan.next_offset > next_base {
        return damaged(format!("it reaches offset {}, into the next segment at {next_base}", scan.next_offset - 1));
    }
    let gap = scan.next_offset < next_base;
    match &scan.stop {
        Some(stop) if stop.data_end > position => damaged(stop.reason.clone()),
        Some(_) if gap => damaged(format!("there are zeros where the batches up to offset {next_base} should be")),
        None if gap && !compact => damaged(format!("it ends before offset {next_base}, where the next segment begins")),
        _ => Ok(()),
    }
}

fn report_torn(scan: &SegmentScan, path: &Path) {
    if let Some(stop) = &scan.stop
        && scan.torn_bytes() > 0
    {
        tracing::warn!(
            path = %path.display(),
            position = scan.valid_len,
            bytes = scan.torn_bytes(),
            reason = stop.reason,
            "the end of the log is torn and is cut"
        );
    }
}

/// Removes the snapshots above `limit`; gives those that are left.
pub(super) fn remove_above<D: Disk>(
    disk: &D,
    dir: &Path,
    snapshots: &[Offset],
    limit: Offset,
) -> Result<Vec<Offset>, LogError> {
    let (left, above): (Vec<Offset>, Vec<Offset>) = snapshots.iter().partition(|offset| **offset <= limit);
    above.iter().try_for_each(|offset| remove_snapshot(disk, dir, *offset))?;
    Ok(left)
}

pub(super) fn remove_snapshot<D: Disk>(disk: &D, dir: &Path, offset: Offset) -> Result<(), LogError> {
    let path = dir.join(segment_file_name(offset, snapshot::EXTENSION));
    match disk.remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("remove", &path),
        _ => Ok(()),
    }
}
