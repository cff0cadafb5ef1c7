//! W10: how long a broker takes to serve after a start, a clean stop and a kill -9, with small and with large logs; and how
//! much memory it holds, alone and with a thousand partitions.
//!
//! A producer tries a hundred times each second from before the broker is there; the clock starts before the process does,
//! and with a kill before the kill. In the end everything that was acknowledged is read back.

use crate::kafka::Home;
use crate::load;
use crate::process::{Beside, Machine};
use crate::sender::Batching;
use crate::versus::client::{self, Target};
use crate::versus::contender::Contender;
use crate::versus::cost;
use crate::versus::probe::{Probe, Served};
use crate::versus::rivals::Server;
use crate::versus::sheet::{Column, Sample, Sheet};
use crate::versus::values::{Tally, Values};
use crate::versus::{Options, memory};
use crate::w1::{PARTITIONS, W1};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::time::{Duration, Instant};

/// Starts and recovery.
#[derive(Debug, Args)]
pub struct Recovery {
    #[command(flatten)]
    options: Options,
    /// Sizes of the logs that are opened again, in GB of values.
    #[arg(long, value_delimiter = ',', default_value = "1,5")]
    log_gb: Vec<u64>,
    /// Also with an empty page cache, as after a crash of the machine. Needs root.
    #[arg(long)]
    cold: bool,
    /// One broker after the other, each with its log alone on the disk, where there is no room for the logs of both.
    #[arg(long)]
    apart: bool,
    /// Partitions of the measurement of memory, in topics of a hundred.
    #[arg(long, default_value_t = 1_000)]
    partitions: u64,
    /// Seconds for which a broker rests before its memory is read.
    #[arg(long, default_value_t = 10)]
    idle_s: u64,
}

/// Durability is nothing to a start: what is on the disk is.
const CONTENDERS: [Contender; 2] = [Contender::Fsync, Contender::Kafka];
const COLUMNS: [Column; 5] = [
    Column { key: "first_ms", head: "first acknowledgement ms", decimals: 0, compared: true },
    Column { key: "all_ms", head: "all 12 partitions ms", decimals: 0, compared: true },
    Column { key: "cpu_s", head: "CPU-s", decimals: 2, compared: true },
    Column { key: "rss_mib", head: "RSS MiB", decimals: 0, compared: true },
    Column { key: "idle_cpu_percent", head: "CPU % of a core", decimals: 2, compared: false },
];

const TOPIC: &str = "recovered";
/// What is written before each kill, in bytes: the last of it has not been on the way to the disk for long.
const BEFORE_KILL: u64 = 20_000_000;
/// Partitions of one topic of the measurement of memory.
const OF_TOPIC: u64 = 100;
/// For partitions that are many, batches are small.
const SMALL_BATCH: usize = 16 << 10;

/// How a broker came to its end before it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed { cold: bool },
    Stopped,
}

/// The name of the row of a kill.
pub fn row(gb: u64, cold: bool) -> String {
    format!("kill -9, {gb} GB{}", if cold { ", page cache empty" } else { "" })
}

/// A broker with what it has been given.
struct Owner {
    contender: Contender,
    server: Server,
    tally: Tally,
    asked: u64,
}

impl Recovery {
    /// Runs it and prints the table.
    pub fn run(self) -> Result<()> {
        let (options, home) = (&self.options, self.options.check("w10")?);
        let home = home.as_ref();
        let contenders: Vec<Contender> = CONTENDERS.into_iter().filter(|one| home.is_some() || !one.is_jvm()).collect();
        let most = self.log_gb.iter().copied().max().unwrap_or(0);
        // What one after the other fills, or all of them together, and a fifth for indexes, headers and what is laid out.
        let at_once = if self.apart { 1 } else { contenders.len() };
        memory::ensure_room(&options.dir, most * 1_200_000_000 * at_once as u64)
            .context("for the logs of --log-gb; --apart needs half as much")?;
        let head = format!(
            "{} rounds, {PARTITIONS} partitions; logs of 1,024 B values in batches of {} KiB, {} MB written right before \
             each kill or stop. Memory: after {} s of rest; load: {} MB to all partitions in batches of {} KiB.",
            options.rounds,
            W1.batch_bytes >> 10,
            BEFORE_KILL / 1_000_000,
            self.idle_s,
            options.mb,
            SMALL_BATCH >> 10
        );
        let mut sheet = Sheet::new("w10", &COLUMNS, head);
        if options.wants("memory") {
            self.memory(home, &contenders, &mut sheet)?;
        }
        if self.apart {
            sheet.note("The brokers were measured one after the other, not in turns.");
        }
        for &gb in &self.log_gb {
            for together in contenders.chunks(at_once.max(1)) {
                self.recovery(home, together, gb, &mut sheet)?;
            }
        }
        options.publish(home, &sheet, false)
    }

    fn recovery(&self, home: Option<&Home>, contenders: &[Contender], gb: u64, sheet: &mut Sheet) -> Result<()> {
        let stopped = if gb == 0 { "clean stop, empty".to_owned() } else { format!("clean stop, {gb} GB") };
        let mut ends = vec![(stopped, End::Stopped), (row(gb, false), End::Killed { cold: false })];
        if self.cold {
            ends.push((row(gb, true), End::Killed { cold: true }));
        }
        ends.retain(|(row, _)| self.options.wants(row));
        if ends.is_empty() {
            return Ok(());
        }
        let mut values = Values::new(W1.value_bytes);
        let mut owners = Vec::new();
        for &contender in contenders {
            let server = Server::start(&self.options, home, contender)?;
            load::create_topic(server.bootstrap(), TOPIC, PARTITIONS)?;
            let mut owner = Owner { contender, server, tally: Tally::default(), asked: 0 };
            owner.fill(&mut values, gb * 1_000_000_000)?;
            crate::w9::say(&format!("{} has {gb} GB", contender.name()));
            owners.push(owner);
        }
        for round in 0..self.options.rounds {
            for (row, end) in &ends {
                for turn in 0..owners.len() {
                    let at = (turn + round) % owners.len();
                    let owner = &mut owners[at];
                    let (name, contender) = (owner.contender.name(), owner.contender);
                    let context = || format!("{row} / {name}");
                    let (figures, beside) = owner.restart(*end, &self.options, &mut values).with_context(context)?;
                    sheet.push(Sample { row: row.clone(), contender, round, figures, beside });
                    self.options.keep(sheet)?;
                }
            }
        }
        for owner in owners {
            let topics = [TOPIC.to_owned()];
            let target = Target { bootstrap: owner.server.bootstrap(), topics: &topics, partitions: PARTITIONS };
            let read = client::consume(target)?.tally;
            let (name, tally) = (owner.contender.name(), owner.tally);
            ensure!(read == tally, "void: {name} has {read:?}, and {tally:?} was acknowledged");
        }
        Ok(())
    }

    fn memory(&self, home: Option<&Home>, contenders: &[Contender], sheet: &mut Sheet) -> Result<()> {
        for round in 0..self.options.rounds {
            for turn in 0..contenders.len() {
                let contender = contenders[(turn + round) % contenders.len()];
                let server = Server::start(&self.options, home, contender)?;
                let mut push = |row: String, figures, beside| {
                    sheet.push(Sample { row, contender, round, figures, beside });
                    self.options.keep(sheet)
                };
                let (figures, beside) = self.rest(&server)?;
                push("memory, no partitions".to_owned(), figures, beside)?;
                let topics: Vec<String> =
                    (0..self.partitions.div_ceil(OF_TOPIC)).map(|n| format!("many-{n}")).collect();
                let partitions = i32::try_from(OF_TOPIC.min(self.partitions))?;
                for topic in &topics {
                    load::create_topic(server.bootstrap(), topic, partitions)?;
                }
                let (figures, beside) = self.rest(&server)?;
                push(format!("memory, {} partitions", self.partitions), figures, beside)?;
                let mut values = Values::new(W1.value_bytes);
                let target = Target { bootstrap: server.bootstrap(), topics: &topics, partitions };
                let batching = Batching { linger_ms: 5, batch_bytes: SMALL_BATCH, codec: "none" };
                let sent = || client::produce(target, &mut values, batching, self.options.bytes());
                let (sent, cost) = cost::of(&server, sent)?;
                let read = client::consume(target)?.tally;
                ensure!(read == sent.tally, "void: {read:?} was read, not {:?}", sent.tally);
                let figures = vec![("rss_mib", cost.peak_rss_mib), ("cpu_s", cost.cpu_s)];
                push(format!("memory, {} partitions, peak under load", self.partitions), figures, cost.beside)?;
            }
        }
        Ok(())
    }

    /// Memory and CPU of a broker that has nothing to do.
    fn rest(&self, server: &Server) -> Result<(Vec<(&'static str, f64)>, Beside)> {
        // What starts and what creates has time to come to its end.
        std::thread::sleep(Duration::from_secs(self.idle_s) / 2);
        let (machine, before, began) = (Machine::now()?, server.process().cpu_seconds()?, Instant::now());
        std::thread::sleep(Duration::from_secs(self.idle_s) / 2);
        let cpu_s = server.process().cpu_seconds()? - before;
        let percent = 100.0 * cpu_s / began.elapsed().as_secs_f64().max(0.001);
        let figures = vec![("rss_mib", server.process().rss_mib()?), ("idle_cpu_percent", percent)];
        Ok((figures, machine.beside(cpu_s)?))
    }
}

impl Owner {
    fn fill(&mut self, values: &mut Values, bytes: u64) -> Result<()> {
        let topics = [TOPIC.to_owned()];
        let target = Target { bootstrap: self.server.bootstrap(), topics: &topics, partitions: PARTITIONS };
        let batching = Batching { linger_ms: 5, batch_bytes: W1.batch_bytes, codec: "none" };
        self.tally = self.tally.and(client::produce(target, values, batching, bytes)?.tally);
        Ok(())
    }

    /// Writes a little, ends the broker, and starts it again.
    fn restart(
        &mut self,
        end: End,
        options: &Options,
        values: &mut Values,
    ) -> Result<(Vec<(&'static str, f64)>, Beside)> {
        self.fill(values, BEFORE_KILL)?;
        let bootstrap = self.server.bootstrap().to_owned();
        let topics = [TOPIC.to_owned()];
        let target = Target { bootstrap: &bootstrap, topics: &topics, partitions: PARTITIONS };
        let mut probe = Probe::new(&bootstrap)?;
        let mut began = Instant::now();
        match end {
            End::Killed { cold: false } => self.server.process_mut().kill()?,
            End::Killed { cold: true } => {
                self.server.process_mut().kill()?;
                memory::drop_page_cache(&options.dir)?;
                began = Instant::now();
            }
            End::Stopped => {
                self.server.process_mut().stop()?;
                began = Instant::now();
            }
        }
        let machine = Machine::now()?;
        self.asked += 1;
        probe.ask(target, values, self.asked)?;
        self.server.revive()?;
        let Served { first, all, tally } =
            probe.wait().with_context(|| format!("the broker says: {}", self.server.log_tail()))?;
        let cpu_s = self.server.process().cpu_seconds()?;
        let beside = machine.beside(cpu_s)?;
        self.tally = self.tally.and(tally);
        self.server.await_ready()?;
        let ms = |at: Instant| at.duration_since(began).as_secs_f64() * 1e3;
        let rss = self.server.process().rss_mib()?;
        Ok((vec![("first_ms", ms(first)), ("all_ms", ms(all)), ("cpu_s", cpu_s), ("rss_mib", rss)], beside))
    }
}
