//! The records of `__consumer_offsets` in Kafka's schemas, one file for each type.
//!
//! A key begins with its type: 0 and 1 are [`OffsetCommitKey`], 2 is [`GroupMetadataKey`]; a value
//! begins with its own version. What is written is what every Kafka since 2.3 reads
//! (OffsetCommitValue v3, GroupMetadataValue v3); what is read includes all older versions and the
//! flexible ones (v4). Malformed bytes are an error, never a panic.

mod described;
mod group_metadata_key;
mod group_metadata_value;
mod offset_commit_key;
mod offset_commit_value;
mod subscription;
#[cfg(test)]
mod tests;
mod wire;

pub use described::describe_record;
pub(super) use group_metadata_key::GroupMetadataKey;
pub(super) use group_metadata_value::{GroupMetadataValue, MemberMetadata};
pub(super) use offset_commit_key::OffsetCommitKey;
pub(super) use offset_commit_value::OffsetCommitValue;
pub(super) use subscription::subscribed_topics;
pub(super) use wire::MAX_STRING_BYTES;

use wire::Reader;

/// A key of `__consumer_offsets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RecordKey {
    /// An offset that a group has committed.
    OffsetCommit(OffsetCommitKey),
    /// A group's members and their assignments.
    GroupMetadata(GroupMetadataKey),
    /// A type of a later release (the groups of KIP-848 and after); skipped, as Kafka does.
    Unknown(i16),
}

impl RecordKey {
    /// Reads a key of any type.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader::new(bytes);
        match reader.int16()? {
            0 | 1 => OffsetCommitKey::parse(&mut reader).map(Self::OffsetCommit),
            GroupMetadataKey::VERSION => GroupMetadataKey::parse(&mut reader).map(Self::GroupMetadata),
            version if version > GroupMetadataKey::VERSION => Ok(Self::Unknown(version)),
            version => Err(format!("a key has type {version}")),
        }
    }
}
