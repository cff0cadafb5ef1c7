//! OffsetCommit, TxnOffsetCommit and OffsetFetch.
//!
//! A commit within a transaction is first verified: the transaction coordinator says whether this
//! partition of `__consumer_offsets` is enlisted in the producer's open transaction. Its records then
//! stay pending until the transaction's marker is in the log.

use super::classic::State;
use super::records::MAX_STRING_BYTES;
use super::{Groups, Step, offsets};
use crate::coordinator::partition_for;
use crate::event::{GroupReply, OffsetCommit, Reply, ReplyTo, Request, TransactionRequest, TransactionalOffsetCommit};
use crate::model::{OFFSETS_TOPIC, PartId, ProducerEpoch, ProducerId, Token, TopicPartition};
use crate::refusal::Refusal;
use std::sync::Arc;

/// How many transactional commits may wait for their verification.
const MAX_VERIFYING: usize = 10_000;

/// A transactional commit that waits for its verification.
#[derive(Debug)]
struct Verifying {
    to: ReplyTo,
    request: TransactionalOffsetCommit,
    /// The transaction was decided meanwhile; whatever the verification says, it is too late.
    decided: bool,
}

/// The transactional commits that wait for their verification, by question.
#[derive(Debug, Default)]
pub(super) struct Verifications {
    waiting: std::collections::BTreeMap<u64, Verifying>,
    asked: u64,
}

impl Verifications {
    /// The transaction of this producer is decided.
    pub(super) fn decided(&mut self, producer_id: ProducerId, producer_epoch: ProducerEpoch) {
        for Verifying { request, decided, .. } in self.waiting.values_mut() {
            *decided |= request.producer_id == producer_id && request.producer_epoch <= producer_epoch;
        }
    }

    /// Forgets a waiting answer; true if it was one of these. The commit itself goes on.
    pub(super) fn cancel(&mut self, token: Token) -> bool {
        let mut found = false;
        for verifying in self.waiting.values_mut().filter(|verifying| verifying.to == ReplyTo::Shell(token)) {
            verifying.to = ReplyTo::Nobody;
            found = true;
        }
        found
    }
}

impl Groups {
    pub(super) fn commit(&mut self, step: &mut Step<'_>, to: ReplyTo, commit: OffsetCommit) {
        match self.check_commit(&commit, step, false) {
            Ok(()) => {
                self.heard_of(&commit, step);
                step.out.append(offsets::records(commit, step.now));
                step.answer(to, GroupReply::Done);
            }
            Err(refusal) => step.refuse(to, refusal),
        }
    }

    /// A commit shows that a member lives, as a heartbeat does.
    fn heard_of(&mut self, commit: &OffsetCommit, step: &Step<'_>) {
        if let Some(group) = self.groups.get_mut(&commit.group) {
            group.classic.touch(&commit.member, step.now);
        }
    }

    fn check_commit(&self, commit: &OffsetCommit, step: &Step<'_>, in_transaction: bool) -> Result<(), Refusal> {
        if commit.group.len() > MAX_STRING_BYTES {
            return Err(Refusal::InvalidGroupId);
        }
        if commit.offsets.iter().any(|offset| offset.partition.topic.len() > MAX_STRING_BYTES) {
            return Err(Refusal::InvalidRequest(format!("a topic name is longer than {MAX_STRING_BYTES} bytes")));
        }
        let max_metadata = step.config.offset_metadata_max_bytes.min(MAX_STRING_BYTES);
        if commit.offsets.iter().any(|offset| offset.metadata.len() > max_metadata) {
            return Err(Refusal::OffsetMetadataTooLarge);
        }
        self.check_generation(commit, in_transaction)
    }

    fn check_generation(&self, commit: &OffsetCommit, in_transaction: bool) -> Result<(), Refusal> {
        let outside = commit.generation < 0;
        let Some(group) = self.groups.get(&commit.group) else {
            self.check_group_bound()?;
            return if outside { Ok(()) } else { Err(Refusal::IllegalGeneration) };
        };
        let classic = &group.classic;
        if outside && classic.state() == State::Empty {
            return Ok(());
        }
        if !outside || !commit.member.is_empty() || commit.instance.is_some() {
            classic.check_member(&commit.member, commit.instance.as_ref())?;
            if commit.generation != classic.generation() {
                return Err(Refusal::IllegalGeneration);
            }
        } else if !in_transaction {
            // Members hold the group: a consumer outside of it may not move its offsets.
            return Err(Refusal::UnknownMemberId);
        }
        if !in_transaction && classic.state() == State::CompletingRebalance {
            return Err(Refusal::RebalanceInProgress);
        }
        Ok(())
    }

    pub(super) fn commit_in_transaction(
        &mut self,
        step: &mut Step<'_>,
        to: ReplyTo,
        request: TransactionalOffsetCommit,
    ) {
        if self.verifications.waiting.len() >= MAX_VERIFYING {
            return step.refuse(to, Refusal::CoordinatorLoadInProgress);
        }
        if request.commit.group.is_empty() {
            return step.refuse(to, Refusal::InvalidGroupId);
        }
        if let Err(refusal) = self.check_commit(&request.commit, step, true) {
            return step.refuse(to, refusal);
        }
        let index = partition_for(&request.transactional_id, step.config.transaction_topic_partitions);
        let verify = TransactionRequest::Verify {
            transactional_id: request.transactional_id.clone(),
            producer_id: request.producer_id,
            producer_epoch: request.producer_epoch,
            partition: TopicPartition::new(OFFSETS_TOPIC, self.index),
        };
        let question = self.verifications.asked;
        self.verifications.asked += 1;
        self.verifications.waiting.insert(question, Verifying { to, request, decided: false });
        step.out.ask(PartId::Transaction(index), question, Request::Transaction(verify));
    }

    /// The transaction coordinator has answered a verification.
    pub(super) fn verified(&mut self, step: &mut Step<'_>, question: u64, reply: Reply) {
        let Some(Verifying { to, request, decided }) = self.verifications.waiting.remove(&question) else { return };
        let verified = match reply {
            Reply::Transaction(Ok(_)) if decided => Err(Refusal::InvalidTxnState),
            Reply::Transaction(Ok(_)) => Ok(()),
            Reply::Transaction(Err(Refusal::NotCoordinator)) => Err(Refusal::CoordinatorNotAvailable),
            Reply::Transaction(Err(refusal)) => Err(refusal),
            Reply::Partition(_) | Reply::Group(_) | Reply::Cluster(_) => Err(Refusal::CoordinatorNotAvailable),
        };
        // The group may have moved on while the question was under way.
        match verified.and_then(|()| self.check_commit(&request.commit, step, true)) {
            Ok(()) => {
                self.heard_of(&request.commit, step);
                let records = offsets::records(request.commit, step.now);
                step.out.append_in_transaction((request.producer_id, request.producer_epoch), records);
                step.answer(to, GroupReply::Done);
            }
            Err(refusal) => step.refuse(to, refusal),
        }
    }

    pub(super) fn fetch_offsets(
        &self,
        step: &mut Step<'_>,
        to: ReplyTo,
        group: &Arc<str>,
        partitions: Option<Vec<TopicPartition>>,
        require_stable: bool,
    ) {
        let offsets = match self.groups.get(group) {
            Some(group) => group.offsets.fetch(partitions, require_stable),
            None => offsets::GroupOffsets::default().fetch(partitions, require_stable),
        };
        match offsets {
            Ok(offsets) => step.answer(to, GroupReply::Offsets(offsets)),
            Err(refusal) => step.refuse(to, refusal),
        }
    }
}
