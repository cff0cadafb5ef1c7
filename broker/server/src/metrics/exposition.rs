//! Prometheus' text format, version 0.0.4.

use super::histogram::{BOUNDS_US, Distribution};
use std::fmt::{Display, Write};

/// What kind of number a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the broker starts again.
    Counter,
    /// Grows and shrinks.
    Gauge,
    /// Times in buckets.
    Histogram,
}

/// A text in the making. Families are written one after another, each with all of its samples.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    family: &'static str,
}

/// The labels of a sample.
pub type Labels<'a> = &'a [(&'static str, &'a dyn Display)];

impl Exposition {
    /// Begins a family.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self.family = name;
    }

    /// A number of the family.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, &value);
    }

    /// A family with one number.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// A histogram of the family, in seconds.
    pub fn histogram(&mut self, labels: Labels<'_>, found: &Distribution) {
        let mut sum = 0;
        for (bound, bucket) in BOUNDS_US.iter().zip(found.buckets) {
            sum += bucket;
            self.line("_bucket", labels, Some(&(*bound as f64 / 1e6)), &sum);
        }
        let count = found.count();
        self.line("_bucket", labels, Some(&"+Inf"), &count);
        self.line("_sum", labels, None, &(found.sum_ns as f64 / 1e9));
        self.line("_count", labels, None, &count);
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&dyn Display>, value: &dyn Display) {
        let text = &mut self.text;
        text.push_str(self.family);
        text.push_str(suffix);
        let mut open = '{';
        for (name, value) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
            text.push(open);
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value);
            text.push('"');
            open = ',';
        }
        if open == ',' {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// Writes a value of a label: names of groups may hold anything.
fn escape(text: &mut String, value: &dyn Display) {
    let from = text.len();
    let _ = write!(text, "{value}");
    if text[from..].contains(['\\', '"', '\n']) {
        let escaped = text[from..].replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        text.truncate(from);
        text.push_str(&escaped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Histogram;
    use std::time::Duration;

    #[test]
    fn numbers_are_written_as_prometheus_reads_them() {
        let mut text = Exposition::default();
        text.single("a_total", Kind::Counter, "As.", 7);
        text.family("b", Kind::Gauge, "Bs.");
        text.sample(&[("group", &"a\\\"b\nc"), ("partition", &3)], 1.5);
        let expected = "# HELP a_total As.\n# TYPE a_total counter\na_total 7\n# HELP b Bs.\n# TYPE b gauge\n\
                        b{group=\"a\\\\\\\"b\\nc\",partition=\"3\"} 1.5\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn the_buckets_of_a_histogram_add_up() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_micros(70));
        histogram.record(Duration::from_secs(60));
        let mut text = Exposition::default();
        text.family("h_seconds", Kind::Histogram, "Hs.");
        text.histogram(&[("api", &"Fetch")], &histogram.distribution());
        let text = text.finish();
        let lines = [
            "h_seconds_bucket{api=\"Fetch\",le=\"0.00005\"} 0",
            "h_seconds_bucket{api=\"Fetch\",le=\"0.0001\"} 1",
            "h_seconds_bucket{api=\"Fetch\",le=\"30\"} 1",
            "h_seconds_bucket{api=\"Fetch\",le=\"+Inf\"} 2",
            "h_seconds_sum{api=\"Fetch\"} 60.00007",
            "h_seconds_count{api=\"Fetch\"} 2",
        ];
        for line in lines {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }
}
