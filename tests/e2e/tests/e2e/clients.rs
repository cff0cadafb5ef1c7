//! confluent-kafka, kafka-python and kcat, unmodified.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{Pelton, run};
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn confluent_kafka_produces_consumes_and_commits() -> Result<()> {
    let broker = Pelton::start()?;
    broker.python("confluent_round_trip.py", &[])?;
    Ok(())
}

#[test]
fn confluent_kafka_transactions_are_all_or_nothing() -> Result<()> {
    let broker = Pelton::start()?;
    broker.python("confluent_transactions.py", &[])?;
    Ok(())
}

#[test]
fn kafka_python_produces_consumes_and_commits() -> Result<()> {
    let broker = Pelton::start()?;
    broker.python("kafka_python_round_trip.py", &[])?;
    Ok(())
}

#[test]
fn kcat_lists_produces_and_consumes() -> Result<()> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "kcat", "--partitions", "3"])?;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let mut producer = Command::new("kcat")
            .args(["-P", "-b", &broker.bootstrap, "-t", "kcat", "-p", "1", "-z", codec, "-K", ":"])
            .stdin(Stdio::piped())
            .spawn()
            .context("kcat is missing; `make bootstrap` installs it")?;
        let mut stdin = producer.stdin.take().context("its standard input")?;
        for line in 0..100 {
            writeln!(stdin, "{codec}:{codec} line {line}")?;
        }
        drop(stdin);
        ensure!(producer.wait()?.success(), "kcat could not produce with {codec}");
    }
    let read = run(Command::new("kcat").args(["-C", "-q", "-e", "-b", &broker.bootstrap, "-t", "kcat", "-p", "1"]))?;
    let text = String::from_utf8(read.stdout)?;
    ensure!(text.lines().count() == 500, "500 lines went in: {}", text.lines().count());
    ensure!(text.lines().nth(499) == Some("zstd line 99"), "the last line is the last that was sent");
    let list = run(Command::new("kcat").args(["-L", "-J", "-b", &broker.bootstrap]))?;
    ensure!(String::from_utf8(list.stdout)?.contains("\"kcat\""), "the topic is listed");
    Ok(())
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() -> Result<()> {
    let mut broker = Pelton::start()?;
    broker.cli(&["topic", "create", "kept", "--partitions", "1"])?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("lines");
    let lines: String = (0..1000).map(|line| format!("line {line}\n")).collect();
    std::fs::write(&path, &lines)?;
    broker.cli(&["produce", "kept", "--file", path.to_str().context("a path in UTF-8")?])?;
    broker.kill()?;
    broker.restart()?;
    let read = broker.cli(&["consume", "kept", "--from-beginning", "--exit-at-end"])?;
    ensure!(read == lines, "what came back differs");
    Ok(())
}
