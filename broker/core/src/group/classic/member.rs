//! A member: what it supports, what it was given, and which of its requests waits.

use super::super::records::MemberMetadata;
use crate::event::{DescribedMember, JoinGroup, ReplyTo};
use crate::model::{MemberId, Timestamp};
use bytes::Bytes;
use std::sync::Arc;

/// How long a member may wait in its very first join, in which it cannot send heartbeats.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;

/// One member of a group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) instance: Option<Arc<str>>,
    client_id: Arc<str>,
    client_host: Arc<str>,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
    /// In the member's order of preference, with its metadata.
    protocols: Vec<(Arc<str>, Bytes)>,
    /// Set by replay alone.
    pub(super) assignment: Bytes,
    /// It has not yet been through a rebalance.
    is_new: bool,
    /// Its join that waits for the rebalance.
    pub(super) joining: Option<ReplyTo>,
    /// Its sync that waits for the leader.
    pub(super) syncing: Option<ReplyTo>,
    deadline: Timestamp,
}

impl Member {
    /// A member whose first join waits under `to`.
    pub(super) fn joining(id: MemberId, request: JoinGroup, to: ReplyTo, now: Timestamp) -> Self {
        Self {
            id,
            instance: request.instance,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            is_new: true,
            joining: Some(to),
            syncing: None,
            deadline: now.plus_ms(NEW_MEMBER_JOIN_TIMEOUT_MS),
        }
    }

    /// A member as a stored generation shows it. Its session starts when the log is loaded.
    pub(super) fn stored(metadata: MemberMetadata, protocol: Option<&Arc<str>>) -> Self {
        Self {
            id: metadata.member,
            instance: metadata.instance,
            client_id: metadata.client_id,
            client_host: metadata.client_host,
            session_timeout_ms: metadata.session_timeout_ms,
            rebalance_timeout_ms: metadata.rebalance_timeout_ms,
            protocols: protocol.map(|name| (name.clone(), metadata.subscription)).into_iter().collect(),
            assignment: metadata.assignment,
            is_new: false,
            joining: None,
            syncing: None,
            deadline: Timestamp::default(),
        }
    }

    /// What a record holds of the member.
    pub(super) fn metadata(&self, protocol: &str, assignment: Bytes) -> MemberMetadata {
        MemberMetadata {
            member: self.id.clone(),
            instance: self.instance.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.subscription(protocol),
            assignment,
        }
    }

    /// The member as an administrator sees it, with what it has under that protocol.
    pub(super) fn described(&self, protocol: Option<&Arc<str>>) -> DescribedMember {
        DescribedMember {
            member: self.id.clone(),
            instance: self.instance.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: protocol.map(|protocol| self.subscription(protocol)).unwrap_or_default(),
            assignment: protocol.map(|_| self.assignment.clone()).unwrap_or_default(),
        }
    }

    /// Takes over what the member says of itself in a later join.
    pub(super) fn update(&mut self, request: &JoinGroup) {
        self.client_id = request.client_id.clone();
        self.client_host = request.client_host.clone();
        self.session_timeout_ms = request.session_timeout_ms;
        self.rebalance_timeout_ms = request.rebalance_timeout_ms;
        self.protocols = request.protocols.clone();
    }

    /// Whether a join brings the same protocols with the same metadata in the same order.
    pub(super) fn matches(&self, protocols: &[(Arc<str>, Bytes)]) -> bool {
        self.protocols == protocols
    }

    /// The protocols that it supports, best first.
    pub(super) fn protocols(&self) -> impl Iterator<Item = &Arc<str>> {
        self.protocols.iter().map(|(name, _)| name)
    }

    /// Its metadata under that protocol.
    pub(super) fn subscription(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| &**name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// How long it may take to join again.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        i64::from(self.rebalance_timeout_ms.max(0))
    }

    /// It was heard of, or answered: its session starts anew.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.deadline = now.plus_ms(i64::from(self.session_timeout_ms.max(0)));
    }

    /// It got through a rebalance.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.is_new = false;
        self.touch(now);
    }

    /// When its session ends. A known member that waits for an answer of ours is not silent; a new one
    /// may be gone without a trace, so its wait is bounded.
    pub(super) fn session_end(&self) -> Option<Timestamp> {
        let waits = self.joining.is_some() || self.syncing.is_some();
        (self.is_new || !waits).then_some(self.deadline)
    }
}
