//! Which topic configs change when a plugin is attached, detached or promoted. Pure: configs in, changes out.
//!
//! What is edited are the configs in effect, the broker's defaults among them, so that attaching one plugin
//! never detaches another that the topic had by default.

use anyhow::{anyhow, bail};
use pelton_api::manifest::PluginRef;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The chain that decides.
pub const CHAIN: &str = "pelton.interceptors";
/// The chain that runs in the shadow.
pub const SHADOW: &str = "pelton.interceptors.shadow";
/// What becomes of faults and rejections.
pub const ON_ERROR: &str = "pelton.interceptors.on.error";
/// The partitioner.
pub const PARTITIONER: &str = "pelton.partitioner";
/// Whether it verifies or routes.
pub const PARTITIONER_MODE: &str = "pelton.partitioner.mode";
/// Where it routes to.
pub const PARTITIONER_TARGET: &str = "pelton.partitioner.target";

/// Configs by name.
pub type Configs = BTreeMap<String, String>;

/// What is to be changed of a topic's own configs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Changes {
    /// Set to these values.
    pub set: Configs,
    /// Taken away, so that the broker's default holds again.
    pub remove: BTreeSet<String>,
}

/// Where in its chain a plugin is put.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// Where its former version stands; at the end when there is none.
    #[default]
    Kept,
    /// Before all others.
    First,
    /// Before the plugin of this name.
    Before(String),
    /// After the plugin of this name.
    After(String),
}

/// What a plugin is attached with.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// Its JSON configuration.
    pub config: Option<String>,
    /// Topics that it may emit to, parted by commas.
    pub emit: Option<String>,
}

impl Parameters {
    fn write(&self, name: &str, changes: &mut Changes) {
        for (key, value) in [(config_key(name), &self.config), (emit_key(name), &self.emit)] {
            if let Some(value) = value {
                changes.set.insert(key, value.clone());
            }
        }
    }
}

/// The config that holds a plugin's parameters.
pub fn config_key(name: &str) -> String {
    format!("pelton.plugin.{name}.config")
}

/// The config that names the topics that a plugin may emit to.
pub fn emit_key(name: &str) -> String {
    format!("pelton.plugin.{name}.emit")
}

/// Reads `audit@2,mask@1`.
///
/// # Errors
/// When it is no chain.
pub fn parse(text: &str) -> anyhow::Result<Vec<PluginRef>> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(items.map(str::parse).collect::<Result<Vec<PluginRef>, _>>()?)
}

/// Writes `audit@2,mask@1`.
pub fn display(chain: &[PluginRef]) -> String {
    chain.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The chain under `key`, or none.
fn chain(configs: &Configs, key: &str) -> anyhow::Result<Vec<PluginRef>> {
    configs.get(key).map_or_else(|| Ok(Vec::new()), |text| parse(text))
}

/// Puts a plugin into a chain; a former version of it leaves.
fn put(chain: &mut Vec<PluginRef>, plugin: &PluginRef, place: &Place) -> anyhow::Result<()> {
    let former = chain.iter().position(|link| link.name == plugin.name);
    if let Some(at) = former {
        chain.remove(at);
    }
    let of = |chain: &[PluginRef], name: &str| match chain.iter().position(|link| link.name == name) {
        Some(at) => Ok(at),
        None if name == plugin.name => Err(anyhow!("{name} cannot be placed beside itself")),
        None => Err(anyhow!("{name} is not attached; the chain is `{}`", display(chain))),
    };
    let at = match place {
        Place::Kept => former.unwrap_or(chain.len()),
        Place::First => 0,
        Place::Before(name) => of(chain, name)?,
        Place::After(name) => of(chain, name)? + 1,
    };
    chain.insert(at, plugin.clone());
    Ok(())
}

/// Attaches an interceptor to the chain that decides.
///
/// # Errors
/// When the place names a plugin that is not attached.
pub fn attach(
    configs: &Configs,
    plugin: &PluginRef,
    place: &Place,
    parameters: &Parameters,
    on_error: Option<&str>,
) -> anyhow::Result<Changes> {
    let mut links = chain(configs, CHAIN)?;
    put(&mut links, plugin, place)?;
    let mut changes = Changes::default();
    changes.set.insert(CHAIN.to_owned(), display(&links));
    parameters.write(&plugin.name, &mut changes);
    if let Some(on_error) = on_error {
        changes.set.insert(ON_ERROR.to_owned(), on_error.to_owned());
    }
    Ok(changes)
}

/// Lets an interceptor run in the shadow: the shadow is the chain as it would be with this plugin.
///
/// # Errors
/// When the place names a plugin that is not there; when parameters are given that would change what the live
/// version does.
pub fn shadow(
    configs: &Configs,
    plugin: &PluginRef,
    place: &Place,
    parameters: &Parameters,
) -> anyhow::Result<Changes> {
    let live = chain(configs, CHAIN)?;
    let is_live = live.iter().any(|link| link.name == plugin.name);
    for (key, value) in [(config_key(&plugin.name), &parameters.config), (emit_key(&plugin.name), &parameters.emit)] {
        if is_live && value.as_ref().is_some_and(|value| configs.get(&key) != Some(value)) {
            bail!("{key} holds for the live version of {} too; attach the shadow without it", plugin.name);
        }
    }
    let mut links = chain(configs, SHADOW)?;
    if links.is_empty() {
        links = live;
    }
    put(&mut links, plugin, place)?;
    let mut changes = Changes::default();
    changes.set.insert(SHADOW.to_owned(), display(&links));
    parameters.write(&plugin.name, &mut changes);
    Ok(changes)
}

/// Makes a partitioner the topic's.
pub fn partitioner(
    name: &str,
    text: &str,
    mode: Option<&str>,
    target: Option<&str>,
    parameters: &Parameters,
) -> Changes {
    let mut changes = Changes::default();
    changes.set.insert(PARTITIONER.to_owned(), text.to_owned());
    for (key, value) in [(PARTITIONER_MODE, mode), (PARTITIONER_TARGET, target)] {
        if let Some(value) = value {
            changes.set.insert(key.to_owned(), value.to_owned());
        }
    }
    if mode == Some("verify") {
        changes.remove.insert(PARTITIONER_TARGET.to_owned());
    }
    parameters.write(name, &mut changes);
    changes
}

/// Makes the version that runs in the shadow the one that counts, and ends the shadow.
///
/// # Errors
/// When no such plugin runs in the shadow.
pub fn promote(configs: &Configs, name: &str) -> anyhow::Result<Changes> {
    let shadow = chain(configs, SHADOW)?;
    let Some(at) = shadow.iter().position(|link| link.name == name) else {
        bail!("{name} does not run in the shadow; `pelton plugin attach TOPIC {name}@VERSION --shadow` begins that");
    };
    let mut live = chain(configs, CHAIN)?;
    // A plugin that is new goes behind the nearest one that precedes it in the shadow and is live.
    let before = shadow[..at].iter().rev().find(|link| live.iter().any(|other| other.name == link.name));
    let place = match before {
        _ if live.iter().any(|link| link.name == name) => Place::Kept,
        Some(link) => Place::After(link.name.clone()),
        None => Place::First,
    };
    put(&mut live, &shadow[at], &place)?;
    let mut changes = Changes::default();
    changes.set.insert(CHAIN.to_owned(), display(&live));
    changes.remove.insert(SHADOW.to_owned());
    for link in &shadow {
        if !live.iter().any(|other| other.name == link.name) {
            changes.remove.extend([config_key(&link.name), emit_key(&link.name)]);
        }
    }
    Ok(changes.only_present(configs))
}

/// Ends the shadow that a plugin is part of.
///
/// # Errors
/// When it is in none.
pub fn end_shadow(configs: &Configs, own: &Configs, name: &str) -> anyhow::Result<Changes> {
    let shadow = chain(configs, SHADOW)?;
    if !shadow.iter().any(|link| link.name == name) {
        bail!("{name} does not run in the shadow");
    }
    if !own.contains_key(SHADOW) {
        bail!("the shadow comes from the broker's defaults ({SHADOW} of its server.properties); change it there");
    }
    let live = chain(configs, CHAIN)?;
    let mut changes = Changes::default();
    changes.remove.insert(SHADOW.to_owned());
    for link in shadow.iter().filter(|link| !live.iter().any(|other| other.name == link.name)) {
        changes.remove.extend([config_key(&link.name), emit_key(&link.name)]);
    }
    Ok(changes.only_present(own))
}

/// Detaches a plugin: from the chain, from the shadow, or as the partitioner.
///
/// # Errors
/// When it is not attached, or comes from the broker's defaults where those cannot be undone for one topic.
pub fn detach(configs: &Configs, own: &Configs, name: &str) -> anyhow::Result<Changes> {
    let is = |text: &String| text == name || text.parse::<PluginRef>().is_ok_and(|plugin| plugin.name == name);
    let mut changes = Changes::default();
    if configs.get(PARTITIONER).is_some_and(is) {
        if !own.contains_key(PARTITIONER) {
            bail!("{name} comes from the broker's defaults ({PARTITIONER} of its server.properties); change it there");
        }
        changes.remove.extend([PARTITIONER, PARTITIONER_MODE, PARTITIONER_TARGET].map(str::to_owned));
        changes.remove.extend([config_key(name), emit_key(name)]);
        return Ok(changes.only_present(own));
    }
    let mut live = chain(configs, CHAIN)?;
    let mut shadow = chain(configs, SHADOW)?;
    let before = (live.len(), shadow.len());
    live.retain(|link| link.name != name);
    shadow.retain(|link| link.name != name);
    if (live.len(), shadow.len()) == before {
        bail!("{name} is not attached; the chain is `{}`", display(&live));
    }
    if live.len() < before.0 {
        // Set even when it is empty: taken away, the broker's defaults would come into force.
        changes.set.insert(CHAIN.to_owned(), display(&live));
    }
    if shadow.is_empty() || shadow == live {
        changes.remove.insert(SHADOW.to_owned());
    } else if shadow.len() < before.1 {
        changes.set.insert(SHADOW.to_owned(), display(&shadow));
    }
    changes.remove.extend([config_key(name), emit_key(name)]);
    Ok(changes.only_present(own))
}

impl Changes {
    /// Without the removal of what is not there.
    fn only_present(mut self, own: &Configs) -> Self {
        self.remove.retain(|key| own.contains_key(key) && !self.set.contains_key(key));
        self
    }

    /// Leaves out what is as it shall be.
    #[must_use]
    pub fn against(mut self, own: &Configs) -> Self {
        self.set.retain(|key, value| own.get(key) != Some(value));
        self.only_present(own)
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Each change in a line: `pelton.interceptors: audit@1 -> audit@1,mask@1`.
    pub fn lines(&self, configs: &Configs) -> Vec<String> {
        let was = |key: &str| configs.get(key).map_or("(not set)", String::as_str).to_owned();
        let set = self.set.iter().map(|(key, value)| format!("{key}: {} -> {value}", was(key)));
        let removed = self.remove.iter().map(|key| format!("{key}: {} -> (not set)", was(key)));
        set.chain(removed).collect()
    }
}

#[cfg(test)]
mod tests;
