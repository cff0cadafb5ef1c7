//! One log on a simulated disk, with the ledger of what it was given.

use crate::ledger::{self, Ledger, records};
use pelton_log::compaction::plan::cleanable;
use pelton_log::compaction::{Compaction, CompactionConfig, CompactionError, Pace};
use pelton_log::{Disk, Log, LogConfig, LogError, Offset, Opening, SimDisk};
use pelton_record::{BatchHeader, Codec, batches};

pub const DIR: &str = "/data/orders-0";
pub const TOPIC_ID: u128 = 0x1234;
/// Bounds every read of a whole log: no log of these tests has so many batches.
const MAX_READS: usize = 10_000;

/// A change of the log.
#[derive(Debug, Clone)]
pub enum Change {
    Append {
        count: u8,
        value_bytes: usize,
        codec: u8,
    },
    Flush,
    Roll,
    /// To so many thousandths of what the log holds.
    Truncate(u16),
    /// So many thousandths of what the log holds.
    DeleteBefore(u16),
    /// Down to so many bytes.
    Retain(u64),
    Compact,
    Checkpoint,
}

/// How a log comes to be opened again.
#[derive(Debug, Clone)]
pub enum Restart {
    Close,
    Kill,
    CutPower,
    Crash(u64),
}

pub struct Partition {
    pub disk: SimDisk,
    pub log: Option<Log<SimDisk>>,
    pub ledger: Ledger,
    compact: bool,
}

struct AtOnce;

impl Pace for AtOnce {
    fn go_on(&mut self, _bytes: u64) -> bool {
        true
    }
}

/// Small segments and indexes, so that a few records reach every branch.
pub fn config(compact: bool) -> LogConfig {
    LogConfig {
        segment_bytes: 3_000,
        segment_ms: None,
        index_interval_bytes: 250,
        preallocate_min_bytes: 1_024,
        preallocate_max_bytes: 4_096,
        retention_ms: None,
        compact,
        compaction: CompactionConfig { min_cleanable_dirty_ppm: 0, ..CompactionConfig::default() },
        ..LogConfig::default()
    }
}

pub fn open(disk: &SimDisk, compact: bool, clean: bool) -> Result<Log<SimDisk>, LogError> {
    let opening = Opening { clean, ..Opening::of(TOPIC_ID) };
    Log::open(disk.clone(), DIR, config(compact), opening, &mut |_| {}).map(|(log, _)| log)
}

impl Partition {
    pub fn new(compact: bool) -> Self {
        let disk = SimDisk::new();
        let log = open(&disk, compact, false).unwrap();
        Self { disk, log: Some(log), ledger: Ledger::default(), compact }
    }

    pub fn log(&mut self) -> &mut Log<SimDisk> {
        self.log.as_mut().expect("the log is open")
    }

    /// The offset that lies so many thousandths into the log.
    pub fn offset_at(&self, permille: u16) -> Offset {
        let Ledger { start, end, .. } = self.ledger;
        start + (end - start) * Offset::from(permille) / 1_000
    }

    /// Makes the change. After an error the ledger demands what is certain and no more.
    pub fn apply(&mut self, change: &Change) -> Result<(), CompactionError> {
        match change {
            Change::Append { count, value_bytes, codec } => {
                let codec = Codec::from_id(*codec).unwrap();
                let bytes = ledger::batch(self.ledger.end, *count, *value_bytes, codec);
                let header = BatchHeader::parse(&bytes).unwrap();
                self.log().append(&bytes, &header)?;
                self.ledger.appended(bytes);
            }
            Change::Flush => {
                let through = self.log().flush_handle()?.sync().inspect_err(|_| self.log().fence())?;
                self.log().mark_flushed(through);
                self.ledger.acknowledged = self.ledger.acknowledged.max(through);
            }
            Change::Roll => self.log().roll()?,
            Change::Truncate(permille) => self.truncate(self.offset_at(*permille))?,
            Change::DeleteBefore(permille) => {
                let offset = self.offset_at(*permille);
                let _ = self.log().delete_before(offset)?;
                self.ledger.start = self.ledger.start.max(offset);
            }
            Change::Retain(bytes) => self.retain(*bytes)?,
            Change::Compact => self.compact()?,
            Change::Checkpoint => {
                if let Some(handle) = self.log().checkpoint(&[])? {
                    assert!(handle.recovery_point <= self.ledger.end && handle.log_start == self.ledger.start);
                    let snapshot = handle.sync()?;
                    self.log().mark_checkpointed(snapshot);
                }
            }
        }
        Ok(())
    }

    fn truncate(&mut self, offset: Offset) -> Result<(), LogError> {
        // From here on nobody may count on what lies above.
        self.ledger.acknowledged = self.ledger.acknowledged.min(self.ledger.floor_of(offset));
        self.log().truncate_to(offset)?;
        let expected = self.ledger.batch_of(offset).max(self.ledger.start);
        let end = self.log().log_end();
        if self.compact {
            assert!(end <= expected && end >= self.ledger.start, "truncated to {end}, not {expected}");
            let gone = self.ledger.records().range(end..expected).map(|(offset, _)| *offset).collect::<Vec<_>>();
            assert!(gone.iter().all(|offset| self.ledger.superseded.contains(offset)), "{gone:?} are cut");
        } else {
            assert_eq!(end, expected);
        }
        self.ledger.cut(end);
        Ok(())
    }

    fn retain(&mut self, bytes: u64) -> Result<(), LogError> {
        let retained = LogConfig { retention_bytes: Some(bytes), ..config(self.compact) };
        self.log().set_config(retained);
        let (before, acknowledged) = (self.ledger.start, self.ledger.acknowledged);
        let removed = self.log().retain(i64::MAX, acknowledged);
        let plain = config(self.compact);
        self.log().set_config(plain);
        let removed = removed?.segments;
        let start = self.log().log_start();
        assert_eq!(removed > 0, start > before || (removed > 0 && start == before));
        assert!(removed == 0 || self.log().size_bytes() >= bytes, "more went than had to");
        assert!((before..=acknowledged.max(before)).contains(&start), "it reaches what is not acknowledged");
        self.ledger.start = start;
        Ok(())
    }

    fn compact(&mut self) -> Result<(), CompactionError> {
        let end = self.ledger.end;
        let log = self.log.as_mut().expect("the log is open");
        let settings = &log.config().compaction;
        let Some(cleanable) = cleanable(&log.sealed_segments(), log.log_start(), end, None, settings, i64::MAX / 4)
        else {
            return Ok(());
        };
        let source = log.compaction_source(cleanable.end)?;
        self.ledger.compacting(cleanable.end);
        let mut compaction = Compaction::new(source, cleanable, Vec::new(), 1_000_000);
        let disk = self.disk.clone();
        compaction.run(1 << 20, &mut AtOnce, &mut |cleaned| {
            for path in log.replace(cleaned)?.expect("nobody else changes this log") {
                disk.remove_file(&path).unwrap();
            }
            Ok(true)
        })?;
        Ok(())
    }

    /// Stops the log in one way or another. A clean stop acknowledges everything.
    pub fn stop(&mut self, restart: &Restart) {
        let log = self.log.take().expect("the log is open");
        match restart {
            Restart::Close => {
                log.close().unwrap();
                self.ledger.acknowledged = self.ledger.end;
                self.disk.kill();
            }
            Restart::Kill => self.disk.kill(),
            Restart::CutPower => self.disk.cut_power(),
            Restart::Crash(seed) => self.disk.crash(*seed),
        }
    }

    /// Takes over a log that was opened after a stop: it must hold all that was acknowledged, and nothing that was
    /// never written. Then all of it is safe.
    pub fn resume(&mut self, log: Log<SimDisk>, starts: std::ops::RangeInclusive<Offset>) {
        let (start, end) = (log.log_start(), log.log_end());
        assert!(starts.contains(&start), "the log starts at {start} and not in {starts:?}");
        let acknowledged = self.ledger.acknowledged.max(start);
        assert!(end >= acknowledged, "the log ends at {end}, and {acknowledged} was acknowledged");
        assert!(end <= self.ledger.end.max(start), "the log ends at {end}, and {} was written", self.ledger.end);
        let whole = end == start || self.ledger.batches.iter().any(|batch| batch.next == end);
        assert!(whole, "the log ends at {end}, within a batch");
        self.ledger.start = start;
        self.ledger.cut(end);
        self.ledger.acknowledged = end;
        self.log = Some(log);
        self.check();
    }

    /// Opens the log again after [`Partition::stop`].
    pub fn restart(&mut self, restart: &Restart) {
        self.stop(restart);
        let clean = matches!(restart, Restart::Close);
        let log = open(&self.disk, self.compact, clean).unwrap();
        assert!(!clean || log.log_end() == self.ledger.end, "a clean stop loses nothing");
        let start = self.ledger.start;
        self.resume(log, start..=start);
    }

    /// Whether the log is what the ledger says.
    pub fn check(&self) {
        let log = self.log.as_ref().expect("the log is open");
        assert_eq!((log.log_start(), log.log_end()), (self.ledger.start, self.ledger.end));
        let found = read_all(log).unwrap();
        if self.compact {
            self.check_compacted(&found);
            return;
        }
        let kept: Vec<&[u8]> = self.ledger.kept().map(|batch| &batch.bytes[..]).collect();
        assert!(found.iter().map(|bytes| &bytes[..]).eq(kept), "the log is not what was written");
        for batch in self.ledger.kept() {
            let offset = batch.next - 1;
            let bytes = log.read(offset, self.ledger.end, 1, true).unwrap();
            assert_eq!(bytes, batch.bytes, "a read at {offset}");
            let wanted = ledger::timestamp(offset);
            let located = log.offset_for_timestamp(wanted, self.ledger.end).unwrap().unwrap();
            assert_eq!((located.offset, located.timestamp), (offset, wanted));
        }
    }

    fn check_compacted(&self, found: &[Vec<u8>]) {
        let written = self.ledger.records();
        let mut last = -1;
        let mut found_offsets = std::collections::BTreeSet::new();
        for record in found.iter().flat_map(|bytes| records(bytes)) {
            assert!(record.offset > last, "offset {} comes after {last}", record.offset);
            last = record.offset;
            assert_eq!(written.get(&last), Some(&record));
            found_offsets.insert(last);
        }
        let must = written.range(self.ledger.start..).map(|(offset, _)| offset);
        let lost: Vec<_> =
            must.filter(|offset| !found_offsets.contains(offset) && !self.ledger.superseded.contains(offset)).collect();
        assert!(lost.is_empty(), "the records at {lost:?} are gone");
    }
}

/// Why a reader came no further.
#[derive(Debug)]
pub enum ReadError {
    /// The log says what is wrong.
    Log(LogError),
    /// The log gave what no reader takes.
    #[allow(dead_code, reason = "it is what a test that fails shows")]
    Reader(String),
}

/// Every batch of the log, whole and with its CRC checked, as a client reads it.
pub fn read_all(log: &Log<SimDisk>) -> Result<Vec<Vec<u8>>, ReadError> {
    let reader = |reason: String| Err(ReadError::Reader(reason));
    let (mut from, end) = (log.log_start(), log.log_end());
    let mut found = Vec::new();
    for _ in 0..MAX_READS {
        if from >= end {
            return Ok(found);
        }
        let bytes = log.read(from, end, 700, true).map_err(ReadError::Log)?;
        if bytes.is_empty() {
            return reader(format!("nothing is given at {from}, and the log ends at {end}"));
        }
        for batch in batches(&bytes) {
            let batch = batch.and_then(|batch| batch.verify_crc().map(|()| batch));
            let batch = batch.map_err(|error| ReadError::Reader(error.to_string()))?;
            if batch.header().next_offset() <= from {
                return reader(format!("a batch at {} was given for {from}", batch.header().base_offset));
            }
            from = batch.header().next_offset();
            found.push(batch.bytes().to_vec());
        }
    }
    reader("the log has no end".to_owned())
}
