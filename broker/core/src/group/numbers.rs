//! What is told of groups when the numbers of the broker are read: no question, so that it costs the log nothing.

use super::Groups;
use crate::model::{Offset, TopicPartition};
use std::sync::Arc;

/// A group, as it stands. Offsets may be among those that a crash could still take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupNumbers {
    /// Its id.
    pub group: Arc<str>,
    /// Kafka's name of its state.
    pub state: &'static str,
    /// The next offsets that it will read, in the order of their partitions.
    pub committed: Vec<(TopicPartition, Offset)>,
}

impl Groups {
    /// Every group, in the order of the ids.
    pub fn numbers(&self) -> impl Iterator<Item = GroupNumbers> {
        self.groups.iter().map(|(id, group)| GroupNumbers {
            group: id.clone(),
            state: group.classic.state().name(),
            committed: group.offsets.committed().map(|(partition, offset)| (partition.clone(), offset)).collect(),
        })
    }
}
