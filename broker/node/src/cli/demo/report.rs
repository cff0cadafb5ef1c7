//! What came of it: the account of the input against what was read from the job's output.

use super::access_log::Account;
use super::observe::Observed;
use crate::cli::output;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// Reasons of dead letters that are printed.
const REASONS: usize = 5;

/// One kill, survived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Lines that were acknowledged when it came.
    pub lines_fed: u64,
    /// Lines that had come out at the other end when it came.
    pub lines_counted: u64,
    /// From the kill until the broker was ready.
    pub ready_ms: u64,
    /// From the kill until a line was acknowledged or counted again (or, with nothing left to do, until every
    /// task ran again).
    pub recovery_ms: u64,
    /// Changelog records that all tasks together replayed.
    pub records_replayed: u64,
    /// The most commits that one task replayed.
    pub commits_replayed: u64,
}

/// The end of a demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Lines of the input.
    pub lines_in: u64,
    /// Page views counted.
    pub views: u64,
    /// Paths.
    pub paths: usize,
    /// Lines in the dead-letter topic.
    pub dead_letters: u64,
    /// How often each reason stands there.
    pub reasons: BTreeMap<String, u64>,
    /// Page views among them: lines, or paths, that are larger than the platform takes.
    pub refused: u64,
    /// Lines of the input that are no page view, by the demo's own account.
    pub bad_lines: u64,
    /// Page views and dead letters that are missing.
    pub lost: u64,
    /// Page views and dead letters that are too many.
    pub doubled: u64,
    /// Outputs that are no count.
    pub unreadable: u64,
    /// The kills.
    pub recoveries: Vec<Recovery>,
    /// From the first line until the last was counted.
    pub elapsed_ms: u64,
    /// Of `path TAB count NEWLINE`, sorted by path.
    pub sha256: String,
}

impl Report {
    /// Holds the two accounts against each other.
    pub fn new(account: &Account, observed: &Observed, recoveries: Vec<Recovery>, elapsed: Duration) -> Self {
        let (mut lost, mut doubled) = (observed.gaps, observed.repeats);
        let mut compare = |expected: u64, found: u64| {
            lost += expected.saturating_sub(found);
            doubled += found.saturating_sub(expected);
        };
        for (path, expected) in &account.views {
            let refused = observed.letters.refused.get(path).copied().unwrap_or(0);
            compare(*expected, refused + observed.counts.get(path).copied().unwrap_or(0));
        }
        for (path, found) in observed.counts.iter().filter(|(path, _)| !account.views.contains_key(*path)) {
            tracing::debug!(path = %String::from_utf8_lossy(path), "a path that the input does not have");
            compare(0, *found);
        }
        for (_, refused) in observed.letters.refused.iter().filter(|(path, _)| !account.views.contains_key(*path)) {
            compare(0, *refused);
        }
        compare(account.bad_lines, observed.letters.bad_lines);
        Self {
            lines_in: account.lines,
            views: observed.counts.values().sum(),
            paths: observed.counts.len(),
            dead_letters: observed.letters.total,
            reasons: observed.letters.reasons.clone(),
            refused: observed.letters.refusals(),
            bad_lines: account.bad_lines,
            lost,
            doubled,
            unreadable: observed.unreadable,
            recoveries,
            elapsed_ms: elapsed.as_millis() as u64,
            sha256: digest(&observed.counts),
        }
    }

    /// Whether nothing was lost, doubled or damaged.
    pub fn is_sound(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.unreadable == 0
    }

    /// Prints it for people.
    pub fn print(&self) {
        let number = |label: &str, number: u64| output::line(&format!("{label:<20}{:>14}", output::grouped(number)));
        number("lines in", self.lines_in);
        number("views counted", self.views);
        number("paths", self.paths as u64);
        number("dead letters", self.dead_letters);
        let mut reasons: Vec<(&String, &u64)> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (reason, count) in reasons.into_iter().take(REASONS) {
            output::line(&format!("  {:>11}  {}", output::grouped(*count), output::shortened(reason, 200)));
        }
        if self.refused > 0 {
            number("views refused", self.refused);
        }
        number("lost", self.lost);
        number("doubled", self.doubled);
        if self.unreadable > 0 {
            number("unreadable outputs", self.unreadable);
        }
        number("kills survived", self.recoveries.len() as u64);
        for (at, recovery) in self.recoveries.iter().enumerate() {
            output::line(&format!(
                "  recovery {:<8} {:>11} (killed at {} lines fed, {} counted; replayed {} changelog records, at most {} \
                 commit of a task)",
                at + 1,
                output::seconds(Duration::from_millis(recovery.recovery_ms)),
                output::grouped(recovery.lines_fed),
                output::grouped(recovery.lines_counted),
                recovery.records_replayed,
                recovery.commits_replayed,
            ));
        }
        output::line(&format!("{:<20}{:>14}", "time", output::seconds(Duration::from_millis(self.elapsed_ms))));
        output::line(&format!("sha256 {}", self.sha256));
        output::line(match (self.is_sound(), self.refused) {
            (false, _) => "NOT exactly once",
            (true, 0) => "every page view was counted exactly once",
            (true, _) => "every page view was counted exactly once, or refused for its size: a dead letter says why",
        });
    }
}

/// The sha256 of `path TAB count NEWLINE`, sorted by the bytes of the path.
pub fn digest(counts: &BTreeMap<Vec<u8>, u64>) -> String {
    let mut hash = Sha256::new();
    for (path, count) in counts {
        hash.update(path);
        hash.update(format!("\t{count}\n"));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::letters::Letters;

    fn account(views: &[(&str, u64)], bad_lines: u64) -> Account {
        let views: BTreeMap<_, _> = views.iter().map(|(path, count)| (path.as_bytes().to_vec(), *count)).collect();
        Account { lines: views.values().sum::<u64>() + bad_lines, bytes: 0, bad_lines, views }
    }

    fn observed(counts: &[(&str, u64)], dead_letters: u64) -> Observed {
        let letters = Letters { total: dead_letters, bad_lines: dead_letters, ..Letters::default() };
        Observed { counts: account(counts, 0).views, letters, ..Observed::default() }
    }

    fn verdict(account: &Account, observed: &Observed) -> (u64, u64, bool) {
        let report = Report::new(account, observed, Vec::new(), Duration::ZERO);
        (report.lost, report.doubled, report.is_sound())
    }

    #[test]
    fn equal_accounts_are_sound() {
        assert_eq!(verdict(&account(&[("/a", 2)], 1), &observed(&[("/a", 2)], 1)), (0, 0, true));
        assert_eq!(verdict(&account(&[], 0), &observed(&[], 0)), (0, 0, true));
    }

    #[test]
    fn what_is_missing_is_lost_and_what_is_too_much_is_doubled() {
        assert_eq!(verdict(&account(&[("/a", 2), ("/b", 1)], 0), &observed(&[("/a", 1)], 0)), (2, 0, false));
        assert_eq!(verdict(&account(&[("/a", 2)], 0), &observed(&[("/a", 3), ("/x", 1)], 0)), (0, 2, false));
        assert_eq!(verdict(&account(&[], 2), &observed(&[], 1)), (1, 0, false));
        assert_eq!(verdict(&account(&[], 2), &observed(&[], 3)), (0, 1, false));
        let repeated = Observed { repeats: 1, ..observed(&[("/a", 2)], 0) };
        assert_eq!(verdict(&account(&[("/a", 2)], 0), &repeated), (0, 1, false));
        let skipped = Observed { gaps: 1, ..observed(&[("/a", 2)], 0) };
        assert_eq!(verdict(&account(&[("/a", 2)], 0), &skipped), (1, 0, false));
    }

    #[test]
    fn a_refused_view_is_neither_lost_nor_doubled_and_only_once() {
        let refused = |counts: &[(&str, u64)], path: &str, many: u64| {
            let mut observed = observed(counts, 0);
            observed.letters.refused.insert(path.as_bytes().to_vec(), many);
            observed
        };
        assert_eq!(verdict(&account(&[("/long", 2)], 0), &refused(&[], "/long", 2)), (0, 0, true));
        assert_eq!(verdict(&account(&[("/long", 2)], 0), &refused(&[("/long", 1)], "/long", 1)), (0, 0, true));
        assert_eq!(verdict(&account(&[("/long", 2)], 0), &refused(&[], "/long", 1)), (1, 0, false));
        assert_eq!(verdict(&account(&[("/long", 2)], 0), &refused(&[("/long", 2)], "/long", 1)), (0, 1, false));
        assert_eq!(verdict(&account(&[], 0), &refused(&[], "/long", 1)), (0, 1, false));
    }

    #[test]
    fn the_digest_is_that_of_the_sorted_lines() {
        let counts = account(&[("/b", 1), ("/a", 12)], 0).views;
        let expected: String = Sha256::digest(b"/a\t12\n/b\t1\n").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest(&counts), expected);
    }
}
