//! SIGKILL at random moments: no view is lost or doubled, and a restart replays at most one commit
//! interval of the changelog.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{PATIENCE, Pelton};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

const KILLS: usize = 30;

fn seed() -> Result<u64> {
    match std::env::var("PELTON_SEED") {
        Ok(text) => text.parse().context("PELTON_SEED is a number"),
        Err(_) => Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos() as u64 & 0xffff_ffff),
    }
}

/// Sends lines until told to stop, through an idempotent librdkafka producer that outlives every crash,
/// and writes each line to `file` too.
fn feed(bootstrap: &str, mut file: std::fs::File, stop: &AtomicBool, seed: u64) -> Result<u64> {
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("message.timeout.ms", "0")
        .set("reconnect.backoff.max.ms", "200")
        .set("log_level", "3")
        .create::<ThreadedProducer<rdkafka::producer::DefaultProducerContext>>()?;
    let mut random = SmallRng::seed_from_u64(seed);
    let mut lines = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..50 {
            let page = random.random_range(0..200u32);
            let line =
                format!("10.0.0.1 - - [17/May/2015:10:05:03 +0000] \"GET /page/{page}?n={lines} HTTP/1.1\" 200 5");
            writeln!(file, "{line}")?;
            let mut record = BaseRecord::<(), str>::to("access-log").payload(&line);
            while let Err((error, back)) = producer.send(record) {
                let full = rdkafka::types::RDKafkaErrorCode::QueueFull;
                ensure!(error.rdkafka_error_code() == Some(full), "the producer gave up: {error}");
                record = back;
                std::thread::sleep(Duration::from_millis(5));
            }
            lines += 1;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    producer.flush(PATIENCE)?;
    Ok(lines)
}

#[test]
#[allow(clippy::print_stderr, reason = "the seed must be on the screen when the test fails")]
fn thirty_kills_at_random_moments_lose_and_double_nothing() -> Result<()> {
    let seed = seed()?;
    eprintln!("PELTON_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut broker = Pelton::start()?;
    broker.run_pv_count(4)?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("sent.log");
    let stop = Arc::new(AtomicBool::new(false));
    let feeder = {
        let (bootstrap, file, stop) = (broker.bootstrap.clone(), std::fs::File::create(&path)?, stop.clone());
        std::thread::spawn(move || feed(&bootstrap, file, &stop, seed))
    };
    for kill in 1..=KILLS {
        std::thread::sleep(Duration::from_millis(random.random_range(50..1200)));
        broker.kill()?;
        broker.restart().with_context(|| format!("after kill {kill}, PELTON_SEED={seed}"))?;
        let report = broker
            .wait_for_job("pv-count", |task| task["phase"] == "running")
            .with_context(|| format!("after kill {kill}, PELTON_SEED={seed}"))?;
        for task in report["tasks"].as_array().context("tasks")? {
            let commits = task["recovery"]["commits_replayed"].as_u64().context("commits_replayed")?;
            ensure!(commits <= 1, "after kill {kill}, PELTON_SEED={seed}: {commits} commits replayed: {task:#}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let lines = feeder.join().expect("the feeder did not panic")?;
    ensure!(lines > 1000, "only {lines} lines were sent: nothing was tested");
    let path = path.to_str().context("a path in UTF-8")?;
    broker.python("compare_counts.py", &["page-views", path]).with_context(|| format!("PELTON_SEED={seed}"))?;
    Ok(())
}
