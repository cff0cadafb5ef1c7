//! Dynamic configs that are no defaults of topic configs, on their way to the rooms that obey them.

use super::set_at_run_time;
use crate::driver::cleaner::CleanerConfig;
use crate::net::connection_limits::ConnectionLimits;
use crate::server::Server;
use crate::topic_configs::plugin_configs::Configs;
use pelton_core::refusal::Refusal;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Bytes of the map of keys at most, as at a start.
const DEDUPE_BUFFER_AT_MOST: usize = 1 << 40;
const OVERRIDES: &str = "max.connections.per.ip.overrides";

/// What the broker was started with, which holds where nothing else is set.
#[derive(Debug, Default)]
pub struct Started {
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// Settings of compaction.
    pub cleaner: CleanerConfig,
    /// Defaults that depend on the machine, by Kafka's names.
    pub defaults: BTreeMap<String, String>,
    /// Held while somebody passes on, so that what was changed last is passed on last.
    passing: Mutex<()>,
}

impl Started {
    /// With these settings.
    pub fn new(connections: ConnectionLimits, cleaner: CleanerConfig, defaults: BTreeMap<String, String>) -> Self {
        Self { connections, cleaner, defaults, passing: Mutex::default() }
    }
}

/// Checks what the kinds of the configs do not say.
///
/// # Errors
/// [`Refusal::InvalidRequest`] names the config, and what would be right.
pub fn check(configs: &Configs) -> Result<(), Refusal> {
    configs.get(OVERRIDES).map_or(Ok(()), |text| overrides(text).map(|_| ()).map_err(Refusal::InvalidRequest))
}

/// Has the rooms go by what holds now.
pub fn obey(server: &Server) {
    let started = &server.started;
    let _passing = started.passing.lock().unwrap_or_else(PoisonError::into_inner);
    let set = |name: &str| set_at_run_time(server, name);
    let number = |name: &str| set(name)?.trim().parse::<u64>().ok();
    let count = |name: &str, otherwise| number(name).map_or(otherwise, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let limits = &started.connections;
    server.connections.set_limits(ConnectionLimits {
        total: count("max.connections", limits.total),
        per_ip: count("max.connections.per.ip", limits.per_ip),
        overrides: set(OVERRIDES).and_then(|text| overrides(&text).ok()).unwrap_or_else(|| limits.overrides.clone()),
    });
    let cleaner = &started.cleaner;
    let rate = set("log.cleaner.io.max.bytes.per.second").and_then(|text| text.trim().parse::<f64>().ok());
    server.driver.cleaner().configure(CleanerConfig {
        backoff_ms: number("log.cleaner.backoff.ms").unwrap_or(cleaner.backoff_ms),
        dedupe_buffer_bytes: count("log.cleaner.dedupe.buffer.size", cleaner.dedupe_buffer_bytes)
            .min(DEDUPE_BUFFER_AT_MOST),
        io_max_bytes_per_second: match rate {
            // Kafka's default, which is no limit.
            Some(rate) if rate >= u64::MAX as f64 => None,
            Some(rate) => Some((rate as u64).max(1)),
            None => cleaner.io_max_bytes_per_second,
        },
        ..cleaner.clone()
    });
}

/// Addresses with a number of connections of their own, as `ADDRESS:COUNT`, parted by commas. Names of hosts are
/// looked up at a start alone.
fn overrides(text: &str) -> Result<BTreeMap<IpAddr, usize>, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let entry = |entry: &str| {
        let (address, count) = entry.rsplit_once(':')?;
        let address = address.trim().trim_start_matches('[').trim_end_matches(']');
        Some((address.parse::<IpAddr>().ok()?.to_canonical(), count.trim().parse().ok()?))
    };
    let wrong = |text: &str| {
        let text: String = text.chars().take(100).collect();
        format!("{OVERRIDES}: {text:?} is not ADDRESS:COUNT; a name of a host can be set in server.properties alone")
    };
    entries.map(|text| entry(text).ok_or_else(|| wrong(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_names_are_refused() {
        let read = overrides("10.0.0.7:2, [::1]:3,").unwrap();
        assert_eq!(read, BTreeMap::from([("10.0.0.7".parse().unwrap(), 2), ("::1".parse().unwrap(), 3)]));
        assert_eq!(overrides(""), Ok(BTreeMap::new()));
        for wrong in ["localhost:2", "10.0.0.7", "10.0.0.7:many", "10.0.0.7:-1"] {
            assert!(overrides(wrong).unwrap_err().contains(OVERRIDES), "{wrong}");
        }
    }
}
