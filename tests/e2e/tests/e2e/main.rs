//! Real clients against the real binary, in one test binary.

mod admin;
mod bad_input;
mod clients;
mod connections;
mod crashes;
mod demo;
mod documents;
mod hostile;
mod interceptors;
mod kafka_files;
mod page_views;
mod partitioners;
mod switching;
