//! The dead letters of the demo's job, told apart: lines that are no page view, and page views that the platform
//! refused to count because the line, or its path, is larger than it takes.
//!
//! Only a large line may be refused. A page view of usual length among the dead letters is a view lost.

use super::access_log::viewed_path;
use std::collections::BTreeMap;

/// The first step of the job, which reads lines. The steps behind it read paths.
const LINES_STEP: &str = "pages";
/// Below this length no limit of the platform is in reach.
const REFUSABLE_BYTES: usize = 64 << 10;
/// Reasons that are counted apart.
const MAX_REASONS: usize = 20;
/// What the other reasons are counted under.
const OTHER_REASONS: &str = "other reasons";

/// One dead letter.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// The step that it comes from.
    pub step: &'a str,
    /// Why it was not processed.
    pub reason: &'a str,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: &'a [u8],
}

/// Dead letters.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Letters {
    /// All of them.
    pub total: u64,
    /// Lines that are no page view.
    pub bad_lines: u64,
    /// Page views that were refused for their size, by path.
    pub refused: BTreeMap<Vec<u8>, u64>,
    /// How often each reason was given.
    pub reasons: BTreeMap<String, u64>,
}

impl Letters {
    /// Takes one in.
    pub fn add(&mut self, letter: &Letter<'_>) {
        self.total += 1;
        let known = self.reasons.contains_key(letter.reason) || self.reasons.len() < MAX_REASONS;
        *self.reasons.entry(if known { letter.reason } else { OTHER_REASONS }.to_owned()).or_default() += 1;
        let path = if letter.step == LINES_STEP { viewed_path(letter.value) } else { letter.key };
        match path {
            None => self.bad_lines += 1,
            Some(path) if letter.value.len().max(path.len()) >= REFUSABLE_BYTES => {
                *self.refused.entry(path.to_vec()).or_default() += 1;
            }
            // Missing from the counts, and nothing excuses it.
            Some(_) => {}
        }
    }

    /// How many page views were refused.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Step, key and value of a letter.
    type Given<'a> = (&'a str, Option<&'a [u8]>, &'a [u8]);

    fn letters(given: &[Given<'_>]) -> Letters {
        let mut letters = Letters::default();
        for (step, key, value) in given {
            letters.add(&Letter { step, reason: "why", key: *key, value });
        }
        letters
    }

    #[test]
    fn bad_lines_and_refused_views_are_told_apart() {
        let long = format!("/{}", "a".repeat(REFUSABLE_BYTES));
        let (line, query) = (format!("\"GET {long} HTTP/1.1\""), format!("\"GET /q?{long} HTTP/1.1\""));
        let found = letters(&[
            ("pages", None, b"rubbish"),
            ("pages", None, line.as_bytes()),
            ("pages", None, query.as_bytes()),
            ("count", Some(long.as_bytes()), b""),
        ]);
        assert_eq!((found.total, found.bad_lines, found.refusals()), (4, 1, 3));
        assert_eq!((found.refused[long.as_bytes()], found.refused[&b"/q"[..]]), (2, 1));
        assert_eq!(found.reasons["why"], 4);
    }

    #[test]
    fn a_view_of_usual_length_is_never_excused() {
        let found = letters(&[("pages", None, b"\"GET /a HTTP/1.1\""), ("count", Some(b"/a"), b"")]);
        assert_eq!((found.total, found.bad_lines, found.refusals()), (2, 0, 0));
    }

    #[test]
    fn reasons_are_counted_apart_up_to_a_bound() {
        let mut letters = Letters::default();
        for n in 0..100 {
            letters.add(&Letter { step: "pages", reason: &format!("reason {n}"), key: None, value: b"" });
        }
        assert_eq!((letters.reasons.len(), letters.reasons[OTHER_REASONS]), (MAX_REASONS + 1, 80));
    }
}
