//! Compilation in a child process.

use crate::fixtures::{guest, three_records};
use crate::wat;
use pelton_api::fault::ModuleError;
use pelton_engine::{Engine, EngineConfig, Limits, Plugin};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

const COMPILER: &str = env!("CARGO_BIN_EXE_pelton-compile");

fn engine(words: &[&str], cache_dir: Option<&Path>, compile_time: Duration) -> Engine {
    let limits = Limits { instances: 4, compile_time, ..Limits::default() };
    let compiler = Some(words.iter().map(OsString::from).collect());
    Engine::new(EngineConfig { cache_dir: cache_dir.map(Path::to_owned), limits, compiler, ..EngineConfig::default() })
        .unwrap()
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<Plugin, ModuleError> {
    engine.compile(&"child@1".parse().unwrap(), bytes)
}

fn failure(words: &[&str], compile_time: Duration) -> String {
    match compile(&engine(words, None, compile_time), &wat::Partitioner::default().module()) {
        Err(ModuleError::Compile(text)) => text,
        other => panic!("{words:?} ended as {other:?}"),
    }
}

#[test]
fn a_child_compiles_what_this_process_runs() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = guest("PELTON_HOSTILE_PARTITIONER_WASM", "pelton-hostile-partitioner");
    let run = |words: &[&str]| {
        let plugin = compile(&engine(words, Some(dir.path()), Duration::from_secs(180)), &bytes).unwrap();
        let mut instance = plugin.partitioner().unwrap().instantiate("last").unwrap();
        assert_eq!(instance.partition(&three_records(), "orders", 6), Ok(vec![5, 5, 5]));
    };
    run(&[COMPILER]);
    // The code is kept: no compiler is needed for it any more, and it is that of an engine that compiles by itself.
    run(&["/nonexistent/compiler"]);
}

#[test]
fn a_child_tells_what_is_wrong_with_a_module() {
    let engine = engine(&[COMPILER], None, Duration::from_secs(180));
    let wasi = wat::parsed(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#);
    let forbidden = ModuleError::ForbiddenImport("wasi_snapshot_preview1::fd_write".to_owned());
    assert_eq!(compile(&engine, &wasi).unwrap_err(), forbidden);
    let mut component = wat::parsed("(component (core module (func (result i32) (i32.const 1))))");
    let last = component.len() - 1;
    component.truncate(last);
    assert!(matches!(compile(&engine, &component), Err(ModuleError::NotWasm(_))));
}

#[test]
fn a_compiler_that_fails_is_told_by_its_last_line() {
    let minute = Duration::from_secs(60);
    assert!(failure(&["/nonexistent/compiler"], minute).contains("cannot be started"));
    let said = failure(&["/bin/sh", "-c", "echo first >&2; echo the disk is full >&2; exit 3"], minute);
    assert!(said.contains("status 3: the disk is full"), "{said}");
    assert!(failure(&["/bin/sh", "-c", "kill -9 $$"], minute).contains("signal 9"));
    assert!(failure(&["/bin/sh", "-c", "cat >/dev/null; printf '\\000garbage'"], minute).contains("no whole answer"));
    let flood = "cat >/dev/null; head -c 600000000 /dev/zero";
    assert!(failure(&["/bin/sh", "-c", flood], minute).contains("no whole answer"));
}

#[test]
fn a_compiler_without_an_end_is_killed_with_all_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let script = format!("sleep 1000 & echo $! >{}; wait", pid_file.display());
    let said = failure(&["/bin/sh", "-c", &script], Duration::from_secs(2));
    assert!(said.contains("the limit of a compilation"), "{said}");
    let pid = std::fs::read_to_string(pid_file).unwrap();
    // It may be a zombie for a moment, until init has reaped it; then it has no command line.
    let command_line = std::fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
    assert!(command_line.is_empty(), "process {pid} lives on");
}

#[test]
fn no_compiler_runs_for_what_is_refused_unseen() {
    let engine = engine(&["/nonexistent/compiler"], None, Duration::from_secs(60));
    assert!(matches!(compile(&engine, b"\0asm\x01\0\0\0\x01\xff\xff"), Err(ModuleError::NotWasm(_))));
    assert!(matches!(compile(&engine, b"no module"), Err(ModuleError::NotWasm(_))));
}
