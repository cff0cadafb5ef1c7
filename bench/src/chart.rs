//! One picture of what was measured, from the JSON that the workloads write: medians as bars, with the lowest and the
//! highest round.

mod canvas;
mod font;

use crate::stats::median;
use crate::versus::contender::Contender;
use crate::w1::{self, W1, W2};
use crate::{w4, w10};
use anyhow::{Context, Result, ensure};
use canvas::{Align, Canvas, Colour};
use clap::Args;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// One picture of what was measured.
#[derive(Debug, Args)]
pub struct Chart {
    /// Where `w1.json`, `w2.json`, `w3.json`, `w4.json` and `w10.json` are; what is not there is left out.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The picture.
    #[arg(long, value_name = "FILE")]
    png: PathBuf,
    /// Which logs of W10 it shows, in GB.
    #[arg(long, value_delimiter = ',', default_value = "1,5,20")]
    log_gb: Vec<u64>,
}

/// Bars that stand together, one for each contender.
struct Group {
    label: String,
    bars: Vec<Bar>,
}

struct Bar {
    contender: usize,
    median: f64,
    low: f64,
    high: f64,
}

/// Groups with a title.
struct Panel {
    title: &'static str,
    log: bool,
    groups: Vec<Group>,
}

/// Where a group's figures are: label, workload, row, figure.
type Source = (String, &'static str, String, &'static str);

const SHOWN: [(Contender, Colour); 3] =
    [(Contender::Fsync, [15, 98, 140]), (Contender::Replicated, [86, 180, 233]), (Contender::Kafka, [160, 160, 160])];

const WIDTH: u16 = 1640;
const HEIGHT: u16 = 1040;
const INK: Colour = [40, 40, 40];
const GRID: Colour = [226, 226, 226];

impl Chart {
    /// Draws it.
    pub fn run(self) -> Result<()> {
        let panels = self.panels()?;
        ensure!(!panels.is_empty(), "{} has nothing to show; run the workloads with --out", self.from.display());
        let mut canvas = Canvas::new(WIDTH, HEIGHT);
        legend(&mut canvas);
        let (width, height) = (i32::from(WIDTH) / 2, (i32::from(HEIGHT) - 60) / 2);
        for (n, panel) in (0..).zip(&panels) {
            draw(&mut canvas, [n % 2 * width, 60 + n / 2 * height, width, height], panel);
        }
        fs::write(&self.png, canvas.png()?).with_context(|| format!("cannot write {}", self.png.display()))
    }

    fn panels(&self) -> Result<Vec<Panel>> {
        let moved = |key: &'static str| -> Vec<Source> {
            let plain = w1::row("librdkafka", "none");
            vec![
                ("produce 1 KiB".to_owned(), W1.workload, plain.clone(), key),
                ("produce 100 B".to_owned(), W2.workload, plain, key),
                ("consume, hot".to_owned(), "w3", w1::row("librdkafka", "hot"), key),
                ("consume, cold".to_owned(), "w3", w1::row("librdkafka", "cold"), key),
            ]
        };
        let latency =
            |label: &str, key: &'static str| -> Source { (label.to_owned(), "w4", w4::row(12, w4::FIRST_RATE), key) };
        let kill = |gb: &u64| -> Source { (format!("{gb} GB"), "w10", w10::row(*gb, false), "all_ms") };
        let all: [(&'static str, bool, Vec<Source>); 4] = [
            ("Broker CPU-seconds per GB (less is better)", false, moved("cpu_s_per_gb")),
            ("MB/s beside the client on the same machine (more is better)", false, moved("mb_per_s")),
            (
                "End to end at 10,000/s, open loop, ms, log scale",
                true,
                vec![latency("p50", "p50_ms"), latency("p99", "p99_ms"), latency("p99.9", "p999_ms")],
            ),
            ("kill -9 until all partitions acknowledge, ms, log scale", true, self.log_gb.iter().map(kill).collect()),
        ];
        let mut panels = Vec::new();
        for (title, log, sources) in all {
            let mut groups = Vec::new();
            for (label, workload, row, key) in sources {
                let bars = bars(&self.from.join(format!("{workload}.json")), &row, key)?;
                if !bars.is_empty() {
                    groups.push(Group { label, bars });
                }
            }
            if !groups.is_empty() {
                panels.push(Panel { title, log, groups });
            }
        }
        Ok(panels)
    }
}

/// The bars of a figure of a row; none if the workload was not measured.
fn bars(path: &Path, row: &str, key: &str) -> Result<Vec<Bar>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let all: Value = serde_json::from_slice(&fs::read(path)?).with_context(|| format!("{}", path.display()))?;
    let samples = all["samples"].as_array().with_context(|| format!("{} has no samples", path.display()))?;
    let of = |contender: Contender| -> Vec<f64> {
        let matching = samples.iter().filter(|sample| {
            sample["row"] == row
                && sample["system"] == contender.system()
                && sample["answers_after"] == contender.answers_after()
        });
        matching.filter_map(|sample| sample["figures"][key].as_f64()).collect()
    };
    let bar = |(contender, figures): (usize, Vec<f64>)| {
        (!figures.is_empty()).then(|| Bar {
            contender,
            median: median(&figures),
            low: figures.iter().copied().fold(f64::INFINITY, f64::min),
            high: figures.iter().copied().fold(0.0, f64::max),
        })
    };
    Ok(SHOWN.iter().map(|(contender, _)| of(*contender)).enumerate().filter_map(bar).collect())
}

fn legend(canvas: &mut Canvas) {
    let mut x = 60;
    for (contender, colour) in SHOWN {
        canvas.fill([x, 24, 22, 22], colour);
        let name = format!("{}, answers after {}", contender.system(), contender.answers_after());
        canvas.text(&name, [x + 32, 27], 2, Align::Left, INK);
        x += 32 + 12 * name.len() as i32 + 48;
    }
}

/// What a scale reaches to, and its lines.
struct Scale {
    log: bool,
    low: f64,
    high: f64,
}

impl Scale {
    fn new(panel: &Panel) -> Self {
        let figures = || panel.groups.iter().flat_map(|group| &group.bars);
        let highest = figures().map(|bar| bar.high).fold(0.0, f64::max);
        let lowest = figures().map(|bar| bar.low).filter(|low| *low > 0.0).fold(f64::INFINITY, f64::min);
        if !panel.log {
            return Self { log: false, low: 0.0, high: if highest > 0.0 { highest * 1.12 } else { 1.0 } };
        }
        // Half a decade of room below and above, so that every bar is seen.
        let lowest = if lowest.is_finite() { lowest } else { 1.0 };
        Self { log: true, low: (lowest.log10() - 0.5).floor(), high: (highest.max(lowest).log10() + 0.25).max(0.5) }
    }

    /// From 0, the lowest, to 1.
    fn place(&self, figure: f64) -> f64 {
        let at = if self.log { figure.max(1e-9).log10() } else { figure };
        ((at - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn lines(&self) -> Vec<f64> {
        if self.log {
            return (self.low as i32..=self.high as i32).map(|power| 10_f64.powi(power)).collect();
        }
        let rough = 10_f64.powf((self.high / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].iter().map(|times| times * rough).find(|step| self.high / step <= 6.0);
        let step = step.unwrap_or(self.high / 5.0);
        (0..=(self.high / step) as i32).map(|n| f64::from(n) * step).collect()
    }
}

fn draw(canvas: &mut Canvas, [x, y, width, height]: [i32; 4], panel: &Panel) {
    canvas.text(panel.title, [x + 60, y + 12], 2, Align::Left, INK);
    let [left, top, right, bottom] = [x + 110, y + 56, x + width - 24, y + height - 48];
    let scale = Scale::new(panel);
    let level = |figure: f64| bottom - (scale.place(figure) * f64::from(bottom - top)) as i32;
    for line in scale.lines() {
        canvas.fill([left, level(line), right - left, 1], GRID);
        canvas.text(&short(line), [left - 10, level(line) - 7], 2, Align::Right, INK);
    }
    let of_group = (right - left) / panel.groups.len().max(1) as i32;
    for (n, group) in (0..).zip(&panel.groups) {
        let middle = left + n * of_group + of_group / 2;
        let wide = (of_group * 4 / 5 / group.bars.len().max(1) as i32).min(90);
        let first = middle - wide * group.bars.len() as i32 / 2;
        for (at, bar) in (0..).zip(&group.bars) {
            let (from, upper) = (first + at * wide + 3, level(bar.median));
            canvas.fill([from, upper, wide - 6, bottom - upper], SHOWN[bar.contender].1);
            let centre = from + (wide - 6) / 2;
            let (high, low) = (level(bar.high), level(bar.low));
            canvas.fill([centre - 1, high, 2, (low - high).max(1)], INK);
            canvas.text(&short(bar.median), [centre, high - 20], 2, Align::Middle, INK);
        }
        canvas.text(&group.label, [middle, bottom + 14], 2, Align::Middle, INK);
    }
    canvas.fill([left, bottom, right - left, 2], INK);
}

/// A figure in at most five letters or so.
fn short(figure: f64) -> String {
    let decimals = match figure {
        f if f >= 100.0 || f == 0.0 => 0,
        f if f >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{figure:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!([0.0, 0.5, 1.0, 2.345, 12.34, 1234.5].map(short), ["0", "0.5", "1", "2.35", "12.3", "1234"]);
    }

    #[test]
    fn scales_hold_every_bar() {
        for log in [false, true] {
            let bars = vec![Bar { contender: 0, median: 2.0, low: 0.3, high: 900.0 }];
            let scale = Scale::new(&Panel { title: "", log, groups: vec![Group { label: String::new(), bars }] });
            assert!(scale.place(0.3) >= 0.0 && scale.place(0.3) < scale.place(2.0) && scale.place(900.0) < 1.0);
            assert!((2..9).contains(&scale.lines().len()), "{:?}", scale.lines());
        }
    }

    #[test]
    fn a_picture_is_of_what_was_measured() {
        let dir = tempfile::TempDir::new().unwrap();
        let png = dir.path().join("chart.png");
        let chart = || Chart { from: dir.path().to_owned(), png: png.clone(), log_gb: vec![1] };
        assert!(chart().run().is_err());
        let sample = |figure: f64| {
            serde_json::json!({ "row": "librdkafka, none", "system": "Kafka", "answers_after": "page cache",
                "figures": { "cpu_s_per_gb": figure } })
        };
        let all = serde_json::json!({ "samples": [sample(3.0), sample(1.0), sample(2.0)] });
        fs::write(dir.path().join("w1.json"), all.to_string()).unwrap();
        let panels = chart().panels().unwrap();
        let bar = &panels[0].groups[0].bars[0];
        assert!(panels.iter().all(|panel| panel.title.len() < 63), "a title is wider than its half of the picture");
        assert_eq!((panels.len(), bar.median, bar.low, bar.high), (1, 2.0, 1.0, 3.0));
        chart().run().unwrap();
        assert!(fs::read(&png).unwrap().len() > 1_000);
    }
}
