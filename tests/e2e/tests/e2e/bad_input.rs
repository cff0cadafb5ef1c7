//! Bad configurations, modules, jobs and bytes: one clear line, exit status 1, and the broker goes on.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{Pelton, pelton_bin, pv_count_wasm, run};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// Runs `pelton ARGUMENTS`, which must fail with one line that holds every one of `words`.
fn refused(arguments: &[&str], words: &[&str]) -> Result<()> {
    let output = run(Command::new(pelton_bin()).args(arguments))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(1), "pelton {arguments:?}: status {:?}: {said}", output.status);
    let line =
        said.lines().find(|line| line.starts_with("error: ")).with_context(|| format!("no error line: {said}"))?;
    for word in words {
        ensure!(line.contains(word), "pelton {arguments:?} does not say `{word}`: {line}");
    }
    Ok(())
}

#[test]
fn an_occupied_port_is_named() -> Result<()> {
    let broker = Pelton::start()?;
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let data = data.to_str().context("a path in UTF-8")?;
    let serve = ["serve", "--listen", &broker.bootstrap, "--admin", "127.0.0.1:0", "--data-dir", data];
    refused(&serve, &[&broker.bootstrap])
}

#[test]
fn an_unwritable_directory_is_named() -> Result<()> {
    let serve = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", "/dev/null/pelton"];
    refused(&serve, &["/dev/null/pelton"])
}

#[test]
fn a_directory_in_use_is_named() -> Result<()> {
    let broker = Pelton::start()?;
    let data = broker.data_dir();
    let data = data.to_str().context("a path in UTF-8")?;
    let serve = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", data];
    refused(&serve, &[data, "in use"])
}

#[test]
fn a_bad_configuration_value_is_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("server.properties");
    std::fs::write(&path, "num.partitions=many\n")?;
    refused(&["serve", "--config", path.to_str().context("a path in UTF-8")?], &["num.partitions", "many"])
}

#[test]
fn a_module_that_is_no_transform_is_refused() -> Result<()> {
    let broker = Pelton::start()?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("empty.wasm");
    // The smallest module there is: magic and version, no export.
    std::fs::write(&path, b"\0asm\x01\0\0\0")?;
    let admin = ["--admin", broker.admin.as_str()];
    let file = path.to_str().context("a path in UTF-8")?;
    refused(&[&["plugin", "upload", "empty@1", file], &admin[..]].concat(), &["it exports no `pelton:plugin/"])?;
    std::fs::write(&path, b"not wasm at all")?;
    refused(&[&["plugin", "upload", "empty@1", file], &admin[..]].concat(), &["WebAssembly"])?;
    ensure!(broker.get("/v1/plugins")?.as_array().is_some_and(Vec::is_empty), "nothing was kept");
    Ok(())
}

#[test]
fn a_plugin_version_is_immutable() -> Result<()> {
    let broker = Pelton::start()?;
    let wasm = pv_count_wasm()?;
    broker.cli(&["plugin", "upload", "pv-count@1", &wasm])?;
    broker.cli(&["plugin", "upload", "pv-count@1", &wasm])?;
    let dir = tempfile::tempdir()?;
    let other = dir.path().join("other.wasm");
    let mut bytes = std::fs::read(&wasm)?;
    // An empty custom section named `x`: another file, the same module.
    bytes.extend([0, 2, 1, b'x']);
    std::fs::write(&other, bytes)?;
    let other = other.to_str().context("a path in UTF-8")?;
    refused(&["plugin", "upload", "pv-count@1", other, "--admin", &broker.admin], &["pv-count@1"])
}

#[test]
fn a_job_that_names_something_unknown_is_refused_with_the_name() -> Result<()> {
    let broker = Pelton::start()?;
    broker.cli(&["plugin", "upload", "pv-count@1", &pv_count_wasm()?])?;
    broker.cli(&["topic", "create", "in", "--partitions", "1"])?;
    broker.cli(&["topic", "create", "out", "--partitions", "1"])?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("job.toml");
    let file = path.to_str().context("a path in UTF-8")?.to_owned();
    let job = |source: &str, plugin: &str, config: &str, extra: &str| {
        format!(
            "name = \"j\"\nsources = [\"{source}\"]\nsink = \"out\"\n{extra}\n[[steps]]\nname = \"s\"\n\
             plugin = \"{plugin}\"\nconfig = {{ step = \"{config}\" }}\n"
        )
    };
    for (spec, word) in [
        (job("nowhere", "pv-count@1", "pages", ""), "nowhere"),
        (job("in", "nothing@7", "pages", ""), "nothing@7"),
        (job("in", "pv-count@1", "pages", "colour = \"red\""), "colour"),
        (job("in", "pv-count@1", "sing", ""), "sing"),
        (job("in", "pv-count", "pages", ""), "NAME@VERSION"),
    ] {
        std::fs::write(&path, spec)?;
        refused(&["job", "run", &file, "--admin", &broker.admin], &[word])?;
    }
    ensure!(broker.get("/v1/jobs")?.as_array().is_some_and(Vec::is_empty), "no job was kept");
    Ok(())
}

#[test]
fn no_broker_is_said_plainly() -> Result<()> {
    // Port 1 is reserved and nobody listens there.
    refused(&["topic", "list", "--bootstrap", "127.0.0.1:1"], &["127.0.0.1:1", "pelton serve"])?;
    refused(&["job", "list", "--admin", "http://127.0.0.1:1"], &["127.0.0.1:1", "pelton serve"])
}

#[test]
fn garbage_on_the_wire_harms_nobody() -> Result<()> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "calm", "--partitions", "1"])?;
    let mut frames: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        vec![0x7f, 0xff, 0xff, 0xff, 0, 0],
        vec![0, 0, 0, 0],
        vec![0, 0, 0, 4, 0, 3, 0, 9],
    ];
    // A Metadata request (key 3, version 1) whose array claims two thousand million topics.
    frames.push([&[0u8, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff][..], &[0x7f, 0xff, 0xff, 0xff]].concat());
    // A key that does not exist.
    frames.push([&[0u8, 0, 0, 10, 0x7f, 0xff, 0, 1, 0, 0, 0, 1, 0xff, 0xff][..]].concat());
    for frame in frames {
        let mut socket = TcpStream::connect(&broker.bootstrap)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.write_all(&frame)?;
        let _ = socket.read(&mut [0; 256]);
    }
    let listed = broker.cli(&["topic", "list"])?;
    ensure!(listed.contains("calm"), "the broker goes on: {listed}");
    Ok(())
}
