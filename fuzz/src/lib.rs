//! What is fuzzed, one module for each target: each calls a reader of the product as the product calls it.
//!
//! A target fails by a panic (an overflow is one), by memory that the sanitizer finds misused, by taking more memory than
//! the promise of the reader ([`allocation`]), or by an answer that contradicts another reader's of the same bytes.
//! What the readers say of the input is of no interest otherwise: most of it is refused.
//!
//! No target needs a fuzzer: `tests/corpus.rs` runs the corpus through all of them in an ordinary test.

pub mod allocation;
pub mod configs;
pub mod frames;
pub mod group_records;
pub mod log_files;
pub mod records;
pub mod requests;

/// A target: its name, and what reads an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("requests", requests::run),
    ("frames", frames::run),
    ("records", records::run),
    ("log_files", log_files::run),
    ("group_records", group_records::run),
    ("configs", configs::run),
];
