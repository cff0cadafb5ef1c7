//! The numbers of all plugins, kept and written in Prometheus' text form.
//!
//! Invariant: a plugin has at most [`SERIES_A_PLUGIN`] series of its own. What comes beyond that is counted in one more series for each
//! of its metrics, with the label `overflow="true"`; a metric that is new then, in `pelton_plugin_overflow`.

use crate::observe::{MetricSink, Series};
use pelton_api::manifest::PluginRef;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Series of one plugin.
const SERIES_A_PLUGIN: usize = 1_000;
/// Upper bounds of a histogram's buckets, in seconds; the last bucket has none.
const BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const PREFIX: &str = "pelton_plugin_";
/// Counts the observations of metrics for which a plugin has no room.
const OVERFLOW: &str = "overflow";

/// The numbers of all plugins of a node.
#[derive(Debug, Default)]
pub struct Metrics {
    families: Mutex<Families>,
}

#[derive(Debug, Default)]
struct Families {
    /// By plugin, then by the sort of number and the metric's name, then by the rendered labels.
    plugins: BTreeMap<PluginRef, OnePlugin>,
}

#[derive(Debug, Default)]
struct OnePlugin {
    series: usize,
    metrics: BTreeMap<(Sort, String), AllSeries>,
}

/// The series of one metric, by their rendered labels.
type AllSeries = BTreeMap<String, Number>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Counter,
    Gauge,
    Histogram,
}

impl Sort {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

#[derive(Debug)]
enum Number {
    Counter(u64),
    Gauge(f64),
    Histogram { buckets: [u64; BUCKETS.len() + 1], sum: f64 },
}

impl Number {
    fn zero(sort: Sort) -> Self {
        match sort {
            Sort::Counter => Self::Counter(0),
            Sort::Gauge => Self::Gauge(0.0),
            Sort::Histogram => Self::Histogram { buckets: [0; BUCKETS.len() + 1], sum: 0.0 },
        }
    }
}

impl OnePlugin {
    /// The number of a series, or the one that takes what there is no room for.
    fn number(&mut self, sort: Sort, series: &Series<'_>) -> &mut Number {
        let known = self.metrics.get(&(sort, series.name.to_owned()));
        let labels = labels(series);
        let (sort, name, labels) = match known {
            Some(known) if known.contains_key(&labels) => (sort, series.name, labels),
            _ if self.series < SERIES_A_PLUGIN => {
                self.series += 1;
                (sort, series.name, labels)
            }
            Some(_) => (sort, series.name, overflow_labels(series.plugin)),
            None => (Sort::Counter, OVERFLOW, overflow_labels(series.plugin)),
        };
        let metric = self.metrics.entry((sort, name.to_owned())).or_default();
        metric.entry(labels).or_insert_with(|| Number::zero(sort))
    }
}

impl Metrics {
    /// No numbers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the numbers of a plugin go, because it was deleted.
    pub fn forget(&self, plugin: &PluginRef) {
        self.held().plugins.remove(plugin);
    }

    /// All numbers in Prometheus' text form, version 0.0.4. Families and series are in a stable order.
    pub fn render(&self) -> String {
        let families = self.held();
        let mut by_name: BTreeMap<&str, BTreeMap<Sort, Vec<&AllSeries>>> = BTreeMap::new();
        for plugin in families.plugins.values() {
            for ((sort, name), series) in &plugin.metrics {
                by_name.entry(name).or_default().entry(*sort).or_default().push(series);
            }
        }
        let mut text = String::new();
        for (name, sorts) in by_name {
            // Two plugins that use one name for different things have a family each.
            let ambiguous = sorts.len() > 1;
            for (sort, plugins) in sorts {
                let suffix = if ambiguous { format!("_{}", sort.name()) } else { String::new() };
                let family = format!("{PREFIX}{name}{suffix}");
                // Writing to a String cannot fail.
                let _ = writeln!(text, "# TYPE {family} {}", sort.name());
                for (labels, number) in plugins.into_iter().flatten() {
                    write_number(&mut text, &family, labels, number);
                }
            }
        }
        text
    }

    fn with_number(&self, sort: Sort, series: &Series<'_>, change: impl FnOnce(&mut Number)) {
        let mut families = self.held();
        let plugin = match families.plugins.get_mut(series.plugin) {
            Some(plugin) => plugin,
            None => families.plugins.entry(series.plugin.clone()).or_default(),
        };
        change(plugin.number(sort, series));
    }

    /// The numbers, also after a panic elsewhere: each is changed in one step.
    fn held(&self) -> MutexGuard<'_, Families> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetricSink for Metrics {
    fn count(&self, series: &Series<'_>, by: u64) {
        self.with_number(Sort::Counter, series, |number| {
            if let Number::Counter(count) = number {
                *count = count.saturating_add(by);
            }
        });
    }

    fn gauge(&self, series: &Series<'_>, value: f64) {
        self.with_number(Sort::Gauge, series, |number| match number {
            Number::Gauge(gauge) => *gauge = value,
            // There was no room for the gauge: the attempt is counted.
            Number::Counter(count) => *count = count.saturating_add(1),
            Number::Histogram { .. } => {}
        });
    }

    fn observe(&self, series: &Series<'_>, values: &[f64]) {
        self.with_number(Sort::Histogram, series, |number| match number {
            Number::Histogram { buckets, sum } => {
                // What is no number belongs to no bucket, and would spoil the sum for ever.
                for value in values.iter().filter(|value| value.is_finite()) {
                    buckets[BUCKETS.partition_point(|bound| bound < value)] += 1;
                    *sum += value;
                }
            }
            Number::Counter(count) => *count = count.saturating_add(1),
            Number::Gauge(_) => {}
        });
    }
}

/// `plugin="mask@1",topic="orders",field="name"`.
fn labels(series: &Series<'_>) -> String {
    let mut text = format!("plugin=\"{}\"", series.plugin);
    if !series.topic.is_empty() {
        write_label(&mut text, "topic", series.topic);
    }
    for (name, value) in series.labels {
        write_label(&mut text, name, value);
    }
    text
}

fn overflow_labels(plugin: &PluginRef) -> String {
    format!("plugin=\"{plugin}\",overflow=\"true\"")
}

fn write_label(text: &mut String, name: &str, value: &str) {
    text.push(',');
    text.push_str(name);
    text.push_str("=\"");
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
}

fn write_number(text: &mut String, family: &str, labels: &str, number: &Number) {
    // Writing to a String cannot fail.
    let _ = match number {
        Number::Counter(count) => writeln!(text, "{family}{{{labels}}} {count}"),
        Number::Gauge(value) => writeln!(text, "{family}{{{labels}}} {}", Float(*value)),
        Number::Histogram { buckets, sum } => {
            let mut below = 0;
            for (bound, count) in BUCKETS.iter().zip(buckets) {
                below += count;
                let _ = writeln!(text, "{family}_bucket{{{labels},le=\"{bound}\"}} {below}");
            }
            let all: u64 = buckets.iter().sum();
            let _ = writeln!(text, "{family}_bucket{{{labels},le=\"+Inf\"}} {all}");
            let _ = writeln!(text, "{family}_sum{{{labels}}} {}", Float(*sum));
            writeln!(text, "{family}_count{{{labels}}} {all}")
        }
    };
}

/// A number as Prometheus writes it.
struct Float(f64);

impl std::fmt::Display for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            value if value == f64::INFINITY => f.write_str("+Inf"),
            value if value == f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests;
