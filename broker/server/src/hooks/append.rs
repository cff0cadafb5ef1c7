//! A producer's batch on its way in: through the hooks of its topic, into the log, and back to the producer.
//!
//! A batch of a hooked topic takes its turn in the lane of its partition: `on-send` (on the thread that brought the batch, where
//! the hooks have been swift for long and the lane is free; else on a guest thread), then what that
//! emitted is appended, then the batch is asked of the shard, all before the lane's next batch begins. The shard's
//! answer is not waited for in the lane, unless the topic's batches go one by one. `on-acknowledgement` follows the
//! answer and is ordered against nothing. A client that goes away meanwhile changes none of that.

use super::Client;
use super::lane::{Item, Step};
use super::table::HookedTopic;
use crate::driver::{Driver, Pending};
use crate::handlers::{partition_answer, unexpected};
use crate::protocol::records;
use crate::server::now_ms;
use bytes::Bytes;
use pelton_api::hooks::{Acknowledgement, Emission, Origin, Sent, TopicHooks};
use pelton_api::interceptor::Hook;
use pelton_core::event::{Acks, AppendOrigin, Appended, IncomingBatch, PartitionReply, PartitionRequest, Request};
use pelton_core::model::{PartId, TopicPartition};
use pelton_core::partition::rules::{AppendRules, RecordErrors};
use pelton_core::refusal::Refusal;
use pelton_record::{BatchHeader, BatchView, Codec, TimestampType};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// One batch to append.
pub struct Sending {
    /// Where it goes.
    pub partition: TopicPartition,
    /// The batch, checked for length, format and CRC.
    pub batch: IncomingBatch,
    /// When to answer.
    pub acks: Acks,
    /// Of a transactional producer.
    pub transactional_id: Option<Arc<str>>,
    /// The rules of its topic, which it keeps.
    pub rules: AppendRules,
}

/// Why a batch was not appended, or not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// By the partition.
    #[error(transparent)]
    Refused(Refusal),
    /// For its records, by the rules of the topic.
    #[error(transparent)]
    Invalid(RecordErrors),
    /// By a plugin: it will not be taken when it is sent again.
    #[error("{message}")]
    Rejected {
        /// For the whole batch.
        message: String,
        /// Records by their index in the batch, with reasons.
        records: Vec<(i32, String)>,
    },
    /// A plugin failed, or what it emitted could not be appended; nothing was appended. It may be sent again.
    #[error("{0}")]
    Unavailable(String),
    /// The batch was appended, and what plugins emitted on its acknowledgement could not be. It may be sent again.
    #[error("{0}")]
    Unacknowledged(String),
}

/// Where a batch was appended, and the time that the broker stamped it with, or -1.
pub type Stored = Result<(Appended, i64), SendFailure>;

/// What a hooked batch has come to.
pub enum Progress {
    /// It has been asked of the shard, whose answer is the producer's.
    Posted(Pending, i64),
    /// It is decided.
    Done(Stored),
}

/// A batch that is being appended.
pub enum Begun {
    /// It has been asked of the shard.
    Posted(Pending, i64),
    /// It is on its way through the hooks.
    Hooked(oneshot::Receiver<Progress>),
    /// It was turned away.
    Failed(SendFailure),
}

impl Begun {
    /// What becomes of it.
    pub async fn finish(self) -> Stored {
        let (pending, append_time) = match self {
            Self::Posted(pending, append_time) => (pending, append_time),
            Self::Failed(failure) => return Err(failure),
            Self::Hooked(progress) => match progress.await {
                Ok(Progress::Posted(pending, append_time)) => (pending, append_time),
                Ok(Progress::Done(stored)) => return stored,
                Err(_) => {
                    let message = "the broker could not finish its call of the topic's plugins; send again";
                    return Err(SendFailure::Unavailable(message.to_owned()));
                }
            },
        };
        appended(pending).await.map(|appended| (appended, append_time)).map_err(SendFailure::Refused)
    }

    /// Lets the append go on even when nobody waits for it any more.
    pub fn detached(self) -> Self {
        match self {
            Self::Posted(pending, append_time) => Self::Posted(pending.detached(), append_time),
            other => other,
        }
    }
}

async fn appended(pending: Pending) -> Result<Appended, Refusal> {
    match partition_answer(pending.await)? {
        PartitionReply::Appended(appended) => Ok(appended),
        other => Err(unexpected(&other)),
    }
}

/// Asks the shard; the batch has its place in the order when this returns.
///
/// # Errors
/// When what interceptors made of the batch breaks a rule of the topic, or the batch cannot be brought into its codec.
pub(super) fn post(
    driver: &Arc<Driver>,
    sending: Sending,
    origin: AppendOrigin,
) -> Result<(Pending, i64), SendFailure> {
    let Sending { partition, mut batch, acks, transactional_id, rules } = sending;
    let now = now_ms();
    if origin == AppendOrigin::Intercepted {
        batch = records::check(batch, &partition, &rules, now).map_err(SendFailure::Invalid)?;
    }
    let batch = records::kept(batch, &rules, now).map_err(SendFailure::Refused)?;
    let append_time = if rules.timestamp_type == TimestampType::LogAppend { now } else { -1 };
    let transactional_id = transactional_id.filter(|_| batch.header.attributes.is_transactional());
    let request = PartitionRequest::Append { batches: vec![batch], acks, origin, transactional_id };
    Ok((driver.ask(PartId::Partition(partition), Request::Partition(request)), append_time))
}

/// How many bytes may wait on the way through hooks.
#[derive(Debug)]
pub(super) struct Budget {
    held: AtomicUsize,
    limit: usize,
}

/// Bytes that wait, counted while this lives.
pub(super) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), limit })
    }

    /// Counts `bytes`, unless that makes it more than the limit; one batch is always let in.
    pub fn charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let fits = |held: usize| {
            let more = held.saturating_add(bytes);
            (held == 0 || more <= self.limit).then_some(more)
        };
        self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(Charge { budget: self.clone(), bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// One batch in the lane of its partition.
pub(super) struct Passage {
    pub topic: Arc<HookedTopic>,
    pub client: Client,
    pub sending: Sending,
    pub answer: oneshot::Sender<Progress>,
    pub charges: [Charge; 2],
}

impl Passage {
    /// Takes the batch through the hooks that the topic has now, and appends it.
    pub fn run(self) -> Step {
        self.pass(|hooks, from, batch| Some(hooks.on_send(from, batch))).unwrap_or_else(|passage| passage.run())
    }

    /// The same on a thread that others wait for. What does not get ready there is given back, for a guest thread.
    pub fn run_within(self, at_most: Duration) -> Result<Step, Item> {
        let passed = self.pass(|hooks, from, batch| hooks.on_send_within(at_most, from, batch));
        passed.map_err(|passage| -> Item { Box::new(move || passage.run()) })
    }

    /// Gives itself back when `send` is not ready.
    fn pass(mut self, send: impl FnOnce(&dyn TopicHooks, &Origin, &Bytes) -> Option<Sent>) -> Result<Step, Box<Self>> {
        if self.topic.is_gone() {
            return Ok(self.refuse(None, SendFailure::Refused(Refusal::UnknownTopicOrPartition)));
        }
        let Some(hooks) = self.topic.hooks() else { return Ok(self.append(None, AppendOrigin::Client)) };
        if !hooks.hooks().has(Hook::OnSend) {
            return Ok(self.append(Some(hooks), AppendOrigin::Client));
        }
        if let Err(refusal) = check_sent(&self.sending.batch.header) {
            return Ok(self.refuse(Some(hooks), SendFailure::Refused(refusal)));
        }
        let origin = self.origin();
        let called = catch_unwind(AssertUnwindSafe(|| send(&*hooks, &origin, &self.sending.batch.bytes)));
        let (changed, emitted) = match called {
            Ok(None) => return Err(Box::new(self)),
            Ok(Some(Sent::Pass { changed, emitted })) => (changed, emitted),
            Ok(Some(Sent::Refuse { message, records })) => {
                return Ok(self.discard(hooks, SendFailure::Rejected { message, records }));
            }
            Ok(Some(Sent::Unavailable { message })) => {
                return Ok(self.discard(hooks, SendFailure::Unavailable(message)));
            }
            Err(_) => {
                let message = format!("the broker failed to call the plugins of {}; its log says more", origin.topic);
                return Ok(self.discard(hooks, SendFailure::Unavailable(message)));
            }
        };
        let mut append_origin = AppendOrigin::Client;
        if let Some(changed) = changed {
            append_origin = AppendOrigin::Intercepted;
            match kept(&self.sending.batch.header, changed) {
                Ok(batch) => self.sending.batch = batch,
                Err(why) => {
                    tracing::error!(identity = hooks.identity(), why, "plugins gave a batch that cannot be appended");
                    let message = format!("{}: {why}", hooks.identity());
                    return Ok(self.discard(hooks, SendFailure::Unavailable(message)));
                }
            }
        }
        if emitted.is_empty() {
            return Ok(self.append(Some(hooks), append_origin));
        }
        Ok(Step::Wait(Box::pin(self.append_after(emitted, hooks, append_origin))))
    }

    /// Records as the producer counts them.
    fn record_count(&self) -> i32 {
        self.sending.batch.header.last_offset_delta.saturating_add(1)
    }

    fn origin(&self) -> Origin {
        let Client { principal, client_id, client_address } = self.client.clone();
        let TopicPartition { topic, partition } = self.sending.partition.clone();
        Origin { principal, client_id, client_address, topic, partition }
    }

    async fn append_after(self, emitted: Vec<Emission>, hooks: Arc<dyn TopicHooks>, origin: AppendOrigin) {
        let step = match self.topic.emitter().emit(self.sending.partition.partition, emitted).await {
            Ok(()) => self.append(Some(hooks), origin),
            Err(message) => self.discard(hooks, SendFailure::Unavailable(message)),
        };
        match step {
            Step::Done => {}
            Step::Wait(rest) => rest.await,
        }
    }

    /// Asks the shard and sees to the answer.
    fn append(self, hooks: Option<Arc<dyn TopicHooks>>, origin: AppendOrigin) -> Step {
        let sent_through = hooks.clone().filter(|hooks| hooks.hooks().has(Hook::OnSend) && hooks.one_by_one());
        let noted = hooks.filter(|hooks| hooks.hooks().has(Hook::OnAcknowledgement));
        let (from, record_count) = (self.origin(), self.record_count());
        let Self { topic, sending, answer, charges, .. } = self;
        let after = After { origin: from, record_count, charges };
        let (pending, append_time) = match post(topic.driver(), sending, origin) {
            Ok(posted) => posted,
            Err(failure) => {
                if let Some(hooks) = sent_through {
                    topic.note_sent(&*hooks, after.origin.partition, None);
                }
                after.finish(topic, noted, Err(failure), answer);
                return Step::Done;
            }
        };
        if let Some(hooks) = sent_through {
            return Step::Wait(Box::pin(async move {
                let stored = appended(pending).await;
                topic.note_sent(&*hooks, after.origin.partition, stored.as_ref().ok());
                let stored = stored.map(|appended| (appended, append_time)).map_err(SendFailure::Refused);
                after.finish(topic, noted, stored, answer);
            }));
        }
        if noted.is_none() {
            // Whoever waited may have gone: the batch is appended all the same.
            if let Err(Progress::Posted(pending, _)) = answer.send(Progress::Posted(pending, append_time)) {
                drop(pending.detached());
            }
            return Step::Done;
        }
        topic.pool().clone().spawn(async move {
            let stored = appended(pending).await;
            let stored = stored.map(|appended| (appended, append_time)).map_err(SendFailure::Refused);
            after.finish(topic, noted, stored, answer);
        });
        Step::Done
    }

    /// Answers for a batch that went through `on-send` and is not appended.
    fn discard(self, hooks: Arc<dyn TopicHooks>, failure: SendFailure) -> Step {
        if hooks.one_by_one() {
            self.topic.note_sent(&*hooks, self.sending.partition.partition, None);
        }
        self.refuse(Some(hooks), failure)
    }

    fn refuse(self, hooks: Option<Arc<dyn TopicHooks>>, failure: SendFailure) -> Step {
        let noted = hooks.filter(|hooks| hooks.hooks().has(Hook::OnAcknowledgement));
        let (origin, record_count) = (self.origin(), self.record_count());
        let after = After { origin, record_count, charges: self.charges };
        after.finish(self.topic, noted, Err(failure), self.answer);
        Step::Done
    }
}

/// What is to be told to `on-acknowledgement`; it counts as waiting until that is done.
struct After {
    origin: Origin,
    record_count: i32,
    charges: [Charge; 2],
}

impl After {
    /// Calls `on-acknowledgement` where it is wanted, and answers the producer when what it emitted is durable.
    fn finish(
        self,
        topic: Arc<HookedTopic>,
        noted: Option<Arc<dyn TopicHooks>>,
        stored: Stored,
        answer: oneshot::Sender<Progress>,
    ) {
        let Some(hooks) = noted else {
            // Whoever waited may have gone.
            let _ = answer.send(Progress::Done(stored));
            return;
        };
        let acknowledged = Acknowledgement {
            base_offset: stored.as_ref().map_or(-1, |(appended, _)| appended.base_offset),
            record_count: self.record_count,
            at_ms: now_ms(),
            error: stored.as_ref().err().map(ToString::to_string),
        };
        let Self { origin, charges, .. } = self;
        let partition = origin.partition;
        let told = topic.call_acknowledged(move || hooks.on_acknowledgement(&origin, &acknowledged));
        topic.pool().clone().spawn(async move {
            let emitted = match told.await {
                Ok(emitted) => topic.emitter().emit(partition, emitted).await,
                Err(_) => Err("the broker failed to call on-acknowledgement; its log says more".to_owned()),
            };
            drop(charges);
            let stored = match (stored, emitted) {
                (Ok(_), Err(message)) => Err(SendFailure::Unacknowledged(message)),
                (stored, _) => stored,
            };
            let _ = answer.send(Progress::Done(stored));
        });
    }
}

/// The rules of a producer's own batch. The partition does not check them on a batch that plugins have changed.
fn check_sent(header: &BatchHeader) -> Result<(), Refusal> {
    if header.attributes.is_control() {
        return Err(Refusal::InvalidRecord("clients cannot write control batches".to_owned()));
    }
    if header.record_count != header.last_offset_delta.saturating_add(1) {
        return Err(Refusal::InvalidRecord(format!(
            "the batch says that it has {} records and that the last has offset delta {}",
            header.record_count, header.last_offset_delta
        )));
    }
    if header.attributes.is_transactional() && !header.has_producer_id() {
        return Err(Refusal::InvalidRecord("a transactional batch needs a producer id".to_owned()));
    }
    Ok(())
}

/// The changed batch, if it still is the producer's: whose it is and which numbers it takes stays as it was.
fn kept(sent: &BatchHeader, changed: Bytes) -> Result<IncomingBatch, String> {
    let view = BatchView::parse(&changed).map_err(|error| format!("the changed batch cannot be read: {error}"))?;
    let header = *view.header();
    if view.bytes().len() != changed.len() {
        return Err("the changed batch is not as long as it says".to_owned());
    }
    // The codec may be another: a batch without records has none.
    let of = |header: &BatchHeader| {
        let attributes = header.attributes.with_codec(Codec::None).0;
        (header.producer_id, header.producer_epoch, header.base_sequence, header.last_offset_delta, attributes)
    };
    if of(&header) != of(sent) {
        return Err("the changed batch is not the producer's any more".to_owned());
    }
    Ok(IncomingBatch { header, bytes: changed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_record::BatchBuilder;

    fn batch(sequence: i32, records: i32) -> IncomingBatch {
        let mut builder = BatchBuilder::new(1);
        for _ in 0..records {
            builder.push(1, None, Some(b"v"), &[]);
        }
        builder.set_producer(7, 0, sequence);
        builder.set_last_offset_delta(4);
        let bytes = Bytes::from(builder.into_bytes_with_crc());
        IncomingBatch { header: BatchHeader::parse(&bytes).unwrap(), bytes }
    }

    #[test]
    fn a_changed_batch_stays_the_producers() {
        let sent = batch(3, 5).header;
        assert!(kept(&sent, batch(3, 2).bytes).is_ok());
        assert!(kept(&sent, batch(3, 0).bytes).is_ok(), "all records may be gone");
        let mut compressed = sent;
        compressed.attributes = sent.attributes.with_codec(Codec::Zstd);
        assert!(kept(&compressed, batch(3, 0).bytes).is_ok(), "a batch without records has no codec");
        compressed.attributes = sent.attributes.with_transactional(true);
        assert!(kept(&compressed, batch(3, 5).bytes).is_err());
        assert!(kept(&sent, batch(4, 5).bytes).is_err(), "another sequence");
        assert!(kept(&sent, batch(3, 5).bytes.slice(..60)).is_err());
        let longer = [&batch(3, 5).bytes[..], b"x"].concat();
        assert!(kept(&sent, longer.into()).is_err());
    }

    #[test]
    fn a_clients_own_batch_keeps_the_rules_of_clients() {
        assert!(check_sent(&batch(3, 5).header).is_ok());
        assert!(check_sent(&batch(3, 4).header).is_err(), "gaps are the broker's to make");
        let mut header = batch(3, 5).header;
        header.attributes = header.attributes.with_control(true);
        assert!(check_sent(&header).is_err());
    }

    #[test]
    fn the_budget_counts_what_waits_and_lets_one_in() {
        let budget = Budget::new(10);
        let large = budget.charge(100).unwrap();
        assert!(budget.charge(1).is_none());
        drop(large);
        let small = budget.charge(4).unwrap();
        assert!(budget.charge(6).is_some() && budget.charge(7).is_none());
        drop(small);
        assert_eq!(budget.held.load(Ordering::Acquire), 0);
    }
}
