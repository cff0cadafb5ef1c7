//! What decides is pure: `broker/core` cannot wait, read a clock, open a file or draw a random number.

use pelton_tidy::{code_lines, crates, is_test_file, sources, without_tests};

const CORE_MAY_USE: &[&str] = &["bytes", "pelton-record", "serde", "serde_json", "thiserror"];

const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "tokio",
    "kafka_protocol",
    "rand::",
];

#[test]
fn the_core_depends_on_nothing_that_waits() {
    let house = crates();
    let core = house.iter().find(|room| room.name == "pelton-core").expect("broker/core");
    for dependency in &core.dependencies {
        assert!(CORE_MAY_USE.contains(&dependency.as_str()), "broker/core must stay pure; it depends on {dependency}");
    }
}

#[test]
fn the_core_names_nothing_that_waits() {
    for source in sources(&[".rs"]).iter().filter(|source| source.path.starts_with("broker/core/src/")) {
        for (number, line) in code_lines(without_tests(&source.text)) {
            for word in IMPURE {
                assert!(!line.contains(word), "{}:{number} uses {word}; the core is pure", source.path);
            }
        }
    }
}

#[test]
fn the_task_machine_is_pure() {
    let sources = sources(&[".rs"]);
    let machine: Vec<_> =
        sources.iter().filter(|source| source.path.starts_with("runtime/jobs/src/task/machine")).collect();
    assert!(!machine.is_empty(), "the task machine has moved; tell this test where");
    for source in machine {
        for (number, line) in code_lines(without_tests(&source.text)) {
            for word in
                ["tokio", "std::fs", "Instant::now", "SystemTime", "std::thread", ".await", "HashMap", "HashSet"]
            {
                assert!(!line.contains(word), "{}:{number} uses {word}; the task machine is pure", source.path);
            }
        }
    }
}

#[test]
fn wire_types_stay_in_their_rooms() {
    let rooms = [
        "broker/server/src/protocol/",
        "broker/server/src/handlers/",
        "broker/server/tests/",
        "broker/node/src/cli/wire/",
    ];
    for source in sources(&[".rs"]).iter().filter(|source| source.path.starts_with("broker/")) {
        let speaks = rooms.iter().any(|room| source.path.starts_with(room));
        for (number, line) in code_lines(without_tests(&source.text)) {
            let test_file = source.path.ends_with("/tests.rs") || source.path.contains("/tests/");
            assert!(
                speaks || test_file || !line.contains("kafka_protocol"),
                "{}:{number} names a wire type; translate in handlers or in the wire of the commands, and speak other words elsewhere",
                source.path
            );
        }
    }
}

#[test]
fn only_tests_unwrap() {
    // `expect` says why it cannot fail; `unwrap` says nothing.
    let sources = sources(&[".rs"]);
    for source in sources.iter().filter(|source| !is_test_file(&source.path, &sources)) {
        for (number, line) in code_lines(without_tests(&source.text)) {
            assert!(!line.contains(".unwrap()"), "{}:{number}: say by `expect` why this cannot fail", source.path);
        }
    }
}

#[test]
fn nothing_that_must_replay_has_a_random_order() {
    // The core and the task machine have tests of their own above.
    let replays = ["tests/simulation/src/", "broker/log/src/", "sdk/record/src/"];
    for source in sources(&[".rs"]).iter().filter(|source| replays.iter().any(|room| source.path.starts_with(room))) {
        for (number, line) in code_lines(&source.text) {
            let random = line.contains("HashMap") || line.contains("HashSet");
            assert!(!random, "{}:{number}: a seed must replay bit for bit; take a BTreeMap", source.path);
        }
    }
}

#[test]
fn unsafe_code_stays_where_it_is_listed() {
    // The last misbehaves on purpose, inside of the sandbox.
    const LISTED: &[&str] = &[
        "broker/server/src/driver/removal/alone.rs",
        "fuzz/src/allocation.rs",
        "plugins/schema-check/src/entropy.rs",
        "runtime/engine/src/cache.rs",
        "runtime/engine/tests/misdeeds/src/lib.rs",
    ];
    for source in sources(&[".rs"]) {
        if source.path.starts_with("tests/tidy/") {
            continue;
        }
        for (number, line) in code_lines(&source.text) {
            let uses = line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl");
            assert!(
                !uses || LISTED.contains(&source.path.as_str()),
                "{}:{number} is unsafe and not in the list of this test",
                source.path
            );
        }
    }
}
