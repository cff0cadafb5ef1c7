//! What a member of a group was assigned, in the schema of consumers (ConsumerProtocolAssignment).
//!
//! The bytes come from another client by way of the broker, which does not look into them: anything may stand there. Nothing is
//! allocated for a number that the bytes do not bear out.

use pelton_core::model::TopicPartition;
use std::collections::BTreeSet;

/// The partitions of an assignment; `None` where the bytes are something else. What later versions added stands behind the
/// partitions and is not needed.
pub fn partitions(mut bytes: &[u8]) -> Option<BTreeSet<TopicPartition>> {
    let _version = short(&mut bytes)?;
    let mut found = BTreeSet::new();
    for _ in 0..long(&mut bytes)? {
        let length = usize::try_from(short(&mut bytes)?).ok()?;
        let (name, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        let topic: std::sync::Arc<str> = std::str::from_utf8(name).ok()?.into();
        for _ in 0..long(&mut bytes)? {
            found.insert(TopicPartition::new(topic.clone(), long(&mut bytes)?));
        }
    }
    Some(found)
}

fn short(bytes: &mut &[u8]) -> Option<i16> {
    let (front, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(i16::from_be_bytes(*front))
}

fn long(bytes: &mut &[u8]) -> Option<i32> {
    let (front, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(i32::from_be_bytes(*front))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment() -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 0, 0, 2];
        bytes.extend([&[0, 1][..], b"a", &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5]].concat());
        bytes.extend([&[0, 2][..], b"bc", &[0, 0, 0, 1, 0, 0, 0, 7]].concat());
        // The user data that every version has behind them.
        bytes.extend([0xff; 4]);
        bytes
    }

    #[test]
    fn an_assignment_is_read() {
        let found = partitions(&assignment()).unwrap();
        let wanted = [("a", 0), ("a", 5), ("bc", 7)].map(|(topic, index)| TopicPartition::new(topic, index));
        assert_eq!(found, wanted.into_iter().collect());
        assert_eq!(partitions(&[0, 3, 0, 0, 0, 0]), Some(BTreeSet::new()));
    }

    #[test]
    fn what_is_none_is_told_and_costs_nothing() {
        let whole = assignment();
        for end in 0..whole.len() - 4 {
            assert_eq!(partitions(&whole[..end]), None, "the first {end} bytes");
        }
        let two_thousand_million_topics = [0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1, b'a'];
        assert_eq!(partitions(&two_thousand_million_topics), None);
        assert_eq!(partitions(&[0, 0, 0, 0, 0, 1, 0, 1, 0xff, 0, 0, 0, 0]), None, "no UTF-8");
        assert_eq!(partitions(&[0, 0, 0, 0, 0, 1, 0xff, 0xff]), None, "a negative length");
    }
}
