//! Which log is opened next: decided from what waits, without a file or a thread.
//!
//! Each thread belongs to one log directory and asks for that directory's next log. The largest part that may have to be
//! read comes first, so that no thread begins with it when the others are done; among equals, whichever came first.
//!
//! Invariants: what is added is given out once, to a thread of its directory; no directory waits for another.

use crate::driver::directories::placement::DirectoryIndex;
use pelton_core::model::Offset;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The logs that wait, by their directories.
#[derive(Debug)]
pub struct Plan<T> {
    directories: Vec<BTreeMap<(Reverse<u64>, u64), T>>,
    added: u64,
}

impl<T> Plan<T> {
    /// Nothing waits yet in any of so many directories.
    pub fn new(directories: usize) -> Self {
        Self { directories: (0..directories).map(|_| BTreeMap::new()).collect(), added: 0 }
    }

    /// A log of this directory waits, of which so many bytes may have to be read.
    pub fn add(&mut self, directory: DirectoryIndex, unread_bytes: u64, log: T) {
        self.added += 1;
        self.directories[directory.0].insert((Reverse(unread_bytes), self.added), log);
    }

    /// What a thread of this directory opens next.
    pub fn next(&mut self, directory: DirectoryIndex) -> Option<T> {
        self.directories[directory.0].pop_first().map(|(_, log)| log)
    }

    /// Nothing is opened any more: forgets what waits.
    pub fn clear(&mut self) {
        self.directories.iter_mut().for_each(BTreeMap::clear);
    }
}

/// Which of a log's segments may have to be read: those from the one on that holds the recovery point. After a clean
/// stop, none. The segments are in order; gives the index of the first.
pub fn first_unread(bases: &[Offset], clean: bool, recovery_point: Option<Offset>) -> usize {
    if clean {
        return bases.len();
    }
    let at_or_below = bases.partition_point(|base| *base <= recovery_point.unwrap_or(0));
    at_or_below.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: DirectoryIndex = DirectoryIndex(0);
    const B: DirectoryIndex = DirectoryIndex(1);

    #[test]
    fn the_largest_unread_log_of_a_directory_comes_first_and_each_comes_once() {
        let mut plan = Plan::new(2);
        for (unread_bytes, log) in [(0, "clean"), (5, "small"), (900, "large"), (5, "as small")] {
            plan.add(A, unread_bytes, log);
        }
        plan.add(B, 1, "other disk");
        assert_eq!(plan.next(A), Some("large"));
        assert_eq!(plan.next(B), Some("other disk"));
        assert_eq!(plan.next(B), None, "a thread of one disk does not open what is on another");
        plan.add(A, 7, "late");
        let rest: Vec<_> = std::iter::from_fn(|| plan.next(A)).collect();
        assert_eq!(rest, ["late", "small", "as small", "clean"]);
    }

    #[test]
    fn what_is_cleared_is_not_opened() {
        let mut plan = Plan::new(1);
        plan.add(A, 1, "log");
        plan.clear();
        assert_eq!(plan.next(A), None);
    }

    #[test]
    fn a_log_is_read_from_the_segment_of_its_recovery_point_on() {
        let bases = [0, 100, 200];
        for (recovery_point, first) in [(None, 0), (Some(0), 0), (Some(99), 0), (Some(100), 1), (Some(5_000), 2)] {
            assert_eq!(first_unread(&bases, false, recovery_point), first, "{recovery_point:?}");
        }
        assert_eq!(first_unread(&[50], false, Some(7)), 0, "what lies below the first segment was deleted");
        assert_eq!(first_unread(&bases, true, None), 3, "nothing is read after a clean stop");
        assert_eq!(first_unread(&[], false, None), 0);
    }
}
