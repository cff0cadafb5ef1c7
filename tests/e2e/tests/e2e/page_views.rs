//! The emblem: page views of a real access log, read by confluent-kafka with read_committed and compared
//! with a count that Python makes from the file.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{Pelton, repository};
use std::path::PathBuf;

/// The true counts' digest of the shared access log, where it is at hand.
const SHARED_LOG_SHA256: &str = "b7422ae682a3eac005a249d0a1707820565250dec25bd997330cc669f22a01b0";

fn shared_log() -> Option<PathBuf> {
    let path = repository().join("../shared/data/apache_access.log");
    path.is_file().then_some(path)
}

#[test]
fn confluent_kafka_reads_the_counts_that_python_makes_from_the_file() -> Result<()> {
    let broker = Pelton::start()?;
    broker.run_pv_count(6)?;
    let (path, shared) = match shared_log() {
        Some(path) => (path, true),
        None => (repository().join("tests/e2e/clients/access.log"), false),
    };
    let path = path.to_str().context("a path in UTF-8")?;
    broker.python("produce_lines.py", &["access-log", path])?;
    let digest = broker.python("compare_counts.py", &["page-views", path])?;
    ensure!(!shared || digest.trim() == SHARED_LOG_SHA256, "the digest is {digest}");
    Ok(())
}

#[test]
fn a_stopped_job_goes_on_where_it_was() -> Result<()> {
    let mut broker = Pelton::start()?;
    broker.run_pv_count(2)?;
    let path = repository().join("tests/e2e/clients/access.log");
    let path = path.to_str().context("a path in UTF-8")?;
    broker.python("produce_lines.py", &["access-log", path])?;
    broker.python("compare_counts.py", &["page-views", path])?;
    broker.cli(&["job", "stop", "pv-count"])?;
    broker.python("produce_lines.py", &["access-log", path])?;
    broker.kill()?;
    broker.restart()?;
    let spec = repository().join("examples/01-pv-count/job.toml");
    broker.cli(&["job", "run", spec.to_str().context("a path in UTF-8")?])?;
    broker.python("compare_counts.py", &["page-views", path, path])?;
    Ok(())
}

#[test]
fn a_line_that_is_no_access_log_line_goes_to_the_dead_letter_topic() -> Result<()> {
    let broker = Pelton::start()?;
    broker.run_pv_count(3)?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("mixed.log");
    let long = format!("1.2.3.4 - - [x] \"GET /{} HTTP/1.1\" 200 1\n", "a".repeat(100_000));
    let good = "1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET /a?b=c HTTP/1.1\" 200 1 \"-\" \"x\"\n";
    std::fs::write(&path, format!("{good}\nno access log line\n{good}{long}"))?;
    let path = path.to_str().context("a path in UTF-8")?;
    broker.python("produce_lines.py", &["access-log", path])?;
    broker.python("compare_counts.py", &["page-views", path])?;
    let letters =
        broker.cli(&["consume", "pv-count-dead-letter", "--from-beginning", "--max-messages", "2", "--json"])?;
    ensure!(letters.lines().count() == 2, "two lines are bad: {letters}");
    ensure!(letters.contains("no access log line") && letters.contains("pelton.reason"), "{letters}");
    Ok(())
}
