//! A job that routes: everything of the ingress is in the target once, as it was and where it belongs, whatever crashes.

use super::simulation::Rng;
use super::*;
use crate::double::Stored;

const SEEDS: u64 = 300;
const STEPS: usize = 250;
const PARTITIONS: i32 = 4;

struct Route {
    rng: Rng,
    spec: TaskSpec,
    cluster: Cluster,
    process: Process,
    now_ms: u64,
    produced: u64,
    crashes: u64,
}

impl Route {
    fn new(seed: u64) -> Self {
        let mut spec = spec(1, 0);
        spec.plugin = crate::pass::PLUGIN.parse().unwrap();
        spec.output = Target { topic: "mirrored".into(), partitions: PARTITIONS };
        let process = Process::new(&spec, &MemoryStores::default());
        let cluster = cluster(&spec);
        Self { rng: Rng(seed), spec, cluster, process, now_ms: 1_000, produced: 0, crashes: 0 }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            self.now_ms += self.rng.below(15);
            if self.rng.percent(15) {
                self.produce();
            }
            match self.rng.below(100) {
                0..4 => self.crash(),
                4..8 => {
                    self.process.think(self.now_ms);
                    self.process.fail();
                }
                8..12 => {
                    // Done, or done by half, and nobody knows.
                    self.process.think(self.now_ms);
                    let partly = self.rng.percent(50);
                    self.process.act(&mut self.cluster, partly);
                    self.process.fail();
                }
                _ => {
                    self.process.think(self.now_ms);
                    self.process.act(&mut self.cluster, false);
                }
            }
            self.check(false);
        }
        self.crash();
        self.process.settle(&mut self.cluster, &mut self.now_ms, 6);
        self.check(true);
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.process = Process::new(&self.spec, &MemoryStores::default());
    }

    fn produce(&mut self) {
        let keys = [Some("a"), Some("b"), Some("c"), Some("d"), Some("e"), None];
        let values: Vec<String> =
            (0..1 + self.rng.below(5)).map(|number| (self.produced + number).to_string()).collect();
        self.produced += values.len() as u64;
        let records: Vec<_> = values.iter().map(|value| (keys[self.rng.below(6) as usize], value.as_str())).collect();
        let committed = self.rng.percent(85);
        self.cluster.produce(&self.spec.sources[0].clone(), &records, committed);
    }

    /// What is in the target is what was taken from the ingress, and in the end all of it.
    fn check(&self, at_the_end: bool) {
        let ingress = &self.spec.sources[0];
        let taken = self.cluster.committed_offset(&self.spec.group, ingress).unwrap_or(0);
        let from: Vec<_> = self.cluster.committed_records(ingress);
        let from: Vec<_> = from.into_iter().filter(|record| at_the_end || record.offset < taken).collect();
        let mut routed = Vec::new();
        for partition in 0..PARTITIONS {
            let records = self.cluster.committed_records(&at("mirrored", partition));
            let number = |record: &Stored| record.text().1.parse::<u64>().unwrap();
            assert!(records.is_sorted_by_key(|record| number(record)), "a partition keeps the order of the ingress");
            for record in &records {
                if let Some(key) = &record.key {
                    assert_eq!(Mirror::place(key, PARTITIONS), partition, "the same key, the same partition");
                }
            }
            routed.extend(records);
        }
        routed.sort_by_key(|record| record.text().1.parse::<u64>().unwrap());
        let content = |record: &Arc<Stored>| Stored { offset: 0, ..(**record).clone() };
        let (from, routed): (Vec<_>, Vec<_>) =
            (from.iter().map(content).collect(), routed.iter().map(content).collect());
        assert_eq!(from, routed, "nothing is lost, doubled or changed");
    }
}

#[test]
fn a_route_is_exact_over_crashes_and_keeps_keys_together() {
    let (mut crashes, mut produced) = (0, 0);
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| {
            let mut route = Route::new(seed);
            route.run();
            (route.crashes, route.produced)
        });
        let Ok(run) = run else { panic!("seed {seed} failed, see above") };
        crashes += run.0;
        produced += run.1;
    }
    assert!(crashes > 5 * SEEDS && produced > 50 * SEEDS, "{crashes} {produced}");
}
