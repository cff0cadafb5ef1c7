//! The wire's strings and UUIDs, and the core's.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use pelton_core::model::TopicId;
use std::sync::Arc;
use uuid::Uuid;

/// A string of the core as the wire's.
pub fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A nullable string of the wire as the core's.
pub fn optional(text: Option<&StrBytes>) -> Option<Arc<str>> {
    text.map(|text| Arc::from(text.as_str()))
}

/// Bytes that do not keep the frame alive in which they came.
pub fn detached(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// A topic id as the wire's UUID.
pub fn uuid(id: TopicId) -> Uuid {
    Uuid::from_u128(id.0)
}

/// The wire's UUID as a topic id.
pub fn topic_id(uuid: Uuid) -> TopicId {
    TopicId(uuid.as_u128())
}
