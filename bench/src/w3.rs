//! W3: what it costs a broker to give records away: hot, from the page cache, and cold, from the disk; to librdkafka, and
//! to Kafka's own ConsumerPerformance.

use crate::kafka::Home;
use crate::sender::Batching;
use crate::versus::client::{self, Moved, Target};
use crate::versus::contender::Contender;
use crate::versus::cost::{self, Cost};
use crate::versus::rivals::Rivals;
use crate::versus::sheet::{Column, Sample, Sheet};
use crate::versus::tools;
use crate::versus::values::{Tally, Values};
use crate::versus::{Options, memory};
use crate::w1::{PARTITIONS, W1, figures, row, warm_up};
use anyhow::{Context, Result, ensure};
use clap::Args;

/// What it costs to give records away.
#[derive(Debug, Args)]
pub struct Consume {
    #[command(flatten)]
    options: Options,
}

const COLUMNS: [Column; 4] = [
    Column { key: "cpu_s_per_gb", head: "CPU-s/GB", decimals: 3, compared: true },
    Column { key: "mb_per_s", head: "MB/s", decimals: 0, compared: true },
    Column { key: "read_per_byte", head: "bytes read per byte", decimals: 2, compared: false },
    Column { key: "peak_rss_mib", head: "peak RSS MiB", decimals: 0, compared: false },
];

/// Durability is nothing to a reader.
const CONTENDERS: [Contender; 2] = [Contender::Fsync, Contender::Kafka];

/// Who reads from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    tool: bool,
    cold: bool,
}

impl Reading {
    fn all(home: bool) -> Vec<Self> {
        let clients: &[bool] = if home { &[false, true] } else { &[false] };
        clients.iter().flat_map(|&tool| [false, true].map(|cold| Self { tool, cold })).collect()
    }

    fn row(self) -> String {
        let client = if self.tool { "ConsumerPerformance" } else { "librdkafka" };
        row(client, if self.cold { "cold" } else { "hot" })
    }
}

/// A topic that has been filled.
struct Filled<'a> {
    target: Target<'a>,
    tally: Tally,
}

impl Consume {
    /// Runs it and prints the table.
    pub fn run(self) -> Result<()> {
        let (options, home) = (&self.options, self.options.check("w3")?);
        let home = home.as_ref();
        let mut values = Values::new(W1.value_bytes);
        let mut rivals = Rivals::start(options, home, &CONTENDERS)?;
        let head = format!("The records of W1, uncompressed: {} MB in each of {} rounds:", options.mb, options.rounds);
        let mut sheet = Sheet::new("w3", &COLUMNS, head);
        if home.is_some() {
            let topics = [rivals.topic(Contender::Kafka, PARTITIONS)?];
            let filled = self.fill(&rivals, Contender::Kafka, &topics, &mut values)?;
            let server = rivals.server(Contender::Kafka);
            warm_up(options, || {
                let (read, cost) = cost::of(server, || client::consume(filled.target))?;
                ensure!(read.tally == filled.tally, "void: {:?} was read, not {:?}", read.tally, filled.tally);
                Ok(cost.cpu_s)
            })?;
            rivals.forget(Contender::Kafka, &topics[0])?;
        }
        for round in 0..options.rounds {
            for contender in rivals.turns(round) {
                let topics = [rivals.topic(contender, PARTITIONS)?];
                let filled = self.fill(&rivals, contender, &topics, &mut values)?;
                for reading in Reading::all(home.is_some()) {
                    let (row, name) = (reading.row(), contender.name());
                    if !options.wants(&format!("{row} / {name}")) {
                        continue;
                    }
                    let (moved, cost) = self
                        .measure(home, &rivals, contender, &filled, reading)
                        .with_context(|| format!("the run of {row} / {name}"))?;
                    let mut figures = figures(moved, &cost, values.bytes());
                    let bytes = (moved.tally.records * values.bytes() as u64) as f64;
                    figures.push(("read_per_byte", cost.storage.read as f64 / bytes));
                    sheet.push(Sample { row, contender, round, figures, beside: cost.beside });
                    options.keep(&sheet)?;
                }
                rivals.forget(contender, &topics[0])?;
            }
        }
        options.publish(home, &sheet, true)
    }

    fn fill<'a>(
        &self,
        rivals: &'a Rivals,
        contender: Contender,
        topics: &'a [String],
        values: &mut Values,
    ) -> Result<Filled<'a>> {
        let target = Target { bootstrap: rivals.server(contender).bootstrap(), topics, partitions: PARTITIONS };
        let batching = Batching { linger_ms: 5, batch_bytes: W1.batch_bytes, codec: "none" };
        let tally = client::produce(target, values, batching, self.options.bytes())?.tally;
        Ok(Filled { target, tally })
    }

    fn measure(
        &self,
        home: Option<&Home>,
        rivals: &Rivals,
        contender: Contender,
        filled: &Filled<'_>,
        reading: Reading,
    ) -> Result<(Moved, Cost)> {
        // Discarded; it also brings everything into the page cache again.
        self.read(home, rivals, contender, filled, Reading { cold: false, ..reading })?;
        let (moved, cost) = self.read(home, rivals, contender, filled, reading)?;
        // Otherwise what is measured is not what the row says.
        let share = cost.storage.read as f64 / self.options.bytes() as f64;
        ensure!(!reading.cold || share > 0.9, "void: only {share:.2} of what was read came from the disk");
        ensure!(reading.cold || share < 0.1, "void: {share:.2} of what was read was not in the page cache");
        Ok((moved, cost))
    }

    fn read(
        &self,
        home: Option<&Home>,
        rivals: &Rivals,
        contender: Contender,
        filled: &Filled<'_>,
        reading: Reading,
    ) -> Result<(Moved, Cost)> {
        if reading.cold {
            memory::drop_page_cache(&self.options.dir)?;
        }
        let touched = memory::prepare(&self.options.dir, self.options.bytes())?;
        let server = rivals.server(contender);
        if !reading.tool {
            drop(touched);
            let (read, cost) = cost::of(server, || client::consume(filled.target))?;
            ensure!(read.tally == filled.tally, "void: {:?} was read, not {:?}", read.tally, filled.tally);
            return Ok((read, cost));
        }
        let home = home.context("ConsumerPerformance needs --kafka")?;
        touched.give_back_after(tools::BEGINS_AFTER);
        let (bootstrap, topic) = (server.bootstrap(), filled.target.topics[0].as_str());
        let (said, cost) = cost::of(server, || tools::consume(home, bootstrap, topic, filled.tally.records))?;
        let seconds = filled.tally.records as f64 / said.per_s;
        Ok((Moved { tally: filled.tally, timed: filled.tally.records, seconds }, cost))
    }
}
