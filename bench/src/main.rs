//! Benchmarks of the real binary, side by side, in CPU time of what is measured alone.
//!
//! `w1` to `w5` and `w10` measure Pelton beside Apache Kafka with the same clients: taking records of 1 KiB and of 100 B, giving
//! them away, latency, durability, recovery; `groups` does so with a thousand members of groups on one core, and
//! `group-consumers` with fifty of librdkafka's consumers; `chart` draws what they wrote. `w9` measures what a plugin costs:
//! the same load goes to a topic without hooks and to topics with the identity, the filter and the redacting interceptor; with
//! `--kafka` it goes to Apache Kafka with Kafka Streams too. `neighbours` measures what sixty hostile plugins cost those who
//! live beside them. `make bench-w1` and its like build and run them; `bench/RESULTS.md` has what came out.
//!
//! Rules: directories of its own for each process, warmed up before it is measured; the client's CPU time is not counted;
//! what was written is read back and compared, or the run is void; medians of interleaved rounds, with every round kept.

mod broker;
mod chart;
mod groups;
mod kafka;
mod load;
mod neighbours;
mod process;
mod results;
mod sender;
mod stats;
mod streams;
mod versus;
mod w1;
mod w10;
mod w3;
mod w4;
mod w5;
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
    /// What it costs to take records of 1 KiB.
    W1(w1::Produce),
    /// What it costs to take records of 100 B.
    W2(w1::Produce),
    /// What it costs to give records away, hot and cold.
    W3(w3::Consume),
    /// Latency end to end, open loop.
    W4(w4::Latency),
    /// The price of durability.
    W5(w5::Durable),
    /// Starts, recovery and memory.
    W10(w10::Recovery),
    /// Groups that join, rebalance and commit, on one core.
    Groups(groups::Groups),
    /// The same with librdkafka's consumers, a few.
    GroupConsumers(groups::GroupConsumers),
    /// A picture of what these wrote.
    Chart(chart::Chart),
    /// What a stateless interceptor costs.
    W9(w9::W9),
    /// What hostile plugins cost their neighbours.
    Neighbours(neighbours::Neighbours),
}

fn main() -> ExitCode {
    let run = match Cli::parse().bench {
        Bench::W1(bench) => bench.run(w1::W1),
        Bench::W2(bench) => bench.run(w1::W2),
        Bench::W3(bench) => bench.run(),
        Bench::W4(bench) => bench.run(),
        Bench::W5(bench) => bench.run(),
        Bench::W10(bench) => bench.run(),
        Bench::Groups(bench) => bench.run(),
        Bench::GroupConsumers(bench) => bench.run(),
        Bench::Chart(bench) => bench.run(),
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
