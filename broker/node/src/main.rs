//! The `pelton` binary: the composition root and the command line.
//!
//! This is the only crate that knows both sides of the house: it gives the broker's parts to the jobs as their
//! ports ([`wiring`]), puts everything together ([`node`]), configures it ([`config`]), serves the admin HTTP
//! ([`admin`]), and holds the commands ([`cli`]). It decides nothing about records, offsets or state.

mod admin;
mod cli;
mod config;
mod node;
mod wiring;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            cli::output::print_error(&error);
            ExitCode::FAILURE
        }
    }
}
