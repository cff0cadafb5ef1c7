//! `pelton topic`.

use super::{json, refused};
use anyhow::{Context, Result, ensure};
use pelton_e2e::{Pelton, run_with_input};
use serde_json::{Value, json};
use std::process::Command;

/// Where the partitions of a topic begin and end.
fn offsets(broker: &Pelton, topic: &str) -> Result<Vec<(i64, i64)>> {
    let described = json(broker, &["topic", "describe", topic])?;
    let partitions = described[0]["partitions"].as_array().context("partitions")?;
    let number = |partition: &Value, key: &str| partition[key].as_i64().context("a number");
    partitions.iter().map(|p| Ok((number(p, "start_offset")?, number(p, "high_watermark")?))).collect()
}

fn produce(broker: &Pelton, topic: &str, records: usize) -> Result<()> {
    let lines: String = (0..records).map(|n| format!("{n}\n")).collect();
    let mut produce = Command::new(pelton_e2e::pelton_bin());
    produce.args(["produce", topic]).env("PELTON_BOOTSTRAP", &broker.bootstrap);
    let output = run_with_input(&mut produce, &lines)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn a_topic_is_made_changed_and_removed() -> Result<()> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "orders", "--partitions", "2", "--config", "retention.ms=60000"])?;
    refused(&broker, &["topic", "create", "orders", "a/b"], &["orders exists", "--if-not-exists", "a/b was not"])?;
    broker.cli(&["topic", "create", "orders", "--if-not-exists"])?;
    refused(&broker, &["topic", "create", "odd", "--config", "retention.ms=x"], &["retention.ms"])?;
    broker.cli(&["topic", "create", "imagined", "--dry-run"])?;
    let listed = json(&broker, &["topic", "list"])?;
    ensure!(listed == json!([{ "topic": "orders", "partitions": 2 }]), "{listed}");

    let alter = ["topic", "alter", "orders"];
    broker.cli(&[&alter[..], &["--partitions", "5", "--dry-run"]].concat())?;
    ensure!(offsets(&broker, "orders")?.len() == 2, "a dry run changes nothing");
    refused(&broker, &[&alter[..], &["--partitions", "1"]].concat(), &["orders has 2 partitions"])?;
    broker.cli(&[&alter[..], &["--partitions", "5"]].concat())?;
    ensure!(offsets(&broker, "orders")?.len() == 5, "there are three more");
    refused(&broker, &["topic", "alter", "nothing", "--partitions", "3"], &["none of that name"])?;
    // Settings have a command of their own, which is named; nothing of such a call is done.
    for settings in [&["--set", "retention.ms=5"][..], &["--unset", "retention.ms", "--partitions", "9"]] {
        refused(&broker, &[&alter[..], settings].concat(), &["pelton config alter --topic orders"])?;
    }
    ensure!(offsets(&broker, "orders")?.len() == 5, "nothing of it is done");
    ensure!(broker.cli_output(&alter)?.status.code() == Some(2), "a call that says too little ends with 2");

    broker.cli(&["topic", "delete", "orders"])?;
    refused(&broker, &["topic", "delete", "orders"], &["pelton topic list"])?;
    refused(&broker, &["topic", "describe", "orders"], &["pelton topic list"])?;
    ensure!(json(&broker, &["topic", "list"])? == json!([]), "asking for a topic makes none");
    Ok(())
}

#[test]
fn a_topic_is_truncated_by_offset_and_whole() -> Result<()> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "orders", "--partitions", "1"])?;
    produce(&broker, "orders", 100)?;
    let shown = json(&broker, &["topic", "truncate", "orders", "--before-offset", "30", "--dry-run"])?;
    ensure!(shown[0]["to"] == 30 && shown[0]["deleted"] == 30, "{shown}");
    ensure!(offsets(&broker, "orders")? == [(0, 100)], "a dry run deletes nothing");
    broker.cli(&["topic", "truncate", "orders:0", "--before-offset", "30"])?;
    ensure!(offsets(&broker, "orders")? == [(30, 100)], "it begins where it was cut");
    // Nothing is that old, so nothing goes.
    broker.cli(&["topic", "truncate", "orders", "--before-time", "2020-01-01"])?;
    ensure!(offsets(&broker, "orders")? == [(30, 100)], "nothing was that old");
    broker.cli(&["topic", "truncate", "orders", "--all"])?;
    ensure!(offsets(&broker, "orders")? == [(100, 100)], "offsets go on where they were");
    refused(&broker, &["topic", "truncate", "orders:7", "--all"], &["no partition 7"])?;
    let output = broker.cli_output(&["topic", "truncate", "orders"])?;
    ensure!(output.status.code() == Some(2), "a call that says too little ends with 2");
    Ok(())
}

#[test]
fn an_export_is_imported_elsewhere_and_a_second_time_does_nothing() -> Result<()> {
    let (from, to) = (Pelton::start()?, Pelton::start()?);
    from.cli(&["topic", "create", "orders", "--partitions", "6", "--config", "retention.ms=60000"])?;
    from.cli(&["topic", "create", "audit", "--partitions", "1", "--config", "cleanup.policy=compact"])?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("topics.json");
    let file = path.to_str().context("a path in UTF-8")?;
    from.cli(&["topic", "export", "--out", file])?;

    let would = json(&to, &["topic", "import", file, "--dry-run"])?;
    ensure!(would["topics"].as_array().is_some_and(|all| all.iter().all(|t| t["result"] == "created")), "{would}");
    ensure!(json(&to, &["topic", "list"])? == json!([]), "a dry run makes nothing");
    to.cli(&["topic", "import", file])?;
    let (there, here) = (from.cli(&["topic", "export"])?, to.cli(&["topic", "export"])?);
    ensure!(there == here && here.contains("compact"), "{there} is not {here}");
    let again = json(&to, &["topic", "import", file])?;
    ensure!(again["topics"].as_array().is_some_and(|all| all.iter().all(|t| t["result"] == "unchanged")), "{again}");

    // What differs is brought into line, and what would lose something is left alone and named.
    to.cli(&["topic", "alter", "orders", "--partitions", "8"])?;
    to.cli(&["config", "alter", "--topic", "orders", "--set", "retention.ms=1", "--set", "segment.bytes=20000"])?;
    let back = json(&to, &["topic", "import", file, "--exact"])?;
    let orders = back["topics"].as_array().and_then(|all| all.iter().find(|t| t["topic"] == "orders"));
    let orders = orders.context("orders")?;
    ensure!(orders["result"] == "altered" && orders["left"].as_array().is_some_and(|left| left.len() == 1), "{back}");
    let described = json(&to, &["topic", "describe", "orders"])?;
    ensure!(described[0]["configs"] == json!({ "retention.ms": "60000" }), "{described}");
    ensure!(described[0]["partitions"].as_array().is_some_and(|all| all.len() == 8), "{described}");

    // One topic of a document is refused, so nothing is done.
    std::fs::write(&path, r#"{"topics": [{"topic": "new"}, {"topic": "odd", "configs": {"retention.ms": "x"}}]}"#)?;
    refused(&to, &["topic", "import", file], &["odd", "retention.ms"])?;
    ensure!(!to.cli(&["topic", "list"])?.contains("new"), "nothing was made");
    std::fs::write(&path, "{")?;
    refused(&to, &["topic", "import", file], &["cannot read", "it has the form"])
}
