//! Unmodified clients see a chain of interceptors work at all four hooks, with idempotence and with transactions.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{Client, PATIENCE, Pelton, Produced};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SCHEMA: &str = r#"{"schema":{"type":"object","required":["card","sum"],"properties":{"sum":{"type":"number"}}}}"#;
const MASK: &str = r#"{"fields":{"card":"last4"}}"#;

/// A broker with the topics `payments` and `audit-log`, and a chain of three on `payments`.
fn shop() -> Result<Pelton> {
    let broker = Pelton::start()?;
    for plugin in ["schema-check", "audit", "mask"] {
        broker.upload(&format!("{plugin}@1"), plugin)?;
    }
    broker.cli(&["topic", "create", "payments", "--partitions", "3"])?;
    broker.cli(&["topic", "create", "audit-log", "--partitions", "1"])?;
    broker.configure(
        "payments",
        &[
            ("pelton.interceptors", "schema-check@1,audit@1,mask@1"),
            ("pelton.plugin.schema-check.config", SCHEMA),
            ("pelton.plugin.mask.config", MASK),
            ("pelton.plugin.audit.emit", "audit-log"),
        ],
    )?;
    Ok(broker)
}

fn payments(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("c{}\t{{\"card\":\"4000123412341234\",\"sum\":{n}}}\n", n % 9)).collect()
}

/// What the audit topic holds, once `done` says that it is enough.
fn audited(broker: &Pelton, done: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = broker.cli(&["consume", "audit-log", "--from-beginning", "--exit-at-end"])?;
        let events = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        if done(&events) {
            return Ok(events);
        }
        ensure!(Instant::now() < deadline, "the audit log does not get there: {events:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn count(events: &[Value], event: &str, field: &str) -> i64 {
    events
        .iter()
        .filter(|said| said["event"] == event && said["error"].is_null())
        .filter_map(|said| said[field].as_i64())
        .sum()
}

/// Fails unless every record was acknowledged, each partition's offsets counted from `first`, one by one.
fn offsets_without_gap(answers: &[Produced], first: &BTreeMap<i32, i64>) -> Result<BTreeMap<i32, i64>> {
    let mut offsets = BTreeMap::<i32, Vec<i64>>::new();
    for Produced { key, answer } in answers {
        let (partition, offset) = answer.clone().map_err(|error| anyhow::anyhow!("{key}: {error}"))?;
        offsets.entry(partition).or_default().push(offset);
    }
    let mut ends = first.clone();
    for (partition, offsets) in offsets {
        let first = first.get(&partition).copied().unwrap_or(0);
        let expected: Vec<i64> = (first..first + offsets.len() as i64).collect();
        ensure!(offsets == expected, "partition {partition}: {offsets:?}");
        ends.insert(partition, first + offsets.len() as i64);
    }
    Ok(ends)
}

#[test]
fn java_and_confluent_go_through_a_chain_at_all_four_hooks() -> Result<()> {
    let broker = shop()?;
    // on-send lets what fits through; the offsets are those of a topic without plugins.
    let java = broker.produce_lines(Client::Java, "payments", &["idempotent"], &payments(0..300))?.context("Java")?;
    let ends = offsets_without_gap(&java, &BTreeMap::new())?;
    ensure!(ends.values().sum::<i64>() == 300, "{ends:?}");
    // on-send refuses what does not fit, in Kafka's words, and nothing of it is appended.
    let bad = "c1\t{\"sum\":1}\n";
    let refused = broker.produce_lines(Client::Java, "payments", &["idempotent"], bad)?.context("Java")?;
    let error = refused[0].answer.clone().err().context("the record does not fit the schema")?;
    ensure!(error.contains("InvalidRecordException") && error.contains("card"), "Java was told: {error}");
    // on-consume: card numbers are masked for everybody, keys and offsets as they were.
    let read = broker.python("confluent_read.py", &["payments", "readers", "300", "read_uncommitted"])?;
    let mut lines: Vec<&str> = read.lines().collect();
    let committed = lines.pop().context("the committed offsets")?;
    for line in &lines {
        let fields: Vec<&str> = line.split('\t').collect();
        ensure!(fields[3].starts_with(r#"{"card":"****1234","sum":"#), "it reads {}", fields[3]);
    }
    // on-acknowledgement and on-commit, as the audit tells them.
    let events = audited(&broker, |events| {
        count(events, "sent", "record_count") == 300 && events.iter().any(|event| event["event"] == "committed")
    })?;
    for event in events.iter().filter(|event| event["event"] == "sent" && event["error"].is_null()) {
        ensure!(event["client_id"] == "java-producer" && event["principal"] == "User:ANONYMOUS", "{event}");
    }
    ensure!(events.iter().any(|event| event["event"] == "sent" && !event["error"].is_null()), "the refusal is told");
    ensure!(count(&events, "read", "record_count") >= 300, "every record was read: {events:#?}");
    let told: BTreeMap<String, i64> = events
        .iter()
        .filter(|event| event["event"] == "committed" && event["group"] == "readers")
        .filter_map(|event| Some((event["partition"].to_string(), event["committed_offset"].as_i64()?)))
        .collect();
    for pair in committed.split(' ').skip(1) {
        let (partition, offset) = pair.split_once(':').context("partition:offset")?;
        ensure!(told.get(partition).map(ToString::to_string).as_deref() == Some(offset), "{pair} is not in {told:?}");
    }
    Ok(())
}

#[test]
fn transactions_stay_all_or_nothing_behind_a_chain() -> Result<()> {
    let broker = shop()?;
    let kept = broker.produce_lines(Client::Java, "payments", &["transactional", "till-1"], &payments(0..250))?;
    ensure!(kept.context("Java")?.iter().all(|produced| produced.answer.is_ok()), "a commit failed");
    let aborted = broker.produce_lines(Client::Java, "payments", &["abort", "till-2"], &payments(1000..1100))?;
    ensure!(aborted.context("Java")?.iter().all(|produced| produced.answer.is_ok()), "a send failed");
    // One record of this transaction is refused, so Java aborts all of it.
    let mixed = format!("{}c1\t{{\"no\":\"card\"}}\n", payments(2000..2050));
    let refused = broker.produce_lines(Client::Java, "payments", &["transactional", "till-3"], &mixed)?;
    ensure!(refused.context("Java")?.iter().any(|produced| produced.answer.is_err()), "nothing was refused");
    let read = broker.python("confluent_read.py", &["payments", "committed", "250", "read_committed"])?;
    let sums: Vec<usize> =
        read.lines().filter_map(|line| line.split_once("\"sum\":")?.1.trim_end_matches('}').parse().ok()).collect();
    ensure!(sums.len() == 250 && sums.iter().all(|sum| *sum < 250), "aborted payments were read: {sums:?}");
    Ok(())
}

#[test]
fn what_is_dropped_leaves_gaps_that_clients_bear() -> Result<()> {
    let broker = Pelton::start()?;
    broker.upload("dedup@1", "dedup")?;
    broker.cli(&["topic", "create", "events", "--partitions", "1"])?;
    broker.configure("events", &[("pelton.interceptors", "dedup@1")])?;
    // Each key twice: the second is dropped, and its producer is told an offset all the same.
    let lines: String = (0..200).map(|n| format!("k{}\tv{n}\n", n % 100)).collect();
    let java = broker.produce_lines(Client::Java, "events", &["idempotent"], &lines)?.context("Java")?;
    offsets_without_gap(&java, &BTreeMap::new())?;
    let again = broker.produce_lines(Client::Python, "events", &["murmur2_random"], &lines)?.context("Python")?;
    ensure!(again.iter().all(|produced| produced.answer.is_ok()), "confluent was refused: {again:?}");
    let tail = broker.produce_lines(Client::Java, "events", &["idempotent"], "new\tlast\n")?.context("Java")?;
    ensure!(tail[0].answer == Ok((0, 400)), "the offsets go on behind what was dropped: {tail:?}");
    // confluent reads over batches without any record.
    let read = broker.python("confluent_read.py", &["events", "readers", "101", "read_uncommitted"])?;
    ensure!(read.lines().filter(|line| line.contains("\tv")).count() == 100, "{read}");
    let node = broker.produce_lines(Client::Node, "events", &[], "new\tagain\nother\tx\n")?.context("Node")?;
    ensure!(node.len() == 2, "kafkajs was answered");
    Ok(())
}

#[test]
fn dead_letters_are_listed_shown_and_replayed_once() -> Result<()> {
    let broker = Pelton::start()?;
    broker.upload("schema-check@1", "schema-check")?;
    broker.cli(&["topic", "create", "payments", "--partitions", "2"])?;
    broker.configure(
        "payments",
        &[
            ("pelton.interceptors", "schema-check@1"),
            ("pelton.plugin.schema-check.config", SCHEMA),
            ("pelton.interceptors.on.error", "dead-letter"),
        ],
    )?;
    let mixed = format!("{}bad1\t{{\"sum\":\"x\"}}\nbad2\tno json\n", payments(0..20));
    let java = broker.produce_lines(Client::Java, "payments", &["idempotent"], &mixed)?.context("Java")?;
    ensure!(java.iter().all(|produced| produced.answer.is_ok()), "the good ones and the bad ones are taken: {java:?}");
    let letters = broker.cli(&["dlq", "show", "payments-dead-letter", "--json"])?;
    let letters: Vec<Value> = letters.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(letters.len() == 2, "two dead letters: {letters:#?}");
    let listed = broker.cli(&["dlq", "list"])?;
    ensure!(listed.contains("payments-dead-letter"), "{listed}");
    // As they are they are refused again; without the check they are put back, once.
    broker.cli(&["plugin", "detach", "payments", "schema-check"])?;
    broker.cli(&["dlq", "replay", "payments-dead-letter"])?;
    broker.cli(&["dlq", "replay", "payments-dead-letter"])?;
    let read = broker.python("confluent_read.py", &["payments", "readers", "22", "read_committed"])?;
    for key in ["bad1", "bad2"] {
        ensure!(read.lines().filter(|line| line.contains(&format!("\t{key}\t"))).count() == 1, "{key}: {read}");
    }
    Ok(())
}

#[test]
fn latency_is_measured_without_any_change_to_a_client() -> Result<()> {
    let broker = Pelton::start()?;
    broker.upload("latency@1", "latency")?;
    broker.cli(&["topic", "create", "clicks", "--partitions", "2"])?;
    broker.cli(&["plugin", "attach", "clicks", "latency@1"])?;
    let lines: String = (0..50).map(|n| format!("k{n}\tv\n")).collect();
    broker.produce_lines(Client::Java, "clicks", &["idempotent"], &lines)?.context("Java")?;
    broker.python("confluent_read.py", &["clicks", "readers", "50", "read_uncommitted"])?;
    let mut answer = ureq::get(format!("{}/metrics", broker.admin)).call()?;
    let metrics = answer.body_mut().read_to_string()?;
    let line = metrics
        .lines()
        .find(|line| line.contains("end_to_end_seconds_count") && line.contains("confluent-reader"))
        .with_context(|| format!("no histogram for the consumer: {metrics}"))?;
    let counted: u64 = line.rsplit(' ').next().context("a number")?.parse::<f64>()? as u64;
    ensure!(counted >= 50 && line.contains("topic=\"clicks\""), "{line}");
    Ok(())
}
