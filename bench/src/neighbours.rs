//! What sixty hostile plugins cost those who live beside them.
//!
//! Two neighbours, a topic without a plugin and one with the identity interceptor, live in a broker of their own: alone,
//! beside sixty topics whose plugins are tame, and beside the same sixty topics, with the same traffic, whose plugins are
//! hostile. What the tame ones cost is the price of the traffic; what the hostile ones cost more than that is theirs.
//!
//! Open loop: records of the neighbours have a time at which they are meant to be sent, and their latency counts from
//! then, so that a stall shows in every record that it held up (no coordinated omission). The three cases take turns.

use crate::broker::Broker;
use crate::load::{self, Shape};
use crate::process::machine_name;
use crate::results;
use crate::stats::{median, paired};
use crate::w9::say;
use anyhow::{Context, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What hostile plugins cost their neighbours.
#[derive(Debug, Args)]
pub struct Neighbours {
    /// The binary that is measured.
    #[arg(long)]
    pelton: PathBuf,
    /// Where identity.wasm is.
    #[arg(long)]
    guests: PathBuf,
    /// The hostile interceptor, and a file with one configuration (JSON) in each line: one hostile topic for each.
    #[arg(long)]
    hostile: PathBuf,
    /// One configuration in each line.
    #[arg(long)]
    misdeeds: PathBuf,
    /// Rounds, each with and without.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Records of the neighbours for each second.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Records to each of the sixty topics for each second.
    #[arg(long, default_value_t = 20)]
    attack_rate: u64,
    /// `pelton.interceptors.breaker.faults` of the sixty topics: how many faults in a row take a plugin out; 0: it is
    /// called for ever. The broker's default otherwise.
    #[arg(long)]
    breaker_faults: Option<u32>,
    /// `durability` of the broker, `replicated` or `fsync`. With `fsync` the disk hides what plugins do.
    #[arg(long, default_value = "replicated")]
    durability: String,
    /// Where the data directories are made.
    #[arg(long, default_value = "/tmp")]
    dir: PathBuf,
    /// Put the table into this document, between `<!-- neighbours -->` and `<!-- /neighbours -->`.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

/// Who lives beside the neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    Nobody,
    Tame,
    Hostile,
}

const COMPANIES: [Company; 3] = [Company::Nobody, Company::Tame, Company::Hostile];

/// Latencies of one run, in microseconds.
struct Latencies {
    plain: Histogram<u64>,
    hooked: Histogram<u64>,
}

/// What the plugins of the sixty topics did.
#[derive(Debug, Default)]
struct Done {
    /// Topics whose plugin was called.
    called: usize,
    /// Topics whose plugin failed.
    failed: usize,
    /// Calls that failed.
    faults: u64,
    /// The topics with the most time in their plugin: milliseconds, faults and number.
    busiest: Vec<(u64, u64, usize)>,
}

struct Stamped(Arc<Mutex<Histogram<u64>>>);

impl ClientContext for Stamped {}

impl ProducerContext<NoCustomPartitioner> for Stamped {
    type DeliveryOpaque = Box<Option<Instant>>;

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, meant: Box<Option<Instant>>) {
        let Some(meant) = *meant else { return };
        // A record that was not delivered counts as one that took a minute.
        let micros = if result.is_ok() { meant.elapsed().as_micros() as u64 } else { 60_000_000 };
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).record(micros.max(1));
    }
}

/// For how long the neighbours send before they are measured, and before anybody disturbs them.
const WARM_UP: Duration = Duration::from_secs(3);

/// How many of the sixty are named in the progress.
const BUSIEST: usize = 8;

/// Connections over which the sixty topics are written, so that a held request holds up few of the others.
const ATTACKING_CONNECTIONS: usize = 12;

impl Neighbours {
    /// Runs it and prints the table.
    pub fn run(self) -> Result<()> {
        let misdeeds: Vec<String> = std::fs::read_to_string(&self.misdeeds)
            .with_context(|| format!("cannot read {}", self.misdeeds.display()))?
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(str::to_owned)
            .collect();
        if let Some(results) = &self.results {
            results::check(results, "neighbours")?;
        }
        let mut rows: [[Vec<f64>; 3]; 4] = Default::default();
        let mut done = Done::default();
        for round in 0..self.rounds {
            for turn in 0..COMPANIES.len() {
                let at = (turn + round) % COMPANIES.len();
                let (run, did) = self
                    .measure(COMPANIES[at], &misdeeds)
                    .with_context(|| format!("the run beside {:?}", COMPANIES[at]))?;
                let figures = [
                    run.plain.value_at_quantile(0.99),
                    run.plain.value_at_quantile(0.999),
                    run.hooked.value_at_quantile(0.99),
                    run.hooked.value_at_quantile(0.999),
                ];
                say(&format!(
                    "round {}, beside {:?}: {figures:?} us; {} called, {} failed, {} times",
                    round + 1,
                    COMPANIES[at],
                    did.called,
                    did.failed,
                    did.faults
                ));
                for (busy_ms, faults, n) in did.busiest.iter().filter(|_| COMPANIES[at] == Company::Hostile) {
                    say(&format!("  {busy_ms} ms, {faults} faults: {}", misdeeds[*n]));
                }
                for (row, figure) in rows.iter_mut().zip(figures) {
                    row[at].push(figure as f64);
                }
                if COMPANIES[at] == Company::Hostile {
                    done = did;
                }
            }
        }
        let report = format!("On {}.\n{}", machine_name()?, self.report(misdeeds.len(), &done, &rows));
        results::print(&report)?;
        match &self.results {
            Some(path) => results::write(path, "neighbours", &report),
            None => Ok(()),
        }
    }

    fn report(&self, hostile: usize, done: &Done, rows: &[[Vec<f64>; 3]; 4]) -> String {
        let breaker = match self.breaker_faults {
            None => "the breaker as it is by default".to_owned(),
            Some(0) => "no breaker".to_owned(),
            Some(faults) => format!("a breaker that opens after {faults} faults"),
        };
        let mut report = format!(
            "\nNeighbours: {} records of 1 KiB a second in all, {} s, {} rounds, durability {}. Beside them: {hostile} topics \
             with {} records a second each, {breaker}. In the last hostile round {} of the {hostile} plugins were called, \
             {} of them failed, {} times.\n\n\
             | Neighbour | alone, us | tame, us | hostile, us | hostile to tame (95 %) | hostile to alone (95 %) |\n\
             |---|---|---|---|---|---|\n",
            self.rate,
            self.seconds,
            self.rounds,
            self.durability,
            self.attack_rate,
            done.called,
            done.failed,
            done.faults
        );
        let names = ["plain topic, p99", "plain topic, p99.9", "hooked topic, p99", "hooked topic, p99.9"];
        for (name, [alone, tame, hostile]) in names.iter().zip(rows) {
            let ratio = |to: &[f64]| {
                let ratio = paired(hostile, to);
                format!("{:.3} ({:.3} to {:.3})", ratio.median, ratio.low, ratio.high)
            };
            let middle = [alone, tame, hostile].map(|row| format!("{:.0}", median(row))).join(" | ");
            report.push_str(&format!("| {name} | {middle} | {} | {} |\n", ratio(tame), ratio(alone)));
        }
        report
    }

    fn measure(&self, company: Company, misdeeds: &[String]) -> Result<(Latencies, Done)> {
        let durability = format!("durability={}", self.durability);
        let mut broker = Broker::start(&self.pelton, &self.dir, &["--set", &durability])?;
        for topic in ["plain", "hooked"] {
            load::create_topic(&broker.bootstrap, topic, load::PARTITIONS)?;
        }
        broker.upload("identity", &self.guests.join("identity.wasm"))?;
        broker.attach("hooked", &[("pelton.interceptors".to_owned(), "identity@1".to_owned())])?;
        let topics = self.prepare(&broker, company, misdeeds)?;
        let mut warm = load::Load::new(&broker.bootstrap, Shape { value_bytes: 1024, batch_bytes: 64 << 10 })?;
        warm.send("plain", 50_000_000)?;
        warm.send("hooked", 50_000_000)?;
        drop(warm);
        let (over, begins) = (Arc::new(AtomicBool::new(false)), Instant::now() + WARM_UP);
        let every = Duration::from_secs(1) / u32::try_from(self.attack_rate.max(1))?;
        let parts = topics.chunks(topics.len().div_ceil(ATTACKING_CONNECTIONS).max(1));
        let attacks: Vec<_> = parts
            .map(|part| {
                let (over, bootstrap, part) = (over.clone(), broker.bootstrap.clone(), part.to_vec());
                std::thread::spawn(move || attack(&bootstrap, &part, begins, every, &over))
            })
            .collect();
        let measured = self.neighbours(&broker.bootstrap, begins);
        over.store(true, Ordering::Relaxed);
        for attack in attacks {
            attack.join().map_err(|_| anyhow::anyhow!("the attack panicked"))??;
        }
        ensure!(broker.alive()?, "the broker died: {}", broker.log_tail());
        let done = done(&broker, &topics)?;
        ensure!(done.called == topics.len(), "void: only {done:?} of {} plugins were called", topics.len());
        if company == Company::Hostile {
            ensure!(done.failed * 2 > topics.len(), "void: hostile plugins that do no harm: {done:?}");
        }
        Ok((measured?, done))
    }

    /// Makes the topics beside the neighbours.
    fn prepare(&self, broker: &Broker, company: Company, misdeeds: &[String]) -> Result<Vec<String>> {
        let plugin = match company {
            Company::Nobody => return Ok(Vec::new()),
            Company::Tame => "identity",
            Company::Hostile => "hostile",
        };
        if company == Company::Hostile {
            broker.upload(plugin, &self.hostile)?;
            load::create_topic(&broker.bootstrap, "granted", 1)?;
        }
        let mut topics = Vec::new();
        for (n, misdeed) in misdeeds.iter().enumerate() {
            let topic = format!("beside-{n}");
            load::create_topic(&broker.bootstrap, &topic, 1)?;
            let mut configs = vec![("pelton.interceptors".to_owned(), format!("{plugin}@1"))];
            if let Some(faults) = self.breaker_faults {
                configs.push(("pelton.interceptors.breaker.faults".to_owned(), faults.to_string()));
            }
            if company == Company::Hostile {
                configs.push(("pelton.plugin.hostile.config".to_owned(), misdeed.clone()));
                configs.push(("pelton.plugin.hostile.emit".to_owned(), "granted".to_owned()));
            }
            broker.attach(&topic, &configs).with_context(|| format!("cannot attach {misdeed}"))?;
            topics.push(topic);
        }
        Ok(topics)
    }

    /// Two topics at a steady rate, one after the other record by record.
    fn neighbours(&self, bootstrap: &str, begins: Instant) -> Result<Latencies> {
        let histogram =
            || -> Result<_> { Ok(Arc::new(Mutex::new(Histogram::<u64>::new_with_bounds(1, 120_000_000, 3)?))) };
        let (plain, hooked) = (histogram()?, histogram()?);
        let producer = |kept: &Arc<Mutex<Histogram<u64>>>| -> Result<ThreadedProducer<Stamped>> {
            Ok(ClientConfig::new()
                .set("bootstrap.servers", bootstrap)
                .set("enable.idempotence", "true")
                .set("acks", "all")
                .set("linger.ms", "0")
                .set("message.timeout.ms", "60000")
                .create_with_context(Stamped(kept.clone()))?)
        };
        let producers = [("plain", producer(&plain)?), ("hooked", producer(&hooked)?)];
        let value = [b'x'; 1024];
        let gap = Duration::from_secs(1) / u32::try_from(self.rate.max(1))?;
        let began = Instant::now();
        let ends = begins + Duration::from_secs(self.seconds);
        for n in 0_u64.. {
            let meant = began + gap * u32::try_from(n)?;
            if meant >= ends {
                break;
            }
            if let Some(early) = meant.checked_duration_since(Instant::now()) {
                std::thread::sleep(early);
            }
            let (topic, producer) = &producers[(n % 2) as usize];
            let partition = ((n / 2) % load::PARTITIONS as u64) as i32;
            let counts = Box::new((meant >= begins).then_some(meant));
            let record = BaseRecord::<(), [u8], Box<Option<Instant>>>::with_opaque_to(topic, counts)
                .partition(partition)
                .payload(&value);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        for (_, producer) in &producers {
            producer.flush(Duration::from_secs(120))?;
        }
        drop(producers);
        let taken = |kept: Arc<Mutex<Histogram<u64>>>| kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Latencies { plain: taken(plain), hooked: taken(hooked) })
    }
}

/// What the plugins of these topics did, as the broker reports it.
fn done(broker: &Broker, topics: &[String]) -> Result<Done> {
    let mut done = Done::default();
    for (n, topic) in topics.iter().enumerate() {
        let said = broker.plugins_of(topic)?;
        let hooks = said.pointer("/links/0/hooks").and_then(Value::as_array);
        let hooks = hooks.with_context(|| format!("no hooks of {topic} in {said}"))?;
        let sum = |name: &str| -> u64 { hooks.iter().filter_map(|hook| hook[name].as_u64()).sum() };
        done.called += usize::from(sum("calls") > 0);
        done.failed += usize::from(sum("faults") > 0);
        done.faults += sum("faults");
        done.busiest.push((sum("busy_ns") / 1_000_000, sum("faults"), n));
    }
    done.busiest.sort_unstable_by(|one, other| other.cmp(one));
    done.busiest.truncate(BUSIEST);
    Ok(done)
}

/// Sends a record to each of the topics, again and again, from the time at which it begins until it is over.
fn attack(bootstrap: &str, topics: &[String], begins: Instant, every: Duration, over: &AtomicBool) -> Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "1")
        .set("linger.ms", "0")
        .set("message.timeout.ms", "5000")
        .set("queue.buffering.max.messages", "100000")
        .create()?;
    std::thread::sleep(begins.saturating_duration_since(Instant::now()));
    while !over.load(Ordering::Relaxed) {
        for topic in topics {
            // A full queue means that this topic is refused or stalled already.
            let _ = producer.send(BaseRecord::<(), [u8]>::to(topic).payload(b"attack"));
        }
        let next = Instant::now() + every;
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            producer.poll(left.max(Duration::from_millis(1)));
        }
    }
    producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
    producer.poll(Duration::ZERO);
    Ok(())
}
