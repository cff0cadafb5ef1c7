//! OffsetCommitValue: the committed offset. Version 3 is written, or 1 where the client has set an expiry, which later
//! versions have no place for; 0 to 4 are read.

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
    /// When it expires, where the client has said so (version 1 alone; no client does since Kafka 2.1, KIP-211).
    pub(crate) expires_at: Option<Timestamp>,
}

impl OffsetCommitValue {
    const VERSION: i16 = 3;
    const VERSION_WITH_EXPIRY: i16 = 1;

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
        let expires_at = if version == Self::VERSION_WITH_EXPIRY { reader.int64()? } else { -1 };
        reader.skip_tagged_fields()?;
        let leader_epoch = (leader_epoch >= 0).then_some(LeaderEpoch(leader_epoch));
        let expires_at = (expires_at >= 0).then_some(Timestamp(expires_at));
        Ok(Self { offset, leader_epoch, metadata, committed_at, expires_at })
    }

    /// The value's bytes. With an expiry they have no leader epoch.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.metadata.len());
        let version = if self.expires_at.is_some() { Self::VERSION_WITH_EXPIRY } else { Self::VERSION };
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        if self.expires_at.is_none() {
            out.extend_from_slice(&self.leader_epoch.map_or(-1, |epoch| epoch.0).to_be_bytes());
        }
        put_string(&mut out, &self.metadata);
        out.extend_from_slice(&self.committed_at.0.to_be_bytes());
        out.extend(self.expires_at.into_iter().flat_map(|at| at.0.to_be_bytes()));
        out
    }
}
