//! One function for each misdeed, told apart by the configuration's text.

#![allow(unsafe_code)]

use bindings::exports::pelton::plugin::partitioner::{Guest, Parts};
use bindings::pelton::plugin::{log, metrics};
use pelton_misdeeds::{endless, memory_bomb, stack_bomb};
use std::cell::RefCell;

#[allow(missing_docs, unsafe_code, clippy::all, clippy::undocumented_unsafe_blocks)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../../sdk/wit", world: "partitioner-plugin" });
}

thread_local! {
    static MISDEED: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Hostile;

impl Guest for Hostile {
    fn describe() -> Parts {
        Parts::KEY | Parts::HEADERS
    }

    fn configure(config: String) -> Result<(), String> {
        match config.as_str() {
            "refuse the configuration" => return Err("no\x1b[31m thanks".to_owned()),
            "loop in configure" => endless(),
            "trap in configure" => core::arch::wasm32::unreachable(),
            _ => {}
        }
        MISDEED.set(config);
        Ok(())
    }

    fn partition(batch: Vec<u8>, _topic: String, partitions: i32) -> Result<Vec<i32>, String> {
        let count = i32::from_be_bytes([batch[57], batch[58], batch[59], batch[60]]) as usize;
        let misdeed = MISDEED.with_borrow(Clone::clone);
        match misdeed.as_str() {
            "last" => {}
            "any" => return Ok(vec![-1; count]),
            "refuse" => return Err("I will not".to_owned()),
            "loop" => endless(),
            "trap" => core::arch::wasm32::unreachable(),
            "panic" => panic!("a panic\nof its own"),
            "stack bomb" => stack_bomb(),
            "memory bomb" => memory_bomb(),
            "out of range" => return Ok(vec![partitions; count]),
            "negative" => return Ok(vec![-2; count]),
            "too few" => return Ok(vec![0; count - 1]),
            "too many" => return Ok(vec![0; count + 1]),
            "none" => return Ok(Vec::new()),
            "endless answers" => return Ok(vec![0; 8 << 20]),
            "log storm" => loop {
                log::write(log::Level::Info, "storm");
            },
            "metric storm" => loop {
                metrics::gauge("storm", &[], 1.0);
            },
            _ => return Err(format!("no misdeed is called `{misdeed}`")),
        }
        Ok(vec![partitions - 1; count])
    }
}

bindings::export!(Hostile with_types_in bindings);
