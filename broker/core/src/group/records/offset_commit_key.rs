//! OffsetCommitKey: which group, which partition.

use super::wire::{Reader, put_string};
use crate::model::TopicPartition;
use std::sync::Arc;

/// Key of a committed offset (types 0 and 1, which are alike).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetCommitKey {
    /// The group.
    pub(crate) group: Arc<str>,
    /// The partition that it reads.
    pub(crate) partition: TopicPartition,
}

impl OffsetCommitKey {
    const VERSION: i16 = 1;

    /// Reads what follows the type.
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, String> {
        let group = reader.string()?;
        let topic = reader.string()?;
        Ok(Self { group, partition: TopicPartition::new(topic, reader.int32()?) })
    }

    /// The key's bytes, as type 1.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(10 + self.group.len() + self.partition.topic.len());
        out.extend_from_slice(&Self::VERSION.to_be_bytes());
        put_string(&mut out, &self.group);
        put_string(&mut out, &self.partition.topic);
        out.extend_from_slice(&self.partition.partition.to_be_bytes());
        out
    }
}
