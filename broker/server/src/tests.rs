//! The broker as its clients see it: a real one on a free port, and Kafka's protocol over loopback.

mod client;
mod configs;
mod groups;
mod hooks;
mod hostile;
mod produce_fetch;
mod restart;
mod topics;
mod transactions;
mod versions;
