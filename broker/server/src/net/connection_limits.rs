//! How many connections there may be, in all and from one address. Decides; counts only what it is told.
//!
//! Kafka's `max.connections`, `max.connections.per.ip` and `max.connections.per.ip.overrides`. A connection past a limit is
//! closed at once. Kafka lets clients past `max.connections` wait unaccepted instead, which they cannot tell from a
//! broker that hangs. Connections of the control listener count for themselves, so that an operator gets in when
//! clients have taken every other place.
//!
//! Invariant: the count of an address is there exactly while it has connections, so that what is kept is bounded by the
//! connections that there are.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// Connections of the control listener at most.
pub const MAX_CONTROL: usize = 256;

/// The limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// `max.connections`.
    pub total: usize,
    /// `max.connections.per.ip`.
    pub per_ip: usize,
    /// `max.connections.per.ip.overrides`: what holds for an address instead of `per_ip`.
    pub overrides: BTreeMap<IpAddr, usize>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: usize::MAX, per_ip: usize::MAX, overrides: BTreeMap::new() }
    }
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are as many as there may be.
    #[error("max.connections is reached")]
    Total,
    /// Its address has as many as it may have.
    #[error("max.connections.per.ip is reached")]
    PerIp,
    /// The control listener has as many as it may have.
    #[error("the control listener has as many connections as it may have")]
    Control,
}

impl Refused {
    /// Its name among the labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "max.connections",
            Self::PerIp => "max.connections.per.ip",
            Self::Control => "control",
        }
    }
}

/// The connections, counted.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    limits: ConnectionLimits,
    total: usize,
    control: usize,
    by_ip: HashMap<IpAddr, usize>,
}

impl ConnectionCounts {
    /// Without any connection yet.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Other limits hold from now on. Connections that are there stay.
    pub fn set_limits(&mut self, limits: ConnectionLimits) {
        self.limits = limits;
    }

    /// The limits that hold.
    pub fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    /// Counts a connection in.
    ///
    /// # Errors
    /// [`Refused`]; it is not counted then.
    pub fn admit(&mut self, ip: IpAddr, control: bool) -> Result<(), Refused> {
        let ip = ip.to_canonical();
        if control {
            if self.control >= MAX_CONTROL {
                return Err(Refused::Control);
            }
            self.control += 1;
            return Ok(());
        }
        if self.total >= self.limits.total {
            return Err(Refused::Total);
        }
        let allowed = self.limits.overrides.get(&ip).copied().unwrap_or(self.limits.per_ip);
        if self.by_ip.get(&ip).copied().unwrap_or(0) >= allowed {
            return Err(Refused::PerIp);
        }
        *self.by_ip.entry(ip).or_insert(0) += 1;
        self.total += 1;
        Ok(())
    }

    /// Counts a connection out that was counted in.
    pub fn release(&mut self, ip: IpAddr, control: bool) {
        if control {
            self.control = self.control.saturating_sub(1);
            return;
        }
        self.total = self.total.saturating_sub(1);
        let ip = ip.to_canonical();
        if let Some(count) = self.by_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.by_ip.remove(&ip);
            }
        }
    }

    /// Connections in all, those of the control listener included.
    pub fn count(&self) -> usize {
        self.total + self.control
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn each_limit_holds_and_an_override_goes_before_it() {
        let overrides = BTreeMap::from([(ip(1), 3), (ip(2), 0)]);
        let mut counts = ConnectionCounts::new(ConnectionLimits { total: 5, per_ip: 1, overrides });
        assert_eq!(counts.admit(ip(2), false), Err(Refused::PerIp), "none from there");
        for _ in 0..3 {
            assert_eq!(counts.admit(ip(1), false), Ok(()));
        }
        assert_eq!(counts.admit(ip(1), false), Err(Refused::PerIp));
        assert_eq!(counts.admit(ip(3), false), Ok(()));
        assert_eq!(counts.admit(ip(3), false), Err(Refused::PerIp));
        assert_eq!(counts.admit(ip(4), false), Ok(()));
        assert_eq!(counts.admit(ip(5), false), Err(Refused::Total));
        assert_eq!(counts.admit(ip(1), true), Ok(()), "the control listener counts for itself");
        counts.release(ip(3), false);
        assert_eq!(counts.admit(ip(3), false), Ok(()), "its place is free again");
        assert_eq!(counts.count(), 6);
    }

    #[test]
    fn an_address_in_either_notation_is_the_same() {
        let mut counts = ConnectionCounts::new(ConnectionLimits { per_ip: 1, ..ConnectionLimits::default() });
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(counts.admit(mapped, false), Ok(()));
        assert_eq!(counts.admit(ip(1), false), Err(Refused::PerIp));
        counts.release(ip(1), false);
        assert_eq!(counts.admit(ip(1), false), Ok(()));
    }

    #[test]
    fn what_is_kept_is_bounded_by_the_connections_that_there_are() {
        let mut counts = ConnectionCounts::new(ConnectionLimits::default());
        for last in 0..=255 {
            counts.admit(ip(last), false).unwrap();
            counts.release(ip(last), false);
        }
        assert!(counts.by_ip.is_empty() && counts.count() == 0);
        for _ in 0..MAX_CONTROL {
            counts.admit(ip(1), true).unwrap();
        }
        assert_eq!(counts.admit(ip(1), true), Err(Refused::Control));
    }

    #[test]
    fn lower_limits_let_those_stay_that_are_there() {
        let mut counts = ConnectionCounts::new(ConnectionLimits::default());
        for _ in 0..3 {
            counts.admit(ip(1), false).unwrap();
        }
        counts.set_limits(ConnectionLimits { total: 2, ..ConnectionLimits::default() });
        assert_eq!(counts.limits().total, 2);
        assert_eq!(counts.admit(ip(2), false), Err(Refused::Total));
        counts.release(ip(1), false);
        counts.release(ip(1), false);
        assert_eq!(counts.admit(ip(2), false), Ok(()));
    }
}
