//! Hostile plugins on topics of a real broker: it stays up, its neighbours do not notice, and the offender is named.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{Client, Pelton, repository};

/// One misdeed for each kind of harm; the engine's own tests hold all of them against its limits.
const TRIED: [&str; 12] = [
    "on-send: loop",
    "on-send: memory bomb",
    "on-send: trap",
    "on-send: stack bomb",
    "on-send: huge output",
    "on-send: added records",
    "on-send: log flood",
    "on-send: series flood",
    "on-send: clock storm",
    "on-acknowledgement: trap",
    "on-acknowledgement: loop",
    "on-send: emit storm",
];

#[test]
fn hostile_plugins_harm_nobody_and_are_named() -> Result<()> {
    let mut broker = Pelton::start()?;
    broker.upload("hostile@1", "hostile-interceptor")?;
    broker.upload("identity@1", "identity")?;
    for topic in ["granted", "plain", "hooked"] {
        broker.cli(&["topic", "create", topic])?;
    }
    broker.configure("hooked", &[("pelton.interceptors", "identity@1")])?;
    for (n, misdeed) in TRIED.iter().enumerate() {
        let topic = format!("hostile-{n}");
        broker.cli(&["topic", "create", &topic])?;
        broker.configure(
            &topic,
            &[
                ("pelton.interceptors", "hostile@1"),
                ("pelton.plugin.hostile.config", &format!("{{\"misdeed\":\"{misdeed}\"}}")),
                ("pelton.plugin.hostile.emit", "granted"),
                ("pelton.interceptors.on.error", "skip"),
            ],
        )?;
        // `skip`: the record is appended whatever the plugin does.
        let sent = broker.produce_lines(Client::Python, &topic, &["murmur2_random"], "k\tv\n")?.context("Python")?;
        ensure!(sent[0].answer.is_ok(), "{misdeed}: {sent:?}");
        for neighbour in ["plain", "hooked"] {
            let sent = broker.produce_lines(Client::Python, neighbour, &["murmur2_random"], "k\tv\n")?;
            ensure!(sent.context("Python")?[0].answer.is_ok(), "{neighbour} suffers from {misdeed}");
        }
        let there = broker.cli(&["consume", &topic, "--from-beginning", "--exit-at-end"])?;
        ensure!(there == "v\n", "{misdeed}: {there}");
    }
    let status = broker.get("/v1/topics/hostile-0/plugins")?.to_string();
    ensure!(status.contains("hostile@1") && status.contains("time"), "the endless loop is not named: {status}");
    for neighbour in ["plain", "hooked"] {
        let there = broker.cli(&["consume", neighbour, "--from-beginning", "--exit-at-end"])?;
        ensure!(there.lines().count() == TRIED.len(), "{neighbour}: {there}");
    }
    // Fail closed is the default: the producer is told, and told by whom.
    broker.cli(&["topic", "create", "closed"])?;
    broker.configure(
        "closed",
        &[("pelton.interceptors", "hostile@1"), ("pelton.plugin.hostile.config", r#"{"misdeed":"on-send: refuse"}"#)],
    )?;
    let refused = broker.produce_lines(Client::Java, "closed", &["idempotent"], "k\tv\n")?.context("Java")?;
    let error = refused[0].answer.clone().err().context("it fails closed")?;
    ensure!(error.contains("hostile@1"), "Java was told: {error}");
    // What was attached is attached after a crash too.
    broker.kill()?;
    broker.restart()?;
    let status = broker.get("/v1/topics/closed/plugins")?.to_string();
    ensure!(status.contains("hostile@1"), "{status}");
    Ok(())
}

#[test]
fn examples_in_other_languages_run() -> Result<()> {
    let broker = Pelton::start()?;
    let mut ran = 0;
    for entry in std::fs::read_dir(repository().join("examples"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Ok(_) = pelton_e2e::plugin_wasm(&format!("examples/{name}")) else { continue };
        broker.upload(&format!("{name}@1"), &format!("examples/{name}"))?;
        ran += 1;
    }
    ensure!(ran >= 4, "only {ran} examples were built; `make examples` builds them");
    let uploaded = broker.cli(&["plugin", "list", "--json"])?;
    for topic in ["payments", "orders"] {
        broker.cli(&["topic", "create", topic])?;
    }
    ensure!(uploaded.contains("13-js-redact"), "{uploaded}");
    broker.configure("payments", &[("pelton.interceptors", "13-js-redact@1")])?;
    let lines = "k\t{\"card\":\"4000123412341234\",\"sum\":3}\n";
    broker.produce_lines(Client::Java, "payments", &["idempotent"], lines)?.context("Java")?;
    let read = broker.cli(&["consume", "payments", "--from-beginning", "--exit-at-end"])?;
    ensure!(read == "{\"card\":\"**** 1234\",\"sum\":3}\n", "JavaScript made of it: {read}");
    broker.configure("orders", &[("pelton.interceptors", "14-python-tag@1")])?;
    let lines = "k\t{\"amount\":1500}\n";
    broker.produce_lines(Client::Java, "orders", &["idempotent"], lines)?.context("Java")?;
    let read = broker.cli(&["consume", "orders", "--from-beginning", "--exit-at-end", "--format", "%h %v\\n"])?;
    ensure!(read.contains("size") && read.contains("large"), "Python made of it: {read}");
    Ok(())
}
