//! The leader's append path: the rules of a batch, its place, its answer, and the markers that end transactions.

use super::producer_state::{BatchPlace, Verdict};
use super::undo::Change;
use super::{MAX_WAITING_APPENDS, Partition, WaitingAppend, is_internal, refusal};
use crate::coordinator::partition_for;
use crate::effect::{AssignedBatch, Effect};
use crate::event::{
    AbortedTransaction, Acks, AppendOrigin, Appended, IncomingBatch, Marker, PartitionReply, Reply, ReplyTo, Request,
    TransactionReply, TransactionRequest,
};
use crate::model::{Offset, PartId, ProducerEpoch, ProducerId, Timestamp};
use crate::refusal::Refusal;
use bytes::Bytes;
use pelton_record::{BatchHeader, BatchView, ControlType, MAGIC_V2};
use std::sync::Arc;

/// An append that is not yet decided.
#[derive(Debug)]
pub(super) struct PendingAppend {
    pub reply_to: ReplyTo,
    pub batches: Vec<IncomingBatch>,
    pub acks: Acks,
    pub origin: AppendOrigin,
    pub transactional_id: Option<Arc<str>>,
}

impl PendingAppend {
    fn producer(&self) -> Option<ProducerId> {
        let header = &self.batches.first()?.header;
        header.has_producer_id().then_some(ProducerId(header.producer_id))
    }
}

/// Replicas that have all of a partition: one node has one.
const IN_SYNC_REPLICAS: i32 = 1;

/// What becomes of an append that may be made.
enum Decision {
    Write,
    Answer(BatchPlace),
    /// The transaction coordinator must be asked first.
    Verify(Arc<str>, ProducerId, ProducerEpoch),
}

impl Partition {
    /// Appends, answers, refuses, or asks. `verified`: the coordinator has just said that the partition is enlisted
    /// in the open transaction of this producer under this epoch.
    pub(super) fn append(
        &mut self,
        now: Timestamp,
        append: PendingAppend,
        verified: Option<ProducerEpoch>,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(why) = self.check(&append) {
            effects.extend(refusal(append.reply_to, why));
            return;
        }
        if append.origin != AppendOrigin::Coordinator
            && let Some(producer_id) = append.producer()
            && self.verifications.is_open(producer_id)
        {
            if let Err(turned_away) = self.verifications.wait(producer_id, append) {
                effects.extend(refusal(turned_away.reply_to, Refusal::RequestTimedOut));
            }
            return;
        }
        match self.judge(&append, verified) {
            Err(why) => effects.extend(refusal(append.reply_to, why)),
            Ok(Decision::Write) => self.write(now, append, effects),
            Ok(Decision::Answer(place)) => {
                let appended = self.appended(place.base_offset, place.last_offset);
                self.answer(append.reply_to, append.acks, appended, effects);
            }
            Ok(Decision::Verify(transactional_id, producer_id, producer_epoch)) => {
                let part =
                    PartId::Transaction(partition_for(&transactional_id, self.config.transaction_topic_partitions));
                let question = self.verifications.open(producer_id, producer_epoch, append);
                let partition = self.id.clone();
                let request = TransactionRequest::Verify { transactional_id, producer_id, producer_epoch, partition };
                let reply_to = ReplyTo::Part(PartId::Partition(self.id.clone()), question);
                effects.push(Effect::ask(part, reply_to, Request::Transaction(request)));
            }
        }
    }

    /// The coordinator's answer: lets the appends that waited for it go, in their order.
    pub(super) fn verified(&mut self, now: Timestamp, question: u64, reply: Reply, effects: &mut Vec<Effect>) {
        let Some(open) = self.verifications.close(question) else {
            return;
        };
        let refused = match reply {
            Reply::Transaction(Ok(TransactionReply::Done)) if !open.marker_passed => None,
            Reply::Transaction(Ok(_)) => Some(Refusal::InvalidTxnState),
            Reply::Transaction(Err(why)) => Some(for_producers(why)),
            Reply::Partition(_) | Reply::Group(_) | Reply::Cluster(_) => Some(Refusal::RequestTimedOut),
        };
        for append in open.waiting {
            let asked_for = append.batches.first().is_some_and(|batch| {
                batch.header.attributes.is_transactional() && batch.header.producer_epoch == open.epoch.0
            });
            match &refused {
                // What ended the transaction may have fenced this producer, which is the better thing to say.
                Some(Refusal::InvalidTxnState) if asked_for && self.is_fenced(&append) => {
                    effects.extend(refusal(append.reply_to, Refusal::InvalidProducerEpoch));
                }
                Some(why) if asked_for => effects.extend(refusal(append.reply_to, why.clone())),
                // Another epoch, or a plain batch that only kept its place in the order, is judged for itself.
                Some(_) => self.append(now, append, None, effects),
                None => self.append(now, append, Some(open.epoch), effects),
            }
        }
    }

    fn is_fenced(&self, append: &PendingAppend) -> bool {
        append.batches.iter().any(|batch| {
            let (producer_id, epoch) = producer_of(&batch.header);
            self.producers.judge_epoch(producer_id, epoch) == Err(Refusal::InvalidProducerEpoch)
        })
    }

    /// Ends a transaction with its marker.
    pub(super) fn write_marker(
        &mut self,
        now: Timestamp,
        reply_to: ReplyTo,
        marker: Marker,
        effects: &mut Vec<Effect>,
    ) {
        let Marker { producer_id, producer_epoch, coordinator_epoch, commit, transaction_version: _ } = marker;
        let judged = self
            .check_storage()
            .and_then(
                |()| if self.appends.len() < MAX_WAITING_APPENDS { Ok(()) } else { Err(Refusal::RequestTimedOut) },
            )
            .and_then(|()| self.producers.judge_marker(&marker));
        if judged.is_ok() {
            self.verifications.marker_passed(producer_id);
        }
        match judged {
            Err(why) => effects.extend(refusal(reply_to, why)),
            Ok(false) => {
                // The same marker again. The first one may still be on its way to the disk, and it is the answer to both.
                let last = self.watermarks.log_end - 1;
                self.park(WaitingAppend { reply_to, appended: self.appended(last, last), marker: None }, effects);
                self.commit_through(self.watermarks.high_watermark, effects);
            }
            Ok(true) => {
                let control = if commit { ControlType::Commit } else { ControlType::Abort };
                let bytes =
                    pelton_record::control_batch(control, producer_id.0, producer_epoch.0, coordinator_epoch, now.0);
                let header = *BatchView::parse(&bytes).expect("a marker that was just built is whole").header();
                let written = self.assign(vec![IncomingBatch { header, bytes: Bytes::from(bytes) }]);
                let offset = written[0].header.base_offset;
                effects.push(Effect::Write { partition: self.id.clone(), batches: written });
                let before = self.producers.remembered(producer_id);
                let decided = self.producers.marked(producer_id, producer_epoch, coordinator_epoch);
                self.unperformed.push(Change { base_offset: offset, producer_id, before, begun: None, decided });
                if let Some(first) = decided {
                    self.transactions.decided(first, offset);
                    if !commit {
                        effects.push(Effect::RecordAborted {
                            partition: self.id.clone(),
                            aborted: AbortedTransaction { producer_id, first_offset: first, last_offset: offset },
                            last_stable: self.transactions.stable_after(offset),
                        });
                    }
                }
                let appended = self.appended(offset, offset);
                self.park(WaitingAppend { reply_to, appended, marker: Some(marker) }, effects);
                self.make_durable(now, effects);
            }
        }
    }

    /// What holds of an append whatever its producer did before.
    fn check(&self, append: &PendingAppend) -> Result<(), Refusal> {
        self.check_storage()?;
        if append.batches.is_empty() {
            return Err(Refusal::InvalidRecord("there is no batch to append".to_owned()));
        }
        let records: i64 = append.batches.iter().map(|batch| i64::from(batch.header.last_offset_delta) + 1).sum();
        if self.watermarks.log_end.checked_add(records).is_none_or(|end| end == Offset::MAX) {
            return Err(Refusal::Storage("the offsets of the partition are used up".to_owned()));
        }
        for batch in &append.batches {
            check_shape(batch)?;
        }
        match append.origin {
            AppendOrigin::Coordinator => Ok(()),
            AppendOrigin::Client | AppendOrigin::Intercepted => self.check_client(append),
        }
    }

    fn check_client(&self, append: &PendingAppend) -> Result<(), Refusal> {
        if is_internal(&self.id.topic) {
            return Err(Refusal::InvalidTopicName(format!("only the broker writes to {}", self.id.topic)));
        }
        if append.acks == Acks::All && self.durability.min_insync_replicas > IN_SYNC_REPLICAS {
            return Err(Refusal::NotEnoughReplicas);
        }
        if self.appends.len() >= MAX_WAITING_APPENDS {
            return Err(Refusal::RequestTimedOut);
        }
        for IncomingBatch { header, .. } in &append.batches {
            if header.attributes.is_control() {
                return Err(Refusal::InvalidRecord("clients cannot write control batches".to_owned()));
            }
            check_record_count(header, append.origin)?;
            self.rules.check_size(header.total_len())?;
            if header.has_producer_id() {
                check_producer(header, append)?;
            } else if header.attributes.is_transactional() {
                return Err(Refusal::InvalidRecord("a transactional batch needs a producer id".to_owned()));
            }
        }
        Ok(())
    }

    pub(super) fn check_storage(&self) -> Result<(), Refusal> {
        self.storage_failure.as_ref().map_or(Ok(()), |message| Err(Refusal::Storage(message.clone())))
    }

    fn judge(&self, append: &PendingAppend, verified: Option<ProducerEpoch>) -> Result<Decision, Refusal> {
        if append.origin == AppendOrigin::Coordinator {
            for batch in append.batches.iter().filter(|batch| batch.header.has_producer_id()) {
                let (producer_id, epoch) = producer_of(&batch.header);
                self.producers.judge_epoch(producer_id, epoch)?;
            }
            return Ok(Decision::Write);
        }
        // A client's append with a producer id is one batch; `check_client` saw to it.
        let Some(IncomingBatch { header, .. }) = append.batches.first().filter(|batch| batch.header.has_producer_id())
        else {
            return Ok(Decision::Write);
        };
        if let Verdict::Duplicate(place) = self.producers.judge(header)? {
            return Ok(Decision::Answer(place));
        }
        let (producer_id, epoch) = producer_of(header);
        let enlisted = !header.attributes.is_transactional()
            || verified == Some(epoch)
            || self.producers.has_open_transaction(producer_id, epoch);
        if enlisted {
            return Ok(Decision::Write);
        }
        let Some(transactional_id) = &append.transactional_id else {
            return Err(Refusal::InvalidTxnState);
        };
        if self.verifications.is_full() {
            return Err(Refusal::RequestTimedOut);
        }
        Ok(Decision::Verify(transactional_id.clone(), producer_id, epoch))
    }

    fn write(&mut self, now: Timestamp, append: PendingAppend, effects: &mut Vec<Effect>) {
        let PendingAppend { reply_to, batches, acks, .. } = append;
        let base_offset = self.watermarks.log_end;
        let written = self.assign(batches);
        for AssignedBatch { header, .. } in &written {
            if header.has_producer_id() {
                let producer_id = ProducerId(header.producer_id);
                let before = self.producers.remembered(producer_id);
                let begun = self.producers.appended(header);
                if let Some(first) = begun {
                    self.transactions.begun(first);
                }
                let base_offset = header.base_offset;
                self.unperformed.push(Change { base_offset, producer_id, before, begun, decided: None });
            }
        }
        effects.push(Effect::Write { partition: self.id.clone(), batches: written });
        let appended = self.appended(base_offset, self.watermarks.log_end - 1);
        self.answer(reply_to, acks, appended, effects);
        self.make_durable(now, effects);
    }

    /// Gives the batches their offsets and moves the log end behind them.
    fn assign(&mut self, batches: Vec<IncomingBatch>) -> Vec<AssignedBatch> {
        let mut assigned = Vec::with_capacity(batches.len());
        for IncomingBatch { mut header, bytes } in batches {
            header.base_offset = self.watermarks.log_end;
            header.partition_leader_epoch = self.leader_epoch.0;
            self.watermarks.log_end = header.next_offset();
            assigned.push(AssignedBatch { header, bytes });
        }
        assigned
    }

    fn appended(&self, base_offset: Offset, last_offset: Offset) -> Appended {
        Appended { base_offset, last_offset, log_start: self.watermarks.log_start }
    }

    /// Gives the answer when `acks` wants it.
    fn answer(&mut self, reply_to: ReplyTo, acks: Acks, appended: Appended, effects: &mut Vec<Effect>) {
        if acks == Acks::All && appended.last_offset >= self.watermarks.high_watermark {
            self.park(WaitingAppend { reply_to, appended, marker: None }, effects);
        } else {
            let reply = Reply::Partition(Ok(PartitionReply::Appended(appended)));
            effects.extend(Effect::answer(reply_to, reply));
        }
    }

    fn park(&mut self, waiting: WaitingAppend, effects: &mut Vec<Effect>) {
        let token = match &waiting.reply_to {
            ReplyTo::Shell(token) => Some(*token),
            ReplyTo::Part(..) | ReplyTo::Nobody => None,
        };
        let needed = waiting.appended.last_offset + 1;
        if let Err(turned_away) = self.appends.park(needed, token, waiting) {
            // It is written and not acknowledged, which is what this refusal tells a client.
            effects.extend(refusal(turned_away.reply_to, Refusal::RequestTimedOut));
        }
    }
}

fn check_shape(batch: &IncomingBatch) -> Result<(), Refusal> {
    let IncomingBatch { header, bytes } = batch;
    if header.magic != MAGIC_V2 {
        return Err(Refusal::UnsupportedFormat);
    }
    if header.total_len() != bytes.len() {
        return Err(Refusal::CorruptMessage(format!(
            "the header says {} bytes and there are {}",
            header.total_len(),
            bytes.len()
        )));
    }
    if header.last_offset_delta < 0 || header.last_offset_delta == i32::MAX {
        return Err(Refusal::InvalidRecord(format!("no batch ends at offset delta {}", header.last_offset_delta)));
    }
    Ok(())
}

/// A client's batch has a record for each of its offsets; interceptors may have taken some of them away, or all.
fn check_record_count(header: &BatchHeader, origin: AppendOrigin) -> Result<(), Refusal> {
    let offsets = header.last_offset_delta.saturating_add(1);
    let fits = match origin {
        AppendOrigin::Intercepted => (0..=offsets).contains(&header.record_count),
        AppendOrigin::Client | AppendOrigin::Coordinator => header.record_count == offsets,
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::InvalidRecord(format!(
        "the batch says that it has {} records and that the last has offset delta {}",
        header.record_count, header.last_offset_delta
    )))
}

fn check_producer(header: &BatchHeader, append: &PendingAppend) -> Result<(), Refusal> {
    if append.batches.len() != 1 {
        return Err(Refusal::InvalidRecord("an idempotent producer sends one batch for each partition".to_owned()));
    }
    if header.base_sequence < 0 || header.producer_epoch < 0 {
        return Err(Refusal::InvalidRecord(format!(
            "a batch with a producer id needs an epoch and a sequence, and has {} and {}",
            header.producer_epoch, header.base_sequence
        )));
    }
    Ok(())
}

fn producer_of(header: &BatchHeader) -> (ProducerId, ProducerEpoch) {
    (ProducerId(header.producer_id), ProducerEpoch(header.producer_epoch))
}

/// A refusal of the transaction coordinator in words that every producer knows: what may pass by itself becomes
/// the retriable `REQUEST_TIMED_OUT`, since older clients take other codes in a Produce answer for fatal.
fn for_producers(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::ConcurrentTransactions
        | Refusal::CoordinatorLoadInProgress
        | Refusal::CoordinatorNotAvailable
        | Refusal::NotCoordinator => Refusal::RequestTimedOut,
        other => other,
    }
}
