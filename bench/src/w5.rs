//! W5: the price of durability. Pelton's default beside Kafka with `flush.messages=1`: both answer when the disk has the
//! records. Pelton with `durability=replicated` beside Kafka's default: both answer from memory.

use crate::sender::Batching;
use crate::versus::client::{self, Moved, Target};
use crate::versus::contender::Contender;
use crate::versus::cost::{self, Cost};
use crate::versus::rivals::Rivals;
use crate::versus::sheet::{Column, Sample, Sheet};
use crate::versus::values::Values;
use crate::versus::{Options, memory};
use crate::w1::{self, PARTITIONS, W1, warm_up};
use crate::w4;
use anyhow::{Context, Result, ensure};
use clap::Args;

/// The price of durability.
#[derive(Debug, Args)]
pub struct Durable {
    #[command(flatten)]
    options: Options,
    /// Records each second at which latency is measured.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Seconds of one measurement of latency.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

const CONTENDERS: [Contender; 4] = [Contender::Fsync, Contender::KafkaFlushed, Contender::Replicated, Contender::Kafka];

const COLUMNS: [Column; 7] =
    [w1::COLUMNS[0], w1::COLUMNS[1], w1::COLUMNS[2], w4::COLUMNS[0], w4::COLUMNS[1], w4::COLUMNS[2], w4::COLUMNS[5]];

/// Seconds before a measurement of latency.
const WARM_UP_S: u64 = 2;

impl Durable {
    /// Runs it and prints the table.
    pub fn run(self) -> Result<()> {
        let (options, home) = (&self.options, self.options.check("w5")?);
        let mut values = Values::new(W1.value_bytes);
        let mut rivals = Rivals::start(options, home.as_ref(), &CONTENDERS)?;
        let head = format!(
            "1,024 B values to {PARTITIONS} partitions, {} MB in batches of {} KiB, then {} each second for {} s with \
             linger 0, in each of {} rounds. Kafka with `flush.messages=1` is compared with fsync, Kafka's default with \
             replicated:",
            options.mb,
            W1.batch_bytes >> 10,
            self.rate,
            self.seconds,
            options.rounds
        );
        let mut sheet = Sheet::new("w5", &COLUMNS, head);
        if home.is_some() {
            warm_up(options, || {
                let flushed = self.send(&mut rivals, Contender::KafkaFlushed, &mut values, options.bytes() / 4)?;
                let plain = self.send(&mut rivals, Contender::Kafka, &mut values, options.bytes() / 4)?;
                Ok(flushed.1.cpu_s + plain.1.cpu_s)
            })?;
        }
        let latency = w4::row(PARTITIONS, self.rate);
        for round in 0..options.rounds {
            for contender in rivals.turns(round) {
                let name = contender.name();
                let row = format!("{} KiB batches", W1.batch_bytes >> 10);
                if options.wants(&format!("{row} / {name}")) {
                    self.send(&mut rivals, contender, &mut values, options.bytes())?;
                    let (moved, cost) = self
                        .send(&mut rivals, contender, &mut values, options.bytes())
                        .with_context(|| format!("the run of {row} / {name}"))?;
                    let mut figures = w1::figures(moved, &cost, values.bytes());
                    figures.retain(|(key, _)| *key != "peak_rss_mib");
                    sheet.push(Sample { row, contender, round, figures, beside: cost.beside });
                }
                if options.wants(&format!("{latency} / {name}")) {
                    let pace = w4::pace(self.rate, self.seconds, WARM_UP_S, options.bytes());
                    let (latencies, cost) = w4::once(options, &mut rivals, contender, PARTITIONS, pace)
                        .with_context(|| format!("the run of {latency} / {name}"))?;
                    let (row, figures) = (latency.clone(), w4::figures(&latencies));
                    sheet.push(Sample { row, contender, round, figures, beside: cost.beside });
                }
                options.keep(&sheet)?;
            }
        }
        options.publish(home.as_ref(), &sheet, true)
    }

    fn send(
        &self,
        rivals: &mut Rivals,
        contender: Contender,
        values: &mut Values,
        bytes: u64,
    ) -> Result<(Moved, Cost)> {
        let topics = [rivals.topic(contender, PARTITIONS)?];
        let touched = memory::prepare(&self.options.dir, bytes)?;
        let server = rivals.server(contender);
        let target = Target { bootstrap: server.bootstrap(), topics: &topics, partitions: PARTITIONS };
        let batching = Batching { linger_ms: 5, batch_bytes: W1.batch_bytes, codec: "none" };
        drop(touched);
        let (moved, cost) = cost::of(server, || client::produce(target, values, batching, bytes))?;
        let read = client::consume(target)?.tally;
        ensure!(read == moved.tally, "void: {read:?} was read, not {:?}", moved.tally);
        rivals.forget(contender, &topics[0])?;
        Ok((moved, cost))
    }
}
