//! One broker process: started on free ports in a directory of its own, and ended by its id.

use crate::process::{self, Process};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use tempfile::TempDir;

/// Its logs, in its directory.
const DATA: &str = "data";

/// A broker that is being measured.
pub struct Broker {
    // Ended before its directory is taken away.
    process: Process,
    stdout: BufReader<ChildStdout>,
    dir: TempDir,
    binary: PathBuf,
    args: Vec<String>,
    /// Where it listens for Kafka's protocol.
    pub bootstrap: String,
    admin: String,
}

impl Broker {
    /// Starts `binary` below `parent`; `args` go to `pelton serve`.
    pub fn start(binary: &Path, parent: &Path, args: &[&str]) -> Result<Self> {
        let dir = TempDir::with_prefix_in("pelton-bench-", parent)?;
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let (process, stdout) = spawn(binary, &dir, "127.0.0.1:0", &args)?;
        let (bootstrap, admin) = (String::new(), String::new());
        let mut broker = Self { process, stdout, dir, binary: binary.to_owned(), args, bootstrap, admin };
        broker.await_ready()?;
        Ok(broker)
    }

    /// Starts it again where it was, after it was killed or stopped. Does not wait until it is ready.
    pub fn revive(&mut self) -> Result<()> {
        (self.process, self.stdout) = spawn(&self.binary, &self.dir, &self.bootstrap, &self.args)?;
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub fn await_ready(&mut self) -> Result<()> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let ready = line
            .strip_prefix("pelton: ready on ")
            .with_context(|| format!("{} did not start: {}", self.binary.display(), self.log_tail()))?;
        let (bootstrap, rest) = ready.split_once(", admin ").context("no admin address")?;
        self.bootstrap = bootstrap.to_owned();
        self.admin = rest.split(',').next().unwrap_or_default().to_owned();
        Ok(())
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its process, to end it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Uploads a module as `name@1`.
    pub fn upload(&self, name: &str, module: &Path) -> Result<()> {
        let bytes = fs::read(module).with_context(|| format!("cannot read {}; build the guests", module.display()))?;
        self.request("PUT", &format!("/v1/plugins/{name}/versions/1"), &bytes).map(drop)
    }

    /// Sets topic configs.
    pub fn attach(&self, topic: &str, configs: &[(String, String)]) -> Result<()> {
        let set: serde_json::Map<String, Value> =
            configs.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let body = json!({ "set": set, "remove": [], "validate_only": false }).to_string();
        self.request("PUT", &format!("/v1/topics/{topic}/plugins"), body.as_bytes()).map(drop)
    }

    /// What `/v1/topics/TOPIC/plugins` says.
    pub fn plugins_of(&self, topic: &str) -> Result<Value> {
        self.request("GET", &format!("/v1/topics/{topic}/plugins"), b"")
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> Result<Value> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("{}{path}", self.admin);
        let mut answer = match method {
            "PUT" => agent.put(&url).send(body)?,
            _ => agent.get(&url).call()?,
        };
        let text = answer.body_mut().read_to_string()?;
        if !answer.status().is_success() {
            bail!("{method} {path}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> Result<bool> {
        self.process.alive()
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

fn spawn(binary: &Path, dir: &TempDir, listen: &str, args: &[String]) -> Result<(Process, BufReader<ChildStdout>)> {
    let log = fs::File::options().create(true).append(true).open(dir.path().join("broker.log"))?;
    let mut serve = process::command(binary);
    serve
        .args(["serve", "--listen", listen, "--admin", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path().join(DATA))
        .args(args)
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    let mut process = Process::start(serve)?;
    let stdout = process.child().stdout.take().context("its standard output")?;
    Ok((process, BufReader::new(stdout)))
}
