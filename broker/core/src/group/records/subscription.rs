//! ConsumerProtocolSubscription, as far as the coordinator reads it: which topics a member of type `consumer` subscribes to.

use super::wire::Reader;
use std::sync::Arc;

/// The topics in the metadata of a member. Every version begins with them, behind its number.
pub(in crate::group) fn subscribed_topics(metadata: &[u8]) -> Result<Vec<Arc<str>>, String> {
    let mut reader = Reader::new(metadata);
    let version = reader.int16()?;
    if version < 0 {
        return Err(format!("a subscription has version {version}"));
    }
    let mut topics = Vec::new();
    for _ in 0..reader.array_length()? {
        topics.push(reader.string()?);
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::subscribed_topics;

    #[test]
    fn the_topics_are_read_whatever_follows_them() {
        let v1 = b"\x00\x01\x00\x00\x00\x02\x00\x01a\x00\x02bc\xff\xff\xff\xff\x00\x00\x00\x00";
        assert_eq!(subscribed_topics(v1).unwrap(), ["a".into(), "bc".into()]);
        assert_eq!(subscribed_topics(&v1[..6]).unwrap_err(), "an array announces 2 elements in 0 bytes");
        assert!(subscribed_topics(b"\xff\xff\x00\x00\x00\x00").is_err());
        assert!(subscribed_topics(b"").is_err());
    }
}
