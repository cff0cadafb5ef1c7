//! Every run of a workload, and the table of them: medians, and ratios of rounds that belong together.

use super::contender::Contender;
use crate::process::Beside;
use crate::stats::{median, paired};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// A figure of a run.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in the JSON.
    pub key: &'static str,
    /// Its name in the table.
    pub head: &'static str,
    /// Digits after the point.
    pub decimals: usize,
    /// Whether the table has its ratio to Kafka.
    pub compared: bool,
}

/// A run.
#[derive(Debug)]
pub struct Sample {
    /// What was done: the row, but for who did it.
    pub row: String,
    /// Who did it.
    pub contender: Contender,
    /// Its round.
    pub round: usize,
    /// Its figures by column; the last column of a sheet may have none.
    pub figures: Vec<(&'static str, f64)>,
    /// How quiet the machine was.
    pub beside: Beside,
}

impl Sample {
    fn figure(&self, key: &str) -> Option<f64> {
        self.figures.iter().find(|(name, _)| *name == key).map(|(_, figure)| *figure)
    }
}

/// All runs of a workload.
pub struct Sheet {
    /// Name of the workload, as `w1`.
    pub workload: &'static str,
    columns: &'static [Column],
    /// What stands above the table.
    head: String,
    samples: Vec<Sample>,
}

impl Sheet {
    /// An empty one.
    pub fn new(workload: &'static str, columns: &'static [Column], head: String) -> Self {
        Self { workload, columns, head, samples: Vec::new() }
    }

    /// Adds a run, and says it.
    pub fn push(&mut self, sample: Sample) {
        let figures = self.columns.iter().filter_map(|column| {
            let figure = sample.figure(column.key)?;
            Some(format!("{} {figure:.*}", column.head, column.decimals))
        });
        let figures = figures.collect::<Vec<_>>().join(", ");
        let (name, round) = (sample.contender.name(), sample.round + 1);
        crate::w9::say(&format!("round {round}: {:<28} {name:<24} {figures}", sample.row));
        self.samples.push(sample);
    }

    /// Adds a sentence to what stands above the table.
    pub fn note(&mut self, text: &str) {
        self.head.push(' ');
        self.head.push_str(text);
    }

    /// Writes all runs as JSON.
    pub fn write(&self, path: &Path) -> Result<()> {
        let samples: Vec<Value> = self
            .samples
            .iter()
            .map(|sample| {
                let figures: serde_json::Map<String, Value> =
                    sample.figures.iter().map(|(key, figure)| ((*key).to_owned(), json!(figure))).collect();
                json!({
                    "row": sample.row, "system": sample.contender.system(),
                    "answers_after": sample.contender.answers_after(), "round": sample.round, "figures": figures,
                    "others_share": sample.beside.others, "stolen_share": sample.beside.stolen,
                })
            })
            .collect();
        let all = json!({ "workload": self.workload, "head": self.head, "samples": samples });
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut report = format!("\n{}\n\n", self.head);
        let used: Vec<&Column> =
            self.columns.iter().filter(|column| self.samples.iter().any(|s| s.figure(column.key).is_some())).collect();
        let compared: Vec<&&Column> = used.iter().filter(|column| column.compared).collect();
        let mut heads = vec!["Load".to_owned(), "System".to_owned(), "Answers after".to_owned()];
        heads.extend(used.iter().map(|column| column.head.to_owned()));
        heads.extend(compared.iter().map(|column| format!("{} to Kafka's (95 %)", column.head)));
        let _ = writeln!(report, "| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()));
        let rows = distinct(self.samples.iter().map(|sample| sample.row.as_str()));
        for row in rows {
            let all = distinct(self.of_row(row).map(|sample| sample.contender));
            for &contender in &all {
                let mut cells =
                    vec![row.to_owned(), contender.system().to_owned(), contender.answers_after().to_owned()];
                cells.extend(used.iter().map(|column| {
                    let figures = self.figures(row, contender, column.key);
                    if figures.is_empty() { String::new() } else { format!("{:.*}", column.decimals, median(&figures)) }
                }));
                let rival = contender.rival(&all);
                cells.extend(compared.iter().map(|column| match rival {
                    Some(rival) => self.ratio(row, contender, rival, column.key),
                    None => String::new(),
                }));
                let _ = writeln!(report, "| {} |", cells.join(" | "));
            }
        }
        self.beside(&mut report);
        report
    }

    fn of_row<'a>(&'a self, row: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.row == row)
    }

    /// A figure in the order of the rounds.
    fn figures(&self, row: &str, contender: Contender, key: &str) -> Vec<f64> {
        self.of_row(row)
            .filter(|sample| sample.contender == contender)
            .filter_map(|sample| sample.figure(key))
            .collect()
    }

    fn ratio(&self, row: &str, contender: Contender, rival: Contender, key: &str) -> String {
        let (own, other) = (self.figures(row, contender, key), self.figures(row, rival, key));
        if own.is_empty() || own.len() != other.len() {
            return String::new();
        }
        let ratio = paired(&own, &other);
        format!("{:.3} ({:.3} to {:.3})", ratio.median, ratio.low, ratio.high)
    }

    fn beside(&self, report: &mut String) {
        let all = |value: fn(&Beside) -> f64| self.samples.iter().map(|s| value(&s.beside)).collect::<Vec<f64>>();
        let (others, stolen) = (all(|beside| beside.others), all(|beside| beside.stolen));
        let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let _ = writeln!(
            report,
            "\nOther processes used {:.1} % of the machine's CPU time meanwhile (at most {:.1} % in one run), the \
             hypervisor took {:.1} % (at most {:.1} %).",
            100.0 * median(&others),
            100.0 * most(&others),
            100.0 * median(&stolen),
            100.0 * most(&stolen)
        );
    }
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 2] = [
        Column { key: "cost", head: "Cost", decimals: 1, compared: true },
        Column { key: "unused", head: "Unused", decimals: 0, compared: false },
    ];

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new("w0", &COLUMNS, "Head.".to_owned());
        for round in 0..2 {
            for (contender, cost) in [(Contender::Fsync, 1.0), (Contender::Kafka, 4.0)] {
                let figures = vec![("cost", cost * (round + 1) as f64)];
                let beside = Beside { others: 0.5, stolen: 0.0 };
                sheet.push(Sample { row: "a".to_owned(), contender, round, figures, beside });
            }
        }
        sheet
    }

    #[test]
    fn rounds_are_compared_pair_by_pair() {
        let table = sheet().table();
        assert!(table.contains("| a | Pelton | fsync | 1.5 | 0.250 (0.250 to 0.250) |"), "{table}");
        assert!(table.contains("| a | Kafka | page cache | 6.0 |  |"), "{table}");
        assert!(!table.contains("Unused"), "{table}");
        assert!(table.contains("used 50.0 %"), "{table}");
    }

    #[test]
    fn every_run_is_kept() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("new/w0.json");
        sheet().write(&path).unwrap();
        let read: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(read["samples"].as_array().unwrap().len(), 4);
        assert_eq!(read["samples"][3]["figures"]["cost"], 8.0);
    }
}
