//! Apache Kafka itself, from Maven Central: its tools, run as they are, and its broker in KRaft's combined mode.

use crate::{PATIENCE, run};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Any sixteen bytes in base64 do for a cluster that lives for a minute.
const CLUSTER_ID: &str = "cGVsdG9uLWUyZS10ZXN0cw";

/// A JVM with Kafka's jars; the class and its arguments are still to be added.
pub fn java() -> Result<Command> {
    let clients = std::env::var("PELTON_CLIENTS").context("PELTON_CLIENTS is not set; run the tests by `make test`")?;
    let mut java = Command::new("java");
    java.args(["-Xmx512m", "-cp"]).arg(format!("{clients}/java/*"));
    Ok(java)
}

/// What Kafka's `kafka-dump-log.sh` prints.
pub fn dump_log(files: &[PathBuf], options: &[&str]) -> Result<String> {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let mut dump = java()?;
    dump.arg("org.apache.kafka.tools.DumpLogSegments").args(options).args(["--files", &files.join(",")]);
    let output = run(&mut dump)?;
    let (said, complaint) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr).into_owned());
    // It says of every segment that does not begin with offset 0, whoever wrote it, that -1 is followed by its first.
    let harmless =
        |line: &str| line.starts_with("Non-consecutive offsets in ") || line.starts_with("  -1 is followed by ");
    let complaints: Vec<&str> = complaint.lines().filter(|line| !harmless(line)).collect();
    ensure!(output.status.success() && complaints.is_empty(), "kafka-dump-log fails: {complaints:?}\n{said}");
    Ok(said)
}

/// A broker of Apache Kafka.
pub struct Kafka {
    child: Child,
    dir: TempDir,
    /// `127.0.0.1:PORT`.
    pub bootstrap: String,
}

impl Kafka {
    /// Formats a directory and starts a broker in it, with further lines for its `server.properties`.
    pub fn start(extra: &str) -> Result<Self> {
        let dir = TempDir::with_prefix("pelton-e2e-kafka-")?;
        // Both are held before either is let go, so they differ.
        let held = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [client, controller] = [held[0].local_addr()?.port(), held[1].local_addr()?.port()];
        drop(held);
        let properties = dir.path().join("server.properties");
        fs::write(
            &properties,
            format!(
                "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
                 controller.listener.names=CONTROLLER\n\
                 listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\nlog.dirs={}\n\
                 offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
                 transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
                 transaction.state.log.num.partitions=1\ngroup.initial.rebalance.delay.ms=0\n{extra}",
                dir.path().join("data").display()
            ),
        )?;
        let mut format = java()?;
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&properties);
        let formatted = run(&mut format)?;
        ensure!(formatted.status.success(), "cannot format: {}", String::from_utf8_lossy(&formatted.stderr));
        let log = File::create(dir.path().join("broker.log"))?;
        let mut serve = java()?;
        serve.arg("kafka.Kafka").arg(&properties).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = serve.spawn().context("cannot start Kafka")?;
        let mut kafka = Self { child, dir, bootstrap: format!("127.0.0.1:{client}") };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&kafka.bootstrap).is_err() {
            ensure!(
                kafka.child.try_wait()?.is_none() && Instant::now() < deadline,
                "Kafka did not start: {}",
                fs::read_to_string(kafka.dir.path().join("broker.log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(kafka)
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Stops it as its own script does, by SIGTERM, and waits until it has closed its logs.
    pub fn stop(&mut self) -> Result<()> {
        terminate(&mut self.child)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// SIGTERM, and the wait for the end.
pub(crate) fn terminate(child: &mut Child) -> Result<()> {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
    ensure!(sent.success(), "no signal could be sent");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        ensure!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The files below `dir` with this extension, sorted.
pub fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|of| of == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
