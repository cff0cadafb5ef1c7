//! Modules written by hand, for what no compiler would write.

use crate::fixtures::guest;

/// A partitioner: each part of it can be replaced by something hostile.
pub struct Partitioner {
    /// Between the memory and the functions: globals, tables, a start function.
    pub more: String,
    /// Pages of memory.
    pub pages: u32,
    /// Body of `cabi_realloc`: old pointer, old size, alignment, new size.
    pub realloc: &'static str,
    /// Body of `describe`: the parts that are read.
    pub describe: &'static str,
    /// Body of `configure`: a pointer to its result.
    pub configure: &'static str,
    /// Body of `partition`: a pointer to its result.
    pub partition: String,
}

impl Default for Partitioner {
    /// An honest one, of three records: it answers 0, 0, 0.
    fn default() -> Self {
        Self {
            more: String::new(),
            pages: 2,
            realloc: "(global.get $free) (global.set $free (i32.add (global.get $free) (local.get 3)))",
            describe: "(i32.const 1)",
            configure: "(i32.const 16)",
            partition: "(i32.store8 (i32.const 32) (i32.const 0)) (i32.store (i32.const 36) (i32.const 64))
                        (i32.store (i32.const 40) (i32.const 3)) (i32.const 32)"
                .to_owned(),
        }
    }
}

const INTERFACE: &str = "pelton:plugin/partitioner@0.1.1";

impl Partitioner {
    /// The core module, with the section that tells its world.
    pub fn module(&self) -> Vec<u8> {
        self.module_with("", "")
    }

    /// The same with an import, and what uses it.
    pub fn module_with(&self, import: &str, user: &str) -> Vec<u8> {
        let Self { more, pages, realloc, describe, configure, partition } = self;
        let text = format!(
            r#"(module
                (type $two (func (param i32 i32) (result i32)))
                {import}
                (memory (export "memory") {pages})
                (global $free (mut i32) (i32.const 4096))
                {more} {user}
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                (func (export "{INTERFACE}#describe") (result i32) {describe})
                (func (export "{INTERFACE}#configure") (type $two) {configure})
                (func $partition (export "{INTERFACE}#partition") (param i32 i32 i32 i32 i32) (result i32) {partition}))"#
        );
        let world = guest("PELTON_HOSTILE_PARTITIONER_WASM", "pelton-hostile-partitioner");
        with_world(parsed(&text), &world)
    }
}

/// An interceptor whose functions trap but for `describe`, which answers as it is told.
pub fn interceptor(describe: &str) -> Vec<u8> {
    let interface = "pelton:plugin/interceptor@0.1.1";
    let many = "i32 i32 i32 i32 i32 i32 i32 i32 i32";
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (func (export "{interface}#describe") (result i32) {describe})
            (func (export "{interface}#configure") (param i32 i32) (result i32) unreachable)
            (func (export "{interface}#on-send") (param {many} i32 i32) (result i32) unreachable)
            (func (export "{interface}#on-acknowledgement") (param {many} i64 i32 i64 i32 i32 i32) (result i32) unreachable)
            (func (export "{interface}#on-consume") (param {many} i32 i32) (result i32) unreachable)
            (func (export "{interface}#on-commit") (param {many} i32 i32 i32 i32 i32 i32) (result i32) unreachable))"#
    );
    let world = guest("PELTON_HOSTILE_INTERCEPTOR_WASM", "pelton-hostile-interceptor");
    with_world(parsed(&text), &world)
}

/// The bytes of a module or a component.
pub fn parsed(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The module with the custom section of another, by which `wit-component` knows its world.
fn with_world(mut module: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let mut rest = &other[8..];
    while let Some((&id, after_id)) = rest.split_first() {
        let (len, content) = leb(after_id);
        let (_, name) = leb(content);
        if id == 0 && name.starts_with(b"component-type") {
            module.extend_from_slice(&rest[..rest.len() - content.len() + len]);
        }
        rest = &content[len..];
    }
    module
}

fn leb(bytes: &[u8]) -> (usize, &[u8]) {
    let mut value = 0;
    for (n, byte) in bytes.iter().enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return (value, &bytes[n + 1..]);
        }
    }
    panic!("a number without an end")
}
