//! `pelton log`: look into the files of a log, check them, repair them. No broker is asked; it may be down.
//!
//! What the files hold and what is wrong with them is read in `pelton_log::inspect`; here are the arguments ([`place`] finds the
//! files they mean) and the words.

mod dump;
mod place;
mod record;
mod repair;
mod small;
mod verify;

use super::{output, text};
use clap::Subcommand;
use std::process::ExitCode;

/// Look into the files of a log, check them, repair them. Reads what Apache Kafka wrote too.
// A variant without a comment has the help of its struct, examples and all.
#[derive(Debug, Subcommand)]
pub enum Log {
    Dump(dump::Dump),
    Verify(verify::Verify),
    Repair(repair::Repair),
}

/// What the records of one batch may take when decompressed, in bytes. No producer's batch comes near it.
const DECOMPRESS_MAX_BYTES: usize = 256 << 20;

impl Log {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Dump(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Repair(command) => command.run(),
        }
    }
}
