//! Moves of logs from one directory to another (AlterReplicaLogDirs): which are under way, and what a move does next.
//!
//! A copy (Kafka's future replica, `<topic>-<partition>.<id>-future`) takes over the batches of the log until next to
//! nothing is missing; then the log's owner copies the rest and puts the copy in the log's place.
//!
//! Invariants: a copy takes only what is durable in the log it copies, so no power cut leaves it with records that the
//! log has lost; a partition has one move at most.

use super::placement::DirectoryIndex;
use pelton_core::model::{Offset, TopicId, TopicPartition};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A move that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Tells it from others of the same partition.
    pub id: u64,
    /// Identity of the topic.
    pub topic_id: TopicId,
    /// Where the log goes.
    pub to: DirectoryIndex,
    /// Where the copy is until then.
    pub path: PathBuf,
    /// One past the last offset that was copied.
    pub copied: Offset,
    /// Bytes of the copy.
    pub bytes: u64,
}

/// The moves that are under way.
#[derive(Debug, Default)]
pub struct Moves {
    state: Mutex<(u64, BTreeMap<TopicPartition, Move>)>,
}

impl Moves {
    /// Notes a move. The partition has none yet.
    pub fn begin(&self, partition: TopicPartition, topic_id: TopicId, to: DirectoryIndex, path: PathBuf) -> u64 {
        let mut state = self.state();
        state.0 += 1;
        let id = state.0;
        state.1.insert(partition, Move { id, topic_id, to, path, copied: 0, bytes: 0 });
        id
    }

    /// The move of a partition.
    pub fn of(&self, partition: &TopicPartition) -> Option<Move> {
        self.state().1.get(partition).cloned()
    }

    /// The move of that number, unless it was given up.
    pub fn get(&self, partition: &TopicPartition, id: u64) -> Option<Move> {
        self.state().1.get(partition).filter(|moving| moving.id == id).cloned()
    }

    /// Notes how far a move is.
    pub fn advanced(&self, partition: &TopicPartition, id: u64, copied: Offset, bytes: u64) {
        if let Some(moving) = self.state().1.get_mut(partition).filter(|moving| moving.id == id) {
            (moving.copied, moving.bytes) = (copied, bytes);
        }
    }

    /// Ends the move of a partition, finished or given up.
    pub fn end(&self, partition: &TopicPartition) -> Option<Move> {
        self.state().1.remove(partition)
    }

    /// All moves, in the order of their partitions.
    pub fn all(&self) -> Vec<(TopicPartition, Move)> {
        self.state().1.iter().map(|(partition, moving)| (partition.clone(), moving.clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, (u64, BTreeMap<TopicPartition, Move>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log that is copied, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// First offset that is kept.
    pub log_start: Offset,
    /// Below it everything is durable.
    pub durable: Offset,
    /// One past the last offset.
    pub log_end: Offset,
}

/// What a move does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The copy begins anew at this offset: what it has is not kept any more.
    Begin(Offset),
    /// The copy has more than the log, and gives up what is at or past this offset.
    Truncate(Offset),
    /// Copy what is durable.
    Copy,
    /// Everything durable is copied: have the rest made durable, and come again.
    Wait,
    /// Nothing is missing: take the log's place.
    Swap,
}

/// What comes next for a copy that ends at `copied`.
pub fn next(source: Source, copied: Offset) -> Step {
    if copied < source.log_start {
        Step::Begin(source.log_start)
    } else if copied > source.log_end {
        Step::Truncate(source.log_end)
    } else if copied < source.durable {
        Step::Copy
    } else if copied < source.log_end {
        Step::Wait
    } else {
        Step::Swap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_follows_its_log_and_takes_nothing_that_a_power_cut_could_take_back() {
        let source = Source { log_start: 10, durable: 20, log_end: 30 };
        assert_eq!(next(source, 0), Step::Begin(10));
        assert_eq!(next(source, 10), Step::Copy);
        assert_eq!(next(source, 19), Step::Copy);
        assert_eq!(next(source, 20), Step::Wait);
        assert_eq!(next(source, 31), Step::Truncate(30));
        assert_eq!(next(Source { durable: 30, ..source }, 30), Step::Swap);
        assert_eq!(next(Source { log_start: 0, durable: 0, log_end: 0 }, 0), Step::Swap);
    }

    #[test]
    fn a_move_that_was_given_up_is_not_found_by_its_number() {
        let moves = Moves::default();
        let partition = TopicPartition::new("t", 0);
        let first = moves.begin(partition.clone(), TopicId(7), DirectoryIndex(1), PathBuf::from("/b/t-0.x-future"));
        moves.advanced(&partition, first, 5, 500);
        assert_eq!(moves.get(&partition, first).map(|moving| (moving.copied, moving.bytes)), Some((5, 500)));
        moves.end(&partition);
        let second = moves.begin(partition.clone(), TopicId(7), DirectoryIndex(2), PathBuf::from("/c/t-0.y-future"));
        moves.advanced(&partition, first, 9, 900);
        assert_eq!(moves.get(&partition, first), None);
        assert_eq!(moves.get(&partition, second).map(|moving| moving.copied), Some(0));
    }
}
