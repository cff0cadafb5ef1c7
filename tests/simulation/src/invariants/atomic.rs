//! A transaction is all of it or none of it: every partition decides alike; what its client was told is what happened;
//! what was never asked to commit does not; and in the end all outputs of a committed one are there, and every
//! transaction is decided everywhere.
//!
//! Tried by: a decision to commit is carried out as an abort now and then (`Transactions::ask_marker`); a transaction that timed
//! out is aborted without a new epoch, so that its producer goes on in half of it; the coordinators' answers leave before
//! their records are committed (`Frame::finish`).

use super::{Decisions, Facts, Invariant};
use crate::clients::JOB_GROUP;
use crate::observation::Observation;
use pelton_core::model::{OFFSETS_TOPIC, Offset, TopicPartition};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Atomic {
    decisions: Decisions,
    transactions: BTreeMap<u64, Transaction>,
    group_offset: Option<Offset>,
}

struct Transaction {
    outputs: Vec<(TopicPartition, usize)>,
    /// What the client knows: may it commit, must it?
    may_commit: bool,
    must_commit: bool,
    /// What the first marker said.
    decided: Option<bool>,
}

impl Invariant for Atomic {
    fn name(&self) -> &'static str {
        "all or nothing"
    }

    fn step(&mut self, facts: &Facts<'_>) -> Result<(), String> {
        for observation in facts.observed {
            match observation {
                Observation::Began { serial, outputs, .. } => {
                    let outputs = outputs.clone();
                    let begun = Transaction { outputs, may_commit: false, must_commit: false, decided: None };
                    self.transactions.insert(*serial, begun);
                }
                Observation::CommitAsked(serial) => self.of(*serial)?.may_commit = true,
                Observation::Committed(serial) => self.of(*serial)?.must_commit = true,
                Observation::NotCommitted(serial) => self.of(*serial)?.may_commit = false,
                Observation::OffsetFetched { group: JOB_GROUP, offset, .. } => self.group_offset = *offset,
                _ => {}
            }
        }
        for (serial, partition, commit) in self.decisions.take(facts.added)? {
            let transaction = self.of(serial)?;
            if *transaction.decided.get_or_insert(commit) != commit {
                return Err(format!("{partition}: transaction {serial} is decided otherwise than elsewhere"));
            }
        }
        let contradiction = self.transactions.iter().find(|(_, transaction)| match transaction.decided {
            Some(true) => !transaction.may_commit,
            Some(false) => transaction.must_commit,
            None => false,
        });
        match contradiction {
            Some((serial, transaction)) => Err(format!(
                "transaction {serial}: its client was told otherwise (may commit: {}, must: {}, did: {:?})",
                transaction.may_commit, transaction.must_commit, transaction.decided
            )),
            None => Ok(()),
        }
    }

    fn end(&mut self, facts: &Facts<'_>) -> Result<(), String> {
        if let Some(((partition, producer), (serial, _))) = self.decisions.open.first_key_value() {
            return Err(format!("{partition}: transaction {serial:?} of producer {producer} is never decided"));
        }
        for (serial, transaction) in &self.transactions {
            if transaction.must_commit && transaction.decided != Some(true) {
                return Err(format!("transaction {serial} was committed and left no trace"));
            }
            if transaction.decided != Some(true) {
                continue;
            }
            for (partition, count) in &transaction.outputs {
                let mark = crate::entry::transaction_mark(*serial).into_bytes();
                let found = facts.ledgers[partition].iter().filter(|entry| entry.value.starts_with(&mark)).count();
                if found != *count {
                    return Err(format!("transaction {serial} has {found} of {count} records in {partition}"));
                }
                // Where interceptors took all of them away, nothing there names the transaction.
                if *count > 0 && self.decisions.decided.get(&(*serial, partition.clone())) != Some(&true) {
                    return Err(format!("transaction {serial} is committed, but not in {partition}"));
                }
            }
            let offsets = self.decisions.decided.keys();
            if !offsets.clone().any(|(of, partition)| of == serial && &*partition.topic == OFFSETS_TOPIC) {
                return Err(format!("transaction {serial} is committed, but its offsets are not"));
            }
        }
        Ok(())
    }
}

impl Atomic {
    fn of(&mut self, serial: u64) -> Result<&mut Transaction, String> {
        self.transactions.get_mut(&serial).ok_or_else(|| format!("transaction {serial} was begun by nobody"))
    }
}
