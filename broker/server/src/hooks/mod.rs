//! Where plugins stand on the way of records: in, out, and beside the commits of groups.
//!
//! The server knows no plugin. It asks `pelton_api::hooks` what a topic's configs mean, keeps what it gets in the
//! [`TopicTable`], and calls it on the guest threads of `pool`: a producer's batch in the `lane` of its partition
//! ([`append`]), records on their way to a consumer ([`consume`]), commits ([`commit`]). What plugins emit
//! goes to its topics by `emit`. A change of a topic's plugins is a `switch` at offsets that are recorded.
//!
//! What it does not do: it judges no plugin, and it runs no hooks for what plugins emit.
//!
//! Invariants: what a connection sends to a partition reaches the shard in that order, hooked or not, also across
//! attach, switch and detach. A record is at or past the recorded offset of a switch iff it went through the hooks
//! that were switched to. Nothing is answered before what plugins emitted for it is durable.

pub mod append;
pub mod commit;
pub mod consume;
mod creation;
pub(crate) mod effective;
mod emit;
mod journal;
mod lane;
mod pool;
mod switch;
mod table;

pub use append::{SendFailure, Sending};
pub use journal::Switch;
pub use table::TopicTable;

use std::sync::Arc;

/// Who produces, consumes or commits, as plugins are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// `User:ANONYMOUS` without authentication; `Job:NAME` for a stream job of this broker.
    pub principal: Arc<str>,
    /// `client.id`.
    pub client_id: Arc<str>,
    /// In Kafka's notation: `/127.0.0.1`.
    pub client_address: Arc<str>,
}
