//! librdkafka as the load: the producer of numbered values, and the consumer that counts and sums what is there.

use super::values::{Tally, Values};
use crate::sender::{Batching, Sender};
use anyhow::{Context, Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::BaseRecord;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// How long nothing may be read.
const SILENCE: Duration = Duration::from_secs(120);

/// Where records go.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The broker.
    pub bootstrap: &'a str,
    /// Topics; records go to them in turn.
    pub topics: &'a [String],
    /// Partitions of each.
    pub partitions: i32,
}

/// What a client did.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    /// Records and their checksum.
    pub tally: Tally,
    /// Records that the time is of; the others were there to connect.
    pub timed: u64,
    /// From the first of them until the last is acknowledged or read.
    pub seconds: f64,
}

/// Sends `bytes` of values, and waits until all of them are acknowledged.
pub fn produce(target: Target<'_>, values: &mut Values, batching: Batching, bytes: u64) -> Result<Moved> {
    let sender = Sender::new(target.bootstrap, batching)?;
    let (mut tally, records) = (Tally::default(), bytes / values.bytes() as u64);
    // One for each partition before the clock starts, so that the producer has its id and its connections.
    let early = (target.topics.len() as u64 * target.partitions as u64).min(records);
    let mut began = Instant::now();
    for number in 0..records {
        if number == early {
            sender.finish()?;
            began = Instant::now();
        }
        let (topic, partition) = place(target, number);
        let value = values.of(number);
        tally.add(value);
        sender.enqueue(BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(value))?;
    }
    let delivered = sender.finish()?;
    ensure!(delivered == tally.records, "{delivered} records of {} were acknowledged", tally.records);
    Ok(Moved { tally, timed: records - early, seconds: began.elapsed().as_secs_f64() })
}

/// Each partition of each topic in turn.
fn place(target: Target<'_>, number: u64) -> (&str, i32) {
    let topics = target.topics.len().max(1) as u64;
    let topic = &target.topics[(number % topics) as usize];
    (topic, ((number / topics) % target.partitions as u64) as i32)
}

/// A consumer of all partitions of some topics, from the beginning.
pub fn consumer(target: Target<'_>) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", target.bootstrap)
        .set("group.id", "pelton-bench")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        // The default, a second, would be waited whenever the client's own queue was full.
        .set("fetch.queue.backoff.ms", "10")
        .create()?;
    let mut list = TopicPartitionList::new();
    for topic in target.topics {
        for partition in 0..target.partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

/// Reads topics to their ends.
pub fn consume(target: Target<'_>) -> Result<Moved> {
    let partitions = target.topics.len() * target.partitions as usize;
    let began = Instant::now();
    let consumer = consumer(target)?;
    let (mut tally, mut ended) = (Tally::default(), 0);
    let (mut heard, mut first, mut last) = (began, None, began);
    while ended < partitions {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => {
                tally.add(message.payload().with_context(|| format!("offset {} has no value", message.offset()))?);
                last = Instant::now();
                heard = last;
                first.get_or_insert(last);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                heard = Instant::now();
                ended += 1;
            }
            Some(Err(error)) => return Err(error.into()),
            None if heard.elapsed() > SILENCE => bail!("nothing was read for {} s", SILENCE.as_secs()),
            None => {}
        }
    }
    // To connect takes half a second by the client's own timers, which is nobody's throughput.
    Ok(Moved { tally, timed: tally.records, seconds: last.duration_since(first.unwrap_or(began)).as_secs_f64() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_go_to_every_partition_of_every_topic() {
        let topics = ["a".to_owned(), "b".to_owned()];
        let target = Target { bootstrap: "", topics: &topics, partitions: 3 };
        let mut places: Vec<_> = (0..6).map(|number| place(target, number)).collect();
        places.sort_unstable();
        assert_eq!(places, [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]);
        assert_eq!(place(target, 6), place(target, 0));
    }
}
