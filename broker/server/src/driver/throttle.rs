//! A limit on bytes a second, for work that goes on beside the clients': compaction, moves between directories. Pure: it is
//! told the time.
//!
//! Invariant: over any stretch of time no more goes through than the limit allows, but for what was taken last; time in
//! which nothing is taken is not saved up.

use std::time::Duration;

/// When what was taken has been paid for. Times are counted from any one moment.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: Option<u64>,
    paid_at: Duration,
}

impl Throttle {
    /// `None`: no limit.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, paid_at: Duration::ZERO }
    }

    /// Changes the limit for what is taken from now on. What was taken under another one is paid for, so that nobody waits for
    /// years who has raised it.
    pub fn set_limit(&mut self, bytes_per_second: Option<u64>) {
        if self.bytes_per_second != bytes_per_second {
            *self = Self::new(bytes_per_second);
        }
    }

    /// So many bytes more are going to be read or written, or were. Gives the time at which whoever took them may go on.
    pub fn take(&mut self, now: Duration, bytes: u64) -> Duration {
        let Some(limit) = self.bytes_per_second else { return now };
        let cost_ns = u128::from(bytes) * 1_000_000_000 / u128::from(limit.max(1));
        let cost = Duration::from_nanos(u64::try_from(cost_ns).unwrap_or(u64::MAX));
        self.paid_at = self.paid_at.max(now).saturating_add(cost);
        self.paid_at
    }

    /// When everything that was taken will have been paid for.
    pub fn paid_at(&self) -> Duration {
        self.paid_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn no_more_goes_through_than_the_limit() {
        let mut throttle = Throttle::new(Some(1_000));
        assert_eq!(throttle.take(ms(0), 500), ms(500));
        assert_eq!(throttle.take(ms(500), 1_000), ms(1_500));
        // Whoever comes meanwhile stands behind.
        assert_eq!(throttle.take(ms(600), 100), ms(1_600));
    }

    #[test]
    fn a_raised_limit_holds_at_once() {
        let mut throttle = Throttle::new(Some(1));
        assert_eq!(throttle.take(ms(0), 1_000_000), ms(1_000_000_000));
        throttle.set_limit(Some(1));
        assert!(throttle.take(ms(0), 0) > ms(1_000), "nothing was changed");
        throttle.set_limit(Some(1_000));
        assert_eq!(throttle.paid_at(), ms(0), "whoever waits need not wait any longer");
        assert_eq!(throttle.take(ms(5), 1_000), ms(1_005));
    }

    #[test]
    fn small_pieces_cost_as_much_as_a_large_one() {
        let mut throttle = Throttle::new(Some(1_000_000));
        let last = (0..1_000).map(|_| throttle.take(ms(0), 10)).last();
        assert_eq!(last, Some(ms(10)));
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let mut throttle = Throttle::new(Some(1_000));
        throttle.take(ms(0), 100);
        assert_eq!(throttle.take(ms(3_600_000), 500), ms(3_600_500));
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let mut throttle = Throttle::new(None);
        throttle.take(ms(0), u64::MAX);
        assert_eq!(throttle.take(ms(1), u64::MAX), ms(1));
        let mut slowest = Throttle::new(Some(1));
        slowest.take(ms(0), u64::MAX);
        assert!(slowest.take(ms(0), u64::MAX) > ms(u64::from(u32::MAX)));
    }
}
