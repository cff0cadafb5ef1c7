//! Benchmarks of the real binary, side by side, in CPU time of what is measured alone.
//!
//! `pelton-bench w9` measures what a plugin costs: the same load goes to a topic without hooks and to topics with the
//! identity, the filter and the redacting interceptor, in interleaved rounds; with `--kafka` it goes to Apache Kafka with
//! Kafka Streams too. `pelton-bench neighbours` measures what sixty hostile plugins cost those who live beside them.
//! `make bench-w9` and `make bench-neighbours` build and run them; `bench/RESULTS.md` has what came out.
//!
//! Rules: processes and directories of its own for each run, warmed up before they are measured; the client's CPU time is
//! not counted; what was written is read back and counted, or the run is void; medians of rounds, with every round kept.

mod broker;
mod kafka;
mod load;
mod neighbours;
mod process;
mod results;
mod stats;
mod streams;
mod w9;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Benchmarks of Pelton.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// What a stateless interceptor costs.
    W9(w9::W9),
    /// What hostile plugins cost their neighbours.
    Neighbours(neighbours::Neighbours),
}

fn main() -> ExitCode {
    let run = match Cli::parse().bench {
        Bench::W9(bench) => bench.run(),
        Bench::Neighbours(bench) => bench.run(),
    };
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("error: {error:#}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}
