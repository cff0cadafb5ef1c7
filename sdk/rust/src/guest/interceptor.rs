//! The world `interceptor-plugin`.

use super::{over_batch, viewed};
use crate::batch::Progress;
use crate::verdict::Change;
use crate::{Acknowledgement, Batch, Commit, Interceptor, Origin, Verdict, config};

/// A configured plugin.
#[derive(Debug)]
pub struct Instance<I> {
    interceptor: I,
}

/// What one call gives back: what becomes of the batch, and (offset delta, reason) of each rejection.
pub type Answer = (Change, Vec<(i32, String)>);

impl<I: Interceptor> Instance<I> {
    /// Configures a plugin.
    ///
    /// # Errors
    /// What the configuration's type or the plugin itself has against the configuration.
    pub fn configure(text: &str) -> Result<Self, String> {
        Ok(Self { interceptor: I::configure(config::parse(text)?)? })
    }

    /// Shows the plugin a batch on its way in.
    ///
    /// # Errors
    /// The plugin's own error, or what is wrong with the batch.
    pub fn on_send(&mut self, from: &Origin, batch: &[u8]) -> Result<Answer, String> {
        judged(batch, |batch, out| self.interceptor.on_send(from, batch, out))
    }

    /// Shows the plugin a batch on its way out.
    ///
    /// # Errors
    /// As for [`Instance::on_send`].
    pub fn on_consume(&mut self, to: &Origin, batch: &[u8]) -> Result<Answer, String> {
        judged(batch, |batch, out| self.interceptor.on_consume(to, batch, out))
    }

    /// Tells the plugin what became of a batch.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn on_acknowledgement(&mut self, from: &Origin, acknowledged: &Acknowledgement) -> Result<(), String> {
        self.interceptor.on_acknowledgement(from, acknowledged)
    }

    /// Tells the plugin of committed offsets.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn on_commit(&mut self, committed: &Commit) -> Result<(), String> {
        self.interceptor.on_commit(committed)
    }
}

fn judged(batch: &[u8], plugin: impl FnOnce(Batch<'_>, &mut Verdict) -> Result<(), String>) -> Result<Answer, String> {
    let view = viewed(batch)?;
    let mut out = Verdict::default();
    over_batch(&view, &Progress::default(), |batch| plugin(batch, &mut out))?;
    out.into_parts(&view)
}

#[cfg(target_arch = "wasm32")]
mod exported {
    use super::{Answer, Instance};
    use crate::guest::interceptor_bindings::exports::pelton::plugin::interceptor as world;
    use crate::guest::log_panics;
    use crate::verdict::Change;
    use crate::{Acknowledgement, Commit, Interceptor, Origin, Reuse};
    use std::cell::RefCell;

    type Slot<I> = RefCell<Option<Instance<I>>>;

    /// What the plugin declares of itself.
    pub fn describe<I: Interceptor>() -> world::Wants {
        log_panics();
        let wants = I::wants();
        let hooks = [
            (wants.hooks.on_send, world::Hooks::ON_SEND),
            (wants.hooks.on_acknowledgement, world::Hooks::ON_ACKNOWLEDGEMENT),
            (wants.hooks.on_consume, world::Hooks::ON_CONSUME),
            (wants.hooks.on_commit, world::Hooks::ON_COMMIT),
        ];
        world::Wants {
            hooks: hooks
                .into_iter()
                .filter(|(wanted, _)| *wanted)
                .fold(world::Hooks::empty(), |hooks, (_, hook)| hooks | hook),
            reads: parts(wants.reads),
            writes: parts(wants.writes),
            drops: wants.drops,
            reuse: match wants.reuse {
                Reuse::Never => world::Reuse::Never,
                Reuse::ForEveryone => world::Reuse::ForEveryone,
                Reuse::ForPrincipal => world::Reuse::ForPrincipal,
            },
        }
    }

    fn parts(parts: crate::Parts) -> world::Parts {
        let all = [
            (parts.key, world::Parts::KEY),
            (parts.value, world::Parts::VALUE),
            (parts.headers, world::Parts::HEADERS),
        ];
        all.into_iter().filter(|(wanted, _)| *wanted).fold(world::Parts::empty(), |parts, (_, part)| parts | part)
    }

    /// Configures the module's one instance.
    pub fn configure<I: Interceptor>(slot: &Slot<I>, config: &str) -> Result<(), String> {
        log_panics();
        *slot.borrow_mut() = Some(Instance::configure(config)?);
        Ok(())
    }

    /// The hook of that name.
    pub fn on_send<I: Interceptor>(
        slot: &Slot<I>,
        from: world::Origin,
        batch: &[u8],
    ) -> Result<world::Outcome, String> {
        with(slot, |instance| Ok(outcome(instance.on_send(&origin(from), batch)?)))
    }

    /// The hook of that name.
    pub fn on_consume<I: Interceptor>(
        slot: &Slot<I>,
        to: world::Origin,
        batch: &[u8],
    ) -> Result<world::Outcome, String> {
        with(slot, |instance| Ok(outcome(instance.on_consume(&origin(to), batch)?)))
    }

    /// The hook of that name.
    pub fn on_acknowledgement<I: Interceptor>(
        slot: &Slot<I>,
        from: world::Origin,
        acknowledged: world::Acknowledgement,
    ) -> Result<(), String> {
        let world::Acknowledgement { base_offset, record_count, at_ms, error } = acknowledged;
        let acknowledged = Acknowledgement { base_offset, record_count, at_ms, error };
        with(slot, |instance| instance.on_acknowledgement(&origin(from), &acknowledged))
    }

    /// The hook of that name.
    pub fn on_commit<I: Interceptor>(slot: &Slot<I>, committed: world::Commit) -> Result<(), String> {
        let committed = Commit {
            principal: committed.principal,
            client_id: committed.client_id,
            client_address: committed.client_address,
            group: committed.group,
            member: committed.member,
            topic: committed.topic,
            offsets: committed.offsets.into_iter().map(|one| (one.partition, one.offset)).collect(),
            transactional: committed.transactional,
        };
        with(slot, |instance| instance.on_commit(&committed))
    }

    fn with<I, R>(slot: &Slot<I>, call: impl FnOnce(&mut Instance<I>) -> Result<R, String>) -> Result<R, String> {
        call(slot.borrow_mut().as_mut().ok_or("the host called a hook before configure")?)
    }

    fn origin(origin: world::Origin) -> Origin {
        let world::Origin { principal, client_id, client_address, topic, partition } = origin;
        Origin { principal, client_id, client_address, topic, partition }
    }

    fn outcome((change, rejected): Answer) -> world::Outcome {
        let change = match change {
            Change::None => world::Change::None,
            Change::Drop(deltas) => world::Change::Drop(deltas),
            Change::Replace(batch) => world::Change::Replace(batch),
        };
        let rejected = rejected.into_iter();
        let rejected = rejected.map(|(offset_delta, reason)| world::Rejection { offset_delta, reason }).collect();
        world::Outcome { change, rejected }
    }
}

#[cfg(target_arch = "wasm32")]
pub use exported::{configure, describe, on_acknowledgement, on_commit, on_consume, on_send};

/// Makes the named [`Interceptor`] the one that this module exports. Once in a crate, at its root.
///
/// It expands to nothing when the crate is built for a machine instead of Wasm.
#[macro_export]
macro_rules! export_interceptor {
    ($interceptor:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            use $crate::guest::interceptor as guest;
            use $crate::guest::interceptor_bindings::exports::pelton::plugin::interceptor as world;

            type Answer<T> = ::std::result::Result<T, ::std::string::String>;

            ::std::thread_local! {
                static INSTANCE: ::std::cell::RefCell<::std::option::Option<guest::Instance<$interceptor>>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            struct Exported;

            impl world::Guest for Exported {
                fn describe() -> world::Wants {
                    guest::describe::<$interceptor>()
                }

                fn configure(config: ::std::string::String) -> Answer<()> {
                    INSTANCE.with(|slot| guest::configure(slot, &config))
                }

                fn on_send(from: world::Origin, batch: ::std::vec::Vec<u8>) -> Answer<world::Outcome> {
                    INSTANCE.with(|slot| guest::on_send(slot, from, &batch))
                }

                fn on_acknowledgement(from: world::Origin, acknowledged: world::Acknowledgement) -> Answer<()> {
                    INSTANCE.with(|slot| guest::on_acknowledgement(slot, from, acknowledged))
                }

                fn on_consume(to: world::Origin, batch: ::std::vec::Vec<u8>) -> Answer<world::Outcome> {
                    INSTANCE.with(|slot| guest::on_consume(slot, to, &batch))
                }

                fn on_commit(committed: world::Commit) -> Answer<()> {
                    INSTANCE.with(|slot| guest::on_commit(slot, committed))
                }
            }

            $crate::guest::interceptor_bindings::export_plugin!(
                Exported with_types_in $crate::guest::interceptor_bindings
            );
        };
    };
}
