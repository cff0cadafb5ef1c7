//! What the plugins said last, for `pelton plugin logs`: a ring of lines with numbers, which readers wait on.
//!
//! The engine bounds, escapes and throttles lines before they come here. Each goes to the log of the process as well.
//!
//! Invariant: the ring holds at most [`LINES`] lines and [`BYTES`] bytes; numbers grow by one and are never given
//! twice, so that a reader who asks for what follows the last one it saw misses only what the ring has let go, and
//! can tell that it did.

use pelton_api::manifest::PluginRef;
use pelton_engine::{Level, LogSink, TracedLog};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Lines that are kept.
const LINES: usize = 10_000;
/// Bytes of all lines that are kept.
const BYTES: usize = 8 << 20;

/// One line of a plugin, or about one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Line {
    /// Its number; the next line has the next one. Numbers begin anew with each start of the broker.
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Name and version.
    #[schema(example = "audit@2")]
    pub plugin: String,
    /// `error`, `warn`, `info` or `debug`.
    pub level: &'static str,
    /// What it said, without control characters.
    pub text: String,
}

/// Lines, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Page {
    /// The lines, in order.
    pub lines: Vec<Line>,
    /// What to give as `after` to get what follows.
    pub next: u64,
    /// Lines of any plugin that were let go before they could be read.
    pub missed: u64,
}

/// Which lines are asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Those of this plugin: a name, or a name with a version.
    pub plugin: Option<String>,
    /// Those after this number. Without it: the last ones that there are.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

impl Wanted {
    fn takes(&self, line: &Line) -> bool {
        let Some(plugin) = &self.plugin else { return true };
        let name = line.plugin.split('@').next().unwrap_or_default();
        line.plugin == *plugin || name == plugin
    }
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Line>,
    bytes: usize,
    /// The number of the last line that was written.
    last: u64,
}

impl Ring {
    fn push(&mut self, at_ms: i64, plugin: String, level: &'static str, text: String) {
        self.last += 1;
        self.bytes += plugin.len() + text.len();
        self.lines.push_back(Line { seq: self.last, at_ms, plugin, level, text });
        while self.lines.len() > LINES || self.bytes > BYTES {
            let Some(gone) = self.lines.pop_front() else { break };
            self.bytes -= gone.plugin.len() + gone.text.len();
        }
    }

    fn read(&self, wanted: &Wanted) -> Page {
        let Some(after) = wanted.after else {
            let mut lines: Vec<Line> =
                self.lines.iter().rev().filter(|line| wanted.takes(line)).take(wanted.limit).cloned().collect();
            lines.reverse();
            return Page { lines, next: self.last, missed: 0 };
        };
        // A number of an earlier start of the broker: everything here is new to its reader.
        let after = if after > self.last { 0 } else { after };
        let first_kept = self.lines.front().map_or(self.last + 1, |line| line.seq);
        let missed = first_kept.saturating_sub(after + 1);
        let (mut lines, mut next) = (Vec::new(), after.max(first_kept - 1));
        let from = self.lines.partition_point(|line| line.seq <= after);
        for line in self.lines.range(from..) {
            if lines.len() >= wanted.limit {
                break;
            }
            next = line.seq;
            if wanted.takes(line) {
                lines.push(line.clone());
            }
        }
        Page { lines, next, missed }
    }
}

/// What the plugins of this node said last.
pub struct PluginLog {
    ring: Mutex<Ring>,
    /// The number of the last line, for those who wait.
    last: watch::Sender<u64>,
}

impl Default for PluginLog {
    fn default() -> Self {
        Self { ring: Mutex::default(), last: watch::Sender::new(0) }
    }
}

impl PluginLog {
    /// Adds a line about `plugin`.
    pub fn note(&self, plugin: &str, level: Level, text: &str) {
        let level = match level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        };
        let mut ring = self.ring();
        ring.push(super::now_ms(), plugin.to_owned(), level, text.to_owned());
        let last = ring.last;
        drop(ring);
        self.last.send_if_modified(|known| std::mem::replace(known, last.max(*known)) < last);
    }

    /// The lines that are there; when there are none, those that come within `wait`.
    pub async fn read(&self, mut wanted: Wanted, wait: Duration) -> Page {
        let mut changes = self.last.subscribe();
        let until = tokio::time::Instant::now() + wait;
        let mut missed = 0;
        loop {
            let mut page = self.ring().read(&wanted);
            missed += page.missed;
            page.missed = missed;
            let seen = page.next;
            if !page.lines.is_empty() {
                return page;
            }
            // Lines of others were passed over: a reader that waits need not see them again.
            wanted.after = Some(seen);
            match tokio::time::timeout_at(until, changes.wait_for(|last| *last > seen)).await {
                Ok(Ok(_)) => {}
                _ => return page,
            }
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogSink for PluginLog {
    fn line(&self, plugin: &PluginRef, level: Level, line: &str) {
        TracedLog.line(plugin, level, line);
        self.note(&plugin.to_string(), level, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn filled(count: u64) -> Ring {
        let mut ring = Ring::default();
        for n in 1..=count {
            let plugin = if n % 2 == 0 { "even@1" } else { "odd@2" };
            ring.push(0, plugin.to_owned(), "info", n.to_string());
        }
        ring
    }

    fn wanted(plugin: Option<&str>, after: Option<u64>, limit: usize) -> Wanted {
        Wanted { plugin: plugin.map(str::to_owned), after, limit }
    }

    fn texts(page: &Page) -> Vec<&str> {
        page.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_reader_goes_on_where_it_stopped() {
        let ring = filled(7);
        let page = ring.read(&wanted(None, None, 3));
        assert_eq!((texts(&page), page.next), (vec!["5", "6", "7"], 7));
        let page = ring.read(&wanted(Some("odd"), Some(0), 2));
        assert_eq!((texts(&page), page.next), (vec!["1", "3"], 3));
        let page = ring.read(&wanted(Some("odd@2"), Some(page.next), 9));
        assert_eq!((texts(&page), page.next), (vec!["5", "7"], 7));
        let page = ring.read(&wanted(Some("odd@1"), Some(0), 9));
        assert_eq!((texts(&page), page.next, page.missed), (vec![], 7, 0));
        assert_eq!(texts(&ring.read(&wanted(None, Some(99), 1))), ["1"], "a number of an earlier start");
    }

    #[test]
    fn the_ring_is_bounded_in_lines_and_bytes_and_says_what_was_missed() {
        let ring = filled(LINES as u64 + 5);
        assert_eq!(ring.lines.len(), LINES);
        let page = ring.read(&wanted(None, Some(2), 1));
        assert_eq!((texts(&page), page.missed), (vec!["6"], 3));
        let mut ring = Ring::default();
        for _ in 0..100 {
            ring.push(0, "p@1".to_owned(), "info", "x".repeat(BYTES / 10));
            assert!(ring.bytes <= BYTES);
        }
        assert_eq!((ring.lines.len(), ring.lines.back().map(|line| line.seq)), (9, Some(100)));
        let kept: usize = ring.lines.iter().map(|line| line.plugin.len() + line.text.len()).sum();
        assert_eq!(ring.bytes, kept);
    }

    #[tokio::test]
    async fn a_reader_waits_for_a_line_of_its_plugin() {
        let log = Arc::new(PluginLog::default());
        let asked = wanted(Some("a"), Some(0), 10);
        assert_eq!(log.read(asked.clone(), Duration::ZERO).await.lines, []);
        let waiting = tokio::spawn({
            let (log, asked) = (log.clone(), asked.clone());
            async move { log.read(asked, Duration::from_secs(60)).await }
        });
        log.note("b@1", Level::Info, "not this one");
        tokio::task::yield_now().await;
        log.note("a@1", Level::Warn, "this one");
        let page = waiting.await.unwrap();
        assert_eq!((texts(&page), page.next, page.lines[0].level), (vec!["this one"], 2, "warn"));
    }
}
