//! Reads ranges of offsets of a topic: committed records, in their order, no group joined and nothing committed.

use super::connect;
use super::consume::is_passing;
use anyhow::{anyhow, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// One partition, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Its index.
    pub index: i32,
    /// Its first offset.
    pub start: i64,
    /// The offset after its last record.
    pub end: i64,
}

/// Whether reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// With the next record.
    Record,
    /// No further.
    Stop,
}

/// A consumer that reads ranges. `group` is one that it may ask for offsets; it never joins it.
///
/// # Errors
/// When nobody answers.
pub fn consumer(bootstrap: &str, group: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = connect::kafka(bootstrap)?;
    config
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("group.id", group)
        .set("queued.max.messages.kbytes", "32768")
        .set("fetch.wait.max.ms", "100");
    Ok(config.create()?)
}

/// The partitions of a topic, by their index.
///
/// # Errors
/// When there is no such topic.
pub fn partitions(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<Vec<Partition>> {
    let what = format!("the topic {topic}");
    // All topics are asked for: asking for one by name could create it.
    let metadata = consumer.fetch_metadata(None, connect::ANSWER).map_err(|e| connect::refused(&what, &e))?;
    let Some(found) = metadata.topics().iter().find(|known| known.name() == topic) else {
        bail!("there is no topic {topic}; `pelton topic list` shows what there is");
    };
    let mut partitions = Vec::new();
    for index in found.partitions().iter().map(|partition| partition.id()) {
        let watermarks = consumer.fetch_watermarks(topic, index, connect::ANSWER);
        let (start, end) = watermarks.map_err(|e| connect::refused(&what, &e))?;
        partitions.push(Partition { index, start, end });
    }
    partitions.sort_by_key(|partition| partition.index);
    Ok(partitions)
}

/// Reads the records from offset `from` up to `to`, and gives each to `take`. Ends early where the partition does.
///
/// # Errors
/// Those of `take`; when the broker falls silent.
pub fn range(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    (from, to): (i64, i64),
    mut take: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<Next>,
) -> anyhow::Result<Next> {
    if from >= to {
        return Ok(Next::Record);
    }
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(from))?;
    consumer.assign(&assignment)?;
    let mut heard = Instant::now();
    let outcome = loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) if message.partition() == partition => {
                heard = Instant::now();
                if message.offset() >= to {
                    break Next::Record;
                }
                if take(&message)? == Next::Stop {
                    break Next::Stop;
                }
                if message.offset() + 1 >= to {
                    break Next::Record;
                }
            }
            Some(Err(KafkaError::PartitionEOF(ended))) if ended == partition => break Next::Record,
            None | Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => return Err(connect::refused(&format!("reading {topic}"), &error)),
        }
        if heard.elapsed() > connect::ANSWER {
            return Err(anyhow!(
                "reading {topic}, partition {partition}: the broker has fallen silent; is it running?"
            ));
        }
    };
    consumer.unassign()?;
    Ok(outcome)
}
