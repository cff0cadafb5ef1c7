//! Where the numbers and the lines of plugins go.
//!
//! The engine checks and bounds what a guest says before it comes here: names are well-formed, texts are escaped and cut, lines come
//! at a bounded rate. How many series there may be is the sink's affair; [`Metrics`](crate::Metrics) is a ready one.

use pelton_api::manifest::PluginRef;

/// How urgent a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is broken.
    Error,
    /// Something is odd.
    Warn,
    /// Something happened.
    Info,
    /// For whoever looks closely.
    Debug,
}

/// One series of a plugin.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// Whose it is.
    pub plugin: &'a PluginRef,
    /// The topic of the instance; empty for a stream job's step and for a partitioner.
    pub topic: &'a str,
    /// Letters, digits and `_`; at most 100.
    pub name: &'a str,
    /// At most 10, no name twice, none of them `plugin`, `topic`, `overflow` or `le`; values hold no control character.
    pub labels: &'a [(String, String)],
}

/// Takes the numbers of all plugins. Called on the guests' threads, often: it must not wait.
pub trait MetricSink: Send + Sync {
    /// Adds to a counter.
    fn count(&self, series: &Series<'_>, by: u64);

    /// Sets a gauge.
    fn gauge(&self, series: &Series<'_>, value: f64);

    /// Adds observations to a histogram.
    fn observe(&self, series: &Series<'_>, values: &[f64]);
}

/// Takes the lines of all plugins. Called on the guests' threads: it must not wait.
pub trait LogSink: Send + Sync {
    /// One line, bounded and without control characters.
    fn line(&self, plugin: &PluginRef, level: Level, line: &str);
}

/// Lets the numbers of plugins go.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMetrics;

impl MetricSink for NoMetrics {
    fn count(&self, _: &Series<'_>, _: u64) {}

    fn gauge(&self, _: &Series<'_>, _: f64) {}

    fn observe(&self, _: &Series<'_>, _: &[f64]) {}
}

/// Writes the lines of plugins to the log of the process, through `tracing`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracedLog;

impl LogSink for TracedLog {
    fn line(&self, plugin: &PluginRef, level: Level, line: &str) {
        match level {
            Level::Error => tracing::error!(%plugin, "{line}"),
            Level::Warn => tracing::warn!(%plugin, "{line}"),
            Level::Info => tracing::info!(%plugin, "{line}"),
            Level::Debug => tracing::debug!(%plugin, "{line}"),
        }
    }
}
