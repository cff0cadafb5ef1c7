//! One function for each misdeed. The configuration is `HOOK: MISDEED`; the other hooks are honest.

#![allow(unsafe_code)]

use bindings::exports::pelton::plugin::interceptor::{
    Acknowledgement, Change, Commit, Guest, Hooks, Origin, Outcome, Parts, Rejection, Reuse, Wants,
};
use bindings::pelton::plugin::{clock, emit, log, metrics, random, state};
use pelton_misdeeds::{aliased_texts, endless, memory_bomb, stack_bomb, with_bytes};
use std::cell::RefCell;
use std::hint::black_box;

#[allow(missing_docs, unsafe_code, clippy::all, clippy::undocumented_unsafe_blocks)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../../sdk/wit", world: "interceptor-plugin" });
}

thread_local! {
    static CONFIG: RefCell<(String, String)> = const { RefCell::new((String::new(), String::new())) };
}

struct Hostile;

impl Guest for Hostile {
    fn describe() -> Wants {
        let all = Parts::KEY | Parts::VALUE | Parts::HEADERS;
        Wants {
            hooks: Hooks::ON_SEND | Hooks::ON_ACKNOWLEDGEMENT | Hooks::ON_CONSUME | Hooks::ON_COMMIT,
            reads: all,
            writes: all,
            drops: true,
            reuse: Reuse::ForPrincipal,
        }
    }

    fn configure(config: String) -> Result<(), String> {
        // On a topic of a broker a configuration is JSON: {"misdeed":"HOOK: MISDEED"}.
        let text = config.strip_prefix("{\"misdeed\":\"").and_then(|text| text.strip_suffix("\"}"));
        let (hook, misdeed) = text.unwrap_or(&config).split_once(": ").ok_or("write HOOK: MISDEED")?;
        CONFIG.set((hook.to_owned(), misdeed.to_owned()));
        match at("configure").as_deref() {
            Some("refuse") => Err("no\x1b[31m thanks".to_owned()),
            Some(misdeed) => act(misdeed, &[]).map(|_| ()),
            None => Ok(()),
        }
    }

    fn on_send(_: Origin, batch: Vec<u8>) -> Result<Outcome, String> {
        at("on-send").map_or(Ok(none()), |misdeed| act(&misdeed, &batch))
    }

    fn on_acknowledgement(_: Origin, _: Acknowledgement) -> Result<(), String> {
        at("on-acknowledgement").map_or(Ok(()), |misdeed| act(&misdeed, &[]).map(|_| ()))
    }

    fn on_consume(_: Origin, batch: Vec<u8>) -> Result<Outcome, String> {
        at("on-consume").map_or(Ok(none()), |misdeed| act(&misdeed, &batch))
    }

    fn on_commit(_: Commit) -> Result<(), String> {
        at("on-commit").map_or(Ok(()), |misdeed| act(&misdeed, &[]).map(|_| ()))
    }
}

/// The misdeed, when it is this function's turn.
fn at(function: &str) -> Option<String> {
    CONFIG.with_borrow(|(hook, misdeed)| (hook == function).then(|| misdeed.clone()))
}

fn act(misdeed: &str, batch: &[u8]) -> Result<Outcome, String> {
    match misdeed {
        "nothing" => {}
        "refuse" => return Err("I will not".to_owned()),
        "loop" => endless(),
        "memory bomb" => memory_bomb(),
        "trap" => core::arch::wasm32::unreachable(),
        "panic" => panic!("a panic\nof its own"),
        "stack bomb" => stack_bomb(),
        "drop one" => return Ok(change(Change::Drop(vec![1]))),
        "replace with itself" => return Ok(change(Change::Replace(batch.to_vec()))),
        "replace with nothing" => return Ok(change(Change::Replace(Vec::new()))),
        "reject the last" => return Ok(rejected([2])),
        "huge output" => return Ok(change(Change::Replace(vec![0; 20 << 20]))),
        "cut batch" => return Ok(change(Change::Replace(batch[..batch.len() - 1].to_vec()))),
        "trailing bytes" => return Ok(change(Change::Replace([batch, b"x"].concat()))),
        "wrong count" => return Ok(change(Change::Replace(with_bytes(batch, 57, &[0, 0, 0, 1])))),
        "huge count" => return Ok(change(Change::Replace(with_bytes(batch, 57, &[0x7f, 0xff, 0xff, 0xff])))),
        "control batch" => return Ok(change(Change::Replace(with_bytes(batch, 22, &[0x20])))),
        "compressed batch" => return Ok(change(Change::Replace(with_bytes(batch, 22, &[4])))),
        "old format" => return Ok(change(Change::Replace(with_bytes(batch, 16, &[1])))),
        "added records" => return Ok(change(Change::Replace(records(&[0, 1, 2, 3])))),
        "descending deltas" => return Ok(change(Change::Replace(records(&[1, 0])))),
        "doubled deltas" => return Ok(change(Change::Replace(records(&[1, 1])))),
        "drops out of range" => return Ok(change(Change::Drop(vec![0, 3]))),
        "negative drop" => return Ok(change(Change::Drop(vec![-1]))),
        "doubled drops" => return Ok(change(Change::Drop(vec![1, 1]))),
        "unsorted drops" => return Ok(change(Change::Drop(vec![2, 0]))),
        "endless drops" => return Ok(change(Change::Drop((0..4 << 20).collect()))),
        "foreign rejection" => return Ok(rejected([3])),
        "doubled rejection" => return Ok(rejected([0, 0])),
        "too many rejections" => return Ok(rejected(0..1_000)),
        "aliased rejections" => return Ok(aliased_rejections()),
        _ => return ask(misdeed, batch).map(|()| none()),
    }
    Ok(none())
}

/// Misdeeds by way of the host.
fn ask(misdeed: &str, batch: &[u8]) -> Result<(), String> {
    match misdeed {
        "log flood" => (0..10_000).for_each(|n| log::write(log::Level::Info, &format!("line {n}\nforged"))),
        "log storm" => loop {
            log::write(log::Level::Debug, "storm");
        },
        "metric storm" => loop {
            metrics::count("storm", &[], 1);
        },
        "state storm" => loop {
            drop(state::get(0, b"k"));
        },
        "clock storm" => loop {
            black_box(clock::now_ms());
        },
        "random storm" => loop {
            drop(black_box(random::bytes(64 << 10)));
        },
        "emit storm" => loop {
            emit::to_topic("granted", &records(&[0]))?;
        },
        "emit bomb" => {
            let large = large_record(1 << 20);
            loop {
                emit::to_topic("granted", &large)?;
            }
        }
        "metric name" => metrics::gauge("no\nname", &[], 1.0),
        "label name" => metrics::count("n", &[("topic".to_owned(), "t".to_owned())], 1),
        "label flood" => {
            metrics::count("n", &(0..100).map(|n| (format!("l{n}"), String::new())).collect::<Vec<_>>(), 1)
        }
        "observation flood" => metrics::observe("n", &[], &vec![0.5; 100_000]),
        "series flood" => {
            for n in 0..3_000 {
                metrics::count("flood", &[("n".to_owned(), n.to_string())], 1);
            }
        }
        "long label" => metrics::count("n", &[("l".to_owned(), "v\n".repeat(100_000))], 1),
        "too much random" => drop(random::bytes(u32::MAX)),
        "emit" => emit::to_topic("granted", batch)?,
        "emit elsewhere" => emit::to_topic("somebody-elses", batch)?,
        "emit garbage" => emit::to_topic("granted", b"garbage")?,
        "emit control" => emit::to_topic("granted", &with_bytes(batch, 22, &[0x20]))?,
        "write bomb" => (0_u64..).for_each(|n| state::put(0, &n.to_le_bytes(), &[0; 1 << 10])),
        "large value" => state::put(0, b"k", &vec![0; 2 << 20]),
        "unknown store" => drop(state::get(1, b"k")),
        "put" => state::put(0, b"k", b"v"),
        _ => return Err(format!("no misdeed is called `{misdeed}`")),
    }
    Ok(())
}

fn none() -> Outcome {
    change(Change::None)
}

fn change(change: Change) -> Outcome {
    Outcome { change, rejected: Vec::new() }
}

fn rejected(deltas: impl IntoIterator<Item = i32>) -> Outcome {
    let rejection = |offset_delta| Rejection { offset_delta, reason: "r\n".repeat(1_000) };
    Outcome { change: Change::None, rejected: deltas.into_iter().map(rejection).collect() }
}

/// Three rejections of 20 MB each that share one string.
fn aliased_rejections() -> Outcome {
    let rejection = |(offset_delta, reason)| Rejection { offset_delta, reason };
    Outcome { change: Change::None, rejected: (0..).zip(aliased_texts()).map(rejection).collect() }
}

/// A batch of empty records at these offset deltas, which must be from 0 to 63.
fn records(deltas: &[u8]) -> Vec<u8> {
    let bodies: Vec<u8> = deltas.iter().flat_map(|delta| [12, 0, 0, delta * 2, 1, 1, 0]).collect();
    with_header(&bodies, deltas.len() as u32)
}

/// A batch of one record whose value has that many zero bytes.
fn large_record(value_bytes: u32) -> Vec<u8> {
    let value = [&varint(value_bytes)[..], &vec![0; value_bytes as usize], &[0]].concat();
    let body = [&[0, 0, 0, 1][..], &value].concat();
    with_header(&[&varint(body.len() as u32)[..], &body].concat(), 1)
}

fn varint(value: u32) -> Vec<u8> {
    let mut zigzag = value << 1;
    let mut bytes = Vec::new();
    while zigzag >= 0x80 {
        bytes.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
    bytes
}

fn with_header(records: &[u8], count: u32) -> Vec<u8> {
    let mut batch = vec![0; 61];
    batch[8..12].copy_from_slice(&(49 + records.len() as u32).to_be_bytes());
    batch[16] = 2;
    batch[23..27].copy_from_slice(&63_u32.to_be_bytes());
    batch[43..57].fill(0xff);
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    batch.extend_from_slice(records);
    batch
}

bindings::export!(Hostile with_types_in bindings);
