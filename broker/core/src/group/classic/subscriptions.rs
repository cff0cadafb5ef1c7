//! Which topics the members of a group of consumers subscribe to. Nothing else is read of what members say of themselves.

use super::super::records::subscribed_topics;
use super::ClassicGroup;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The protocol type of consumers. Others (`connect` ...) have subscriptions in formats of their own.
const CONSUMER: &str = "consumer";

/// The topics that the members of a group subscribe to.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::group) enum Subscriptions {
    /// All of them.
    Topics(BTreeSet<Arc<str>>),
    /// There is no protocol yet, or a member's metadata is not in the format of consumers.
    Unknown,
}

impl Subscriptions {
    /// Whether the topic is, or may be, among them.
    pub(in crate::group) fn may_include(&self, topic: &str) -> bool {
        match self {
            Self::Topics(topics) => topics.contains(topic),
            Self::Unknown => true,
        }
    }
}

impl ClassicGroup {
    /// Whether it is, or was, a group of consumers.
    pub(in crate::group) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// What the members of a group of consumers subscribe to; nothing in any other group.
    pub(in crate::group) fn subscriptions(&self) -> Subscriptions {
        if !self.is_of_consumers() || self.members.is_empty() {
            return Subscriptions::Topics(BTreeSet::new());
        }
        let Some(protocol) = &self.protocol else { return Subscriptions::Unknown };
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            match subscribed_topics(&member.subscription(protocol)) {
                Ok(subscribed) => topics.extend(subscribed),
                Err(_) => return Subscriptions::Unknown,
            }
        }
        Subscriptions::Topics(topics)
    }
}
