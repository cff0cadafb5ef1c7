//! The kind `interceptor`: an instance as `pelton_api::interceptor::Interceptor`.

mod wire;

use super::guest::{Guest, Instance};
use crate::clock::CallTime;
use crate::host::Purpose;
use crate::plugin::{Code, Exports, PluginInner};
use crate::records;
use bytes::Bytes;
use pelton_api::fault::{Fault, ModuleError};
use pelton_api::interceptor::{Answered, Call, Change, Interceptor, InterceptorFactory, Wants};
use pelton_api::transform::StateAccess;
use pelton_record::BatchView;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{ComponentExportIndex, Func};
use wire::{GuestAcknowledgement, GuestCommit, GuestOrigin, GuestWants};
pub(crate) use wire::{GuestChange, GuestOutcome};

type DescribeResult = (GuestWants,);
type Configure<'a> = (&'a str,);
type Filter<'a> = (GuestOrigin<'a>, &'a [u8]);
type FilterResult = (Result<GuestOutcome, String>,);
type Acknowledged<'a> = (GuestOrigin<'a>, GuestAcknowledgement<'a>);
type Committed<'a> = (GuestCommit<'a>,);
type Done = (Result<(), String>,);

/// Where an interceptor's functions stand among a component's exports.
pub(crate) struct InterceptorExports {
    pub(crate) describe: ComponentExportIndex,
    pub(crate) configure: ComponentExportIndex,
    pub(crate) on_send: ComponentExportIndex,
    pub(crate) on_acknowledgement: ComponentExportIndex,
    pub(crate) on_consume: ComponentExportIndex,
    pub(crate) on_commit: ComponentExportIndex,
}

/// Makes instances of one plugin.
pub(crate) struct Factory {
    plugin: Arc<PluginInner>,
    wants: Wants,
    has_state: bool,
}

impl Factory {
    pub(crate) fn new(plugin: Arc<PluginInner>, wants: Wants, has_state: bool) -> Self {
        Self { plugin, wants, has_state }
    }
}

impl InterceptorFactory for Factory {
    fn wants(&self) -> Wants {
        self.wants
    }

    fn has_state(&self) -> bool {
        self.has_state
    }

    fn instantiate(&self, topic: &str, config: &str, emit: &[String]) -> Result<Box<dyn Interceptor>, Fault> {
        let emit = emit.iter().map(|topic| Arc::from(topic.as_str())).collect();
        let (mut guest, calls) = open(&self.plugin, Purpose { topic: Arc::from(topic), stores: 1, emit })?;
        guest.call(CallTime::Limit(self.plugin.engine.limits.call_time), |store| match &calls {
            Calls::Component(functions) => {
                let configure = functions.configure.typed::<Configure<'_>, Done>(&store)?;
                Ok(configure.call(store, (config,))?.0)
            }
            Calls::Flat(instance) => instance.configure(store, config),
        })?;
        Ok(Box::new(WasmInterceptor { guest, calls }))
    }
}

/// Makes an instance once, at upload: its functions have the right types, and it says what it needs and does.
pub(crate) fn describe(plugin: &Arc<PluginInner>) -> Result<Wants, ModuleError> {
    let (mut guest, calls) = open(plugin, Purpose::default()).map_err(ModuleError::Describe)?;
    if let Calls::Component(functions) = &calls {
        guest.check_type::<(), DescribeResult>(functions.describe, "describe")?;
        guest.check_type::<Configure<'_>, Done>(functions.configure, "configure")?;
        guest.check_type::<Filter<'_>, FilterResult>(functions.on_send, "on-send")?;
        guest.check_type::<Acknowledged<'_>, Done>(functions.on_acknowledgement, "on-acknowledgement")?;
        guest.check_type::<Filter<'_>, FilterResult>(functions.on_consume, "on-consume")?;
        guest.check_type::<Committed<'_>, Done>(functions.on_commit, "on-commit")?;
    }
    let described = guest.call(CallTime::Limit(plugin.engine.limits.call_time), |store| match &calls {
        Calls::Component(functions) => {
            Ok(Ok(functions.describe.typed::<(), DescribeResult>(&store)?.call(store, ())?.0.into()))
        }
        Calls::Flat(instance) => instance.describe_interceptor(store),
    });
    let wants: Wants = described.map_err(ModuleError::Describe)?;
    if wants.hooks.iter().next().is_none() {
        let nothing = "it wants none of the hooks, so it would never be called".to_owned();
        return Err(ModuleError::Describe(Fault::Malformed(nothing)));
    }
    Ok(wants)
}

struct Functions {
    describe: Func,
    configure: Func,
    on_send: Func,
    on_acknowledgement: Func,
    on_consume: Func,
    on_commit: Func,
}

enum Calls {
    Component(Functions),
    Flat(crate::flat::Instance),
}

fn open(plugin: &Arc<PluginInner>, purpose: Purpose) -> Result<(Guest, Calls), Fault> {
    let (mut guest, instance) = Guest::new(plugin, purpose)?;
    let calls = match (instance, &plugin.code) {
        (Instance::Flat(instance), _) => Calls::Flat(instance),
        (Instance::Component(instance), Code::Component { exports: Exports::Interceptor(exports), .. }) => {
            Calls::Component(Functions {
                describe: guest.function(&instance, &exports.describe)?,
                configure: guest.function(&instance, &exports.configure)?,
                on_send: guest.function(&instance, &exports.on_send)?,
                on_acknowledgement: guest.function(&instance, &exports.on_acknowledgement)?,
                on_consume: guest.function(&instance, &exports.on_consume)?,
                on_commit: guest.function(&instance, &exports.on_commit)?,
            })
        }
        (Instance::Component(_), _) => return Err(Fault::Host("the plugin is no interceptor".to_owned())),
    };
    Ok((guest, calls))
}

/// One instance.
struct WasmInterceptor {
    guest: Guest,
    calls: Calls,
}

impl Interceptor for WasmInterceptor {
    fn call(
        &mut self,
        call: Call<'_>,
        state: Box<dyn StateAccess>,
        at_most: Option<Duration>,
    ) -> (Box<dyn StateAccess>, Result<Answered, Fault>) {
        let calls = &self.calls;
        self.guest.with_state(state, |guest| {
            let mut answered = match call {
                Call::Send(_, batch) | Call::Consume(_, batch) => filter(guest, calls, call, batch, at_most)?,
                Call::Acknowledgement(..) | Call::Commit(_) => observe(guest, calls, call, at_most)?,
            };
            answered.emitted = guest.data().take_emitted();
            Ok(answered)
        })
    }
}

/// The hooks that may change a batch.
fn filter(
    guest: &mut Guest,
    calls: &Calls,
    call: Call<'_>,
    batch: &Bytes,
    at_most: Option<Duration>,
) -> Result<Answered, Fault> {
    let input = records::input(batch)?;
    let call_time = guest.data().limits().hook_time(input.header().record_count.unsigned_abs() as usize);
    let outcome = guest.call(CallTime::of(call_time, at_most), |store| {
        store.data_mut().let_emit();
        match calls {
            Calls::Component(functions) => {
                let (origin, function) = match call {
                    Call::Consume(to, _) => (to, functions.on_consume),
                    Call::Send(from, _) => (from, functions.on_send),
                    Call::Acknowledgement(..) | Call::Commit(_) => return Ok(Ok(GuestOutcome::default())),
                };
                let function = function.typed::<Filter<'_>, FilterResult>(&store)?;
                Ok(function.call(store, (origin.into(), batch))?.0)
            }
            Calls::Flat(instance) => instance.filter(store, call),
        }
    })?;
    let change = change(outcome.change, guest.data().limits().output_bytes, &input)?;
    Ok(Answered { change, rejected: records::rejections(outcome.rejected, &input)?, emitted: Vec::new() })
}

fn change(change: GuestChange, allowed_bytes: usize, input: &BatchView<'_>) -> Result<Change, Fault> {
    Ok(match change {
        GuestChange::None => Change::None,
        GuestChange::Drop(deltas) => Change::Drop(records::drops(deltas, input)?),
        GuestChange::Replace(batch) => Change::Replace(records::replacement(batch, allowed_bytes, input.header())?),
    })
}

/// The hooks that observe.
fn observe(guest: &mut Guest, calls: &Calls, call: Call<'_>, at_most: Option<Duration>) -> Result<Answered, Fault> {
    let entries = match call {
        Call::Commit(commit) => commit.offsets.len(),
        _ => 1,
    };
    let call_time = guest.data().limits().hook_time(entries);
    guest.call(CallTime::of(call_time, at_most), |store| {
        store.data_mut().let_emit();
        match (calls, call) {
            (Calls::Flat(instance), _) => instance.observe(store, call),
            (Calls::Component(functions), Call::Acknowledgement(from, acknowledgement)) => {
                let function = functions.on_acknowledgement.typed::<Acknowledged<'_>, Done>(&store)?;
                Ok(function.call(store, (from.into(), acknowledgement.into()))?.0)
            }
            (Calls::Component(functions), Call::Commit(commit)) => {
                let function = functions.on_commit.typed::<Committed<'_>, Done>(&store)?;
                let offsets = wire::offsets(commit);
                Ok(function.call(store, (GuestCommit::of(commit, &offsets),))?.0)
            }
            (Calls::Component(_), Call::Send(..) | Call::Consume(..)) => Ok(Ok(())),
        }
    })?;
    Ok(Answered::default())
}
