//! Flat modules: guests of the SDKs for C, AssemblyScript and Go, and modules written by hand that break the contract.
//!
//! The guests are built by `tests/flat-guests.sh`; where the machine has no Go, its guests are left out.

use crate::fixtures::{MapState, batch, call_hook, origin, records, three_records};
use bytes::Bytes;
use pelton_api::fault::{Fault, ModuleError};
use pelton_api::interceptor::{Call, Change, Hook, Interceptor, Parts, Reuse};
use pelton_api::manifest::{Abi, PluginKind, PluginRef};
use pelton_engine::{Engine, EngineConfig, Level, Limits, LogSink, MetricSink, Plugin, Series};
use pelton_record::{BatchBuilder, BatchView, Header};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What guests say.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Said {
    fn add(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl MetricSink for Said {
    fn count(&self, series: &Series<'_>, by: u64) {
        self.add(format!("{} {} {:?} + {by}", series.topic, series.name, series.labels));
    }

    fn gauge(&self, series: &Series<'_>, value: f64) {
        self.add(format!("{} {} = {value}", series.topic, series.name));
    }

    fn observe(&self, series: &Series<'_>, values: &[f64]) {
        self.add(format!("{} {} {values:?}", series.topic, series.name));
    }
}

impl LogSink for Said {
    fn line(&self, _: &PluginRef, level: Level, line: &str) {
        self.add(format!("{level:?}: {line}"));
    }
}

fn engine() -> (Engine, Arc<Said>) {
    let said = Arc::new(Said::default());
    let limits = Limits { call_time: Duration::from_secs(5), instances: 16, ..Limits::default() };
    let config = EngineConfig { limits, metrics: said.clone(), logs: said.clone(), ..EngineConfig::default() };
    (Engine::new(config).expect("an engine can be set up here"), said)
}

fn name() -> PluginRef {
    "flat@1".parse().expect("a good name")
}

/// The guests of that name that were built, with their languages.
fn guests(guest: &str, languages: &[&'static str]) -> Vec<(&'static str, Vec<u8>)> {
    let folder = std::env::var("PELTON_FLAT_GUESTS").unwrap_or_else(|_| {
        panic!(
            "PELTON_FLAT_GUESTS is not set: run `runtime/engine/tests/flat-guests.sh FOLDER` and set it to FOLDER, or use `make test`"
        )
    });
    let mut found = Vec::new();
    for &language in languages {
        match std::fs::read(format!("{folder}/{language}-{guest}.wasm")) {
            Ok(bytes) => found.push((language, bytes)),
            // Said where nobody captures it: a skipped test must not look like one that passed.
            Err(_) if language == "go" => {
                let _ = writeln!(std::io::stderr(), "skipped: no Go >= 1.24 has built go-{guest}.wasm");
            }
            Err(error) => panic!("{folder}/{language}-{guest}.wasm cannot be read: {error}"),
        }
    }
    found
}

const LANGUAGES: [&str; 3] = ["c", "assemblyscript", "go"];

fn interceptor(plugin: &Plugin, config: &str) -> Result<Box<dyn Interceptor>, Fault> {
    let emit = ["copies".to_owned()];
    plugin.interceptor().expect("it is an interceptor").instantiate("orders", config, &emit)
}

#[test]
fn each_sdk_speaks_the_whole_interceptor_contract() {
    for (language, bytes) in guests("probe", &LANGUAGES) {
        let (engine, said) = engine();
        let plugin = engine.compile(&name(), &bytes).unwrap_or_else(|error| panic!("{language}: {error}"));
        let facts = plugin.facts();
        assert_eq!((facts.kind, facts.abi), (PluginKind::Interceptor, Abi::Flat), "{language}");
        assert_eq!(facts.interface, "pelton_interceptor_0_1", "{language}");
        let wants = facts.wants.expect("an interceptor says what it wants");
        assert_eq!(wants.hooks.iter().count(), 4, "{language}");
        assert_eq!((wants.reads, wants.writes), (Parts::ALL, Parts { key: false, ..Parts::ALL }), "{language}");
        assert!(wants.drops && wants.reuse == Reuse::ForPrincipal, "{language}");
        assert!(plugin.interceptor().expect("it is an interceptor").has_state(), "{language}: it imports the state");

        let refused = interceptor(&plugin, "{\"a\":1}").err();
        assert_eq!(refused, Some(Fault::Refused("no configuration is known, not {\"a\":1}".to_owned())), "{language}");
        let mut instance = interceptor(&plugin, "{}").unwrap_or_else(|fault| panic!("{language}: {fault}"));
        // Many calls on one instance: what a call allocates must be free for the next.
        for _ in 0..300 {
            check_send(language, &mut *instance);
        }
        assert_eq!(said.take(), Vec::<String>::new(), "{language}");
        check_consume(language, &mut *instance, &said);
        let (_, answered) = call_hook(&mut *instance, Hook::OnAcknowledgement);
        assert_eq!(answered.map(|answered| answered.change), Ok(Change::None), "{language}");
        assert_eq!(said.take(), ["orders acknowledged [(\"topic_name\", \"orders\")] + 3"], "{language}");
        let (_, answered) = call_hook(&mut *instance, Hook::OnCommit);
        assert_eq!(answered.map(|answered| answered.change), Ok(Change::None), "{language}");
        assert_eq!(said.take(), ["orders offsets [7.0, 8.0]"], "{language}");
    }
}

fn check_send(language: &str, instance: &mut dyn Interceptor) {
    let (_, answered) = call_hook(instance, Hook::OnSend);
    let answered = answered.unwrap_or_else(|fault| panic!("{language}: {fault}"));
    let Change::Replace(changed) = &answered.change else { panic!("{language}: {:?}", answered.change) };
    let view = BatchView::parse(changed).expect("a checked batch");
    let found: Vec<_> = view.records().expect("uncompressed").map(|record| record.expect("a checked record")).collect();
    assert_eq!(found.len(), 2, "{language}");
    assert_eq!(
        (found[0].offset_delta, found[0].key, found[0].value),
        (0, Some(&b"k"[..]), Some(&b"ONE"[..])),
        "{language}"
    );
    let header = found[0].headers().next().expect("it added one").expect("a checked header");
    assert_eq!((header.key, header.value), ("by", Some(&b"User:alice"[..])), "{language}");
    assert_eq!((found[1].offset_delta, found[1].key, found[1].value), (1, None, Some(&b"two"[..])), "{language}");
    assert_eq!(answered.rejected.len(), 1, "{language}");
    assert_eq!((answered.rejected[0].offset_delta, answered.rejected[0].reason.as_str()), (1, "no two"), "{language}");
}

fn check_consume(language: &str, instance: &mut dyn Interceptor, said: &Said) {
    let (to, input) = (origin(), three_records());
    let mut state: Box<dyn pelton_api::transform::StateAccess> = Box::new(MapState::default());
    for times in 1..=3_u8 {
        let (back, answered) = instance.call(Call::Consume(&to, &input), state, None);
        let answered = answered.unwrap_or_else(|fault| panic!("{language}: {fault}"));
        assert_eq!(answered.change, Change::None, "{language}");
        assert_eq!(answered.emitted.len(), 1, "{language}");
        assert_eq!(&*answered.emitted[0].topic, "copies", "{language}");
        assert_eq!(records(&answered.emitted[0].batch), records(&input), "{language}");
        assert_eq!(
            said.take(),
            ["orders this_century = 1".to_owned(), format!("Info: seen {times}, random 16")],
            "{language}"
        );
        state = back;
    }
    let state = MapState::of(state);
    assert_eq!(state.0.get(&(0, b"User:alice".to_vec())).map(|value| &value[..]), Some(&[3][..]), "{language}");
}

#[test]
fn a_crash_in_any_language_is_a_fault_that_says_why() {
    for (language, bytes) in guests("probe", &LANGUAGES) {
        let (engine, said) = engine();
        let plugin = engine.compile(&name(), &bytes).expect("it compiles");
        let mut instance = interceptor(&plugin, "{\"trap\":true}").expect("a known configuration");
        let fault = call_hook(&mut *instance, Hook::OnSend).1.expect_err("it crashes");
        match language {
            // Go recovers from a panic, and the SDK makes an error of it.
            "go" => assert!(matches!(&fault, Fault::Refused(text) if text.contains("nil pointer")), "{fault}"),
            _ => assert!(matches!(&fault, Fault::Trap(text) if text.contains("unreachable")), "{language}: {fault}"),
        }
        assert!(said.take()[0].starts_with("Error: about to trap"), "{language}");
        assert!(matches!(call_hook(&mut *instance, Hook::OnSend).1, Err(Fault::Host(_))), "{language}: it is gone");
        let mut neighbour = interceptor(&plugin, "{}").expect("a known configuration");
        check_send(language, &mut *neighbour);
    }
}

#[test]
fn each_sdk_places_records() {
    for (language, bytes) in guests("place", &LANGUAGES) {
        let (engine, _) = engine();
        let plugin = engine.compile(&name(), &bytes).unwrap_or_else(|error| panic!("{language}: {error}"));
        assert_eq!(plugin.facts().reads, Some(Parts { key: true, ..Parts::NONE }), "{language}");
        assert!(!plugin.facts().imports.iter().any(|import| import == "state"), "{language}");
        let factory = plugin.partitioner().expect("it is a partitioner");
        let mut instance = factory.instantiate("{}").unwrap_or_else(|fault| panic!("{language}: {fault}"));
        let input = batch([(Some(&b"A"[..]), None), (None, None), (Some(b""), None), (Some(b"C"), None)]);
        assert_eq!(instance.partition(&input, "orders", 10), Ok(vec![5, -1, -1, 7]), "{language}");
        let many: Vec<[u8; 1]> = (0..10_000_u32).map(|n| [n as u8]).collect();
        let input = batch(many.iter().map(|key| (Some(&key[..]), None)));
        let placed = instance.partition(&input, "orders", 7).expect("it places them");
        assert!(placed.iter().zip(&many).all(|(partition, key)| *partition == i32::from(key[0]) % 7), "{language}");
    }
}

#[test]
fn a_step_of_a_job_keeps_its_state() {
    for (language, bytes) in guests("tally", &["c", "go"]) {
        let (engine, _) = engine();
        let plugin = engine.compile(&name(), &bytes).unwrap_or_else(|error| panic!("{language}: {error}"));
        let factory = plugin.transform().expect("it is a transform");
        let refused = factory.instantiate("{}", &[]).err();
        assert_eq!(refused, Some(Fault::Refused("it needs the store `tally`".to_owned())), "{language}");
        let mut instance = factory.instantiate("{}", &["tally".to_owned()]).expect("it has its store");
        let (state, processed) = instance.process(&three_records(), Box::new(MapState::default()));
        let processed = processed.unwrap_or_else(|fault| panic!("{language}: {fault}"));
        let tallies: Vec<_> = records(&processed.output).into_iter().map(|(key, value, _)| (key, value)).collect();
        assert_eq!(tallies, [(b"k".to_vec(), b"1".to_vec()), (b"k".to_vec(), b"2".to_vec())], "{language}");
        assert_eq!((processed.rejected[0].offset_delta, processed.rejected.len()), (1, 1), "{language}");
        assert_eq!(MapState::of(state).0[&(0, b"k".to_vec())], &[2][..], "{language}");
    }
}

/// A module by hand: an interceptor whose parts can be replaced.
struct Wat {
    imports: &'static str,
    more: &'static str,
    alloc: &'static str,
    call: &'static str,
}

/// Answers `describe` with the six bytes at 16 (on-send, all parts, drops), `configure` with nothing, a hook with the six zeroes at
/// 64: no change, no rejections.
const HONEST: &str = "(if (i32.eqz (local.get 0)) (then (return (i64.const 0x1000000006))))
    (if (i32.eq (local.get 0) (i32.const 1)) (then (return (i64.const 0)))) (i64.const 0x4000000006)";

impl Default for Wat {
    fn default() -> Self {
        Self { imports: "", more: "", alloc: "(i32.const 1024)", call: HONEST }
    }
}

impl Wat {
    fn module(&self) -> Vec<u8> {
        let Self { imports, more, alloc, call } = self;
        let text = format!(
            r#"(module {imports} (memory (export "memory") 2 600) (data (i32.const 16) "\00\01\07\07\01\00")
                (func (export "pelton_alloc") (param i32) (result i32) {alloc})
                (func $call (export "pelton_interceptor_0_1") (param i32 i32 i32) (result i64) {call}) {more})"#
        );
        wat::parse_str(text).expect("good text")
    }

    fn compile(&self) -> Result<Plugin, ModuleError> {
        engine().0.compile(&name(), &self.module())
    }

    /// What becomes of a call of on-send.
    fn sent(&self) -> Result<Change, Fault> {
        let plugin = self.compile().expect("it compiles");
        let mut instance = interceptor(&plugin, "{}")?;
        call_hook(&mut *instance, Hook::OnSend).1.map(|answered| answered.change)
    }
}

const ASK: &str = r#"(import "pelton" "host_0_1" (func $host (param i32 i32 i32) (result i64)))"#;

#[test]
fn modules_that_are_no_flat_plugins_are_told_what_is_missing() {
    assert!(Wat::default().compile().is_ok(), "the honest one is taken");
    let imports = [
        (r#"(import "env" "abort" (func))"#, "env::abort"),
        (r#"(import "pelton" "host_0_2" (func))"#, "pelton::host_0_2"),
        (r#"(import "wasi_snapshot_preview1" "path_teleport" (func))"#, "wasi_snapshot_preview1::path_teleport"),
        (r#"(import "pelton" "host_0_1" (func (param i32)))"#, "pelton::host_0_1"),
        (r#"(import "wasi_snapshot_preview1" "fd_close" (func (param i32)))"#, "fd_close"),
        (r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i64)))"#, "proc_exit"),
    ];
    for (imports, named) in imports {
        let error = Wat { imports, ..Wat::default() }.compile().expect_err(named);
        assert!(matches!(&error, ModuleError::ForbiddenImport(text) if text.contains(named)), "{named}: {error}");
    }
    let exports = [
        (r#"(module (func (export "pelton_interceptor_0_1")))"#, "memory"),
        (r#"(module (memory (export "memory") 1) (func (export "pelton_interceptor_0_1")))"#, "pelton_alloc"),
        (
            r#"(module (memory (export "memory") 1) (func (export "pelton_alloc") (param i32) (result i32) (i32.const 8))
               (func (export "pelton_interceptor_0_1") (param i32 i32) (result i64) (i64.const 0)))"#,
            "pelton_interceptor_0_1",
        ),
        (
            r#"(module (memory (export "memory") 1) (func (export "pelton_alloc") (param i32) (result i32) (i32.const 8))
               (func (export "pelton_partitioner_0_1") (param i32 i32 i32) (result i64) (i64.const 0))
               (func (export "_initialize") (param i32)))"#,
            "_initialize",
        ),
    ];
    for (text, named) in exports {
        let error = engine().0.compile(&name(), &wat::parse_str(text).expect("good text")).expect_err(named);
        assert!(
            matches!(&error, ModuleError::NoWorld { expected, .. } if expected.contains(named)),
            "{named}: {error}"
        );
    }
    let two = Wat { more: r#"(export "pelton_partitioner_0_1" (func $call))"#, ..Wat::default() };
    assert!(matches!(two.compile(), Err(ModuleError::Compile(text)) if text.contains("one kind")));
    let stateful = r#"(module (import "pelton" "state_0_1" (func (param i32 i32 i32) (result i64))) (memory (export "memory") 1)
        (func (export "pelton_alloc") (param i32) (result i32) (i32.const 8))
        (func (export "pelton_partitioner_0_1") (param i32 i32 i32) (result i64) (i64.const 0)))"#;
    let error = engine().0.compile(&name(), &wat::parse_str(stateful).expect("good text")).expect_err("no state");
    assert!(matches!(&error, ModuleError::NotGranted { import, .. } if import.contains("state_0_1")), "{error}");
}

#[test]
fn what_describe_answers_is_checked() {
    let described = [
        ("(i64.const 0)", "within a number"),
        ("(i64.const 0x1000000007)", "behind its end"),
        ("(i64.const 0x1000000005)", "within a number"),
        ("(i64.const 0x4000000001)", "within a number"),
        ("(i64.const 0x7fffffff00000006)", "not in its memory"),
        ("(i64.const 0x100000ffffffff)", "answer may have"),
        ("(unreachable)", "unreachable"),
        ("(loop $l (br $l)) (unreachable)", "this call may take"),
    ];
    for (call, named) in described {
        let limits = Limits { call_time: Duration::from_millis(300), ..Limits::default() };
        let engine = Engine::new(EngineConfig { limits, ..EngineConfig::default() }).expect("an engine");
        let error = engine.compile(&name(), &Wat { call, ..Wat::default() }.module()).expect_err(named);
        assert!(matches!(error, ModuleError::Describe(_)) && error.to_string().contains(named), "{named}: {error}");
    }
}

#[test]
fn requests_are_written_only_where_there_is_room() {
    for alloc in ["(i32.const 0)", "(i32.const -1)", "(i32.const 0x20000)", "(i32.const 0x1fff0)"] {
        let fault = Wat { alloc, ..Wat::default() }.sent().expect_err(alloc);
        assert!(matches!(&fault, Fault::Malformed(text) if text.contains("pelton_alloc")), "{alloc}: {fault}");
    }
    let fault = Wat { alloc: "(unreachable)", ..Wat::default() }.sent().expect_err("it traps");
    assert!(matches!(fault, Fault::Trap(_)), "{fault}");
    let endless = Wat { alloc: "(loop $l (br $l)) (i32.const 8)", ..Wat::default() }.sent().expect_err("it never ends");
    assert!(matches!(endless, Fault::Limit { limit: "time", .. }), "{endless}");
    let greedy = Wat {
        alloc: "(drop (memory.grow (i32.const 60000))) (drop (memory.grow (i32.const 598))) (i32.const 8)",
        ..Wat::default()
    };
    assert_eq!(greedy.sent(), Ok(Change::None), "what the limit allows is given; what is refused is -1");
}

#[test]
fn answers_are_read_only_where_they_are() {
    let answers = [
        ("0x4000000002", "count", "a number that does not fit"),
        ("0xffffffff00000001", "not in its memory", "an address at the end"),
        ("0x1ffff00000002", "not in its memory", "one byte too far"),
        ("0xffffffff", "answer may have", "four GiB"),
    ];
    for (answer, named, what) in answers {
        let call: &'static str = Box::leak(
            format!(
                "(if (i32.eqz (local.get 0)) (then (return (i64.const 0x1000000006))))
                 (if (i32.eq (local.get 0) (i32.const 1)) (then (return (i64.const 0)))) (i64.const {answer})"
            )
            .into_boxed_str(),
        );
        let fault = Wat { call, ..Wat::default() }.sent().expect_err(what);
        let text = fault.to_string();
        assert!(text.contains(named) || text.contains("within a number") || text.contains("fit"), "{what}: {text}");
    }
}

/// A host call whose request is `len` bytes at `at`, made by on-send alone.
fn asking(call: i32, at: &str, len: &str) -> Wat {
    let text = format!(
        "(if (i32.eq (local.get 0) (i32.const 2)) (then (drop (call $host (i32.const {call}) (i32.const {at}) (i32.const {len})))))
         {HONEST}"
    );
    Wat { imports: ASK, call: Box::leak(text.into_boxed_str()), ..Wat::default() }
}

#[test]
fn host_calls_are_checked_before_anything_is_read() {
    let asked = [
        (asking(1, "0", "0"), "within a number"),
        (asking(1, "-1", "1"), "not in its memory"),
        (asking(1, "0x1ffff", "2"), "not in its memory"),
        (asking(1, "16", "2"), "within a number"),
        (asking(2, "16", "6"), "does not fit"),
        (asking(5, "0", "8"), "no call 5"),
        (asking(99, "0", "0"), "no call 99"),
        (asking(8, "0", "1"), "behind its end"),
        (asking(9, "16", "2"), "within a number"),
    ];
    for (wat, named) in asked {
        let fault = wat.sent().expect_err(named);
        assert!(matches!(fault, Fault::Malformed(_)) && fault.to_string().contains(named), "{named}: {fault}");
    }
    // More than an answer may have is not looked at either, though the memory has it.
    let grown = "(drop (memory.grow (i32.const 598))) (i32.const 1024)";
    let long = Wat { alloc: grown, ..asking(1, "16", "38000000") }.sent();
    assert!(matches!(long, Err(Fault::Limit { limit: "output", .. })), "{long:?}");
    // Four thousand million random bytes are refused, not made.
    let many = Wat { more: r#"(data (i32.const 128) "\ff\ff\ff\ff")"#, ..asking(9, "128", "4") };
    assert!(matches!(many.sent(), Err(Fault::Limit { limit: "random", .. })));
    assert_eq!(asking(8, "0", "0").sent(), Ok(Change::None));
}

#[test]
fn pelton_alloc_and_start_functions_must_not_ask_the_host() {
    let nested = Wat {
        alloc: "(if (global.get $asking) (then (drop (call $host (i32.const 8) (i32.const 0) (i32.const 0))))) (i32.const 1024)",
        more: "(global $asking (mut i32) (i32.const 0))",
        call: "(if (i32.eqz (local.get 0)) (then (return (i64.const 0x1000000006))))
               (if (i32.eq (local.get 0) (i32.const 2))
                 (then (global.set $asking (i32.const 1)) (drop (call $host (i32.const 8) (i32.const 0) (i32.const 0)))))
               (i64.const 0)",
        imports: ASK,
    };
    let fault = nested.sent().expect_err("it nests");
    assert!(fault.to_string().contains("pelton_alloc asks the host"), "{fault}");
    let start = Wat {
        imports: ASK,
        more: "(func $start (drop (call $host (i32.const 8) (i32.const 0) (i32.const 0)))) (start $start)",
        ..Wat::default()
    };
    let error = start.compile().expect_err("it asks too early");
    assert!(error.to_string().contains("start function"), "{error}");
}

#[test]
fn wasi_gives_nothing_of_this_machine() {
    // Opens a file, reads standard input, asks for a directory: every answer is 8 (EBADF). The sum is the proof.
    let files = Wat {
        imports: r#"(import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#,
        call: "(if (i32.eqz (local.get 0)) (then (return (i64.const 0x1000000006))))
            (if (i32.eq (local.get 0) (i32.const 2)) (then (call $exit
                (i32.add (i32.add (call $write (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0))
                    (call $accept (i32.const 3) (i32.const 0) (i32.const 0)))
                  (i32.add (call $prestat (i32.const 3) (i32.const 0))
                    (i32.add (call $read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
                      (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0)
                        (i64.const 0) (i32.const 0) (i32.const 0))))))))
            (i64.const 0)",
        ..Wat::default()
    };
    assert_eq!(files.sent(), Err(Fault::Trap("it exits with code 40".to_owned())));
    // Reads the clock twice, waits for ten seconds of it, reads it again: it moved by the wait and its own ticks.
    let clock = Wat {
        imports: r#"(import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#,
        more: r#"(data (i32.const 280) "\00\e4\0b\54\02\00\00\00")"#,
        call: "(if (i32.eqz (local.get 0)) (then (return (i64.const 0x1000000006))))
            (if (i32.eq (local.get 0) (i32.const 2)) (then
                (drop (call $time (i32.const 0) (i64.const 0) (i32.const 400)))
                (drop (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 600)))
                (drop (call $time (i32.const 1) (i64.const 0) (i32.const 408)))
                (call $exit (i32.wrap_i64 (i64.div_u (i64.sub (i64.load (i32.const 408)) (i64.load (i32.const 400)))
                    (i64.const 1000))))))
            (i64.const 0)",
        ..Wat::default()
    };
    assert_eq!(clock.sent(), Err(Fault::Trap("it exits with code 10000001".to_owned())));
}

#[test]
fn lines_of_standard_error_reach_the_log_and_the_fault() {
    let complains = Wat {
        imports: r#"(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#,
        more: r#"(data (i32.const 256) "\08\01\00\00\0e\00\00\00panic: no way\0a")"#,
        call: "(if (i32.eqz (local.get 0)) (then (return (i64.const 0x1000000006))))
            (if (i32.eq (local.get 0) (i32.const 2)) (then
                (drop (call $write (i32.const 2) (i32.const 256) (i32.const 1) (i32.const 400))) (call $exit (i32.const 2))))
            (i64.const 0)",
        ..Wat::default()
    };
    let (engine, said) = engine();
    let plugin = engine.compile(&name(), &complains.module()).expect("it compiles");
    let mut instance = interceptor(&plugin, "{}").expect("it takes anything");
    let fault = call_hook(&mut *instance, Hook::OnSend).1;
    assert_eq!(fault, Err(Fault::Trap("it exits with code 2: panic: no way".to_owned())));
    assert_eq!(said.take(), ["Warn: panic: no way"]);
    let flood = Wat {
        call: "(if (i32.eqz (local.get 0)) (then (return (i64.const 0x1000000006))))
            (loop $l (drop (call $write (i32.const 1) (i32.const 256) (i32.const 1) (i32.const 400))) (br $l)) (unreachable)",
        ..complains
    };
    let plugin = engine.compile(&name(), &flood.module()).expect("it compiles");
    said.take();
    assert!(matches!(interceptor(&plugin, "{}").err(), Some(Fault::Limit { limit: "time", .. })));
    assert!(said.take().len() < 1_000, "a flood of lines is throttled");
}

#[test]
fn the_sequence_of_random_get_is_the_same_for_each_partitioner() {
    // Answers with the first random number, as the partition of the one record.
    let text = r#"(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 16) "\00\01") (data (i32.const 32) "\00\01\00\00\00")
        (func (export "pelton_alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "pelton_partitioner_0_1") (param i32 i32 i32) (result i64)
            (if (i32.eqz (local.get 0)) (then (return (i64.const 0x1000000002))))
            (if (i32.eq (local.get 0) (i32.const 1)) (then (return (i64.const 0))))
            (drop (call $random (i32.const 37) (i32.const 4)))
            (i32.store (i32.const 37) (i32.and (i32.load (i32.const 37)) (i32.const 0x7ffffffe)))
            (i64.const 0x2000000009)))"#;
    let (engine, _) = engine();
    let plugin = engine.compile(&name(), &wat::parse_str(text).expect("good text")).expect("it compiles");
    let factory = plugin.partitioner().expect("a partitioner");
    let input = batch([(None, Some(&b"v"[..]))]);
    let drawn = || {
        let mut instance = factory.instantiate("{}").expect("it takes anything");
        [(); 2].map(|()| instance.partition(&input, "t", i32::MAX).expect("a number in range")[0])
    };
    let (one, other) = (drawn(), drawn());
    assert_eq!(one, other);
    assert_ne!(one[0], one[1], "it is a sequence");
}

/// Nanoseconds that this thread has been on a core, so that what else the machine does counts less.
fn cpu_ns() -> u64 {
    std::thread::yield_now(); // brings the number up to date
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux with scheduler statistics");
    times.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("a number")
}

/// 100 records of 137 bytes.
fn hundred_records() -> Bytes {
    let value = b"abcdefghij".repeat(10);
    let mut builder = BatchBuilder::new(1_000);
    for n in 0..100 {
        let headers = [Header { key: "trace", value: Some(b"0123456789abcdef") }];
        let headers = if n % 2 == 0 { &headers[..] } else { &[] };
        builder.push(1_000 + n, Some(format!("key-{n:08}").as_bytes()), Some(&value), headers);
    }
    builder.into_bytes_with_crc().into()
}

/// What the SDKs cost is printed when asked for, with 31,000 calls instead of 300:
/// `PELTON_MEASURE=1 cargo test --release --workspace --test engine -- --nocapture each_sdk_changes_every_record`
#[test]
fn each_sdk_changes_every_record_of_many_batches() {
    let (rounds, calls) = if std::env::var_os("PELTON_MEASURE").is_some() { (31, 1_000) } else { (3, 100) };
    for (language, module) in guests("uppercase", &LANGUAGES) {
        let (engine, _) = engine();
        let began = Instant::now();
        let plugin = engine.compile(&name(), &module).unwrap_or_else(|error| panic!("{language}: {error}"));
        let compiled = began.elapsed();
        assert!(!plugin.interceptor().expect("it is an interceptor").has_state(), "{language}: it imports no state");
        let began = Instant::now();
        let mut instance = interceptor(&plugin, "{}").expect("it takes anything");
        let instantiated = began.elapsed();
        let (input, from) = (hundred_records(), origin());
        let upper: Vec<_> = records(&input).into_iter().map(|(k, v, t)| (k, v.to_ascii_uppercase(), t)).collect();
        let mut samples = Vec::new();
        for _ in 0..rounds {
            let began = cpu_ns();
            let mut last = Bytes::new();
            for _ in 0..calls {
                let (_, answered) = instance.call(Call::Send(&from, &input), Box::new(MapState::default()), None);
                match answered.unwrap_or_else(|fault| panic!("{language}: {fault}")).change {
                    Change::Replace(changed) => last = changed,
                    other => panic!("{language}: {other:?}"),
                }
            }
            samples.push((cpu_ns() - began) / (calls * 100));
            assert_eq!(records(&last), upper, "{language}");
        }
        samples.sort_unstable();
        println!(
            "{language}: module {} B, compiled in {:.3} s, instance in {} us, {} ns a record (best {})",
            module.len(),
            compiled.as_secs_f64(),
            instantiated.as_micros(),
            samples[samples.len() / 2],
            samples[0]
        );
    }
}
