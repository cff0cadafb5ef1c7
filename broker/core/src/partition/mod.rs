//! One partition: the log's leader.
//!
//! What it does: it judges what may be appended and gives offsets ([`append`]), moves the watermarks,
//! keeps the producers' sequences and transactions, and says what may be read, and by whom ([`read`]). What it
//! does not do: it holds no records. The shell writes, syncs and reads the log as the effects say, in their order.
//!
//! Invariants: log start offset <= last stable offset <= high watermark <= log end offset after every step;
//! the high watermark never passes what is durable; an answer to `acks=all` leaves when the high watermark has
//! passed what it speaks of. After a failure of the storage nothing is appended any more and nothing retried.

mod append;
mod deletion;
mod durability;
mod producer_state;
mod read;
pub mod rules;
mod transactions;
mod undo;
mod verification;

use crate::config::CoreConfig;
use crate::effect::Effect;
use crate::event::{
    Appended, Event, GroupRequest, Marker, PartitionReply, PartitionRequest, ProducerState, RecoveredBatch,
    RecoveredLog, Reply, ReplyTo, Request,
};
use crate::model::{
    Isolation, LeaderEpoch, METADATA_TOPIC, OFFSETS_TOPIC, Offset, PartId, ProducerEpoch, ProducerId,
    TRANSACTIONS_TOPIC, Timestamp, Token, TopicId, TopicPartition, Watermarks,
};
use crate::parking::Parking;
use crate::refusal::Refusal;
use append::PendingAppend;
use deletion::is_deletable;
use durability::Syncs;
use producer_state::Producers;
use rules::{AppendRules, DurabilityRules};
use std::collections::BTreeMap;
use std::sync::Arc;
use transactions::OpenTransactions;
use undo::Change;
use verification::Verifications;

/// Answers to appends that may wait for the high watermark; past it clients are told to try again.
const MAX_WAITING_APPENDS: usize = 65_536;
/// Room beyond it for coordinators, which bound what they have in flight themselves.
const MAX_WAITING_COORDINATORS: usize = 16_384;
/// Readers that may wait for records, of each isolation.
const MAX_WAITING_READERS: usize = 65_536;

/// Askers that may wait for the partition to settle: one for each change of what is attached to the topic.
const MAX_SETTLING: usize = 64;

/// The machine of one partition.
#[derive(Debug)]
pub struct Partition {
    id: TopicPartition,
    topic_id: TopicId,
    config: Arc<CoreConfig>,
    rules: AppendRules,
    durability: DurabilityRules,
    /// Whether clients may have records deleted.
    deletable: bool,
    leader_epoch: LeaderEpoch,
    watermarks: Watermarks,
    producers: Producers,
    transactions: OpenTransactions,
    verifications: Verifications,
    /// Keyed by the high watermark that each needs.
    appends: Parking<Offset, WaitingAppend>,
    /// Keyed by the readable end that each needs.
    uncommitted_readers: Parking<Offset, ReplyTo>,
    committed_readers: Parking<Offset, ReplyTo>,
    /// Wait until every append is decided and durable.
    settling: Vec<ReplyTo>,
    syncs: Syncs,
    /// What was decided and, as far as is known, not yet performed; and in which step.
    unperformed: Vec<Change>,
    step: u64,
    /// What the operating system said when the storage failed.
    storage_failure: Option<String>,
}

/// An answer that waits for the high watermark.
#[derive(Debug)]
struct WaitingAppend {
    reply_to: ReplyTo,
    appended: Appended,
    /// The marker that was appended, if it was one.
    marker: Option<Marker>,
}

impl Partition {
    /// Opens the machine on what was found in the log. All of that is durable, so the high watermark is its end.
    /// `topic_config` holds the configs that were set for the topic.
    pub fn open(
        config: Arc<CoreConfig>,
        id: TopicPartition,
        topic_id: TopicId,
        topic_config: &BTreeMap<String, String>,
        log: RecoveredLog,
    ) -> Self {
        let mut partition = Self {
            rules: AppendRules::of(&config, topic_config),
            durability: DurabilityRules::of(&config, topic_config, is_internal(&id.topic)),
            deletable: is_deletable(topic_config),
            leader_epoch: LeaderEpoch(log.leader_epoch),
            watermarks: Watermarks {
                log_start: log.log_start,
                last_stable: log.log_end,
                high_watermark: log.log_end,
                log_end: log.log_end,
            },
            id,
            topic_id,
            config,
            producers: Producers::default(),
            transactions: OpenTransactions::default(),
            verifications: Verifications::default(),
            appends: Parking::new(MAX_WAITING_APPENDS + MAX_WAITING_COORDINATORS),
            uncommitted_readers: Parking::new(MAX_WAITING_READERS),
            committed_readers: Parking::new(MAX_WAITING_READERS),
            settling: Vec::new(),
            syncs: Syncs::through(log.log_end),
            unperformed: Vec::new(),
            step: 0,
            storage_failure: None,
        };
        for producer in &log.producers {
            if let Some(first) = partition.producers.recall(producer) {
                partition.transactions.begun(first);
            }
        }
        for batch in &log.batches {
            partition.recover(batch);
        }
        partition.update_last_stable();
        partition.watermarks.check();
        partition
    }

    /// The four offsets.
    pub fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    /// What it remembers of the producers of everything below the log end offset, the longest silent first.
    pub fn producers(&self) -> Vec<ProducerState> {
        self.producers.states()
    }

    /// Identity of the topic's creation.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The topic's configs were changed: they hold for what is asked from now on.
    pub fn configure(&mut self, topic_config: &BTreeMap<String, String>) {
        self.rules = AppendRules::of(&self.config, topic_config);
        self.durability = DurabilityRules::of(&self.config, topic_config, is_internal(&self.id.topic));
        self.deletable = is_deletable(topic_config);
    }

    /// Takes one event.
    pub fn step(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Ask { reply_to, request: Request::Partition(request) } => {
                self.asked(now, reply_to, request, effects);
            }
            Event::Ask { reply_to, request: _ } => {
                let refusal = Refusal::InvalidRequest("a partition cannot answer that".to_owned());
                effects.extend(Effect::answer(reply_to, Reply::Partition(Err(refusal))));
            }
            Event::Answer { question, reply } => self.verified(now, question, reply, effects),
            Event::Flushed { through } => self.flushed(through, effects),
            Event::NoRoom { log_end, message } => self.take_back(log_end, &message, effects),
            Event::StorageFailed { message } => self.fence(message, effects),
            Event::Trimmed { log_start } => self.trim(log_start),
            Event::Cancelled(token) => self.forget(token),
            Event::Tick => self.tick(now, effects),
            // A partition has no state that is replayed from records.
            Event::Replay { .. } | Event::Loaded => {}
        }
        self.answer_settled(effects);
        self.watermarks.check();
    }

    /// Answers everything that waits: the partition is no longer here.
    pub fn close(&mut self, effects: &mut Vec<Effect>) {
        self.refuse_appends(&Refusal::UnknownTopicOrPartition, effects);
        for readers in [&mut self.uncommitted_readers, &mut self.committed_readers] {
            for reply_to in readers.drain() {
                effects.extend(refusal(reply_to, Refusal::UnknownTopicOrPartition));
            }
        }
        self.refuse_settling(&Refusal::UnknownTopicOrPartition, effects);
    }

    fn asked(&mut self, now: Timestamp, reply_to: ReplyTo, request: PartitionRequest, effects: &mut Vec<Effect>) {
        match request {
            PartitionRequest::Append { batches, acks, origin, transactional_id } => {
                let append = PendingAppend { reply_to, batches, acks, origin, transactional_id };
                self.append(now, append, None, effects);
            }
            PartitionRequest::WriteMarker(marker) => self.write_marker(now, reply_to, marker, effects),
            PartitionRequest::Fetch { offset, current_leader_epoch, max_bytes, isolation } => {
                let wanted = read::Wanted { offset, current_leader_epoch, max_bytes, isolation };
                effects.extend(self.fetch(reply_to, &wanted));
            }
            PartitionRequest::Watch { offset, isolation } => {
                effects.extend(self.watch(reply_to, offset, isolation));
            }
            PartitionRequest::Locate { lookup, isolation, current_leader_epoch } => {
                effects.extend(self.locate(reply_to, lookup, isolation, current_leader_epoch));
            }
            PartitionRequest::Describe => {
                effects.extend(Effect::answer(reply_to, self.described()));
            }
            PartitionRequest::DescribeProducers => {
                let reply = PartitionReply::Producers(self.producers.states());
                effects.extend(Effect::answer(reply_to, Reply::Partition(Ok(reply))));
            }
            PartitionRequest::Settle => effects.extend(self.settle(reply_to)),
            PartitionRequest::DeleteRecords { before } => effects.extend(self.delete_records(reply_to, before)),
        }
    }

    fn described(&self) -> Reply {
        let (watermarks, leader_epoch) = (self.watermarks, self.leader_epoch);
        Reply::Partition(Ok(PartitionReply::Described { watermarks, leader_epoch }))
    }

    /// Lets the asker wait; [`Partition::answer_settled`] sees at the end of the step whether it has to.
    fn settle(&mut self, reply_to: ReplyTo) -> Option<Effect> {
        if let Some(message) = &self.storage_failure {
            return refusal(reply_to, Refusal::Storage(message.clone()));
        }
        if self.settling.len() >= MAX_SETTLING {
            return refusal(reply_to, Refusal::RequestTimedOut);
        }
        self.settling.push(reply_to);
        None
    }

    /// An offset that an asker keeps must not be one that a power cut could give to another record, so what is
    /// written must be durable too.
    fn answer_settled(&mut self, effects: &mut Vec<Effect>) {
        if self.settling.is_empty()
            || !self.verifications.is_empty()
            || self.watermarks.high_watermark < self.watermarks.log_end
        {
            return;
        }
        for reply_to in std::mem::take(&mut self.settling) {
            effects.extend(Effect::answer(reply_to, self.described()));
        }
    }

    fn refuse_settling(&mut self, why: &Refusal, effects: &mut Vec<Effect>) {
        for reply_to in std::mem::take(&mut self.settling) {
            effects.extend(refusal(reply_to, why.clone()));
        }
    }

    fn recover(&mut self, batch: &RecoveredBatch) {
        let header = &batch.header;
        if !header.has_producer_id() {
            return;
        }
        if let Some((_, coordinator_epoch)) = batch.control {
            let (producer_id, epoch) = (ProducerId(header.producer_id), ProducerEpoch(header.producer_epoch));
            if let Some(first) = self.producers.marked(producer_id, epoch, coordinator_epoch) {
                self.transactions.decided(first, header.last_offset());
            }
        } else if let Some(first) = self.producers.appended(header) {
            self.transactions.begun(first);
        }
    }

    /// Moves the high watermark, and lets go what waited for it.
    fn commit_through(&mut self, through: Offset, effects: &mut Vec<Effect>) {
        if self.storage_failure.is_some() {
            return;
        }
        let durable = through.min(self.watermarks.log_end);
        self.watermarks.high_watermark = self.watermarks.high_watermark.max(durable);
        self.update_last_stable();
        for waiting in self.appends.release_through(self.watermarks.high_watermark) {
            if let Some(marker) = waiting.marker {
                effects.extend(self.tell_group(&marker));
            }
            let reply = Reply::Partition(Ok(PartitionReply::Appended(waiting.appended)));
            effects.extend(Effect::answer(waiting.reply_to, reply));
        }
        self.wake_readers(effects);
    }

    fn update_last_stable(&mut self) {
        let stable = self.transactions.committed(self.watermarks.high_watermark);
        self.watermarks.last_stable = stable.max(self.watermarks.log_start);
    }

    /// A marker in `__consumer_offsets` decides the pending offsets of the groups that live there.
    fn tell_group(&self, marker: &Marker) -> Option<Effect> {
        if &*self.id.topic != OFFSETS_TOPIC {
            return None;
        }
        let request = GroupRequest::CompleteTransaction {
            producer_id: marker.producer_id,
            producer_epoch: marker.producer_epoch,
            commit: marker.commit,
        };
        Some(Effect::ask(PartId::Group(self.id.partition), ReplyTo::Nobody, Request::Group(request)))
    }

    fn wake_readers(&mut self, effects: &mut Vec<Effect>) {
        let (high_watermark, last_stable) = (self.watermarks.high_watermark, self.watermarks.last_stable);
        let awake = self.uncommitted_readers.release_through(high_watermark).into_iter();
        for reply_to in awake.chain(self.committed_readers.release_through(last_stable)) {
            effects.extend(Effect::answer(reply_to, Reply::Partition(Ok(PartitionReply::Readable))));
        }
    }

    /// The storage failed: what was written last may or may not be there, so nothing is acknowledged any more.
    fn fence(&mut self, message: String, effects: &mut Vec<Effect>) {
        if self.storage_failure.is_none() {
            let why = Refusal::Storage(message.clone());
            self.refuse_appends(&why, effects);
            self.refuse_settling(&why, effects);
            self.storage_failure = Some(message);
        }
    }

    fn refuse_appends(&mut self, why: &Refusal, effects: &mut Vec<Effect>) {
        let written = self.appends.drain().into_iter().map(|waiting| waiting.reply_to);
        let unwritten = self.verifications.drain().into_iter().map(|append| append.reply_to);
        for reply_to in written.chain(unwritten) {
            effects.extend(refusal(reply_to, why.clone()));
        }
    }

    fn forget(&mut self, token: Token) {
        if let Some(waiting) = self.appends.remove(token)
            && waiting.marker.is_some()
        {
            // The groups must hear of the marker even when nobody waits for its answer any more.
            let needed = waiting.appended.last_offset + 1;
            let unanswered = WaitingAppend { reply_to: ReplyTo::Nobody, ..waiting };
            self.appends.park(needed, None, unanswered).expect("a place has just become free");
        }
        self.verifications.forget(token);
        self.uncommitted_readers.remove(token);
        self.committed_readers.remove(token);
        self.settling.retain(|waiting| *waiting != ReplyTo::Shell(token));
    }

    fn trim(&mut self, log_start: Offset) {
        let log_start = log_start.min(self.watermarks.high_watermark);
        self.watermarks.log_start = self.watermarks.log_start.max(log_start);
        self.update_last_stable();
    }

    fn readers(&mut self, isolation: Isolation) -> &mut Parking<Offset, ReplyTo> {
        match isolation {
            Isolation::ReadUncommitted => &mut self.uncommitted_readers,
            Isolation::ReadCommitted => &mut self.committed_readers,
        }
    }
}

fn refusal(reply_to: ReplyTo, refusal: Refusal) -> Option<Effect> {
    Effect::answer(reply_to, Reply::Partition(Err(refusal)))
}

/// Whether the broker made this topic for itself. Clients do not write there.
pub(crate) fn is_internal(topic: &str) -> bool {
    [OFFSETS_TOPIC, TRANSACTIONS_TOPIC, METADATA_TOPIC].contains(&topic)
}

#[cfg(test)]
mod tests;
