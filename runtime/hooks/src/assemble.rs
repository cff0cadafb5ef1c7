//! Makes what is attached to a topic from its settings: loads the plugins and puts the pieces together.
//!
//! A plugin that cannot be loaded becomes a link that fails in every call with the reason, on both ways of the records since
//! nobody can say which it wanted; so the topic's policy holds, and records never pass by a plugin unseen.

use crate::Options;
use crate::attached::{Attached, Parts, keeps_state_on_send};
use crate::breaker::{BreakerSettings, WhenOpen};
use crate::cache::Cache;
use crate::chain::Chain;
use crate::circuit::Circuit;
use crate::instances::Instances;
use crate::library::{Event, Events, Library, NoEvents};
use crate::link::{Link, Settle};
use crate::partitioners;
use crate::policy::OnError;
use crate::settings::{INTERCEPTORS, Mode, PARTITIONER, PartitionerChoice, SHADOW, Settings};
use crate::shadow::Shadow;
use crate::state::{StateLimits, Stores};
use crate::verify::Verify;
use pelton_api::fault::Fault;
use pelton_api::hooks::CONFIG_PREFIX;
use pelton_api::interceptor::{Hook, HookSet, Parts as RecordParts, Wants};
use pelton_api::manifest::PluginRef;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What the attachments of a node share.
pub(crate) struct Shared {
    pub(crate) library: Arc<dyn Library>,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) options: Options,
    pub(crate) cache: Arc<Cache>,
    pub(crate) limits: Arc<StateLimits>,
    /// Stores of the live chains by topic and plugin name, as long as any attachment holds them: so a new version of a plugin
    /// finds what the one before it knew, and nothing outlives its last user.
    pub(crate) stores: Mutex<BTreeMap<(String, String), Weak<Stores>>>,
}

impl Shared {
    /// Puts together what is attached to a topic; `None`: nothing is.
    pub(crate) fn assemble(
        &self,
        id: u64,
        topic: &str,
        partitions: i32,
        settings: &Settings,
        configs: &BTreeMap<String, String>,
    ) -> Option<Attached> {
        let verifies = settings.partitioner.as_ref().is_some_and(|partitioning| partitioning.mode == Mode::Verify);
        if settings.interceptors.is_empty() && settings.shadow.is_empty() && !verifies {
            self.forget_stores(topic, &[]);
            return None;
        }
        let name: Arc<str> = topic.into();
        let chain = self.chain(&name, settings, Role::Live);
        let verify = if verifies { self.verify(&name, partitions, settings) } else { None };
        let identity = identity(&chain, verify.as_ref(), configs);
        let shadow = self.shadow(&name, settings, &chain);
        let names: Vec<&str> = settings.interceptors.iter().map(|plugin| plugin.name.as_str()).collect();
        self.forget_stores(topic, &names);
        Some(Attached::new(Parts {
            id,
            topic: name,
            identity,
            chain,
            verify,
            shadow,
            cache: self.cache.clone(),
            decompressed_bytes: self.options.decompressed_bytes,
            clock: self.options.clock.clone(),
        }))
    }

    fn chain(&self, topic: &Arc<str>, settings: &Settings, role: Role) -> Chain {
        let plugins = if role == Role::Live { &settings.interceptors } else { &settings.shadow };
        // A shadow is there to be watched, so it is never taken out of the way.
        let breaker = BreakerSettings {
            faults: if role == Role::Live { settings.breaker.faults } else { 0 },
            ..settings.breaker
        };
        Chain {
            links: plugins.iter().map(|plugin| self.link(topic, settings, plugin, breaker, role)).collect(),
            on_error: settings.on_error,
            open: settings.breaker.open,
            dead_letter_topic: settings.dead_letter_topic.as_str().into(),
        }
    }

    fn link(
        &self,
        topic: &Arc<str>,
        settings: &Settings,
        plugin: &PluginRef,
        breaker: BreakerSettings,
        role: Role,
    ) -> Link {
        let own = settings.plugin(&plugin.name);
        let config_name = crate::settings::config_name(&plugin.name);
        let named: Arc<str> = plugin.to_string().into();
        let code = match self.library.interceptor(plugin) {
            Ok(code) => code,
            Err(reason) => {
                return self.dead_link(topic, named, breaker, format!("the plugin cannot be loaded: {reason}"));
            }
        };
        let (wants, has_state) = (code.factory.wants(), code.factory.has_state());
        let (for_topic, config, emit) = (topic.clone(), own.config().to_owned(), own.emit.clone());
        let instances = Instances::new(self.options.idle_instances, move || {
            // An instance that cannot be made is no judgement of the plugin about a batch.
            code.factory.instantiate(&for_topic, &config, &emit).map_err(|fault| match fault {
                Fault::Refused(why) => Fault::Host(format!("it refuses `{config_name}`: {why}")),
                other => other,
            })
        });
        let stores = has_state.then(|| match role {
            Role::Live => self.live_stores(topic, &plugin.name),
            Role::Shadow => Arc::new(Stores::new(self.limits.clone())),
        });
        let events: Arc<dyn Events> = if role == Role::Live { self.events.clone() } else { Arc::new(NoEvents) };
        let circuit = Circuit::new(topic.clone(), named, code.digest, breaker, events, self.options.clock.clone());
        Link { circuit, wants, stores, instances, emit: own.emit }
    }

    /// A link that fails in every call with the reason.
    fn dead_link(&self, topic: &Arc<str>, named: Arc<str>, breaker: BreakerSettings, reason: String) -> Link {
        self.not_loaded(topic, &named, &reason);
        let wants = Wants {
            hooks: HookSet::default().with(Hook::OnSend).with(Hook::OnConsume),
            reads: RecordParts::ALL,
            ..Wants::default()
        };
        let (events, clock) = (self.events.clone(), self.options.clock.clone());
        Link {
            circuit: Circuit::new(topic.clone(), named, String::new(), breaker, events, clock),
            wants,
            stores: None,
            instances: Instances::new(0, move || Err(Fault::Host(reason.clone()))),
            emit: Vec::new(),
        }
    }

    /// What is attached to a topic whose configs cannot be read: it lets nothing by.
    pub(crate) fn closed(&self, id: u64, topic: &str, reason: &str, configs: &BTreeMap<String, String>) -> Attached {
        let topic: Arc<str> = topic.into();
        let breaker = BreakerSettings { faults: 0, open: WhenOpen::Refuse, pause_ms: 1 };
        let chain = Chain {
            links: vec![self.dead_link(&topic, "pelton".into(), breaker, reason.to_owned())],
            on_error: OnError::Reject,
            open: WhenOpen::Refuse,
            dead_letter_topic: "".into(),
        };
        let identity = identity(&chain, None, configs);
        let (cache, clock) = (self.cache.clone(), self.options.clock.clone());
        let decompressed_bytes = self.options.decompressed_bytes;
        Attached::new(Parts {
            id,
            topic,
            identity,
            chain,
            verify: None,
            shadow: None,
            cache,
            decompressed_bytes,
            clock,
        })
    }

    fn verify(&self, topic: &Arc<str>, partitions: i32, settings: &Settings) -> Option<Verify> {
        let choice = &settings.partitioner.as_ref()?.choice;
        let named: Arc<str> = choice.to_string().into();
        let (digest, reads, instances) = match partitioners::of(settings, &*self.library) {
            Ok(chosen) => {
                let chosen = chosen?;
                // What is built in walks the batch as it is, and needs no copy of what it reads.
                let built_in = matches!(choice, PartitionerChoice::BuiltIn(_));
                let reads = if built_in { RecordParts::ALL } else { chosen.factory.reads() };
                let make = move || {
                    chosen.factory.instantiate(&chosen.config).map_err(|fault| match fault {
                        Fault::Refused(why) => Fault::Host(format!("it refuses its configuration: {why}")),
                        other => other,
                    })
                };
                (chosen.digest, reads, Instances::new(self.options.idle_instances, make))
            }
            Err(reason) => {
                self.not_loaded(topic, &named, &reason);
                let fail = move || Err(Fault::Host(format!("the plugin cannot be loaded: {reason}")));
                (String::new(), RecordParts::ALL, Instances::new(0, fail))
            }
        };
        let (events, clock) = (self.events.clone(), self.options.clock.clone());
        Some(Verify {
            circuit: Circuit::new(topic.clone(), named, digest, settings.breaker, events, clock),
            instances,
            reads,
            partitions,
            on_error: settings.on_error,
            open: settings.breaker.open,
            dead_letter_topic: settings.dead_letter_topic.as_str().into(),
        })
    }

    fn shadow(&self, topic: &Arc<str>, settings: &Settings, live: &Chain) -> Option<Shadow> {
        if settings.shadow.is_empty() {
            return None;
        }
        let chain = self.chain(topic, settings, Role::Shadow);
        let name: Vec<String> = settings.shadow.iter().map(PluginRef::to_string).collect();
        // Only where the live chain keeps state does the broker say what became of each batch.
        let settle = if keeps_state_on_send(live) { Settle::WhenAppended } else { Settle::AtOnce };
        let started = Shadow::start(topic.clone(), &name.join(","), chain, settle, self.events.clone());
        started
            .inspect_err(|error| {
                let plugin: Arc<str> = name.join(",").into();
                self.not_loaded(topic, &plugin, &format!("no thread for the shadow: {error}"));
            })
            .ok()
    }

    fn not_loaded(&self, topic: &Arc<str>, plugin: &Arc<str>, reason: &str) {
        let (topic, plugin, reason) = (topic.clone(), plugin.clone(), reason.to_owned());
        self.events.event(Event::NotLoaded { topic, plugin, reason });
    }

    fn live_stores(&self, topic: &str, plugin: &str) -> Arc<Stores> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let held = stores.entry((topic.to_owned(), plugin.to_owned())).or_default();
        held.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Stores::new(self.limits.clone()));
            *held = Arc::downgrade(&made);
            made
        })
    }

    /// Lets go of the stores of a topic whose plugins are not in `names`, and of all that nobody holds any more.
    fn forget_stores(&self, topic: &str, names: &[&str]) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores
            .retain(|(of, plugin), held| held.strong_count() > 0 && (of != topic || names.contains(&plugin.as_str())));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Live,
    Shadow,
}

/// `audit@2[1f3a5c77],mask@1[0badcafe];murmur2#5e884898`: the chain, the partitioner, and a digest of the configuration. The
/// shadow has no part in it, since it decides nothing.
fn identity(chain: &Chain, verify: Option<&Verify>, configs: &BTreeMap<String, String>) -> String {
    let circuits = |circuit: &Circuit| match circuit.digest.get(..8) {
        Some(front) => format!("{}[{front}]", circuit.plugin),
        None => {
            format!("{}[{}]", circuit.plugin, if circuit.digest.is_empty() { "unavailable" } else { &circuit.digest })
        }
    };
    let links: Vec<String> = chain.links.iter().map(|link| circuits(&link.circuit)).collect();
    let mut identity = links.join(",");
    if let Some(verify) = verify {
        let built_in = !verify.circuit.plugin.contains('@');
        let named = if built_in { verify.circuit.plugin.to_string() } else { circuits(&verify.circuit) };
        identity = if identity.is_empty() { named } else { format!("{identity};{named}") };
    }
    let mut digest = Sha256::new();
    let mut configured = false;
    for (name, value) in configs.iter().filter(|(name, _)| name.starts_with(CONFIG_PREFIX)) {
        if ![INTERCEPTORS, PARTITIONER, SHADOW].contains(&name.as_str()) {
            configured = true;
            for part in [name.as_bytes(), value.as_bytes()] {
                digest.update((part.len() as u64).to_le_bytes());
                digest.update(part);
            }
        }
    }
    if configured {
        identity.push('#');
        for byte in &digest.finalize()[..4] {
            // Writing to a string cannot fail.
            let _ = write!(identity, "{byte:02x}");
        }
    }
    identity
}
