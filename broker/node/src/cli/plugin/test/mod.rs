//! `pelton plugin test`: a module on the records of a topic, in this process, read only.
//!
//! The module runs in the engine and under the rules that the broker has, and its records come through Kafka's protocol. Nothing is
//! appended, nothing is committed, no group is joined.

mod interceptor;
mod partitioner;
mod range;
mod recording;
mod records;
mod report;
mod state;
mod transform;

use super::attach::json_text;
use super::upload;
use crate::cli::{Bootstrap, output, read};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use pelton_api::interceptor::Hook;
use pelton_api::manifest::{PluginKind, PluginRef};
use pelton_engine::{Engine, EngineConfig};
use range::Point;
use rdkafka::message::{BorrowedMessage, Message as _};
use read::Next;
use records::Owned;
use report::Report;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Bytes of keys and values in one batch, at most; one record may be larger alone.
const BATCH_BYTES: usize = 1 << 20;

/// Try a module on the records of a topic, without changing anything.
///
/// An interceptor is run as the broker would run it: it gets what it declares to read, may change what it declares to
/// write, and what it would do to each record is compared with the record. A partitioner is asked for each record, a
/// transform runs as a job's step with empty stores. Exit status 1 means that it failed on some batch.
///
/// Time and fuel are those of the module alone; that fuel is counted costs some of the time.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n\
    \x20 pelton plugin test mask.wasm --topic orders --from -1h --config @mask.json\n\
    \x20 pelton plugin test mask.wasm --topic orders --compare mask-old.wasm\n\
    \x20 pelton plugin test geo.wasm --topic orders --partitions 24")]
pub struct Test {
    /// The built module.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Topic whose records it is tried on.
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// Where reading begins: earliest, an offset, a time ago (-1h), or a time (2026-11-22T03:00:00Z).
    #[arg(long, default_value = "earliest", allow_hyphen_values = true, value_name = "POINT")]
    from: Point,
    /// Where reading ends: latest, or as for --from.
    #[arg(long, default_value = "latest", allow_hyphen_values = true, value_name = "POINT")]
    to: Point,
    /// Read this partition alone.
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// The hook of an interceptor that is tried; without it those of the two that it wants.
    #[arg(long, value_enum, value_name = "HOOK")]
    hook: Option<TestedHook>,
    /// Its parameters as JSON, or @FILE for those in a file.
    #[arg(long, value_name = "JSON|@FILE")]
    config: Option<String>,
    /// Topics that an interceptor may emit to, parted by commas; what it emits is counted and thrown away.
    #[arg(long, value_name = "TOPICS")]
    emit: Option<String>,
    /// State stores of a transform, parted by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    stores: Vec<String>,
    /// Partitions that a partitioner is asked for; without it those that the topic has.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..), value_name = "N")]
    partitions: Option<i32>,
    /// Who sends or reads, as the module is told.
    #[arg(long, default_value = "User:ANONYMOUS", value_name = "NAME")]
    principal: String,
    /// Read at most so many records.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    max_records: u64,
    /// Records in a batch.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    batch_records: u32,
    /// Compare with what this other module makes of the records, instead of with the records.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Hooks that can be tried on records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TestedHook {
    /// As if a producer sent the records.
    OnSend,
    /// As if a consumer read the records.
    OnConsume,
}

impl TestedHook {
    fn hook(self) -> Hook {
        match self {
            Self::OnSend => Hook::OnSend,
            Self::OnConsume => Hook::OnConsume,
        }
    }
}

/// What makes something of batches, and reports it. One for each kind of plugin and each hook.
trait Trial {
    /// Runs the module over the records of one batch of one partition.
    fn batch(&mut self, partition: i32, records: &[Owned]) -> anyhow::Result<()>;

    /// What came of it.
    fn report(self: Box<Self>) -> Report;
}

/// The module under test, and the other one that it is compared with.
struct Subject {
    plugin: pelton_engine::Plugin,
    digest: String,
    other: Option<pelton_engine::Plugin>,
    /// In one line.
    config: String,
}

impl Test {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.as_deref().map(json_text).transpose()?.unwrap_or_else(|| "{}".to_owned());
        let subject = self.compile(config)?;
        let consumer = read::consumer(&self.bootstrap.bootstrap, "pelton-cli")?;
        let partitions = read::partitions(&consumer, &self.topic)?;
        let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        let mut trials = self.trials(&subject, count)?;
        let ranges = range::resolve(&consumer, &self.topic, &partitions, self.partition, (&self.from, &self.to))?;
        let total: i64 = ranges.iter().map(|(_, (from, to))| (to - from).max(0)).sum();
        let total = u64::try_from(total).unwrap_or(0).min(self.max_records);
        let bar = output::progress(Some(total), "{bar:30} {pos}/{len} records  {per_sec}  {eta} left");
        let mut feed = Feed { test: &self, trials: &mut trials, pending: Vec::new(), bytes: 0, records: 0, bar: &bar };
        for (partition, range) in ranges {
            let ended = read::range(&consumer, &self.topic, partition, range, |message| feed.take(message))?;
            feed.flush(partition)?;
            if ended == Next::Stop {
                break;
            }
        }
        bar.finish_and_clear();
        let reports: Vec<Report> = trials.into_iter().map(Trial::report).collect();
        let failed = reports.iter().any(|report| report.faults > 0);
        if self.json {
            output::json(&reports);
        } else {
            reports.iter().for_each(Report::print);
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn compile(&self, config: String) -> anyhow::Result<Subject> {
        let logs = Arc::new(report::Logs::default());
        let engine = EngineConfig { fuel: true, logs, ..EngineConfig::default() };
        let engine = Engine::new(engine)?;
        let compile = |path: &Path| {
            let bytes = upload::read(path)?;
            let bar = output::progress(None, "{spinner} compiling {msg}");
            bar.set_message(path.display().to_string());
            bar.enable_steady_tick(std::time::Duration::from_millis(200));
            let compiled = engine.compile(&name_of(path), &bytes);
            bar.finish_and_clear();
            let plugin = compiled.map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
            let digest = crate::cli::text::hexadecimal(&<sha2::Sha256 as sha2::Digest>::digest(&bytes));
            anyhow::Ok((plugin, digest))
        };
        let (plugin, digest) = compile(&self.file)?;
        let other = self.compare.as_deref().map(|path| compile(path).map(|(plugin, _)| plugin)).transpose()?;
        if let Some(other) = other.as_ref().filter(|other| other.facts().kind != plugin.facts().kind) {
            bail!("{} is a {}, and --compare gives a {}", self.file.display(), plugin.facts().kind, other.facts().kind);
        }
        Ok(Subject { plugin, digest, other, config })
    }

    fn trials(&self, subject: &Subject, partitions: i32) -> anyhow::Result<Vec<Box<dyn Trial>>> {
        let kind = subject.plugin.facts().kind;
        if kind != PluginKind::Interceptor && (self.hook.is_some() || self.emit.is_some()) {
            bail!("{} is a {kind}; --hook and --emit belong to interceptors", self.file.display());
        }
        match kind {
            PluginKind::Partitioner => {
                let asked = self.partitions.unwrap_or(partitions);
                Ok(vec![Box::new(partitioner::Partitions::new(subject, &self.topic, asked, asked == partitions)?)])
            }
            PluginKind::Transform => Ok(vec![Box::new(transform::Step::new(subject, &self.stores)?)]),
            PluginKind::Interceptor => {
                let wants = subject.plugin.facts().wants.context("the module does not say what it wants")?;
                let both = [TestedHook::OnSend, TestedHook::OnConsume].map(TestedHook::hook);
                let hooks: Vec<Hook> = match self.hook {
                    Some(hook) if !wants.hooks.has(hook.hook()) => {
                        bail!("{} does not want {}", self.file.display(), hook.hook().name())
                    }
                    Some(hook) => vec![hook.hook()],
                    None => both.into_iter().filter(|hook| wants.hooks.has(*hook)).collect(),
                };
                if hooks.is_empty() {
                    bail!(
                        "{} wants neither on-send nor on-consume, and the other hooks see no records: there is nothing to try",
                        self.file.display()
                    );
                }
                let with = interceptor::Situation {
                    topic: &self.topic,
                    partitions,
                    principal: &self.principal,
                    emit: self.emit.as_deref(),
                };
                let trial = |hook| interceptor::Interception::new(subject, hook, &with);
                hooks.into_iter().map(|hook| trial(hook).map(|trial| Box::new(trial) as Box<dyn Trial>)).collect()
            }
        }
    }
}

/// Collects records into batches, and gives these to the trials.
struct Feed<'a> {
    test: &'a Test,
    trials: &'a mut Vec<Box<dyn Trial>>,
    pending: Vec<Owned>,
    bytes: usize,
    records: u64,
    bar: &'a ProgressBar,
}

impl Feed<'_> {
    fn take(&mut self, message: &BorrowedMessage<'_>) -> anyhow::Result<Next> {
        if self.records == self.test.max_records {
            return Ok(Next::Stop);
        }
        let record = Owned::of(message);
        let first = self.pending.first().map_or(record.offset, |first| first.offset);
        let apart = record.offset - first > i64::from(records::DELTA_MAX);
        let full = self.pending.len() >= self.test.batch_records as usize;
        if full || apart || (self.bytes + record.len() > BATCH_BYTES && self.bytes > 0) {
            self.flush(message.partition())?;
        }
        self.bytes += record.len();
        self.records += 1;
        self.pending.push(record);
        Ok(Next::Record)
    }

    fn flush(&mut self, partition: i32) -> anyhow::Result<()> {
        if !self.pending.is_empty() {
            for trial in self.trials.iter_mut() {
                trial.batch(partition, &self.pending)?;
            }
            self.bar.inc(self.pending.len() as u64);
            self.pending.clear();
            self.bytes = 0;
        }
        Ok(())
    }
}

/// What a module is called while it is tried: its file's name, as far as that can name a plugin.
fn name_of(path: &Path) -> PluginRef {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = stem.chars().map(legal).take(100).collect();
    PluginRef { name: if name.is_empty() { "module".to_owned() } else { name }, version: 1 }
}
