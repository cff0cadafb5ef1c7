//! Numbers for the operator, in Prometheus' sense. The broker exposes them as `pelton_plugin_NAME`, with the labels `plugin`
//! and `topic` beside the plugin's own.
//!
//! A name and the names of labels have letters, digits and `_`. A plugin may have 1,000 series, that is combinations of
//! label values; what is beyond them is counted in one series with the label `overflow="true"`.
//!
//! A call to the host has a price of its own: [`counter`] and [`histogram`] gather the numbers of a batch
//! and hand them over once, when they are dropped.

use crate::host;

/// Names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Adds to a counter.
pub fn count(name: &str, labels: Labels<'_>, by: u64) {
    host::count(name, labels, by);
}

/// Sets a gauge.
pub fn gauge(name: &str, labels: Labels<'_>, value: f64) {
    host::gauge(name, labels, value);
}

/// Adds observations to a histogram. Its buckets suit seconds: 0.5 ms to 60 s.
pub fn observe(name: &str, labels: Labels<'_>, values: &[f64]) {
    host::observe(name, labels, values);
}

/// A counter that is added to here and handed to the host when it is dropped.
pub fn counter<'a>(name: &'a str, labels: Labels<'a>) -> Counter<'a> {
    Counter { name, labels, by: 0 }
}

/// A histogram whose observations are gathered here and handed to the host when it is dropped.
pub fn histogram<'a>(name: &'a str, labels: Labels<'a>) -> Histogram<'a> {
    Histogram { name, labels, values: Vec::new() }
}

/// See [`counter`].
#[derive(Debug)]
pub struct Counter<'a> {
    name: &'a str,
    labels: Labels<'a>,
    by: u64,
}

impl Counter<'_> {
    /// Adds to it.
    pub fn add(&mut self, by: u64) {
        self.by = self.by.saturating_add(by);
    }
}

impl Drop for Counter<'_> {
    fn drop(&mut self) {
        if self.by > 0 {
            count(self.name, self.labels, self.by);
        }
    }
}

/// See [`histogram`].
#[derive(Debug)]
pub struct Histogram<'a> {
    name: &'a str,
    labels: Labels<'a>,
    values: Vec<f64>,
}

/// How many observations are gathered at most.
const GATHERED: usize = 4096;

impl Histogram<'_> {
    /// Adds an observation.
    pub fn observe(&mut self, value: f64) {
        self.values.push(value);
        if self.values.len() == GATHERED {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        observe(self.name, self.labels, &self.values);
        self.values.clear();
    }
}

impl Drop for Histogram<'_> {
    fn drop(&mut self) {
        if !self.values.is_empty() {
            self.hand_over();
        }
    }
}
