//! The broker as its clients see it: a real one on a free port, and Kafka's protocol over loopback.

mod appending;
mod client;
mod compaction;
mod configs;
mod deletion;
mod fetching;
mod groups;
mod hooks;
mod hostile;
mod log_dirs;
mod produce_fetch;
mod restart;
mod topics;
mod transactions;
mod versions;
