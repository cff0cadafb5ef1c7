//! What a call costs. It asserts nothing about time; with few calls it only shows that the measurement runs. To measure:
//!
//! `PELTON_MEASURE=1 cargo test --release --workspace --test engine -- --nocapture cost`

use crate::fixtures::{MapState, batch, guest, origin};
use pelton_api::interceptor::{Call, Change};
use pelton_engine::{Engine, EngineConfig};

fn calls() -> u64 {
    if std::env::var_os("PELTON_MEASURE").is_some() { 20_000 } else { 10 }
}

/// Time that this thread has had on a processor, whatever else runs on the machine.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's time");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("its first number is nanoseconds on a processor")
}

#[test]
fn cost_of_an_interceptor_that_changes_nothing() {
    let engine = Engine::new(EngineConfig::default()).unwrap();
    let bytes = guest("PELTON_HOSTILE_INTERCEPTOR_WASM", "pelton-hostile-interceptor");
    let plugin = engine.compile(&"identity@1".parse().unwrap(), &bytes).unwrap();
    let mut instance = plugin.interceptor().unwrap().instantiate("orders", "on-commit: nothing", &[]).unwrap();
    let value = [7_u8; 92];
    for records in [1, 100, 600] {
        let input = batch((0..records).map(|_| (Some(&b"key"[..]), Some(&value[..]))));
        let origin = origin();
        let mut state: Box<dyn pelton_api::transform::StateAccess> = Box::new(MapState::default());
        for round in 0..5 {
            let began = cpu_ns();
            for _ in 0..calls() {
                let (back, answered) = instance.call(Call::Send(&origin, &input), state, None);
                assert_eq!(answered.unwrap().change, Change::None);
                state = back;
            }
            let ns = (cpu_ns() - began) / calls();
            println!("on-send, {records} records, {} bytes, round {round}: {ns} ns a call", input.len());
        }
    }
}

#[test]
fn cost_of_a_partitioner() {
    let engine = Engine::new(EngineConfig::default()).unwrap();
    let bytes = guest("PELTON_HOSTILE_PARTITIONER_WASM", "pelton-hostile-partitioner");
    let plugin = engine.compile(&"place@1".parse().unwrap(), &bytes).unwrap();
    let mut instance = plugin.partitioner().unwrap().instantiate("last").unwrap();
    for records in [1, 100] {
        let input = batch((0..records).map(|_| (Some(&b"key"[..]), None)));
        let began = cpu_ns();
        for _ in 0..calls() {
            assert_eq!(instance.partition(&input, "orders", 6).unwrap().len(), records);
        }
        println!("partition, {records} records: {} ns a call", (cpu_ns() - began) / calls());
    }
}
