//! Apache Kafka: one broker in KRaft's combined mode, on free ports in a directory of its own.
//!
//! Its configuration is Kafka's default, except for what one node needs (replication factor 1 of the internal topics)
//! and no wait before the first rebalance. So it does not fsync before it acknowledges.

use crate::process::{self, Process};
use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Heap of every JVM.
const HEAP: [&str; 2] = ["-Xms1g", "-Xmx1g"];

/// What Kafka's own scripts give the JVM (`KAFKA_JVM_PERFORMANCE_OPTS` of `kafka-run-class.sh`).
const PERFORMANCE: [&str; 6] = [
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

/// How long a JVM may take to start on a busy machine.
pub const START: Duration = Duration::from_secs(120);

/// Any identity does for a cluster that lives for a minute: sixteen bytes in base64.
const CLUSTER_ID: &str = "cGVsdG9uLWJlbmNobWFyaw";

/// Its configuration and its logs, in its directory.
const PROPERTIES: &str = "server.properties";
const DATA: &str = "data";

/// A broker of Apache Kafka that is being measured.
pub struct Kafka {
    // Ended before its directory is taken away.
    process: Process,
    dir: TempDir,
    home: Home,
    /// Where it listens for clients.
    pub bootstrap: String,
}

/// What `bench/kafka/setup.sh` brought.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    /// Checks that it is there.
    pub fn new(dir: &Path) -> Result<Self> {
        for part in ["libs", "classes"] {
            ensure!(dir.join(part).is_dir(), "{} has no {part}: run bench/kafka/setup.sh {0}", dir.display());
        }
        Ok(Self(dir.to_owned()))
    }

    /// The version of its broker, from the name of the jar.
    pub fn version(&self) -> Result<String> {
        let jars = fs::read_dir(self.0.join("libs"))?;
        let names = jars.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let version =
            |name: String| name.strip_prefix("kafka-server-4.")?.strip_suffix(".jar").map(|v| format!("4.{v}"));
        names.filter_map(version).next().context("no jar of Kafka's broker")
    }

    /// The version of its JVM.
    pub fn jvm_version(&self) -> Result<String> {
        let said = self.java().arg("-version").output().context("cannot run java")?;
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        Ok(text.lines().next().context("java does not say its version")?.to_owned())
    }

    /// A JVM with Kafka's flags and jars; the class and its arguments are still to be added.
    pub fn java(&self) -> Command {
        let mut java = process::command(Path::new("java"));
        let class_path = format!("{}/classes:{0}/libs/*", self.0.display());
        java.args(HEAP).args(PERFORMANCE).arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        java.args(["-cp", &class_path]);
        java
    }
}

impl Kafka {
    /// Starts it below `parent`, and waits until it answers.
    pub fn start(home: &Home, parent: &Path, settings: &[(String, String)]) -> Result<Self> {
        let dir = TempDir::with_prefix_in("pelton-bench-kafka-", parent)?;
        let [client, controller] = free_ports()?;
        let properties = dir.path().join(PROPERTIES);
        fs::write(&properties, configuration(client, controller, &dir.path().join(DATA), settings))?;
        let mut format = home.java();
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&properties);
        let formatted = format.output().context("cannot run java")?;
        ensure!(formatted.status.success(), "cannot format: {}", String::from_utf8_lossy(&formatted.stderr));

        let bootstrap = format!("127.0.0.1:{client}");
        let mut kafka = Self { process: spawn(home, &dir)?, dir, home: home.clone(), bootstrap };
        kafka.wait_until_it_answers()?;
        Ok(kafka)
    }

    /// Starts it again where it was, after it was killed or stopped. Does not wait until it answers.
    pub fn revive(&mut self) -> Result<()> {
        self.process = spawn(&self.home, &self.dir)?;
        Ok(())
    }

    /// Waits until it answers.
    pub fn wait_until_it_answers(&mut self) -> Result<()> {
        let asking: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("reconnect.backoff.max.ms", "200")
            // That it cannot be reached yet is no news.
            .set("log.connection.close", "false")
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg)
            .create()?;
        let began = Instant::now();
        loop {
            if let Ok(cluster) = asking.fetch_metadata(None, Duration::from_secs(2))
                && !cluster.brokers().is_empty()
            {
                return Ok(());
            }
            if !self.process.alive()? || began.elapsed() > START {
                bail!("Kafka did not start: {}", self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its process, to end it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where its logs are.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join(DATA)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        process::tail(&self.dir.path().join("broker.log"))
    }
}

fn spawn(home: &Home, dir: &TempDir) -> Result<Process> {
    let log = fs::File::options().create(true).append(true).open(dir.path().join("broker.log"))?;
    let mut serve = home.java();
    serve.arg("kafka.Kafka").arg(dir.path().join(PROPERTIES)).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Process::start(serve)
}

/// Two ports of the loopback interface that nobody listens on.
fn free_ports() -> Result<[u16; 2]> {
    // Both are held before either is let go, so they differ.
    let held = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([held[0].local_addr()?.port(), held[1].local_addr()?.port()])
}

fn configuration(client: u16, controller: u16, data: &Path, settings: &[(String, String)]) -> String {
    let settings: String = settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\ncontroller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n\
         log.dirs={}\noffsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\nlog.segment.delete.delay.ms=1000\n{settings}",
        data.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ() {
        let [one, other] = free_ports().unwrap();
        assert_ne!(one, other);
    }

    #[test]
    fn a_home_without_jars_names_the_script() {
        let dir = TempDir::new().unwrap();
        let error = Home::new(dir.path()).unwrap_err().to_string();
        assert!(error.contains("setup.sh"), "{error}");
    }
}
