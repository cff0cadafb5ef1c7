//! OffsetCommitValue: the committed offset. Version 3 is written, 0 to 4 are read.

use super::wire::{Reader, put_string};
use crate::model::{LeaderEpoch, Offset, Timestamp};
use std::sync::Arc;

/// Value of a committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetCommitValue {
    /// The next offset that the group will read.
    pub(crate) offset: Offset,
    /// Epoch of the last record read, if known (since version 3).
    pub(crate) leader_epoch: Option<LeaderEpoch>,
    /// The client's own note.
    pub(crate) metadata: Arc<str>,
    /// When it was committed.
    pub(crate) committed_at: Timestamp,
}

impl OffsetCommitValue {
    const VERSION: i16 = 3;

    /// Reads a whole value.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader::new(bytes);
        let version = reader.int16()?;
        if !(0..=4).contains(&version) {
            return Err(format!("OffsetCommitValue has version {version}; 0 to 4 are known"));
        }
        reader.set_flexible(version >= 4);
        let offset = reader.int64()?;
        let leader_epoch = if version >= 3 { reader.int32()? } else { -1 };
        let metadata = reader.string()?;
        let committed_at = Timestamp(reader.int64()?);
        if version == 1 {
            // An expiry of its own, which no client has set since Kafka 2.1 (KIP-211).
            reader.int64()?;
        }
        reader.skip_tagged_fields()?;
        let leader_epoch = (leader_epoch >= 0).then_some(LeaderEpoch(leader_epoch));
        Ok(Self { offset, leader_epoch, metadata, committed_at })
    }

    /// The value's bytes, as version 3.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + self.metadata.len());
        out.extend_from_slice(&Self::VERSION.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.leader_epoch.map_or(-1, |epoch| epoch.0).to_be_bytes());
        put_string(&mut out, &self.metadata);
        out.extend_from_slice(&self.committed_at.0.to_be_bytes());
        out
    }
}
