//! A record that was acknowledged with `acks=all` stands at the offset that was told, and where an interceptor took it
//! away, nothing does; no record stands at two; and those of one producer stand in the order in which it sent them,
//! with none left out.
//!
//! Tried by: `acks=all` is answered when the batch is written; sequences may skip (`follows` is always true: a producer's
//! records out of their order); duplicates are appended again (one record at two offsets).

use super::{Facts, Invariant};
use crate::entry::Entry;
use crate::observation::Observation;
use pelton_core::model::{Offset, TopicPartition};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Acknowledged {
    places: BTreeMap<(TopicPartition, Vec<u8>), Offset>,
    /// Of each partition and producer: the number of its newest record.
    newest: BTreeMap<(TopicPartition, i64), u64>,
}

impl Invariant for Acknowledged {
    fn name(&self) -> &'static str {
        "acknowledged records"
    }

    fn step(&mut self, facts: &Facts<'_>) -> Result<(), String> {
        for (partition, entry) in facts.added {
            if entry.control.is_some() || partition.topic.starts_with("__") {
                continue;
            }
            let key = (partition.clone(), entry.producer_id);
            let expected = self.newest.get(&key).map_or(0, |newest| newest + 1);
            if entry.taken {
                self.newest.insert(key, expected);
                continue;
            }
            if let Some(before) = self.places.insert((partition.clone(), entry.value.clone()), entry.offset) {
                let value = String::from_utf8_lossy(&entry.value);
                return Err(format!("{partition}: {value} stands at {before} and at {}", entry.offset));
            }
            if let Some((producer, number)) = numbered(&entry.value) {
                if number != expected {
                    return Err(format!("{partition}@{}: {producer}/{number}, not /{expected}", entry.offset));
                }
                self.newest.insert(key, number);
            }
        }
        for observation in facts.observed {
            let Observation::Acknowledged { partition, base_offset, values } = observation else { continue };
            for (offset, value) in (*base_offset..).zip(values) {
                let stands = facts.ledgers.get(partition).and_then(|ledger| ledger.get(offset as usize));
                let as_told =
                    |entry: &Entry| if entry.taken { value.is_none() } else { value.as_ref() == Some(&entry.value) };
                if !stands.is_some_and(as_told) {
                    let value = value.as_deref().map(String::from_utf8_lossy);
                    return Err(format!("{partition}@{offset}: {value:?} was acknowledged, and there is {stands:?}"));
                }
            }
        }
        Ok(())
    }
}

/// The producer and number of a plain producer's value, `p0/17/...`.
fn numbered(value: &[u8]) -> Option<(String, u64)> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.strip_prefix('p')?.split('/');
    let producer = parts.next()?;
    Some((format!("p{producer}"), parts.next()?.parse().ok()?))
}
