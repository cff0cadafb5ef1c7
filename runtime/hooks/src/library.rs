//! What the chains need of the place in which they run: compiled plugins, the names of topics, and someone to tell.
//!
//! The consumer owns the interface: the composition root implements these traits over its registry, its engine and its
//! cluster, and the tests of this room over closures.

use crate::breaker::WhenOpen;
use pelton_api::interceptor::{Hook, InterceptorFactory};
use pelton_api::manifest::PluginRef;
use pelton_api::partitioner::PartitionerFactory;
use std::sync::Arc;

/// Compiled code of one plugin, and which bytes it was compiled from.
pub struct Code<F: ?Sized> {
    /// Makes instances.
    pub factory: Arc<F>,
    /// SHA-256 of the uploaded bytes, in hexadecimal.
    pub digest: String,
}

/// Where plugins and the names of topics come from.
pub trait Library: Send + Sync {
    /// The code of an interceptor. May take as long as compiling it.
    ///
    /// # Errors
    /// Text for the operator: it does not exist, is of another kind, does not compile.
    fn interceptor(&self, plugin: &PluginRef) -> Result<Code<dyn InterceptorFactory>, String>;

    /// The code of a partitioner. May take as long as compiling it.
    ///
    /// # Errors
    /// As for [`Library::interceptor`].
    fn partitioner(&self, plugin: &PluginRef) -> Result<Code<dyn PartitionerFactory>, String>;

    /// Whether a topic of this name exists.
    fn topic_exists(&self, topic: &str) -> bool;
}

/// Who is told of what happens to plugins. Called on the threads that run guests: it must not wait.
pub trait Events: Send + Sync {
    /// Something happened. Faults of one plugin on one topic come at most once a second.
    fn event(&self, event: Event);
}

/// What an operator wants to know at once; the numbers are in the reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A plugin of a topic cannot be loaded. The topic's policy for faults holds until that changes.
    NotLoaded {
        /// The topic.
        topic: Arc<str>,
        /// `mask@1`.
        plugin: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A plugin failed.
    Fault {
        /// The topic.
        topic: Arc<str>,
        /// `mask@1`.
        plugin: Arc<str>,
        /// The hook in which it failed.
        hook: Hook,
        /// How.
        fault: String,
        /// Further faults of it on this topic since the last such event.
        unreported: u64,
    },
    /// A plugin failed so many times in a row that it is not called any more for a while.
    BreakerOpened {
        /// The topic.
        topic: Arc<str>,
        /// `mask@1`.
        plugin: Arc<str>,
        /// Faults in a row.
        faults: u32,
        /// What happens meanwhile.
        open: WhenOpen,
        /// Until one call is tried, in milliseconds.
        pause_ms: u64,
    },
    /// A plugin whose circuit was open works again.
    BreakerClosed {
        /// The topic.
        topic: Arc<str>,
        /// `mask@1`.
        plugin: Arc<str>,
    },
    /// A shadow chain did something else than the live one, for the first time since it was attached.
    ShadowDiffers {
        /// The topic.
        topic: Arc<str>,
        /// The shadow chain.
        shadow: Arc<str>,
        /// The first difference.
        what: String,
    },
}

/// Nobody is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn event(&self, _: Event) {}
}
