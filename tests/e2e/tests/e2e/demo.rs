//! `pelton demo`, as `make demo` calls it, with small and odd inputs.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{pelton_bin, pv_count_wasm, run};
use serde_json::Value;
use std::process::Command;

fn demo(arguments: &[&str]) -> Result<Value> {
    let wasm = pv_count_wasm()?;
    let output = run(Command::new(pelton_bin()).args(["demo", "--json", "--plugin", &wasm]).args(arguments))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "the demo failed: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&said).with_context(|| format!("its report is no JSON: {said}"))
}

fn input(text: &str) -> Result<(tempfile::TempDir, String)> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("input.log");
    std::fs::write(&path, text)?;
    let path = path.to_str().context("a path in UTF-8")?.to_owned();
    Ok((dir, path))
}

#[test]
fn a_generated_log_survives_three_kills() -> Result<()> {
    let report = demo(&["--lines", "20000", "--kills", "3", "--seed", "7"])?;
    ensure!(report["lines_in"] == 20_000 && report["views"] == 20_000, "{report:#}");
    ensure!(report["lost"] == 0 && report["doubled"] == 0, "{report:#}");
    ensure!(report["recoveries"].as_array().is_some_and(|kills| kills.len() == 3), "{report:#}");
    Ok(())
}

#[test]
fn no_line_at_all_is_no_view() -> Result<()> {
    let (_dir, path) = input("")?;
    let report = demo(&["--input", &path, "--kills", "1"])?;
    ensure!(report["lines_in"] == 0 && report["views"] == 0 && report["lost"] == 0, "{report:#}");
    Ok(())
}

#[test]
fn empty_long_and_odd_lines_are_counted_or_named() -> Result<()> {
    let long = format!("1.2.3.4 - - [x] \"GET /long HTTP/1.1\" 200 1 \"-\" \"{}\"\n", "x".repeat(100_000));
    let (_dir, path) = input(&format!("\n\n{long}nonsense\n1.2.3.4 - - [x] \"GET /a HTTP/1.1\" 200 1\n{long}"))?;
    let report = demo(&["--input", &path, "--kills", "0"])?;
    ensure!(report["lines_in"] == 6 && report["views"] == 3 && report["dead_letters"] == 3, "{report:#}");
    ensure!(report["lost"] == 0 && report["doubled"] == 0, "{report:#}");
    Ok(())
}
