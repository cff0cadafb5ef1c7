//! `pelton consume`: records to lines.

use super::{Bootstrap, connect, output, text};
use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::time::Duration;

/// Read records from a topic.
///
/// Without a group the end of the topic is where reading begins, unless --from-beginning or --offset says
/// otherwise; with a group it begins where the group has committed, and commits as it goes.
#[derive(Debug, Args)]
pub struct Consume {
    /// Name of the topic.
    topic: String,
    /// Begin with the first record that is kept.
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Begin at this offset of every partition, or of --partition.
    #[arg(long, value_name = "N", conflicts_with = "group")]
    offset: Option<i64>,
    /// Read this partition alone.
    #[arg(long, value_name = "N", conflicts_with = "group")]
    partition: Option<i32>,
    /// Whether records of open and aborted transactions are read as well.
    #[arg(long, value_enum, default_value = "read_committed", value_name = "LEVEL")]
    isolation: Isolation,
    /// Join this consumer group and commit to it.
    #[arg(long, short, value_name = "NAME")]
    group: Option<String>,
    /// Stop after this many records.
    #[arg(long, short = 'n', value_name = "N")]
    max_messages: Option<u64>,
    /// Stop when every partition was read to its end.
    #[arg(long, short = 'e')]
    exit_at_end: bool,
    /// Print each record as one line of JSON.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// How a record is printed: %t topic, %p partition, %o offset, %k key, %v value, %T timestamp (ms), %h headers,
    /// %% a percent sign; \n, \t and \\ are escapes.
    #[arg(long, short, default_value = "%v\\n", value_name = "FORMAT")]
    format: String,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Isolation {
    #[value(name = "read_committed", alias = "read-committed")]
    Committed,
    #[value(name = "read_uncommitted", alias = "read-uncommitted")]
    Uncommitted,
}

impl Consume {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let format = Format::parse(&self.format)?;
        let consumer = self.connect()?;
        let (mut printed, mut ended) = (0u64, BTreeSet::new());
        if self.max_messages == Some(0) {
            return Ok(());
        }
        loop {
            match consumer.poll(Duration::from_millis(200)) {
                None => {}
                Some(Ok(message)) => {
                    ended.remove(&message.partition());
                    if self.json {
                        print_json(&message)
                    } else {
                        output::bytes(&format.render(&message))
                    }
                    printed += 1;
                    if self.group.is_some() {
                        consumer.store_offset_from_message(&message)?;
                    }
                    if self.max_messages == Some(printed) {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(connect::refused(&format!("reading {}", self.topic), &error)),
            }
            if self.exit_at_end && at_end(&consumer, &ended)? {
                break;
            }
        }
        if self.group.is_some() {
            match consumer.commit_consumer_state(CommitMode::Sync) {
                Ok(()) | Err(KafkaError::ConsumerCommit(rdkafka::types::RDKafkaErrorCode::NoOffset)) => {}
                Err(error) => return Err(connect::refused("committing", &error)),
            }
        }
        Ok(())
    }

    fn connect(&self) -> anyhow::Result<BaseConsumer> {
        let mut config: ClientConfig = connect::kafka(&self.bootstrap.bootstrap)?;
        let isolation = match self.isolation {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        };
        config
            .set("isolation.level", isolation)
            .set("enable.partition.eof", "true")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", if self.from_beginning { "earliest" } else { "latest" })
            .set("group.id", self.group.as_deref().unwrap_or("pelton-cli"))
            .set("enable.auto.commit", if self.group.is_some() { "true" } else { "false" })
            .set("fetch.wait.max.ms", "100");
        let consumer: BaseConsumer = config.create()?;
        let metadata = consumer.fetch_metadata(None, connect::ANSWER).map_err(|e| connect::refused("metadata", &e))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == self.topic) else {
            bail!("there is no topic {}; `pelton topic list` shows what there is", self.topic);
        };
        if self.group.is_some() {
            consumer.subscribe(&[&self.topic])?;
            return Ok(consumer);
        }
        let mut partitions: Vec<i32> = topic.partitions().iter().map(|partition| partition.id()).collect();
        if let Some(wanted) = self.partition {
            partitions.retain(|partition| *partition == wanted);
            ensure!(!partitions.is_empty(), "the topic {} has no partition {wanted}", self.topic);
        }
        let from = match self.offset {
            Some(offset) => Offset::Offset(offset),
            None if self.from_beginning => Offset::Beginning,
            None => Offset::End,
        };
        let mut assignment = TopicPartitionList::new();
        for partition in partitions {
            assignment.add_partition_offset(&self.topic, partition, from)?;
        }
        consumer.assign(&assignment)?;
        Ok(consumer)
    }
}

/// Whether there is an assignment, and every partition of it has come to its end.
fn at_end(consumer: &BaseConsumer, ended: &BTreeSet<i32>) -> anyhow::Result<bool> {
    if ended.is_empty() {
        return Ok(false);
    }
    let assignment = consumer.assignment()?;
    let elements = assignment.elements();
    Ok(!elements.is_empty() && elements.iter().all(|element| ended.contains(&element.partition())))
}

/// Whether librdkafka mends this by itself.
pub fn is_passing(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
        )
    )
}

fn print_json(message: &BorrowedMessage<'_>) {
    let header = |key: &str, value| serde_json::json!({ "key": key, "value": text::to_json(value) });
    let headers: Vec<_> =
        message.headers().map(|headers| headers.iter().map(|h| header(h.key, h.value)).collect()).unwrap_or_default();
    output::json(&serde_json::json!({
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp().to_millis(),
        "key": text::to_json(message.key()),
        "value": text::to_json(message.payload()),
        "headers": headers,
    }));
}

/// A format, parsed.
struct Format(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Field(char),
}

impl Format {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => literal.push(b'\n'),
                    Some('t') => literal.push(b'\t'),
                    Some('\\') => literal.push(b'\\'),
                    other => bail!("--format: `\\{}` is no escape; use \\n, \\t or \\\\", display(other)),
                },
                '%' => match chars.next() {
                    Some('%') => literal.push(b'%'),
                    Some(field @ ('t' | 'p' | 'o' | 'k' | 'v' | 'T' | 'h')) => {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                        pieces.push(Piece::Field(field));
                    }
                    other => bail!("--format: `%{}` is no field; use %t %p %o %k %v %T %h or %%", display(other)),
                },
                other => literal.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        pieces.push(Piece::Text(literal));
        Ok(Self(pieces))
    }

    fn render(&self, message: &BorrowedMessage<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Field('t') => out.extend_from_slice(message.topic().as_bytes()),
                Piece::Field('p') => out.extend_from_slice(message.partition().to_string().as_bytes()),
                Piece::Field('o') => out.extend_from_slice(message.offset().to_string().as_bytes()),
                Piece::Field('k') => out.extend_from_slice(message.key().unwrap_or_default()),
                Piece::Field('T') => {
                    let timestamp = message.timestamp().to_millis().unwrap_or(-1);
                    out.extend_from_slice(timestamp.to_string().as_bytes());
                }
                Piece::Field('h') => {
                    for (at, header) in message.headers().into_iter().flat_map(|all| all.iter()).enumerate() {
                        out.extend_from_slice(if at == 0 { b"" } else { b"," });
                        out.extend_from_slice(header.key.as_bytes());
                        out.push(b'=');
                        out.extend_from_slice(header.value.unwrap_or_default());
                    }
                }
                Piece::Field(_) => out.extend_from_slice(message.payload().unwrap_or_default()),
            }
        }
        out
    }
}

fn display(c: Option<char>) -> String {
    c.map(String::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_parsed_and_faults_named() {
        let pieces = Format::parse("%k\\t%v%%\\n").unwrap().0;
        let text = |text: &str| Piece::Text(text.as_bytes().to_vec());
        assert_eq!(pieces, [text(""), Piece::Field('k'), text("\t"), Piece::Field('v'), text("%\n")]);
        for bad in ["%z", "%", "\\x", "\\"] {
            assert!(Format::parse(bad).is_err(), "{bad}");
        }
    }
}
