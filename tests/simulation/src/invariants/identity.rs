//! (partition, offset) names one record for ever: what was once below the high watermark is there after every crash, byte
//! for byte, and is what every fetch gives. Offsets have no holes, since nothing is compacted here;
//! an offset of which an interceptor took the record away stays without one for ever.
//!
//! Tried by: the high watermark moves before the sync (`Partition::make_durable`); `FlushHandle::sync` does nothing; batches
//! are written past one that the medium refused (`Broker::write` without its fence leaves a hole).

use super::{Facts, Invariant};
use crate::entry::Entry;
use crate::observation::Observation;

pub(super) struct Identity;

impl Invariant for Identity {
    fn name(&self) -> &'static str {
        "one record for each offset"
    }

    fn step(&mut self, facts: &Facts<'_>) -> Result<(), String> {
        for (partition, entry) in facts.added {
            let ledger = &facts.ledgers[partition];
            if ledger.get(entry.offset as usize).is_none_or(|there| there.offset != entry.offset) {
                return Err(format!("{partition}: offset {} is missing or doubled", entry.offset));
            }
        }
        for (partition, again) in facts.read_again.into_iter().flatten() {
            let Some(ledger) = facts.ledgers.get(partition) else { continue };
            compare(&partition.to_string(), ledger, again)?;
            if again.len() < ledger.len() {
                return Err(format!("{partition}: ends at {} and had {} committed", again.len(), ledger.len()));
            }
        }
        for observation in facts.observed {
            let Observation::Fetched { partition, records, .. } = observation else { continue };
            let (Some(first), Some(ledger)) = (records.first(), facts.ledgers.get(partition)) else { continue };
            let there = ledger.get(first.offset as usize..).unwrap_or_default();
            compare(&format!("a fetch of {partition}"), there, records)?;
            if there.len() < records.len() {
                return Err(format!("a fetch of {partition} gave what is not committed"));
            }
        }
        Ok(())
    }
}

fn compare(what: &str, ledger: &[Entry], other: &[Entry]) -> Result<(), String> {
    match ledger.iter().zip(other).find(|(was, is)| was != is) {
        Some((was, is)) => Err(format!("{what}: {was:?} became {is:?}")),
        None => Ok(()),
    }
}
