//! Which letters of a partition were put back: a position, and ranges of offsets behind it. Pure.
//!
//! A run may leave letters out, those that are not meant or not repaired yet; they stay where they are, and a later
//! run may put them back. So one offset is not enough to say what is done. The offset that the group of a dead-letter topic
//! commits is the first letter that waits, and the commit's metadata names the ranges behind it that are done. Both
//! are part of the transaction that puts the letters back.
//!
//! Invariant: a letter that is done stays done, and one that is not done is in no range.

use anyhow::{bail, ensure};
use std::fmt::Write as _;

/// What the metadata begin with: its form.
const FORM: &str = "pelton-dlq-1:";
/// Kafka's `offset.metadata.max.bytes` is 4096.
const METADATA_MAX_BYTES: usize = 4096;

/// What was put back of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Every letter before it is done.
    position: i64,
    /// Ranges behind it that are done: first offset, offset after the last. Ascending, with gaps between them.
    ranges: Vec<(i64, i64)>,
}

impl Progress {
    /// Reads what a group has committed.
    ///
    /// # Errors
    /// When it was not written by this program.
    pub fn read(position: i64, metadata: &str) -> anyhow::Result<Self> {
        ensure!(position >= 0, "the offset {position} is none");
        if metadata.is_empty() {
            return Ok(Self { position, ranges: Vec::new() });
        }
        let Some(text) = metadata.strip_prefix(FORM) else {
            bail!("its metadata are not those of `pelton dlq replay`")
        };
        let mut ranges = Vec::new();
        let mut at = position;
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let numbers =
                range.split_once('+').and_then(|(gap, len)| Some((gap.parse::<u32>().ok()?, len.parse::<u32>().ok()?)));
            let Some((gap @ 1.., len @ 1..)) = numbers else { bail!("`{range}` in its metadata is no range") };
            let first = at.saturating_add(i64::from(gap));
            at = first.saturating_add(i64::from(len));
            ranges.push((first, at));
        }
        Ok(Self { position, ranges })
    }

    /// The offset to commit.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The metadata to commit with it.
    ///
    /// # Errors
    /// When there are more ranges than a commit can name.
    pub fn metadata(&self) -> anyhow::Result<String> {
        if self.ranges.is_empty() {
            return Ok(String::new());
        }
        let mut text = FORM.to_owned();
        let mut at = self.position;
        for (nth, (first, after)) in self.ranges.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "," };
            write!(text, "{separator}{}+{}", first - at, after - first).expect("writing to a text cannot fail");
            at = *after;
        }
        let fits = text.len() <= METADATA_MAX_BYTES
            && self.ranges.iter().all(|(first, after)| after - first <= i64::from(u32::MAX));
        ensure!(
            fits,
            "too many letters that wait lie between letters that are done for one commit to say so; \
             put the first ones back (offset {} and on), or move them on with `--to`",
            self.position
        );
        Ok(text)
    }

    /// Whether the letter at `offset` is done.
    pub fn is_done(&self, offset: i64) -> bool {
        offset < self.position || self.ranges.iter().any(|(first, after)| (*first..*after).contains(&offset))
    }

    /// Offsets from the position to `end` that are not done.
    pub fn waiting(&self, start: i64, end: i64) -> i64 {
        let from = self.position.max(start);
        let done: i64 = self.ranges.iter().map(|(first, after)| (*after.min(&end) - *first.max(&from)).max(0)).sum();
        (end - from - done).max(0)
    }

    /// The letter at `offset` is done, and so is everything since `since`, where no letters are.
    pub fn done(&mut self, since: i64, offset: i64) {
        let (mut first, mut after) = (since.min(offset), offset + 1);
        self.ranges.retain(|range| {
            let apart = range.1 < first || range.0 > after;
            if !apart {
                (first, after) = (first.min(range.0), after.max(range.1));
            }
            apart
        });
        if first <= self.position {
            self.position = self.position.max(after);
        } else {
            let at = self.ranges.partition_point(|range| range.0 < first);
            self.ranges.insert(at, (first, after));
        }
        while let Some(&(first, after)) = self.ranges.first()
            && first <= self.position
        {
            self.position = self.position.max(after);
            self.ranges.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt as _;
    use rand::SeedableRng as _;
    use std::collections::BTreeSet;

    #[test]
    fn letters_that_wait_hold_the_position_and_nothing_else() {
        let mut progress = Progress::read(10, "").unwrap();
        progress.done(10, 10);
        assert_eq!((progress.position(), progress.metadata().unwrap().as_str()), (11, ""));
        // 11 waits; offset 13 is a transaction's marker, which the letter behind it takes along.
        progress.done(12, 12);
        progress.done(13, 14);
        assert_eq!((progress.position(), progress.metadata().unwrap().as_str()), (11, "pelton-dlq-1:1+3"));
        assert_eq!((progress.waiting(0, 20), progress.is_done(13), progress.is_done(11)), (6, true, false));
        progress.done(11, 11);
        assert_eq!((progress.position(), progress.metadata().unwrap().as_str()), (15, ""));
    }

    #[test]
    fn what_others_have_committed_is_refused() {
        for bad in ["something", "pelton-dlq-1:x", "pelton-dlq-1:1+0", "pelton-dlq-1:0+1", "pelton-dlq-1:-1+4"] {
            assert!(Progress::read(0, bad).is_err(), "{bad}");
        }
        assert!(Progress::read(-1, "").is_err());
    }

    #[test]
    fn more_ranges_than_a_commit_can_name_are_refused_and_not_forgotten() {
        let mut progress = Progress::default();
        for offset in 0..5_000 {
            progress.done(2 * offset + 1, 2 * offset + 1);
        }
        assert!(progress.metadata().unwrap_err().to_string().contains("offset 0"));
    }

    /// Any order of letters, with any left out: the progress says of each what is true, also after it was
    /// written and read.
    #[test]
    fn progress_is_the_set_of_letters_that_are_done() {
        for seed in 0..200 {
            let mut rng = rand::rngs::SmallRng::seed_from_u64(seed);
            let (mut progress, mut model) = (Progress::read(5, "").unwrap(), BTreeSet::new());
            for _ in 0..60 {
                let offset = rng.random_range(5..60);
                progress.done(offset, offset);
                model.insert(offset);
                progress = Progress::read(progress.position(), &progress.metadata().unwrap()).unwrap();
                for offset in 5..65 {
                    assert_eq!(progress.is_done(offset), model.contains(&offset), "seed {seed} offset {offset}");
                }
                assert_eq!(progress.waiting(5, 65), 60 - model.len() as i64, "seed {seed}");
            }
        }
    }
}
