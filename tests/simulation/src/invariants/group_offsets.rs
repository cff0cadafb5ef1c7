//! A group's offset never passes a record whose outputs are not committed: the committed transactions of the job cover
//! exactly the inputs below its group's offset, each once. And a plain group's offset is the last that was acknowledged,
//! or one asked for since whose answer never came; that of a group with members never goes back, since a member begins
//! where the group is and only the members of the current generation may commit.
//!
//! Tried by: the offsets of aborted transactions count (`Offsets::complete` ignores the decision); those of committed ones
//! vanish; a commit's member and generation are not checked (a zombie takes its group back).

use super::{Decisions, Facts, Invariant};
use crate::clients::{DATA, JOB_GROUP, MEMBER_GROUP};
use crate::observation::Observation;
use pelton_core::model::{Offset, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct GroupOffsets {
    decisions: Decisions,
    /// The inputs of each transaction of the job.
    inputs: BTreeMap<u64, (Offset, Offset)>,
    committed: BTreeSet<u64>,
    /// Of each plain group and partition: what its offset may be.
    possible: BTreeMap<(&'static str, i32), BTreeSet<Option<Offset>>>,
    /// Of each partition that members share: the offset that was fetched last.
    fetched: BTreeMap<i32, Option<Offset>>,
}

impl Invariant for GroupOffsets {
    fn name(&self) -> &'static str {
        "group offsets"
    }

    fn step(&mut self, facts: &Facts<'_>) -> Result<(), String> {
        let decided = self.decisions.take(facts.added)?;
        self.committed.extend(decided.into_iter().filter(|(_, _, commit)| *commit).map(|(serial, ..)| serial));
        for observation in facts.observed {
            match observation {
                Observation::Began { serial, from, to, .. } => {
                    self.inputs.insert(*serial, (*from, *to));
                }
                Observation::OffsetFetched { group: JOB_GROUP, offset, .. } => {
                    self.check_job(offset.unwrap_or(0), facts)?;
                }
                Observation::OffsetAsked { group, partition, offset } => {
                    self.of(group, *partition).insert(Some(*offset));
                }
                Observation::OffsetCommitted { group, partition, offset } => {
                    *self.of(group, *partition) = BTreeSet::from([Some(*offset)]);
                }
                Observation::OffsetFetched { group, partition, offset } => {
                    let possible = self.of(group, *partition);
                    if !possible.contains(offset) {
                        return Err(format!("{group}, partition {partition}: at {offset:?}, not one of {possible:?}"));
                    }
                    *possible = BTreeSet::from([*offset]);
                    if *group == MEMBER_GROUP
                        && let Some(before) = self.fetched.insert(*partition, *offset)
                        && *offset < before
                    {
                        return Err(format!("{group}, partition {partition}: back from {before:?} to {offset:?}"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl GroupOffsets {
    fn of(&mut self, group: &'static str, partition: i32) -> &mut BTreeSet<Option<Offset>> {
        self.possible.entry((group, partition)).or_insert_with(|| BTreeSet::from([None]))
    }

    /// The committed transactions follow each other without gap or overlap, and end at the group's offset.
    fn check_job(&self, offset: Offset, facts: &Facts<'_>) -> Result<(), String> {
        let mut ranges: Vec<_> = self.committed.iter().filter_map(|serial| self.inputs.get(serial)).collect();
        ranges.sort_unstable();
        let mut covered = 0;
        for (from, to) in ranges {
            if *from != covered {
                return Err(format!("inputs {from} to {to} are committed, and those before only to {covered}"));
            }
            covered = *to;
        }
        if covered != offset {
            return Err(format!("the job's offset is {offset}, and the outputs cover the inputs below {covered}"));
        }
        let there = facts.ledgers.get(&TopicPartition::new(DATA, 0)).map_or(0, Vec::len);
        if offset as usize > there {
            return Err(format!("the job's offset is {offset}, and there are {there} inputs"));
        }
        Ok(())
    }
}
