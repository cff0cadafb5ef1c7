//! The load: librdkafka's idempotent producer with acks=all, and a reader that counts and sums what is there.

use crate::sender::{Batching, Sender};
use crate::versus::client::{self, Target};
use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::BaseRecord;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Partitions of every topic.
pub const PARTITIONS: i32 = 12;

/// How records look and how they are sent.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Bytes of a value.
    pub value_bytes: usize,
    /// `batch.size`.
    pub batch_bytes: usize,
}

/// The member that the redacting works replace, and what it says before.
pub const REDACTED_FIELD: &str = "card";
/// First byte of the values that the filtering works take away: a space, which changes nothing for JSON.
pub const DROPPED_FIRST: char = ' ';
/// One record of so many begins with it.
const DROPPED_ONE_OF: u64 = 10;

const CARD: &[u8] = b"\",\"card\":\"4000123412341234\"";
const NO_CARD: &[u8] = b"\",\"card\":\"[redacted]\"";
const NUMBER: &[u8] = b"{\"n\":\"";
const NUMBER_DIGITS: usize = 16;
/// No value is smaller.
pub const VALUE_MIN_BYTES: usize = 80;

/// What was acknowledged or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Records.
    pub records: u64,
    /// Wrapping sum of their numbers.
    pub sum: u64,
    /// Those of them whose card was replaced.
    pub redacted: u64,
}

impl Tally {
    fn add(&mut self, number: u64) {
        self.records += 1;
        self.sum = self.sum.wrapping_add(number);
    }

    /// The first `count` records, less those that the filter takes away.
    pub fn filtered(count: u64) -> Self {
        let mut tally = Self::default();
        (0..count).filter(|number| !is_dropped(*number)).for_each(|number| tally.add(number));
        tally
    }
}

fn is_dropped(number: u64) -> bool {
    number % DROPPED_ONE_OF == DROPPED_ONE_OF - 1
}

/// A JSON document of exactly `bytes` bytes that has `number` in it.
fn write_value(value: &mut Vec<u8>, number: u64, bytes: usize) {
    value.clear();
    if is_dropped(number) {
        value.push(DROPPED_FIRST as u8);
    }
    value.extend_from_slice(NUMBER);
    let mut left = number;
    let mut digits = [b'0'; NUMBER_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    value.extend_from_slice(&digits);
    value.extend_from_slice(CARD);
    value.extend_from_slice(b",\"note\":\"");
    value.resize(bytes.saturating_sub(2).max(value.len()), b'x');
    value.extend_from_slice(b"\"}");
}

/// The number of a value, and whether its card was replaced. `None`: it is none of ours, or is broken.
fn read_value(value: &[u8]) -> Option<(u64, bool)> {
    let value = value.strip_prefix(&[DROPPED_FIRST as u8]).unwrap_or(value).strip_suffix(b"\"}")?;
    let (digits, rest) = value.strip_prefix(NUMBER)?.split_first_chunk::<NUMBER_DIGITS>()?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let redacted = rest.starts_with(NO_CARD);
    (redacted || rest.starts_with(CARD)).then_some((number, redacted))
}

/// A producer of numbered records.
pub struct Load {
    sender: Sender,
    shape: Shape,
    next: u64,
    tally: Tally,
}

/// Makes a topic.
pub fn create_topic(bootstrap: &str, topic: &str, partitions: i32) -> Result<()> {
    create_topic_with(bootstrap, topic, partitions, &[])
}

/// Makes a topic with configs of its own.
pub fn create_topic_with(bootstrap: &str, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let new = configs.iter().fold(new, |new, (name, value)| new.set(name, value));
    let runtime = tokio_free(admin.create_topics([&new], &AdminOptions::new()));
    match runtime?.pop().context("no answer")? {
        Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
        Err((topic, code)) => bail!("cannot make {topic}: {code}"),
    }
}

/// Takes a topic away.
pub fn delete_topic(bootstrap: &str, topic: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    match tokio_free(admin.delete_topics(&[topic], &AdminOptions::new()))?.pop().context("no answer")? {
        Ok(_) => Ok(()),
        Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
    }
}

/// Runs a future of librdkafka, whose own threads wake it, without a runtime.
fn tokio_free<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park_timeout(Duration::from_millis(50)),
        }
    }
}

impl Load {
    /// Connects.
    pub fn new(bootstrap: &str, shape: Shape) -> Result<Self> {
        let batching = Batching { linger_ms: 5, batch_bytes: shape.batch_bytes, codec: "none" };
        Ok(Self { sender: Sender::new(bootstrap, batching)?, shape, next: 0, tally: Tally::default() })
    }

    /// Sends `bytes` of values to a topic and waits until all is acknowledged.
    pub fn send(&mut self, topic: &str, bytes: u64) -> Result<()> {
        let mut value = Vec::with_capacity(self.shape.value_bytes);
        for _ in 0..bytes / self.shape.value_bytes as u64 {
            write_value(&mut value, self.next, self.shape.value_bytes);
            let partition = (self.next % PARTITIONS as u64) as i32;
            self.sender.enqueue(BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(&value))?;
            self.tally.add(self.next);
            self.next += 1;
        }
        let delivered = self.sender.finish()?;
        ensure!(delivered == self.tally.records, "{delivered} records of {} were delivered", self.tally.records);
        Ok(())
    }

    /// Bytes of a value.
    pub fn value_bytes(&self) -> usize {
        self.shape.value_bytes
    }

    /// What was acknowledged.
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

/// Reads a topic to its end.
pub fn read_all(bootstrap: &str, topic: &str) -> Result<Tally> {
    let topics = [topic.to_owned()];
    let consumer = client::consumer(Target { bootstrap, topics: &topics, partitions: PARTITIONS })?;
    let mut tally = Tally::default();
    let (mut ended, mut heard) = (0, Instant::now());
    while ended < PARTITIONS {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let read = message.payload().and_then(read_value);
                let (number, redacted) = read.with_context(|| format!("offset {} is broken", message.offset()))?;
                tally.add(number);
                tally.redacted += u64::from(redacted);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                heard = Instant::now();
                ended += 1;
            }
            Some(Err(error)) => return Err(error.into()),
            None if heard.elapsed() > Duration::from_secs(60) => bail!("nothing was read for a minute"),
            None => {}
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_of_their_size_and_tell_their_number() {
        let mut value = Vec::new();
        for (number, bytes) in [(0, 100), (9, VALUE_MIN_BYTES), (1_234_567, 1_000)] {
            write_value(&mut value, number, bytes);
            assert_eq!(value.len(), bytes);
            let json: serde_json::Value = serde_json::from_slice(&value).unwrap();
            assert_eq!(json[REDACTED_FIELD], "4000123412341234");
            assert_eq!(read_value(&value), Some((number, false)));
            assert_eq!(value.starts_with(b" "), number == 9);
        }
        let text = String::from_utf8(value).unwrap().replace("4000123412341234", "[redacted]");
        assert_eq!(read_value(text.as_bytes()), Some((1_234_567, true)));
        assert_eq!(read_value(text.replace("redacted", "secret").as_bytes()), None);
    }

    #[test]
    fn one_of_ten_is_filtered() {
        let tally = Tally::filtered(25);
        assert_eq!((tally.records, tally.sum), (23, 300 - 9 - 19));
    }
}
