//! Whether the files of a partition are whole and agree with each other.

use super::check::{OffsetCheck, TimeCheck, Transactions, TxnCheck};
use super::promise::Promise;
use super::segment::{BatchAt, Piece, SegmentReader, check_records};
use super::{FileKind, Files, Findings, MAX_SNAPSHOT_BYTES, Remedy, index, promise, read_whole, text};
use crate::error::{IoContext, LogError};
use crate::index::AbortedTxn;
use crate::{EpochEntry, Offset, segment_file_name};
use pelton_record::NO_EPOCH;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What is known of a topic's compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compaction {
    /// It is or was compacted: offsets may be missing.
    Done,
    /// It is not compacted now. Whether it was once, the digest of a segment knows better.
    Off,
    /// It never was.
    Never,
    /// Nobody knows.
    Unknown,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Checks {
    /// Open the records of every batch as well.
    pub deep: bool,
    /// Whether offsets may be missing.
    pub compaction: Compaction,
    /// What the records of one batch may take when decompressed, in bytes.
    pub decompress_max_bytes: usize,
}

/// What was found of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its base offset.
    pub base_offset: Offset,
    /// Bytes of the file.
    pub len_bytes: u64,
    /// Bytes up to the first damage, or to the end of its batches.
    pub whole_bytes: u64,
    /// One past the last offset before the first damage.
    pub whole_end: Offset,
    /// Whether anything behind that is damaged.
    pub damaged: bool,
    /// How many messages of format 0 or 1 it holds.
    pub old_messages: u64,
    /// Bytes of it that were synced, where its digest tells.
    pub promised_bytes: Option<u64>,
    /// Bytes of it between whose batches nothing was missing, as its digest says.
    pub dense_bytes: u64,
}

/// What was found of a partition.
#[derive(Debug)]
pub struct PartitionReport {
    /// Its directory.
    pub dir: PathBuf,
    /// What is wrong.
    pub findings: Findings,
    /// Its segments in order.
    pub segments: Vec<SegmentReport>,
    /// Batches of format 2 that were read.
    pub batches: u64,
    /// Their records: counted with [`Checks::deep`], as the headers say otherwise.
    pub records: u64,
    /// Bytes of the segments.
    pub bytes: u64,
}

impl PartitionReport {
    /// First offset, if there is a segment.
    pub fn log_start(&self) -> Option<Offset> {
        self.segments.first().map(|segment| segment.base_offset)
    }

    /// One past the last whole batch of the log, if there is a segment.
    pub fn log_end(&self) -> Option<Offset> {
        let damaged = self.segments.iter().find(|segment| segment.damaged);
        damaged.or(self.segments.last()).map(|segment| segment.whole_end)
    }
}

/// Looks at every file of the partition in `dir`. `progress` is told of bytes as they are read.
///
/// # Errors
/// When the directory cannot be listed or a segment not be read. A file that can be read and is wrong is a finding.
pub fn verify_partition<S: Files>(
    files: &S,
    dir: &Path,
    checks: &Checks,
    progress: &mut dyn FnMut(u64),
) -> Result<PartitionReport, LogError> {
    let names = files.list(dir).context("list", dir)?;
    let kinds: Vec<(FileKind, PathBuf)> = names.iter().map(|name| (FileKind::of(name), dir.join(name))).collect();
    let mut bases: Vec<Offset> = kinds
        .iter()
        .filter_map(|(kind, _)| if let FileKind::Segment(base) = kind { Some(*base) } else { None })
        .collect();
    bases.sort_unstable();
    let mut report = PartitionReport {
        dir: dir.to_owned(),
        findings: Findings::default(),
        segments: Vec::new(),
        batches: 0,
        records: 0,
        bytes: 0,
    };
    let mut walk =
        Walk { files, dir, checks, kinds: &kinds, epochs: None, transactions: Transactions::default(), progress };
    walk.epochs = walk.read_epochs(&kinds, &mut report.findings);
    for (index, base) in bases.iter().enumerate() {
        walk.segment(*base, index + 1 == bases.len(), &mut report)?;
    }
    walk.check_ends(&bases, &mut report);
    walk.check_others(&kinds, &bases, &mut report.findings);
    Ok(report)
}

struct Walk<'a, S> {
    files: &'a S,
    dir: &'a Path,
    checks: &'a Checks,
    /// All files of the partition.
    kinds: &'a [(FileKind, PathBuf)],
    epochs: Option<Vec<EpochEntry>>,
    transactions: Transactions,
    progress: &'a mut dyn FnMut(u64),
}

/// The checks of one segment's indexes, where the files are there.
struct IndexChecks {
    offsets: Option<OffsetCheck>,
    times: Option<TimeCheck>,
    aborted: TxnCheck,
}

impl<S: Files> Walk<'_, S> {
    fn path(&self, base: Offset, extension: &str) -> PathBuf {
        self.dir.join(segment_file_name(base, extension))
    }

    fn segment(&mut self, base: Offset, last: bool, report: &mut PartitionReport) -> Result<(), LogError> {
        let path = self.path(base, "log");
        let file = self.files.open(&path).context("open", &path)?;
        let mut reader = SegmentReader::new(&file, base).context("read", &path)?;
        let promise = self.read_promise(base, &mut report.findings);
        let mut found = SegmentReport {
            base_offset: base,
            len_bytes: reader.len_bytes(),
            whole_bytes: 0,
            whole_end: base,
            damaged: false,
            old_messages: 0,
            promised_bytes: promise.map(|promise| promise.len_bytes),
            dense_bytes: promise.filter(|promise| promise.dense).map_or(0, |promise| promise.len_bytes),
        };
        if let Some(before) = report.segments.last() {
            self.check_seam(before, &found, &mut report.findings);
        }
        let mut indexes = self.index_checks(base, &mut report.findings);
        let mut first_old = None;
        loop {
            let before = reader.position();
            let Some(piece) = reader.next_piece().context("read", &path)? else { break };
            (self.progress)(reader.position() - before);
            match piece {
                Piece::Batch(batch) => {
                    report.batches += 1;
                    self.count_records(&mut reader, &path, &batch, report).context("read", &path)?;
                    if let Some(problem) = &batch.problem {
                        report.findings.damage(&path, Some(batch.position), Remedy::Cut, problem.as_str());
                        found.damaged = true;
                    } else if !found.damaged {
                        self.check_gap(&path, &batch, &found, &mut report.findings);
                        self.check_epoch(&path, &batch, &mut report.findings);
                        indexes.on_batch(&mut self.transactions, &batch, &mut report.findings);
                        found.whole_end = batch.header.next_offset();
                        found.whole_bytes = reader.position();
                    }
                }
                Piece::Old(old) => {
                    found.old_messages += 1;
                    first_old.get_or_insert(old);
                    if !found.damaged {
                        found.whole_end = old.offset.saturating_add(1).max(found.whole_end);
                        found.whole_bytes = reader.position();
                    }
                }
                Piece::Damage { position, len, reason } => {
                    let reason = format!("{len} bytes are no batch: {reason}");
                    report.findings.damage(&path, Some(position), Remedy::Cut, reason);
                    found.damaged = true;
                }
                Piece::Reserved { position, len } if !last => {
                    let reason = format!("{len} zeros follow the last batch, and the segment is not the last one");
                    report.findings.warn(&path, Some(position), Remedy::None, reason);
                }
                Piece::Reserved { .. } => {}
            }
        }
        if let Some(old) = first_old {
            let reason = format!("{} messages of format {}: {OLD_FORMAT}", found.old_messages, old.magic);
            report.findings.damage(&path, Some(old.position), Remedy::None, reason);
        } else if !found.damaged {
            indexes.finish(found.whole_bytes, &mut report.findings);
        }
        if let Some(promise) = promise {
            check_promise(&path, &found, promise, &mut report.findings);
        }
        report.bytes += found.len_bytes;
        report.segments.push(found);
        Ok(())
    }

    /// Counts the records of a batch, and opens them where that is asked for. What a CRC vouches for was written so, and cutting it
    /// would undo nothing.
    fn count_records(
        &self,
        reader: &mut SegmentReader<'_, S::File>,
        path: &Path,
        batch: &BatchAt,
        report: &mut PartitionReport,
    ) -> io::Result<()> {
        if batch.problem.is_some() {
            return Ok(());
        }
        if !self.checks.deep {
            report.records += batch.header.record_count as u64;
            return Ok(());
        }
        let count = match reader.batch_bytes(batch)? {
            Some(bytes) => check_records(&bytes, self.checks.decompress_max_bytes),
            None => Err("the batch is too large to open its records".to_owned()),
        };
        match count {
            Ok(count) => report.records += count,
            Err(reason) => {
                let reason = format!("the batch's CRC fits and its records cannot be read: {reason}");
                report.findings.damage(path, Some(batch.position), Remedy::None, reason);
            }
        }
        Ok(())
    }

    /// Missing offsets within a segment.
    fn check_gap(&self, path: &Path, batch: &BatchAt, found: &SegmentReport, findings: &mut Findings) {
        let base = batch.header.base_offset;
        if base <= found.whole_end {
            return;
        }
        let (at, missing) = (Some(batch.position), found.whole_end..base);
        if batch.position < found.dense_bytes {
            // Compaction writes a digest of what it leaves, so this holds whoever compacts.
            let reason = format!("{}, and the segment's digest says that none were", missing_offsets(&missing));
            return findings.damage(path, at, Remedy::None, reason);
        }
        // A digest that covers the place and does not deny gaps was written by whoever left them.
        let compaction = match self.checks.compaction {
            Compaction::Off if found.promised_bytes.is_some_and(|promised| batch.position < promised) => {
                Compaction::Unknown
            }
            known => known,
        };
        self.gap(path, at, &missing, compaction, None, findings);
    }

    /// Missing offsets are damage where nothing may have removed their records: where that is known of the topic, or where
    /// something speaks against it.
    fn gap(
        &self,
        path: &Path,
        position: Option<u64>,
        missing: &Range<Offset>,
        compaction: Compaction,
        against: Option<String>,
        findings: &mut Findings,
    ) {
        let missing = missing_offsets(missing);
        let against = match compaction {
            Compaction::Done => return,
            Compaction::Off | Compaction::Never => Some("the topic is not compacted".to_owned()),
            Compaction::Unknown => against,
        };
        match against {
            Some(against) => findings.damage(path, position, Remedy::None, format!("{missing}, and {against}")),
            None => {
                findings.warn(path, position, Remedy::None, format!("{missing}: right only if the topic was compacted"))
            }
        }
    }

    fn check_seam(&self, before: &SegmentReport, after: &SegmentReport, findings: &mut Findings) {
        let base = after.base_offset;
        let path = self.path(base, "log");
        if before.damaged || before.old_messages > 0 {
            return;
        }
        if base > before.whole_end {
            let left = self.kinds.iter().find(|(kind, _)| {
                let of_segment = kind.of_segment().filter(|base| *base != before.base_offset);
                of_segment.is_some_and(|of| (before.whole_end..base).contains(&of))
            });
            let against = match left {
                Some((_, left)) => Some(format!("{} is left of the segment that held them", left.display())),
                None if before.dense_bytes > 0 && after.dense_bytes > 0 => Some(
                    "the digests of the segments before and behind them say that nothing was removed there".to_owned(),
                ),
                None => None,
            };
            self.gap(&path, None, &(before.whole_end..base), self.checks.compaction, against, findings);
        } else if base < before.whole_end {
            let reason = format!("the segment begins before offset {}, where the one before it ends", before.whole_end);
            findings.damage(&path, None, Remedy::None, reason);
        }
    }

    fn check_epoch(&mut self, path: &Path, batch: &BatchAt, findings: &mut Findings) {
        let header = &batch.header;
        if header.partition_leader_epoch < NO_EPOCH {
            let reason = format!("the batch has leader epoch {}", header.partition_leader_epoch);
            return findings.damage(path, Some(batch.position), Remedy::None, reason);
        }
        // Nothing is said of a batch that a client without epochs wrote.
        let known = header.partition_leader_epoch > NO_EPOCH;
        let Some(epochs) = self.epochs.as_ref().filter(|_| known) else { return };
        let at = epochs.partition_point(|entry| entry.start_offset <= header.base_offset);
        let Some(entry) = at.checked_sub(1).and_then(|at| epochs.get(at)) else { return };
        if entry.epoch != header.partition_leader_epoch {
            let reason = format!(
                "the batch at offset {} has leader epoch {}, and leader-epoch-checkpoint says {}",
                header.base_offset, header.partition_leader_epoch, entry.epoch
            );
            findings.damage(path, Some(batch.position), Remedy::None, reason);
            // One finding tells that the two do not agree; every further batch would say the same.
            self.epochs = None;
        }
    }

    fn index_checks(&self, base: Offset, findings: &mut Findings) -> IndexChecks {
        let path = self.path(base, "index");
        let offsets = self.read_index(&path, findings, |file| index::read_offset_index(file, base));
        let offsets = offsets.map(|read| OffsetCheck::new(&path, read, base, findings));
        let path = self.path(base, "timeindex");
        let times = self.read_index(&path, findings, |file| index::read_time_index(file, base));
        let times = times.map(|read| TimeCheck::new(&path, read, base, findings));
        let path = self.path(base, "txnindex");
        let none = index::Entries { entries: Vec::<(i16, AbortedTxn)>::new(), reserved_bytes: 0, surplus_bytes: 0 };
        let aborted = self.read_index(&path, findings, index::read_txn_index).unwrap_or(none);
        IndexChecks { offsets, times, aborted: TxnCheck::new(&path, aborted, findings) }
    }

    fn read_index<E>(
        &self,
        path: &Path,
        findings: &mut Findings,
        read: impl FnOnce(&S::File) -> io::Result<index::Entries<E>>,
    ) -> Option<index::Entries<E>> {
        match self.files.open(path).and_then(|file| read(&file)) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                findings.damage(path, None, Remedy::Reindex, format!("cannot be read: {error}"));
                None
            }
        }
    }

    fn read_text<T>(
        &self,
        path: &Path,
        remedy: Remedy,
        findings: &mut Findings,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Option<T> {
        let bytes = self.files.open(path).and_then(|file| read_whole(&file, text::MAX_TEXT_BYTES));
        let parsed = bytes.map_err(|error| format!("cannot be read: {error}")).and_then(|bytes| parse(&bytes));
        parsed.map_err(|reason| findings.damage(path, None, remedy, reason)).ok()
    }

    fn read_epochs(&self, kinds: &[(FileKind, PathBuf)], findings: &mut Findings) -> Option<Vec<EpochEntry>> {
        let (_, path) = kinds.iter().find(|(kind, _)| *kind == FileKind::LeaderEpochs)?;
        self.read_text(path, Remedy::SetAside, findings, text::leader_epochs)
    }

    /// The digest of a segment; one that Kafka wrote has none.
    fn read_promise(&self, base: Offset, findings: &mut Findings) -> Option<Promise> {
        let path = self.path(base, "digest");
        match self.files.open(&path).and_then(|file| promise::read(&file, base)) {
            Ok(Ok(promise)) => return Some(promise),
            Ok(Err(reason)) => findings.warn(&path, None, Remedy::SetAside, reason),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => findings.damage(&path, None, Remedy::None, format!("cannot be read: {error}")),
        }
        None
    }

    /// What the small files say of the log's end.
    fn check_ends(&self, bases: &[Offset], report: &mut PartitionReport) {
        let (Some(epochs), Some(end)) = (&self.epochs, report.log_end()) else { return };
        if let Some(entry) = epochs.iter().find(|entry| entry.start_offset > end)
            && !bases.is_empty()
        {
            let path = self.dir.join("leader-epoch-checkpoint");
            let reason =
                format!("epoch {} begins at offset {}, and the log ends at {end}", entry.epoch, entry.start_offset);
            report.findings.damage(&path, None, Remedy::SetAside, reason);
        }
    }

    fn check_others(&self, kinds: &[(FileKind, PathBuf)], bases: &[Offset], findings: &mut Findings) {
        for (kind, path) in kinds {
            match kind {
                FileKind::PartitionMetadata => {
                    self.read_text(path, Remedy::None, findings, text::partition_metadata);
                }
                FileKind::OffsetCheckpoint => {
                    self.read_text(path, Remedy::None, findings, text::offset_checkpoint);
                }
                FileKind::Snapshot(at) => self.check_snapshot(*at, path, findings),
                FileKind::OffsetIndex(base)
                | FileKind::TimeIndex(base)
                | FileKind::TxnIndex(base)
                | FileKind::Digest(base)
                    if bases.binary_search(base).is_err() =>
                {
                    findings.warn(path, None, Remedy::SetAside, "the file has no segment; the broker removes it");
                }
                FileKind::Leftover => {
                    findings.warn(path, None, Remedy::None, "an interrupted change left it; the broker clears it up");
                }
                _ => {}
            }
        }
    }

    fn check_snapshot(&self, at: Offset, path: &Path, findings: &mut Findings) {
        let bytes = self.files.open(path).and_then(|file| read_whole(&file, MAX_SNAPSHOT_BYTES));
        let producers = match bytes.map(|bytes| crate::snapshot::decode(&bytes)) {
            Ok(Ok(producers)) => producers,
            Ok(Err(reason)) => return findings.damage(path, None, Remedy::SetAside, reason),
            Err(error) => return findings.damage(path, None, Remedy::None, format!("cannot be read: {error}")),
        };
        let last = |producer: &crate::ProducerEntry| producer.batches.last().map_or(-1, |batch| batch.last_offset);
        if let Some(late) = producers.iter().find(|producer| last(producer) >= at) {
            let reason = format!("producer {} has offset {}, past the snapshot's", late.producer_id, last(late));
            findings.damage(path, None, Remedy::SetAside, reason);
        }
    }
}

/// Holds the segment at `path` against its digest.
fn check_promise(path: &Path, segment: &SegmentReport, promise: Promise, findings: &mut Findings) {
    if segment.whole_bytes < promise.len_bytes && !segment.damaged {
        let reason = format!(
            "the batches end here, and those up to byte {} and offset {} were synced once",
            promise.len_bytes, promise.next_offset
        );
        findings.damage(path, Some(segment.whole_bytes), Remedy::None, reason);
    }
}

fn missing_offsets(missing: &Range<Offset>) -> String {
    format!("offsets {} to {} are missing", missing.start, missing.end - 1)
}

impl IndexChecks {
    fn on_batch(&mut self, transactions: &mut Transactions, batch: &BatchAt, findings: &mut Findings) {
        if let Some(offsets) = &mut self.offsets {
            offsets.on_batch(batch, findings);
        }
        if let Some(times) = &mut self.times {
            times.on_batch(batch, findings);
        }
        self.aborted.on_batch(transactions, batch, findings);
    }

    fn finish(self, end: u64, findings: &mut Findings) {
        if let Some(offsets) = self.offsets {
            offsets.finish(end, findings);
        }
        if let Some(times) = self.times {
            times.finish(findings);
        }
        self.aborted.finish(findings);
    }
}

/// What is to be said of messages of format 0 and 1.
const OLD_FORMAT: &str = "Kafka wrote them before 0.11 and this broker reads format 2 alone; \
     have Apache Kafka 3.x mirror the topic into a new one, which writes format 2";
