//! The world `partitioner-plugin`.

use super::{over_batch, viewed};
use crate::batch::Progress;
use crate::{Partitioner, config};

/// The contract's number for "any partition will do".
const ANY: i32 = -1;

/// A configured plugin.
#[derive(Debug)]
pub struct Instance<P> {
    partitioner: P,
}

impl<P: Partitioner> Instance<P> {
    /// Configures a plugin.
    ///
    /// # Errors
    /// What the configuration's type or the plugin itself has against the configuration.
    pub fn configure(text: &str) -> Result<Self, String> {
        Ok(Self { partitioner: P::configure(config::parse(text)?)? })
    }

    /// The partition of each record of a batch, -1 where any will do.
    ///
    /// # Errors
    /// What is wrong with the batch or with the number of partitions.
    pub fn partition(&mut self, batch: &[u8], topic: &str, partitions: i32) -> Result<Vec<i32>, String> {
        if partitions < 1 {
            return Err(format!("a topic has at least one partition, not {partitions}"));
        }
        let view = viewed(batch)?;
        over_batch(&view, &Progress::default(), |batch| {
            Ok(batch.records().map(|it| self.partitioner.partition(&it, topic, partitions).unwrap_or(ANY)).collect())
        })
    }
}

#[cfg(target_arch = "wasm32")]
mod exported {
    use super::Instance;
    use crate::Partitioner;
    use crate::guest::log_panics;
    use crate::guest::partitioner_bindings::exports::pelton::plugin::partitioner as world;
    use std::cell::RefCell;

    type Slot<P> = RefCell<Option<Instance<P>>>;

    /// The parts that the plugin reads.
    pub fn describe<P: Partitioner>() -> world::Parts {
        log_panics();
        let reads = P::reads();
        let all = [
            (reads.key, world::Parts::KEY),
            (reads.value, world::Parts::VALUE),
            (reads.headers, world::Parts::HEADERS),
        ];
        all.into_iter().filter(|(wanted, _)| *wanted).fold(world::Parts::empty(), |parts, (_, part)| parts | part)
    }

    /// Configures the module's one instance.
    pub fn configure<P: Partitioner>(slot: &Slot<P>, config: &str) -> Result<(), String> {
        log_panics();
        *slot.borrow_mut() = Some(Instance::configure(config)?);
        Ok(())
    }

    /// Asks the module's one instance about a batch.
    pub fn partition<P: Partitioner>(
        slot: &Slot<P>,
        batch: &[u8],
        topic: &str,
        partitions: i32,
    ) -> Result<Vec<i32>, String> {
        let mut slot = slot.borrow_mut();
        slot.as_mut().ok_or("the host called partition before configure")?.partition(batch, topic, partitions)
    }
}

#[cfg(target_arch = "wasm32")]
pub use exported::{configure, describe, partition};

/// Makes the named [`Partitioner`] the one that this module exports. Once in a crate, at its root.
///
/// It expands to nothing when the crate is built for a machine instead of Wasm.
#[macro_export]
macro_rules! export_partitioner {
    ($partitioner:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            use $crate::guest::partitioner as guest;
            use $crate::guest::partitioner_bindings::exports::pelton::plugin::partitioner as world;

            type Answer<T> = ::std::result::Result<T, ::std::string::String>;

            ::std::thread_local! {
                static INSTANCE: ::std::cell::RefCell<::std::option::Option<guest::Instance<$partitioner>>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            struct Exported;

            impl world::Guest for Exported {
                fn describe() -> world::Parts {
                    guest::describe::<$partitioner>()
                }

                fn configure(config: ::std::string::String) -> Answer<()> {
                    INSTANCE.with(|slot| guest::configure(slot, &config))
                }

                fn partition(
                    batch: ::std::vec::Vec<u8>,
                    topic: ::std::string::String,
                    partitions: i32,
                ) -> Answer<::std::vec::Vec<i32>> {
                    INSTANCE.with(|slot| guest::partition(slot, &batch, &topic, partitions))
                }
            }

            $crate::guest::partitioner_bindings::export_plugin!(
                Exported with_types_in $crate::guest::partitioner_bindings
            );
        };
    };
}
