//! The broker as a server: sockets, Kafka's protocol, and the threads that carry out what `broker/core` decides.
//!
//! [`net`] moves frames, [`protocol`] reads and writes them, [`handlers`] translate (one file for each API
//! key), [`driver`] runs the machines and their logs, [`metrics`] counts, and [`hooks`] lets plugins stand between the two. [`Broker`] is what
//! the composition root starts; it offers jobs of the same process the same door that the handlers use.
//!
//! What this room does not do: it decides nothing about topics, offsets, groups or transactions.
//!
//! Invariants kept here: the answers of a connection leave in the order of its requests; what a connection asks
//! reaches a partition in the order in which it asked; no bytes of a client make the broker panic or take more
//! memory than they were admitted to; nothing is answered as durable before a sync has succeeded.

pub mod auth;
mod broker;
pub mod broker_configs;
mod config;
pub mod driver;
pub mod fetch;
pub mod handlers;
pub mod hooks;
pub mod metrics;
pub mod net;
pub mod protocol;
pub mod quota;
mod readiness;
mod seldom;
mod server;
pub mod topic_configs;

pub use broker::Broker;
pub use config::{ServerConfig, StartError};
pub use readiness::{Readiness, Stage};

#[cfg(test)]
mod tests;
