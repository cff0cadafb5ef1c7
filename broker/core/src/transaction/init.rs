//! InitProducerId: who is the producer of a transactional id from now on, and who no longer is.

use super::state::{Status, Transaction};
use super::{Entry, MAX_IDS, Question, Transactions, records, reply};
use crate::coordinator::Outcome;
use crate::event::{
    ClusterReply, ClusterRequest, InitializedProducer, Reply, ReplyTo, Request, TransactionReply, TransactionResult,
};
use crate::model::{PartId, ProducerEpoch, ProducerId, Timestamp};
use crate::refusal::Refusal;
use std::sync::Arc;

/// Most new producers that wait for a block of producer ids; more are told to try again.
const MAX_PENDING_INITS: usize = 10_000;

/// An InitProducerId, as asked.
#[derive(Debug)]
pub(super) struct PendingInit {
    pub(super) who: ReplyTo,
    pub(super) transactional_id: Arc<str>,
    pub(super) timeout_ms: i32,
    /// What the producer believes that it is (KIP-360).
    pub(super) current: Option<(ProducerId, ProducerEpoch)>,
}

/// Producer ids that the cluster gave and nobody has. What is left of a block is lost with the process, as in Kafka.
#[derive(Debug, Default)]
pub(super) struct ProducerIdBlock {
    next: i64,
    left: i64,
    asked: bool,
}

impl ProducerIdBlock {
    fn take(&mut self) -> Option<ProducerId> {
        if self.left <= 0 {
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.left -= 1;
        Some(ProducerId(id))
    }
}

/// What an InitProducerId comes to.
enum Decision {
    /// Write this state and answer with it; `previous` is what the producer said that it was, where it may repeat it.
    Initialize {
        next: Transaction,
        previous: Option<(ProducerId, ProducerEpoch)>,
    },
    /// A repetition: answer with the state as it is.
    Repeat,
    /// Another instance's transaction is open: abort it under the next epoch, and let the client come back.
    Fence,
    /// A producer id is needed first.
    NeedsProducerId,
    Refuse(Refusal),
}

impl Transactions {
    pub(super) fn init_producer(&mut self, now: Timestamp, init: PendingInit, out: &mut Outcome) {
        let decision = self.decide_init(now, &init);
        let id = &init.transactional_id;
        match decision {
            Decision::Refuse(refusal) => out.reply(init.who, reply(Err(refusal))),
            Decision::NeedsProducerId => self.wait_for_producer_id(init, out),
            Decision::Repeat => {
                let transaction = &self.entries[id].transaction;
                out.reply(init.who, initialized(transaction));
            }
            Decision::Fence => {
                let transaction = &self.entries[id].transaction;
                let next = transaction.decided(now, transaction.next_epoch(), TransactionResult::Abort);
                self.complete(now, id, next, out);
                out.reply(init.who, reply(Err(Refusal::ConcurrentTransactions)));
            }
            Decision::Initialize { next, previous } => {
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.previous = previous;
                }
                out.append(vec![records::state_record(id, &next)]);
                out.reply(init.who, initialized(&next));
            }
        }
    }

    fn decide_init(&mut self, now: Timestamp, init: &PendingInit) -> Decision {
        if init.timeout_ms <= 0 || init.timeout_ms > self.config.transaction_max_timeout_ms {
            return Decision::Refuse(Refusal::InvalidTransactionTimeout);
        }
        let Some(entry) = self.entries.get(&init.transactional_id) else {
            if self.entries.len() >= MAX_IDS {
                let message = format!("coordinator {} holds {MAX_IDS} transactional ids already", self.index);
                return Decision::Refuse(Refusal::PolicyViolation(message));
            }
            return self.with_new_producer_id(now, init, None);
        };
        let transaction = &entry.transaction;
        let repeats = init.current.is_some() && init.current == entry.previous;
        if let Some(current) = init.current
            && !repeats
            && current != (transaction.producer_id, transaction.producer_epoch)
        {
            return Decision::Refuse(Refusal::ProducerFenced);
        }
        match transaction.status {
            Status::PrepareCommit | Status::PrepareAbort => Decision::Refuse(Refusal::ConcurrentTransactions),
            // It was answered before, or no transaction were open now: what comes here is a late duplicate.
            Status::Ongoing if repeats => Decision::Refuse(Refusal::ProducerFenced),
            Status::Ongoing => Decision::Fence,
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort if repeats => Decision::Repeat,
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort => {
                if transaction.epoch_is_exhausted() {
                    return self.with_new_producer_id(now, init, init.current);
                }
                let (id, epoch) = (transaction.producer_id, transaction.next_epoch());
                let next = Transaction::initialized(now, id, epoch, init.timeout_ms);
                Decision::Initialize { next, previous: init.current }
            }
        }
    }

    fn with_new_producer_id(
        &mut self,
        now: Timestamp,
        init: &PendingInit,
        previous: Option<(ProducerId, ProducerEpoch)>,
    ) -> Decision {
        let Some(producer_id) = self.block.take() else { return Decision::NeedsProducerId };
        let next = Transaction::initialized(now, producer_id, ProducerEpoch(0), init.timeout_ms);
        Decision::Initialize { next, previous }
    }

    fn wait_for_producer_id(&mut self, init: PendingInit, out: &mut Outcome) {
        if self.pending_inits.iter().any(|pending| pending.transactional_id == init.transactional_id) {
            return out.reply(init.who, reply(Err(Refusal::ConcurrentTransactions)));
        }
        if self.pending_inits.len() >= MAX_PENDING_INITS {
            return out.reply(init.who, reply(Err(Refusal::CoordinatorLoadInProgress)));
        }
        self.pending_inits.push(init);
        if !self.block.asked {
            self.block.asked = true;
            let question = self.question(Question::ProducerIds);
            out.ask(PartId::Cluster, question, Request::Cluster(ClusterRequest::AllocateProducerIds));
        }
    }

    pub(super) fn producer_ids_answered(&mut self, now: Timestamp, answer: Reply, out: &mut Outcome) {
        self.block.asked = false;
        let pending = std::mem::take(&mut self.pending_inits);
        let Reply::Cluster(Ok(ClusterReply::ProducerIds { first, count })) = answer else {
            // The cluster part is loading or has failed; as in Kafka the client hears that it may try again.
            for init in pending {
                out.reply(init.who, reply(Err(Refusal::CoordinatorLoadInProgress)));
            }
            return;
        };
        self.block.next = first.0;
        self.block.left = count;
        for init in pending {
            self.init_producer(now, init, out);
        }
    }
}

fn initialized(transaction: &Transaction) -> Reply {
    reply(Ok(TransactionReply::Initialized(InitializedProducer {
        producer_id: transaction.producer_id,
        producer_epoch: transaction.producer_epoch,
    })))
}

impl Entry {
    /// A fenced instance has nothing to repeat.
    pub(super) fn forget_previous(&mut self) {
        self.previous = None;
    }
}
