//! Until when a connection is not read, because its client used up more than its quota (KIP-219).
//!
//! What it does: it keeps the end of that time, which only moves on. What it does not do: it holds back no answer; those that are
//! owed leave meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The end of a connection's mute, if there ever was one.
#[derive(Debug)]
pub struct Mute {
    /// What the end is counted from.
    origin: Instant,
    /// In microseconds after the origin; 0: it was never muted.
    until_us: AtomicU64,
}

impl Default for Mute {
    fn default() -> Self {
        Self { origin: Instant::now(), until_us: AtomicU64::new(0) }
    }
}

impl Mute {
    /// The connection is not read for so long from now on, or longer where that was said before.
    pub fn extend(&self, time: Duration) {
        let until = self.origin.elapsed().saturating_add(time);
        self.until_us.fetch_max(u64::try_from(until.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Waits until it may be read. Costs a look where it was never muted.
    pub async fn over(&self) {
        while let Some(left) = self.left() {
            tokio::time::sleep(left).await;
        }
    }

    /// Whether it was muted at any moment of the last `time`, so that its client could not be heard.
    pub fn was_on_in_the_last(&self, time: Duration) -> bool {
        let since = self.origin.elapsed().saturating_sub(time);
        self.until().is_some_and(|until| until > since)
    }

    fn until(&self) -> Option<Duration> {
        let until = self.until_us.load(Ordering::Relaxed);
        (until > 0).then(|| Duration::from_micros(until))
    }

    fn left(&self) -> Option<Duration> {
        self.until()?.checked_sub(self.origin.elapsed()).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_lasts_until_the_latest_end_that_was_said() {
        let (begun, mute) = (Instant::now(), Mute::default());
        mute.over().await;
        assert!(!mute.was_on_in_the_last(Duration::from_secs(60)), "it was never muted");
        mute.extend(Duration::from_millis(40));
        mute.extend(Duration::from_millis(1));
        mute.over().await;
        assert!(begun.elapsed() >= Duration::from_millis(40), "a shorter time does not end a longer one");
        assert!(mute.left().is_none());
        assert!(mute.was_on_in_the_last(Duration::from_secs(60)));
        mute.extend(Duration::MAX);
        assert!(mute.left().is_some_and(|left| left > Duration::from_secs(1 << 30)), "it does not overflow");
    }
}
