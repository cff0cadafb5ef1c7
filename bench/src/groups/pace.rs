//! The clock of the commits: each has a time at which it is meant to be sent, whatever the broker does meanwhile, and its
//! latency counts from then.

use super::member::Order;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// Commits of one member that may wait for it. What is beyond that is not kept up with.
pub const WAITING_AT_MOST: usize = 64;
/// Shortest sleep; commits that fall due meanwhile are given out together.
const NAP: Duration = Duration::from_micros(50);

/// How many commits each second, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Commits each second, of all members together.
    pub per_s: u64,
    /// Seconds.
    pub seconds: u64,
}

/// What was given out.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// Commits.
    pub commits: u64,
    /// When the first was meant to be sent.
    pub first: Instant,
    /// A member had [`WAITING_AT_MOST`] waiting for it, so it ended early.
    pub behind: bool,
}

/// Gives commits out to members in turn. Blocks until the last is given out, or somebody is behind or gone.
pub fn give_out(members: &[Sender<Order>], pace: Pace) -> Given {
    let first = Instant::now();
    let mut given = Given { commits: 0, first, behind: false };
    while given.commits < pace.per_s * pace.seconds {
        let meant = first + due(given.commits, pace.per_s);
        while let Some(early) = meant.checked_duration_since(Instant::now()) {
            std::thread::sleep(early.max(NAP));
        }
        let Some(member) = members.get((given.commits % members.len().max(1) as u64) as usize) else { break };
        match member.try_send(Order::Commit { meant }) {
            Ok(()) => given.commits += 1,
            Err(TrySendError::Full(_)) => {
                given.behind = true;
                break;
            }
            // A member that is gone has said why.
            Err(TrySendError::Closed(_)) => break,
        }
    }
    given
}

/// When a commit is meant to be sent, from the first on.
fn due(number: u64, per_s: u64) -> Duration {
    let nanos = u128::from(number) * 1_000_000_000 / u128::from(per_s.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[test]
    fn commits_are_due_at_steady_times() {
        assert_eq!(due(0, 1_000), Duration::ZERO);
        assert_eq!(due(2_500, 1_000), Duration::from_millis(2_500));
        assert_eq!(due(3_000_000_000, 3), Duration::from_secs(1_000_000_000));
    }

    #[test]
    fn members_take_turns() {
        let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel(4)).unzip();
        let given = give_out(&senders, Pace { per_s: 10, seconds: 1 });
        assert_eq!((given.commits, given.behind), (10, false));
        let counts = receivers.iter_mut().map(|orders| std::iter::from_fn(|| orders.try_recv().ok()).count());
        assert_eq!(counts.collect::<Vec<_>>(), [4, 3, 3]);
    }

    #[test]
    fn who_is_behind_ends_it() {
        let (sender, _receiver) = mpsc::channel(2);
        let given = give_out(&[sender], Pace { per_s: 1_000, seconds: 1 });
        assert_eq!((given.commits, given.behind), (2, true));
    }
}
