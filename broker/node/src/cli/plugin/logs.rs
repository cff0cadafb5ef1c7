//! `pelton plugin logs`: what plugins say, as the broker keeps it in memory.

use crate::cli::{Asking, output, time};
use clap::Args;
use serde::{Deserialize, Serialize};

/// How long the broker may wait for a line before it answers.
const WAIT_MS: u64 = 30_000;
/// Lines in one answer.
const LIMIT: u64 = 1_000;

/// Show what plugins log.
///
/// The broker keeps the last 10,000 lines in memory. Without a plugin's name those of all plugins are shown.
///
/// Example: pelton plugin logs mask@2 -f
#[derive(Debug, Args)]
pub struct Logs {
    /// Name and version, such as pv-count@1, or the name alone for all its versions.
    #[arg(value_name = "NAME@VERSION")]
    plugin: Option<String>,
    /// Go on with the lines that come.
    #[arg(long, short)]
    follow: bool,
    /// Begin with at most so many of the lines that are there.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000), value_name = "N")]
    tail: u64,
    #[command(flatten)]
    asking: Asking,
}

/// One answer.
#[derive(Debug, Deserialize)]
struct Answer {
    lines: Vec<Line>,
    /// The sequence number to ask from next.
    next: u64,
    /// Lines that were let go before they could be read.
    #[serde(default)]
    missed: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    seq: u64,
    at_ms: i64,
    plugin: String,
    level: String,
    text: String,
}

impl Logs {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(plugin) = &self.plugin {
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@');
            anyhow::ensure!(plugin.chars().all(legal), "`{plugin}` is no plugin; write NAME or NAME@VERSION");
        }
        let client = self.asking.admin.client();
        let filter = self.plugin.as_ref().map(|plugin| format!("&plugin={plugin}")).unwrap_or_default();
        let first: Answer = client.get(&format!("/v1/plugins/logs?limit={}{filter}", self.tail))?;
        first.lines.iter().for_each(|line| self.print(line));
        let mut next = first.next;
        if !self.follow {
            return Ok(());
        }
        loop {
            let path = format!("/v1/plugins/logs?after={next}&wait_ms={WAIT_MS}&limit={LIMIT}{filter}");
            let answer: Answer = client.get(&path)?;
            if answer.missed > 0 {
                output::note(&format!("{} lines of all plugins came faster than they were read", answer.missed));
            }
            answer.lines.iter().for_each(|line| self.print(line));
            next = answer.next;
        }
    }

    fn print(&self, line: &Line) {
        if self.asking.json {
            output::json(line);
        } else {
            let at = time::display(line.at_ms);
            output::line(&format!("{at} {:5} {}: {}", line.level, line.plugin, line.text));
        }
    }
}
