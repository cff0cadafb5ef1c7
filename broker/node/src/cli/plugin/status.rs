//! `pelton plugin status`: what is attached to a topic, and how it fares.

use super::topic_plugins::TopicPlugins;
use crate::cli::{Asking, output, time};
use clap::Args;
use pelton_hooks::report::{LinkReport, ShadowReport};
use pelton_server::hooks::Switch;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Switches that are shown.
const SWITCHES: usize = 5;

/// Show what is attached to a topic, and how it fares.
///
/// The chain in its order with what each plugin did, its circuit and its last fault; the shadow with what it would have done
/// otherwise; and the switches, each with the offsets at which it took effect.
///
/// Example: pelton plugin status orders
#[derive(Debug, Args)]
pub struct Status {
    /// Name of the topic.
    topic: String,
    #[command(flatten)]
    asking: Asking,
}

/// What is shown beside the configs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Numbers {
    links: Vec<LinkReport>,
    partitioner: Option<LinkReport>,
    shadow: Option<ShadowReport>,
    cache_hits: u64,
    cache_misses: u64,
    /// The last one last.
    switches: Vec<Switch>,
    route: Option<Route>,
}

/// The job that moves the topic's records.
#[derive(Debug, Deserialize)]
struct Route {
    job: String,
    target: String,
    running: bool,
    problem: Option<String>,
}

impl Status {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let found = TopicPlugins::get(&self.asking.admin.client(), &self.topic)?;
        if self.asking.json {
            output::json(&found.whole);
            return Ok(());
        }
        match found.known.identity.as_deref().filter(|identity| !identity.is_empty()) {
            Some(identity) => output::line(&format!("{} runs {identity}", self.topic)),
            None => output::line(&format!("nothing is attached to {}", self.topic)),
        }
        for (key, value) in &found.known.configs {
            let default = if found.known.own.contains_key(key) { "" } else { "  (the broker's default)" };
            output::line(&format!("  {key}={}{default}", output::shortened(value, 200)));
        }
        let numbers = Numbers::deserialize(&found.whole)?;
        print_numbers(&numbers);
        if let Some(route) = &numbers.route {
            let state = if route.running { "runs" } else { "does not run" };
            output::line(&format!("route: the job {} {state}, and moves the records to {}", route.job, route.target));
            if let Some(problem) = &route.problem {
                output::line(&format!("  it cannot be started and is tried again: {problem}"));
            }
        }
        if let Some(shadow) = &numbers.shadow {
            print_shadow(shadow);
        }
        print_switches(&numbers.switches);
        Ok(())
    }
}

fn print_numbers(numbers: &Numbers) {
    let links: Vec<&LinkReport> = numbers.links.iter().chain(&numbers.partitioner).collect();
    if links.is_empty() {
        return;
    }
    output::line("");
    print_links(&links);
    if numbers.cache_hits + numbers.cache_misses > 0 {
        let (hits, all) = (numbers.cache_hits, numbers.cache_hits + numbers.cache_misses);
        output::line(&format!("on-consume: {hits} of {all} batches came from the cache"));
    }
}

fn print_links(links: &[&LinkReport]) {
    let header = [
        "PLUGIN",
        "HOOK",
        "CALLS",
        "RECORDS",
        "CHANGED",
        "DROPPED",
        "REJECTED",
        "FAULTS",
        "NOT CALLED",
        "NS/RECORD",
        "CIRCUIT",
    ];
    output::table(
        &header,
        links.iter().flat_map(|link| {
            link.hooks.iter().map(|hook| {
                let per_record = hook.busy_ns.checked_div(hook.records.max(hook.calls)).unwrap_or(0);
                vec![
                    link.plugin.clone(),
                    hook.hook.name().to_owned(),
                    hook.calls.to_string(),
                    hook.records.to_string(),
                    hook.changed.to_string(),
                    hook.dropped.to_string(),
                    hook.rejected.to_string(),
                    hook.faults.to_string(),
                    hook.bypassed.to_string(),
                    per_record.to_string(),
                    format!("{:?}", link.breaker).to_lowercase(),
                ]
            })
        }),
    );
    for link in links {
        if let Some(fault) = &link.last_fault {
            let at = time::display(fault.at_ms);
            output::line(&format!("{}: last fault at {at} in {}: {}", link.plugin, fault.hook.name(), fault.text));
        }
        if link.state_bytes > 0 {
            output::line(&format!("{}: {} of state", link.plugin, output::size(link.state_bytes)));
        }
    }
}

fn print_shadow(shadow: &ShadowReport) {
    output::line("");
    let share = shadow.differing_batches as f64 * 100.0 / shadow.batches.max(1) as f64;
    output::line(&format!(
        "shadow: {} batches with {} records compared, {} differ ({share:.1} %), {} not compared",
        output::grouped(shadow.batches),
        output::grouped(shadow.records),
        output::grouped(shadow.differing_batches),
        output::grouped(shadow.skipped)
    ));
    print_links(&shadow.interceptors.iter().collect::<Vec<_>>());
    for difference in &shadow.differences {
        let delta = difference.offset_delta.map(|delta| format!(", record {delta}")).unwrap_or_default();
        let base = difference.base_offset.map(|base| format!(", batch at {base}")).unwrap_or_default();
        let (hook, partition) = (difference.hook.name(), difference.partition);
        output::line(&format!("  {hook}, partition {partition}{base}{delta}: {}", difference.what));
    }
}

fn print_switches(switches: &[Switch]) {
    if switches.is_empty() {
        return;
    }
    output::line("");
    output::line("switches, the last first; a record went through a version iff it is at its offset or behind it");
    let mut later: Option<&Switch> = None;
    for switch in switches.iter().rev().take(SWITCHES) {
        let identity = if switch.identity.is_empty() { "nothing" } else { &switch.identity };
        let until = later.map(|later| format!(" until {}", offsets(&later.offsets))).unwrap_or_default();
        let at = time::display(switch.at_ms);
        output::line(&format!("  {at} by {}: {identity}", switch.by));
        output::line(&format!("    from {}{until}", offsets(&switch.offsets)));
        for (key, value) in changed(switch, switches) {
            output::line(&format!("    {key}={}", output::shortened(value, 200)));
        }
        later = Some(switch);
    }
    if switches.len() > SWITCHES {
        output::line(&format!("  and {} before; --json shows them", switches.len() - SWITCHES));
    }
}

/// Configs that a switch has set to something else than the one before it.
fn changed<'a>(switch: &'a Switch, all: &[Switch]) -> Vec<(&'a str, &'a str)> {
    let at = all.iter().position(|other| std::ptr::eq(other, switch)).unwrap_or(0);
    let none = BTreeMap::new();
    let before = at.checked_sub(1).and_then(|at| all.get(at)).map_or(&none, |before| &before.configs);
    let other = switch.configs.iter().filter(|(key, value)| before.get(*key) != Some(value));
    other.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// `0:17 1:20`: partitions with their offsets.
fn offsets(offsets: &[i64]) -> String {
    let pairs = offsets.iter().enumerate().map(|(partition, offset)| format!("{partition}:{offset}"));
    pairs.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_told_by_what_it_changed() {
        let switch = |configs: &[(&str, &str)]| Switch {
            at_ms: 0,
            by: "admin".to_owned(),
            identity: String::new(),
            configs: configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            offsets: vec![17, 20],
        };
        let all = [switch(&[("a", "1"), ("b", "1")]), switch(&[("a", "1"), ("b", "2")])];
        assert_eq!(changed(&all[0], &all), [("a", "1"), ("b", "1")]);
        assert_eq!(changed(&all[1], &all), [("b", "2")]);
        assert_eq!(offsets(&all[0].offsets), "0:17 1:20");
    }
}
