//! `pelton dlq replay`: letters go back where they came from, exactly once.
//!
//! Letters and the note that they were put back are one transaction of the transactional id `pelton-dlq-TOPIC`. A run that is
//! killed leaves whole transactions or nothing; the next run fences it, sees what is done, and goes on.

use super::letters::{Edit, Letter, Where};
use super::progress::Progress;
use super::read::{self, Next};
use super::{group, letter, output, progress};
use crate::cli::lines::Lines;
use crate::cli::{Bootstrap, connect};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use indicatif::ProgressBar;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Letters in one transaction, at most.
const CHUNK_LETTERS: usize = 5_000;
/// Their keys and values, in bytes, at most; one letter may be larger alone.
const CHUNK_BYTES: usize = 16 << 20;
/// Repaired letters that one run takes, at most.
const EDITS: usize = 1_000_000;
/// How often a commit is tried again while the broker is busy.
const TRIES: usize = 20;

/// Put letters back where they came from, exactly once.
///
/// A letter goes to the topic and partition that it was sent to, with the key, value, timestamp and headers that it had. The
/// letters and the note that they are done are one transaction: a run that is killed and run again doubles nothing. The
/// letters stay in their topic; `pelton dlq show --all` shows them.
///
/// Letters that --where does not mean, or that --edit does not name, are left waiting, and a later run may put them back. A
/// letter that was cut must be repaired first. When the broker refuses a record, the run stops and names it; what
/// was put back before stays done.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n\
    \x20 pelton dlq replay orders-dead-letter --where plugin=mask@1\n\
    \x20 pelton dlq show orders-dead-letter --json > repair.jsonl    (edit it)\n\
    \x20 pelton dlq replay orders-dead-letter --edit repair.jsonl")]
pub struct Replay {
    /// Name of the dead-letter topic.
    topic: String,
    /// Put them into this topic instead of the one that each came from.
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,
    /// Only letters that are so, such as plugin=mask@1 or reason~JSON; may be given several times.
    #[arg(long = "where", value_name = "FIELD=TEXT")]
    filters: Vec<Where>,
    /// Only the letters in this file, as they were repaired: lines of JSON from `pelton dlq show --json`.
    #[arg(long, value_name = "FILE")]
    edit: Option<PathBuf>,
    /// Say what would be put back, and put nothing back.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Collects what was not written, by the number of the letter in its transaction.
#[derive(Default)]
struct Deliveries {
    failed: Mutex<Vec<(usize, KafkaError)>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, letter: usize) {
        if let Err((error, _)) = result {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).push((letter, error.clone()));
        }
    }
}

/// A letter on its way back.
struct Returning {
    letter: Letter,
    topic: String,
    /// `None` leaves it to the partitioner.
    partition: Option<i32>,
}

/// Letters of one transaction, and what is done when it commits.
#[derive(Default)]
struct Chunk {
    letters: Vec<Returning>,
    bytes: usize,
}

/// What a run did.
#[derive(Debug, Default, serde::Serialize)]
struct Outcome {
    put_back: u64,
    left: u64,
    by_topic: BTreeMap<String, u64>,
}

impl Replay {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let edits = self.edit.as_deref().map(edits).transpose()?;
        let consumer = read::consumer(&self.bootstrap.bootstrap, &group(&self.topic))?;
        let partitions = read::partitions(&consumer, &self.topic)?;
        let producer = if self.dry_run { None } else { Some(self.producer()?) };
        // Read after the producer has fenced whoever came before: nothing is open any more.
        let progress = progress(&consumer, &self.topic, &partitions)?;
        let waiting: i64 = partitions.iter().map(|p| progress[&p.index].waiting(p.start, p.end)).sum();
        let bar = output::progress(
            Some(u64::try_from(waiting).unwrap_or(0)),
            "{bar:30} {pos}/{len} letters  {eta} left  {msg}",
        );
        let targets = targets(&consumer)?;
        let mut run = Run {
            command: &self,
            consumer: &consumer,
            producer,
            progress,
            targets,
            edits: edits.unwrap_or_default(),
            chunk: Chunk::default(),
            outcome: Outcome::default(),
            bar,
        };
        let ended = partitions.iter().try_for_each(|partition| run.partition(partition)).and_then(|()| run.commit());
        run.bar.finish_and_clear();
        for (partition, offset) in run.edits.keys().take(10) {
            output::note(&format!("partition {partition} offset {offset} of --edit is no letter that waits"));
        }
        self.report(&run.outcome, ended.is_err());
        ended
    }

    fn producer(&self) -> anyhow::Result<BaseProducer<Deliveries>> {
        let mut config = connect::kafka(&self.bootstrap.bootstrap)?;
        config
            .set("transactional.id", group(&self.topic))
            .set("message.max.bytes", "67108864")
            .set("linger.ms", "5")
            .set("partitioner", "murmur2_random");
        let producer: BaseProducer<Deliveries> = config.create_with_context(Deliveries::default())?;
        let fenced = producer.init_transactions(connect::ANSWER);
        fenced.map_err(|e| connect::refused("beginning a replay", &e))?;
        Ok(producer)
    }

    fn report(&self, outcome: &Outcome, failed: bool) {
        if self.json {
            output::json(&serde_json::json!({ "topic": self.topic, "dry_run": self.dry_run, "outcome": outcome }));
            return;
        }
        if failed && outcome.put_back == 0 {
            return;
        }
        let would = if self.dry_run { "would be put back" } else { "put back" };
        let topics: Vec<String> =
            outcome.by_topic.iter().map(|(topic, count)| format!("{count} into {topic}")).collect();
        let topics = if topics.is_empty() { String::new() } else { format!(" ({})", topics.join(", ")) };
        output::line(&format!("{} letters {would}{topics}, {} left waiting", outcome.put_back, outcome.left));
    }
}

/// A run of the command.
struct Run<'a> {
    command: &'a Replay,
    consumer: &'a BaseConsumer,
    /// `None` in a dry run.
    producer: Option<BaseProducer<Deliveries>>,
    progress: BTreeMap<i32, Progress>,
    /// Topics and their numbers of partitions.
    targets: BTreeMap<String, i32>,
    edits: BTreeMap<(i32, i64), Edit>,
    chunk: Chunk,
    outcome: Outcome,
    bar: ProgressBar,
}

impl Run<'_> {
    fn partition(&mut self, partition: &read::Partition) -> anyhow::Result<()> {
        let (consumer, command) = (self.consumer, self.command);
        let mut since = self.progress[&partition.index].position();
        let range = (since.max(partition.start), partition.end);
        read::range(consumer, &command.topic, partition.index, range, |message| {
            let letter = letter(message);
            let from = std::mem::replace(&mut since, letter.offset + 1);
            if !self.progress[&partition.index].is_done(letter.offset) {
                self.bar.inc(1);
                self.take(letter, from)?;
            }
            Ok(Next::Record)
        })
        .map(|_| ())
    }

    /// Takes a letter into the transaction, or leaves it. Where offsets since `since` hold no letter, they are done with it.
    fn take(&mut self, mut letter: Letter, since: i64) -> anyhow::Result<()> {
        let edit = self.edits.remove(&(letter.partition, letter.offset));
        let meant = self.command.filters.iter().all(|filter| filter.holds(&letter));
        if !meant || (self.command.edit.is_some() && edit.is_none()) {
            self.outcome.left += 1;
            return Ok(());
        }
        if letter.is_cut() && edit.is_none() {
            bail!(
                "{} is not whole: its value was cut; give the whole record by --edit, or leave it out by --where",
                letter.name()
            );
        }
        let moved = edit.as_ref().is_some_and(|edit| edit.content.key != letter.content.key);
        if let Some(edit) = edit {
            letter.content = edit.content;
        }
        let (topic, partition) = self.target(&letter, moved)?;
        let bytes = letter.content.key.as_ref().map_or(0, Vec::len) + letter.content.value.as_ref().map_or(0, Vec::len);
        if self.chunk.letters.len() >= CHUNK_LETTERS || (self.chunk.bytes + bytes > CHUNK_BYTES && self.chunk.bytes > 0)
        {
            self.commit()?;
        }
        self.chunk.bytes += bytes;
        let progress = self.progress.get_mut(&letter.partition).expect("every partition that is read has its progress");
        progress.done(since, letter.offset);
        self.chunk.letters.push(Returning { letter, topic, partition });
        Ok(())
    }

    /// Where a letter goes. It keeps its partition, which is where the records of its key are; with another key, or in
    /// another topic, the partitioner chooses.
    fn target(&self, letter: &Letter, moved: bool) -> anyhow::Result<(String, Option<i32>)> {
        let origin = letter.origin();
        let topic = match (&self.command.to, origin) {
            (Some(to), _) => to.as_str(),
            (None, Some((topic, _))) => topic,
            (None, None) => bail!("{} does not say which topic it was sent to; give --to TOPIC", letter.name()),
        };
        let Some(partitions) = self.targets.get(topic) else {
            bail!("{}: there is no topic {topic} any more; give --to TOPIC", letter.name());
        };
        if topic == self.command.topic {
            bail!("{} would be put back into {topic} itself; give --to TOPIC", letter.name());
        }
        let same = origin.is_some_and(|(origin, _)| origin == topic) && !moved;
        let partition = origin.and_then(|(_, partition)| partition);
        Ok((topic.to_owned(), partition.filter(|index| same && (0..*partitions).contains(index))))
    }

    /// Puts the letters of the chunk back, in one transaction with the progress.
    fn commit(&mut self) -> anyhow::Result<()> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.letters.is_empty() {
            return Ok(());
        }
        if let Some(producer) = &self.producer {
            let mut offsets = TopicPartitionList::new();
            for (partition, progress) in &self.progress {
                if !chunk.letters.iter().any(|returning| returning.letter.partition == *partition) {
                    continue;
                }
                let mut element = offsets.add_partition(&self.command.topic, *partition);
                element.set_offset(Offset::Offset(progress.position()))?;
                element.set_metadata(progress.metadata()?);
            }
            if let Err(error) = self.transaction(producer, &chunk, &offsets) {
                // What failed is left out of the outcome: nothing of this transaction was written.
                return Err(self.abort(producer, &chunk, error));
            }
        }
        self.outcome.put_back += chunk.letters.len() as u64;
        for returning in chunk.letters {
            *self.outcome.by_topic.entry(returning.topic).or_default() += 1;
        }
        self.bar.set_message(format!("{} put back", self.outcome.put_back));
        Ok(())
    }

    fn transaction(
        &self,
        producer: &BaseProducer<Deliveries>,
        chunk: &Chunk,
        offsets: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        producer.begin_transaction()?;
        for (number, returning) in chunk.letters.iter().enumerate() {
            send(producer, returning, number)?;
        }
        let group = self.consumer.group_metadata().ok_or(KafkaError::ClientCreation("no group".to_owned()))?;
        again(|| producer.send_offsets_to_transaction(offsets, &group, connect::ANSWER))?;
        producer.flush(connect::ANSWER)?;
        again(|| producer.commit_transaction(connect::ANSWER))
    }

    /// Ends a transaction that cannot commit, and says which letter it failed for.
    fn abort(&self, producer: &BaseProducer<Deliveries>, chunk: &Chunk, error: KafkaError) -> anyhow::Error {
        let aborted = again(|| producer.abort_transaction(connect::ANSWER));
        let mut failed = std::mem::take(&mut *producer.context().failed.lock().unwrap_or_else(PoisonError::into_inner));
        // Of a batch with one bad record the others fail as well; the bad one is told by its own code.
        failed.sort_by_key(|(number, error)| {
            (error.rdkafka_error_code() != Some(RDKafkaErrorCode::InvalidRecord), *number)
        });
        let named = failed.iter().find(|(_, error)| !is_consequence(error));
        if let Some((returning, error)) = named.and_then(|(number, error)| Some((chunk.letters.get(*number)?, error))) {
            let letter = &returning.letter;
            let why = connect::refused(&format!("{} was refused by {}", letter.name(), returning.topic), error);
            return anyhow!(
                "{why}; the {} letters of its transaction wait on. Repair it with --edit, or leave it out: --where",
                chunk.letters.len()
            );
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fenced) {
            return anyhow!("another replay of {} has begun, and goes on instead of this one", self.command.topic);
        }
        let why = connect::refused("the letters could not be put back", &error);
        match aborted {
            Ok(()) => anyhow!("{why}; those of the last transaction wait on, so run it again"),
            Err(_) => anyhow!("{why}; run it again: what is done is done, and nothing is doubled"),
        }
    }
}

/// Whether the record failed because another did.
fn is_consequence(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error.rdkafka_error_code(), Some(Code::PurgeQueue | Code::PurgeInflight | Code::InvalidDifferentRecord))
}

/// Tries again what librdkafka says may be tried again.
fn again(mut request: impl FnMut() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let mut outcome = request();
    for _ in 1..TRIES {
        match &outcome {
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                std::thread::sleep(Duration::from_millis(200));
                outcome = request();
            }
            _ => break,
        }
    }
    outcome
}

fn send(producer: &BaseProducer<Deliveries>, returning: &Returning, number: usize) -> Result<(), KafkaError> {
    let content = &returning.letter.content;
    let mut headers = OwnedHeaders::new_with_capacity(content.headers.len());
    for (key, value) in &content.headers {
        headers = headers.insert(Header { key, value: value.as_deref() });
    }
    let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&returning.topic, number);
    record.key = content.key.as_deref();
    record.payload = content.value.as_deref();
    record.partition = returning.partition;
    record.timestamp = Some(returning.letter.timestamp_ms).filter(|timestamp| *timestamp >= 0);
    record.headers = (!content.headers.is_empty()).then_some(headers);
    let begun = Instant::now();
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            // A queue that stays full for so long is of a broker that takes nothing.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                if begun.elapsed() < connect::ANSWER =>
            {
                producer.poll(Duration::from_millis(10));
                record = back;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// The topics that there are, with their numbers of partitions.
fn targets(consumer: &BaseConsumer) -> anyhow::Result<BTreeMap<String, i32>> {
    let metadata = consumer.fetch_metadata(None, connect::ANSWER).map_err(|e| connect::refused("metadata", &e))?;
    let count = |partitions: usize| i32::try_from(partitions).unwrap_or(i32::MAX);
    Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), count(topic.partitions().len()))).collect())
}

fn edits(path: &Path) -> anyhow::Result<BTreeMap<(i32, i64), Edit>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = Lines::new(BufReader::new(file));
    let mut edits = BTreeMap::new();
    loop {
        let at = lines.number() + 1;
        let what = || format!("{}, line {at}", path.display());
        let Some(line) = lines.read().with_context(what)? else { break };
        let line = std::str::from_utf8(line).with_context(what)?;
        if line.trim().is_empty() {
            continue;
        }
        let edit = Edit::parse(line).with_context(what)?;
        if edits.len() == EDITS {
            bail!("{} has more than {EDITS} letters; split it", path.display());
        }
        let letter = edit.letter;
        if edits.insert(letter, edit).is_some() {
            bail!("{}: partition {} offset {} stands there twice", what(), letter.0, letter.1);
        }
    }
    Ok(edits)
}
