//! Our files in Apache Kafka's hands, and Apache Kafka's in ours.

use anyhow::{Context, Result, ensure};
use pelton_e2e::kafka::{Kafka, dump_log, files};
use pelton_e2e::{Client, Pelton, pelton_bin, produce_lines, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines that `kafka-dump-log` prints for what is wrong; it ends well all the same.
const COMPLAINTS: [&str; 8] =
    ["mismatch", "Mismatch", "out-of-order", "out of order", "Found ", "isvalid: false", "corrupt", "Exception"];

fn without_complaint(said: &str, of: &str) -> Result<()> {
    let complaint = said.lines().find(|line| COMPLAINTS.iter().any(|word| line.contains(word)));
    ensure!(complaint.is_none(), "kafka-dump-log on {of}: {}", complaint.unwrap_or_default());
    Ok(())
}

/// `KEY TAB VALUE` lines, half a kilobyte each.
fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("key-{}\t{number}:{}\n", number % 97, "x".repeat(500))).collect()
}

/// A broker that has seen transactions, aborted ones too, a group, and segments that were rolled.
fn lived_in() -> Result<Pelton> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "rolled", "--partitions", "1", "--config", "segment.bytes=1048576"])?;
    broker.produce_lines(Client::Java, "rolled", &["idempotent"], &lines(0..6_000))?.context("Java")?;
    broker.produce_lines(Client::Java, "rolled", &["transactional", "t"], &lines(6_000..6_500))?.context("Java")?;
    broker.produce_lines(Client::Java, "rolled", &["abort", "t"], &lines(6_500..8_500))?.context("Java")?;
    broker.produce_lines(Client::Java, "rolled", &["transactional", "t"], &lines(8_500..9_000))?.context("Java")?;
    broker.python("confluent_transactions.py", &[])?;
    broker.python("confluent_round_trip.py", &[])?;
    Ok(broker)
}

/// Every file of the directory, by Kafka's own reader; gives the records that the segments of `rolled` hold.
fn kafka_reads(files_of: impl Fn(&str) -> Result<Vec<PathBuf>>) -> Result<usize> {
    let mut records = 0;
    for extension in ["index", "timeindex", "txnindex", "snapshot"] {
        let found = files_of(extension)?;
        ensure!(!found.is_empty(), "there is no .{extension}");
        without_complaint(&dump_log(&found, &[])?, extension)?;
    }
    let segments = files_of("log")?;
    let of = |topic: &str| -> Vec<PathBuf> {
        let named = |path: &&PathBuf| path.parent().and_then(Path::file_name).is_some_and(|dir| is_of(dir, topic));
        segments.iter().filter(named).cloned().collect()
    };
    let deep = dump_log(&segments, &["--deep-iteration", "--print-data-log"])?;
    without_complaint(&deep, "log")?;
    if !of("rolled").is_empty() {
        let said = dump_log(&of("rolled"), &["--deep-iteration", "--print-data-log"])?;
        records = said.lines().filter(|line| line.starts_with("| offset:") && line.contains("payload: ")).count();
    }
    for (topic, decoder) in
        [("__consumer_offsets", "--offsets-decoder"), ("__transaction_state", "--transaction-log-decoder")]
    {
        if !of(topic).is_empty() {
            let said = dump_log(&of(topic), &[decoder])?;
            without_complaint(&said, topic)?;
            ensure!(said.contains("payload: "), "{topic} holds nothing that Kafka can decode: {said}");
        }
    }
    Ok(records)
}

fn is_of(dir: &std::ffi::OsStr, topic: &str) -> bool {
    dir.to_string_lossy().rsplit_once('-').is_some_and(|(name, _)| name == topic)
}

#[test]
fn kafka_dump_log_reads_what_a_clean_stop_leaves() -> Result<()> {
    let mut broker = lived_in()?;
    let data = broker.data_dir();
    // While it runs: the segments that are rolled, with what belongs to them.
    let rolled = data.join("rolled-0");
    let mut bases = files(&rolled, "log")?;
    bases.pop().context("an active segment")?;
    ensure!(bases.len() >= 3, "four megabytes make several segments: {bases:?}");
    for extension in ["log", "index", "timeindex", "txnindex"] {
        let of_rolled: Vec<PathBuf> =
            bases.iter().map(|base| base.with_extension(extension)).filter(|path| path.exists()).collect();
        ensure!(!of_rolled.is_empty(), "there is no .{extension}");
        let options: &[&str] = if extension == "log" { &["--deep-iteration", "--print-data-log"] } else { &[] };
        without_complaint(&dump_log(&of_rolled, options)?, extension)?;
    }
    broker.stop()?;
    let records = kafka_reads(|extension| files(&data, extension))?;
    // Three markers are records too, without a payload that is data.
    ensure!(records >= 9_000, "9,000 records and markers went in, Kafka reads {records}");
    let verified = run(Command::new(pelton_bin()).args(["log", "verify"]).arg(&data))?;
    ensure!(verified.status.success(), "pelton log verify: {}", String::from_utf8_lossy(&verified.stdout));
    Ok(())
}

#[test]
fn pelton_log_dump_reads_what_kafka_wrote() -> Result<()> {
    let mut kafka = Kafka::start("log.segment.bytes=1048576\n")?;
    let to = |mode: &[&str], lines: &str| produce_lines(&kafka.bootstrap, Client::Java, "theirs", mode, lines);
    to(&["idempotent"], &lines(0..6_000))?.context("Java")?;
    to(&["abort", "t"], &lines(6_000..6_100))?.context("Java")?;
    to(&["transactional", "t"], &lines(6_100..6_200))?.context("Java")?;
    kafka.stop()?;
    let data = kafka.data_dir();
    let segments: Vec<PathBuf> = files(&data.join("theirs-0"), "log")?;
    ensure!(segments.len() >= 3, "three megabytes make several segments: {segments:?}");
    let theirs = records(&dump_log(&segments, &["--deep-iteration", "--print-data-log"])?);
    let ours = run(Command::new(pelton_bin()).args(["log", "dump", "--deep"]).args(&segments))?;
    ensure!(ours.status.success(), "{}", String::from_utf8_lossy(&ours.stderr));
    let ours = records(&String::from_utf8(ours.stdout)?);
    ensure!(theirs.len() >= 6_202, "6,200 records and two markers: {}", theirs.len());
    for (offset, line) in &theirs {
        ensure!(ours.get(offset) == Some(line), "offset {offset}:\n{line}\n{:?}", ours.get(offset));
    }
    ensure!(ours.len() == theirs.len(), "{} records against {}", ours.len(), theirs.len());
    let verified = run(Command::new(pelton_bin()).args(["log", "verify"]).arg(&data))?;
    ensure!(
        verified.status.success(),
        "pelton log verify: {}{}",
        String::from_utf8_lossy(&verified.stdout),
        String::from_utf8_lossy(&verified.stderr)
    );
    Ok(())
}

/// The lines of the records of a dump, by offset.
fn records(dump: &str) -> BTreeMap<i64, String> {
    let offset = |line: &str| line.strip_prefix("| offset: ")?.split(' ').next()?.parse().ok();
    dump.lines().filter_map(|line| Some((offset(line)?, line.trim_end().to_owned()))).collect()
}
