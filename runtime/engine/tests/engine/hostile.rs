//! A guest that misbehaves: each misdeed ends as the right fault, and the next instance works.

use crate::fixtures::{MapState, batch, engine, guest, records};
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::transform::Processed;
use pelton_engine::Plugin;
use std::sync::OnceLock;
use std::time::Duration;

/// One engine with a short time limit and one with a long one: where the time limit is not what is
/// tested, a slow machine must not meet it first.
fn plugins() -> &'static (Plugin, Plugin) {
    static PLUGINS: OnceLock<(Plugin, Plugin)> = OnceLock::new();
    PLUGINS.get_or_init(|| {
        let bytes = guest("PELTON_HOSTILE_WASM", "pelton-hostile");
        let compile = |call_time| {
            engine(call_time).compile(&"hostile@1".parse().expect("a good name"), &bytes).expect("it is a plugin")
        };
        (compile(Duration::from_millis(100)), compile(Duration::from_secs(600)))
    })
}

fn patient() -> &'static Plugin {
    &plugins().1
}

fn input() -> Bytes {
    batch([(Some(&b"k"[..]), Some(&b"one"[..])), (None, Some(b"two")), (Some(b"k"), None)])
}

fn run(plugin: &Plugin, misdeed: &str) -> (MapState, Result<Processed, Fault>) {
    let mut instance =
        plugin.transform().unwrap().instantiate(misdeed, &["store".to_owned()]).expect("it configures itself");
    let (state, result) = instance.process(&input(), Box::new(MapState::default()));
    if result.is_err() {
        let (_, again) = instance.process(&input(), Box::new(MapState::default()));
        assert!(matches!(again, Err(Fault::Host(_))), "an instance that failed was entered again: {again:?}");
    }
    (MapState::of(state), result)
}

fn fault(plugin: &Plugin, misdeed: &str) -> Fault {
    let (_, result) = run(plugin, misdeed);
    let fault = result.expect_err(misdeed);
    let (_, echoed) = run(patient(), "echo");
    assert_eq!(records(&echoed.expect("a neighbour is not disturbed").output).len(), 3, "after `{misdeed}`");
    fault
}

fn assert_limit(misdeed: &str, expected: &str) {
    let fault = fault(patient(), misdeed);
    assert!(matches!(&fault, Fault::Limit { limit, .. } if *limit == expected), "{misdeed}: {fault}");
}

#[test]
fn an_honest_call_gives_back_the_batch() {
    let (_, result) = run(patient(), "echo");
    let output = result.unwrap().output;
    assert_eq!(output, input());
    let (state, result) = run(patient(), "put");
    assert_eq!(result.unwrap(), Processed::default());
    assert_eq!(state.0[&(0, b"k".to_vec())], &b"v"[..]);
}

#[test]
fn an_endless_loop_meets_the_time_limit() {
    let fault = fault(&plugins().0, "loop");
    assert!(matches!(fault, Fault::Limit { limit: "time", .. }), "{fault}");
    let Err(fault) = plugins().0.transform().unwrap().instantiate("loop in configure", &[]) else {
        panic!("it came to an end")
    };
    assert!(matches!(fault, Fault::Limit { limit: "time", .. }), "{fault}");
}

#[test]
fn bombs_meet_their_limits() {
    assert_limit("memory", "memory");
    assert_limit("huge output", "output");
    assert_limit("aliased rejections", "output");
    assert_limit("large value", "state value");
    assert_limit("write bomb", "state value");
}

#[test]
fn traps_are_told_with_their_place() {
    for (misdeed, reason) in [("trap", "unreachable"), ("panic", "unreachable"), ("recursion", "call stack exhausted")]
    {
        let fault = fault(patient(), misdeed);
        assert!(matches!(&fault, Fault::Trap(text) if text.contains(reason)), "{misdeed}: {fault}");
        assert!(!fault.to_string().contains('\n'), "{fault}");
    }
}

#[test]
fn malformed_answers_are_refused() {
    for misdeed in [
        "no batch",
        "cut batch",
        "trailing bytes",
        "wrong count",
        "control batch",
        "compressed batch",
        "too many rejections",
        "foreign rejection",
        "negative rejection",
        "doubled rejection",
        "malformed keys",
        "malformed entries",
        "unknown store",
    ] {
        let fault = fault(patient(), misdeed);
        assert!(matches!(fault, Fault::Malformed(_)), "{misdeed}: {fault}");
    }
}

#[test]
fn refusals_are_told_in_the_guests_words_without_control_characters() {
    assert_eq!(fault(patient(), "refuse"), Fault::Refused("I will not".to_owned()));
    let refused = patient().transform().unwrap().instantiate("refuse the configuration", &[]).map(|_| ()).unwrap_err();
    assert_eq!(refused, Fault::Refused("no\\u{1b}[31m thanks".to_owned()));
}

#[test]
fn there_is_no_state_in_configure() {
    let stores = ["store".to_owned()];
    let fault = patient().transform().unwrap().instantiate("state in configure", &stores).map(|_| ()).unwrap_err();
    assert!(matches!(&fault, Fault::Malformed(text) if text.contains("configure")), "{fault}");
}

#[test]
fn the_state_comes_back_after_a_trap() {
    let (state, result) = run(patient(), "put and trap");
    assert!(matches!(result, Err(Fault::Trap(_))));
    assert_eq!(state.0.len(), 1, "the lent state is the one that comes back");
}

#[test]
fn a_flood_of_log_lines_does_no_harm() {
    let (_, result) = run(patient(), "log flood");
    assert_eq!(result.unwrap(), Processed::default());
}

#[test]
fn a_full_house_is_the_hosts_affair_and_passes() {
    // An engine of its own, so that the other tests find room in theirs.
    let bytes = guest("PELTON_HOSTILE_WASM", "pelton-hostile");
    let plugin = engine(Duration::from_secs(600)).compile(&"hostile@1".parse().unwrap(), &bytes).unwrap();
    let factory = plugin.transform().unwrap();
    let mut instances = Vec::new();
    let fault = loop {
        match factory.instantiate("echo", &[]) {
            Ok(instance) => instances.push(instance),
            Err(fault) => break fault,
        }
        assert!(instances.len() <= 16, "the limit of 16 instances was not kept");
    };
    assert!(matches!(fault, Fault::Host(_)), "{fault}");
    drop(instances);
    assert!(factory.instantiate("echo", &[]).is_ok());
}
