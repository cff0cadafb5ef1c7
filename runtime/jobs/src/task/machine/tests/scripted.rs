//! The machine's answers to single situations.

use super::*;

struct World {
    spec: TaskSpec,
    cluster: Cluster,
    disk: MemoryStores,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        let spec = spec(1, 1);
        Self { cluster: cluster(&spec), spec, disk: MemoryStores::default(), now_ms: 5_000 }
    }

    fn produce(&mut self, values: &[&str]) {
        let records: Vec<_> = values.iter().map(|value| (Some("k"), *value)).collect();
        self.cluster.produce(&self.spec.sources[0].clone(), &records, true);
    }

    fn process(&self) -> Process {
        Process::new(&self.spec, &self.disk)
    }

    fn settle(&mut self, process: &mut Process) {
        process.settle(&mut self.cluster, &mut self.now_ms, 6);
    }

    /// Goes on until the effect that `wanted` names waits to be performed.
    fn until(&mut self, process: &mut Process, wanted: fn(&Effect) -> bool) {
        for _ in 0..1000 {
            self.now_ms += 10;
            process.think(self.now_ms);
            if process.waiting.front().is_some_and(wanted) {
                return;
            }
            process.act(&mut self.cluster, false);
        }
        panic!("the effect never came");
    }

    fn counts(&self) -> Vec<String> {
        let partitions = 0..self.spec.output.partitions;
        partitions.flat_map(|p| self.cluster.committed_records(&at("out", p))).map(|r| r.text().1).collect()
    }
}

#[test]
fn a_task_starts_in_order_and_an_idle_one_commits_nothing() {
    let mut world = World::new();
    let mut process = world.process();
    world.settle(&mut process);
    let start = ["init", "locate", "open", "describe", "instance", "read"];
    assert_eq!(process.asked[..6], start);
    assert!(process.asked[6..].iter().all(|asked| *asked == "read"), "{:?}", process.asked);
    assert_eq!(process.machine.report().phase, TaskPhase::Running);
    assert_eq!(world.cluster.committed_offset(&world.spec.group, &world.spec.sources[0]), None);
}

#[test]
fn a_commit_goes_changelog_commit_store() {
    let mut world = World::new();
    world.produce(&["view", "view", "bad"]);
    let mut process = world.process();
    world.settle(&mut process);
    let from = process.asked.iter().position(|asked| *asked == "process").unwrap();
    let way: Vec<&str> = process.asked[from..].iter().copied().filter(|asked| *asked != "read").collect();
    assert_eq!(way, ["process", "take", "send", "commit", "apply"]);
    let report = process.machine.report();
    assert_eq!((report.records_in, report.records_out, report.records_rejected), (3, 2, 1));
    assert_eq!((report.commits, report.lag), (1, 0));
    assert_eq!(world.counts(), ["1", "2"]);
    let dead = world.cluster.committed_records(&at("dead", 0));
    let headers: Vec<(String, String)> =
        dead[0].headers.iter().map(|(k, v)| (k.clone(), String::from_utf8_lossy(v).into_owned())).collect();
    let expected = [
        ("trace", "t"),
        ("pelton.reason", "it is bad"),
        ("pelton.topic", "in0"),
        ("pelton.partition", "0"),
        ("pelton.offset", "2"),
        ("pelton.job", "pv"),
        ("pelton.step", "count"),
        ("pelton.plugin", "counting@1"),
    ];
    assert_eq!(headers, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert_eq!(dead[0].timestamp, 1_002);
}

#[test]
fn a_kill_between_commit_and_store_replays_one_commit() {
    let mut world = World::new();
    let mut process = world.process();
    for _ in 0..5 {
        world.produce(&["view", "view"]);
        world.settle(&mut process);
    }
    world.produce(&["view"]);
    world.until(&mut process, |effect| matches!(effect, Effect::Apply { .. }));
    drop(process);
    let mut process = world.process();
    world.settle(&mut process);
    let recovery = &process.machine.report().recovery;
    assert_eq!((recovery.commits_replayed, recovery.changelog_records_replayed, recovery.keys_kept), (1, 1, 1));
    drop(process);
    let mut process = world.process();
    world.settle(&mut process);
    assert_eq!(process.machine.report().recovery.commits_replayed, 0);
    assert_eq!(world.counts().len(), 11);
}

#[test]
fn nothing_happens_while_the_outcome_of_a_commit_is_unknown() {
    let mut world = World::new();
    world.produce(&["view"]);
    let mut process = world.process();
    world.until(&mut process, |effect| matches!(effect, Effect::Commit(_)));
    process.act(&mut world.cluster, false);
    process.fail();
    let before = process.asked.len();
    world.produce(&["view"]);
    world.settle(&mut process);
    // The changelog is read until its end, past the marker.
    let start = ["back off", "init", "locate", "open", "describe", "read changelog", "apply", "instance"];
    let mut after = process.asked[before..].to_vec();
    after.dedup();
    assert_eq!(after[..start.len()], start);
    assert_eq!(world.counts(), ["1", "2"]);
}

#[test]
fn pauses_grow_to_a_bound_and_shrink_after_success() {
    let mut world = World::new();
    let mut process = world.process();
    for _ in 0..12 {
        world.until(&mut process, |effect| matches!(effect, Effect::InitWriter));
        process.fail();
    }
    world.until(&mut process, |effect| matches!(effect, Effect::InitWriter));
    assert_eq!(process.backoffs[..4], [100, 200, 400, 800]);
    assert_eq!(process.backoffs.last(), Some(&10_000));
    assert_eq!(process.machine.report().phase, TaskPhase::Restoring);
    assert!(process.machine.report().last_error.as_ref().unwrap().contains("injected"));
    world.produce(&["view"]);
    world.settle(&mut process);
    process.fail();
    world.until(&mut process, |effect| matches!(effect, Effect::InitWriter));
    assert_eq!(process.backoffs.last(), Some(&100));
}

#[test]
fn a_record_that_fails_alone_is_a_dead_letter_and_its_neighbours_are_not() {
    for poison in ["poison", "garbage", "greedy"] {
        let mut world = World::new();
        world.produce(&["view", poison, "view", poison, "view"]);
        let mut process = world.process();
        world.settle(&mut process);
        assert_eq!(world.counts(), ["1", "2", "3"], "{poison}");
        let dead = world.cluster.committed_records(&at("dead", 0));
        let offsets: Vec<String> = dead.iter().map(|d| d.header("pelton.offset").unwrap()).collect();
        assert_eq!(offsets, ["1", "3"]);
        assert!(dead[0].header("pelton.reason").unwrap().starts_with("the plugin"), "{poison}");
        assert!(process.backoffs.is_empty(), "a guest fault does not stop the task");
        // The whole batch, five single records; then batches again.
        let calls = process.asked.iter().filter(|asked| **asked == "process").count();
        assert_eq!(calls, 6);
        world.produce(&["view", "view"]);
        world.settle(&mut process);
        assert_eq!(process.asked.iter().filter(|asked| **asked == "process").count(), 7);
    }
}

#[test]
fn a_record_is_rejected_for_lack_of_time_only_if_it_happens_again_and_again() {
    for (timeouts, counted) in [(2, 1), (3, 0)] {
        let mut world = World::new();
        world.produce(&["view"]);
        let mut process = world.process();
        for _ in 0..timeouts {
            world.until(&mut process, |effect| matches!(effect, Effect::Process(_)));
            process.act(&mut world.cluster, false);
            let Some(Event::Processed { result, .. }) = &mut process.event else { panic!("it was processed") };
            *result = Err(Fault::Limit { limit: "time", detail: "100 ms".into() });
        }
        world.settle(&mut process);
        assert_eq!(world.counts().len(), counted);
        assert_eq!(world.cluster.committed_records(&at("dead", 0)).len(), 1 - counted);
    }
}

#[test]
fn a_batch_that_cannot_be_read_is_a_dead_letter_as_a_whole() {
    let mut world = World::new();
    world.produce(&["view", "view"]);
    let mut process = world.process();
    world.until(&mut process, |effect| matches!(effect, Effect::ReadInput { .. }));
    process.act(&mut world.cluster, false);
    let Some(Event::InputRead(read)) = &mut process.event else { panic!("input was read") };
    let mut bytes = read.batches[0].to_vec();
    // The length of the first record becomes -1.
    bytes[pelton_record::HEADER_LEN] = 1;
    read.batches[0] = bytes.into();
    world.settle(&mut process);
    let dead = world.cluster.committed_records(&at("dead", 0));
    assert_eq!(dead.len(), 1);
    assert!(dead[0].header("pelton.reason").unwrap().contains("malformed"));
    assert_eq!(world.cluster.committed_offset(&world.spec.group, &world.spec.sources[0]), Some(2));
}

#[test]
fn a_stop_commits_what_was_processed_and_ends() {
    let mut world = World::new();
    world.produce(&["view"]);
    let mut process = world.process();
    world.until(&mut process, |effect| matches!(effect, Effect::Process(_)));
    assert!(process.machine.step(world.now_ms, Event::Stop).is_empty());
    world.settle(&mut process);
    assert!(process.finished);
    assert_eq!(process.machine.report().phase, TaskPhase::Stopped);
    assert_eq!(world.counts(), ["1"]);
}

#[test]
fn a_stop_whose_commit_fails_aborts_and_ends() {
    let mut world = World::new();
    world.produce(&["view"]);
    let mut process = world.process();
    world.until(&mut process, |effect| matches!(effect, Effect::Commit(_)));
    process.machine.step(world.now_ms, Event::Stop);
    process.fail();
    world.settle(&mut process);
    assert!(process.finished);
    assert_eq!(process.asked.last(), Some(&"abort"));
    assert_eq!(world.cluster.open_transactions(), 0);
    assert!(world.counts().is_empty());
}

#[test]
fn a_store_of_another_changelog_is_set_aside_and_rebuilt() {
    let mut world = World::new();
    world.produce(&["view", "view"]);
    let mut process = world.process();
    world.settle(&mut process);
    drop(process);
    world.cluster.delete_topic("log0");
    world.cluster.make_topic("log0", 1);
    let mut process = world.process();
    world.settle(&mut process);
    assert_eq!(world.disk.times_set_aside(), 1);
    assert!(process.machine.report().last_error.as_ref().unwrap().contains("set aside"));
    assert!(world.disk.contents(&world.spec.id, "store0").is_empty());
}

#[test]
fn a_store_ahead_of_or_behind_its_changelog_is_set_aside_and_rebuilt() {
    for (stamp_offset, start) in [(100, 0), (1, 2)] {
        let mut world = World::new();
        let mut process = world.process();
        for _ in 0..3 {
            world.produce(&["view"]);
            world.settle(&mut process);
        }
        drop(process);
        let changelog = world.spec.changelogs[0].clone();
        let topic_id = world.cluster.describe("log0").unwrap().id;
        let mut store = world.disk.open(&world.spec.id, &world.spec.stores).unwrap();
        store.apply(&[], &[(0, ChangelogStamp { topic_id, next_offset: stamp_offset, commit: 1 })]).unwrap();
        drop(store);
        world.cluster.delete_before(&changelog, start);
        let mut process = world.process();
        world.settle(&mut process);
        assert_eq!(world.disk.times_set_aside(), 1);
        let held = world.disk.contents(&world.spec.id, "store0");
        assert_eq!(held.values().collect::<Vec<_>>(), ["3"]);
        world.produce(&["view"]);
        world.settle(&mut process);
        assert_eq!(world.counts().last().unwrap(), "4");
    }
}

#[test]
fn input_that_retention_took_is_passed_over_and_said_so() {
    let mut world = World::new();
    world.produce(&["view", "view", "view"]);
    let mut process = world.process();
    world.until(&mut process, |effect| matches!(effect, Effect::ReadInput { .. }));
    let source = world.spec.sources[0].clone();
    world.cluster.delete_before(&source, 2);
    world.settle(&mut process);
    assert_eq!(world.counts(), ["1"]);
    let error = process.machine.report().last_error.clone().unwrap();
    assert!(error.contains("records 0 to 1 of in0-0 were deleted by retention"), "{error}");
}

#[test]
fn a_committed_offset_past_the_end_stops_the_task_with_advice() {
    let mut world = World::new();
    world.produce(&["view", "view"]);
    let mut process = world.process();
    world.settle(&mut process);
    drop(process);
    world.cluster.delete_topic("in0");
    world.cluster.make_topic("in0", 1);
    let mut process = world.process();
    world.until(&mut process, |effect| matches!(effect, Effect::BackOff { .. }));
    let error = process.machine.report().last_error.clone().unwrap();
    assert!(error.contains("lies past its end 0") && error.contains("pelton-pv-count"), "{error}");
    assert!(!process.asked.contains(&"read"));
}

#[test]
fn much_uncommitted_state_commits_early() {
    let mut world = World::new();
    world.produce(&["view"]);
    let mut process = world.process();
    world.until(&mut process, |effect| matches!(effect, Effect::Process(_)));
    process.act(&mut world.cluster, false);
    let Some(Event::Processed { pending_bytes, .. }) = &mut process.event else { panic!("it was processed") };
    *pending_bytes = MAX_PENDING_STATE_BYTES;
    process.think(world.now_ms);
    assert!(matches!(process.waiting.front(), Some(Effect::TakeChanges)));
}

#[test]
fn an_output_that_its_topic_cannot_take_is_a_dead_letter_and_its_neighbours_are_not() {
    let mut world = World::new();
    world.cluster.largest.insert("out".into(), 400);
    let (source, long) = (world.spec.sources[0].clone(), "k".repeat(400));
    let records = [(Some("a"), "view"), (Some(long.as_str()), "view"), (Some("a"), "view")];
    world.cluster.produce(&source, &records, true);
    let mut process = world.process();
    world.settle(&mut process);
    assert_eq!(world.counts(), ["1", "2"]);
    let dead = world.cluster.committed_records(&at("dead", 0));
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].text().0, dead[0].header("pelton.offset").unwrap()), (long.clone(), "1".to_owned()));
    let reason = dead[0].header("pelton.reason").unwrap();
    assert!(reason.contains("topic out takes 400") && reason.contains("max.message.bytes"), "{reason}");
    assert!(!world.disk.contents(&world.spec.id, "store0").contains_key(long.as_bytes()), "it left no trace");
    assert_eq!(process.backoffs, [0; 0], "the task never failed");
}

#[test]
fn many_outputs_are_cut_to_what_their_topic_takes() {
    let mut world = World::new();
    world.cluster.largest.insert("out".into(), 300);
    world.produce(&["view"; 60]);
    let mut process = world.process();
    world.settle(&mut process);
    assert_eq!(world.counts().len(), 60);
    assert!(process.backoffs.is_empty());
}

#[test]
fn a_change_that_its_changelog_cannot_take_is_a_dead_letter() {
    let mut world = World::new();
    world.cluster.largest.insert("log0".into(), 500);
    let (source, long) = (world.spec.sources[0].clone(), "k".repeat(500));
    world.cluster.produce(&source, &[(Some("a"), "view"), (Some(long.as_str()), "view")], true);
    let mut process = world.process();
    world.settle(&mut process);
    assert_eq!(world.counts(), ["1"]);
    let dead = world.cluster.committed_records(&at("dead", 0));
    assert_eq!(dead.len(), 1);
    assert!(dead[0].header("pelton.reason").unwrap().contains("state value"));
    assert!(process.backoffs.is_empty());
}

#[test]
fn a_dead_letter_topic_takes_a_dead_letter_of_any_size() {
    let mut world = World::new();
    world.cluster.largest.insert("dead".into(), 8 << 10);
    let (source, long) = (world.spec.sources[0].clone(), "k".repeat(60_000));
    world.cluster.produce(&source, &[(Some(long.as_str()), "bad"), (Some("a"), "view")], true);
    let mut process = world.process();
    world.settle(&mut process);
    let dead = world.cluster.committed_records(&at("dead", 0));
    assert_eq!((dead.len(), world.counts().len()), (1, 1));
    assert_eq!((dead[0].key.clone(), dead[0].header("pelton.truncated").unwrap()), (None, "3".to_owned()));
    assert!(process.backoffs.is_empty());
}

#[test]
fn a_dead_letter_topic_that_takes_nothing_is_named() {
    let mut world = World::new();
    world.cluster.largest.insert("dead".into(), 100);
    let mut process = world.process();
    for _ in 0..10 {
        world.now_ms += 20;
        process.think(world.now_ms);
        process.act(&mut world.cluster, false);
    }
    let error = process.machine.report().last_error.clone().unwrap();
    assert!(error.contains("the dead-letter topic dead takes 100 bytes"), "{error}");
}

#[test]
fn a_topic_that_takes_less_than_it_did_costs_one_new_start() {
    let mut world = World::new();
    let (source, long) = (world.spec.sources[0].clone(), "k".repeat(2_000));
    let mut process = world.process();
    world.settle(&mut process);
    world.cluster.largest.insert("out".into(), 1_000);
    world.cluster.produce(&source, &[(Some("a"), "view"), (Some(long.as_str()), "view")], true);
    world.settle(&mut process);
    assert_eq!((world.counts(), process.backoffs.len()), (vec!["1".to_owned()], 1));
    assert_eq!(world.cluster.committed_records(&at("dead", 0)).len(), 1);
}

#[test]
fn a_store_that_is_found_damaged_in_use_is_set_aside_and_rebuilt() {
    let mut world = World::new();
    world.produce(&["view", "view"]);
    let mut process = world.process();
    world.settle(&mut process);
    drop(process);
    let mut process = world.process();
    world.settle(&mut process);
    world.disk.damage(&world.spec.id);
    world.produce(&["view"]);
    world.settle(&mut process);
    assert_eq!((world.counts(), world.disk.times_set_aside()), (vec!["1".into(), "2".into(), "3".into()], 1));
    assert!(world.cluster.committed_records(&at("dead", 0)).is_empty(), "no record pays for a damaged file");
    assert_eq!(process.backoffs.len(), 1);
}
