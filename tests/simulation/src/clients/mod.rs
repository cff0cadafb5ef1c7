//! Scripted clients: what real ones do, one request at a time, with retries. A request that is not answered in time
//! is unknown to its client, which asks again; it never takes silence for a no.

mod committer;
mod member;
mod observer;
mod processor;
mod producer;

pub use committer::Committer;
pub use member::{Member, SESSION_TIMEOUT_MS};
pub use observer::Observer;
pub use processor::{Processor, TRANSACTION_TIMEOUT_MS};
pub use producer::Producer;

use crate::observation::Observation;
use bytes::Bytes;
use pelton_core::event::{AppendOrigin, IncomingBatch, Reply, Request};
use pelton_core::model::{PartId, Timestamp, Token, TopicPartition};
use pelton_core::refusal::Refusal;
use pelton_log::disk::Dice;
use pelton_record::{BatchBuilder, BatchView};

/// Topic of the inputs.
pub const DATA: &str = "data";
/// Topic of the outputs.
pub const OUT: &str = "out";
/// Partitions of each of the two.
pub const PARTITIONS: i32 = 2;
/// The group under which the job commits its input offsets.
pub const JOB_GROUP: &str = "job";
/// The group of a plain consumer.
pub const READER_GROUP: &str = "readers";
/// The group of consumers that share the inputs among them.
pub const MEMBER_GROUP: &str = "members";

/// What a client sends and notes in one turn.
pub struct Turn<'a> {
    /// Virtual time.
    pub now: Timestamp,
    /// Chance.
    pub rng: &'a mut Dice,
    /// Whether no new work is to be begun any more.
    pub ending: bool,
    /// The next token to give out.
    pub next_token: &'a mut u64,
    /// Requests.
    pub sent: Vec<(Token, PartId, Request)>,
    /// Notes.
    pub observed: Vec<Observation>,
}

impl Turn<'_> {
    /// Sends a request.
    pub fn ask(&mut self, part: PartId, request: Request) -> Token {
        *self.next_token += 1;
        let token = Token(*self.next_token);
        self.sent.push((token, part, request));
        token
    }

    /// Notes something.
    pub fn observe(&mut self, observation: Observation) {
        self.observed.push(observation);
    }

    /// Notes an answer that an honest client may not get.
    pub fn unexpected(&mut self, client: &str, what: impl std::fmt::Debug) {
        self.observe(Observation::Unexpected(format!("{client}: {what:?}")));
    }
}

/// A scripted client.
pub trait Client {
    /// May send.
    fn act(&mut self, turn: &mut Turn<'_>);

    /// An answer to what it sent.
    fn answered(&mut self, token: Token, reply: Reply, turn: &mut Turn<'_>);

    /// No answer will come: the time was up, or the broker has died. What was asked may have been done.
    fn lost(&mut self, token: Token, turn: &mut Turn<'_>);

    /// Whether it has nothing left to do and waits for nothing; asked when no new work is to be begun.
    fn is_done(&self) -> bool;
}

/// Refusals that say "try again", as the client libraries take them.
pub fn is_retriable(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::CoordinatorLoadInProgress
            | Refusal::CoordinatorNotAvailable
            | Refusal::NotCoordinator
            | Refusal::ConcurrentTransactions
            | Refusal::UnstableOffsetCommit
            | Refusal::UnknownTopicOrPartition
            | Refusal::RequestTimedOut
            | Refusal::Storage(_)
    )
}

/// The values of a batch; `None` where interceptors took the record away.
pub type Values = Vec<Option<Vec<u8>>>;

/// What interceptors leave of these values: most often all of them, sometimes nothing.
pub fn intercepted(values: Vec<Vec<u8>>, rng: &mut Dice) -> Values {
    let taken_permille = if rng.permille(700) { 0 } else { [300, 1_000][rng.index(2)] };
    values.into_iter().map(|value| (!rng.permille(taken_permille)).then_some(value)).collect()
}

/// How a batch of these values is to be appended.
pub fn origin(values: &[Option<Vec<u8>>]) -> AppendOrigin {
    if values.iter().all(Option::is_some) { AppendOrigin::Client } else { AppendOrigin::Intercepted }
}

/// One batch of one producer. It has an offset for each value, also where interceptors took the record away.
pub fn batch(
    now: Timestamp,
    values: &[Option<Vec<u8>>],
    producer: (i64, i16, i32),
    transactional: bool,
) -> IncomingBatch {
    let mut builder = BatchBuilder::new(now.0);
    for (delta, value) in (0..).zip(values) {
        if let Some(value) = value {
            builder.push_at(delta, now.0, None, Some(value), &[]).expect("the deltas ascend");
        }
    }
    builder.set_last_offset_delta(values.len() as i32 - 1);
    builder.set_producer(producer.0, producer.1, producer.2);
    builder.set_transactional(transactional);
    let bytes = Bytes::from(builder.into_bytes_with_crc());
    let header = *BatchView::parse(&bytes).expect("a batch that was just built is whole").header();
    IncomingBatch { header, bytes }
}

/// The part that holds the log of this partition.
pub fn log_of(topic: &str, partition: i32) -> PartId {
    PartId::Partition(TopicPartition::new(topic, partition))
}
