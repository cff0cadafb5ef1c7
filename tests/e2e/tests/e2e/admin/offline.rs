//! Commands that ask nobody: `pelton plan`, `completions` and `man`.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{pelton_bin, run};
use serde_json::Value;
use std::process::Command;

fn pelton(arguments: &[&str]) -> Result<String> {
    let output = run(Command::new(pelton_bin()).args(arguments))?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn a_plan_says_what_it_takes_and_how_that_came_about() -> Result<()> {
    let load = ["plan", "--mb-per-sec", "100", "--compression-ratio", "2", "--retention", "1d", "--brokers", "5"];
    let figures: Value = serde_json::from_str(&pelton(&[&load[..], &["--json"]].concat())?)?;
    ensure!(figures["average_bytes_per_sec"]["value"] == 50e6, "{figures}");
    ensure!(figures["retained_bytes"]["value"] == 50e6 * 86_400.0, "{figures}");
    ensure!(figures["disk_bytes_per_broker"]["unit"] == "bytes", "{figures}");
    let table = pelton(&load)?;
    ensure!(table.contains("50.0 MB/s") && table.contains("100 MB/s / compression 2"), "{table}");
    let bad = run(Command::new(pelton_bin()).args(["plan", "--mb-per-sec", "1", "--brokers", "1"]))?;
    let said = String::from_utf8(bad.stderr)?;
    ensure!(bad.status.code() == Some(1) && said.contains("--replication-factor"), "{said}");
    Ok(())
}

#[test]
fn shells_and_man_know_every_command() -> Result<()> {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = pelton(&["completions", shell])?;
        ensure!(script.contains("delete-offsets") && script.contains("by-duration"), "{shell}");
    }
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("man1");
    pelton(&["man", "--out", out.to_str().context("a path in UTF-8")?])?;
    for page in ["pelton.1", "pelton-topic-import.1", "pelton-group-reset.1", "pelton-log-verify.1"] {
        let text = std::fs::read_to_string(out.join(page)).with_context(|| page.to_owned())?;
        ensure!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
    Ok(())
}
