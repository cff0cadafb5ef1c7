//! The same commands against Apache Kafka, and what Kafka's own tool makes of their files.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{PATIENCE, kafka, pelton_bin, run};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

fn pelton(kafka: &kafka::Kafka, arguments: &[&str]) -> Result<String> {
    let output = run(Command::new(pelton_bin()).args(arguments).env("PELTON_BOOTSTRAP", &kafka.bootstrap))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "pelton {} failed: {said}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

fn json(kafka: &kafka::Kafka, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&pelton(kafka, &[arguments, &["--json"]].concat())?)?)
}

/// Waits until a command shows what it is to: Kafka's broker learns from its controller what was done a moment later.
fn eventually(kafka: &kafka::Kafka, arguments: &[&str], shown: impl Fn(&Value) -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = json(kafka, arguments);
        if said.as_ref().is_ok_and(&shown) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "pelton {}: {said:?}", arguments.join(" "));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_commands_administer_apache_kafka_too() -> Result<()> {
    let kafka = kafka::Kafka::start("")?;
    let cluster = json(&kafka, &["cluster", "describe"])?;
    ensure!(cluster["brokers"][0]["id"] == 1 && cluster["quorum"]["leader"] == 1, "{cluster}");

    pelton(&kafka, &["topic", "create", "orders", "--partitions", "2", "--config", "retention.ms=60000"])?;
    pelton(&kafka, &["topic", "alter", "orders", "--partitions", "3"])?;
    let changes = ["--append", "cleanup.policy=compact", "--unset", "retention.ms"];
    pelton(&kafka, &[&["config", "alter", "--topic", "orders"], &changes[..]].concat())?;
    let configs = json!({ "cleanup.policy": "delete,compact" });
    let is_altered = |said: &Value| {
        said[0]["configs"] == configs && said[0]["partitions"].as_array().is_some_and(|all| all.len() == 3)
    };
    eventually(&kafka, &["topic", "describe", "orders"], is_altered)?;
    pelton(&kafka, &["config", "alter", "--broker", "1", "--set", "log.cleaner.threads=2"])?;
    let is_set = |said: &Value| said["configs"][0]["value"] == "2" && said["configs"][0]["source"] == "broker";
    eventually(&kafka, &["config", "describe", "--broker", "1", "log.cleaner.threads"], is_set)?;
    let are_there = |said: &Value| said[0]["logs"].as_array().is_some_and(|logs| logs.len() == 3);
    eventually(&kafka, &["cluster", "log-dirs", "--topic", "orders"], are_there)?;

    pelton(&kafka, &["group", "reset", "billing", "--topic", "orders:0,2", "--to-latest", "--execute"])?;
    let group = json(&kafka, &["group", "describe", "billing"])?;
    ensure!(group[0]["state"] == "Empty" && group[0]["partitions"][1]["partition"] == 2, "{group}");
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("offsets.csv");
    let file = path.to_str().context("a path in UTF-8")?;
    pelton(&kafka, &["group", "export", "billing", "--out", file])?;
    let mut tool = kafka::java()?;
    tool.arg("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand")
        .args(["--bootstrap-server", &kafka.bootstrap]);
    tool.args(["--group", "another", "--reset-offsets", "--from-file", file, "--execute"]);
    let output = run(&mut tool)?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.success() && said.contains("orders"), "Kafka's tool does not read it: {said}");
    let group = json(&kafka, &["group", "describe", "another"])?;
    ensure!(group[0]["partitions"].as_array().is_some_and(|all| all.len() == 2), "{group}");

    pelton(&kafka, &["group", "delete", "billing", "another"])?;
    ensure!(json(&kafka, &["group", "list"])? == json!([]), "both are gone");
    pelton(&kafka, &["topic", "delete", "orders"])?;
    Ok(())
}
