//! What must hold after every step: the single-broker invariants, one file for each.
//!
//! Each header names the break by which the invariant was tried: a change to the broker that was made on purpose,
//! caught, and taken back.

mod acknowledged;
mod atomic;
mod group_offsets;
mod identity;
mod isolation;
mod watermarks;

use crate::entry::{Entry, Ledgers};
use crate::observation::Observation;
use pelton_core::model::{Offset, TopicPartition, Watermarks};
use std::collections::BTreeMap;

/// What one step showed.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Everything below the high watermarks.
    pub ledgers: &'a Ledgers,
    /// What this step added to the ledgers, in order.
    pub added: &'a [(TopicPartition, Entry)],
    /// The four offsets of each partition that is open, and where its log on the medium ends.
    pub watermarks: &'a BTreeMap<TopicPartition, (Watermarks, Offset)>,
    /// Whether the medium has refused something since the broker started.
    pub storage_failed: bool,
    /// What clients were told.
    pub observed: &'a [Observation],
    /// After a restart: everything that the logs hold, read again from their start.
    pub read_again: Option<&'a Ledgers>,
}

/// One thing that must hold.
pub trait Invariant {
    /// Its name, for the report.
    fn name(&self) -> &'static str;

    /// Looks at one step.
    ///
    /// # Errors
    /// Says what is broken.
    fn step(&mut self, facts: &Facts<'_>) -> Result<(), String>;

    /// Looks at the end, when every client is done and nothing is under way.
    ///
    /// # Errors
    /// Says what is broken.
    fn end(&mut self, facts: &Facts<'_>) -> Result<(), String> {
        let _ = facts;
        Ok(())
    }
}

/// All of them.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(watermarks::WatermarkOrder::default()),
        Box::new(identity::Identity),
        Box::new(acknowledged::Acknowledged::default()),
        Box::new(atomic::Atomic::default()),
        Box::new(isolation::ReadCommitted::default()),
        Box::new(group_offsets::GroupOffsets::default()),
    ]
}

/// The decisions on transactions that a partition's ledger shows: which transaction each marker ended, and how.
/// Isolation and atomicity both need it, each for itself.
#[derive(Debug, Default)]
struct Decisions {
    /// Of each partition: the transactions that are open, by producer, with their first offset. `None` while nothing but
    /// records that were taken away tells of one.
    open: BTreeMap<(TopicPartition, i64), (Option<u64>, Offset)>,
    /// Of each partition and transaction: whether it was committed there.
    decided: BTreeMap<(u64, TopicPartition), bool>,
}

impl Decisions {
    /// Takes the entries of a step in; gives what they decided.
    ///
    /// # Errors
    /// When one producer writes two transactions without a marker between them.
    fn take(&mut self, added: &[(TopicPartition, Entry)]) -> Result<Vec<(u64, TopicPartition, bool)>, String> {
        let mut new = Vec::new();
        for (partition, entry) in added {
            let key = (partition.clone(), entry.producer_id);
            if let Some(commit) = entry.control {
                if let Some((Some(serial), _)) = self.open.remove(&key) {
                    self.decided.insert((serial, partition.clone()), commit);
                    new.push((serial, partition.clone(), commit));
                }
            } else if entry.transactional {
                let (open, _) = self.open.entry(key).or_insert((None, entry.offset));
                if entry.taken {
                    continue;
                }
                let marked = crate::entry::marked_transaction(&entry.value);
                let serial = marked.ok_or_else(|| format!("{partition}@{}: whose record is this?", entry.offset))?;
                let open = *open.get_or_insert(serial);
                if open != serial {
                    return Err(format!("{partition}@{}: {serial} begins while {open} is open", entry.offset));
                }
            }
        }
        Ok(new)
    }

    /// The first offset of the earliest transaction that is open in the partition.
    fn first_open(&self, partition: &TopicPartition) -> Option<Offset> {
        let open = self.open.range((partition.clone(), i64::MIN)..=(partition.clone(), i64::MAX));
        open.map(|(_, (_, first))| *first).min()
    }
}
