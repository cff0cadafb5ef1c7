//! read_committed never shows a record past the last stable offset or of an aborted transaction, and leaves out no
//! committed one. The reader filters as Kafka's consumers do: by the aborted transactions that the answer names.
//!
//! Tried by: aborted transactions are not recorded in the log's index (their records are shown).

use super::{Decisions, Facts, Invariant};
use crate::entry::Entry;
use crate::observation::Observation;
use pelton_core::event::AbortedTransaction;
use pelton_core::model::{Isolation, Offset, TopicPartition};
use std::collections::BTreeSet;

#[derive(Default)]
pub(super) struct ReadCommitted {
    decisions: Decisions,
}

impl Invariant for ReadCommitted {
    fn name(&self) -> &'static str {
        "read committed"
    }

    fn step(&mut self, facts: &Facts<'_>) -> Result<(), String> {
        self.decisions.take(facts.added)?;
        for observation in facts.observed {
            let Observation::Fetched { partition, isolation, from, records, aborted, watermarks } = observation else {
                continue;
            };
            let end = watermarks.readable_end(*isolation);
            if let Some(past) = records.last().filter(|last| last.offset >= end) {
                return Err(format!("{partition}@{}: read past {end} as {isolation:?}", past.offset));
            }
            if *isolation == Isolation::ReadCommitted {
                self.check(partition, *from, records, aborted)?;
            }
        }
        Ok(())
    }
}

impl ReadCommitted {
    fn check(
        &self,
        partition: &TopicPartition,
        from: Offset,
        records: &[Entry],
        aborted: &[AbortedTransaction],
    ) -> Result<(), String> {
        let shown: BTreeSet<Offset> = filtered(records, aborted).into_iter().filter(|offset| *offset >= from).collect();
        let there = records.iter().filter(|entry| entry.offset >= from && entry.control.is_none() && !entry.taken);
        for entry in there {
            let committed = if entry.transactional {
                let serial = crate::entry::marked_transaction(&entry.value);
                let decided = serial.and_then(|serial| self.decisions.decided.get(&(serial, partition.clone())));
                *decided.ok_or_else(|| format!("{partition}@{}: shown before it is decided", entry.offset))?
            } else {
                true
            };
            if shown.contains(&entry.offset) != committed {
                let what = if committed { "is committed and not shown" } else { "is aborted and shown" };
                return Err(format!("{partition}@{} {what}; named as aborted: {aborted:?}", entry.offset));
            }
        }
        Ok(())
    }
}

/// The offsets of the records that are left when a consumer has dropped what was aborted (`CompletedFetch`).
fn filtered(records: &[Entry], aborted: &[AbortedTransaction]) -> Vec<Offset> {
    let mut to_come = aborted.iter().peekable();
    let mut dropping = BTreeSet::new();
    let mut shown = Vec::new();
    for entry in records {
        while let Some(next) = to_come.next_if(|next| next.first_offset <= entry.offset) {
            dropping.insert(next.producer_id.0);
        }
        if let Some(commit) = entry.control {
            if !commit {
                dropping.remove(&entry.producer_id);
            }
        } else if !(entry.transactional && dropping.contains(&entry.producer_id)) {
            shown.push(entry.offset);
        }
    }
    shown
}
