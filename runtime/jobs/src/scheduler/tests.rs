use super::*;
use crate::double::{CountingFactory, SharedCluster, TestPlugins, at};
use crate::state::memory::MemoryStores;
use crate::validate;
use pelton_api::fault::Fault;
use pelton_api::ports::Partition;

const CHAIN: &str = r#"
name = "pv"
sources = ["left", "right"]
sink = "sink"
commit_interval_ms = 5

[[steps]]
name = "first"
plugin = "counting@1"

[[steps]]
name = "second"
plugin = "counting@1"
stores = ["views"]
"#;

struct World {
    shared: SharedCluster,
    runner: JobRunner,
}

impl World {
    fn new() -> Self {
        let shared = SharedCluster::default();
        shared.with(|cluster| {
            for (topic, partitions) in [("left", 3), ("right", 3), ("odd", 2), ("sink", 1)] {
                cluster.make_topic(topic, partitions);
            }
        });
        let factory: Arc<dyn TransformFactory> = Arc::new(CountingFactory);
        let plugins = TestPlugins(BTreeMap::from([("counting@1".parse().unwrap(), factory)]));
        let stores = Arc::new(MemoryStores::default());
        let runner = JobRunner::new(Arc::new(shared.clone()), Arc::new(plugins), stores, Handle::current());
        Self { shared, runner }
    }

    async fn refusal(&self, from: &str, to: &str) -> JobError {
        assert!(CHAIN.contains(from));
        let spec = validate::parse(&CHAIN.replace(from, to)).unwrap();
        let error = self.runner.start(spec).await.expect_err("must be refused");
        assert!(self.runner.list().is_empty(), "a refused job leaves nothing");
        error
    }

    fn committed(&self, step: &str, source: &Partition) -> i64 {
        self.shared.cluster.lock().unwrap().committed_offset(&format!("pelton-pv-{step}"), source).unwrap_or(0)
    }
}

fn chain() -> JobSpec {
    validate::parse(CHAIN).unwrap()
}

#[tokio::test]
async fn a_chain_counts_across_partitions_and_sources() {
    let world = World::new();
    let keys = ["a", "b", "c", "d"];
    for n in 0..60usize {
        let source = at(if n % 2 == 0 { "left" } else { "right" }, (n % 3) as i32);
        world.shared.with(|c| c.produce(&source, &[(Some(keys[n % 4]), "view")], true));
    }
    world.runner.start(chain()).await.unwrap();
    loop {
        let changed = world.shared.changed.notified();
        if world.shared.cluster.lock().unwrap().committed_records(&at("sink", 0)).len() == 60 {
            break;
        }
        changed.await;
    }
    world.runner.stop("pv").await.unwrap();
    let report = world.runner.report("pv").unwrap();
    assert!(!report.wanted);
    assert_eq!(report.tasks.len(), 6);
    assert!(report.tasks.iter().all(|task| task.phase == TaskPhase::Stopped && task.last_error.is_none()));
    let of = |step: &str| report.tasks.iter().filter(|t| t.step == step).map(|t| t.records_in).sum::<u64>();
    assert_eq!((of("first"), of("second")), (60, 60));
    // All records of a key met in one task of the second step, so its last count is the total.
    let sink = world.shared.with(|c| c.committed_records(&at("sink", 0)));
    let last: BTreeMap<String, String> = sink.iter().map(|record| record.text()).collect();
    assert_eq!(last, keys.iter().map(|key| ((*key).to_owned(), "15".to_owned())).collect());
    for partition in 0..3 {
        for source in ["left", "right"] {
            assert!(world.committed("first", &at(source, partition)) > 0);
        }
    }
    let configs = world.shared.configs.lock().unwrap().clone();
    let config = |topic: &str, key: &str| configs[topic].iter().find(|c| c.0 == key).map(|c| c.1.clone());
    assert_eq!(config("pelton-pv-second-repartition", "cleanup.policy").as_deref(), Some("delete"));
    assert_eq!(config("pelton-pv-second-views-changelog", "cleanup.policy").as_deref(), Some("compact"));
    assert_eq!(config("pv-dead-letter", "max.message.bytes").as_deref(), Some("20971520"));
    let repartition = "pelton-pv-second-repartition";
    assert_eq!(config(repartition, "retention.ms").as_deref(), Some("-1"), "a stopped job loses nothing");
    assert_eq!(config(repartition, "retention.bytes").as_deref(), Some("-1"));
    assert_eq!(configs.len(), 3);
}

#[tokio::test]
async fn what_does_not_fit_the_cluster_is_refused_with_its_name() {
    let world = World::new();
    let error = world.refusal("\"left\"", "\"nowhere\"").await;
    assert!(matches!(&error, JobError::UnknownTopic { topic, role: "source", .. } if topic == "nowhere"), "{error}");
    let error = world.refusal("\"sink\"", "\"nowhere\"").await;
    assert!(matches!(&error, JobError::UnknownTopic { topic, role: "sink", .. } if topic == "nowhere"), "{error}");
    let error = world.refusal("\"right\"", "\"odd\"").await;
    assert!(matches!(&error, JobError::Partitions { topic, found: 2, expected: 3, .. } if topic == "odd"), "{error}");
    let error = world.refusal("counting@1", "counting@2").await;
    assert!(error.to_string().contains("there is no plugin `counting@2`, which step `first` names"), "{error}");
    let error = world.refusal("stores = [", "config = { refuse = 1 }\nstores = [").await;
    assert!(
        matches!(&error, JobError::Configuration { step, fault: Fault::Refused(_) } if step == "second"),
        "{error}"
    );
    assert!(world.shared.configs.lock().unwrap().is_empty(), "nothing was made for a refused job");
    world.shared.with(|c| c.make_topic("pelton-pv-second-repartition", 7));
    let error = world.runner.start(chain()).await.unwrap_err();
    assert!(matches!(&error, JobError::Partitions { found: 7, expected: 3, .. }), "{error}");
}

#[tokio::test]
async fn a_job_of_the_platforms_own_pass_routes_by_the_sinks_partitioner() {
    let world = World::new();
    world.shared.with(|c| c.make_topic("mirrored", 4));
    let keys = ["a", "b", "c", "d", "e"];
    for n in 0..50usize {
        let number = n.to_string();
        world.shared.with(|c| c.produce(&at("left", (n % 3) as i32), &[(Some(keys[n % 5]), &number)], true));
    }
    let spec = validate::parse(
        "name = \"route-left\"\nsources = [\"left\"]\nsink = \"mirrored\"\ncommit_interval_ms = 5\n\
         [[steps]]\nname = \"pass\"\nplugin = \"pelton-pass@1\"",
    );
    world.runner.start(spec.unwrap()).await.unwrap();
    let routed = |partition| world.shared.cluster.lock().unwrap().committed_records(&at("mirrored", partition));
    loop {
        let changed = world.shared.changed.notified();
        if (0..4).map(|partition| routed(partition).len()).sum::<usize>() == 50 {
            break;
        }
        changed.await;
    }
    world.runner.stop("route-left").await.unwrap();
    for partition in 0..4 {
        for record in routed(partition) {
            assert_eq!(crate::double::Mirror::place(record.key.as_ref().unwrap(), 4), partition);
            assert_eq!(record.header("trace").as_deref(), Some("t"), "headers pass too");
        }
    }
}

#[tokio::test]
async fn a_running_job_is_itself_and_no_other() {
    let world = World::new();
    world.runner.start(chain()).await.unwrap();
    world.runner.start(chain()).await.unwrap();
    assert_eq!(world.runner.list().len(), 1);
    assert!(world.runner.report("pv").unwrap().wanted);
    let mut other = chain();
    other.commit_interval_ms = 6;
    assert_eq!(world.runner.start(other.clone()).await, Err(JobError::Running("pv".into())));
    assert_eq!(world.runner.stop("px").await, Err(JobError::Unknown("px".into())));
    world.runner.stop("pv").await.unwrap();
    world.runner.stop("pv").await.unwrap();
    // A stopped job may be started differently; a start that fails leaves it stopped.
    other.sink = "nowhere".into();
    assert!(world.runner.start(other.clone()).await.is_err());
    assert_eq!(world.runner.report("pv").unwrap().spec, chain());
    assert!(!world.runner.report("pv").unwrap().wanted);
    other.sink = "sink".into();
    world.runner.start(other.clone()).await.unwrap();
    assert_eq!(world.runner.report("pv").unwrap().spec, other);
    world.runner.stop_all().await;
    assert!(!world.runner.report("pv").unwrap().wanted);
}

#[tokio::test]
async fn jobs_whose_internal_topics_would_be_the_same_are_refused() {
    let world = World::new();
    let spec = |name: &str, step: &str| {
        let mut spec = chain();
        spec.name = name.into();
        spec.steps[0].name = step.into();
        spec
    };
    world.runner.start(spec("a-b", "c")).await.unwrap();
    let error = world.runner.start(spec("a", "b-c")).await.unwrap_err();
    assert!(matches!(&error, JobError::NameClash { name, .. } if name == "group pelton-a-b-c"), "{error}");
    world.runner.stop_all().await;
}
