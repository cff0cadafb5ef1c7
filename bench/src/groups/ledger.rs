//! What the members of all groups know together: who is settled in which generation, what was acknowledged, and how long
//! it took.
//!
//! It lives on the thread of the load, so nothing here is locked. What it says was acknowledged is exactly what the broker
//! must give back, before and after a crash.

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use std::cell::RefCell;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Largest latency that is told apart, in microseconds.
const MOST_MICROS: u64 = 600_000_000;

/// Committed offsets by partition; `None`: nothing was committed.
pub type Offsets = Vec<Option<i64>>;

/// What became of commits.
#[derive(Clone)]
pub struct Commits {
    /// From the time at which a commit was meant to be sent until its answer, in microseconds.
    pub latency: Histogram<u64>,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Refused because the group rebalances.
    pub rebalancing: u64,
    /// Refused because the generation is over or the member is not known.
    pub fenced: u64,
    /// When the last of them was answered.
    pub last: Instant,
}

impl Commits {
    fn none() -> Result<Self> {
        let latency = Histogram::new_with_bounds(1, MOST_MICROS, 3)?;
        Ok(Self { latency, acknowledged: 0, rebalancing: 0, fenced: 0, last: Instant::now() })
    }

    /// All that were answered.
    pub fn answered(&self) -> u64 {
        self.acknowledged + self.rebalancing + self.fenced
    }
}

/// When a group came to rest.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    /// The last JoinGroup that brought the generation about was sent.
    pub last_join: Instant,
    /// Every member has its partitions and the offsets to go on from.
    pub at: Instant,
}

struct Group {
    /// Generations by member; `None`: it is on its way into one.
    generations: Vec<Option<i32>>,
    offsets: Offsets,
    last_join: Instant,
    settled: Option<Settled>,
    /// Generations that began.
    rounds: u64,
}

/// The ledger.
pub struct Ledger {
    groups: RefCell<Vec<Group>>,
    commits: RefCell<Commits>,
    settled: Notify,
}

impl Ledger {
    /// Of groups that are not there yet.
    pub fn new(groups: usize, members: usize, partitions: i32) -> Result<Self> {
        let group = || Group {
            generations: vec![None; members],
            offsets: vec![None; usize::try_from(partitions).unwrap_or(0)],
            last_join: Instant::now(),
            settled: None,
            rounds: 0,
        };
        let groups = RefCell::new((0..groups).map(|_| group()).collect());
        Ok(Self { groups, commits: RefCell::new(Commits::none()?), settled: Notify::new() })
    }

    /// A member sends a JoinGroup.
    pub fn joins(&self, group: usize, member: usize) {
        let group = &mut self.groups.borrow_mut()[group];
        group.generations[member] = None;
        group.last_join = Instant::now();
    }

    /// A member has its partitions, and what is committed of them.
    pub fn settles(&self, group: usize, member: usize, generation: i32) {
        let group = &mut self.groups.borrow_mut()[group];
        group.generations[member] = Some(generation);
        let first = group.generations.first().copied().flatten();
        if first.is_some() && group.generations.iter().all(|other| *other == first) {
            group.settled.get_or_insert(Settled { last_join: group.last_join, at: Instant::now() });
            group.rounds += 1;
            self.settled.notify_one();
        }
    }

    /// From now on another rest is waited for. A group that has it already has to find it anew.
    pub fn unsettle(&self) {
        for group in self.groups.borrow_mut().iter_mut() {
            group.settled = None;
            group.generations.fill(None);
        }
    }

    /// When each group came to rest, once all of them have.
    pub async fn all_settled(&self) -> Vec<Settled> {
        loop {
            let settled: Option<Vec<Settled>> = self.groups.borrow().iter().map(|group| group.settled).collect();
            match settled {
                Some(all) => return all,
                None => self.settled.notified().await,
            }
        }
    }

    /// How often a group came to rest, in all groups together.
    pub fn rounds(&self) -> u64 {
        self.groups.borrow().iter().map(|group| group.rounds).sum()
    }

    /// Compares what the broker says was committed with what it acknowledged.
    pub fn compare(&self, group: usize, fetched: &[(i32, Option<i64>)]) -> Result<()> {
        let groups = self.groups.borrow();
        for &(partition, fetched) in fetched {
            let known = usize::try_from(partition).ok().and_then(|at| groups[group].offsets.get(at)).copied();
            ensure!(
                known == Some(fetched),
                "void: group {group} has committed {fetched:?} of partition {partition}, and {known:?} was acknowledged"
            );
        }
        Ok(())
    }

    /// What was acknowledged of a partition last.
    pub fn offset(&self, group: usize, partition: i32) -> Option<i64> {
        let at = usize::try_from(partition).ok()?;
        self.groups.borrow()[group].offsets.get(at).copied().flatten()
    }

    /// A commit was acknowledged.
    pub fn acknowledged(&self, group: usize, committed: &[(i32, i64)], meant: Instant) {
        let group = &mut self.groups.borrow_mut()[group];
        for &(partition, offset) in committed {
            if let Some(known) = usize::try_from(partition).ok().and_then(|at| group.offsets.get_mut(at)) {
                *known = Some(offset);
            }
        }
        self.answered(meant, |commits| commits.acknowledged += 1);
    }

    /// A commit was refused because the group rebalances.
    pub fn rebalancing(&self, meant: Instant) {
        self.answered(meant, |commits| commits.rebalancing += 1);
    }

    /// A commit was refused because the member is not one any more.
    pub fn fenced(&self, meant: Instant) {
        self.answered(meant, |commits| commits.fenced += 1);
    }

    fn answered(&self, meant: Instant, count: impl FnOnce(&mut Commits)) {
        let commits = &mut *self.commits.borrow_mut();
        commits.last = Instant::now();
        let micros = commits.last.saturating_duration_since(meant).as_micros();
        commits.latency.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX).max(1));
        count(commits);
    }

    /// How many commits were answered since they were last taken.
    pub fn answers(&self) -> u64 {
        self.commits.borrow().answered()
    }

    /// Takes what became of commits, and begins anew.
    pub fn take_commits(&self) -> Result<Commits> {
        Ok(self.commits.replace(Commits::none()?))
    }

    /// Everything that was acknowledged, by group.
    pub fn offsets(&self) -> Vec<Offsets> {
        self.groups.borrow().iter().map(|group| group.offsets.clone()).collect()
    }
}

/// Milliseconds of durations, as quantiles need them.
pub fn spread(durations: impl Iterator<Item = Duration>) -> Result<Histogram<u64>> {
    let mut spread = Histogram::new_with_bounds(1, MOST_MICROS, 3)?;
    durations.for_each(|one| spread.saturating_record((one.as_micros() as u64).max(1)));
    Ok(spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_rests_when_all_members_are_in_one_generation() {
        let ledger = Ledger::new(1, 2, 4).unwrap();
        let rests = || ledger.groups.borrow()[0].settled.is_some();
        ledger.joins(0, 0);
        ledger.settles(0, 0, 1);
        assert!(!rests());
        ledger.settles(0, 1, 2);
        assert!(!rests());
        ledger.joins(0, 0);
        ledger.settles(0, 0, 2);
        assert!(rests());
        ledger.unsettle();
        assert!(!rests());
        // Who is still in the old generation counts for nothing.
        ledger.settles(0, 1, 3);
        assert!(!rests());
        ledger.settles(0, 0, 3);
        assert!(rests());
        assert_eq!(ledger.rounds(), 2);
    }

    #[test]
    fn what_was_acknowledged_is_what_must_be_there() {
        let ledger = Ledger::new(2, 1, 3).unwrap();
        ledger.acknowledged(1, &[(0, 5), (2, 7)], Instant::now());
        ledger.rebalancing(Instant::now());
        ledger.compare(1, &[(0, Some(5)), (1, None), (2, Some(7))]).unwrap();
        ledger.compare(0, &[(0, None)]).unwrap();
        for wrong in [(0, None), (0, Some(4)), (1, Some(0)), (3, None), (-1, None)] {
            assert!(ledger.compare(1, &[wrong]).is_err());
        }
        assert_eq!(ledger.offset(1, 2), Some(7));
        let commits = ledger.take_commits().unwrap();
        assert_eq!((commits.acknowledged, commits.rebalancing, commits.fenced), (1, 1, 0));
        assert_eq!(commits.latency.len(), 2);
        assert_eq!(ledger.answers(), 0);
        assert_eq!(ledger.offsets()[1], [Some(5), None, Some(7)]);
    }
}
