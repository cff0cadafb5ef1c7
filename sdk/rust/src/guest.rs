//! The path from the contract's bytes to a [`Transform`] and back. Wasm and the test harness share it.
//! Public for [`export_transform!`](crate::export_transform) alone; no promise is made about it.

use crate::batch::{Batch, Progress};
use crate::{Output, Stores, Transform, config};
use pelton_record::BatchView;
use std::rc::Rc;

#[cfg(target_arch = "wasm32")]
pub use crate::host::bindings;

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
        let view = BatchView::parse(batch).map_err(|error| format!("the input is no record batch: {error}"))?;
        let progress = Rc::new(Progress::default());
        let mut out = Output::new(Rc::clone(&progress));
        self.transform.process(Batch::new(&view, &progress), &mut out)?;
        match progress.damage.take() {
            Some(damage) => Err(format!("the input batch is damaged: {damage}")),
            None => Ok(out.into_parts()),
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod exported {
    use super::{Instance, Transform, bindings};
    use bindings::exports::pelton::plugin::transform::{Processed, Rejection};
    use std::cell::RefCell;

    /// Configures the module's one instance. A panic's text reaches the operator's log before the trap.
    pub fn configure<T: Transform>(
        slot: &RefCell<Option<Instance<T>>>,
        config: &str,
        stores: Vec<String>,
    ) -> Result<(), String> {
        std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
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
