//! `pelton produce`: lines to records.

mod placement;

use super::lines::Lines;
use super::{AdminUrl, Bootstrap, connect, output};
use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use placement::{Placement, Unplaced};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the queue of the producer may stay full. It is longer than librdkafka's `message.timeout.ms`, so that a record
/// that it has given up is what the user hears of.
const QUEUE_FULL_AT_MOST: Duration = Duration::from_secs(330);

/// Write lines to a topic, one record a line.
///
/// The producer is idempotent: what it retries is not written twice. At the end it prints how many records and
/// bytes were acknowledged, and how long that took.
///
/// A topic with a partitioner of its own is asked where each record belongs, through the admin HTTP; in other topics
/// records with a key go where Java's clients put them.
#[derive(Debug, Args)]
pub struct Produce {
    /// Name of the topic.
    topic: String,
    /// Read the lines from this file instead of standard input.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Take what stands before the first separator of a line as the record's key; a line without it is refused.
    #[arg(long, short, value_name = "TEXT")]
    key_separator: Option<String>,
    /// Write to this partition instead of letting the partitioner choose.
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// Who chooses partitions: the topic's partitioner where it has one, or this client alone.
    #[arg(long, value_enum, default_value = "auto", value_name = "WHO")]
    partitioner: Chooser,
    /// When a record counts as written: never asked, written by the leader, or durable.
    #[arg(long, value_enum, default_value = "all", value_name = "ACKS")]
    acks: Acks,
    /// How batches are compressed.
    #[arg(long, value_enum, default_value = "none", value_name = "CODEC")]
    compression: Compression,
    /// Wait this long for more records before a batch is sent, in milliseconds.
    #[arg(long, default_value_t = 5, value_name = "MS")]
    linger_ms: u64,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
    #[command(flatten)]
    admin: AdminUrl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chooser {
    /// The topic's partitioner, where it has one and the admin HTTP answers.
    Auto,
    /// This client, as Java's clients do.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Acks {
    /// The broker is not asked for an answer.
    #[value(name = "0")]
    Zero,
    /// The leader has written the record.
    #[value(name = "1")]
    One,
    /// The record is durable, on enough replicas.
    #[value(name = "all", alias = "-1")]
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Counts what was acknowledged, and keeps the first failure.
#[derive(Default)]
pub struct Deliveries {
    /// Acknowledged records.
    pub records: AtomicU64,
    /// Their keys and values, in bytes.
    pub bytes: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Deliveries {
    /// Why the first record that was not written was not.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().map_or_else(|e| e.into_inner().clone(), |failure| failure.clone())
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        use rdkafka::Message as _;
        match result {
            Ok(message) => {
                let length = message.key().map_or(0, <[u8]>::len) + message.payload().map_or(0, <[u8]>::len);
                self.bytes.fetch_add(length as u64, Ordering::Relaxed);
                self.records.fetch_add(1, Ordering::Release);
            }
            Err((error, _)) => {
                let mut failure = self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                failure.get_or_insert_with(|| connect::refused("a record was not written", error).to_string());
            }
        }
    }
}

impl Produce {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let input = self.open()?;
        let mut config = connect::kafka(&self.bootstrap.bootstrap)?;
        let acks = match self.acks {
            Acks::Zero => "0",
            Acks::One => "1",
            Acks::All => "all",
        };
        let codec = format!("{:?}", self.compression).to_lowercase();
        config
            .set("acks", acks)
            .set("enable.idempotence", if self.acks == Acks::All { "true" } else { "false" })
            .set("compression.type", codec)
            .set("linger.ms", self.linger_ms.to_string())
            .set("queue.buffering.max.kbytes", "65536")
            // The broker's limit counts, which a topic may raise; the client's own would be in the way.
            .set("message.max.bytes", "67108864")
            .set("partitioner", "murmur2_random");
        let deliveries = Deliveries::default();
        let producer: ThreadedProducer<Deliveries> = config.create_with_context(deliveries)?;
        let known = producer.client().fetch_metadata(Some(&self.topic), connect::ANSWER);
        let known = known.map_err(|e| connect::refused(&format!("the topic {}", self.topic), &e))?;
        if known.topics().iter().any(|topic| topic.error().is_some()) {
            bail!("there is no topic {}; `pelton topic create {}` makes it", self.topic, self.topic);
        }
        let asks = self.partitioner == Chooser::Auto && self.partition.is_none();
        let cluster_id = producer.client().fetch_cluster_id(connect::ANSWER);
        let placement = asks.then(|| Placement::of(&self.admin, &self.topic, cluster_id.as_deref())).flatten();
        self.feed(&producer, placement, input)
    }

    fn open(&self) -> anyhow::Result<(Box<dyn Read>, Option<u64>)> {
        let Some(path) = &self.file else { return Ok((Box::new(std::io::stdin()), None)) };
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            bail!("{} is a directory; name a file", path.display());
        }
        Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
    }

    fn feed(
        &self,
        producer: &ThreadedProducer<Deliveries>,
        mut placement: Option<Placement>,
        (input, total): (Box<dyn Read>, Option<u64>),
    ) -> anyhow::Result<()> {
        let deliveries = producer.context();
        let template = match total {
            Some(_) => "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}",
            None => "{spinner} {bytes}  {bytes_per_sec}  {msg}",
        };
        let bar = output::progress(total, template);
        let started = Instant::now();
        let mut lines = Lines::new(BufReader::with_capacity(1 << 16, bar.wrap_read(input)));
        loop {
            let number = lines.number() + 1;
            let Some(line) = lines.read()? else { break };
            let (key, value) = self.split(line).with_context(|| format!("line {number}"))?;
            match &mut placement {
                None => self.send(producer, number, (key, value), self.partition)?,
                Some(placement) => {
                    let (key, value) = (key.map(<[u8]>::to_vec), value.to_vec());
                    // Whoever types waits for no further line.
                    if placement.add(Unplaced { line: number, key, value }) || lines.is_drained() {
                        self.send_placed(producer, placement)?;
                    }
                }
            }
            if number.is_multiple_of(1024) {
                bar.set_message(format!("{} acknowledged", deliveries.records.load(Ordering::Relaxed)));
                if let Some(reason) = deliveries.failure() {
                    bail!("{reason}");
                }
            }
        }
        if let Some(placement) = &mut placement {
            self.send_placed(producer, placement)?;
        }
        producer.flush(Duration::from_secs(3600)).map_err(|e| connect::refused("waiting for the broker", &e))?;
        bar.finish_and_clear();
        if let Some(reason) = deliveries.failure() {
            bail!("{reason}");
        }
        self.report(deliveries, started.elapsed());
        Ok(())
    }

    fn send_placed(&self, producer: &ThreadedProducer<Deliveries>, placement: &mut Placement) -> anyhow::Result<()> {
        for (record, partition) in placement.place()? {
            self.send(producer, record.line, (record.key.as_deref(), &record.value), partition)?;
        }
        Ok(())
    }

    fn send(
        &self,
        producer: &ThreadedProducer<Deliveries>,
        line: u64,
        (key, value): (Option<&[u8]>, &[u8]),
        partition: Option<i32>,
    ) -> anyhow::Result<()> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).payload(value);
        record.key = key;
        record.partition = partition;
        let deliveries = producer.context();
        let patient = |full: Duration| full < QUEUE_FULL_AT_MOST && deliveries.failure().is_none();
        let taken = send(producer, record, patient).map_err(|e| connect::refused(&format!("line {line}"), &e))?;
        if taken {
            return Ok(());
        }
        match deliveries.failure() {
            Some(reason) => bail!("{reason}"),
            None => bail!(
                "line {line}: the queue of records that wait to be written was full for {} s; see whether the broker \
                 still answers; {} records were written",
                QUEUE_FULL_AT_MOST.as_secs(),
                deliveries.records.load(Ordering::Relaxed)
            ),
        }
    }

    fn split<'a>(&self, line: &'a [u8]) -> anyhow::Result<(Option<&'a [u8]>, &'a [u8])> {
        let Some(separator) = self.key_separator.as_deref().filter(|text| !text.is_empty()) else {
            return Ok((None, line));
        };
        let at = line.windows(separator.len()).position(|window| window == separator.as_bytes());
        let at = at.ok_or_else(|| anyhow!("there is no key separator `{separator}`"))?;
        Ok((Some(&line[..at]), &line[at + separator.len()..]))
    }

    fn report(&self, deliveries: &Deliveries, elapsed: Duration) {
        let (records, bytes) = (deliveries.records.load(Ordering::Acquire), deliveries.bytes.load(Ordering::Relaxed));
        if self.json {
            output::json(&serde_json::json!({
                "topic": self.topic, "records": records, "bytes": bytes, "elapsed_ms": elapsed.as_millis() as u64,
            }));
        } else {
            output::line(&format!(
                "{} records ({}) written to {} in {}",
                output::grouped(records),
                output::size(bytes),
                self.topic,
                output::seconds(elapsed)
            ));
        }
    }
}

/// Gives a record to the producer. While its queue is full it waits for as long as `patient` says, which is told how long
/// that has been; `false`: it was not waited any longer, and the record was not taken.
///
/// # Errors
/// When the producer refuses the record.
pub fn send<C: ProducerContext<DeliveryOpaque = ()> + 'static>(
    producer: &ThreadedProducer<C>,
    mut record: BaseRecord<'_, [u8], [u8]>,
    mut patient: impl FnMut(Duration) -> bool,
) -> Result<bool, KafkaError> {
    let mut full_since = None;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                if !patient(full_since.get_or_insert_with(Instant::now).elapsed()) {
                    return Ok(false);
                }
                record = back;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err((error, _)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_waited_for_no_longer_than_one_may() {
        // Nobody listens there, so nothing ever leaves the queue.
        let mut config = connect::unchecked("127.0.0.1:1");
        config.set("queue.buffering.max.messages", "1").set("message.timeout.ms", "0");
        let producer: ThreadedProducer<Deliveries> = config.create_with_context(Deliveries::default()).unwrap();
        let record = || BaseRecord::<[u8], [u8]>::to("topic").payload(b"value".as_slice());
        assert!(send(&producer, record(), |_| false).unwrap(), "there is room for one");
        let mut asked = Vec::new();
        let taken = send(&producer, record(), |waited| {
            asked.push(waited);
            asked.len() < 3
        });
        assert!(!taken.unwrap());
        assert!(asked.len() == 3 && asked.is_sorted(), "{asked:?}");
    }
}
