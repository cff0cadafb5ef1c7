//! When the broker is killed: at seeded random moments, spread over the whole way of the input.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// What the moment of a kill is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Lines that were fed.
    Fed,
    /// Lines that came out at the other end.
    Counted,
}

/// One kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    /// What it is measured by.
    pub by: Progress,
    /// How many lines must have come that far.
    pub at_line: u64,
    /// How long after that, so that kills fall anywhere in a commit interval.
    pub pause: Duration,
}

/// `kills` kills for an input of `lines` lines, in the order of their moments. The way is cut into as many equal
/// parts, and each part has its kill somewhere; those while feeding and those while counting take turns.
pub fn plan(seed: u64, kills: u32, lines: u64) -> Vec<Kill> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x6b69_6c6c);
    let mut planned = Vec::new();
    for number in 0..kills {
        let fraction = (f64::from(number) + random.random_range(0.05..0.95)) / f64::from(kills);
        planned.push(Kill {
            by: if number % 2 == 0 { Progress::Fed } else { Progress::Counted },
            at_line: (fraction * lines as f64) as u64,
            pause: Duration::from_micros(random.random_range(0..40_000)),
        });
    }
    planned
}

/// How many lines may be fed before kill number `next` is due: up to the next one that is to hit the feed.
pub fn allowed(plan: &[Kill], next: usize) -> u64 {
    let ahead = plan.get(next..).unwrap_or_default();
    ahead.iter().find(|kill| kill.by == Progress::Fed).map_or(u64::MAX, |kill| kill.at_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_seeded_spread_and_in_order() {
        assert_eq!(plan(1, 8, 10_000), plan(1, 8, 10_000));
        assert_ne!(plan(1, 8, 10_000), plan(2, 8, 10_000));
        for seed in 0..50 {
            let plan = plan(seed, 8, 10_000);
            assert!(plan.is_sorted_by_key(|kill| kill.at_line));
            assert!(plan[0].at_line < 1250 && plan[7].at_line >= 8750 && plan[7].at_line < 10_000);
            assert_eq!(plan.iter().filter(|kill| kill.by == Progress::Fed).count(), 4);
        }
    }

    #[test]
    fn what_a_kill_waits_for_can_always_be_reached() {
        for lines in [0, 1, 2, 10, 1000] {
            let plan = plan(3, 7, lines);
            for (number, kill) in plan.iter().enumerate() {
                assert!(kill.at_line <= allowed(&plan, number).min(lines), "{lines} {number}");
            }
        }
        assert_eq!(allowed(&[], 0), u64::MAX);
    }
}
