//! Mode `verify` of a partitioner: a record in the wrong partition is refused, with the name of the right one.
//!
//! A batch is verified as it came, before any interceptor sees it, so none can hide a record that is wrong. Wrong records are
//! refused whatever the topic does about errors; that policy is for a partitioner that fails. The number of partitions is
//! that of the attachment: a topic that gets more must be attached anew.

use crate::breaker::{Admission, WhenOpen};
use crate::circuit::Circuit;
use crate::dead_letter::{self, Circumstances};
use crate::form;
use crate::instances::Instances;
use crate::policy::{self, OnError, Verdict};
use crate::report::{LinkReport, count};
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::hooks::{Emission, Origin};
use pelton_api::interceptor::{Hook, HookSet, Parts};
use pelton_api::partitioner::Partitioner;
use pelton_record::BatchView;
use std::sync::Arc;
use std::time::Instant;

/// The most wrong records of one batch that are named.
const MAX_NAMED: usize = 1000;

/// The partitioner of one topic that verifies.
pub(crate) struct Verify {
    pub(crate) circuit: Circuit,
    pub(crate) instances: Instances<dyn Partitioner>,
    /// What it reads; everything for one that is built in, since it needs no copy.
    pub(crate) reads: Parts,
    pub(crate) partitions: i32,
    pub(crate) on_error: OnError,
    pub(crate) open: WhenOpen,
    pub(crate) dead_letter_topic: Arc<str>,
}

/// What verification comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verified {
    /// All records may be where they are; or nobody can tell, and the topic passes over that.
    Right,
    /// Records that belong elsewhere, by their index in the batch.
    Wrong(Vec<(i32, String)>),
    /// The partitioner judged the batch as a whole.
    Refused(String),
    /// The partitioner failed, and the topic fails closed.
    Unavailable(String),
    /// The partitioner failed, and the records are set aside.
    SetAside(Vec<Emission>),
    /// The batch cannot be read by anybody.
    Unreadable(String),
}

impl Verify {
    /// Verifies a plain batch.
    pub(crate) fn check(&self, from: &Origin, plain: &Bytes) -> Verified {
        let admission = self.circuit.admit(Hook::OnSend);
        if admission == Admission::Open {
            let text = "the partitioner is not called for a while, because it failed too often in a row";
            return self.failed(policy::on_open(Hook::OnSend, self.open), from, plain, text);
        }
        match self.attempt(from, plain) {
            Ok(wrong) => {
                self.circuit.well(admission, Hook::OnSend);
                count(&self.circuit.counters.of(Hook::OnSend).rejected, wrong.len() as u64);
                if wrong.is_empty() { Verified::Right } else { Verified::Wrong(self.named(from.partition, &wrong)) }
            }
            Err(fault) => {
                if let Err(error) = form::well_formed(plain) {
                    self.circuit.neither(admission, Hook::OnSend);
                    return Verified::Unreadable(error.to_string());
                }
                self.circuit.fault(admission, Hook::OnSend, &fault);
                let verdict = policy::on_fault(Hook::OnSend, self.on_error, &fault);
                self.failed(verdict, from, plain, &fault.to_string())
            }
        }
    }

    /// Index and right partition of the records that are wrong.
    fn attempt(&self, from: &Origin, plain: &Bytes) -> Result<Vec<(i32, i32)>, Fault> {
        let host = |error: pelton_record::BatchError| Fault::Host(error.to_string());
        let view = form::project(plain, self.reads).map_err(host)?;
        let expected = BatchView::parse(plain).map_err(host)?.header().record_count;
        let mut instance = self.instances.take()?;
        let started = Instant::now();
        let answered = instance.partition(&view, &from.topic, self.partitions);
        self.circuit.busy(Hook::OnSend, started.elapsed());
        let partitions = answered?;
        if i32::try_from(partitions.len()) != Ok(expected) {
            return Err(Fault::Malformed(format!("it answered for {} of {expected} records", partitions.len())));
        }
        if let Some(bad) = partitions.iter().find(|partition| !(-1..self.partitions).contains(*partition)) {
            return Err(Fault::Malformed(format!("it named partition {bad} of {}", self.partitions)));
        }
        self.instances.give_back(instance);
        count(&self.circuit.counters.of(Hook::OnSend).records, partitions.len() as u64);
        let wrong = |partition: &i32| *partition != -1 && *partition != from.partition;
        Ok((0..).zip(partitions).filter(|(_, partition)| wrong(partition)).collect())
    }

    fn named(&self, partition: i32, wrong: &[(i32, i32)]) -> Vec<(i32, String)> {
        let plugin = &self.circuit.plugin;
        wrong
            .iter()
            .take(MAX_NAMED)
            .map(|(index, right)| {
                (*index, format!("belongs to partition {right} of {} by {plugin}, not {partition}", self.partitions))
            })
            .collect()
    }

    fn failed(&self, verdict: Verdict, from: &Origin, plain: &Bytes, text: &str) -> Verified {
        let message = format!("{} (partitioner): {text}", self.circuit.plugin);
        match verdict {
            Verdict::Skip => Verified::Right,
            Verdict::Refuse => Verified::Refused(message),
            Verdict::Unavailable => Verified::Unavailable(message),
            Verdict::DeadLetter => {
                let about = Circumstances {
                    to: &self.dead_letter_topic,
                    hook: Hook::OnSend,
                    plugin: &self.circuit.plugin,
                    digest: &self.circuit.digest,
                    origin: from,
                };
                Verified::SetAside(dead_letter::letters(&about, plain, |_| Some(text)))
            }
        }
    }

    pub(crate) fn report(&self) -> LinkReport {
        self.circuit.report(HookSet::default().with(Hook::OnSend), 0)
    }
}
