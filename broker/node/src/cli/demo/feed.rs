//! Feeds the input to the topic, with an idempotent producer, as fast as the broker answers.

use super::Input;
use crate::cli::connect;
use crate::cli::lines::Lines;
use crate::cli::produce::{Deliveries, send};
use anyhow::{Context, bail};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the feeder tells, and is told.
#[derive(Default)]
pub struct FeedState {
    /// Lines that were given to the producer.
    pub sent: AtomicU64,
    /// Lines that the broker has acknowledged.
    pub acknowledged: AtomicU64,
    /// The feeder waits before it sends more lines than this: so a kill that shall hit the feed finds it there.
    pub allowed: AtomicU64,
    /// Everything is acknowledged.
    pub finished: AtomicBool,
    /// End early.
    pub stop: AtomicBool,
}

/// Starts the feeder.
pub fn start(
    bootstrap: &str,
    topic: &str,
    input: Input,
    lines: u64,
    state: Arc<FeedState>,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let mut config = connect::unchecked(bootstrap);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // The broker will be gone for a while, several times: never give up on a record.
        .set("message.timeout.ms", "0")
        .set("linger.ms", "5")
        .set("queue.buffering.max.kbytes", "32768")
        // Few enough that a kill in the middle of the feed leaves lines of a small input unsent.
        .set("queue.buffering.max.messages", (lines / 50).clamp(100, 50_000).to_string())
        .set("sticky.partitioning.linger.ms", "2")
        .set("message.max.bytes", "16777216");
    let producer: ThreadedProducer<Deliveries> = config.create_with_context(Deliveries::default())?;
    let topic = topic.to_owned();
    Ok(std::thread::spawn(move || feed(&producer, &topic, &input, &state)))
}

fn feed(producer: &ThreadedProducer<Deliveries>, topic: &str, input: &Input, state: &FeedState) -> anyhow::Result<()> {
    let deliveries = producer.context();
    let look = || -> anyhow::Result<bool> {
        state.acknowledged.store(deliveries.records.load(Ordering::Acquire), Ordering::Release);
        match deliveries.failure() {
            Some(reason) => bail!("feeding {topic}: {reason}"),
            None => Ok(!state.stop.load(Ordering::Acquire)),
        }
    };
    let mut lines = Lines::new(input.open()?);
    let mut sent = 0u64;
    while let Some(line) = lines.read()? {
        while sent >= state.allowed.load(Ordering::Acquire) {
            if !look()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let record = BaseRecord::<[u8], [u8]>::to(topic).payload(line);
        // Without a bound of time, as records have no timeout: the broker is gone for a while and comes back. What ends the
        // wait is the end of the demo, by Ctrl-C too, and a record that was refused.
        let taken = send(producer, record, |_| matches!(look(), Ok(true)));
        if !taken.with_context(|| format!("feeding line {}", sent + 1))? {
            look()?;
            return Ok(());
        }
        sent += 1;
        state.sent.store(sent, Ordering::Release);
        if sent.is_multiple_of(64) && !look()? {
            return Ok(());
        }
    }
    while producer.in_flight_count() > 0 {
        producer.flush(Duration::from_millis(20)).ok();
        if !look()? {
            return Ok(());
        }
    }
    // The delivery thread counts a moment after the queue is empty.
    while deliveries.records.load(Ordering::Acquire) < sent {
        if !look()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    look()?;
    state.finished.store(true, Ordering::Release);
    Ok(())
}
