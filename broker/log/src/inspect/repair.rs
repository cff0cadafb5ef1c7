//! The repair of a partition that no broker holds: cut what cannot be read, write indexes again, put aside what is made again.
//!
//! [`plan`] decides from what was found and touches nothing. [`apply`] carries out one step, and keeps a copy of everything that
//! the step takes away before it does: the copy is synced first.

use super::segment::{BatchAt, Piece, SegmentReader};
use super::{FileKind, Finding, OFFSET_CHECKPOINTS, PartitionReport, Remedy, Severity, text, topic_partition};
use crate::disk::{Disk, DiskFile};
use crate::error::{IoContext, LogError};
use crate::index::{AbortedTxn, IndexEntry, OffsetEntry, TimeEntry};
use crate::recovery::Indexer;
use crate::{LogConfig, Offset, segment_file_name};
use pelton_record::ControlType;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// One step of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Keep what the segment holds from `position` on, and cut it there.
    Cut {
        /// The segment file.
        path: PathBuf,
        /// Bytes that stay.
        position: u64,
    },
    /// Move the file to the copies.
    SetAside {
        /// The file.
        path: PathBuf,
    },
    /// Lower what the checkpoints beside the partition say of it to where its log ends now.
    LowerCheckpoints {
        /// The partition's directory.
        dir: PathBuf,
        /// One past its last offset.
        log_end: Offset,
    },
    /// Write the index files of the partition's segments again where they are not what the batches give.
    Reindex {
        /// The partition's directory.
        dir: PathBuf,
    },
}

/// What a repair would do.
#[derive(Debug, Default)]
pub struct Plan {
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// Where the log ends then, if that changes.
    pub log_end: Option<Offset>,
    /// Damage that no step undoes.
    pub remaining: Vec<Finding>,
}

/// What can be done about the findings of a partition, whose directory holds `names`. Only with `lose_acknowledged` is cut what was
/// synced once: a segment that has a successor, whose successors are put aside then, and the last one below the end of its digest or
/// below `recovery_point`, which the checkpoint of the log directory tells.
pub fn plan(
    report: &PartitionReport,
    names: &[String],
    recovery_point: Option<Offset>,
    lose_acknowledged: bool,
) -> Plan {
    let mut plan = Plan::default();
    let dir = &report.dir;
    let damaged = report.segments.iter().position(|segment| segment.damaged);
    let may_cut = damaged.is_some_and(|index| {
        let segment = &report.segments[index];
        let promised = segment.promised_bytes.is_some_and(|len| segment.whole_bytes < len)
            || recovery_point.is_some_and(|point| segment.whole_end < point);
        lose_acknowledged || (index + 1 == report.segments.len() && !promised)
    });
    if let Some(segment) = damaged.filter(|_| may_cut).map(|index| &report.segments[index]) {
        let path = dir.join(segment_file_name(segment.base_offset, "log"));
        plan.log_end = Some(segment.whole_end);
        // Successors go from the last to the first, so that what is left is a log at every moment; and what promises the bytes
        // that are cut goes before they do.
        plan.steps.extend(
            names
                .iter()
                .rev()
                .filter(|name| is_past(name, segment.base_offset, segment.whole_end))
                .map(|name| Step::SetAside { path: dir.join(name) }),
        );
        plan.steps.push(Step::LowerCheckpoints { dir: dir.clone(), log_end: segment.whole_end });
        plan.steps.push(Step::Cut { path, position: segment.whole_bytes });
    }
    let mut aside = BTreeSet::new();
    let mut reindex = plan.log_end.is_some();
    for finding in &report.findings.list {
        match finding.remedy {
            Remedy::Cut if may_cut => {}
            Remedy::Reindex => reindex = true,
            Remedy::SetAside => {
                aside.insert(finding.path.clone());
            }
            _ if finding.severity == Severity::Damage => plan.remaining.push(finding.clone()),
            _ => {}
        }
    }
    let gone: BTreeSet<PathBuf> = plan.steps.iter().map(|step| step.path().to_owned()).collect();
    plan.steps.extend(aside.into_iter().filter(|path| !gone.contains(path)).map(|path| Step::SetAside { path }));
    if reindex {
        plan.steps.push(Step::Reindex { dir: dir.clone() });
    }
    plan
}

/// Whether the file speaks of what lies past the cut: segments after the one at `base`, and snapshots after `end`.
fn is_past(name: &str, base: Offset, end: Offset) -> bool {
    match FileKind::of(name) {
        FileKind::Segment(at) | FileKind::OffsetIndex(at) | FileKind::TimeIndex(at) | FileKind::TxnIndex(at) => {
            at > base
        }
        // A digest speaks of bytes that are not there any more.
        FileKind::Digest(at) => at >= base,
        FileKind::Snapshot(at) => at > end,
        _ => false,
    }
}

impl Step {
    /// The file or directory that is changed.
    pub fn path(&self) -> &Path {
        match self {
            Self::Cut { path, .. } | Self::SetAside { path } => path,
            Self::LowerCheckpoints { dir, .. } | Self::Reindex { dir } => dir,
        }
    }
}

/// Carries out a step. What it takes away is in `copies` then, a directory that is made for it. Says which files were written there.
///
/// # Errors
/// [`LogError::Io`]; the step can be tried again. [`LogError::Damaged`] when a segment that is to be indexed is not whole.
pub fn apply<D: Disk>(disk: &D, step: &Step, copies: &Path) -> Result<Vec<PathBuf>, LogError> {
    match step {
        Step::Cut { path, position } => {
            let copy = copies.join(format!("{}.from-{position}", file_name(path)));
            keep(disk, path, *position, copies, &copy)?;
            let file = disk.open(path, false).context("open", path)?;
            file.set_len(*position).context("cut", path)?;
            file.sync_data().context("sync", path)?;
            Ok(vec![copy])
        }
        Step::SetAside { path } => {
            let copy = copies.join(file_name(path));
            keep(disk, path, 0, copies, &copy)?;
            disk.remove_file(path).context("remove", path)?;
            let dir = path.parent().unwrap_or(Path::new("."));
            disk.sync_dir(dir).context("sync", dir)?;
            Ok(vec![copy])
        }
        Step::LowerCheckpoints { dir, log_end } => lower_checkpoints(disk, dir, *log_end, copies),
        Step::Reindex { dir } => reindex(disk, dir, copies),
    }
}

fn lower_checkpoints<D: Disk>(disk: &D, dir: &Path, log_end: Offset, copies: &Path) -> Result<Vec<PathBuf>, LogError> {
    let mut kept = Vec::new();
    let Some((topic, partition)) = topic_partition(file_name(dir)) else { return Ok(kept) };
    let log_dir = dir.parent().unwrap_or(Path::new("."));
    for name in OFFSET_CHECKPOINTS {
        let path = log_dir.join(name);
        if !disk.exists(&path).context("look for", &path)? {
            continue;
        }
        let bytes = disk.read_small(&path, text::MAX_TEXT_BYTES as usize).context("read", &path)?;
        // One that cannot be read is a finding of its own, and no line of it is believed by a broker.
        let Ok(mut lines) = text::offset_checkpoint(&bytes) else { continue };
        let mut lowered = false;
        for line in lines.iter_mut().filter(|line| line.topic == topic && line.partition == partition) {
            lowered |= line.offset > log_end;
            line.offset = line.offset.min(log_end);
        }
        if !lowered {
            continue;
        }
        let copy = copies.join(name);
        keep(disk, &path, 0, copies, &copy)?;
        let body: String =
            lines.iter().map(|line| format!("{} {} {}\n", line.topic, line.partition, line.offset)).collect();
        let content = format!("0\n{}\n{body}", lines.len());
        disk.write_atomic(&path, content.as_bytes()).context("write", &path)?;
        kept.push(copy);
    }
    Ok(kept)
}

/// Copies the bytes of `path` from `position` on.
fn keep<D: Disk>(disk: &D, path: &Path, position: u64, copies: &Path, copy: &Path) -> Result<(), LogError> {
    disk.create_dir_all(copies).context("create", copies)?;
    let from = disk.open(path, false).context("open", path)?;
    let to = disk.open(copy, true).context("create", copy)?;
    to.set_len(0).context("cut", copy)?;
    let len = from.len().context("measure", path)?;
    let mut at = position;
    let mut buffer = vec![0; COPY_BYTES];
    while at < len {
        let wanted = buffer.len().min((len - at) as usize);
        let read = from.read_at(&mut buffer[..wanted], at).context("read", path)?;
        if read == 0 {
            break;
        }
        to.write_at(&buffer[..read], at - position).context("write", copy)?;
        at += read as u64;
    }
    to.sync_data().context("sync", copy)?;
    disk.sync_dir(copies).context("sync", copies)
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("file")
}

/// The open transactions of a log, to find again which were aborted.
#[derive(Default)]
struct Open(BTreeMap<i64, Offset>);

impl Open {
    fn on_batch(&mut self, batch: &BatchAt) -> Option<AbortedTxn> {
        let header = &batch.header;
        if !header.attributes.is_transactional() {
            return None;
        }
        if !header.attributes.is_control() {
            self.0.entry(header.producer_id).or_insert(header.base_offset);
            return None;
        }
        let (kind, _) = batch.control?;
        let first_offset = self.0.remove(&header.producer_id)?;
        let last_stable_offset = self.0.values().copied().min().unwrap_or(header.next_offset());
        let (producer_id, last_offset) = (header.producer_id, header.last_offset());
        (kind == ControlType::Abort).then_some(AbortedTxn {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset,
        })
    }
}

/// The three indexes of a segment, encoded.
#[derive(Default)]
struct Indexes {
    offsets: Vec<u8>,
    times: Vec<u8>,
    aborted: Vec<u8>,
}

fn reindex<D: Disk>(disk: &D, dir: &Path, copies: &Path) -> Result<Vec<PathBuf>, LogError> {
    let names = disk.list(dir).context("list", dir)?;
    let bases: Vec<Offset> = names
        .iter()
        .filter_map(|name| if let FileKind::Segment(base) = FileKind::of(name) { Some(base) } else { None })
        .collect();
    let (mut kept, mut open) = (Vec::new(), Open::default());
    for (index, base) in bases.iter().enumerate() {
        let indexes = index_segment(disk, dir, *base, index + 1 < bases.len(), &mut open)?;
        let Indexes { offsets, times, aborted } = indexes;
        // Kafka's tools look for an `.index`, if an empty one, beside every `.timeindex`.
        let timed = !times.is_empty();
        for (extension, bytes, must) in
            [("index", offsets, timed), ("timeindex", times, false), ("txnindex", aborted, false)]
        {
            let path = dir.join(segment_file_name(*base, extension));
            kept.extend(replace_index(disk, &path, &bytes, must, copies)?);
        }
    }
    disk.sync_dir(dir).context("sync", dir)?;
    Ok(kept)
}

/// Makes the file hold `bytes`, and keeps what it held if that was something else.
fn replace_index<D: Disk>(
    disk: &D,
    path: &Path,
    bytes: &[u8],
    must_exist: bool,
    copies: &Path,
) -> Result<Option<PathBuf>, LogError> {
    let exists = disk.exists(path).context("look for", path)?;
    if !exists && bytes.is_empty() && !must_exist {
        return Ok(None);
    }
    let mut copy = None;
    if exists {
        let file = disk.open(path, false).context("open", path)?;
        let len = file.len().context("measure", path)?;
        let mut there = vec![0; bytes.len()];
        if len == bytes.len() as u64
            && file.read_at(&mut there, 0).context("read", path)? == bytes.len()
            && there == bytes
        {
            return Ok(None);
        }
        let to = copies.join(file_name(path));
        keep(disk, path, 0, copies, &to)?;
        copy = Some(to);
    }
    disk.write_atomic(path, bytes).context("write", path)?;
    Ok(copy)
}

fn index_segment<D: Disk>(
    disk: &D,
    dir: &Path,
    base: Offset,
    sealed: bool,
    open: &mut Open,
) -> Result<Indexes, LogError> {
    let path = dir.join(segment_file_name(base, "log"));
    let file = disk.open(&path, false).context("open", &path)?;
    let mut reader = SegmentReader::new(&file, base).context("read", &path)?;
    let mut indexer = Indexer::new(base, LogConfig::default().index_interval_bytes);
    let mut out = Indexes::default();
    while let Some(piece) = reader.next_piece().context("read", &path)? {
        let batch = match piece {
            Piece::Batch(batch) if batch.problem.is_none() => batch,
            Piece::Reserved { .. } => continue,
            Piece::Batch(batch) => {
                return Err(not_whole(&path, batch.position, "the segment is not whole, so no index of it would be"));
            }
            Piece::Damage { position, .. } => {
                return Err(not_whole(&path, position, "the segment is not whole, so no index of it would be"));
            }
            Piece::Old(old) => return Err(not_whole(&path, old.position, "it holds messages of format 0 or 1")),
        };
        let (offset_entry, time_entry) = indexer.on_batch(&batch.header, batch.position);
        offset_entry.iter().for_each(|entry: &OffsetEntry| entry.encode(&mut out.offsets));
        time_entry.iter().for_each(|entry: &TimeEntry| entry.encode(&mut out.times));
        open.on_batch(&batch).iter().for_each(|entry| entry.encode(&mut out.aborted));
    }
    if sealed && let Some(entry) = indexer.time_entry() {
        entry.encode(&mut out.times);
    }
    Ok(out)
}

fn not_whole(path: &Path, position: u64, reason: &str) -> LogError {
    LogError::Damaged { path: path.to_owned(), position, reason: reason.to_owned() }
}
