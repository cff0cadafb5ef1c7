//! How long a broker takes to serve: a producer that tries all the time, from before the broker is there.

use super::client::Target;
use super::values::{Tally, Values};
use anyhow::{Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, ProducerContext, ThreadedProducer};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// How long a broker may take: a large log after a crash.
const AT_MOST: Duration = Duration::from_secs(900);
/// Numbers of its records begin here, far from those of the load.
const FIRST_NUMBER: u64 = 1_000_000_000_000;

struct Heard(Sender<(Instant, bool)>);

impl ClientContext for Heard {}

impl ProducerContext<NoCustomPartitioner> for Heard {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, (): ()) {
        let _ = self.0.send((Instant::now(), result.is_ok()));
    }
}

/// One record for each partition of a topic, under way.
pub struct Probe {
    producer: ThreadedProducer<Heard>,
    heard: Receiver<(Instant, bool)>,
    awaited: usize,
    tally: Tally,
}

/// When it was served.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// Its first record was acknowledged.
    pub first: Instant,
    /// All partitions have acknowledged.
    pub all: Instant,
    /// What was sent.
    pub tally: Tally,
}

impl Probe {
    /// A producer of a broker that is not there yet; it asks a hundred times each second.
    pub fn new(bootstrap: &str) -> Result<Self> {
        let (sender, heard) = mpsc::channel();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.timeout.ms", AT_MOST.as_millis().to_string())
            .set("topic.metadata.propagation.max.ms", AT_MOST.as_millis().to_string())
            .set("reconnect.backoff.ms", "5")
            .set("reconnect.backoff.max.ms", "10")
            .set("retry.backoff.ms", "10")
            .set("retry.backoff.max.ms", "10")
            .set("topic.metadata.refresh.fast.interval.ms", "10")
            .set("log.connection.close", "false")
            // That it cannot be reached is what it is for.
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg)
            .create_with_context(Heard(sender))?;
        Ok(Self { producer, heard, awaited: 0, tally: Tally::default() })
    }

    /// Gives it one record for each partition.
    pub fn ask(&mut self, target: Target<'_>, values: &mut Values, round: u64) -> Result<()> {
        for topic in target.topics {
            for partition in 0..target.partitions {
                let value = values.of(FIRST_NUMBER + round * 1_000_000 + self.awaited as u64);
                self.tally.add(value);
                self.awaited += 1;
                let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(value);
                self.producer.send(record).map_err(|(error, _)| error)?;
            }
        }
        Ok(())
    }

    /// Waits until all of them are acknowledged.
    pub fn wait(self) -> Result<Served> {
        let (mut first, mut last) = (None, Instant::now());
        for left in (0..self.awaited).rev() {
            let (at, delivered) = match self.heard.recv_timeout(AT_MOST) {
                Ok(heard) => heard,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => (last, false),
            };
            ensure!(delivered, "{} records were not acknowledged", left + 1);
            first.get_or_insert(at);
            last = at;
        }
        Ok(Served { first: first.unwrap_or(last), all: last, tally: self.tally })
    }
}
