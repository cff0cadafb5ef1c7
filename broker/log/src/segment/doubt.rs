//! Which bytes of a segment are believed, and how the others are checked before anybody is given them.
//!
//! Believed is what this process wrote, and what it has read with the CRC. What an earlier process wrote and an open took
//! by a digest, or by the headers alone, is in [`Doubt`] until it is checked, once.
//!
//! The CRC of a batch covers neither its base offset nor its leader epoch. Those follow from the batches around: a
//! [`Chain`] says what the header of the next batch must be.

use crate::Offset;
use crate::checkpoint::EpochEntry;
use crate::disk::DiskFile;
use crate::error::{IoContext, LogError};
use crate::window::Window;
use pelton_record::{BatchHeader, NO_EPOCH};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes that a check reads at a time.
const CHECK_BYTES: usize = 256 << 10;

/// The front of a segment, which an earlier process wrote.
#[derive(Debug)]
pub(crate) struct Doubt {
    /// One past the last byte of it: a batch ends there.
    end: u64,
    /// One past the last offset of it.
    next_offset: Offset,
    /// Everything below was checked.
    seen_through: AtomicU64,
}

impl Doubt {
    /// The bytes below `end`, whose last batch ends before `next_offset`; nothing where there are none.
    pub(crate) fn below(end: u64, next_offset: Offset) -> Option<Arc<Self>> {
        (end > 0).then(|| Arc::new(Self { end, next_offset, seen_through: AtomicU64::new(0) }))
    }

    /// The same once the segment ends at byte `len` and offset `next_offset`.
    pub(crate) fn cut_to(&self, len: u64, next_offset: Offset) -> Option<Arc<Self>> {
        let (end, next_offset) = if self.end <= len { (self.end, self.next_offset) } else { (len, next_offset) };
        let seen_through = AtomicU64::new(self.seen_through().min(end));
        (end > 0).then(|| Arc::new(Self { end, next_offset, seen_through }))
    }

    /// Whether any of the bytes from `position` to `end` has not been checked, as far as is known.
    pub(crate) fn covers(&self, position: u64, end: u64) -> bool {
        position < self.end && end.min(self.end) > self.seen_through()
    }

    /// Notes that the bytes from `from` to `through` were checked, where nothing before them is left to check.
    pub(crate) fn note_seen(&self, from: u64, through: u64) {
        if from <= self.seen_through() {
            self.seen_through.fetch_max(through.min(self.end), Ordering::Relaxed);
        }
    }

    // The mark alone is read and written; the bytes are the file's, which nobody changes.
    fn seen_through(&self) -> u64 {
        self.seen_through.load(Ordering::Relaxed)
    }
}

/// What is known of a batch before its header is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum First {
    /// It begins at this offset, or above it where there are gaps.
    Begins(Offset),
    /// It ends with this offset: an index says so.
    Ends(Offset),
}

/// A batch from which one walks on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    pub(crate) position: u64,
    pub(crate) first: First,
}

/// What the header of the next batch must be, given those before it.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    first: First,
    /// No batch begins below.
    next: Offset,
    /// Whether each batch begins just where the one before it ends.
    dense: bool,
    /// Where the last batch of the segment ends.
    end: Offset,
    /// Leader epochs and where they begin; of offsets before the first one nothing is known.
    epochs: Vec<EpochEntry>,
}

impl Chain {
    /// Of a segment from `base_offset` to `end`, beginning with the batch that `first` tells of.
    pub(crate) fn new(first: First, dense: bool, base_offset: Offset, end: Offset, epochs: Vec<EpochEntry>) -> Self {
        let next = match first {
            First::Begins(offset) => offset,
            First::Ends(_) => base_offset,
        };
        Self { first, next, dense, end, epochs }
    }

    /// Where the batches that were taken end.
    pub(crate) fn next_offset(&self) -> Offset {
        self.next
    }

    /// Takes the header of the next batch.
    ///
    /// # Errors
    /// Says why it cannot be that.
    pub(crate) fn take(&mut self, header: &BatchHeader) -> Result<(), String> {
        let (base, last, next) = (header.base_offset, header.last_offset(), self.next);
        if base < next {
            return Err(format!("the batch begins at offset {base}, before {next}"));
        }
        if last >= self.end {
            return Err(format!("the batch reaches offset {last}, and the segment ends before {}", self.end));
        }
        match self.first {
            First::Begins(_) if self.dense && base != next => {
                return Err(format!("the batch begins at offset {base}, and {next} comes next"));
            }
            First::Ends(end) if last != end => {
                return Err(format!("the batch ends with offset {last}, and by the index with {end}"));
            }
            _ => {}
        }
        // An epoch begins with a batch, and what lies before the log's start is forgotten: so the last offset tells.
        let known = self.epochs.iter().rfind(|entry| entry.start_offset <= last).map(|entry| entry.epoch);
        let epoch = header.partition_leader_epoch;
        if let Some(known) = known.filter(|known| epoch != *known && epoch != NO_EPOCH) {
            return Err(format!("the batch is of leader epoch {epoch}, and those offsets are of {known}"));
        }
        self.next = last + 1;
        self.first = First::Begins(self.next);
        Ok(())
    }

    /// Where the next batch must begin, whatever its header says, if that is known.
    pub(crate) fn place_of(&self, header: &BatchHeader) -> Option<Offset> {
        match self.first {
            First::Begins(offset) => self.dense.then_some(offset),
            First::Ends(offset) => Some(offset - Offset::from(header.last_offset_delta)),
        }
    }

    /// Whether the batches that were taken end at `end`, or may be followed by a gap up to there.
    ///
    /// # Errors
    /// Says where they end.
    pub(crate) fn ends(&self, end: Offset, exactly: bool) -> Result<(), String> {
        let next = self.next;
        if next > end || (exactly && next < end) {
            return Err(format!("the batches end before offset {next}, and should end before {end}"));
        }
        Ok(())
    }
}

/// Batches that nobody may be given before they are checked.
#[derive(Debug)]
pub struct Unchecked {
    doubt: Arc<Doubt>,
    /// Where the check begins: with the batches, or before them where what lies there decided which they are.
    from: u64,
    /// Where the batches begin.
    position: u64,
    /// Where the check ends: with the batches, or where what is believed begins.
    through: u64,
    chain: Chain,
    /// Where the batches end by the header of the one behind them, and whether there is no gap before that.
    end: (Offset, bool),
    checked: AtomicBool,
    /// What a check that found damage has found to be sound before it.
    sound: OnceLock<(u64, Offset)>,
}

impl Unchecked {
    /// The bytes from `position` to `end` of a segment, if any of them are in doubt, with `first_offset` in front and
    /// `next_offset` behind; what lies before them is checked from `begin` on. `chain` gives that of the segment.
    pub(crate) fn of(
        doubt: &Arc<Doubt>,
        begin: Anchor,
        (position, first_offset): (u64, Offset),
        (end, next_offset): (u64, Offset),
        chain: impl FnOnce(First) -> Chain,
    ) -> Option<Self> {
        if !doubt.covers(position, end) {
            return None;
        }
        let seen = position <= doubt.seen_through();
        let (from, first) = if seen { (position, First::Begins(first_offset)) } else { (begin.position, begin.first) };
        let chain = chain(first);
        let (through, end) =
            if end < doubt.end { (end, (next_offset, chain.dense)) } else { (doubt.end, (doubt.next_offset, true)) };
        let (doubt, checked, sound) = (doubt.clone(), AtomicBool::new(false), OnceLock::new());
        Some(Self { doubt, from, position, through, chain, end, checked, sound })
    }

    /// Whether a check is still missing.
    pub(crate) fn is_due(&self) -> bool {
        !self.checked.load(Ordering::Relaxed) && self.doubt.covers(self.position, self.through)
    }

    /// Checks the batches in `file`, where nobody has done that yet.
    ///
    /// # Errors
    /// [`LogError::Damaged`], [`LogError::Io`].
    pub(crate) fn check<F: DiskFile>(&self, file: &F, path: &Path) -> Result<(), LogError> {
        if !self.is_due() {
            return Ok(());
        }
        let (mut at, mut chain) = (self.from, self.chain.clone());
        let damage = self.walk(file, path, &mut at, &mut chain)?;
        let (end, exactly) = self.end;
        let Err(reason) = damage.and_then(|()| chain.ends(end, exactly)) else {
            self.doubt.note_seen(self.from, self.through);
            self.checked.store(true, Ordering::Relaxed);
            return Ok(());
        };
        if at > self.position {
            let _ = self.sound.set((at, chain.next));
        }
        Err(LogError::Damaged { path: path.to_owned(), position: at, reason })
    }

    /// Where the batches in front of the damage end that a check has found: position and offset.
    pub(crate) fn sound(&self) -> Option<(u64, Offset)> {
        self.sound.get().copied()
    }

    /// Takes batch after batch, from `at` to the end or to the one that is not what it must be.
    fn walk<F: DiskFile>(
        &self,
        file: &F,
        path: &Path,
        at: &mut u64,
        chain: &mut Chain,
    ) -> Result<Result<(), String>, LogError> {
        let mut window = Window::new(file, self.through, CHECK_BYTES);
        while let Some(header) = window.header_at(*at).context("read", path)? {
            let header = match header {
                Ok(header) => header,
                Err(error) => return Ok(Err(error.to_string())),
            };
            if let Err(error) = window.verify_crc(*at, &header).context("read", path)? {
                return Ok(Err(error.to_string()));
            }
            if let Err(reason) = chain.take(&header) {
                return Ok(Err(reason));
            }
            let end = *at + header.total_len() as u64;
            if (*at + 1..end).contains(&self.position) {
                return Ok(Err(format!("a batch was said to begin at byte {} within this one", self.position)));
            }
            *at = end;
        }
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests;
