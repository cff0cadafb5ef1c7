//! Log lines that clients can bring about as often as they like: one in a while for each thing that they are about, and with the
//! next one how many were left out.
//!
//! Bound: `most` things are remembered; where there are more, those that nothing was said of for a while make room, and
//! of what finds none nothing is said.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Who may say what, and when.
#[derive(Debug)]
pub struct Seldom<K> {
    every: Duration,
    most: usize,
    said: Mutex<BTreeMap<K, Said>>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    left_out: u64,
}

impl<K: Ord> Seldom<K> {
    /// A line about the same thing once in `every`, of `most` things.
    pub fn new(every: Duration, most: usize) -> Self {
        Self { every, most, said: Mutex::default() }
    }

    /// Whether a line about this may be written, and if so how many were left out since the last one.
    pub fn may_say(&self, about: K) -> Option<u64> {
        self.may_say_at(about, Instant::now())
    }

    fn may_say_at(&self, about: K, now: Instant) -> Option<u64> {
        let mut all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |said: &Said| now.saturating_duration_since(said.at) >= self.every;
        if let Some(said) = all.get_mut(&about) {
            if !is_over(said) {
                said.left_out += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.left_out));
        }
        if all.len() >= self.most {
            all.retain(|_, said| !is_over(said));
        }
        if all.len() >= self.most {
            return None;
        }
        all.insert(about, Said { at: now, left_out: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn one_line_in_a_while_and_then_how_many_there_were() {
        let (seldom, now) = (Seldom::new(MINUTE, 2), Instant::now());
        assert_eq!(seldom.may_say_at("a", now), Some(0));
        for _ in 0..3 {
            assert_eq!(seldom.may_say_at("a", now + MINUTE / 2), None);
        }
        assert_eq!(seldom.may_say_at("b", now + MINUTE / 2), Some(0), "that is about something else");
        assert_eq!(seldom.may_say_at("a", now + MINUTE), Some(3));
        assert_eq!(seldom.may_say_at("a", now + MINUTE), None);
        assert_eq!(seldom.may_say_at("a", now + 2 * MINUTE), Some(1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (seldom, now) = (Seldom::new(MINUTE, 10), Instant::now());
        assert_eq!((0..100).filter(|about| seldom.may_say_at(*about, now).is_some()).count(), 10);
        assert_eq!(seldom.said.lock().unwrap().len(), 10);
        assert_eq!(seldom.may_say_at(200, now + MINUTE), Some(0), "the others have made room");
        assert_eq!(seldom.said.lock().unwrap().len(), 1);
    }
}
