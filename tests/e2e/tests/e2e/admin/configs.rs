//! `pelton config`.

use super::{json, refused};
use anyhow::{Context, Result, ensure};
use pelton_e2e::Pelton;
use serde_json::Value;

/// One setting with all that is known of it.
fn setting(broker: &Pelton, whose: &[&str], key: &str) -> Result<Value> {
    let described = json(broker, &[&["config", "describe", key], whose].concat())?;
    Ok(described["configs"][0].clone())
}

#[test]
fn settings_of_topics_are_set_unset_appended_and_subtracted() -> Result<()> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "orders", "--partitions", "1"])?;
    let orders = ["--topic", "orders"];
    let alter = |changes: &[&str]| broker.cli(&[&["config", "alter"], &orders[..], changes].concat());
    alter(&["--set", "retention.ms=60000", "--append", "cleanup.policy=compact"])?;
    let found = setting(&broker, &orders, "retention.ms")?;
    ensure!(found["value"] == "60000" && found["source"] == "topic" && found["type"] == "long", "{found}");
    ensure!(found["documentation"].as_str().is_some_and(|text| text.len() > 10), "{found}");
    ensure!(setting(&broker, &orders, "cleanup.policy")?["value"] == "delete,compact", "one is appended");
    alter(&["--subtract", "cleanup.policy=delete", "--unset", "retention.ms"])?;
    ensure!(setting(&broker, &orders, "cleanup.policy")?["value"] == "compact", "one is taken out");
    let found = setting(&broker, &orders, "retention.ms")?;
    ensure!(found["value"] == "604800000" && found["source"] == "default", "{found}");
    alter(&["--set", "retention.ms=5", "--dry-run"])?;
    ensure!(setting(&broker, &orders, "retention.ms")?["source"] == "default", "a dry run changes nothing");

    let table = broker.cli(&["config", "describe", "--topic", "orders"])?;
    ensure!(table.contains("cleanup.policy") && !table.contains("retention.ms"), "only what was set: {table}");
    let table = broker.cli(&["config", "describe", "--topic", "orders", "--all"])?;
    ensure!(table.contains("retention.ms") && table.contains("default"), "{table}");
    let bad = ["config", "alter", "--topic", "orders", "--set", "retention.ms=x", "--set", "segment.bytes=20000"];
    refused(&broker, &bad, &["topic orders", "retention.ms"])?;
    ensure!(setting(&broker, &orders, "segment.bytes")?["source"] == "default", "all of it, or nothing");
    refused(&broker, &["config", "describe", "--topic", "orders", "odd"], &["no setting odd", "--all"])?;
    refused(&broker, &["config", "describe", "--topic", "nothing"], &["topic nothing", "pelton topic list"])
}

#[test]
fn settings_of_brokers_go_before_those_of_all() -> Result<()> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "orders", "--partitions", "1"])?;
    broker.cli(&["config", "alter", "--default", "--set", "log.retention.ms=7200000"])?;
    let retention = || setting(&broker, &["--topic", "orders"], "retention.ms");
    let found = retention()?;
    ensure!(found["value"] == "7200000" && found["source"] == "all_brokers", "{found}");
    broker.cli(&["config", "alter", "--broker", "1", "--set", "log.retention.ms=3600000"])?;
    let found = retention()?;
    ensure!(found["value"] == "3600000" && found["source"] == "broker", "{found}");
    let synonyms = found["synonyms"].as_array().context("synonyms")?;
    ensure!(synonyms[0]["value"] == "3600000" && synonyms[1]["value"] == "7200000", "{found}");
    let table = broker.cli(&["config", "describe", "--default"])?;
    ensure!(table.contains("log.retention.ms") && table.contains("7200000"), "{table}");
    broker.cli(&["config", "alter", "--broker", "1", "--unset", "log.retention.ms"])?;
    broker.cli(&["config", "alter", "--default", "--unset", "log.retention.ms"])?;
    ensure!(retention()?["source"] == "default", "what holds by default holds again");
    refused(&broker, &["config", "alter", "--broker", "1", "--set", "log.dirs=/tmp"], &["broker 1", "log.dirs"])?;
    refused(&broker, &["config", "describe", "--broker", "77"], &["no broker 77", "there are 1"])?;
    let output = broker.cli_output(&["config", "describe"])?;
    ensure!(output.status.code() == Some(2), "a call that names nothing ends with 2");
    Ok(())
}
