//! One broker under a seed: the real shards of `pelton-core` and the real log of `pelton-log` on a disk that loses and
//! tears what was not synced, in virtual time, with scripted clients. After every step the single-broker invariants are
//! checked ([`invariants`]).
//!
//! What this room does: it chooses, by a seed, which event is delivered next, which sync is done, what clients send, when
//! time passes, when the medium fails and when the power does; the same seed gives the same run, bit for bit. What it
//! does not do: it has no sockets, no wire protocol and no threads; `tests/e2e` tries those, with real clients.

mod broker;
mod clients;
mod entry;
mod invariants;
mod observation;
mod producers;
mod simulation;
mod trace;

pub use simulation::{Report, Violation, run, run_with_power_cuts};
