//! One function for each misdeed, told apart by the configuration's text.

#![allow(unsafe_code)]

use bindings::exports::pelton::plugin::transform::{Guest, Processed, Rejection};
use bindings::pelton::plugin::{log, metrics, state};
use pelton_misdeeds::{aliased_texts, endless, memory_bomb, stack_bomb, with_bytes};
use std::cell::RefCell;

#[allow(missing_docs, unsafe_code, clippy::all, clippy::undocumented_unsafe_blocks)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../../sdk/wit", world: "transform-plugin" });
}

thread_local! {
    static MISDEED: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Hostile;

impl Guest for Hostile {
    fn configure(config: String, _stores: Vec<String>) -> Result<(), String> {
        match config.as_str() {
            "refuse the configuration" => return Err("no\x1b[31m thanks".to_owned()),
            "loop in configure" => endless(),
            "state in configure" => state::put(0, b"k", b"v"),
            _ => {}
        }
        MISDEED.set(config);
        Ok(())
    }

    fn process(batch: Vec<u8>) -> Result<Processed, String> {
        let misdeed = MISDEED.with_borrow(Clone::clone);
        match misdeed.as_str() {
            "echo" => return Ok(Processed { output: batch, rejected: Vec::new() }),
            "refuse" => return Err("I will not".to_owned()),
            "loop" => endless(),
            "memory" => memory_bomb(),
            "trap" => core::arch::wasm32::unreachable(),
            "panic" => panic!("a panic\nof its own"),
            "recursion" => stack_bomb(),
            "huge output" => return output(vec![0; 20 << 20]),
            "no batch" => return output(vec![7; 100]),
            "cut batch" => return output(batch[..batch.len() - 1].to_vec()),
            "trailing bytes" => return output([&batch[..], b"x"].concat()),
            "wrong count" => return output(with_bytes(&batch, 60, &[1])),
            "control batch" => return output(with_bytes(&batch, 22, &[0x20])),
            "compressed batch" => return output(with_bytes(&batch, 22, &[4])),
            "too many rejections" => return rejected(0..1_000),
            "foreign rejection" => return rejected(1_000_000..1_000_001),
            "negative rejection" => return rejected(-1..0),
            "doubled rejection" => return rejected([0, 0]),
            "aliased rejections" => return Ok(aliased_rejections()),
            "malformed keys" => drop(state::get_many(0, b"\xff\xff\xff\x7fkey")),
            "malformed entries" => state::put_many(0, b"\x01\0\0\0k\x05\0\0\0v"),
            "unknown store" => drop(state::get(7, b"k")),
            "large value" => state::put(0, b"k", &vec![0; 2 << 20]),
            "write bomb" => write_bomb(),
            "put" => state::put(0, b"k", b"v"),
            "put and trap" => {
                state::put(0, b"k", b"v");
                core::arch::wasm32::unreachable()
            }
            "state storm" => loop {
                drop(state::get(0, b"k"));
            },
            "metric storm" => loop {
                metrics::count("storm", &[], 1);
            },
            "log flood" => (0..10_000).for_each(|n| log::write(log::Level::Info, &format!("line {n}\nforged"))),
            _ => return Err(format!("no misdeed is called `{misdeed}`")),
        }
        Ok(Processed { output: Vec::new(), rejected: Vec::new() })
    }
}

fn output(output: Vec<u8>) -> Result<Processed, String> {
    Ok(Processed { output, rejected: Vec::new() })
}

fn rejected(deltas: impl IntoIterator<Item = i32>) -> Result<Processed, String> {
    let rejection = |offset_delta| Rejection { offset_delta, reason: "r\n".repeat(10_000) };
    Ok(Processed { output: Vec::new(), rejected: deltas.into_iter().map(rejection).collect() })
}

/// Three rejections of 20 MB each that share one string.
fn aliased_rejections() -> Processed {
    let rejection = |(offset_delta, reason)| Rejection { offset_delta, reason };
    Processed { output: Vec::new(), rejected: (0..).zip(aliased_texts()).map(rejection).collect() }
}

fn write_bomb() {
    for n in 0_u64.. {
        state::put(0, &n.to_le_bytes(), &[0; 1 << 10]);
    }
}

bindings::export!(Hostile with_types_in bindings);
