//! The real binary as a child process, and the real clients that talk to it.
//!
//! A [`Pelton`] is one broker with a data directory of its own on free ports of the loopback address; it
//! can be killed and started again on the same ports. Every wait is bounded, and dropping it ends the
//! process by its id. The tests stand in `tests/e2e/`; the Python clients in `clients/`.

pub mod kafka;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A broker of its own.
pub struct Pelton {
    child: Option<Child>,
    dir: TempDir,
    /// `127.0.0.1:PORT` of the Kafka listener.
    pub bootstrap: String,
    /// `http://127.0.0.1:PORT` of the admin listener.
    pub admin: String,
    extra: Vec<String>,
}

impl Pelton {
    /// Starts a broker on free ports, in a new data directory.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// As [`Pelton::start`], with further arguments for `pelton serve`.
    pub fn start_with(extra: &[&str]) -> Result<Self> {
        let extra: Vec<String> = extra.iter().map(|&argument| argument.to_owned()).collect();
        let dir = TempDir::with_prefix("pelton-e2e-")?;
        let mut broker = Self { child: None, dir, bootstrap: String::new(), admin: String::new(), extra };
        broker.launch("127.0.0.1:0", "127.0.0.1:0")?;
        Ok(broker)
    }

    /// Starts it again on the ports that it had.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "it is still running");
        let (listen, admin) = (self.bootstrap.clone(), self.admin.trim_start_matches("http://").to_owned());
        self.launch(&listen, &admin)
    }

    fn launch(&mut self, listen: &str, admin: &str) -> Result<()> {
        let data = self.data_dir();
        let mut child = Command::new(pelton_bin())
            .args(["serve", "--listen", listen, "--admin", admin, "--data-dir"])
            .arg(&data)
            .args(&self.extra)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::options().create(true).append(true).open(self.log_path())?)
            .spawn()
            .with_context(|| format!("cannot start {}; `make build` makes it", pelton_bin().display()))?;
        let stdout = child.stdout.take().context("its standard output")?;
        self.child = Some(child);
        let line = first_line(stdout).with_context(|| format!("it did not become ready; its log:\n{}", self.log()))?;
        // pelton: ready on ADDR, admin http://ADDR, data in DIR
        let ready = line.strip_prefix("pelton: ready on ").with_context(|| format!("an odd first line: {line}"))?;
        let (bootstrap, rest) = ready.split_once(", admin ").with_context(|| format!("no admin address: {line}"))?;
        self.bootstrap = bootstrap.to_owned();
        self.admin = rest.split(',').next().unwrap_or_default().to_owned();
        Ok(())
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it is not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM, as a service manager does it: logs are closed, and the directory is marked as left in order.
    pub fn stop(&mut self) -> Result<()> {
        kafka::terminate(&mut self.child.take().context("it is not running")?)
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What the broker logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("broker.log")
    }

    /// Runs `pelton ARGUMENTS` against this broker; fails with its standard error.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        let output = self.cli_output(arguments)?;
        ensure!(
            output.status.success(),
            "pelton {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs `pelton ARGUMENTS` against this broker, whatever comes of it.
    pub fn cli_output(&self, arguments: &[&str]) -> Result<Output> {
        run(Command::new(pelton_bin())
            .args(arguments)
            .env("PELTON_BOOTSTRAP", &self.bootstrap)
            .env("PELTON_ADMIN", &self.admin))
    }

    /// GET on the admin listener.
    pub fn get(&self, path: &str) -> Result<Value> {
        let mut answer = ureq::get(format!("{}{path}", self.admin)).call()?;
        Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?)
    }

    /// Uploads pv-count, creates the topics of the example and runs its job.
    pub fn run_pv_count(&self, partitions: u32) -> Result<()> {
        let partitions = partitions.to_string();
        for topic in ["access-log", "page-views"] {
            self.cli(&["topic", "create", topic, "--partitions", &partitions])?;
        }
        self.cli(&["plugin", "upload", "pv-count@1", &pv_count_wasm()?])?;
        let spec = repository().join("examples/01-pv-count/job.toml");
        self.cli(&["job", "run", spec.to_str().context("a path in UTF-8")?])?;
        Ok(())
    }

    /// Waits until every task of the job satisfies `done`.
    pub fn wait_for_job(&self, job: &str, done: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let report = self.get(&format!("/v1/jobs/{job}"))?;
            let tasks = report["tasks"].as_array().context("the job's tasks")?;
            if !tasks.is_empty() && tasks.iter().all(&done) {
                return Ok(report);
            }
            ensure!(Instant::now() < deadline, "job {job} did not get there: {report:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs a Python client of `clients/` with the bootstrap address as its first argument.
    pub fn python(&self, script: &str, arguments: &[&str]) -> Result<String> {
        let python =
            std::env::var("PELTON_PYTHON").context("PELTON_PYTHON is not set; run the tests by `make test`")?;
        let script = repository().join("tests/e2e/clients").join(script);
        let output = run(Command::new(python).arg(&script).arg(&self.bootstrap).args(arguments))?;
        ensure!(
            output.status.success(),
            "{} failed: {}\n{}\n{}",
            script.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Pelton {
    /// Uploads a plugin from `PELTON_PLUGINS` as `name@version`.
    pub fn upload(&self, plugin: &str, file: &str) -> Result<String> {
        self.cli(&["plugin", "upload", plugin, &plugin_wasm(file)?])
    }

    /// PUT of JSON on the admin listener: the status, and what it answered.
    pub fn put(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.put(format!("{}{path}", self.admin)).send(body.to_string())?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), serde_json::from_str(&text).with_context(|| text.clone())?))
    }

    /// Sets `pelton.*` configs of a topic; fails with what the broker has against them.
    pub fn configure(&self, topic: &str, configs: &[(&str, &str)]) -> Result<Value> {
        let set: serde_json::Map<String, Value> =
            configs.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        let body = serde_json::json!({ "set": set, "remove": [], "validate_only": false });
        let (status, said) = self.put(&format!("/v1/topics/{topic}/plugins"), &body)?;
        ensure!(status == 200, "the broker refuses the configs of {topic}: {said}");
        Ok(said)
    }

    /// As [`produce_lines`], to this broker.
    pub fn produce_lines(
        &self,
        client: Client,
        topic: &str,
        mode: &[&str],
        lines: &str,
    ) -> Result<Option<Vec<Produced>>> {
        produce_lines(&self.bootstrap, client, topic, mode, lines).with_context(|| self.log())
    }
}

/// Runs one of the producers that read `KEY TAB VALUE` lines and print `KEY TAB PARTITION TAB OFFSET` lines, or
/// `KEY TAB error TAB TEXT`. `None` where this machine lacks its language.
pub fn produce_lines(
    bootstrap: &str,
    client: Client,
    topic: &str,
    mode: &[&str],
    lines: &str,
) -> Result<Option<Vec<Produced>>> {
    let clients = PathBuf::from(
        std::env::var("PELTON_CLIENTS").context("PELTON_CLIENTS is not set; run the tests by `make test`")?,
    );
    let sources = repository().join("tests/e2e/clients");
    let mut command = match client {
        Client::Java => {
            let mut java = Command::new("java");
            java.arg("-cp").arg(format!("{}/java/*", clients.display())).arg(sources.join("java/Produce.java"));
            java
        }
        Client::Node => {
            let mut node = Command::new("node");
            node.arg(clients.join("node/produce.js"));
            node
        }
        Client::Python => {
            let mut python = Command::new(std::env::var("PELTON_PYTHON").context("PELTON_PYTHON is not set")?);
            python.arg(sources.join("confluent_produce.py"));
            python
        }
        Client::Go if clients.join("go-produce").exists() => Command::new(clients.join("go-produce")),
        Client::Go => return Ok(None),
    };
    command.arg(bootstrap).arg(topic).args(mode);
    let output = run_with_input(&mut command, lines)?;
    ensure!(
        output.status.success(),
        "{client:?} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)?.lines().map(Produced::parse).collect::<Result<Vec<_>>>().map(Some)
}
/// The producers of `clients/` that speak lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Apache Kafka's own client. Mode: `idempotent`, `transactional ID`, `abort ID`.
    Java,
    /// kafkajs. No mode.
    Node,
    /// confluent-kafka. Mode: librdkafka's name of a partitioner.
    Python,
    /// franz-go. No mode.
    Go,
}

/// What a producer was told of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// Its key.
    pub key: String,
    /// Partition and offset, or the error.
    pub answer: Result<(i32, i64), String>,
}

impl Produced {
    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.splitn(3, '\t').collect();
        let [key, second, third] = fields[..] else { bail!("an odd line of a producer: {line}") };
        let answer = match second {
            "error" => Err(third.to_owned()),
            partition => Ok((partition.parse()?, third.parse()?)),
        };
        Ok(Self { key: key.to_owned(), answer })
    }
}

impl Drop for Pelton {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The binary under test.
pub fn pelton_bin() -> PathBuf {
    std::env::var_os("PELTON_BIN").map_or_else(
        || {
            let test = std::env::current_exe().expect("the path of this test");
            test.ancestors().nth(2).expect("target/release").join("pelton")
        },
        PathBuf::from,
    )
}

/// The plugin of the example, built from source.
pub fn pv_count_wasm() -> Result<String> {
    std::env::var("PELTON_PV_COUNT_WASM").context("PELTON_PV_COUNT_WASM is not set; run the tests by `make test`")
}

/// A built plugin of `PELTON_PLUGINS`.
pub fn plugin_wasm(name: &str) -> Result<String> {
    let plugins = std::env::var("PELTON_PLUGINS").context("PELTON_PLUGINS is not set; run the tests by `make test`")?;
    let path = Path::new(&plugins).join(format!("{name}.wasm"));
    ensure!(path.exists(), "{} is missing; `make plugins examples` builds it", path.display());
    Ok(path.to_str().context("a path in UTF-8")?.to_owned())
}

/// The root of the checkout.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/e2e lies two folders down").to_owned()
}

/// Runs a command to its end, or kills it when patience is over.
pub fn run(command: &mut Command) -> Result<Output> {
    run_with_input(command, "")
}

/// As [`run`], with a text on its standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let (out, err) = (drain(child.stdout.take()), drain(child.stderr.take()));
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // On a thread of its own: a program that writes before it has read must not wait for us. One that does not
        // read its input closes it, which is no error of ours.
        std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    }
    let deadline = Instant::now() + 2 * PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("{command:?} did not end; it said: {}", String::from_utf8_lossy(&err.recv().unwrap_or_default()));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    Ok(Output { status, stdout: out.recv().unwrap_or_default(), stderr: err.recv().unwrap_or_default() })
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

fn first_line(stdout: impl Read + Send + 'static) -> Result<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // Reads on after the first line, so that the child never blocks on a full pipe.
        for line in BufReader::new(stdout).lines() {
            let _ = sender.send(line);
        }
    });
    Ok(receiver.recv_timeout(PATIENCE)??)
}
