//! The commands that administer a cluster, as people and scripts call them: the real binary against a real broker.

mod apache_kafka;
mod cluster;
mod configs;
mod groups;
mod logs;
mod offline;
mod topics;

use anyhow::{Context, Result, ensure};
use pelton_e2e::Pelton;
use serde_json::Value;

/// What a command prints with `--json`.
fn json(broker: &Pelton, arguments: &[&str]) -> Result<Value> {
    let said = broker.cli(&[arguments, &["--json"]].concat())?;
    serde_json::from_str(&said).with_context(|| format!("pelton {} prints no JSON: {said}", arguments.join(" ")))
}

/// Checks that a command fails with status 1 and one line `error: ...` with these words in it.
fn refused(broker: &Pelton, arguments: &[&str], words: &[&str]) -> Result<()> {
    let output = broker.cli_output(arguments)?;
    let said = String::from_utf8(output.stderr)?;
    let command = arguments.join(" ");
    ensure!(output.status.code() == Some(1), "pelton {command} ends with {}: {said}", output.status);
    ensure!(said.starts_with("error: ") && said.lines().count() == 1, "pelton {command} says: {said}");
    for word in words {
        ensure!(said.contains(word), "pelton {command} does not say `{word}`: {said}");
    }
    Ok(())
}
