//! When which part wants to be told that time has passed.

use pelton_core::model::{PartId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// At most one wish for each part.
#[derive(Debug, Default)]
pub struct Timers {
    by_part: BTreeMap<PartId, Timestamp>,
    by_time: BTreeSet<(Timestamp, PartId)>,
}

impl Timers {
    /// Notes a wish in place of the part's earlier one.
    pub fn set(&mut self, part: PartId, at: Timestamp) {
        if let Some(earlier) = self.by_part.insert(part.clone(), at) {
            self.by_time.remove(&(earlier, part.clone()));
        }
        self.by_time.insert((at, part));
    }

    /// When the next wish is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one wish that is due.
    pub fn take_due(&mut self, now: Timestamp) -> Option<PartId> {
        let (at, _) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        let (_, part) = self.by_time.pop_first()?;
        self.by_part.remove(&part);
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_wish_replaces_the_earlier_one() {
        let mut timers = Timers::default();
        timers.set(PartId::Group(1), Timestamp(10));
        timers.set(PartId::Group(2), Timestamp(20));
        timers.set(PartId::Group(1), Timestamp(30));
        assert_eq!(timers.next(), Some(Timestamp(20)));
        assert_eq!(timers.take_due(Timestamp(19)), None);
        assert_eq!(timers.take_due(Timestamp(30)), Some(PartId::Group(2)));
        assert_eq!(timers.take_due(Timestamp(30)), Some(PartId::Group(1)));
        assert_eq!(timers.next(), None);
    }
}
