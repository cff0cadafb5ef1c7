//! The host of a module in Pelton: the imports of the worlds.
//!
//! All calls go through the bindings of the world `interceptor-plugin`, which imports what any world imports. A module
//! ends up with the imports that it calls, and no other; the host refuses one that its world does not grant.

use crate::log::Level;
use crate::metrics::Labels;
use interceptor::pelton::plugin::{clock, emit, log as imported_log, metrics, random, state};

/// What `wit-bindgen` makes of the world `transform-plugin` of `sdk/wit/plugin.wit`.
#[allow(missing_docs, unsafe_code, clippy::all, clippy::undocumented_unsafe_blocks)]
pub mod transform {
    wit_bindgen::generate!({
        path: "../wit",
        world: "transform-plugin",
        pub_export_macro: true,
        export_macro_name: "export_plugin",
    });
}

/// What `wit-bindgen` makes of the world `interceptor-plugin` of `sdk/wit/plugin.wit`.
#[allow(missing_docs, unsafe_code, clippy::all, clippy::undocumented_unsafe_blocks)]
pub mod interceptor {
    wit_bindgen::generate!({
        path: "../wit",
        world: "interceptor-plugin",
        pub_export_macro: true,
        export_macro_name: "export_plugin",
    });
}

/// What `wit-bindgen` makes of the world `partitioner-plugin` of `sdk/wit/plugin.wit`.
#[allow(missing_docs, unsafe_code, clippy::all, clippy::undocumented_unsafe_blocks)]
pub mod partitioner {
    wit_bindgen::generate!({
        path: "../wit",
        world: "partitioner-plugin",
        pub_export_macro: true,
        export_macro_name: "export_plugin",
    });
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Error => imported_log::Level::Error,
        Level::Warn => imported_log::Level::Warn,
        Level::Info => imported_log::Level::Info,
        Level::Debug => imported_log::Level::Debug,
    };
    imported_log::write(level, message);
}

pub(crate) fn count(name: &str, labels: Labels<'_>, by: u64) {
    metrics::count(name, &owned(labels), by);
}

pub(crate) fn gauge(name: &str, labels: Labels<'_>, value: f64) {
    metrics::gauge(name, &owned(labels), value);
}

pub(crate) fn observe(name: &str, labels: Labels<'_>, values: &[f64]) {
    metrics::observe(name, &owned(labels), values);
}

fn owned(labels: Labels<'_>) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn get_many(store: u32, keys: &[u8]) -> Vec<u8> {
    state::get_many(store, keys)
}

pub(crate) fn put_many(store: u32, entries: &[u8]) {
    state::put_many(store, entries);
}

pub(crate) fn get(store: u32, key: &[u8]) -> Option<Vec<u8>> {
    state::get(store, key)
}

pub(crate) fn put(store: u32, key: &[u8], value: &[u8]) {
    state::put(store, key, value);
}

pub(crate) fn delete(store: u32, key: &[u8]) {
    state::delete(store, key);
}

pub(crate) fn emit(topic: &str, batch: &[u8]) -> Result<(), String> {
    emit::to_topic(topic, batch)
}

pub(crate) fn now_ms() -> i64 {
    clock::now_ms()
}

pub(crate) fn random(count: usize) -> Vec<u8> {
    random::bytes(u32::try_from(count).expect("a guest's memory holds less than 4 GiB"))
}
