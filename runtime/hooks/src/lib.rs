//! What the broker calls for topics with plugins attached: chains of interceptors and partitioners, with the rules that
//! make them safe.
//!
//! What this room does: it reads the `pelton.*` configs of a topic ([`settings`]), loads the plugins they name through a
//! [`Library`], and gives the broker [`Chains`], which implements `pelton_api::hooks::Hooks`. A batch that passes is unpacked
//! once, given to each plugin as much as it reads, changed as far as the plugin may change it, and sealed again. Faults and refused
//! records end as the topic's policy says ([`policy`]); a plugin that fails again and again is not called for a while ([`breaker`]).
//!
//! What it does not do: run Wasm (`runtime/engine`), keep plugins (`runtime/registry`), append, fetch or order anything (`broker/server`).
//!
//! Invariant: whatever a plugin answers, a batch that leaves has a subset of the offset deltas that it came with, the same
//! header fields and timestamps, and only what the plugin declared to write is from the plugin.

mod assemble;
mod attached;
pub mod breaker;
mod cache;
mod chain;
mod circuit;
#[cfg(test)]
mod cost;
mod dead_letter;
#[cfg(test)]
mod double;
mod form;
mod instances;
mod library;
mod link;
pub mod partitioners;
pub mod policy;
pub mod report;
pub mod settings;
mod shadow;
mod state;
mod verify;

pub use circuit::Clock;
pub use dead_letter::{MAX_BATCH_BYTES as MAX_DEAD_LETTER_BATCH_BYTES, TRUNCATED};
pub use library::{Code, Event, Events, Library, NoEvents};

use crate::assemble::Shared;
use crate::attached::Attached;
use crate::cache::Cache;
use crate::report::{TopicReport, Usage};
use crate::settings::{INTERCEPTORS, Mode, PARTITIONER, PARTITIONER_TARGET, SHADOW, Settings};
use crate::state::StateLimits;
use pelton_api::fault::Fault;
use pelton_api::hooks::{Hooks, TopicHooks};
use pelton_api::manifest::PluginRef;
use pelton_api::partitioner::Partitioner;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bounds of what the chains of a node use.
#[derive(Debug, Clone)]
pub struct Options {
    /// What one batch may have when it is decompressed. Default 128 MiB; a batch with more is refused.
    pub decompressed_bytes: usize,
    /// Results of on-consume that are kept. Default 64 MiB; 0: none.
    pub cache_bytes: usize,
    /// State of one interceptor in one partition. Default 16 MiB.
    pub store_bytes: usize,
    /// State of all interceptors in all partitions. Default 1 GiB.
    pub state_bytes: usize,
    /// Idle instances that are kept for each plugin of a topic. Default 8.
    pub idle_instances: usize,
    /// What time it is.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            decompressed_bytes: 128 << 20,
            cache_bytes: 64 << 20,
            store_bytes: 16 << 20,
            state_bytes: 1 << 30,
            idle_instances: 8,
            clock: Clock::default(),
        }
    }
}

/// The chains of a node.
pub struct Chains {
    shared: Shared,
    attachments: AtomicU64,
    /// What is attached to each topic, the newest last. There can be two for a while: one that is being put in force, or was made
    /// to be compared with the one in force.
    topics: Mutex<BTreeMap<String, Vec<Weak<Attached>>>>,
}

impl Chains {
    /// Nothing attached yet.
    pub fn new(library: Arc<dyn Library>, events: Arc<dyn Events>, options: Options) -> Self {
        let cache = Arc::new(Cache::new(options.cache_bytes));
        let limits = Arc::new(StateLimits::new(options.store_bytes, options.state_bytes));
        let shared = Shared { library, events, options, cache, limits, stores: Mutex::default() };
        Self { shared, attachments: AtomicU64::new(0), topics: Mutex::default() }
    }

    /// What can be read of a topic's chain; `None`: nothing is attached.
    pub fn report(&self, topic: &str) -> Option<TopicReport> {
        let attached = self.topics().get(topic).and_then(|all| newest(all));
        attached.map(|attached| attached.report())
    }

    /// The reports of all topics to which something is attached, by name.
    pub fn reports(&self) -> Vec<TopicReport> {
        let attached: Vec<_> = self.topics().values().filter_map(|all| newest(all)).collect();
        attached.iter().map(|attached| attached.report()).collect()
    }

    /// What the chains of the node hold in memory.
    pub fn usage(&self) -> Usage {
        Usage { cache_bytes: self.shared.cache.used_bytes(), state_bytes: self.shared.limits.used_bytes() }
    }

    /// An instance of the partitioner that a topic's configs name, in whichever mode; `None`: they name none. For those who place
    /// records themselves: jobs' sinks, `route`, the admin HTTP.
    ///
    /// # Errors
    /// Text for the operator: the configs are wrong, or the plugin cannot be loaded or refuses its configuration.
    pub fn partitioner_of(
        &self,
        topic: &str,
        configs: &BTreeMap<String, String>,
    ) -> Result<Option<Box<dyn Partitioner>>, String> {
        let settings = Settings::parse(topic, configs)?;
        let chosen = partitioners::of(&settings, &*self.shared.library)
            .map_err(|reason| format!("{PARTITIONER}: {}: {reason}", chosen_name(&settings)))?;
        let Some(chosen) = chosen else { return Ok(None) };
        let instance = chosen.factory.instantiate(&chosen.config);
        instance.map(Some).map_err(|fault| cannot_start(PARTITIONER, &chosen.name, &fault))
    }

    fn topics(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Weak<Attached>>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads an interceptor and has it look at its configuration.
    fn check_interceptor(
        &self,
        topic: &str,
        config: &str,
        plugin: &PluginRef,
        settings: &Settings,
    ) -> Result<(), String> {
        let code = self.shared.library.interceptor(plugin).map_err(|reason| format!("{config}: {plugin}: {reason}"))?;
        let own = settings.plugin(&plugin.name);
        for to in &own.emit {
            self.must_exist(&settings::emit_name(&plugin.name), to)?;
        }
        let instance = code.factory.instantiate(topic, own.config(), &own.emit);
        instance.map(|_| ()).map_err(|fault| cannot_start(config, &plugin.to_string(), &fault))
    }

    fn must_exist(&self, config: &str, topic: &str) -> Result<(), String> {
        if self.shared.library.topic_exists(topic) {
            return Ok(());
        }
        Err(format!("{config}: topic `{topic}` does not exist; create it first"))
    }
}

impl Hooks for Chains {
    fn check(&self, topic: &str, _partitions: i32, configs: &BTreeMap<String, String>) -> Result<(), String> {
        let settings = Settings::parse(topic, configs)?;
        for (config, chain) in [(INTERCEPTORS, &settings.interceptors), (SHADOW, &settings.shadow)] {
            for plugin in chain {
                self.check_interceptor(topic, config, plugin, &settings)?;
            }
        }
        let Some(partitioning) = &settings.partitioner else { return Ok(()) };
        if let Mode::Route { target } = &partitioning.mode {
            self.must_exist(PARTITIONER_TARGET, target)?;
        }
        self.partitioner_of(topic, configs).map(|_| ())
    }

    fn attach(&self, topic: &str, partitions: i32, configs: &BTreeMap<String, String>) -> Option<Arc<dyn TopicHooks>> {
        let id = self.attachments.fetch_add(1, Ordering::Relaxed);
        let attached = match Settings::parse(topic, configs) {
            Ok(settings) => self.shared.assemble(id, topic, partitions, &settings, configs),
            // Configs were checked when they were set. If a later version of this room reads them differently, the topic must
            // fail closed rather than let records by.
            Err(reason) => Some(self.shared.closed(id, topic, &reason, configs)),
        };
        let attached = attached.map(Arc::new);
        let mut topics = self.topics();
        topics.retain(|_, all| {
            all.retain(|attached| attached.strong_count() > 0);
            !all.is_empty()
        });
        let attached = attached?;
        topics.entry(topic.to_owned()).or_default().push(Arc::downgrade(&attached));
        Some(attached)
    }
}

fn newest(all: &[Weak<Attached>]) -> Option<Arc<Attached>> {
    all.iter().rev().find_map(Weak::upgrade)
}

fn chosen_name(settings: &Settings) -> String {
    settings.partitioner.as_ref().map_or_else(String::new, |partitioning| partitioning.choice.to_string())
}

/// Why a plugin could not be started: its configuration's name stands in front when it refused that.
fn cannot_start(config: &str, plugin: &str, fault: &Fault) -> String {
    match (fault, plugin.split_once('@')) {
        (Fault::Refused(why), Some((name, _))) => {
            format!("{}: {plugin} refuses it: {why}", settings::config_name(name))
        }
        _ => format!("{config}: {plugin} cannot be started: {fault}"),
    }
}

#[cfg(test)]
mod tests;
