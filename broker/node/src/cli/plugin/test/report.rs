//! What a trial found, for people and programs.

use super::records::Difference;
use crate::cli::output;
use pelton_api::manifest::PluginRef;
use pelton_engine::{Level, LogSink};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Differences, rejections and faults that are kept; further ones are counted.
const KEPT: usize = 10;
/// Lines of the module that are shown.
const LINES: u64 = 20;

/// What one trial found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What was tried: `on-send`, `partition`, `process`.
    pub tried: &'static str,
    /// Batches that it was given.
    pub batches: u64,
    /// Records that it was given.
    pub records: u64,
    /// Records that came out changed; with another module: that came out differently.
    pub changed: u64,
    /// Records that were taken away.
    pub dropped: u64,
    /// Records that were refused.
    pub rejected: u64,
    /// Batches on which it failed.
    pub faults: u64,
    /// Records that came out of a transform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_out: Option<u64>,
    /// Records that were emitted, by topic.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub emitted: BTreeMap<String, u64>,
    /// Of a partitioner: records by the partition that it names; -1 where any will do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub partitions: BTreeMap<i32, u64>,
    /// Of a partitioner: records that are in another partition now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<u64>,
    /// The first rejections.
    pub first_rejected: Vec<Located>,
    /// The first faults, each at the first record of its batch.
    pub first_faults: Vec<Located>,
    /// The first differences.
    pub first_differences: Vec<Difference>,
    /// Differences in all: one for each part of a record.
    pub differences: u64,
    /// Nanoseconds for a record, by batches.
    pub ns_per_record: Spread,
    /// Fuel for a record, by batches; roughly instructions.
    pub fuel_per_record: Spread,
    /// Whether differences are against another module.
    pub compared: bool,
    #[serde(skip)]
    costs: Vec<(f64, f64)>,
}

/// Something that was said of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Located {
    /// Partition of the record.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// What was said.
    pub reason: String,
}

/// How a number spreads over batches.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Spread {
    /// Over all batches together.
    pub mean: f64,
    /// Half of the batches are at most at this.
    pub p50: f64,
    /// 99 of 100 batches are at most at this.
    pub p99: f64,
}

impl Report {
    /// A report of nothing yet.
    pub fn new(tried: &'static str, compared: bool) -> Self {
        Self { tried, compared, ..Self::default() }
    }

    /// A batch of so many records took this long and used so much fuel.
    pub fn cost(&mut self, records: usize, took: Duration, fuel: u64) {
        self.batches += 1;
        self.records += records as u64;
        let count = records.max(1) as f64;
        self.costs.push((took.as_nanos() as f64 / count, fuel as f64 / count));
    }

    /// A record was refused.
    pub fn reject(&mut self, partition: i32, offset: i64, reason: &str) {
        self.rejected += 1;
        keep(&mut self.first_rejected, || located(partition, offset, reason));
    }

    /// A batch failed.
    pub fn fault(&mut self, partition: i32, offset: i64, reason: &str) {
        self.faults += 1;
        keep(&mut self.first_faults, || located(partition, offset, reason));
    }

    /// A record differs in these parts.
    pub fn differ(&mut self, found: Vec<Difference>) {
        if found.is_empty() {
            return;
        }
        self.differences += found.len() as u64;
        if found.iter().any(|difference| difference.part == "dropped") {
            self.dropped += 1;
        } else {
            self.changed += 1;
        }
        let room = KEPT.saturating_sub(self.first_differences.len());
        self.first_differences.extend(found.into_iter().take(room));
    }

    /// The report, its numbers summed up.
    #[must_use]
    pub fn finished(mut self) -> Self {
        self.ns_per_record = spread(self.costs.iter().map(|cost| cost.0).collect());
        self.fuel_per_record = spread(self.costs.iter().map(|cost| cost.1).collect());
        self
    }

    /// Prints it for people.
    pub fn print(&self) {
        let number = |count: u64| output::grouped(count);
        output::line(&format!("{}: {} records in {} batches", self.tried, number(self.records), number(self.batches)));
        for (name, count) in self.outcomes() {
            output::line(&format!("  {name:12} {count}"));
        }
        for (topic, count) in &self.emitted {
            output::line(&format!("  emitted      {} to {topic}", number(*count)));
        }
        for (partition, count) in &self.partitions {
            let share = *count as f64 * 100.0 / self.records.max(1) as f64;
            let name = if *partition < 0 { "any".to_owned() } else { partition.to_string() };
            output::line(&format!("  partition {name:>4}  {} ({share:.1} %)", number(*count)));
        }
        if self.records > 0 {
            let ns = self.ns_per_record;
            output::line(&format!("  time         {:.0} ns a record (p50 {:.0}, p99 {:.0})", ns.mean, ns.p50, ns.p99));
            let fuel = self.fuel_per_record;
            output::line(&format!(
                "  fuel         {:.0} a record (p50 {:.0}, p99 {:.0})",
                fuel.mean, fuel.p50, fuel.p99
            ));
        }
        print_first("faults", self.faults, &self.first_faults);
        print_first("rejected", self.rejected, &self.first_rejected);
        if !self.first_differences.is_empty() {
            let against = if self.compared { "differences between the modules" } else { "differences" };
            output::line(&format!("  {against}{}", of_more(self.differences, self.first_differences.len())));
            for difference in &self.first_differences {
                let Difference { partition, offset, part, before, after } = difference;
                output::line(&format!("    partition {partition} offset {offset} {part}"));
                output::line(&format!("      - {before}"));
                output::line(&format!("      + {after}"));
            }
        }
    }

    fn outcomes(&self) -> Vec<(&'static str, String)> {
        let number = |count: u64| output::grouped(count);
        let mut lines = Vec::new();
        if self.partitions.is_empty() {
            let unchanged = self.records.saturating_sub(self.changed + self.dropped);
            match self.records_out {
                Some(out) => lines.push(("records out", number(out))),
                None => {
                    lines.push(("unchanged", number(unchanged)));
                    lines.push(("changed", number(self.changed)));
                    lines.push(("dropped", number(self.dropped)));
                }
            }
            lines.push(("rejected", number(self.rejected)));
        }
        lines.push(("faults", number(self.faults)));
        if let Some(elsewhere) = self.elsewhere {
            lines.push(("elsewhere", format!("{} are in another partition now", number(elsewhere))));
        }
        lines
    }
}

fn keep(kept: &mut Vec<Located>, make: impl FnOnce() -> Located) {
    if kept.len() < KEPT {
        kept.push(make());
    }
}

fn located(partition: i32, offset: i64, reason: &str) -> Located {
    Located { partition, offset, reason: output::shortened(reason, 400) }
}

fn print_first(what: &str, count: u64, first: &[Located]) {
    if first.is_empty() {
        return;
    }
    output::line(&format!("  {what}{}", of_more(count, first.len())));
    for Located { partition, offset, reason } in first {
        output::line(&format!("    partition {partition} offset {offset}: {reason}"));
    }
}

fn of_more(count: u64, shown: usize) -> String {
    if count > shown as u64 { format!(", the first {shown} of {}", output::grouped(count)) } else { String::new() }
}

fn spread(mut values: Vec<f64>) -> Spread {
    if values.is_empty() {
        return Spread::default();
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    Spread { mean: values.iter().sum::<f64>() / values.len() as f64, p50: at(0.5), p99: at(0.99) }
}

/// Shows the first lines that the module logs.
#[derive(Debug, Default)]
pub struct Logs(AtomicU64);

impl LogSink for Logs {
    fn line(&self, plugin: &PluginRef, level: Level, line: &str) {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            n if n < LINES => output::note(&format!("{} {level:?}: {line}", plugin.name)),
            LINES => output::note("the module logs more, which is not shown"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_what_is_counted_is_not() {
        let mut report = Report::new("on-send", false);
        for offset in 0..1_000 {
            report.reject(0, offset, "no");
            report.cost(10, Duration::from_nanos(10 * (offset as u64 + 1)), 20);
            let difference = |part| Difference { partition: 0, offset, part, before: "a".into(), after: "b".into() };
            report.differ(vec![difference("key"), difference("value")]);
        }
        let report = report.finished();
        assert_eq!((report.rejected, report.first_rejected.len()), (1_000, KEPT));
        assert_eq!((report.changed, report.differences, report.first_differences.len()), (1_000, 2_000, KEPT));
        assert_eq!((report.records, report.fuel_per_record.p99), (10_000, 2.0));
        assert_eq!(
            (report.ns_per_record.p50, report.ns_per_record.p99, report.ns_per_record.mean),
            (501.0, 990.0, 500.5)
        );
    }
}
