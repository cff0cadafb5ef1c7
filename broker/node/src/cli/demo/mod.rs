//! `pelton demo`: the page-view count, exactly once, with a broker that is killed on the way.
//!
//! The demo is a client like any other: it starts `pelton serve` as a child process, speaks Kafka's protocol
//! through librdkafka and the admin HTTP, and believes nothing that it has not read with read_committed. What it
//! reads is held against its own count of the input.

mod access_log;
mod broker;
mod feed;
mod generate;
mod kills;
mod letters;
mod observe;
mod report;
mod run;
mod screen;

use super::output;
use access_log::Account;
use anyhow::{Context, bail};
use broker::ChildBroker;
use clap::Args;
use generate::Generated;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Count page views exactly once, with a broker that is killed on the way.
///
/// The demo starts a broker of its own on free ports with a temporary data directory, uploads the plugin, runs the
/// job of examples/01-pv-count, feeds an access log to it, and kills the broker (SIGKILL) at random moments. At the
/// end it prints what came of every line, and ends with status 1 if a page view was lost or counted twice.
#[derive(Debug, Args)]
pub struct Demo {
    /// The access log to count, `-` for standard input; without it one is generated.
    #[arg(long, short, value_name = "FILE")]
    input: Option<PathBuf>,
    /// How many lines are generated when no input is given.
    #[arg(long, short = 'n', default_value_t = 200_000, value_name = "N")]
    lines: u64,
    /// How many times the broker is killed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=1000), value_name = "N")]
    kills: u32,
    /// Keep the broker running at the end, until Ctrl-C, and print where it is.
    #[arg(long)]
    keep: bool,
    /// What the generated lines and the moments of the kills come from.
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    /// The pv-count plugin, built for WebAssembly (`make demo` builds it and gives its place).
    #[arg(long, env = "PELTON_PV_COUNT_WASM", value_name = "PATH.wasm")]
    plugin: PathBuf,
    /// How many partitions the topics have.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=100), value_name = "N")]
    partitions: i32,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Where the lines come from; it can be read several times.
#[derive(Debug, Clone)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// Generated lines.
    Generated {
        /// The seed.
        seed: u64,
        /// How many.
        lines: u64,
    },
}

impl Input {
    /// Reads the lines, from the first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(&self) -> anyhow::Result<Box<dyn BufRead + Send>> {
        match self {
            Self::File(path) => {
                let file = File::open(path).with_context(|| format!("cannot read the input {}", path.display()))?;
                Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
            }
            Self::Generated { seed, lines } => {
                Ok(Box::new(BufReader::with_capacity(1 << 16, Generated::new(*seed, *lines))))
            }
        }
    }
}

impl Demo {
    /// Runs the demo; SIGINT and SIGTERM end it, and the broker with it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (done, is_done) = tokio::sync::oneshot::channel();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let worker = std::thread::spawn(move || {
            let result = self.work(&stopped);
            // Nobody waits any more when a signal came first.
            let _ = done.send(());
            result
        });
        let interrupted = runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            tokio::select! {
                _ = is_done => anyhow::Ok(false),
                _ = terminate.recv() => Ok(true),
                _ = interrupt.recv() => Ok(true),
            }
        })?;
        stop.send_replace(true);
        match worker.join() {
            Ok(result) if !interrupted => result,
            Ok(Ok(code)) => Ok(code),
            Ok(Err(_)) => bail!("interrupted; the broker was stopped"),
            Err(_) => bail!("the demo failed in a way that it does not know; this is a bug in Pelton"),
        }
    }

    fn work(&self, stopped: &tokio::sync::watch::Receiver<bool>) -> anyhow::Result<ExitCode> {
        let directory = tempfile::Builder::new().prefix("pelton-demo-").tempdir();
        let directory = directory.context("cannot make a temporary directory")?;
        let plugin = std::fs::read(&self.plugin)
            .with_context(|| format!("cannot read the plugin {}; `make demo` builds it", self.plugin.display()))?;
        let input = self.source(directory.path())?;
        output::note("reading the input once, for an account that the job's counts are held against");
        let account = Account::of(input.open()?)?;
        if account.lines > 0 && account.views.is_empty() {
            output::note("no line of the input is one of an access log; is it compressed, or in another format?");
        }
        let mut broker = ChildBroker::start(directory.path())?;
        let plan = kills::plan(self.seed, self.kills, account.lines);
        let run = run::Run { broker: &mut broker, stopped, partitions: self.partitions, plan: &plan };
        let report = run.run(&plugin, &input, &account)?;
        if self.json {
            output::json(&report);
        } else {
            report.print();
        }
        if self.keep {
            keep(&mut broker, stopped)?;
        }
        Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The input, as something that can be read twice: a pipe is copied first.
    fn source(&self, directory: &Path) -> anyhow::Result<Input> {
        let Some(path) = &self.input else {
            return Ok(Input::Generated { seed: self.seed, lines: self.lines });
        };
        let copy = directory.join("input");
        if path.as_os_str() == "-" {
            std::io::copy(&mut std::io::stdin().lock(), &mut File::create(&copy)?)
                .context("cannot read standard input")?;
            return Ok(Input::File(copy));
        }
        let named = || format!("cannot read the input {}", path.display());
        let metadata = std::fs::metadata(path).with_context(named)?;
        if metadata.is_dir() {
            bail!("the input {} is a directory; name a file", path.display());
        }
        if metadata.is_file() {
            return Ok(Input::File(path.clone()));
        }
        let mut from = File::open(path).with_context(named)?;
        std::io::copy(&mut from, &mut File::create(&copy)?).with_context(named)?;
        Ok(Input::File(copy))
    }
}

/// Waits for Ctrl-C, or for the broker's end.
fn keep(broker: &mut ChildBroker, stopped: &tokio::sync::watch::Receiver<bool>) -> anyhow::Result<()> {
    output::line(&format!("the broker runs on {}, its admin HTTP on {}", broker.bootstrap(), broker.admin()));
    output::line(&format!("its data is in {}; Ctrl-C stops it and removes them", broker.data_dir().display()));
    while !*stopped.borrow() {
        broker.check()?;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(())
}
