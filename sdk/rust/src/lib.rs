//! The SDK for plugins written in Rust.
//!
//! A plugin implements [`Transform`] and names its type in [`export_transform!`]. Built for
//! `wasm32-unknown-unknown` it is a module that Pelton runs; built for the machine at hand, the same code
//! runs under [`testing::Harness`], so `cargo test` of a plugin needs no Wasm:
//!
//! ```
//! use pelton_sdk::prelude::*;
//!
//! struct PageViews {
//!     views: Store<String, u64>,
//! }
//!
//! impl Transform for PageViews {
//!     type Config = NoConfig;
//!
//!     fn configure(_: NoConfig, stores: &Stores) -> Result<Self, String> {
//!         Ok(Self { views: stores.open("views")? })
//!     }
//!
//!     fn process(&mut self, batch: Batch<'_>, out: &mut Output) -> Result<(), String> {
//!         for record in batch.records() {
//!             let Some(page) = record.key().and_then(|key| std::str::from_utf8(key).ok()) else {
//!                 out.reject(&record, "the key is no UTF-8 text");
//!                 continue;
//!             };
//!             let count = self.views.get(page)?.unwrap_or(0) + 1;
//!             self.views.put(page, &count);
//!             out.emit(page, count.to_string());
//!         }
//!         Ok(())
//!     }
//! }
//!
//! pelton_sdk::export_transform!(PageViews);
//!
//! let mut views = pelton_sdk::testing::Harness::<PageViews>::new("{}", &["views"]).unwrap();
//! let outcome = views.process_keyed([("/", ""), ("/", "")]).unwrap();
//! assert_eq!(outcome.records[1].value.as_deref(), Some(&b"2"[..]));
//! ```
//!
//! What this room does: it turns the contract's bytes (`sdk/wit/plugin.wit`) into iterators, typed stores
//! and an output that writes in place. What it does not: no clocks, files, network or randomness, for a
//! plugin has none.
//!
//! Invariant: the Wasm path and the native path differ in the module `host` alone, which is the six functions
//! that a host gives.

mod batch;
mod codec;
mod config;
mod field;
#[doc(hidden)]
pub mod guest;
mod host;
pub mod log;
mod output;
mod store;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod transform;

pub use batch::{Batch, Record, Records};
pub use codec::{Decode, Encode};
pub use config::NoConfig;
pub use field::Field;
pub use output::Output;
pub use pelton_record::Header;
pub use serde;
pub use store::{Store, Stores};
pub use transform::Transform;

/// What most plugins use.
pub mod prelude {
    pub use crate::{Batch, Field, Header, NoConfig, Output, Record, Store, Stores, Transform, log};
    pub use serde::Deserialize;
}

/// Makes the named [`Transform`] the one that this module exports. Once in a crate, at its root.
///
/// It expands to nothing when the crate is built for a machine instead of Wasm.
#[macro_export]
macro_rules! export_transform {
    ($transform:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            ::std::thread_local! {
                static INSTANCE: ::std::cell::RefCell<::std::option::Option<$crate::guest::Instance<$transform>>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            struct Exported;

            impl $crate::guest::bindings::exports::pelton::plugin::transform::Guest for Exported {
                fn configure(
                    config: ::std::string::String,
                    stores: ::std::vec::Vec<::std::string::String>,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    INSTANCE.with(|slot| $crate::guest::configure(slot, &config, stores))
                }

                fn process(
                    batch: ::std::vec::Vec<u8>,
                ) -> ::std::result::Result<
                    $crate::guest::bindings::exports::pelton::plugin::transform::Processed,
                    ::std::string::String,
                > {
                    INSTANCE.with(|slot| $crate::guest::process(slot, &batch))
                }
            }

    $crate::guest::bindings::export_plugin!(Exported with_types_in $crate::guest::bindings);
        };
    };
}
