//! `log.cleaner.io.max.bytes.per.second`. Pure: it is told the time.

use std::time::Duration;

/// How long reads and writes have to wait so that they stay below so many bytes a second on the whole.
#[derive(Debug)]
pub(super) struct Throttle {
    bytes_per_second: Option<u64>,
    taken: u64,
}

impl Throttle {
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, taken: 0 }
    }

    /// So many bytes more are going to be read or written.
    pub fn take(&mut self, bytes: u64) {
        self.taken = self.taken.saturating_add(bytes);
    }

    /// How long to wait for that, `elapsed` after the first byte was taken.
    pub fn wait(&self, elapsed: Duration) -> Duration {
        let Some(limit) = self.bytes_per_second else { return Duration::ZERO };
        let due_ms = u128::from(self.taken) * 1_000 / u128::from(limit.max(1));
        Duration::from_millis(u64::try_from(due_ms).unwrap_or(u64::MAX)).saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_goes_through_than_the_limit() {
        let mut throttle = Throttle::new(Some(1_000));
        throttle.take(500);
        assert_eq!(throttle.wait(Duration::ZERO), Duration::from_millis(500));
        assert_eq!(throttle.wait(Duration::from_millis(500)), Duration::ZERO);
        throttle.take(1_000);
        assert_eq!(throttle.wait(Duration::from_millis(600)), Duration::from_millis(900));
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let mut throttle = Throttle::new(None);
        throttle.take(u64::MAX);
        throttle.take(u64::MAX);
        assert_eq!(throttle.wait(Duration::ZERO), Duration::ZERO);
    }
}
