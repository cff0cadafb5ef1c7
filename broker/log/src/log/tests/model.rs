//! The log against a list of batches: random appends, flushes, reads, cuts, kills and power cuts.

use super::filtered::filtered;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append {
        records: i32,
        value_len: usize,
    },
    /// A batch of which interceptors have left so many records.
    Filtered {
        records: i32,
        kept: i32,
        value_len: usize,
    },
    Flush,
    Roll,
    Read {
        from: u64,
        max_bytes: usize,
    },
    Truncate {
        to: u64,
    },
    DeleteBefore {
        to: u64,
    },
    Kill,
    Crash {
        seed: u64,
    },
    LoseIndex {
        segment: u64,
        extension: usize,
    },
    FailWrite,
    DieIn {
        truncate_to: Option<u64>,
        name_syncs: u32,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (1..4_i32, 0..900_usize).prop_map(|(records, value_len)| Step::Append { records, value_len }),
        4 => (1..4_i32, 0..4_i32, 0..900_usize)
            .prop_map(|(records, kept, value_len)| Step::Filtered { records, kept: kept.min(records), value_len }),
        4 => Just(Step::Flush),
        1 => Just(Step::Roll),
        4 => (any::<u64>(), 1..3000_usize).prop_map(|(from, max_bytes)| Step::Read { from, max_bytes }),
        1 => any::<u64>().prop_map(|to| Step::Truncate { to }),
        1 => any::<u64>().prop_map(|to| Step::DeleteBefore { to }),
        1 => Just(Step::Kill),
        3 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
        1 => (any::<u64>(), 0..3_usize).prop_map(|(segment, extension)| Step::LoseIndex { segment, extension }),
        1 => Just(Step::FailWrite),
        2 => (any::<Option<u64>>(), 0..4_u32)
            .prop_map(|(truncate_to, name_syncs)| Step::DieIn { truncate_to, name_syncs }),
    ];
    vec_of(step, 1..60)
}

struct Model {
    disk: SimDisk,
    log: Log<SimDisk>,
    /// The batches that the log should hold, with their base offsets; the first may begin below `start`.
    batches: Vec<(Offset, Vec<u8>)>,
    start: Offset,
    end: Offset,
    /// Everything below survives a power cut.
    flushed: Offset,
    appended: i64,
}

impl Model {
    fn new() -> Self {
        let disk = SimDisk::new();
        let (log, _) = open(&disk);
        Self { disk, log, batches: Vec::new(), start: 0, end: 0, flushed: 0, appended: 0 }
    }

    fn next_batch(&mut self, records: i32, kept: i32, value_len: usize) -> Vec<u8> {
        self.appended += 1;
        // Every batch differs, so that no old one can pass for a new one.
        let mut value = vec![b'v'; value_len];
        value.extend_from_slice(&self.appended.to_be_bytes());
        filtered(self.end, records, kept, 1000 + self.end, &value)
    }

    fn step_append(&mut self, records: i32, kept: i32, value_len: usize) {
        let bytes = self.next_batch(records, kept, value_len);
        append(&mut self.log, &bytes);
        self.batches.push((self.end, bytes));
        self.end += Offset::from(records);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append { records, value_len } => {
                self.step_append(records, records, value_len);
            }
            Step::Filtered { records, kept, value_len } => self.step_append(records, kept, value_len),
            Step::Flush => {
                flush(&mut self.log);
                self.flushed = self.end;
            }
            Step::Roll => self.log.roll().unwrap(),
            Step::Read { from, max_bytes } => self.read(from, max_bytes),
            Step::Truncate { to } => self.truncate(to),
            Step::DeleteBefore { to } => {
                let to = self.start + (to % (self.flushed - self.start + 1) as u64) as i64;
                let _ = self.log.delete_before(to).unwrap();
                self.start = to;
                self.drop_old_batches();
            }
            Step::Kill => {
                self.disk.kill();
                let (log, recovered) = open(&self.disk);
                assert_eq!((recovered.log_end, recovered.truncated_bytes), (self.end, 0), "a kill loses nothing");
                self.log = log;
                self.flushed = self.end;
            }
            Step::Crash { seed } => self.crash(seed),
            Step::LoseIndex { segment, extension } => {
                let bases = self.log.segment_base_offsets();
                let base = bases[segment as usize % bases.len()];
                let path = segment_path(base, crate::segment::INDEX_EXTENSIONS[extension]);
                // A running log relies on its indexes, so they are lost while it is down.
                self.disk.kill();
                let _ = self.disk.remove_file(&path);
                self.log = open(&self.disk).0;
                self.flushed = self.end;
            }
            Step::FailWrite => {
                let bytes = self.next_batch(2, 2, 300);
                let kind = ErrorKind::StorageFull;
                let path_suffix = ".log".to_owned();
                self.disk.inject(SimFault { operation: FaultOperation::Write, path_suffix, after: 0, kind });
                self.log.append(&bytes, &BatchHeader::parse(&bytes).unwrap()).unwrap_err();
            }
            Step::DieIn { truncate_to, name_syncs } => self.die_in(truncate_to, name_syncs),
        }
        self.flushed = self.flushed.max(self.log.flushed_through());
        self.check();
    }

    fn read(&self, from: u64, max_bytes: usize) {
        let from = self.start + (from % (self.end - self.start + 1) as u64) as i64;
        let bytes = self.log.read(from, self.end, max_bytes, true).unwrap();
        let first = self.batches.partition_point(|(_, b)| BatchHeader::parse(b).unwrap().last_offset() < from);
        let expected: Vec<u8> = self.batches[first..].iter().flat_map(|(_, b)| b.clone()).collect();
        assert!(expected.starts_with(&bytes));
        assert_eq!(bytes.is_empty(), from == self.end);
        let first_len = self.batches.get(first).map_or(0, |(_, b)| b.len());
        assert!(bytes.len() <= max_bytes.max(first_len));
    }

    fn truncate(&mut self, to: u64) {
        // What was flushed was promised; a leader takes nothing of that back, so neither does the model.
        let to = self.flushed + (to % (self.end - self.flushed + 1) as u64) as i64;
        self.log.truncate_to(to).unwrap();
        if to == self.end {
            return;
        }
        self.batches.retain(|(_, bytes)| BatchHeader::parse(bytes).unwrap().last_offset() < to);
        self.end = self.log.log_end();
        let last = self.batches.last().map(|(_, bytes)| BatchHeader::parse(bytes).unwrap().next_offset());
        assert_eq!(self.end, last.unwrap_or(self.end));
        assert!(self.end <= to);
        self.flushed = self.end;
    }

    /// The process is killed while it rolls or truncates, at the `after`-th sync of names.
    fn die_in(&mut self, truncate_to: Option<u64>, after: u32) {
        let (operation, kind) = (FaultOperation::SyncDir, ErrorKind::Other);
        self.disk.inject(SimFault { operation, path_suffix: String::new(), after, kind });
        match truncate_to {
            Some(to) => {
                let to = self.flushed + (to % (self.end - self.flushed + 1) as u64) as i64;
                let _ = self.log.truncate_to(to);
            }
            None => {
                let _ = self.log.roll();
            }
        }
        self.disk.kill();
        let (log, recovered) = open(&self.disk);
        self.log = log;
        assert!(recovered.log_end >= self.flushed && recovered.log_end <= self.end);
        assert!(truncate_to.is_some() || recovered.log_end == self.end);
        self.keep_below(recovered.log_end);
        // A truncation that was killed may be undone by a power cut, but only until a batch takes its place.
        self.step(&Step::Append { records: 1, value_len: 10 });
    }

    fn keep_below(&mut self, log_end: Offset) {
        self.end = log_end;
        self.flushed = log_end;
        self.batches.retain(|(base, _)| *base < log_end);
    }

    fn crash(&mut self, seed: u64) {
        self.disk.crash(seed);
        let (log, recovered) = open(&self.disk);
        self.log = log;
        assert!(recovered.log_end >= self.flushed, "{} was synced, {} is left", self.flushed, recovered.log_end);
        assert!(recovered.log_end <= self.end);
        self.keep_below(recovered.log_end);
    }

    fn drop_old_batches(&mut self) {
        let start = self.start;
        self.batches.retain(|(_, bytes)| BatchHeader::parse(bytes).unwrap().last_offset() >= start);
    }

    fn check(&self) {
        assert_eq!((self.log.log_start(), self.log.log_end()), (self.start, self.end));
        let expected: Vec<u8> = self.batches.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        assert!(read_all(&self.log, 700) == expected, "the log does not hold what the model holds");
        if let Some(middle) = self.batches.get(self.batches.len() / 2).map(|(base, _)| (*base).max(self.start)) {
            let found = self.log.offset_for_timestamp(1000 + middle, self.end).unwrap();
            // The first record that is left at or after it; an interceptor may have taken the rest away.
            let left = self
                .batches
                .iter()
                .flat_map(|(base, bytes)| (*base..).take(BatchHeader::parse(bytes).unwrap().record_count as usize));
            let expected = left.filter(|offset| *offset >= middle).min();
            assert_eq!(found.map(|found| found.offset), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_log_does_what_the_model_does(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
    }

    #[test]
    fn the_same_seed_tears_the_same_bytes(seed: u64) {
        let torn = || {
            let disk = SimDisk::new();
            let (mut log, _) = open(&disk);
            fill(&mut log, 40);
            disk.crash(seed);
            let (log, recovered) = open(&disk);
            (read_all(&log, 1 << 20), recovered)
        };
        prop_assert!(torn() == torn());
    }
}
