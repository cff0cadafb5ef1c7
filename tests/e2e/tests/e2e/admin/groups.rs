//! `pelton group`, with a member that is there and without.

use super::{json, refused};
use anyhow::{Context, Result, ensure};
use pelton_e2e::{PATIENCE, Pelton};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The time of the first record, in milliseconds: 2026-01-01. Each further one is a second later.
const FIRST_MS: i64 = 1_767_225_600_000;
const RECORDS: i64 = 100;

/// A topic with one partition that is kept for ever, and a hundred records in it.
fn broker() -> Result<Pelton> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "orders", "--partitions", "1", "--config", "retention.ms=-1"])?;
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &broker.bootstrap).create()?;
    for n in 0..RECORDS {
        let record = BaseRecord::<(), str>::to("orders").partition(0).payload("x").timestamp(FIRST_MS + n * 1000);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(PATIENCE)?;
    Ok(broker)
}

/// A member that has read `records` records and committed that.
fn member(broker: &Pelton, group: &str, records: i64) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &broker.bootstrap)
        .set("group.id", group)
        .set("client.id", "till")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&["orders"])?;
    let deadline = Instant::now() + PATIENCE;
    let mut last = None;
    for _ in 0..records {
        let message = loop {
            ensure!(Instant::now() < deadline, "no record comes");
            match consumer.poll(Duration::from_millis(100)) {
                Some(message) => break message?,
                None => continue,
            }
        };
        last = Some(message);
    }
    if let Some(message) = last {
        consumer.commit_message(&message, CommitMode::Sync)?;
    }
    Ok(consumer)
}

fn committed(broker: &Pelton, group: &str) -> Result<Value> {
    Ok(json(broker, &["group", "describe", group])?[0]["partitions"][0]["committed"].clone())
}

/// Where a reset goes, with the further arguments.
fn reset(broker: &Pelton, arguments: &[&str]) -> Result<Value> {
    let shown = json(broker, &[&["group", "reset", "billing"], arguments].concat())?;
    Ok(shown["partitions"][0]["new"].clone())
}

#[test]
fn a_group_with_a_member_is_shown_and_left_alone() -> Result<()> {
    let broker = broker()?;
    let consumer = member(&broker, "billing", 40)?;
    let listed = json(&broker, &["group", "list", "--state", "stable"])?;
    let wanted = json!([{ "group": "billing", "state": "Stable", "type": "classic", "protocol_type": "consumer" }]);
    ensure!(listed == wanted, "{listed}");
    let others = ["group", "list", "--state", "empty", "--state", "PreparingRebalance"];
    ensure!(json(&broker, &others)? == json!([]), "none is empty");

    let described = json(&broker, &["group", "describe", "billing"])?;
    let group = &described[0];
    ensure!(group["state"] == "Stable" && group["assignor"] == "range" && group["lag"] == 60, "{described}");
    ensure!(group["members"][0]["client_id"] == "till", "{described}");
    ensure!(group["members"][0]["assigned"] == json!({ "orders": [0] }), "{described}");
    let row = &group["partitions"][0];
    ensure!(row["committed"] == 40 && row["end"] == 100 && row["lag"] == 60, "{described}");
    ensure!(row["member"] == group["members"][0]["member"], "{described}");
    let table = broker.cli(&["group", "describe", "billing"])?;
    ensure!(table.contains("group billing: Stable") && table.contains("till") && table.contains("lag 60"), "{table}");

    let wanted = &["billing is Stable", "1 member", "stop its consumers"];
    refused(&broker, &["group", "reset", "billing", "--all-topics", "--to-earliest", "--execute"], wanted)?;
    refused(&broker, &["group", "delete", "billing"], &["billing was not deleted", "stop its consumers"])?;
    refused(&broker, &["group", "delete-offsets", "billing", "--topic", "orders"], &["subscribe to the topic"])?;
    ensure!(committed(&broker, "billing")? == 40, "nothing was changed");
    drop(consumer);
    Ok(())
}

#[test]
fn offsets_are_reset_every_way_once_nobody_is_in_the_group() -> Result<()> {
    let broker = broker()?;
    drop(member(&broker, "billing", 40)?);
    let all = "--all-topics";
    ensure!(reset(&broker, &[all, "--to-earliest"])? == 0, "to the start");
    ensure!(committed(&broker, "billing")? == 40, "what is not executed changes nothing");
    for (arguments, to) in [
        (&["--to-latest"][..], 100),
        (&["--to-earliest"], 0),
        (&["--to-offset", "30"], 30),
        (&["--to-current"], 30),
        (&["--shift-by", "-10"], 20),
        (&["--shift-by", "1000"], 100),
        (&["--shift-by", "-1000"], 0),
        (&["--to-datetime", "2026-01-01T00:00:17Z"], 17),
        (&["--to-datetime", "2026-01-01T00:00:16.5Z"], 17),
        (&["--to-datetime", "2026-06-01"], 100),
        (&["--by-duration", "36500d"], 0),
        (&["--by-duration", "P1D"], 100),
    ] {
        let moved = reset(&broker, &[&[all, "--execute"], arguments].concat())?;
        ensure!(moved == to, "{arguments:?} goes to {moved} and not to {to}");
        ensure!(committed(&broker, "billing")? == to, "{arguments:?} is committed");
    }
    // The next member begins there.
    reset(&broker, &["--topic", "orders:0", "--to-offset", "99", "--execute"])?;
    drop(member(&broker, "billing", 1)?);
    ensure!(committed(&broker, "billing")? == 100, "the last record was the one that was left");
    refused(&broker, &["group", "reset", "billing", "--topic", "orders:5", "--to-latest"], &["no partition 5"])?;
    refused(&broker, &["group", "reset", "billing", "--topic", "nothing", "--to-latest"], &["pelton topic list"])
}

#[test]
fn offsets_go_through_files_and_groups_are_deleted() -> Result<()> {
    let broker = broker()?;
    // A group that nobody was ever in can be told where to begin.
    let begin = ["group", "reset", "billing", "--topic", "orders", "--to-offset", "25", "--execute"];
    broker.cli(&begin)?;
    ensure!(broker.cli(&["group", "export", "billing"])? == "orders,0,25\n", "CSV as Kafka's tool writes it");
    let dir = tempfile::tempdir()?;
    for (name, options) in [("offsets.csv", &[][..]), ("offsets.json", &["--json"])] {
        let path = dir.path().join(name);
        let file = path.to_str().context("a path in UTF-8")?;
        broker.cli(&[&["group", "export", "billing", "--out", file], options].concat())?;
        let group = format!("from-{name}");
        broker.cli(&["group", "reset", &group, "--from-file", file, "--execute"])?;
        ensure!(committed(&broker, &group)? == 25, "{name} was read");
    }
    let odd = dir.path().join("odd.csv");
    std::fs::write(&odd, "orders,0,25\norders;1;5\n")?;
    let odd = odd.to_str().context("a path in UTF-8")?;
    refused(&broker, &["group", "reset", "billing", "--from-file", odd], &["odd.csv", "line 2"])?;

    broker.cli(&["group", "delete-offsets", "billing", "--topic", "orders"])?;
    let unknown = "pelton group list";
    // A group without members and offsets is none.
    broker.cli(&["group", "delete", "from-offsets.csv"])?;
    refused(&broker, &["group", "delete", "from-offsets.csv"], &["from-offsets.csv", unknown])?;
    refused(&broker, &["group", "describe", "nobody"], &["nobody", unknown])?;
    refused(&broker, &["group", "export", "nobody"], &["nobody", unknown])?;
    refused(&broker, &["group", "reset", "nobody", "--all-topics", "--to-latest"], &["nobody", unknown])?;
    let all = json(&broker, &["group", "describe", "--all"])?;
    ensure!(all.as_array().is_some_and(|all| all.iter().any(|group| group["group"] == "from-offsets.json")), "{all}");
    Ok(())
}
