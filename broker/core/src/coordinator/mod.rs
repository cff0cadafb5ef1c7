//! The frame that groups, transactions and the cluster image share (design decision D4).
//!
//! A coordinator is a replicated state machine over one log. A question yields records and answers;
//! replaying records is the only way that its hard state changes, at the moment they are decided and
//! again after a restart; and whatever was decided, success or error, leaves only when every record
//! decided up to then is committed. So no answer ever speaks of state that a crash could take back.
//!
//! [`frame::Frame`] does the waiting; a [`Coordinator`] only decides. Its soft state (who is waiting,
//! timers, members that have not synced) is its own affair and is lost with the process.

pub mod frame;

use crate::event::{Reply, ReplyTo, Request};
use crate::model::{PartId, ProducerEpoch, ProducerId, Timestamp, Token};
use crate::refusal::Refusal;

/// A machine that decides over one log.
pub trait Coordinator {
    /// Decides a question. The answer may be given at once or later, by any of these methods.
    fn handle(&mut self, now: Timestamp, who: ReplyTo, request: Request, out: &mut Outcome);

    /// The answer to what this coordinator asked with [`Outcome::ask`] under `question`.
    fn answered(&mut self, now: Timestamp, question: u64, reply: Reply, out: &mut Outcome);

    /// Time has passed.
    fn tick(&mut self, now: Timestamp, out: &mut Outcome);

    /// When [`Coordinator::tick`] is wanted next.
    fn next_wake(&self) -> Option<Timestamp>;

    /// The waiting client is gone: forget its token, keep the state.
    fn cancelled(&mut self, now: Timestamp, token: Token, out: &mut Outcome);

    /// Applies one record of the log: the only way that hard state changes.
    ///
    /// # Errors
    /// Says what of the record is malformed; the coordinator then refuses to load.
    fn replay(&mut self, record: StoredRecord<'_>) -> Result<(), String>;

    /// Applies the marker that decides a transaction whose records were replayed.
    fn replay_marker(&mut self, producer_id: ProducerId, producer_epoch: ProducerEpoch, commit: bool);

    /// The log has been replayed: resume what it shows to be unfinished.
    fn loaded(&mut self, now: Timestamp, out: &mut Outcome);

    /// A refusal in the words of this coordinator's answers.
    fn refuse(&self, refusal: Refusal) -> Reply;
}

/// One record of a coordinator's log.
#[derive(Debug, Clone, Copy)]
pub struct StoredRecord<'a> {
    /// The key, in Kafka's schema for that topic.
    pub key: &'a [u8],
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// When it was written.
    pub timestamp: Timestamp,
    /// The transaction that it belongs to, if any (offsets of TxnOffsetCommit).
    pub transaction: Option<(ProducerId, ProducerEpoch)>,
}

/// A record to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The key.
    pub key: Vec<u8>,
    /// The value, or `None` for a tombstone.
    pub value: Option<Vec<u8>>,
}

/// Records that are written together, and the transaction that they belong to, if any.
pub(crate) type DecidedBatch = (Option<(ProducerId, ProducerEpoch)>, Vec<NewRecord>);

/// What one call to a [`Coordinator`] decided. The records are replayed by the frame right after the call;
/// answers and questions leave when they are committed.
#[derive(Debug, Default)]
pub struct Outcome {
    pub(crate) batches: Vec<DecidedBatch>,
    pub(crate) replies: Vec<(ReplyTo, Reply)>,
    pub(crate) questions: Vec<(PartId, u64, Request)>,
    pub(crate) effects: Vec<crate::effect::Effect>,
}

impl Outcome {
    /// Writes records.
    pub fn append(&mut self, records: Vec<NewRecord>) {
        if !records.is_empty() {
            self.batches.push((None, records));
        }
    }

    /// Writes records as part of a producer's open transaction.
    pub fn append_in_transaction(&mut self, producer: (ProducerId, ProducerEpoch), records: Vec<NewRecord>) {
        if !records.is_empty() {
            self.batches.push((Some(producer), records));
        }
    }

    /// Answers, once all that was decided so far is committed.
    pub fn reply(&mut self, to: ReplyTo, reply: Reply) {
        if to != ReplyTo::Nobody {
            self.replies.push((to, reply));
        }
    }

    /// Asks another part, once all that was decided so far is committed. The answer comes to
    /// [`Coordinator::answered`] under `question`.
    pub fn ask(&mut self, part: PartId, question: u64, request: Request) {
        self.questions.push((part, question, request));
    }

    /// Performs another effect (publish the image, create a partition), once all that was decided so far is committed.
    pub fn perform(&mut self, effect: crate::effect::Effect) {
        self.effects.push(effect);
    }
}

/// Which of `count` partitions coordinates this group or transactional id: Kafka's choice, Java's
/// `String.hashCode` over UTF-16 without its sign, modulo `count`.
pub fn partition_for(id: &str, count: i32) -> i32 {
    let hash = id.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & 0x7fff_ffff) % count
}

#[cfg(test)]
mod tests {
    use super::partition_for;

    #[test]
    fn the_coordinator_of_an_id_is_the_one_kafka_chooses() {
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("a", 50), 97 % 50);
        assert_eq!(partition_for("ab", 50), (97 * 31 + 98) % 50);
    }
}
