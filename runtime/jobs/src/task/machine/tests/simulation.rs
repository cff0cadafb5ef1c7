//! One task on a cluster in memory, with seeded crashes, lost and unknown answers, fencing by a second
//! process on another machine, power cuts that take back what the store applied, and compaction. After
//! every change that becomes visible: outputs, dead letters, changelogs and group offsets fit together.

use super::*;
use crate::double::Stored;
use std::collections::BTreeSet;
use std::sync::Arc;

const SEEDS: u64 = 1000;
const STEPS: usize = 350;

/// splitmix64
pub(super) struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone, Copy)]
struct Faults {
    crash: u64,
    fail: u64,
    power_cut: bool,
    second_machine: bool,
    compaction: bool,
}

struct Simulation {
    rng: Rng,
    faults: Faults,
    spec: TaskSpec,
    cluster: Cluster,
    /// A process and the disk of its machine.
    machines: Vec<(Process, MemoryStores)>,
    now_ms: u64,
    checked_version: u64,
    most_commits_replayed: u64,
    restarts: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let faults = Faults {
            crash: [0, 2, 8][rng.below(3) as usize],
            fail: [0, 2, 8][rng.below(3) as usize],
            power_cut: rng.percent(50),
            second_machine: rng.percent(30),
            compaction: rng.percent(30),
        };
        let mut spec = spec(1 + rng.below(2) as usize, 1 + rng.below(2) as usize);
        if rng.percent(50) {
            spec.output = Target { topic: "mirrored".into(), partitions: 3 };
        }
        let cluster = cluster(&spec);
        let machine = || {
            let disk = MemoryStores::default();
            (Process::new(&spec, &disk), disk)
        };
        let machines = (0..1 + usize::from(faults.second_machine)).map(|_| machine()).collect();
        Self {
            rng,
            faults,
            cluster,
            machines,
            spec,
            now_ms: 1_000_000,
            checked_version: u64::MAX,
            most_commits_replayed: 0,
            restarts: 0,
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            self.now_ms += self.rng.below(15);
            if self.rng.percent(12) {
                self.produce();
            }
            if self.faults.compaction && self.rng.percent(3) {
                let changelog = &self.spec.changelogs[self.rng.below(self.spec.changelogs.len() as u64) as usize];
                self.cluster.compact(changelog);
            }
            let which = self.rng.below(self.machines.len() as u64) as usize;
            self.step(which);
            self.check();
        }
        self.finish();
    }

    fn produce(&mut self) {
        let keys = [Some("a"), Some("b"), Some("c"), Some("d"), None];
        let key = |rng: &mut Rng| if rng.percent(2) { Some("x") } else { keys[rng.below(5) as usize] };
        let count = 1 + self.rng.below(6);
        let mut records = Vec::new();
        for _ in 0..count {
            let value = match self.rng.below(40) {
                0..2 => "bad",
                2 => "poison",
                3 => "garbage",
                4 => "greedy",
                _ => "view",
            };
            records.push((key(&mut self.rng), value));
        }
        let source = self.spec.sources[self.rng.below(self.spec.sources.len() as u64) as usize].clone();
        let committed = self.rng.percent(85);
        self.cluster.produce(&source, &records, committed);
    }

    fn step(&mut self, which: usize) {
        let (crash, fail) = (self.faults.crash, self.faults.fail);
        if self.rng.percent(crash) {
            return self.crash(which);
        }
        let process = &mut self.machines[which].0;
        process.think(self.now_ms);
        let report = process.machine.report();
        if report.phase == TaskPhase::Running {
            self.most_commits_replayed = self.most_commits_replayed.max(report.recovery.commits_replayed);
        }
        if process.finished {
            return self.replace(which);
        }
        if self.rng.percent(1) {
            // A graceful stop may come at any moment.
            let effects = self.machines[which].0.machine.step(self.now_ms, Event::Stop);
            assert!(effects.is_empty());
        }
        let process = &mut self.machines[which].0;
        if self.rng.percent(fail) {
            process.fail();
        } else {
            let partly = self.rng.percent(fail);
            process.act(&mut self.cluster, partly);
            if self.rng.percent(fail) {
                // Done, but nobody knows.
                process.fail();
            }
        }
    }

    fn crash(&mut self, which: usize) {
        self.replace(which);
        if self.faults.power_cut {
            let applies = self.rng.below(4) as usize;
            self.machines[which].1.lose_last(&self.spec.id, applies);
        }
    }

    fn replace(&mut self, which: usize) {
        self.restarts += 1;
        let disk = self.machines[which].1.clone();
        // The old process goes first: it holds the stores.
        self.machines[which].0 = Process::new(&self.spec, &MemoryStores::default());
        self.machines[which].0 = Process::new(&self.spec, &disk);
    }

    /// Ends all faults, lets the first machine catch up, and compares everything.
    fn finish(&mut self) {
        self.machines.truncate(1);
        self.replace(0);
        let (process, disk) = &mut self.machines[0];
        process.settle(&mut self.cluster, &mut self.now_ms, 6);
        let disk = disk.clone();
        self.check();
        let expected = self.expected();
        for (number, store) in self.spec.stores.iter().enumerate() {
            let held = disk.contents(&self.spec.id, store);
            let folded = self.fold_changelog(number);
            assert_eq!(folded, expected, "changelog {number} is the fold of the committed input");
            let held: BTreeMap<String, u64> = held.iter().map(|(k, v)| (text(k), text(v).parse().unwrap())).collect();
            assert_eq!(held, expected, "store {number} is the fold of the committed input");
        }
        for source in &self.spec.sources {
            let committed = self.cluster.committed_offset(&self.spec.group, source).unwrap_or(0);
            let last = self.cluster.committed_records(source).last().map_or(0, |record| record.offset + 1);
            assert!(committed >= last, "all input is processed in the end");
        }
        assert_eq!(self.cluster.open_transactions(), 0);
    }

    /// Committed input below the group's offset.
    fn processed_input(&self) -> Vec<(Partition, Arc<Stored>)> {
        let mut input = Vec::new();
        for source in &self.spec.sources {
            let end = self.cluster.committed_offset(&self.spec.group, source).unwrap_or(0);
            let records = self.cluster.committed_records(source);
            input.extend(records.into_iter().filter(|r| r.offset < end).map(|r| (source.clone(), r)));
        }
        input
    }

    /// Views by key, as the processed input says.
    fn expected(&self) -> BTreeMap<String, u64> {
        self.views(&self.processed_input())
    }

    /// Views by key. A record whose place cannot be told is not counted either.
    fn views(&self, input: &[(Partition, Arc<Stored>)]) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (_, record) in input.iter().filter(|(_, record)| self.is_counted(record)) {
            *counts.entry(record.text().0).or_insert(0) += 1;
        }
        counts
    }

    fn is_counted(&self, record: &Stored) -> bool {
        let (key, value) = record.text();
        value == "view" && (key != "x" || self.spec.output.topic != "mirrored")
    }

    fn fold_changelog(&self, store: usize) -> BTreeMap<String, u64> {
        let records = self.cluster.committed_records(&self.spec.changelogs[store]);
        let mut counts = BTreeMap::new();
        let mut last_commit = 0;
        for record in records {
            let commit: u64 = record.header("pelton.commit").unwrap().parse().unwrap();
            assert!(commit >= last_commit, "commits are numbered upwards");
            last_commit = commit;
            let (key, value) = record.text();
            counts.insert(key, value.parse().unwrap());
        }
        counts
    }

    fn check(&mut self) {
        if self.checked_version == self.cluster.version {
            return;
        }
        self.checked_version = self.cluster.version;
        let input = self.processed_input();
        let expected = self.views(&input);
        for store in 0..self.spec.stores.len() {
            assert_eq!(self.fold_changelog(store), expected, "a changelog is the fold of the committed input");
        }
        let Target { topic, partitions } = &self.spec.output;
        let mut outputs: Vec<Arc<Stored>> = Vec::new();
        for partition in 0..*partitions {
            for output in self.cluster.committed_records(&at(topic, partition)) {
                if let Some(key) = &output.key {
                    let place = if topic == "mirrored" { Mirror::place } else { pelton_record::keyed_murmur2 };
                    assert_eq!(place(key, *partitions), partition, "a key has its place");
                }
                outputs.push(output);
            }
        }
        let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for output in &outputs {
            counts.entry(output.text().0).or_default().push(output.text().1.parse().unwrap());
        }
        for (key, mut seen) in counts {
            if key.is_empty() {
                // Keyless outputs change partitions from batch to batch, so only the set is ordered.
                seen.sort_unstable();
            }
            let all: Vec<u64> = (1..=expected.get(&key).copied().unwrap_or(0)).collect();
            assert_eq!(seen, all, "each view of {key:?} is counted once and in order");
        }
        assert_eq!(outputs.len() as u64, expected.values().sum::<u64>());
        let rejected: BTreeSet<(String, i64, String, String)> = input
            .into_iter()
            .filter(|(_, record)| !self.is_counted(record))
            .map(|(source, record)| (source.topic.clone(), record.offset, record.text().0, record.text().1))
            .collect();
        let dead = self.cluster.committed_records(&at("dead", 0));
        assert_eq!(dead.len(), rejected.len(), "each unusable record is a dead letter once");
        let dead: BTreeSet<(String, i64, String, String)> = dead
            .into_iter()
            .map(|record| {
                assert_eq!(record.header("trace").unwrap(), "t");
                let offset = record.header("pelton.offset").unwrap().parse().unwrap();
                (record.header("pelton.topic").unwrap(), offset, record.text().0, record.text().1)
            })
            .collect();
        assert_eq!(dead, rejected);
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn exactly_once_whatever_happens() {
    let (mut restarts, mut replays, mut views) = (0, 0, 0);
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed);
            simulation.run();
            simulation
        });
        let Ok(simulation) = run else { panic!("seed {seed} failed, see above") };
        if !simulation.faults.power_cut && !simulation.faults.second_machine {
            assert!(simulation.most_commits_replayed <= 1, "seed {seed}: a killed task replays one commit at most");
        }
        restarts += simulation.restarts;
        replays += simulation.most_commits_replayed;
        views += simulation.expected().values().sum::<u64>();
    }
    // The simulation must do what it is for.
    assert!(restarts > SEEDS && replays > 100 && views > 10 * SEEDS, "{restarts} {replays} {views}");
}

#[test]
fn a_seed_runs_the_same_way_every_time() {
    let run = |seed| {
        let mut simulation = Simulation::new(seed);
        simulation.run();
        let changelog = simulation.cluster.committed_records(&simulation.spec.changelogs[0]);
        (simulation.cluster.version, simulation.now_ms, changelog)
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
}
