//! Which sync begins when: rounds, one after the other in each directory.
//!
//! It decides only, and knows neither files nor threads; the time is told to it.
//!
//! Invariants: what is added is begun once, in the order of its directory's rounds; no more than `at_once` of one
//! directory run at a time; a round begins when the one before is done, or when its last sync was begun `patience` ago. What
//! is urgent waits for none of that: it begins with the next thread that is free.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// What a thread that has nothing to do should do.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<K, T> {
    /// This, and say when it is done.
    Begin(K, T),
    /// Ask again after this time, or when something has changed.
    Wait(Duration),
    /// Ask again when something has changed.
    Nothing,
}

/// The rounds of all directories.
#[derive(Debug)]
pub struct Rounds<K, T> {
    directories: BTreeMap<K, Directory<T>>,
    at_once: usize,
    patience: Duration,
}

#[derive(Debug)]
struct Directory<T> {
    urgent: VecDeque<T>,
    /// Of the round that is under way, not begun yet.
    round: VecDeque<T>,
    /// Came in since the round began.
    waiting: VecDeque<T>,
    running: usize,
    /// When the last one was begun.
    begun: Option<Instant>,
}

impl<K, T> Default for Rounds<K, T> {
    fn default() -> Self {
        Self { directories: BTreeMap::new(), at_once: 1, patience: Duration::ZERO }
    }
}

impl<K: Ord + Clone, T> Rounds<K, T> {
    /// No rounds yet.
    pub fn new(at_once: usize, patience: Duration) -> Self {
        Self { directories: BTreeMap::new(), at_once, patience }
    }

    /// Adds something to the next round of its directory.
    pub fn add(&mut self, directory: K, thing: T) {
        self.directory(directory).waiting.push_back(thing);
    }

    /// Adds something that begins before everything else.
    pub fn add_urgent(&mut self, directory: K, thing: T) {
        self.directory(directory).urgent.push_back(thing);
    }

    fn directory(&mut self, key: K) -> &mut Directory<T> {
        let (urgent, round, waiting) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        self.directories.entry(key).or_insert(Directory { urgent, round, waiting, running: 0, begun: None })
    }

    /// What to do now.
    pub fn next(&mut self, now: Instant) -> Next<K, T> {
        for (key, directory) in &mut self.directories {
            if let Some(thing) = directory.urgent.pop_front() {
                directory.running += 1;
                return Next::Begin(key.clone(), thing);
            }
        }
        let mut earliest: Option<Duration> = None;
        for (key, directory) in &mut self.directories {
            if directory.running >= self.at_once {
                continue;
            }
            if directory.round.is_empty() && !directory.waiting.is_empty() {
                let since = directory.begun.map_or(self.patience, |begun| now.saturating_duration_since(begun));
                if directory.running > 0 && since < self.patience {
                    let left = self.patience - since;
                    earliest = Some(earliest.map_or(left, |earliest| earliest.min(left)));
                    continue;
                }
                directory.round = std::mem::take(&mut directory.waiting);
            }
            if let Some(thing) = directory.round.pop_front() {
                directory.running += 1;
                directory.begun = Some(now);
                return Next::Begin(key.clone(), thing);
            }
        }
        earliest.map_or(Next::Nothing, Next::Wait)
    }

    /// One that was begun in this directory is done.
    pub fn done(&mut self, directory: &K) {
        let Some(found) = self.directories.get_mut(directory) else { return };
        found.running -= 1;
        if found.running == 0 && [&found.urgent, &found.round, &found.waiting].iter().all(|queue| queue.is_empty()) {
            self.directories.remove(directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(2);

    fn begin(rounds: &mut Rounds<&'static str, u32>, now: Instant) -> Vec<u32> {
        let mut begun = Vec::new();
        while let Next::Begin(_, thing) = rounds.next(now) {
            begun.push(thing);
        }
        begun
    }

    #[test]
    fn what_comes_in_meanwhile_is_one_round_and_begins_together() {
        let (mut rounds, now) = (Rounds::new(8, PATIENCE), Instant::now());
        rounds.add("a", 1);
        assert_eq!(begin(&mut rounds, now), [1]);
        for thing in 2..=5 {
            rounds.add("a", thing);
            assert_eq!(begin(&mut rounds, now), [0; 0], "the first round is under way");
        }
        rounds.done(&"a");
        assert_eq!(begin(&mut rounds, now), [2, 3, 4, 5]);
        rounds.add("a", 6);
        for _ in 0..3 {
            rounds.done(&"a");
            assert_eq!(begin(&mut rounds, now), [0; 0]);
        }
        rounds.done(&"a");
        assert_eq!(begin(&mut rounds, now), [6]);
        rounds.done(&"a");
        assert_eq!((rounds.next(now), rounds.directories.len()), (Next::Nothing, 0));
    }

    #[test]
    fn a_straggler_is_waited_for_only_so_long() {
        let (mut rounds, now) = (Rounds::new(8, PATIENCE), Instant::now());
        rounds.add("a", 1);
        assert_eq!(begin(&mut rounds, now), [1]);
        rounds.add("a", 2);
        let half = now + PATIENCE / 2;
        assert_eq!(rounds.next(half), Next::Wait(PATIENCE / 2));
        assert_eq!(begin(&mut rounds, now + PATIENCE), [2]);
    }

    #[test]
    fn directories_do_not_wait_for_each_other_and_none_takes_every_thread() {
        let (mut rounds, now) = (Rounds::new(2, PATIENCE), Instant::now());
        for thing in [1, 2, 3] {
            rounds.add("slow", thing);
        }
        assert_eq!(begin(&mut rounds, now), [1, 2]);
        rounds.add("other", 10);
        assert_eq!(begin(&mut rounds, now), [10]);
        assert_eq!(rounds.next(now + PATIENCE), Next::Nothing, "the third waits for a place, not for a time");
        rounds.done(&"slow");
        assert_eq!(begin(&mut rounds, now), [3]);
    }

    #[test]
    fn what_is_urgent_waits_for_nothing_that_was_there_before() {
        let (mut rounds, now) = (Rounds::new(2, PATIENCE), Instant::now());
        for thing in [1, 2, 3] {
            rounds.add("a", thing);
        }
        assert_eq!(begin(&mut rounds, now), [1, 2]);
        rounds.add("a", 4);
        rounds.add_urgent("a", 100);
        assert_eq!(begin(&mut rounds, now), [100], "the places of its directory are taken");
        rounds.done(&"a");
        assert_eq!(begin(&mut rounds, now), [0; 0], "it has a place like the others");
        rounds.done(&"a");
        assert_eq!(begin(&mut rounds, now), [3]);
        for _ in 0..2 {
            rounds.done(&"a");
        }
        assert_eq!(begin(&mut rounds, now), [4]);
        rounds.done(&"a");
        assert!(rounds.directories.is_empty());
    }
}
