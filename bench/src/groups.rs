//! Groups: a hundred groups of ten members join, rebalance and commit, on a broker that has one core.
//!
//! A thousand clients of a library would need more than the machine has, so the members speak the protocol themselves, each
//! over a connection of its own (`groups/member.rs`), all on one thread of another core. A few groups of librdkafka's
//! consumers beside as many of these tell whether they see what clients see (`groups/consumers.rs`).

mod assignment;
mod consumers;
mod cores;
mod crash;
mod crowd;
mod earlier;
mod ledger;
mod member;
mod meter;
mod pace;
mod stages;
mod wire;

pub use consumers::GroupConsumers;

use crate::broker::Broker;
use crate::kafka::{Home, Kafka};
use crate::load;
use crate::versus::Options;
use crate::versus::contender::Contender;
use crate::versus::rivals::Server;
use crate::versus::sheet::{Column, Sample, Sheet};
use crate::w1;
use anyhow::{Context, Result, ensure};
use clap::Args;
use crowd::Scale;
use pace::Pace;
use stages::{Plan, Row};

/// Groups that join, rebalance and commit, on one core.
#[derive(Debug, Args)]
pub struct Groups {
    /// `--mb` and `--only` mean nothing here.
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    cores: Cores,
    /// Groups.
    #[arg(long, default_value_t = 100)]
    groups: usize,
    /// Members of each.
    #[arg(long, default_value_t = 10)]
    members: usize,
    /// Partitions of the topic that all of them read; a member has its share and commits all of it at once.
    #[arg(long, default_value_t = 100)]
    partitions: i32,
    /// Commits each second that must be kept up with, of all members together.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// For so many seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Rates that are tried after it, until one is not kept up with.
    #[arg(long, value_delimiter = ',', default_value = "2000,5000,10000,15000,20000,25000,30000")]
    ramp: Vec<u64>,
    /// Each for so many seconds.
    #[arg(long, default_value_t = 4)]
    ramp_s: u64,
    /// Add rounds to those that the file of `--out` has.
    #[arg(long, requires = "out")]
    add: bool,
}

/// Which core does what.
#[derive(Debug, Clone, Copy, Args)]
struct Cores {
    /// The core of the broker.
    #[arg(long, default_value_t = 0)]
    broker_core: usize,
    /// The core of the load.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

/// Offsets are durable before they are acknowledged whatever `durability` says, so Pelton has one mode.
const CONTENDERS: [Contender; 2] = [Contender::Fsync, Contender::Kafka];
const COLUMNS: [Column; 15] = [
    Column { key: "first_ms", head: "first group ms", decimals: 0, compared: false },
    Column { key: "all_ms", head: "all groups ms", decimals: 0, compared: true },
    Column { key: "p50_ms", head: "p50 ms", decimals: 2, compared: false },
    Column { key: "p99_ms", head: "p99 ms", decimals: 2, compared: true },
    Column { key: "p999_ms", head: "p99.9 ms", decimals: 2, compared: false },
    Column { key: "max_ms", head: "max ms", decimals: 1, compared: false },
    Column { key: "per_s", head: "commits/s", decimals: 0, compared: false },
    Column { key: "kept_up", head: "kept up", decimals: 0, compared: false },
    Column { key: "highest_per_s", head: "highest commits/s", decimals: 0, compared: false },
    Column { key: "refused", head: "refused while rebalancing", decimals: 0, compared: false },
    Column { key: "cpu_s", head: "CPU-s", decimals: 2, compared: false },
    Column { key: "cpu_percent", head: "CPU % of its core", decimals: 1, compared: false },
    Column { key: "cpu_us", head: "CPU us a commit", decimals: 0, compared: true },
    Column { key: "rss_mib", head: "RSS MiB", decimals: 0, compared: false },
    Column { key: "load_percent", head: "load's CPU % of its core", decimals: 1, compared: false },
];

impl Groups {
    /// Runs it and prints the table.
    pub fn run(self) -> Result<()> {
        let (options, home) = (&self.options, self.options.check("groups")?);
        let plan = self.plan()?;
        self.cores.take()?;
        let contenders = contenders(home.as_ref());
        let earlier = match &options.out {
            Some(out) if self.add => earlier::read(out, &contenders)?,
            _ => Vec::new(),
        };
        let begin = earlier.iter().map(|sample| sample.round + 1).max().unwrap_or(0);
        let mut sheet = Sheet::new("groups", &COLUMNS, self.head(begin + options.rounds));
        earlier.into_iter().for_each(|sample| sheet.push(sample));
        let once = |contender| self.once(home.as_ref(), contender, &plan);
        rounds(options, &contenders, begin, &mut sheet, once)?;
        options.publish(home.as_ref(), &sheet, true)
    }

    fn plan(&self) -> Result<Plan> {
        let scale = Scale { groups: self.groups, members: self.members, partitions: self.partitions };
        scale.check()?;
        ensure!(self.rate > 0 && self.seconds > 0 && self.ramp_s > 0, "--rate, --seconds and --ramp-s are at least 1");
        ensure!(self.ramp.is_sorted() && self.ramp.iter().all(|rate| *rate > self.rate), "--ramp rises from --rate");
        let steady = Pace { per_s: self.rate, seconds: self.seconds };
        Ok(Plan { scale, steady, ramp_per_s: self.ramp.clone(), ramp_s: self.ramp_s })
    }

    fn head(&self, rounds: usize) -> String {
        let each = self.partitions / i32::try_from(self.members).unwrap_or(1).max(1);
        format!(
            "{rounds} rounds, {} groups of {} members, {} partitions, {each} in each commit; {} commits a second for {} s, \
             other rates for {} s. The broker has one core, the load another.",
            self.groups, self.members, self.partitions, self.rate, self.seconds, self.ramp_s
        )
    }

    /// A broker of its own: warmed up, measured, killed, read back.
    fn once(&self, home: Option<&Home>, contender: Contender, plan: &Plan) -> Result<Vec<Row>> {
        let mut server = start(&self.options, home, contender, plan.scale)?;
        warm_up(&self.options, contender, &server, self.cores, plan.scale)?;
        let measured = cores::on(self.cores.load_core, || cores::run(stages::measure(&server, plan)))?;
        let back = crash::kill_and_read_back(&mut server, self.cores.load_core, plan.scale, &measured.offsets)?;
        Ok(measured.rows.into_iter().chain([back]).chain(measured.ramp).collect())
    }
}

impl Cores {
    /// This thread, and so every broker that it starts, gets the broker's core.
    fn take(self) -> Result<()> {
        ensure!(self.broker_core != self.load_core, "--broker-core and --load-core are two cores");
        cores::bind(self.broker_core)
    }
}

/// Who takes part.
fn contenders(home: Option<&Home>) -> Vec<Contender> {
    CONTENDERS.into_iter().filter(|one| home.is_some() || !one.is_jvm()).collect()
}

/// Rounds, in turns; each keeps what was measured so far.
fn rounds(
    options: &Options,
    contenders: &[Contender],
    begin: usize,
    sheet: &mut Sheet,
    once: impl Fn(Contender) -> Result<Vec<Row>>,
) -> Result<()> {
    for round in begin..begin + options.rounds {
        for turn in 0..contenders.len() {
            let contender = contenders[(turn + round) % contenders.len()];
            let rows = once(contender).with_context(|| format!("round {}: {}", round + 1, contender.name()))?;
            for Row { name: row, figures, beside } in rows {
                sheet.push(Sample { row, contender, round, figures, beside });
            }
            options.keep(sheet)?;
        }
    }
    Ok(())
}

/// A broker with the topic. Neither waits before the first rebalance of a group: that would be the same seconds for both.
fn start(options: &Options, home: Option<&Home>, contender: Contender, scale: Scale) -> Result<Server> {
    let server = if contender.is_jvm() {
        Server::Kafka(Kafka::start(home.context("rows of Kafka need --kafka")?, &options.dir, &[])?)
    } else {
        let settings = ["--set", "durability=fsync", "--set", "group.initial.rebalance.delay.ms=0"];
        Server::Pelton(Broker::start(&options.pelton, &options.dir, &settings)?)
    };
    load::create_topic(server.bootstrap(), stages::TOPIC, scale.partitions)?;
    Ok(server)
}

/// Once for whoever has nothing to compile, and for a JVM until its cost falls no more.
fn warm_up(options: &Options, contender: Contender, server: &Server, cores: Cores, scale: Scale) -> Result<()> {
    let mut part = 0;
    let mut once = || {
        part += 1;
        cores::on(cores.load_core, || cores::run(stages::warm_up(server, scale, part)))
    };
    if contender.is_jvm() { w1::warm_up(options, once) } else { once().map(drop) }
}
