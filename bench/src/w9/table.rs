//! The tables: medians of rounds, and ratios of rounds that belong together.

use super::variant::Variant;
use super::{Plan, Run};
use crate::stats::{median, paired};
use std::fmt::Write as _;

/// One row with the runs of its rounds, one for each.
pub struct Row {
    /// What was measured.
    pub variant: Variant,
    /// In the order of the rounds.
    pub runs: Vec<Run>,
}

impl Row {
    fn column(&self, value: fn(&Run) -> f64) -> Vec<f64> {
        self.runs.iter().map(value).collect()
    }

    fn middle(&self, value: fn(&Run) -> f64) -> f64 {
        median(&self.column(value))
    }
}

const HEAD: [&str; 11] = [
    "System",
    "Answers after",
    "Work",
    "CPU-s/GB",
    "to no work, same broker (95 %)",
    "to Kafka, same work (95 %)",
    "MB/s",
    "records/s",
    "records per CPU-s",
    "plugin ns/record",
    "peak RSS MiB",
];

/// Adds the table of one size of values.
pub fn write(report: &mut String, plan: &Plan, value_bytes: usize, rows: &[Row]) {
    let rounds = rows.first().map_or(0, |row| row.runs.len());
    let _ = writeln!(report, "\n{value_bytes} B values, {} MB in each of {rounds} rounds:\n", plan.mb);
    let _ = writeln!(report, "| {} |", HEAD.join(" | "));
    let _ = writeln!(report, "|{}", "---|".repeat(HEAD.len()));
    for row in rows {
        let cells = [
            row.variant.system_name().to_owned(),
            row.variant.mode().to_owned(),
            row.variant.work_name().to_owned(),
            format!("{:.3}", row.middle(|run| run.cpu_s_per_gb)),
            ratio(rows, row, row.variant.without_work()),
            ratio(rows, row, row.variant.of_kafka()),
            format!("{:.0}", row.middle(|run| run.mb_per_s)),
            format!("{:.0}", row.middle(|run| run.records_per_s)),
            format!("{:.0}", row.middle(|run| run.records_per_cpu_s)),
            match row.runs.iter().map(|run| run.guest_ns_per_record).collect::<Option<Vec<f64>>>() {
                Some(times) if !times.is_empty() => format!("{:.0}", median(&times)),
                _ => String::new(),
            },
            format!("{:.0}", row.middle(|run| run.rss_mib)),
        ];
        let _ = writeln!(report, "| {} |", cells.join(" | "));
    }
    beside(report, rows);
}

/// The ratio of a row's cost to that of another, round by round.
fn ratio(rows: &[Row], row: &Row, to: Variant) -> String {
    if row.variant == to {
        return "1".to_owned();
    }
    let Some(other) = rows.iter().find(|other| other.variant == to) else { return String::new() };
    let cost = |run: &Run| run.cpu_s_per_gb;
    let ratio = paired(&row.column(cost), &other.column(cost));
    format!("{:.3} ({:.3} to {:.3})", ratio.median, ratio.low, ratio.high)
}

/// How quiet the machine was.
fn beside(report: &mut String, rows: &[Row]) {
    let all = |value: fn(&Run) -> f64| rows.iter().flat_map(|row| row.column(value)).collect::<Vec<f64>>();
    let (others, stolen) = (all(|run| run.beside.others), all(|run| run.beside.stolen));
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let _ = writeln!(
        report,
        "\nOther processes used {:.1} % of the machine's CPU time meanwhile (at most {:.1} % in one run), the hypervisor \
         took {:.1} % (at most {:.1} %).",
        100.0 * median(&others),
        100.0 * most(&others),
        100.0 * median(&stolen),
        100.0 * most(&stolen)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Beside;
    use crate::w9::variant;

    #[test]
    fn a_row_is_compared_with_its_neighbours() {
        let run = |cost: f64| Run {
            cpu_s_per_gb: cost,
            mb_per_s: 1.0,
            records_per_s: 1.0,
            records_per_cpu_s: 1.0,
            guest_ns_per_record: None,
            rss_mib: 1.0,
            beside: Beside { others: 0.25, stolen: 0.0 },
        };
        let cost = |n: usize| vec![run(n as f64 + 1.0), run(2.0 * (n as f64 + 1.0))];
        let variants = variant::all(false, true).into_iter().enumerate();
        let rows: Vec<Row> = variants.map(|(n, variant)| Row { variant, runs: cost(n) }).collect();
        let mut report = String::new();
        write(&mut report, &Plan { mb: 7 }, 100, &rows);
        // Pelton's identity costs 3 a GB in the first round: three times its own none, a third of Streams' identity.
        let line = "| Pelton | replicated | identity | 4.500 | 3.000 (3.000 to 3.000) | 0.333 (0.333 to 0.333) |";
        assert!(report.contains(line), "{report}");
        assert!(report.contains("used 25.0 %"), "{report}");
    }
}
