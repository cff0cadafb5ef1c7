//! Appends that wait until the transaction coordinator has said whether their partition is enlisted
//! (KIP-890 part 1).
//!
//! The first transactional batch of a producer asks; what the producer sends meanwhile waits behind it, so
//! that its order is kept. A marker that passes while the question is open takes the answer's worth away:
//! a late batch must never open a transaction that nobody will end (KAFKA-15784).
//!
//! Invariant: at most [`MAX_QUESTIONS`] questions are open, with at most [`MAX_WAITING`] appends each.

use super::append::PendingAppend;
use crate::event::ReplyTo;
use crate::model::{ProducerEpoch, ProducerId, Token};
use std::collections::{BTreeMap, VecDeque};

/// Producers whose enlisting may be in question at one time.
const MAX_QUESTIONS: usize = 4_096;
/// Appends that may wait for one answer. A client has at most five requests in flight.
const MAX_WAITING: usize = 64;

/// One open question.
#[derive(Debug)]
pub struct OpenQuestion {
    question: u64,
    /// The epoch that was asked about.
    pub epoch: ProducerEpoch,
    /// Whether a marker of this producer was appended since the question.
    pub marker_passed: bool,
    /// The appends that wait, in their order.
    pub waiting: VecDeque<PendingAppend>,
}

/// The open questions of one partition.
#[derive(Debug, Default)]
pub struct Verifications {
    by_producer: BTreeMap<ProducerId, OpenQuestion>,
    questions: u64,
}

impl Verifications {
    /// Whether a further question may be opened.
    pub fn is_full(&self) -> bool {
        self.by_producer.len() >= MAX_QUESTIONS
    }

    /// Whether no question is open, and so no append waits.
    pub fn is_empty(&self) -> bool {
        self.by_producer.is_empty()
    }

    /// Whether this producer's appends have to wait.
    pub fn is_open(&self, producer_id: ProducerId) -> bool {
        self.by_producer.contains_key(&producer_id)
    }

    /// Opens a question with the append that makes it necessary and gives its number.
    pub fn open(&mut self, producer_id: ProducerId, epoch: ProducerEpoch, append: PendingAppend) -> u64 {
        let question = self.questions;
        self.questions += 1;
        let waiting = VecDeque::from([append]);
        self.by_producer.insert(producer_id, OpenQuestion { question, epoch, marker_passed: false, waiting });
        question
    }

    /// Lets an append wait behind the open question of its producer.
    ///
    /// # Errors
    /// Gives it back when no question is open or too many wait already.
    pub fn wait(&mut self, producer_id: ProducerId, append: PendingAppend) -> Result<(), PendingAppend> {
        match self.by_producer.get_mut(&producer_id) {
            Some(open) if open.waiting.len() < MAX_WAITING => {
                open.waiting.push_back(append);
                Ok(())
            }
            _ => Err(append),
        }
    }

    /// Takes note of a marker.
    pub fn marker_passed(&mut self, producer_id: ProducerId) {
        if let Some(open) = self.by_producer.get_mut(&producer_id) {
            open.marker_passed = true;
        }
    }

    /// Closes the question with this number.
    pub fn close(&mut self, question: u64) -> Option<OpenQuestion> {
        let producer_id = *self.by_producer.iter().find(|(_, open)| open.question == question)?.0;
        self.by_producer.remove(&producer_id)
    }

    /// Forgets who waits under this token; what it sent is appended all the same.
    pub fn forget(&mut self, token: Token) {
        for append in self.by_producer.values_mut().flat_map(|open| &mut open.waiting) {
            if append.reply_to == ReplyTo::Shell(token) {
                append.reply_to = ReplyTo::Nobody;
            }
        }
    }

    /// Takes out every append that waits.
    pub fn drain(&mut self) -> Vec<PendingAppend> {
        std::mem::take(&mut self.by_producer).into_values().flat_map(|open| open.waiting).collect()
    }
}
