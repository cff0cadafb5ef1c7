//! GroupMetadataKey: which group.

use super::wire::{Reader, put_string};
use std::sync::Arc;

/// Key of a group's metadata (type 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupMetadataKey {
    /// The group.
    pub(crate) group: Arc<str>,
}

impl GroupMetadataKey {
    pub(super) const VERSION: i16 = 2;

    /// Reads what follows the type.
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, String> {
        Ok(Self { group: reader.string()? })
    }

    /// The key's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.group.len());
        out.extend_from_slice(&Self::VERSION.to_be_bytes());
        put_string(&mut out, &self.group);
        out
    }
}
