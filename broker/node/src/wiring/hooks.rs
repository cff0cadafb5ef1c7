//! What the chains of interceptors, and the jobs, need of this node: compiled plugins, the names of topics, the partitioner
//! of a topic, and someone to tell.

use super::attachments::{self, ROUTE_PREFIX};
use super::plugin_log::PluginLog;
use super::plugins::Plugins;
use pelton_api::fault::Fault;
use pelton_api::interceptor::InterceptorFactory;
use pelton_api::manifest::{PluginKind, PluginRef};
use pelton_api::partitioner::{Partitioner, PartitionerFactory};
use pelton_api::transform::TransformFactory;
use pelton_core::cluster::ClusterImage;
use pelton_engine::{Level, Plugin};
use pelton_hooks::breaker::WhenOpen;
use pelton_hooks::{Chains, Code, Event, Events, Library};
use pelton_server::Broker;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// The plugins and topics of this node.
pub struct NodeLibrary {
    plugins: Arc<Plugins>,
    /// The cluster, once the broker has started. The receiver alone: the broker owns the chains, which own this.
    images: OnceLock<watch::Receiver<Arc<ClusterImage>>>,
}

impl NodeLibrary {
    /// Over these plugins.
    pub fn new(plugins: Arc<Plugins>) -> Self {
        Self { plugins, images: OnceLock::new() }
    }

    /// Tells of the topics, as soon as there are any. Later calls change nothing.
    pub fn see(&self, images: watch::Receiver<Arc<ClusterImage>>) {
        let _ = self.images.set(images);
    }

    fn load(&self, plugin: &PluginRef) -> Result<(Plugin, String), String> {
        let compiled = self.plugins.load(plugin).map_err(|error| error.to_string())?;
        let manifest = self.plugins.get(plugin).ok_or_else(|| format!("there is no plugin {plugin}"))?;
        Ok((compiled, manifest.digest))
    }
}

fn another_kind(plugin: &Plugin, wanted: PluginKind) -> String {
    format!("{} is a {}, not a {wanted}", plugin.name(), plugin.facts().kind)
}

impl Library for NodeLibrary {
    fn interceptor(&self, plugin: &PluginRef) -> Result<Code<dyn InterceptorFactory>, String> {
        let (compiled, digest) = self.load(plugin)?;
        let factory = compiled.interceptor().ok_or_else(|| another_kind(&compiled, PluginKind::Interceptor))?;
        Ok(Code { factory, digest })
    }

    fn partitioner(&self, plugin: &PluginRef) -> Result<Code<dyn PartitionerFactory>, String> {
        let (compiled, digest) = self.load(plugin)?;
        let factory = compiled.partitioner().ok_or_else(|| another_kind(&compiled, PluginKind::Partitioner))?;
        Ok(Code { factory, digest })
    }

    fn topic_exists(&self, topic: &str) -> bool {
        // Before the broker has started nobody alters a topic; what was checked then is not checked again.
        self.images.get().is_none_or(|images| images.borrow().topic(topic).is_some())
    }
}

/// The code of jobs: the transforms of their steps, which were loaded before, and the partitioners of their sinks.
pub struct JobCode {
    plugins: Arc<Plugins>,
    chains: Arc<Chains>,
    broker: Broker,
}

impl JobCode {
    /// Over these plugins and the topics of this broker.
    pub fn new(plugins: Arc<Plugins>, chains: Arc<Chains>, broker: Broker) -> Self {
        Self { plugins, chains, broker }
    }

    /// The topic that a job routes, if it routes one.
    fn routed(&self, job: &str) -> Option<String> {
        let image = self.broker.image();
        let routes = job.starts_with(ROUTE_PREFIX);
        let mut names = image.topics.keys().filter(|_| routes);
        names.find(|topic| attachments::route_name(topic) == job).map(ToString::to_string)
    }
}

impl pelton_jobs::Plugins for JobCode {
    fn transform(&self, plugin: &PluginRef) -> Option<Arc<dyn TransformFactory>> {
        self.plugins.ready(plugin)?.transform()
    }

    fn partitioner(&self, job: &str, topic: &str) -> Result<Option<Box<dyn Partitioner>>, Fault> {
        // What routes places records by the partitioner of the topic that they come from.
        let asked = self.routed(job).unwrap_or_else(|| topic.to_owned());
        let configs = self.broker.topic_configs(&asked).unwrap_or_default();
        let made = self.chains.partitioner_of(&asked, &configs);
        made.map_err(|reason| Fault::Host(format!("the partitioner of {asked}: {reason}")))
    }
}

/// Tells the operator: in the log of the process, and in `pelton plugin logs`.
pub struct Operator(pub Arc<PluginLog>);

impl Events for Operator {
    fn event(&self, event: Event) {
        let (plugin, level, text) = told(&event);
        match level {
            Level::Error => tracing::error!(target: "pelton::plugins", plugin, "{text}"),
            Level::Warn => tracing::warn!(target: "pelton::plugins", plugin, "{text}"),
            _ => tracing::info!(target: "pelton::plugins", plugin, "{text}"),
        }
        self.0.note(plugin, level, &text);
    }
}

fn told(event: &Event) -> (&str, Level, String) {
    match event {
        Event::NotLoaded { topic, plugin, reason } => {
            (plugin, Level::Error, format!("topic {topic}: it cannot be loaded: {reason}"))
        }
        Event::Fault { topic, plugin, hook, fault, unreported } => {
            let more =
                if *unreported > 0 { format!(" ({unreported} more since the last line)") } else { String::new() };
            (plugin, Level::Warn, format!("topic {topic}, {}: {fault}{more}", hook.name()))
        }
        Event::BreakerOpened { topic, plugin, faults, open, pause_ms } => {
            let meanwhile = match open {
                WhenOpen::Refuse => "what it would have seen is refused",
                WhenOpen::Bypass => "records go on without it",
            };
            let text =
                format!("topic {topic}: {faults} faults in a row; for {pause_ms} ms it is not called, {meanwhile}");
            (plugin, Level::Error, text)
        }
        Event::BreakerClosed { topic, plugin } => (plugin, Level::Info, format!("topic {topic}: it works again")),
        Event::ShadowDiffers { topic, shadow, what } => {
            (shadow, Level::Warn, format!("topic {topic}: the shadow does something else than the live chain: {what}"))
        }
    }
}
