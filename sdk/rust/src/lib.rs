//! The SDK for plugins written in Rust.
//!
//! A plugin implements one of three traits, and names its type in the macro beside it. Built for
//! `wasm32-unknown-unknown` it is a module that Pelton runs; built for the machine at hand, the same code
//! runs under a harness of [`testing`], so `cargo test` of a plugin needs no Wasm.
//!
//! # A step of a stream job
//!
//! [`Transform`], [`export_transform!`], [`testing::Harness`]:
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
//! # An interceptor
//!
//! What stands on the way of every client's records of a topic: [`Interceptor`], [`export_interceptor!`],
//! [`testing::InterceptorHarness`].
//!
//! ```
//! use pelton_sdk::prelude::*;
//!
//! /// Takes heartbeats away, and says in a header who sent what is left.
//! struct Sender;
//!
//! impl Interceptor for Sender {
//!     type Config = NoConfig;
//!
//!     fn wants() -> Wants {
//!         Wants::new().on_send().reads_key().writes_headers().drops()
//!     }
//!
//!     fn configure(_: NoConfig) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn on_send(&mut self, from: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
//!         let mut heartbeats = metrics::counter("heartbeats_total", &[]);
//!         for record in batch {
//!             if record.key() == Some(b"heartbeat") {
//!                 out.drop(&record);
//!                 heartbeats.add(1);
//!             } else {
//!                 out.set_header(&record, "sender", &from.principal)?;
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! pelton_sdk::export_interceptor!(Sender);
//!
//! use pelton_sdk::testing::{InterceptorHarness, TestRecord};
//! let mut sender = InterceptorHarness::<Sender>::new("{}").unwrap();
//! let judged = sender.on_send(&[TestRecord::new("heartbeat", ""), TestRecord::new("order", "7")]).unwrap();
//! assert_eq!(judged.records, [TestRecord::new("order", "7").header("sender", "User:alice")]);
//! assert_eq!(sender.counter("heartbeats_total", &[]), 1);
//! ```
//!
//! # A partitioner
//!
//! Which partition a record belongs to, as one answer for every client: [`Partitioner`], [`export_partitioner!`],
//! [`testing::PartitionerHarness`].
//!
//! ```
//! use pelton_sdk::prelude::*;
//!
//! /// Orders of one customer meet: the key is `customer/order`.
//! struct ByCustomer;
//!
//! impl Partitioner for ByCustomer {
//!     type Config = NoConfig;
//!
//!     fn reads() -> Parts {
//!         Parts::none().key()
//!     }
//!
//!     fn configure(_: NoConfig) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn partition(&mut self, record: &Record<'_>, _topic: &str, partitions: i32) -> Option<i32> {
//!         let customer = record.key()?.split(|&byte| byte == b'/').next()?;
//!         Some(partition::keyed_murmur2(customer, partitions))
//!     }
//! }
//!
//! pelton_sdk::export_partitioner!(ByCustomer);
//!
//! use pelton_sdk::testing::{PartitionerHarness, TestRecord};
//! let mut by_customer = PartitionerHarness::<ByCustomer>::new("").unwrap();
//! let orders = [TestRecord::new("smith/1", ""), TestRecord::new("smith/2", ""), TestRecord::new((), "")];
//! let partitions = by_customer.partitions(&orders, 12).unwrap();
//! assert_eq!(partitions[0], partitions[1]);
//! assert_eq!(partitions[2], None);
//! ```
//!
//! # This room
//!
//! What it does: it turns the contract's bytes (`sdk/wit/plugin.wit`) into iterators, typed stores, an output that
//! writes in place, and a verdict that costs nothing while it is "unchanged". What it does not: no files, network or
//! environment, for a plugin has none; a clock and randomness for interceptors alone.
//!
//! Invariant: the Wasm path and the native path differ in the module `host` alone, which is the functions
//! that a host gives; and a module imports those of them that it calls, no other.

mod batch;
pub mod clock;
mod codec;
mod config;
pub mod emit;
mod field;
#[doc(hidden)]
pub mod guest;
mod host;
mod interceptor;
pub mod json;
pub mod log;
pub mod metrics;
mod output;
pub mod partition;
mod partitioner;
pub mod random;
mod store;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod transform;
#[doc(hidden)]
pub mod verdict;
mod wants;

pub use batch::{Batch, Record, Records};
pub use codec::{Decode, Encode};
pub use config::NoConfig;
pub use field::Field;
pub use interceptor::{Acknowledgement, Commit, Interceptor, Origin};
pub use output::Output;
pub use partitioner::Partitioner;
pub use pelton_record::Header;
pub use serde;
pub use store::{Store, Stores};
pub use transform::Transform;
pub use verdict::Verdict;
pub use wants::{Parts, Reuse, Wants};

/// What most plugins use.
pub mod prelude {
    pub use crate::{
        Acknowledgement, Batch, Commit, Field, Header, Interceptor, NoConfig, Origin, Output, Partitioner, Parts,
        Record, Reuse, Store, Stores, Transform, Verdict, Wants, clock, emit, log, metrics, partition, random,
    };
    pub use serde::Deserialize;
}
