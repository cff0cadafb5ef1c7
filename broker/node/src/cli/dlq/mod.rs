//! `pelton dlq`: dead letters, listed, shown and put back exactly once.
//!
//! A dead-letter topic is an ordinary topic whose records say in their headers why they are there ([`letters`]). What was put back
//! is kept by the consumer group `pelton-dlq-TOPIC` ([`progress`]), in the transactions that put it back.

mod letters;
mod list;
mod progress;
mod replay;
mod show;

use super::{connect, output, read};
use anyhow::Context;
use clap::Subcommand;
use letters::Letter;
use progress::Progress;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;

/// Look at dead letters, and put them back exactly once.
// A variant without a comment has the help of its struct, examples and all.
#[derive(Debug, Subcommand)]
pub enum Dlq {
    List(list::List),
    Show(show::Show),
    Replay(replay::Replay),
}

impl Dlq {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(command) => command.run(),
            Self::Show(command) => command.run(),
            Self::Replay(command) => command.run(),
        }
    }
}

/// The group that keeps what was put back of a dead-letter topic.
fn group(topic: &str) -> String {
    format!("pelton-dlq-{topic}")
}

/// What was put back of each partition, as far as that is decided: of a replay that was killed, the open transaction does not
/// count.
fn decided(bootstrap: &str, topic: &str, partitions: &[read::Partition]) -> anyhow::Result<BTreeMap<i32, Progress>> {
    let mut config = connect::unchecked(bootstrap);
    config.set("isolation.level", "read_uncommitted").set("group.id", group(topic));
    progress(&config.create()?, topic, partitions)
}

/// What was put back of each partition. A consumer that reads what is committed waits for open transactions.
fn progress(
    consumer: &BaseConsumer,
    topic: &str,
    partitions: &[read::Partition],
) -> anyhow::Result<BTreeMap<i32, Progress>> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, partition.index);
    }
    let what = format!("what was put back of {topic}");
    let committed = consumer.committed_offsets(asked, connect::ANSWER).map_err(|e| connect::refused(&what, &e))?;
    let mut found = BTreeMap::new();
    for element in committed.elements() {
        element.error().map_err(|e| connect::refused(&what, &e))?;
        let progress = match element.offset() {
            Offset::Offset(position) => Progress::read(position, element.metadata())
                .with_context(|| format!("the group {} has an offset that is not this program's", group(topic)))?,
            _ => Progress::default(),
        };
        found.insert(element.partition(), progress);
    }
    Ok(found)
}

/// A record of a dead-letter topic as a letter.
fn letter(message: &BorrowedMessage<'_>) -> Letter {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let headers = headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)));
    let at = (message.partition(), message.offset());
    Letter::new(at, message.timestamp().to_millis().unwrap_or(-1), message.key(), message.payload(), headers)
}
