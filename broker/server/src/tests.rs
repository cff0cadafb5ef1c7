//! The broker as its clients see it: a real one on a free port, and Kafka's protocol over loopback.

mod appending;
mod client;
mod compaction;
mod configs;
mod coordinators;
mod damage;
mod deletion;
mod failing_dirs;
mod fetching;
mod groups;
mod hooks;
mod hostile;
mod log_dirs;
mod log_moves;
mod produce_fetch;
mod restart;
mod starting;
mod topics;
mod transactions;
mod versions;
