//! Kafka's clients as their makers ship them, each against a broker of its own.
//!
//! A suite is a folder beside this crate: a small project that installs its client at a pinned version (`setup.sh`), takes the
//! broker's address, runs its checks one after the other and prints a line for each. This room starts the broker, runs the
//! suite for a bounded time and fails with what it printed; what is checked stands in the suites. With
//! `PELTON_CONFORMANCE_AGAINST=kafka` the same suites run against Apache Kafka, which tells whether a suite asks for what Kafka does.

use anyhow::{Context, Result, bail, ensure};
use pelton_e2e::kafka::Kafka;
use pelton_e2e::{Pelton, repository};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a suite may take before it is ended. Its checks have bounds of their own, of a minute each.
const PATIENCE: Duration = Duration::from_secs(900);

/// Like the settings of a broker in a test: nobody waits for members that do not come.
const SETTINGS: [&str; 2] = ["--set", "group.initial.rebalance.delay.ms=0"];

/// The broker that a suite talks to.
pub enum Broker {
    /// The binary under test.
    Pelton(Box<Pelton>),
    /// Apache Kafka, for comparison.
    Kafka(Kafka),
}

impl Broker {
    /// Pelton, or what `PELTON_CONFORMANCE_AGAINST` names.
    ///
    /// # Errors
    /// When it does not start, or the variable names something else.
    pub fn start() -> Result<Self> {
        match std::env::var("PELTON_CONFORMANCE_AGAINST").as_deref() {
            Ok("kafka") => Self::kafka(),
            Ok("pelton") | Err(_) => Self::pelton(),
            Ok(other) => bail!("PELTON_CONFORMANCE_AGAINST is pelton or kafka, not {other}"),
        }
    }

    /// The binary under test.
    ///
    /// # Errors
    /// When it does not start.
    pub fn pelton() -> Result<Self> {
        Ok(Self::Pelton(Box::new(Pelton::start_with(&SETTINGS)?)))
    }

    /// Apache Kafka 4.3.1.
    ///
    /// # Errors
    /// When it does not start.
    pub fn kafka() -> Result<Self> {
        Ok(Self::Kafka(Kafka::start("")?))
    }

    /// `127.0.0.1:PORT`.
    pub fn bootstrap(&self) -> &str {
        match self {
            Self::Pelton(pelton) => &pelton.bootstrap,
            Self::Kafka(kafka) => &kafka.bootstrap,
        }
    }

    /// The last lines of its log; of Apache Kafka's none.
    fn log(&self) -> String {
        let Self::Pelton(pelton) = self else { return String::new() };
        let log = pelton.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// Where `setup.sh` has put what belongs to a suite.
fn installed(suite: &str) -> Result<PathBuf> {
    let clients = std::env::var("PELTON_CLIENTS")
        .context("PELTON_CLIENTS is not set; run the tests by `make test` or `make conformance`")?;
    Ok(PathBuf::from(clients).join("conformance").join(suite))
}

/// The sources of a suite.
fn sources(suite: &str) -> PathBuf {
    repository().join("tests/conformance").join(suite)
}

/// A JVM that starts quickly, with these jars and the classes of the suite; the class and its arguments are still to be added.
fn java(suite: &str, jars: &str) -> Result<Command> {
    let dir = installed(suite)?;
    ensure!(
        dir.join("classes").is_dir(),
        "{} is not installed; tests/conformance/setup.sh {suite} does it",
        dir.display()
    );
    let mut java = Command::new("java");
    java.args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp"]).arg(format!("{}/classes:{jars}", dir.display()));
    Ok(java)
}

/// A suite in Java with jars of its own.
///
/// # Errors
/// When it is not installed.
pub fn in_java(suite: &str) -> Result<Command> {
    let mut java = java(suite, &format!("{}/libs/*", installed(suite)?.display()))?;
    java.arg("Suite");
    Ok(java)
}

/// Kafka's own tools, by a transcript.
///
/// # Errors
/// When they are not installed.
pub fn transcript() -> Result<Command> {
    let clients = std::env::var("PELTON_CLIENTS").context("PELTON_CLIENTS is not set")?;
    let mut java = java("kafka-tools", &format!("{clients}/java/*"))?;
    java.arg("Transcript");
    Ok(java)
}

/// A suite in Python.
///
/// # Errors
/// When there is no Python.
pub fn in_python(suite: &str) -> Result<Command> {
    let python = std::env::var("PELTON_PYTHON").context("PELTON_PYTHON is not set; run the tests by `make test`")?;
    let mut command = Command::new(python);
    command.arg("-B").arg(sources(suite).join("suite.py"));
    Ok(command)
}

/// A suite in JavaScript.
///
/// # Errors
/// When it is not installed.
pub fn in_node(suite: &str) -> Result<Command> {
    let file = installed(suite)?.join("suite.js");
    ensure!(file.exists(), "{} is missing; tests/conformance/setup.sh {suite} installs it", file.display());
    let mut command = Command::new("node");
    command.arg(file);
    Ok(command)
}

/// A suite in Go; `None`, and said so, where this machine has no Go that builds it.
///
/// # Errors
/// When nothing says where it is installed.
pub fn in_go(suite: &str) -> Result<Option<Command>> {
    let program = installed(suite)?.join("conformance");
    if !program.exists() {
        // Said where nobody captures it: a skipped suite must not look like one that passed.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no Go has built {suite}; tests/conformance/setup.sh {suite} says which it wants"
        );
        return Ok(None);
    }
    Ok(Some(Command::new(program)))
}

/// A suite that is a shell script.
pub fn in_shell(suite: &str) -> Command {
    Command::new(sources(suite).join("suite.sh"))
}

/// Runs a suite against a broker of its own; fails with what it printed.
///
/// # Errors
/// When the broker does not start, a check fails, or the suite does not end.
pub fn passes(suite: &str, mut command: Command) -> Result<()> {
    let broker = Broker::start()?;
    command.arg(broker.bootstrap());
    ends_well(&broker, suite, &mut command)
}

/// Runs the tools by a transcript of `tests/conformance` and compares what they print with what stands there.
///
/// # Errors
/// When they print something else.
pub fn compares(broker: &Broker, mut transcript: Command, file: &str) -> Result<()> {
    transcript.arg(broker.bootstrap()).arg(sources(file));
    ends_well(broker, file, &mut transcript)
}

fn ends_well(broker: &Broker, suite: &str, command: &mut Command) -> Result<()> {
    let (passed, said) = run(command)?;
    println!("{suite}:\n{said}");
    ensure!(passed, "{suite} fails:\n{}\nthe end of the broker's log:\n{}", without_passed(&said), broker.log());
    Ok(())
}

/// What Kafka's tools print on this broker for the commands of the transcript, which lies in `tests/conformance`.
///
/// # Errors
/// When the tools cannot be run.
pub fn typed(broker: &Broker, file: &str) -> Result<String> {
    let (ran, said) = run(transcript()?.args(["--record", broker.bootstrap()]).arg(sources(file)))?;
    ensure!(ran, "the transcript {file} cannot be typed: {said}");
    Ok(said)
}

fn without_passed(said: &str) -> String {
    said.lines().filter(|line| !line.starts_with("ok ")).collect::<Vec<_>>().join("\n")
}

/// Runs a command for at most [`PATIENCE`]: whether it ended well, and all that it printed.
fn run(command: &mut Command) -> Result<(bool, String)> {
    // A file, not a pipe: what a suite leaves behind must not hold the reader.
    let dir = std::env::temp_dir();
    let path = dir.join(format!("pelton-conformance-{}-{:?}", std::process::id(), std::thread::current().id()));
    let output = File::create(&path)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
    std::fs::remove_file(&path)?;
    let Some(status) = status else { bail!("{command:?} did not end in {PATIENCE:?}; it said:\n{said}") };
    Ok((status.success(), said))
}
