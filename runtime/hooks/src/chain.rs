//! An ordered chain of interceptors: a batch passes them one after the other, each sees what the one before it left.
//!
//! What each link may do is checked in `form`, what becomes of faults and refused records is decided in `policy`; here
//! both are carried out. A chain knows neither the broker nor compression: it is given a plain batch and gives one back.
//! The live chain and a shadow are the same thing.
//!
//! Invariant: the batch that leaves has a subset of the offset deltas of the one that came, with their timestamps, and each
//! part of each record is as it came unless a link that declared to write that part gave it.

use crate::circuit::shortened;
use crate::dead_letter::{self, Circumstances};
use crate::form::{self, Trouble};
use crate::link::{Called, Link, Settle, Terms};
use crate::policy::{self, OnError, Verdict};
use bytes::Bytes;
use pelton_api::fault::Fault;
use pelton_api::hooks::{Acknowledgement, Commit, Emission, Origin};
use pelton_api::interceptor::{Answered, Call, Change, Hook, HookSet};
use pelton_api::transform::Rejection;
use pelton_record::{BatchError, BatchHeader};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest reason for one record that a producer is told, in bytes.
const MAX_REASON_BYTES: usize = 256;
/// The most records of one batch for which a producer is told a reason.
const MAX_REASONS: usize = 1000;

/// See the module.
pub(crate) struct Chain {
    pub(crate) links: Vec<Link>,
    pub(crate) on_error: OnError,
    pub(crate) open: crate::breaker::WhenOpen,
    pub(crate) dead_letter_topic: Arc<str>,
}

/// A batch that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Its new form, plain; `None`: as it came.
    pub(crate) changed: Option<Bytes>,
    /// In the order of the links; dead letters among them.
    pub(crate) emitted: Vec<Emission>,
    /// Offset deltas of the records that a link refused.
    pub(crate) rejected: Vec<i32>,
    /// Faults that the topic passes over.
    pub(crate) faults: Vec<String>,
    /// Whether every link was called and answered.
    pub(crate) whole: bool,
}

impl Passed {
    fn new() -> Self {
        Self { changed: None, emitted: Vec::new(), rejected: Vec::new(), faults: Vec::new(), whole: true }
    }
}

/// A batch that did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Refused for good, with what is wrong with which record, by offset delta.
    Refused { message: String, records: Vec<(i32, String)> },
    /// Refused for now.
    Unavailable(String),
    /// It cannot be read by anybody.
    Unreadable(String),
    /// Not ready in the time that the caller had. Nothing of the walk is to be kept.
    Late,
}

/// What a link's answer comes to.
enum Judged {
    Refused(Vec<(i32, String)>),
    Amended { new: Option<Bytes>, rejected: BTreeMap<i32, String>, emitted: Vec<Emission> },
}

impl Chain {
    /// The hooks that any link wants.
    pub(crate) fn hooks(&self) -> HookSet {
        self.links.iter().fold(HookSet::default(), |all, link| all.union(link.wants.hooks))
    }

    /// Sends a plain batch through the links that want `hook`: on-send or on-consume.
    pub(crate) fn pass(&self, hook: Hook, origin: &Origin, plain: &Bytes, terms: Terms) -> Result<Passed, Stopped> {
        let mut passed = Passed::new();
        for link in self.links.iter().filter(|link| link.wants.hooks.has(hook)) {
            let now = passed.changed.clone().unwrap_or_else(|| plain.clone());
            if record_count(&now)? == 0 {
                break;
            }
            if let Some(new) = self.step(link, hook, origin, plain, &now, terms, &mut passed)? {
                passed.changed = Some(new);
            }
        }
        Ok(passed)
    }

    /// Gives the batch to one link and does as the policy says with what comes of it.
    #[allow(clippy::too_many_arguments, reason = "the state of one walk, which only `pass` holds")]
    fn step(
        &self,
        link: &Link,
        hook: Hook,
        origin: &Origin,
        came: &Bytes,
        now: &Bytes,
        terms: Terms,
        passed: &mut Passed,
    ) -> Result<Option<Bytes>, Stopped> {
        let view = form::project(now, link.wants.reads).map_err(unreadable)?;
        let call = if hook == Hook::OnSend { Call::Send(origin, &view) } else { Call::Consume(origin, &view) };
        let judge = |answered: Answered| self.judge(link, hook, now, answered);
        let plugin = &link.circuit.plugin;
        let (verdict, fault) = match link.call(call, origin.partition, terms, Some(now), judge) {
            Called::Done(Judged::Amended { new, rejected, emitted }) => {
                passed.emitted.extend(emitted);
                if self.on_error == OnError::DeadLetter && !rejected.is_empty() {
                    let about = self.circumstances(link, hook, origin);
                    let reason = |delta: i32| rejected.get(&delta).map(String::as_str);
                    passed.emitted.extend(dead_letter::letters(&about, came, reason));
                }
                passed.rejected.extend(rejected.into_keys());
                return Ok(new);
            }
            Called::Done(Judged::Refused(records)) => {
                let message = format!("{plugin} refused {} of the batch's records", records.len());
                return Err(Stopped::Refused { message, records: told(records) });
            }
            Called::Late => return Err(Stopped::Late),
            Called::Unreadable(error) => return Err(unreadable(error)),
            Called::Open => {
                let text = "the plugin is not called for a while, because it failed too often in a row".to_owned();
                (policy::on_open(hook, self.open), text)
            }
            Called::Fault(fault) => (policy::on_fault(hook, self.on_error, &fault), fault.to_string()),
        };
        passed.whole = false;
        let message = format!("{plugin} ({}): {fault}", hook.name());
        match verdict {
            Verdict::Refuse => Err(Stopped::Refused { message, records: Vec::new() }),
            Verdict::Unavailable => Err(Stopped::Unavailable(message)),
            Verdict::Skip => {
                passed.faults.push(message);
                Ok(None)
            }
            Verdict::DeadLetter => {
                let about = self.circumstances(link, hook, origin);
                let still_there = form::deltas(now).map_err(unreadable)?;
                let reason = |delta: i32| still_there.contains(delta).then_some(fault.as_str());
                passed.emitted.extend(dead_letter::letters(&about, came, reason));
                passed.faults.push(message);
                form::emptied(now).map(Some).map_err(unreadable)
            }
        }
    }

    fn judge(&self, link: &Link, hook: Hook, now: &Bytes, answered: Answered) -> Result<Judged, Trouble> {
        let given = record_count(now).map_or(0, |count| count as usize);
        let rejected = rejections(now, answered.rejected)?;
        let policy = if rejected.is_empty() { Verdict::Skip } else { policy::on_rejection(self.on_error) };
        if policy == Verdict::Refuse {
            link.count(hook, given, false, 0, rejected.len());
            return Ok(Judged::Refused(rejected.into_iter().collect()));
        }
        let deltas: Vec<i32> = rejected.keys().copied().collect();
        let new = form::amend(now, &link.wants, &answered.change, &deltas, policy == Verdict::Skip)?;
        let left = new.as_ref().and_then(|new| record_count(new).ok()).map_or(given, |count| count as usize);
        let set_aside = if policy == Verdict::DeadLetter { deltas.len() } else { 0 };
        let dropped = given.saturating_sub(left + set_aside);
        link.count(hook, given, new.is_some(), dropped, deltas.len());
        Ok(Judged::Amended { new, rejected, emitted: answered.emitted })
    }

    fn circumstances<'a>(&'a self, link: &'a Link, hook: Hook, origin: &'a Origin) -> Circumstances<'a> {
        Circumstances {
            to: &self.dead_letter_topic,
            hook,
            plugin: &link.circuit.plugin,
            digest: &link.circuit.digest,
            origin,
        }
    }

    /// Tells the links that want to know what became of a batch.
    pub(crate) fn acknowledge(&self, origin: &Origin, acknowledged: &Acknowledgement) -> Vec<Emission> {
        let records = acknowledged.record_count.max(0) as usize;
        self.tell(Call::Acknowledgement(origin, acknowledged), origin.partition, records, None)
    }

    /// Tells the links that want to know what a group committed. A link with state is told of each partition by itself, since it
    /// has a store for each.
    pub(crate) fn commit(&self, committed: &Commit) -> Vec<Emission> {
        let Some((first, _)) = committed.offsets.first().copied() else { return Vec::new() };
        let mut emitted = self.tell(Call::Commit(committed), first, committed.offsets.len(), Some(false));
        if self.links.iter().any(|link| link.stores.is_some() && link.wants.hooks.has(Hook::OnCommit)) {
            for (partition, offset) in &committed.offsets {
                let one = Commit { offsets: vec![(*partition, *offset)], ..committed.clone() };
                emitted.extend(self.tell(Call::Commit(&one), *partition, 1, Some(true)));
            }
        }
        emitted
    }

    /// Calls the links that observe; of those only the ones with or without state, where `with_state` says so.
    fn tell(&self, call: Call<'_>, partition: i32, records: usize, with_state: Option<bool>) -> Vec<Emission> {
        let hook = call.hook();
        let mut emitted = Vec::new();
        for link in self.links.iter().filter(|link| link.wants.hooks.has(hook)) {
            if with_state.is_some_and(|with_state| with_state != link.stores.is_some()) {
                continue;
            }
            let judge = |answered: Answered| match answered {
                Answered { change: Change::None, rejected, emitted } if rejected.is_empty() => Ok(emitted),
                _ => Err(Trouble::Fault(Fault::Malformed(format!("{} can change nothing", hook.name())))),
            };
            if let Called::Done(more) = link.call(call, partition, Terms::patient(Settle::AtOnce), None, judge) {
                link.count(hook, records, false, 0, 0);
                emitted.extend(more);
            }
        }
        emitted
    }

    /// Keeps or discards what the last on-send of a partition put into the state of any link.
    pub(crate) fn settle(&self, partition: i32, appended: bool) {
        self.links.iter().for_each(|link| link.settle(partition, appended));
    }
}

fn unreadable(error: BatchError) -> Stopped {
    Stopped::Unreadable(error.to_string())
}

fn record_count(plain: &[u8]) -> Result<i32, Stopped> {
    BatchHeader::parse(plain).map(|header| header.record_count).map_err(unreadable)
}

/// The refused records in order, each of the batch, none twice.
fn rejections(now: &[u8], rejected: Vec<Rejection>) -> Result<BTreeMap<i32, String>, Trouble> {
    let count = rejected.len();
    let rejected: BTreeMap<i32, String> =
        rejected.into_iter().map(|rejection| (rejection.offset_delta, rejection.reason)).collect();
    if rejected.len() < count {
        return Err(Trouble::Fault(Fault::Malformed("it refuses a record twice".into())));
    }
    let deltas: Vec<i32> = rejected.keys().copied().collect();
    form::check_deltas(now, &deltas)?;
    Ok(rejected)
}

/// What a producer is told: bounded, since the answer to it is.
fn told(mut records: Vec<(i32, String)>) -> Vec<(i32, String)> {
    records.truncate(MAX_REASONS);
    for (_, reason) in &mut records {
        reason.truncate(shortened(reason, MAX_REASON_BYTES).len());
    }
    records
}

#[cfg(test)]
mod tests;
