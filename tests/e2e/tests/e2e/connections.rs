//! Many connections, the threads that serve them, and readers that come back to what cannot be read.

use anyhow::{Context, Result, bail, ensure};
use pelton_e2e::{PATIENCE, Pelton};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const IDLE: usize = 2_000;
/// What an idle connection may cost of the broker's resident memory. It takes a fifth of that.
const IDLE_MAX_BYTES: usize = 64 << 10;

fn pid(broker: &Pelton) -> Result<u64> {
    broker.get("/v1/status")?["pid"].as_u64().context("the broker tells its process")
}

/// `/metrics`.
fn numbers(broker: &Pelton) -> Result<String> {
    Ok(ureq::get(format!("{}/metrics", broker.admin)).call()?.body_mut().read_to_string()?)
}

/// Waits until it is so.
fn until(what: &str, mut it_is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !it_is_so()? {
        ensure!(Instant::now() < deadline, "it took too long until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Resident memory of the broker, in bytes.
fn resident_bytes(pid: u64) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: usize = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

fn raise_open_file_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

#[test]
fn idle_connections_cost_little_memory() -> Result<()> {
    raise_open_file_limit()?;
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "t", "--partitions", "1"])?;
    let pid = pid(&broker)?;
    // What the first connections bring with them is not theirs.
    drop((0..50).map(|_| TcpStream::connect(&broker.bootstrap)).collect::<Result<Vec<_>, _>>()?);
    let line = |count: usize| format!("pelton_connections{{listener=\"PLAINTEXT\"}} {count}");
    let has = |count: usize| Ok(numbers(&broker)?.lines().any(|found| found == line(count)));
    until("the first connections are gone", || has(0))?;
    let before = resident_bytes(pid)?;
    // Each has asked for something once, as clients do before they fall silent.
    let mut idle = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        let mut stream = TcpStream::connect(&broker.bootstrap)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // ApiVersions v0, without a client id.
        stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize])?;
        idle.push(stream);
    }
    until("all are there", || has(IDLE))?;
    let each = resident_bytes(pid)?.saturating_sub(before) / IDLE;
    println!("an idle connection costs {each} bytes of resident memory");
    ensure!(each <= IDLE_MAX_BYTES, "an idle connection costs {each} bytes");
    ensure!(broker.cli(&["topic", "list"])?.contains('t'), "others are served");
    Ok(())
}

#[test]
fn there_are_as_many_threads_as_are_configured() -> Result<()> {
    let settings = ["--set", "num.network.threads=3", "--set", "num.io.threads=2", "--control", "127.0.0.1:0"];
    let broker = Pelton::start_with(&settings)?;
    let tasks = format!("/proc/{}/task", pid(&broker)?);
    let threads = || -> Result<Vec<String>> {
        let mut names = Vec::new();
        for task in std::fs::read_dir(&tasks)? {
            // One that has just ended has no name any more.
            names.extend(std::fs::read_to_string(task?.path().join("comm")));
        }
        Ok(names.into_iter().map(|name| name.trim().to_owned()).collect())
    };
    let count = |names: &[String], wanted: &str| names.iter().filter(|name| name.starts_with(wanted)).count();
    let names = threads()?;
    let found = (count(&names, "pelton-shard-"), count(&names, "pelton-cluster"));
    ensure!(found == (2, 1), "two shards and the cluster image: {names:?}");
    // Those that wait for files bear the name of the network's too, and go when they have had nothing to do for a while.
    until("three threads serve the network, and two the control listener", || {
        let names = threads()?;
        Ok((count(&names, "pelton-network"), count(&names, "pelton-control")) == (3, 2))
    })
}

/// Fetch v4 of partition 0 of `t` from its beginning; gives the partition's error code.
fn fetch(stream: &mut TcpStream) -> Result<i16> {
    let mut body = vec![0, 1, 0, 4, 0, 0, 0, 1, 0xff, 0xff];
    // No replica, no waiting, one byte at least, a MiB at most, read_uncommitted; one topic with one partition.
    body.extend([[0xff; 4], [0; 4], [0, 0, 0, 1], [0, 0x10, 0, 0]].concat());
    body.push(0);
    body.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1]);
    body.extend([[0; 4], [0; 4], [0; 4], [0, 0x10, 0, 0]].concat());
    stream.write_all(&(body.len() as u32).to_be_bytes())?;
    stream.write_all(&body)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer)?;
    // Correlation id, throttle time, and the counts, names and indexes before the code.
    match answer.get(23..25) {
        Some(code) => Ok(i16::from_be_bytes([code[0], code[1]])),
        None => bail!("an answer of {} bytes", answer.len()),
    }
}

#[test]
fn a_reader_that_comes_back_to_damaged_records_does_not_fill_the_log() -> Result<()> {
    const CORRUPT_MESSAGE: i16 = 2;
    let mut broker = Pelton::start()?;
    broker.cli(&["topic", "create", "t", "--partitions", "1"])?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("lines");
    std::fs::write(&path, "a record that a medium is going to change\n")?;
    broker.cli(&["produce", "t", "--file", path.to_str().context("a path in UTF-8")?])?;
    broker.stop()?;
    let segment = broker.data_dir().join("t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&segment)?;
    // Within the records of the first batch, which only its CRC tells.
    *bytes.get_mut(70).context("a batch")? ^= 0x10;
    std::fs::write(&segment, bytes)?;
    broker.restart()?;
    let mut stream = TcpStream::connect(&broker.bootstrap)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    for _ in 0..50 {
        ensure!(fetch(&mut stream)? == CORRUPT_MESSAGE, "the damage is told of every time");
    }
    let log = broker.log();
    let lines = log.lines().filter(|line| line.contains("records cannot be read")).count();
    // Two when the minute was over meanwhile.
    ensure!((1..=2).contains(&lines), "{lines} lines for 50 fetches:\n{log}");
    Ok(())
}
