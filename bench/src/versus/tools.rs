//! Kafka's own load generators, as they come in its jars: ProducerPerformance and ConsumerPerformance.

use crate::kafka::Home;
use crate::process;
use crate::sender::Batching;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// How long one may take.
const AT_MOST: Duration = Duration::from_secs(600);
/// From the start of a JVM until its client sends: what was touched for the run is given back then.
pub const BEGINS_AFTER: Duration = Duration::from_millis(600);

/// What a tool says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Said {
    /// Records.
    pub records: u64,
    /// Records for each second.
    pub per_s: f64,
}

/// Sends so many records, drawn from the lines of a file, to a topic.
pub fn produce(home: &Home, bootstrap: &str, topic: &str, records: u64, lines: &Path, how: Batching) -> Result<Said> {
    let mut java = home.java();
    java.args(["org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", bootstrap, "--topic", topic])
        .args(["--num-records", &records.to_string(), "--throughput", "-1", "--payload-file"])
        .arg(lines)
        .args(["--command-property", "acks=all", "enable.idempotence=true"])
        .args([format!("batch.size={}", how.batch_bytes), format!("linger.ms={}", how.linger_ms)])
        .arg(format!("compression.type={}", how.codec))
        .stderr(Stdio::null());
    let said = process::run_to_end(java, AT_MOST).context("ProducerPerformance")?;
    let said = produced(&said).with_context(|| format!("ProducerPerformance says {said}"))?;
    ensure!(said.records == records, "{} records of {records} were sent", said.records);
    Ok(said)
}

/// Reads so many records of a topic in a group of its own.
pub fn consume(home: &Home, bootstrap: &str, topic: &str, records: u64) -> Result<Said> {
    let mut java = home.java();
    java.args(["org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", bootstrap, "--topic", topic])
        .args(["--num-records", &records.to_string(), "--timeout", "60000", "--hide-header"])
        .stderr(Stdio::null());
    let said = process::run_to_end(java, AT_MOST).context("ConsumerPerformance")?;
    let said = consumed(&said).with_context(|| format!("ConsumerPerformance says {said}"))?;
    ensure!(said.records == records, "{} records of {records} were read", said.records);
    Ok(said)
}

/// `N records sent, R records/sec (M MB/sec), ...`, the last line of its kind.
fn produced(text: &str) -> Option<Said> {
    let line = text.lines().rfind(|line| line.contains(" records sent, ") && line.contains(" 99.9th"))?;
    let (records, rest) = line.split_once(" records sent, ")?;
    let (per_s, _) = rest.split_once(" records/sec")?;
    Some(Said { records: records.trim().parse().ok()?, per_s: per_s.trim().parse().ok()? })
}

/// `start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, MB/s of fetching, records/s of fetching`. What counts
/// is the time in which it fetches: to join a group is not the same as to read.
fn consumed(text: &str) -> Option<Said> {
    let line = text.lines().rfind(|line| line.split(',').count() == 10)?;
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    Some(Said { records: fields[4].parse().ok()?, per_s: fields[9].parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_producer_says_is_understood() {
        let text = "1000 records sent, 10.0 records/sec (0.01 MB/sec), 5.0 ms avg latency, 9.0 ms max latency.\n\
                    400000 records sent, 98765.4 records/sec (96.45 MB/sec), 12.30 ms avg latency, 45.00 ms max latency, \
                    5 ms 50th, 20 ms 95th, 30 ms 99th, 40 ms 99.9th.\n";
        assert_eq!(produced(text), Some(Said { records: 400_000, per_s: 98765.4 }));
        assert_eq!(produced("Exception in thread"), None);
    }

    #[test]
    fn what_the_consumer_says_is_understood() {
        let text = "2026-11-22 06:00:00:000, 2026-11-22 06:00:02:000, 390.6250, 195.3, 400000, 200000.0, 500, 1500, 260.4, 266666.7\n";
        assert_eq!(consumed(text), Some(Said { records: 400_000, per_s: 266_666.7 }));
        assert_eq!(consumed(""), None);
    }
}
