//! GroupMetadataValue: a generation of a classic group. Version 3 is written, 0 to 4 are read.

use super::wire::{Reader, put_bytes, put_nullable_string, put_string};
use crate::model::{MemberId, Timestamp};
use bytes::Bytes;
use std::sync::Arc;

/// Value of a group's metadata: empty, or stable with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupMetadataValue {
    /// `consumer`, `connect` ...; empty for a group that never had members.
    pub(crate) protocol_type: Arc<str>,
    /// The generation.
    pub(crate) generation: i32,
    /// The chosen assignment protocol; none while the group is empty.
    pub(crate) protocol: Option<Arc<str>>,
    /// The member that assigns; none while the group is empty.
    pub(crate) leader: Option<MemberId>,
    /// When the group came into this state, if known (since version 2).
    pub(crate) state_since: Option<Timestamp>,
    /// The members.
    pub(crate) members: Vec<MemberMetadata>,
}

/// One member of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    /// Its id.
    pub(crate) member: MemberId,
    /// Its static identity (since version 3).
    pub(crate) instance: Option<Arc<str>>,
    /// From the header of its join.
    pub(crate) client_id: Arc<str>,
    /// Where it joined from.
    pub(crate) client_host: Arc<str>,
    /// How long it may take to join again (since version 1; before, the session timeout).
    pub(crate) rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub(crate) session_timeout_ms: i32,
    /// Its metadata under the chosen protocol.
    pub(crate) subscription: Bytes,
    /// What the leader gave it.
    pub(crate) assignment: Bytes,
}

impl GroupMetadataValue {
    const VERSION: i16 = 3;

    /// Reads a whole value.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader::new(bytes);
        let version = reader.int16()?;
        if !(0..=4).contains(&version) {
            return Err(format!("GroupMetadataValue has version {version}; 0 to 4 are known"));
        }
        reader.set_flexible(version >= 4);
        let protocol_type = reader.string()?;
        let generation = reader.int32()?;
        let protocol = reader.nullable_string()?;
        let leader = reader.nullable_string()?;
        let state_since = if version >= 2 { reader.int64()? } else { -1 };
        let mut members = Vec::new();
        for _ in 0..reader.array_length()? {
            members.push(MemberMetadata::parse(&mut reader, version)?);
        }
        reader.skip_tagged_fields()?;
        let state_since = (state_since >= 0).then_some(Timestamp(state_since));
        Ok(Self { protocol_type, generation, protocol, leader, state_since, members })
    }

    /// The value's bytes, as version 3.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&Self::VERSION.to_be_bytes());
        put_string(&mut out, &self.protocol_type);
        out.extend_from_slice(&self.generation.to_be_bytes());
        put_nullable_string(&mut out, self.protocol.as_deref());
        put_nullable_string(&mut out, self.leader.as_deref());
        out.extend_from_slice(&self.state_since.map_or(-1, |at| at.0).to_be_bytes());
        out.extend_from_slice(&i32::try_from(self.members.len()).expect("members are bounded").to_be_bytes());
        for member in &self.members {
            member.encode_into(&mut out);
        }
        out
    }
}

impl MemberMetadata {
    fn parse(reader: &mut Reader<'_>, version: i16) -> Result<Self, String> {
        let member = reader.string()?;
        let instance = if version >= 3 { reader.nullable_string()? } else { None };
        let client_id = reader.string()?;
        let client_host = reader.string()?;
        let rebalance_timeout_ms = if version >= 1 { Some(reader.int32()?) } else { None };
        let session_timeout_ms = reader.int32()?;
        let subscription = Bytes::copy_from_slice(reader.bytes()?);
        let assignment = Bytes::copy_from_slice(reader.bytes()?);
        reader.skip_tagged_fields()?;
        Ok(Self {
            member,
            instance,
            client_id,
            client_host,
            rebalance_timeout_ms: rebalance_timeout_ms.unwrap_or(session_timeout_ms),
            session_timeout_ms,
            subscription,
            assignment,
        })
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        put_string(out, &self.member);
        put_nullable_string(out, self.instance.as_deref());
        put_string(out, &self.client_id);
        put_string(out, &self.client_host);
        out.extend_from_slice(&self.rebalance_timeout_ms.to_be_bytes());
        out.extend_from_slice(&self.session_timeout_ms.to_be_bytes());
        put_bytes(out, &self.subscription);
        put_bytes(out, &self.assignment);
    }
}
