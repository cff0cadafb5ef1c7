//! What is seen while the demo runs: bars and a table on a terminal, plain lines elsewhere. All on standard error.

use crate::cli::output;
use indicatif::{MultiProgress, ProgressBar};
use std::time::{Duration, Instant};

/// Pages in the table.
const PAGES: usize = 5;

/// Shows progress.
pub struct Screen {
    bars: Option<Bars>,
    lines: u64,
    next_line: Instant,
}

struct Bars {
    all: MultiProgress,
    fed: ProgressBar,
    counted: ProgressBar,
    pages: Vec<ProgressBar>,
}

impl Screen {
    /// For an input of `lines` lines.
    pub fn new(lines: u64) -> Self {
        let bars = output::on_terminal().then(|| {
            let all = MultiProgress::new();
            let fed = all.add(output::progress(Some(lines), "fed     {bar:40} {human_pos}/{human_len}"));
            let counted = all.add(output::progress(Some(lines), "counted {bar:40} {human_pos}/{human_len}"));
            let pages = (0..PAGES).map(|_| all.add(output::progress(None, "  {msg}"))).collect();
            Bars { all, fed, counted, pages }
        });
        Self { bars, lines, next_line: Instant::now() }
    }

    /// Says something that stays.
    pub fn say(&self, text: &str) {
        match &self.bars {
            // A terminal that has gone away is no reason to stop counting.
            Some(bars) => drop(bars.all.println(text)),
            None => output::note(text),
        }
    }

    /// Shows where things stand.
    pub fn show(&mut self, fed: u64, counted: u64, top: &[(String, u64)]) {
        match &self.bars {
            Some(bars) => {
                bars.fed.set_position(fed);
                bars.counted.set_position(counted);
                for (row, bar) in bars.pages.iter().enumerate() {
                    bar.set_message(top.get(row).map(page).unwrap_or_default());
                    bar.tick();
                }
            }
            None if Instant::now() >= self.next_line => {
                self.next_line = Instant::now() + Duration::from_secs(2);
                let lines = output::grouped(self.lines);
                let first = top.first().map(|(path, count)| format!(", most viewed {path} ({count})"));
                let (fed, counted) = (output::grouped(fed), output::grouped(counted));
                output::note(&format!("fed {fed}, counted {counted} of {lines}{}", first.unwrap_or_default()));
            }
            None => {}
        }
    }

    /// Clears the bars and leaves the table.
    pub fn finish(&self, top: &[(String, u64)]) {
        if let Some(bars) = &self.bars {
            // As in `say`.
            let _ = bars.all.clear();
        }
        output::note("top pages");
        for row in top.iter().map(page) {
            output::note(&format!("  {row}"));
        }
    }
}

fn page((path, count): &(String, u64)) -> String {
    // A path may be as long as a request, and may hold anything.
    let shown: String = path.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("{:>12}  {shown}", output::grouped(*count))
}
