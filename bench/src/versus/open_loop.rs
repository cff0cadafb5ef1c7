//! Latency, open loop: each record has a time at which it is meant to be sent, and its latency counts from then, whatever
//! the system does meanwhile, so that a stall shows in every record that it held up (no coordinated omission).
//!
//! One process sends and reads, so there is one clock. End to end is from the intended time until the consumer has it.

use super::client::{self, Target};
use crate::sender::QUEUE_FULL_AT_MOST;
use anyhow::{Context, Result, anyhow, bail, ensure};
use hdrhistogram::Histogram;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Largest latency that is told apart, in microseconds.
const MOST_MICROS: u64 = 600_000_000;
/// How long nothing may be read before a run is void.
const SILENCE: Duration = Duration::from_secs(60);
/// Shortest sleep of the sender; records that fall due meanwhile are sent together.
const NAP: Duration = Duration::from_micros(50);

/// A steady stream of records.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Records each second; `None`: as fast as they are taken.
    pub per_s: Option<u64>,
    /// Records that are not measured, and those that are.
    pub warm_up: u64,
    /// Measured records.
    pub records: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
}

/// What came out.
pub struct Latencies {
    /// From the intended time until the acknowledgement, in microseconds.
    pub acknowledged: Histogram<u64>,
    /// From the intended time until the consumer has the record, in microseconds.
    pub end_to_end: Histogram<u64>,
    /// Measured records that were read each second, since the first of them was meant to be sent.
    pub per_s: f64,
}

struct Stamped {
    kept: Mutex<Histogram<u64>>,
    failed: Mutex<Option<KafkaError>>,
}

struct Acknowledging(Arc<Stamped>);

impl ClientContext for Acknowledging {}

impl ProducerContext<NoCustomPartitioner> for Acknowledging {
    type DeliveryOpaque = Box<Option<Instant>>;

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, meant: Box<Option<Instant>>) {
        if let Err((error, _)) = result {
            *self.0.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        } else if let Some(meant) = *meant {
            record(&mut self.0.kept.lock().unwrap_or_else(PoisonError::into_inner), meant.elapsed());
        }
    }
}

/// Sends and reads at a pace.
pub fn run(target: Target<'_>, pace: Pace) -> Result<Latencies> {
    ensure!(pace.value_bytes >= HEAD, "values have at least {HEAD} bytes");
    let stamped = Arc::new(Stamped { kept: Mutex::new(histogram()?), failed: Mutex::new(None) });
    let producer: ThreadedProducer<Acknowledging> = ClientConfig::new()
        .set("bootstrap.servers", target.bootstrap)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "262144")
        .set("message.timeout.ms", "120000")
        .create_with_context(Acknowledging(stamped.clone()))?;
    for topic in target.topics {
        producer.client().fetch_metadata(Some(topic), Duration::from_secs(60))?;
    }
    let consumer = client::consumer(target)?;
    wait_until_positioned(&consumer, target)?;
    let epoch = Instant::now();
    let (end_to_end, per_s) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| read(&consumer, pace, epoch));
        let sent = send(&producer, target, pace, epoch);
        let read = reading.join().map_err(|_| anyhow!("the reader panicked"))?;
        // A failed sender explains why little was read.
        sent?;
        read
    })?;
    producer.flush(Duration::from_secs(120))?;
    if let Some(error) = stamped.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bail!("void: a record was not delivered: {error}");
    }
    let acknowledged = stamped.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ensure!(acknowledged.len() == pace.records, "void: {} records were acknowledged", acknowledged.len());
    Ok(Latencies { acknowledged, end_to_end, per_s })
}

/// Number and intended time of a record, before the padding.
const HEAD: usize = 16;

fn send(producer: &ThreadedProducer<Acknowledging>, to: Target<'_>, pace: Pace, epoch: Instant) -> Result<()> {
    let mut value = vec![b'x'; pace.value_bytes];
    for number in 0..pace.warm_up + pace.records {
        let meant = match pace.per_s {
            Some(per_s) => due(epoch, number, per_s),
            None => Instant::now(),
        };
        while let Some(early) = meant.checked_duration_since(Instant::now()) {
            std::thread::sleep(early.max(NAP));
        }
        value[..8].copy_from_slice(&number.to_le_bytes());
        let since = u64::try_from(meant.duration_since(epoch).as_nanos())?;
        value[8..HEAD].copy_from_slice(&since.to_le_bytes());
        let topic = &to.topics[(number % to.topics.len() as u64) as usize];
        let partition = (number % to.partitions as u64) as i32;
        let stamp = Box::new((number >= pace.warm_up).then_some(meant));
        let mut record = BaseRecord::<(), [u8], Box<Option<Instant>>>::with_opaque_to(topic, stamp)
            .partition(partition)
            .payload(&value);
        let begun = Instant::now();
        while let Err((error, back)) = producer.send(record) {
            ensure!(
                error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
                "a record was refused: {error}"
            );
            ensure!(begun.elapsed() < QUEUE_FULL_AT_MOST, "the queue stays full; does the broker run?");
            // It is late from here on, and its latency says so.
            record = back;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// When a record is meant to be sent.
fn due(epoch: Instant, number: u64, per_s: u64) -> Instant {
    epoch + Duration::from_nanos((u128::from(number) * 1_000_000_000 / u128::from(per_s)) as u64)
}

/// Reads until every record is there once.
fn read(consumer: &BaseConsumer, pace: Pace, epoch: Instant) -> Result<(Histogram<u64>, f64)> {
    let (mut kept, all) = (histogram()?, pace.warm_up + pace.records);
    let (mut count, mut sum, mut heard) = (0_u64, 0_u128, Instant::now());
    let mut first = None;
    while count < all {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let (number, since) = parse(message.payload()).context("void: a record is not one of this run")?;
                if number >= pace.warm_up {
                    let meant = epoch + Duration::from_nanos(since);
                    first = Some(first.map_or(meant, |first: Instant| first.min(meant)));
                    record(&mut kept, heard.saturating_duration_since(meant));
                }
                count += 1;
                sum += u128::from(number);
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {
                ensure!(heard.elapsed() < SILENCE, "void: {count} records of {all} were read");
            }
            Some(Err(error)) => return Err(error.into()),
        }
    }
    let expected = u128::from(all) * u128::from(all.saturating_sub(1)) / 2;
    ensure!(sum == expected, "void: {count} records with sum {sum} were read, not {expected}");
    let seconds = heard.duration_since(first.unwrap_or(epoch)).as_secs_f64();
    Ok((kept, pace.records as f64 / seconds.max(1e-6)))
}

fn parse(value: Option<&[u8]>) -> Option<(u64, u64)> {
    let (number, rest) = value?.split_first_chunk::<8>()?;
    let (since, _) = rest.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), u64::from_le_bytes(*since)))
}

/// Waits until every partition was asked for once: each says that it is at its end.
fn wait_until_positioned(consumer: &BaseConsumer, target: Target<'_>) -> Result<()> {
    let partitions = target.topics.len() * target.partitions as usize;
    let (mut ended, began) = (0, Instant::now());
    while ended < partitions {
        ensure!(began.elapsed() < SILENCE, "the consumer does not reach the ends of its partitions");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(_)) => bail!("void: the topic is not empty"),
            None => {}
        }
    }
    Ok(())
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, MOST_MICROS, 3)?)
}

fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record((latency.as_micros() as u64).max(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_due_at_steady_times() {
        let epoch = Instant::now();
        assert_eq!(due(epoch, 0, 10_000), epoch);
        assert_eq!(due(epoch, 25_000, 10_000), epoch + Duration::from_millis(2_500));
        // No drift, however long: a third of a second times three is a second.
        assert_eq!(due(epoch, 3_000_000_000, 3), epoch + Duration::from_secs(1_000_000_000));
    }

    #[test]
    fn what_is_too_late_still_counts() {
        let mut kept = histogram().unwrap();
        record(&mut kept, Duration::from_secs(3_600));
        record(&mut kept, Duration::ZERO);
        assert_eq!(kept.len(), 2);
        assert!(kept.max() >= MOST_MICROS);
    }
}
