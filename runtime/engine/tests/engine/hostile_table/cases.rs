//! The table.

use crate::wat::{self, Partitioner};

/// One hostile module.
pub struct Case {
    pub name: &'static str,
    pub module: Module,
    pub ends: Ends,
}

/// What makes a module out of nothing.
pub type Made = fn() -> Vec<u8>;

/// Where the module comes from.
pub enum Module {
    /// `tests/hostile`, with this configuration.
    Transform(&'static str),
    /// `tests/hostile-interceptor`, with this configuration: `HOOK: MISDEED`.
    Interceptor(&'static str),
    /// `tests/hostile-partitioner`, with this configuration.
    Partitioner(&'static str),
    /// Bytes of its own.
    Made(Made),
}

/// How a module must end.
#[derive(Debug)]
pub enum Ends {
    /// It does no harm.
    Well,
    /// It is compiled and does no harm, or it is refused at upload.
    WellOrRefused,
    /// A limit of this name stops it.
    Limit(&'static str),
    /// It traps, and the fault has this text.
    Trap(&'static str),
    /// Its answer is refused, and the fault has this text.
    Malformed(&'static str),
    /// It refuses by itself, with this text.
    Refused(&'static str),
    /// It is refused at upload, with this text.
    Module(&'static str),
}

const fn case(name: &'static str, module: Module, ends: Ends) -> Case {
    Case { name, module, ends }
}

/// A misdeed of `tests/hostile`, named after itself.
const fn transform(misdeed: &'static str, ends: Ends) -> Case {
    case(misdeed, Module::Transform(misdeed), ends)
}

/// A misdeed of `tests/hostile-interceptor`, named after itself.
const fn interceptor(config: &'static str, ends: Ends) -> Case {
    case(config, Module::Interceptor(config), ends)
}

/// A misdeed of `tests/hostile-partitioner`, named after itself.
const fn partitioner(misdeed: &'static str, ends: Ends) -> Case {
    case(misdeed, Module::Partitioner(misdeed), ends)
}

const fn made(name: &'static str, make: Made, ends: Ends) -> Case {
    case(name, Module::Made(make), ends)
}

use Ends::{Limit, Malformed, Refused, Trap, Well, WellOrRefused};

pub const CASES: &[Case] = &[
    // Time.
    transform("loop", Limit("time")),
    transform("loop in configure", Limit("time")),
    transform("state storm", Limit("time")),
    transform("metric storm", Limit("time")),
    interceptor("configure: loop", Limit("time")),
    interceptor("on-send: loop", Limit("time")),
    interceptor("on-acknowledgement: loop", Limit("time")),
    interceptor("on-consume: loop", Limit("time")),
    interceptor("on-commit: loop", Limit("time")),
    interceptor("on-send: log storm", Limit("time")),
    interceptor("on-send: metric storm", Limit("time")),
    interceptor("on-send: state storm", Limit("time")),
    interceptor("on-consume: clock storm", Limit("time")),
    interceptor("on-commit: random storm", Limit("time")),
    partitioner("loop", Limit("time")),
    partitioner("loop in configure", Limit("time")),
    partitioner("log storm", Limit("time")),
    partitioner("metric storm", Limit("time")),
    made("loop in start", || started("(loop $on (br $on))"), Limit("time")),
    made("log storm in describe", log_storm_in_describe, Limit("time")),
    made(
        "loop in describe",
        || Partitioner { describe: "(loop $on (br $on)) (i32.const 0)", ..honest() }.module(),
        Limit("time"),
    ),
    made(
        "loop in realloc",
        || Partitioner { realloc: "(loop $on (br $on)) (i32.const 0)", ..honest() }.module(),
        Limit("time"),
    ),
    // Memory, tables, stack.
    transform("memory", Limit("memory")),
    transform("recursion", Trap("call stack exhausted")),
    interceptor("on-send: memory bomb", Limit("memory")),
    interceptor("on-commit: stack bomb", Trap("call stack exhausted")),
    partitioner("memory bomb", Limit("memory")),
    partitioner("stack bomb", Trap("call stack exhausted")),
    made(
        "memory bomb in start",
        || started("(loop $on (br_if $on (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable"),
        Limit("memory"),
    ),
    made("table bomb", table_bomb, Limit("memory")),
    made("memory past the limit", || Partitioner { pages: 1_025, ..honest() }.module(), Ends::Module("memory")),
    made("table past the limit", || with("(table 20001 funcref)"), Ends::Module("table")),
    made(
        "mutual recursion",
        || with_partition("(call $partition (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))"),
        Trap("call stack exhausted"),
    ),
    // Traps.
    transform("trap", Trap("unreachable")),
    interceptor("configure: trap", Trap("unreachable")),
    interceptor("on-send: trap", Trap("unreachable")),
    interceptor("on-send: panic", Trap("unreachable")),
    interceptor("on-acknowledgement: trap", Trap("unreachable")),
    interceptor("on-consume: panic", Trap("unreachable")),
    interceptor("on-commit: trap", Trap("unreachable")),
    partitioner("panic", Trap("unreachable")),
    partitioner("trap in configure", Trap("unreachable")),
    made("host call in start", log_in_start, Trap("uninitialized element")),
    made("trap in start", || started("unreachable"), Trap("unreachable")),
    made("trap in describe", || wat::interceptor("unreachable"), Trap("unreachable")),
    made("trap in realloc", || Partitioner { realloc: "unreachable", ..honest() }.module(), Trap("unreachable")),
    made("division by zero", || with_partition("(i32.div_s (i32.const 1) (i32.const 0))"), Trap("divide by zero")),
    made("wild read", || with_partition("(i32.load (i32.const -4))"), Trap("out of bounds")),
    // Answers that are too large.
    transform("huge output", Limit("output")),
    transform("aliased rejections", Limit("output")),
    interceptor("on-send: huge output", Limit("output")),
    interceptor("on-consume: aliased rejections", Limit("output")),
    interceptor("on-send: emit bomb", Limit("output")),
    interceptor("on-acknowledgement: emit storm", Limit("emissions")),
    partitioner("endless answers", Limit("output")),
    made("aliased answers", || answers("0", "0x3fffffff"), Malformed("")),
    // Batches that are none, or not what they say.
    interceptor("on-send: cut batch", Malformed("output")),
    interceptor("on-send: trailing bytes", Malformed("output")),
    interceptor("on-consume: wrong count", Malformed("output")),
    interceptor("on-send: huge count", Malformed("output")),
    interceptor("on-send: control batch", Malformed("control")),
    interceptor("on-consume: compressed batch", Malformed("output")),
    interceptor("on-send: old format", Malformed("output")),
    interceptor("on-send: added records", Malformed("delta 3")),
    interceptor("on-send: descending deltas", Malformed("output")),
    interceptor("on-send: doubled deltas", Malformed("output")),
    interceptor("on-send: drops out of range", Malformed("drops offset delta 3")),
    interceptor("on-send: negative drop", Malformed("drops offset delta -1")),
    interceptor("on-consume: doubled drops", Malformed("must ascend")),
    interceptor("on-send: unsorted drops", Malformed("must ascend")),
    interceptor("on-send: endless drops", Malformed("drops offset delta 3")),
    interceptor("on-send: foreign rejection", Malformed("rejects offset delta 3")),
    interceptor("on-consume: doubled rejection", Malformed("rejects offset delta 0")),
    interceptor("on-send: too many rejections", Malformed("1000 records of 3")),
    interceptor("on-send: emit garbage", Malformed("emits")),
    interceptor("on-consume: emit control", Malformed("control")),
    partitioner("out of range", Malformed("partition 6 of 6")),
    partitioner("negative", Malformed("partition -2 of 6")),
    partitioner("too few", Malformed("2 records of 3")),
    partitioner("too many", Malformed("4 records of 3")),
    partitioner("none", Malformed("0 records of 3")),
    // Answers that are no answers at all.
    made("answer out of bounds", || with_partition("(i32.const -8)"), Malformed("")),
    made("list out of bounds", || answers("0x7ffffff0", "3"), Malformed("")),
    made("unaligned list", || answers("33", "3"), Malformed("")),
    made(
        "no case of the result",
        || with_partition("(i32.store8 (i32.const 32) (i32.const 7)) (i32.const 32)"),
        Malformed(""),
    ),
    made("an error that is no text", error_without_text, Malformed("")),
    made("room out of bounds", || Partitioner { realloc: "(i32.const -1)", ..honest() }.module(), Malformed("")),
    // What is asked of the host.
    interceptor("configure: emit", Malformed("outside of a hook")),
    interceptor("configure: put", Malformed("not in `configure`")),
    interceptor("on-send: emit elsewhere", Refused("not granted")),
    interceptor("on-send: unknown store", Malformed("store number 1")),
    interceptor("on-send: large value", Limit("state value")),
    interceptor("on-send: write bomb", Limit("state value")),
    interceptor("on-send: too much random", Limit("random")),
    interceptor("on-send: metric name", Malformed("name of a metric")),
    interceptor("on-commit: label name", Malformed("label `topic`")),
    interceptor("on-send: label flood", Limit("metrics")),
    interceptor("on-send: observation flood", Limit("metrics")),
    interceptor("on-send: series flood", Well),
    interceptor("on-send: long label", Well),
    interceptor("on-send: log flood", Well),
    // Modules that are refused at upload.
    made("garbage", || b"\x7fELF, and more of it".to_vec(), Ends::Module("not a WebAssembly module")),
    made("truncated", truncated, Ends::Module("not a WebAssembly module")),
    made(
        "WASI",
        || wat::parsed(r#"(module (import "wasi_snapshot_preview1" "path_open" (func)))"#),
        Ends::Module("wasi_snapshot_preview1::path_open"),
    ),
    made("the environment", || wat::parsed(r#"(module (import "env" "system" (func)))"#), Ends::Module("env::system")),
    made(
        "a component with WASI",
        || component(r#"(import "wasi:filesystem/types@0.2.0" (instance))"#, "partitioner"),
        Ends::Module("wasi:filesystem"),
    ),
    made(
        "a partitioner with a clock",
        || component(r#"(import "pelton:plugin/clock@0.1.1" (instance))"#, "partitioner"),
        Ends::Module("not granted to a partitioner"),
    ),
    made(
        "a partitioner with state",
        || component(r#"(import "pelton:plugin/state@0.1.1" (instance))"#, "partitioner"),
        Ends::Module("not granted to a partitioner"),
    ),
    made(
        "a transform that emits",
        || component(r#"(import "pelton:plugin/emit@0.1.1" (instance))"#, "transform"),
        Ends::Module("not granted to a transform"),
    ),
    made(
        "an interface of the future",
        || component(r#"(import "pelton:plugin/log@0.9.0" (instance))"#, "transform"),
        Ends::Module("pelton:plugin/log@0.9.0"),
    ),
    made("a world without functions", || component("", "interceptor"), Ends::Module("#describe")),
    made(
        "two worlds",
        || component(r#"(instance $other) (export "pelton:plugin/transform@0.1.0" (instance $other))"#, "interceptor"),
        Ends::Module("one kind"),
    ),
    made("no hooks", || wat::interceptor("(i32.const 64)"), Malformed("none of the hooks")),
    made("64-bit memory", || wat::parsed("(module (memory i64 1))"), Ends::Module("not a WebAssembly module")),
    made("shared memory", || wat::parsed("(module (memory 1 1 shared))"), Ends::Module("not a WebAssembly module")),
    // Compile bombs: refused, or compiled.
    made(
        "huge br_table",
        || with(&format!("(func (param i32) (block (br_table {} (local.get 0))))", "0 ".repeat(100_000))),
        WellOrRefused,
    ),
    made("many functions", || with(&"(func)".repeat(50_000)), WellOrRefused),
    made("many locals", || with(&format!("(func (local {}))", "i64 ".repeat(49_000))), WellOrRefused),
    made("too many locals", || with(&format!("(func (local {}))", "i64 ".repeat(51_000))), Ends::Module("locals")),
    made(
        "deep nesting",
        || with(&format!("(func {} {})", "block ".repeat(10_000), "end ".repeat(10_000))),
        WellOrRefused,
    ),
    made(
        "long function",
        || with(&format!("(func (result i32) (i32.const 0) {})", "(i32.const 3) i32.add ".repeat(100_000))),
        WellOrRefused,
    ),
];

fn honest() -> Partitioner {
    Partitioner::default()
}

/// A partitioner that begins with this.
fn started(body: &str) -> Vec<u8> {
    with(&format!("(func $begin {body}) (start $begin)"))
}

/// An honest partitioner with more in it.
fn with(more: &str) -> Vec<u8> {
    Partitioner { more: more.to_owned(), ..honest() }.module()
}

fn with_partition(body: &str) -> Vec<u8> {
    Partitioner { partition: body.to_owned(), ..honest() }.module()
}

/// A partitioner that answers a list at this place, of this length.
fn answers(pointer: &str, len: &str) -> Vec<u8> {
    with_partition(&format!(
        "(i32.store8 (i32.const 32) (i32.const 0)) (i32.store (i32.const 36) (i32.const {pointer}))
         (i32.store (i32.const 40) (i32.const {len})) (i32.const 32)"
    ))
}

fn error_without_text() -> Vec<u8> {
    with_partition(
        "(i32.store8 (i32.const 32) (i32.const 1)) (i32.store (i32.const 36) (i32.const 64))
         (i32.store (i32.const 40) (i32.const 2)) (i32.store16 (i32.const 64) (i32.const 0xfffe)) (i32.const 32)",
    )
}

fn table_bomb() -> Vec<u8> {
    Partitioner {
        more: "(table $t 1 funcref)".to_owned(),
        partition: "(loop $on (br_if $on (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable"
            .to_owned(),
        ..honest()
    }
    .module()
}

const IMPORT_LOG: &str = r#"(import "pelton:plugin/log@0.1.1" "write" (func $log (param i32 i32 i32)))"#;

/// Its own code takes no time; the host's does.
fn log_storm_in_describe() -> Vec<u8> {
    let describe = "(loop $on (call $log (i32.const 2) (i32.const 0) (i32.const 4096)) (br $on)) (i32.const 1)";
    Partitioner { describe, ..honest() }.module_with(IMPORT_LOG, "")
}

/// A component's imports are bound when its start code has run.
fn log_in_start() -> Vec<u8> {
    let start = "(func $begin (call $log (i32.const 2) (i32.const 0) (i32.const 4096))) (start $begin)";
    honest().module_with(IMPORT_LOG, start)
}

fn truncated() -> Vec<u8> {
    let mut module = honest().module();
    module.truncate(module.len() / 3);
    module
}

/// A component that exports an empty interface of this name.
fn component(more: &str, world: &str) -> Vec<u8> {
    wat::parsed(&format!(
        r#"(component {more} (instance $empty) (export "pelton:plugin/{world}@0.1.1" (instance $empty)))"#
    ))
}
