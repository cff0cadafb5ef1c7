//! How often something took how long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds: from what a request in memory takes to what a slow disk does.
pub const BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// Times, counted in buckets. Additions cost two relaxed atomic operations.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each bound, and one for what is past the last.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

/// What a histogram has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many fell into each bucket alone.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// All times together, in nanoseconds.
    pub sum_ns: u64,
}

impl Histogram {
    /// Something took so long.
    pub fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Adds what was counted here to `sum`.
    pub fn add_to(&self, sum: &mut Distribution) {
        for (total, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.load(Ordering::Relaxed);
        }
        sum.sum_ns = sum.sum_ns.wrapping_add(self.sum_ns.load(Ordering::Relaxed));
    }

    /// What was counted here.
    pub fn distribution(&self) -> Distribution {
        let mut sum = Distribution::default();
        self.add_to(&mut sum);
        sum
    }
}

impl Distribution {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_first_bucket_that_is_not_below_it() {
        let histogram = Histogram::default();
        let times = [Duration::ZERO, Duration::from_micros(50), Duration::from_micros(51), Duration::from_secs(99)];
        times.into_iter().for_each(|time| histogram.record(time));
        let found = histogram.distribution();
        assert_eq!((found.buckets[0], found.buckets[1], found.buckets[16], found.count()), (2, 1, 1, 4));
        assert_eq!(found.sum_ns, 99_000_101_000);
        let mut twice = found;
        histogram.add_to(&mut twice);
        assert_eq!(twice.count(), 8);
    }
}
