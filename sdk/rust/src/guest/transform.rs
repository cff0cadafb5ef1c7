//! The world `transform-plugin`.

use super::{over_batch, viewed};
use crate::batch::Progress;
use crate::{Output, Stores, Transform, config};
use std::rc::Rc;

/// A configured plugin.
#[derive(Debug)]
pub struct Instance<T> {
    transform: T,
}

/// What one call gives back: the batch to emit (or nothing), and (offset delta, reason) of each rejection.
pub type Answer = (Vec<u8>, Vec<(i32, String)>);

impl<T: Transform> Instance<T> {
    /// Configures a plugin.
    ///
    /// # Errors
    /// What the configuration's type or the plugin itself has against the configuration.
    pub fn configure(text: &str, stores: Vec<String>) -> Result<Self, String> {
        Ok(Self { transform: T::configure(config::parse(text)?, &Stores::new(stores))? })
    }

    /// Runs the plugin over one batch.
    ///
    /// # Errors
    /// The plugin's own error, or what is wrong with the batch.
    pub fn process(&mut self, batch: &[u8]) -> Result<Answer, String> {
        let view = viewed(batch)?;
        let progress = Rc::new(Progress::default());
        let mut out = Output::new(Rc::clone(&progress));
        over_batch(&view, &progress, |batch| self.transform.process(batch, &mut out))?;
        Ok(out.into_parts())
    }
}

#[cfg(target_arch = "wasm32")]
mod exported {
    use super::{Instance, Transform};
    use crate::guest::{bindings, log_panics};
    use bindings::exports::pelton::plugin::transform::{Processed, Rejection};
    use std::cell::RefCell;

    /// Configures the module's one instance.
    pub fn configure<T: Transform>(
        slot: &RefCell<Option<Instance<T>>>,
        config: &str,
        stores: Vec<String>,
    ) -> Result<(), String> {
        log_panics();
        *slot.borrow_mut() = Some(Instance::configure(config, stores)?);
        Ok(())
    }

    /// Runs the module's one instance over a batch.
    pub fn process<T: Transform>(slot: &RefCell<Option<Instance<T>>>, batch: &[u8]) -> Result<Processed, String> {
        let mut slot = slot.borrow_mut();
        let instance = slot.as_mut().ok_or("the host called process before configure")?;
        let (output, rejected) = instance.process(batch)?;
        let rejected = rejected.into_iter().map(|(offset_delta, reason)| Rejection { offset_delta, reason }).collect();
        Ok(Processed { output, rejected })
    }
}

#[cfg(target_arch = "wasm32")]
pub use exported::{configure, process};

/// Makes the named [`Transform`] the one that this module exports. Once in a crate, at its root.
///
/// It expands to nothing when the crate is built for a machine instead of Wasm.
#[macro_export]
macro_rules! export_transform {
    ($transform:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            ::std::thread_local! {
                static INSTANCE: ::std::cell::RefCell<
                    ::std::option::Option<$crate::guest::transform::Instance<$transform>>,
                > = const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            struct Exported;

            impl $crate::guest::bindings::exports::pelton::plugin::transform::Guest for Exported {
                fn configure(
                    config: ::std::string::String,
                    stores: ::std::vec::Vec<::std::string::String>,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    INSTANCE.with(|slot| $crate::guest::transform::configure(slot, &config, stores))
                }

                fn process(
                    batch: ::std::vec::Vec<u8>,
                ) -> ::std::result::Result<
                    $crate::guest::bindings::exports::pelton::plugin::transform::Processed,
                    ::std::string::String,
                > {
                    INSTANCE.with(|slot| $crate::guest::transform::process(slot, &batch))
                }
            }

    $crate::guest::bindings::export_plugin!(Exported with_types_in $crate::guest::bindings);
        };
    };
}
