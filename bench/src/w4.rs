//! W4: latency end to end, open loop: 1 KiB values to 1 and to 12 partitions, 10,000 each second and half of what the
//! slowest of the systems takes at most, `linger.ms` 0.

use crate::versus::client::Target;
use crate::versus::contender::Contender;
use crate::versus::cost;
use crate::versus::open_loop::{self, Latencies, Pace};
use crate::versus::rivals::Rivals;
use crate::versus::sheet::{Column, Sample, Sheet};
use crate::versus::{Options, memory};
use crate::w1::warm_up;
use anyhow::{Context, Result};
use clap::Args;
use hdrhistogram::Histogram;

/// Latency, open loop.
#[derive(Debug, Args)]
pub struct Latency {
    #[command(flatten)]
    options: Options,
    /// Seconds of one measurement; less where `--mb` would be exceeded.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds before it that are not measured, at the same rate.
    #[arg(long, default_value_t = 2)]
    warm_up_s: u64,
    /// Records each second of the first rate.
    #[arg(long, default_value_t = FIRST_RATE)]
    rate: u64,
    /// Records each second of the second rate, instead of half of the slowest system's maximum.
    #[arg(long)]
    half_rate: Option<u64>,
}

/// Records each second of the first rate, unless another is asked for.
pub const FIRST_RATE: u64 = 10_000;
/// Bytes of a value.
const VALUE_BYTES: usize = 1024;
/// Everybody who is measured.
const CONTENDERS: [Contender; 3] = [Contender::Fsync, Contender::Replicated, Contender::Kafka];
const PARTITIONS: [i32; 2] = [1, 12];

/// The figures of latencies; W5 has them too.
pub const COLUMNS: [Column; 7] = [
    Column { key: "p50_ms", head: "p50 ms", decimals: 2, compared: true },
    Column { key: "p99_ms", head: "p99 ms", decimals: 2, compared: true },
    Column { key: "p999_ms", head: "p99.9 ms", decimals: 2, compared: true },
    Column { key: "max_ms", head: "max ms", decimals: 1, compared: false },
    Column { key: "ack_p50_ms", head: "acknowledged p50 ms", decimals: 2, compared: false },
    Column { key: "ack_p99_ms", head: "acknowledged p99 ms", decimals: 2, compared: false },
    Column { key: "cpu_s_per_gb", head: "CPU-s/GB", decimals: 2, compared: false },
];

/// The name of a row at the first rate.
pub fn row(partitions: i32, rate: u64) -> String {
    let s = if partitions == 1 { "" } else { "s" };
    format!("{partitions} partition{s}, {rate}/s")
}

impl Latency {
    /// Runs it and prints the table.
    pub fn run(self) -> Result<()> {
        let (options, home) = (&self.options, self.options.check("w4")?);
        let mut rivals = Rivals::start(options, home.as_ref(), &CONTENDERS)?;
        if home.is_some() {
            let pace = self.pace(self.rate);
            warm_up(options, || Ok(once(options, &mut rivals, Contender::Kafka, 12, pace)?.1.cpu_s))?;
        }
        let head = format!(
            "{VALUE_BYTES} B values, {} s (less where {} MB would be exceeded) in each of {} rounds, end to end.",
            self.seconds, options.mb, options.rounds
        );
        let mut sheet = Sheet::new("w4", &COLUMNS, head);
        let mut rows = Vec::new();
        for partitions in PARTITIONS {
            rows.push((row(partitions, self.rate), partitions, self.rate));
            if self.half_rate != Some(0) {
                let half = self.half(&mut rivals, partitions, &mut sheet)?;
                rows.push((format!("{}, 50 %", row(partitions, half)), partitions, half));
            }
        }
        self.rounds(&mut rivals, &rows, &mut sheet)?;
        options.publish(home.as_ref(), &sheet, true)
    }

    fn rounds(&self, rivals: &mut Rivals, rows: &[(String, i32, u64)], sheet: &mut Sheet) -> Result<()> {
        for round in 0..self.options.rounds {
            for (row, partitions, rate) in rows {
                for contender in rivals.turns(round) {
                    let name = contender.name();
                    if !self.options.wants(&format!("{row} / {name}")) {
                        continue;
                    }
                    let (latencies, cost) = once(&self.options, rivals, contender, *partitions, self.pace(*rate))
                        .with_context(|| format!("the run of {row} / {name}"))?;
                    let pace = self.pace(*rate);
                    let bytes = ((pace.warm_up + pace.records) * VALUE_BYTES as u64) as f64;
                    let mut figures = figures(&latencies);
                    figures.push(("cpu_s_per_gb", cost.cpu_s / (bytes / 1e9)));
                    sheet.push(Sample { row: row.clone(), contender, round, figures, beside: cost.beside });
                    self.options.keep(sheet)?;
                }
            }
        }
        Ok(())
    }

    /// Half of what the slowest of them takes, in whole thousands of records each second.
    fn half(&self, rivals: &mut Rivals, partitions: i32, sheet: &mut Sheet) -> Result<u64> {
        if let Some(rate) = self.half_rate {
            return Ok(rate);
        }
        let records = self.options.bytes() / 2 / VALUE_BYTES as u64;
        let pace = Pace { per_s: None, warm_up: records / 4, records, value_bytes: VALUE_BYTES };
        let (mut slowest, mut said) = (f64::INFINITY, Vec::new());
        for contender in rivals.contenders().to_vec() {
            // Twice, and the first is discarded.
            once(&self.options, rivals, contender, partitions, pace)?;
            let (latencies, _) = once(&self.options, rivals, contender, partitions, pace)?;
            said.push(format!("{} {:.0}/s", contender.name(), latencies.per_s));
            slowest = slowest.min(latencies.per_s);
        }
        let text = format!("At most, with {partitions} partition(s): {}.", said.join(", "));
        crate::w9::say(&text);
        sheet.note(&text);
        Ok(((slowest / 2_000.0) as u64).max(1) * 1_000)
    }

    fn pace(&self, rate: u64) -> Pace {
        pace(rate, self.seconds, self.warm_up_s, self.options.bytes())
    }
}

/// A pace that exceeds neither the seconds nor the bytes.
pub fn pace(rate: u64, seconds: u64, warm_up_s: u64, at_most_bytes: u64) -> Pace {
    let records = (rate * seconds).min(at_most_bytes / VALUE_BYTES as u64).max(1);
    let warm_up = (rate * warm_up_s).min(records);
    Pace { per_s: Some(rate), warm_up, records, value_bytes: VALUE_BYTES }
}

/// One run, to a topic of its own.
pub fn once(
    options: &Options,
    rivals: &mut Rivals,
    contender: Contender,
    partitions: i32,
    pace: Pace,
) -> Result<(Latencies, cost::Cost)> {
    let topics = [rivals.topic(contender, partitions)?];
    let touched = memory::prepare(&options.dir, (pace.warm_up + pace.records) * pace.value_bytes as u64)?;
    let server = rivals.server(contender);
    let target = Target { bootstrap: server.bootstrap(), topics: &topics, partitions };
    drop(touched);
    let done = cost::of(server, || open_loop::run(target, pace))?;
    rivals.forget(contender, &topics[0])?;
    Ok(done)
}

/// The figures of a run.
pub fn figures(latencies: &Latencies) -> Vec<(&'static str, f64)> {
    let ms = |of: &Histogram<u64>, quantile: f64| of.value_at_quantile(quantile) as f64 / 1_000.0;
    let (whole, acknowledged) = (&latencies.end_to_end, &latencies.acknowledged);
    vec![
        ("p50_ms", ms(whole, 0.5)),
        ("p99_ms", ms(whole, 0.99)),
        ("p999_ms", ms(whole, 0.999)),
        ("max_ms", whole.max() as f64 / 1_000.0),
        ("ack_p50_ms", ms(acknowledged, 0.5)),
        ("ack_p99_ms", ms(acknowledged, 0.99)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_keeps_to_seconds_and_bytes() {
        let slow = pace(10_000, 10, 2, 400_000_000);
        assert_eq!((slow.records, slow.warm_up), (100_000, 20_000));
        let fast = pace(100_000, 10, 2, 102_400_000);
        assert_eq!((fast.records, fast.warm_up), (100_000, 100_000));
    }
}
