//! The law of the house, `sdk` <- `runtime` <- `broker`, as a list of every allowed edge between crates.

use pelton_tidy::crates;
use std::collections::BTreeMap;

/// Who may know whom. A new edge is a decision: write its reason into ARCHITECTURE.md first.
const ALLOWED: &[(&str, &[&str])] = &[
    ("pelton-record", &[]),
    ("pelton-sdk", &["pelton-record"]),
    ("pelton-api", &[]),
    ("pelton-engine", &["pelton-api", "pelton-record"]),
    ("pelton-hooks", &["pelton-api", "pelton-record"]),
    ("pelton-registry", &["pelton-api"]),
    ("pelton-state", &["pelton-api"]),
    ("pelton-jobs", &["pelton-api", "pelton-record"]),
    ("pelton-core", &["pelton-record"]),
    ("pelton-log", &["pelton-record"]),
    ("pelton-server", &["pelton-api", "pelton-core", "pelton-log", "pelton-record"]),
    (
        "pelton",
        &[
            "pelton-api",
            "pelton-core",
            "pelton-engine",
            "pelton-hooks",
            "pelton-jobs",
            "pelton-log",
            "pelton-record",
            "pelton-registry",
            "pelton-server",
            "pelton-state",
        ],
    ),
    ("pv-count", &["pelton-sdk"]),
    ("pelton-audit", &["pelton-sdk"]),
    ("pelton-dedup", &["pelton-sdk"]),
    ("pelton-geo-partitioner", &["pelton-sdk"]),
    ("pelton-key-partitioner", &["pelton-sdk"]),
    ("pelton-latency", &["pelton-sdk"]),
    ("pelton-mask", &["pelton-sdk"]),
    ("pelton-schema-check", &["pelton-sdk"]),
    ("pelton-hostile", &["pelton-misdeeds", "pelton-sdk"]),
    ("pelton-hostile-interceptor", &["pelton-misdeeds", "pelton-sdk"]),
    ("pelton-hostile-partitioner", &["pelton-misdeeds", "pelton-sdk"]),
    ("pelton-misdeeds", &[]),
    ("pelton-stamp", &["pelton-sdk"]),
    ("bench-filter", &["pelton-sdk"]),
    ("bench-identity", &["pelton-sdk"]),
    ("bench-redact", &["pelton-sdk"]),
    ("pelton-bench", &[]),
    ("pelton-simulation", &["pelton-core", "pelton-log", "pelton-record"]),
    ("pelton-e2e", &[]),
    ("pelton-conformance", &["pelton-e2e"]),
    ("pelton-tidy", &[]),
];

/// Libraries with one home each.
const HOMES: &[(&str, &[&str])] = &[
    ("wasmtime", &["pelton-engine"]),
    ("wit-component", &["pelton-engine"]),
    ("rocksdb", &["pelton-state"]),
    ("kafka-protocol", &["pelton", "pelton-bench", "pelton-server"]),
    ("axum", &["pelton"]),
    ("utoipa", &["pelton"]),
    ("clap", &["pelton", "pelton-bench"]),
];

#[test]
fn every_edge_between_crates_is_allowed() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let house = crates();
    for room in &house {
        let may = allowed
            .get(room.name.as_str())
            .unwrap_or_else(|| panic!("{} ({}) is not in the list of rooms: add it there", room.name, room.dir));
        for other in house.iter().map(|other| &other.name) {
            let known = room.dependencies.contains(other);
            assert!(
                !known || may.contains(&other.as_str()),
                "{} must not depend on {other}: arrows point from broker to runtime to sdk",
                room.name
            );
        }
    }
    assert_eq!(house.len(), ALLOWED.len(), "the list names a crate that the workspace does not have");
}

#[test]
fn every_heavy_library_stays_in_its_room() {
    let house = crates();
    for (library, homes) in HOMES {
        let users: Vec<_> = house.iter().filter(|room| room.dependencies.iter().any(|name| name == library)).collect();
        assert!(!users.is_empty(), "nobody uses {library}: take it out of the list and the workspace");
        for room in users {
            assert!(homes.contains(&room.name.as_str()), "{library} lives in {homes:?}, not in {}", room.name);
        }
    }
}

#[test]
fn the_broker_builds_without_wasmtime_and_rocksdb() {
    // Transitively: nothing that the server needs may need the engines.
    let house = crates();
    let mut todo = vec!["pelton-server".to_owned()];
    while let Some(name) = todo.pop() {
        assert!(!["pelton-engine", "pelton-state", "pelton-jobs"].contains(&name.as_str()), "the broker needs {name}");
        let room = house.iter().find(|room| room.name == name).expect("a crate of the house");
        todo.extend(room.dependencies.iter().filter(|other| house.iter().any(|room| room.name == **other)).cloned());
    }
}
