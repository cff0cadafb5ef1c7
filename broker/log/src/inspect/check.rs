//! Whether the indexes of a segment say what its batches say. The entries are held against the batches while these go by, so
//! that nothing of the segment need be kept.

use super::index::{Entries, OffsetEntry, TimeEntry};
use super::segment::BatchAt;
use super::{Findings, Remedy};
use crate::Offset;
use crate::index::AbortedTxn;
use pelton_record::{ControlType, NO_TIMESTAMP};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Producers with an open transaction that are followed; of more, no missing entry is reported.
const MAX_OPEN: usize = 1 << 20;

/// One index file against the batches.
struct Against<E> {
    path: PathBuf,
    entries: Vec<E>,
    entry_bytes: u64,
    next: usize,
}

impl<E: Copy> Against<E> {
    fn new(path: &Path, read: Entries<E>, entry_bytes: u64, findings: &mut Findings) -> Self {
        if read.surplus_bytes > 0 {
            let reason = format!("{} bytes behind the last entry are no entry", read.surplus_bytes);
            let position = read.entries.len() as u64 * entry_bytes + read.reserved_bytes;
            findings.damage(path, Some(position), Remedy::Reindex, reason);
        }
        Self { path: path.to_owned(), entries: read.entries, entry_bytes, next: 0 }
    }

    fn next(&self) -> Option<E> {
        self.entries.get(self.next).copied()
    }

    /// Reports the next entry.
    fn report(&self, findings: &mut Findings, reason: String) {
        findings.damage(&self.path, Some(self.next as u64 * self.entry_bytes), Remedy::Reindex, reason);
    }
}

/// `N.index` against the batches of its segment.
pub(super) struct OffsetCheck {
    against: Against<OffsetEntry>,
    last_offset: Offset,
}

impl OffsetCheck {
    pub(super) fn new(path: &Path, read: Entries<OffsetEntry>, base: Offset, findings: &mut Findings) -> Self {
        let disordered = read
            .entries
            .windows(2)
            .position(|pair| pair[0].offset >= pair[1].offset || pair[0].position >= pair[1].position);
        let mut against = Against::new(path, read, 8, findings);
        if let Some(before) = disordered {
            against.next = before + 1;
            against.report(findings, "the entry does not ascend from the one before it".to_owned());
            // What follows cannot be walked in order; one finding is enough to have the file written again.
            against.next = against.entries.len();
        }
        Self { against, last_offset: base - 1 }
    }

    pub(super) fn on_batch(&mut self, batch: &BatchAt, findings: &mut Findings) {
        while let Some(entry) = self.against.next().filter(|entry| u64::from(entry.position) <= batch.position) {
            let OffsetEntry { offset, position } = entry;
            if u64::from(position) < batch.position {
                self.against
                    .report(findings, format!("offset {offset} leads to byte {position}, where no batch begins"));
            } else if offset <= self.last_offset {
                let last = self.last_offset;
                let reason = format!("offset {offset} leads to byte {position}, behind records up to offset {last}");
                self.against.report(findings, reason);
            } else if offset < batch.header.base_offset {
                let base = batch.header.base_offset;
                let reason = format!("offset {offset} leads to byte {position}, where offset {base} begins");
                self.against.report(findings, reason);
            }
            self.against.next += 1;
        }
        self.last_offset = batch.header.last_offset();
    }

    /// The batches end here.
    pub(super) fn finish(mut self, end: u64, findings: &mut Findings) {
        if let Some(OffsetEntry { offset, position }) = self.against.next() {
            let reason = format!("offset {offset} leads to byte {position}, and the batches end at byte {end}");
            self.against.report(findings, reason);
        } else if let Some(last) = self.against.entries.last().filter(|last| last.offset > self.last_offset) {
            self.against.next = self.against.entries.len() - 1;
            let reason =
                format!("the entry is for offset {}, and the segment ends at {}", last.offset, self.last_offset);
            self.against.report(findings, reason);
        }
    }
}

/// `N.timeindex` against the batches of its segment.
pub(super) struct TimeCheck {
    against: Against<TimeEntry>,
    max_timestamp: i64,
    last_offset: Offset,
}

impl TimeCheck {
    pub(super) fn new(path: &Path, read: Entries<TimeEntry>, base: Offset, findings: &mut Findings) -> Self {
        let disordered = read
            .entries
            .windows(2)
            .position(|pair| pair[0].timestamp >= pair[1].timestamp || pair[0].offset > pair[1].offset);
        let mut against = Against::new(path, read, 12, findings);
        if let Some(before) = disordered {
            against.next = before + 1;
            against.report(findings, "the entry does not ascend from the one before it".to_owned());
            against.next = against.entries.len();
        }
        Self { against, max_timestamp: NO_TIMESTAMP, last_offset: base - 1 }
    }

    pub(super) fn on_batch(&mut self, batch: &BatchAt, findings: &mut Findings) {
        self.judge(batch.header.base_offset, findings);
        self.max_timestamp = self.max_timestamp.max(batch.header.max_timestamp);
        self.last_offset = batch.header.last_offset();
    }

    /// Judges the entries for offsets before `next_batch`: all batches that can matter to them went by.
    fn judge(&mut self, next_batch: Offset, findings: &mut Findings) {
        while let Some(TimeEntry { timestamp, offset }) = self.against.next().filter(|entry| entry.offset < next_batch)
        {
            let largest = self.max_timestamp;
            if timestamp < largest {
                let reason = format!("the entry says {timestamp} for offset {offset}, and {largest} lies before that");
                self.against.report(findings, reason);
            } else if timestamp > largest {
                let position = Some(self.against.next as u64 * self.against.entry_bytes);
                let reason =
                    format!("the entry says {timestamp} for offset {offset}, and {largest} is the largest there");
                findings.warn(&self.against.path, position, Remedy::Reindex, reason);
            }
            self.against.next += 1;
        }
    }

    /// The batches end here.
    pub(super) fn finish(mut self, findings: &mut Findings) {
        self.judge(self.last_offset + 1, findings);
        if let Some(entry) = self.against.next() {
            let last = self.last_offset;
            let reason = format!("the entry is for offset {}, and the segment ends at {last}", entry.offset);
            self.against.report(findings, reason);
        }
    }
}

/// The aborted transactions of a partition, found again from its batches.
#[derive(Default)]
pub(super) struct Transactions {
    open: BTreeMap<i64, Offset>,
    overflow: bool,
}

impl Transactions {
    /// The transaction that this batch aborts, if its records are there.
    fn on_batch(&mut self, batch: &BatchAt) -> Option<(i64, Offset)> {
        let header = &batch.header;
        if !header.attributes.is_transactional() {
            return None;
        }
        if header.attributes.is_control() {
            let (kind, _) = batch.control?;
            let first = self.open.remove(&header.producer_id)?;
            return (kind == ControlType::Abort && !self.overflow).then_some((header.producer_id, first));
        }
        if self.open.len() >= MAX_OPEN {
            self.overflow = true;
        } else {
            self.open.entry(header.producer_id).or_insert(header.base_offset);
        }
        None
    }
}

/// `N.txnindex` against the markers of its segment.
pub(super) struct TxnCheck {
    against: Against<(i16, AbortedTxn)>,
}

impl TxnCheck {
    pub(super) fn new(path: &Path, read: Entries<(i16, AbortedTxn)>, findings: &mut Findings) -> Self {
        let mut against = Against::new(path, read, 34, findings);
        for index in 0..against.entries.len() {
            let (version, entry) = against.entries[index];
            against.next = index;
            if version != 0 {
                against.report(findings, format!("the entry has version {version}; version 0 is read"));
            } else if entry.first_offset > entry.last_offset
                || entry.last_stable_offset > entry.last_offset.saturating_add(1)
                || entry.first_offset.min(entry.last_stable_offset) < 0
            {
                against.report(findings, "the offsets of the entry contradict each other".to_owned());
            }
        }
        let disordered = against.entries.windows(2).position(|pair| pair[0].1.last_offset >= pair[1].1.last_offset);
        against.next = 0;
        if let Some(before) = disordered {
            against.next = before + 1;
            against.report(findings, "the entry does not ascend from the one before it".to_owned());
            against.next = against.entries.len();
        }
        Self { against }
    }

    pub(super) fn on_batch(&mut self, transactions: &mut Transactions, batch: &BatchAt, findings: &mut Findings) {
        let aborted = transactions.on_batch(batch);
        let last_offset = batch.header.last_offset();
        let mut found = None;
        while let Some((_, entry)) = self.against.next().filter(|(_, entry)| entry.last_offset <= last_offset) {
            let marker = matches!(batch.control, Some((ControlType::Abort, _)));
            if !marker || entry.last_offset != last_offset || entry.producer_id != batch.header.producer_id {
                let reason = format!(
                    "producer {} is said to have aborted at offset {}, where no such marker stands",
                    entry.producer_id, entry.last_offset
                );
                self.against.report(findings, reason);
            } else {
                found = Some(entry);
            }
            self.against.next += 1;
        }
        // An entry that begins earlier than what is left of the transaction is right: compaction may have taken its front.
        if let Some((producer, first)) = aborted
            && found.is_none_or(|entry| entry.first_offset > first)
        {
            let reason = format!(
                "the transaction of producer {producer} from offset {first} that was aborted at {last_offset} is missing"
            );
            findings.damage(&self.against.path, None, Remedy::Reindex, reason);
        }
    }

    /// The batches end here.
    pub(super) fn finish(self, findings: &mut Findings) {
        if let Some((_, entry)) = self.against.next() {
            let reason = format!("the entry is for offset {}, behind the segment's last batch", entry.last_offset);
            self.against.report(findings, reason);
        }
    }
}
