use super::*;
use crate::double::{CountingFactory, Mirror, SharedCluster, TestPlugins, at};
use crate::state::memory::MemoryStores;
use crate::task::Target;
use pelton_api::store::TaskId;
use std::collections::BTreeMap;

fn spec(stores: usize) -> TaskSpec {
    TaskSpec {
        id: TaskId { job: "pv".into(), step: "count".into(), partition: 0 },
        plugin: "counting@1".parse().unwrap(),
        config: "{}".into(),
        sources: vec![at("in", 0)],
        stores: (0..stores).map(|n| format!("store{n}")).collect(),
        changelogs: (0..stores).map(|n| at(&format!("log{n}"), 0)).collect(),
        output: Target { topic: "out".into(), partitions: 1 },
        partitioned: true,
        dead_letter: Target { topic: "dead".into(), partitions: 1 },
        group: "g".into(),
        transactional_id: "t".into(),
        commit_interval_ms: 1,
    }
}

struct World {
    shared: SharedCluster,
    stores: MemoryStores,
    spec: TaskSpec,
    report: SharedReport,
}

impl World {
    fn new(spec: TaskSpec) -> Self {
        let shared = SharedCluster::default();
        shared.with(|cluster| {
            for topic in ["in", "out", "dead", "log0"] {
                cluster.make_topic(topic, 1);
            }
        });
        let report = Arc::new(Mutex::new(Machine::new(spec.clone()).report().clone()));
        Self { shared, stores: MemoryStores::default(), spec, report }
    }

    fn start(&self) -> (watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let (stop, stopped) = watch::channel(false);
        let around = Surroundings {
            cluster: Arc::new(self.shared.clone()),
            stores: Arc::new(self.stores.clone()),
            plugin: Arc::new(CountingFactory),
            plugins: Arc::new(TestPlugins(BTreeMap::new())),
        };
        (stop, tokio::spawn(run(self.spec.clone(), around, self.report.clone(), stopped)))
    }

    fn outputs(&self) -> Vec<String> {
        self.shared.with(|c| c.committed_records(&at("out", 0))).iter().map(|r| r.text().1).collect()
    }

    /// Waits until the group has committed everything that is in the input.
    async fn caught_up(&self) {
        loop {
            let changed = self.shared.changed.notified();
            let (end, committed) = {
                let cluster = self.shared.cluster.lock().unwrap();
                (cluster.bounds(&at("in", 0)).unwrap().1, cluster.committed_offset("g", &at("in", 0)))
            };
            if committed == Some(end) {
                return;
            }
            changed.await;
        }
    }
}

#[tokio::test]
async fn a_task_counts_survives_unknown_commits_and_stops() {
    let world = World::new(spec(1));
    world.shared.with(|c| c.produce(&at("in", 0), &[(Some("a"), "view"), (Some("a"), "poison")], true));
    *world.shared.unknown_commits.lock().unwrap() = 2;
    let (stop, task) = world.start();
    world.caught_up().await;
    world.shared.with(|c| c.produce(&at("in", 0), &[(Some("a"), "view"), (Some("a"), "bad")], true));
    world.caught_up().await;
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!(world.outputs(), ["1", "2"]);
    assert_eq!(world.shared.with(|c| c.committed_records(&at("dead", 0))).len(), 2);
    assert_eq!(world.shared.with(|c| c.open_transactions()), 0);
    assert_eq!(world.report.lock().unwrap().phase, TaskPhase::Stopped);
    let held = world.stores.contents(&world.spec.id, "store0");
    assert!(held.values().all(|value| value == "2" || value == "1"));
}

#[tokio::test]
async fn an_aborted_driver_leaves_nothing_that_the_next_one_does_not_mend() {
    let world = World::new(spec(1));
    for round in 1..=20 {
        world.shared.with(|c| c.produce(&at("in", 0), &[(Some("a"), "view"), (Some("b"), "view")], true));
        let (stop, task) = world.start();
        if round % 2 == 0 {
            // Wherever it is by now.
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            task.abort();
            let _ = task.await;
        } else {
            world.caught_up().await;
            stop.send_replace(true);
            task.await.unwrap();
            assert!(world.report.lock().unwrap().recovery.commits_replayed <= 1);
        }
    }
    let (stop, task) = world.start();
    world.caught_up().await;
    stop.send_replace(true);
    task.await.unwrap();
    let mut counts: Vec<u32> = world.outputs().iter().map(|count| count.parse().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=20).flat_map(|n| [n, n]).collect::<Vec<u32>>());
    let held = world.stores.contents(&world.spec.id, "store0");
    assert_eq!(held.values().collect::<Vec<_>>(), ["20", "20"]);
}

#[tokio::test]
async fn a_step_without_stores_runs_too() {
    let world = World::new(spec(0));
    world.shared.with(|c| c.produce(&at("in", 0), &[(Some("a"), "view"), (None, "view")], true));
    let (stop, task) = world.start();
    world.caught_up().await;
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!(world.outputs(), ["1", "1"]);
}

#[tokio::test]
async fn the_sinks_own_partitioner_places_the_records() {
    let output = Target { topic: "mirrored".into(), partitions: 5 };
    let world = World::new(TaskSpec { output, ..spec(0) });
    world.shared.with(|c| c.make_topic("mirrored", 5));
    let keys = ["a", "b", "c", "d"];
    for key in keys {
        world.shared.with(|c| c.produce(&at("in", 0), &[(Some(key), "view"), (Some(key), "view")], true));
    }
    world
        .shared
        .with(|c| c.produce(&at("in", 0), &[(Some("a"), "view"), (Some("x"), "view"), (Some("b"), "view")], true));
    let (stop, task) = world.start();
    world.caught_up().await;
    stop.send_replace(true);
    task.await.unwrap();
    let mut placed = 0;
    for partition in 0..5 {
        for record in world.shared.with(|c| c.committed_records(&at("mirrored", partition))) {
            assert_eq!(Mirror::place(record.key.as_ref().unwrap(), 5), partition, "{record:?}");
            placed += 1;
        }
    }
    assert_eq!(placed, 10);
    let dead = world.shared.with(|c| c.committed_records(&at("dead", 0)));
    assert_eq!(dead.len(), 1, "the record that the partitioner fails on costs no other");
    let reason = dead[0].header("pelton.reason").unwrap();
    assert!(reason.contains("in the partitioner of mirrored: there is no such place"), "{reason}");
}

#[tokio::test]
async fn a_partitioner_that_cannot_be_had_is_waited_for_and_no_other_takes_its_place() {
    let output = Target { topic: "unplaced".into(), partitions: 1 };
    let world = World::new(TaskSpec { output: output.clone(), ..spec(0) });
    world.shared.with(|c| c.make_topic("unplaced", 1));
    world.shared.with(|c| c.produce(&at("in", 0), &[(Some("a"), "view")], true));
    let (stop, task) = world.start();
    while world.report.lock().unwrap().phase != TaskPhase::Failed {
        tokio::task::yield_now().await;
    }
    stop.send_replace(true);
    task.await.unwrap();
    assert!(
        world.report.lock().unwrap().last_error.as_ref().unwrap().contains("the partitioner of pv cannot be loaded")
    );
    assert!(world.shared.with(|c| c.committed_records(&at("unplaced", 0))).is_empty());
    // Between two steps only the hash of the key places records: nobody is asked.
    let world = World::new(TaskSpec { output, partitioned: false, ..spec(0) });
    world.shared.with(|c| c.make_topic("unplaced", 1));
    world.shared.with(|c| c.produce(&at("in", 0), &[(Some("a"), "view")], true));
    let (stop, task) = world.start();
    world.caught_up().await;
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!(world.shared.with(|c| c.committed_records(&at("unplaced", 0))).len(), 1);
}

#[tokio::test]
async fn a_stop_ends_a_pause() {
    let mut refused = spec(1);
    refused.config = "{\"refuse\":1}".into();
    let world = World::new(refused);
    let (stop, task) = world.start();
    while world.report.lock().unwrap().phase != TaskPhase::Failed {
        tokio::task::yield_now().await;
    }
    assert!(world.report.lock().unwrap().last_error.as_ref().unwrap().contains("`refuse` is no setting"));
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!(world.report.lock().unwrap().phase, TaskPhase::Stopped);
}

#[tokio::test]
async fn a_task_ends_when_nobody_is_left_to_stop_it() {
    let world = World::new(spec(1));
    world.shared.with(|c| c.produce(&at("in", 0), &[(Some("a"), "view")], true));
    let (stop, task) = world.start();
    world.caught_up().await;
    drop(stop);
    task.await.unwrap();
    assert_eq!(world.report.lock().unwrap().phase, TaskPhase::Stopped);
}
