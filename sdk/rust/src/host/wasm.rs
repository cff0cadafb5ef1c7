//! The host of a module in Pelton: the imports of the world `transform-plugin`.

use crate::log::Level;
use bindings::pelton::plugin::{log as imported_log, state};

/// What `wit-bindgen` makes of `sdk/wit/plugin.wit`.
#[allow(missing_docs, unsafe_code, clippy::all, clippy::undocumented_unsafe_blocks)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "transform-plugin",
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
