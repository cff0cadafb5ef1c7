//! One interceptor of a chain: a call of it, from the circuit that admits it to the state that it leaves behind.

use crate::breaker::Admission;
use crate::circuit::Circuit;
use crate::form::{self, Trouble};
use crate::instances::Instances;
use crate::report::{LinkReport, count};
use crate::state::{Access, NoState, Stores};
use pelton_api::fault::Fault;
use pelton_api::hooks::Emission;
use pelton_api::interceptor::{Answered, Call, Hook, Interceptor, Wants};
use pelton_api::transform::StateAccess;
use pelton_record::BatchError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When what on-send wrote into the state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settle {
    /// As soon as the call ended well.
    AtOnce,
    /// When the broker says that the batch was appended.
    WhenAppended,
}

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) settle: Settle,
    /// How long the caller can wait.
    pub(crate) at_most: Option<Duration>,
}

impl Terms {
    /// Those of a caller who can wait for as long as the engine lets a guest work.
    pub(crate) fn patient(settle: Settle) -> Self {
        Self { settle, at_most: None }
    }
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Called<T> {
    /// Well.
    Done(T),
    /// It was not made: the circuit is open.
    Open,
    /// The plugin failed.
    Fault(Fault),
    /// The caller could not wait for it. It says nothing of the plugin.
    Late,
    /// The batch that it was given cannot be read by anybody.
    Unreadable(BatchError),
}

/// See the module.
pub(crate) struct Link {
    pub(crate) circuit: Circuit,
    pub(crate) wants: Wants,
    pub(crate) stores: Option<Arc<Stores>>,
    pub(crate) instances: Instances<dyn Interceptor>,
    /// Topics to which it may emit.
    pub(crate) emit: Vec<String>,
}

impl Link {
    /// Calls the plugin and has `judge` look at its answer: only what passes it counts as an answer, and is kept in the state.
    /// `plain` is the batch that the call is about, if it is about one, before it was projected.
    pub(crate) fn call<T>(
        &self,
        call: Call<'_>,
        partition: i32,
        terms: Terms,
        plain: Option<&[u8]>,
        judge: impl FnOnce(Answered) -> Result<T, Trouble>,
    ) -> Called<T> {
        let hook = call.hook();
        let admission = self.circuit.admit(hook);
        if admission == Admission::Open {
            return Called::Open;
        }
        let until_settled = hook == Hook::OnSend && terms.settle == Settle::WhenAppended;
        match self.attempt(call, partition, until_settled, terms.at_most, judge) {
            Ok(done) => {
                self.circuit.well(admission, hook);
                Called::Done(done)
            }
            Err(Trouble::Fault(Fault::Late(_))) => {
                self.circuit.neither(admission, hook);
                Called::Late
            }
            // A plugin may well stumble over a batch that is damaged. That is not its fault, and no client shall open
            // a circuit with damaged bytes.
            Err(trouble) => match (trouble, plain.and_then(|plain| form::well_formed(plain).err())) {
                (Trouble::Given(error), _) | (Trouble::Fault(_), Some(error)) => {
                    self.circuit.neither(admission, hook);
                    Called::Unreadable(error)
                }
                (Trouble::Fault(fault), None) => {
                    self.circuit.fault(admission, hook, &fault);
                    Called::Fault(fault)
                }
            },
        }
    }

    fn attempt<T>(
        &self,
        call: Call<'_>,
        partition: i32,
        until_settled: bool,
        at_most: Option<Duration>,
        judge: impl FnOnce(Answered) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let hook = call.hook();
        let state: Box<dyn StateAccess> = match &self.stores {
            Some(stores) => Box::new(Access::new(stores.of(partition), until_settled)),
            None => Box::new(NoState),
        };
        let mut instance = match at_most {
            None => self.instances.take()?,
            Some(moment) => self.instances.take_idle().ok_or(Fault::Late(moment))?,
        };
        let started = Instant::now();
        let (state, answered) = instance.call(call, state, at_most);
        self.circuit.busy(hook, started.elapsed());
        let access = state.into_any().downcast::<Access>().ok();
        // The refusal that the call ran into is the true reason of whatever it says.
        if let Some(refusal) = access.as_ref().and_then(|access| access.refusal()) {
            return Err(refusal.clone().into());
        }
        let answered = answered?;
        self.check_emitted(&answered.emitted)?;
        let done = judge(answered)?;
        if let Some(access) = access {
            access.keep(until_settled)?;
        }
        self.instances.give_back(instance);
        Ok(done)
    }

    /// Keeps or discards what the last on-send of a partition put into the state.
    pub(crate) fn settle(&self, partition: i32, appended: bool) {
        if let Some(store) = self.stores.as_ref().and_then(|stores| stores.existing(partition)) {
            store.settle(appended);
        }
    }

    /// Counts what a call that was judged did.
    pub(crate) fn count(&self, hook: Hook, records: usize, changed: bool, dropped: usize, rejected: usize) {
        let of = self.circuit.counters.of(hook);
        count(&of.records, records as u64);
        count(&of.changed, u64::from(changed));
        count(&of.dropped, dropped as u64);
        count(&of.rejected, rejected as u64);
    }

    pub(crate) fn report(&self) -> LinkReport {
        self.circuit.report(self.wants.hooks, self.stores.as_ref().map_or(0, |stores| stores.used_bytes()))
    }

    fn check_emitted(&self, emitted: &[Emission]) -> Result<(), Fault> {
        let granted = |emission: &&Emission| self.emit.iter().any(|topic| **topic == *emission.topic);
        match emitted.iter().find(|emission| !granted(emission)) {
            Some(emission) => Err(Fault::Malformed(format!("it emits to `{}`, which is not granted", emission.topic))),
            None => Ok(()),
        }
    }
}
