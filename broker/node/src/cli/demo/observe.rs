//! Reads the counts with a read_committed consumer, from the first record to the last, through all kills.
//!
//! Every count of a path must be one above the count before it: a repeat is a view counted twice, a gap is a view
//! lost, whatever the last count says.

use super::letters::{Letter, Letters};
use crate::cli::connect;
use crate::cli::consume::is_passing;
use anyhow::bail;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the broker may say nothing before its end is doubted.
const SILENCE: Duration = Duration::from_secs(60);

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The last count of each path.
    pub counts: BTreeMap<Vec<u8>, u64>,
    /// Counts that were read.
    pub outputs: u64,
    /// Counts that a path had had before.
    pub repeats: u64,
    /// Counts that a path skipped.
    pub gaps: u64,
    /// Records without a path and a number.
    pub unreadable: u64,
    /// What the dead-letter topic holds.
    pub letters: Letters,
}

impl Observed {
    fn count(&mut self, path: Option<&[u8]>, value: Option<&[u8]>) {
        let number = value.and_then(|value| std::str::from_utf8(value).ok()).and_then(|text| text.parse::<u64>().ok());
        let (Some(path), Some(number)) = (path, number) else {
            self.unreadable += 1;
            return;
        };
        self.outputs += 1;
        let last = match self.counts.get_mut(path) {
            Some(last) => last,
            None => self.counts.entry(path.to_vec()).or_default(),
        };
        if number <= *last {
            self.repeats += 1;
        } else {
            self.gaps += number - *last - 1;
            *last = number;
        }
    }

    fn top(&self, many: usize) -> Vec<(String, u64)> {
        let mut top: Vec<(&Vec<u8>, u64)> = Vec::new();
        for (path, count) in &self.counts {
            let at = top.partition_point(|(_, other)| other >= count);
            if at < many {
                top.insert(at, (path, *count));
                top.truncate(many);
            }
        }
        top.into_iter().map(|(path, count)| (String::from_utf8_lossy(path).into_owned(), count)).collect()
    }
}

/// What the observer tells while it reads.
#[derive(Default)]
pub struct ObserverState {
    /// Lines that came out at the other end: counts and dead letters.
    pub handled: AtomicU64,
    /// The pages with the most views.
    pub top: Mutex<Vec<(String, u64)>>,
    /// Read what is left, to the end, and finish.
    pub finish: AtomicBool,
    /// Give up.
    pub stop: AtomicBool,
}

/// Starts the observer.
///
/// # Errors
/// When a consumer cannot be made.
pub fn start(
    bootstrap: &str,
    output: &str,
    dead_letters: &str,
    partitions: i32,
    state: Arc<ObserverState>,
) -> anyhow::Result<JoinHandle<anyhow::Result<Observed>>> {
    let reader = Reader {
        output: Topic::new(bootstrap, output, partitions)?,
        dead_letters: Topic::new(bootstrap, dead_letters, partitions)?,
        observed: Observed::default(),
    };
    Ok(std::thread::spawn(move || reader.run(&state)))
}

/// One topic, read by a consumer of its own: the event of a partition's end does not say of which topic.
struct Topic {
    name: String,
    consumer: BaseConsumer,
    positions: BTreeMap<i32, Offset>,
}

enum Polled<'a> {
    Nothing,
    Record(BorrowedMessage<'a>),
    End(i32),
}

impl Topic {
    fn new(bootstrap: &str, name: &str, partitions: i32) -> anyhow::Result<Self> {
        let mut config = connect::unchecked(bootstrap);
        config
            .set("group.id", "pelton-demo")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            // An offset that is not there would be a record lost, or given again: never jump.
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.message.max.bytes", "4194304")
            .set("queued.max.messages.kbytes", "32768");
        let positions = (0..partitions).map(|partition| (partition, Offset::Beginning)).collect();
        let topic = Self { name: name.to_owned(), consumer: config.create()?, positions };
        topic.assign()?;
        Ok(topic)
    }

    fn assign(&self) -> anyhow::Result<()> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &self.positions {
            list.add_partition_offset(&self.name, *partition, *offset)?;
        }
        self.consumer.assign(&list)?;
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> anyhow::Result<Polled<'_>> {
        match self.consumer.poll(wait) {
            None => Ok(Polled::Nothing),
            Some(Ok(message)) => {
                self.positions.insert(message.partition(), Offset::Offset(message.offset() + 1));
                Ok(Polled::Record(message))
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(Polled::End(partition)),
            Some(Err(error)) if is_passing(&error) => Ok(Polled::Nothing),
            Some(Err(error)) => Err(connect::refused(&format!("reading {}", self.name), &error)),
        }
    }
}

struct Reader {
    output: Topic,
    dead_letters: Topic,
    observed: Observed,
}

impl Reader {
    fn run(mut self, state: &ObserverState) -> anyhow::Result<Observed> {
        let mut next_table = Instant::now();
        while !state.finish.load(Ordering::Acquire) {
            if state.stop.load(Ordering::Acquire) {
                return Ok(self.observed);
            }
            self.read_some(state)?;
            if Instant::now() >= next_table {
                let began = Instant::now();
                self.publish_top(state);
                // With very many paths the table is made less often.
                next_table = Instant::now() + Duration::from_millis(200).max(began.elapsed() * 20);
            }
        }
        read_to_the_end(&mut self.output, state, |m| self.observed.count(m.key(), m.payload()))?;
        read_to_the_end(&mut self.dead_letters, state, |m| self.observed.letters.add(&letter(m)))?;
        self.publish_top(state);
        Ok(self.observed)
    }

    fn read_some(&mut self, state: &ObserverState) -> anyhow::Result<()> {
        let mut wait = Duration::from_millis(20);
        for _ in 0..1000 {
            match self.output.poll(wait)? {
                Polled::Record(message) => self.observed.count(message.key(), message.payload()),
                Polled::Nothing => break,
                Polled::End(_) => {}
            }
            wait = Duration::ZERO;
        }
        for _ in 0..1000 {
            match self.dead_letters.poll(Duration::ZERO)? {
                Polled::Record(message) => self.observed.letters.add(&letter(&message)),
                Polled::Nothing => break,
                Polled::End(_) => {}
            }
        }
        state.handled.store(self.observed.outputs + self.observed.letters.total, Ordering::Release);
        Ok(())
    }

    fn publish_top(&self, state: &ObserverState) {
        *state.top.lock().unwrap_or_else(PoisonError::into_inner) = self.observed.top(10);
    }
}

fn letter<'a>(message: &'a BorrowedMessage<'_>) -> Letter<'a> {
    let header = |name: &str| {
        let headers = message.headers()?;
        let value = headers.iter().find(|header| header.key == name)?.value?;
        std::str::from_utf8(value).ok()
    };
    Letter {
        step: header("pelton.step").unwrap_or_default(),
        reason: header("pelton.reason").unwrap_or("no reason is given"),
        key: message.key(),
        value: message.payload().unwrap_or_default(),
    }
}

/// A new assignment from where reading stands tells the end of every partition anew.
fn read_to_the_end(
    topic: &mut Topic,
    state: &ObserverState,
    mut take: impl FnMut(&BorrowedMessage<'_>),
) -> anyhow::Result<()> {
    topic.assign()?;
    let partitions = topic.positions.len();
    let mut ended = BTreeSet::new();
    let mut quiet_since = Instant::now();
    while ended.len() < partitions && !state.stop.load(Ordering::Acquire) {
        match topic.poll(Duration::from_millis(50))? {
            Polled::Nothing => {
                if quiet_since.elapsed() > SILENCE {
                    bail!("the end of {} was not reached within a minute of silence", topic.name);
                }
                continue;
            }
            Polled::Record(message) => {
                ended.remove(&message.partition());
                take(&message);
            }
            Polled::End(partition) => {
                ended.insert(partition);
            }
        }
        quiet_since = Instant::now();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(counts: &[(&str, &str)]) -> Observed {
        let mut observed = Observed::default();
        for (path, count) in counts {
            observed.count(Some(path.as_bytes()), Some(count.as_bytes()));
        }
        observed
    }

    #[test]
    fn counts_without_gap_or_repeat_are_sound() {
        let all = observed(&[("/a", "1"), ("/b", "1"), ("/a", "2"), ("/a", "3")]);
        assert_eq!((all.repeats, all.gaps, all.unreadable, all.outputs), (0, 0, 0, 4));
        assert_eq!(all.top(1), [("/a".to_owned(), 3)]);
        assert_eq!(all.top(5), [("/a".to_owned(), 3), ("/b".to_owned(), 1)]);
    }

    #[test]
    fn repeats_and_gaps_are_noticed() {
        let all = observed(&[("/a", "1"), ("/a", "1"), ("/a", "2"), ("/a", "5")]);
        assert_eq!((all.repeats, all.gaps, all.counts[&b"/a"[..]]), (1, 2, 5));
        let all = observed(&[("/a", "3"), ("/a", "x")]);
        assert_eq!((all.repeats, all.gaps, all.unreadable), (0, 2, 1));
    }
}
