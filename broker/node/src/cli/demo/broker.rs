//! The broker of the demo: a child process that is killed and started again on the same addresses.

use anyhow::{Context, anyhow, bail};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a start may take, recovery of the logs included.
const START: Duration = Duration::from_secs(120);

/// A broker in a process of its own.
pub struct ChildBroker {
    data_dir: PathBuf,
    log: PathBuf,
    bootstrap: String,
    admin: String,
    child: Option<Child>,
}

impl ChildBroker {
    /// Starts a broker on free ports, with its data in `directory/data` and its log in `directory/broker.log`.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(directory: &Path) -> anyhow::Result<Self> {
        let mut broker = Self {
            data_dir: directory.join("data"),
            log: directory.join("broker.log"),
            bootstrap: "127.0.0.1:0".to_owned(),
            admin: "http://127.0.0.1:0".to_owned(),
            child: None,
        };
        broker.start_again()?;
        Ok(broker)
    }

    /// Where clients connect.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The URL of the admin HTTP.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// SIGKILL: no goodbye, no flush.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("cannot kill the broker")?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts the broker on the addresses that it had; tries again while they are not free yet.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let give_up = Instant::now() + START;
        loop {
            match self.try_start(give_up) {
                Ok(()) => return Ok(()),
                Err(error) if is_taken(&error) && Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the process is alive; a broker that ended by itself is an error of the demo.
    ///
    /// # Errors
    /// When it has ended, with the end of its log.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let ended = match &mut self.child {
            Some(child) => child.try_wait()?,
            None => None,
        };
        match ended {
            None => Ok(()),
            Some(status) => bail!("the broker ended by itself ({status}): {}", self.last_words()),
        }
    }

    fn try_start(&mut self, give_up: Instant) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut child = Command::new(std::env::current_exe().context("cannot find the pelton binary")?)
            .arg("serve")
            .args(["--listen", &self.bootstrap])
            .args(["--admin", self.admin.trim_start_matches("http://")])
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(["--log-level", "warn"])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot start the broker")?;
        let output = child.stdout.take().expect("the output is piped");
        self.child = Some(child);
        let (ready, became_ready) = mpsc::channel();
        // The thread ends with the child's standard output.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(addresses) = addresses(&line) {
                    let _ = ready.send(addresses);
                }
            }
        });
        match became_ready.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
            Ok((bootstrap, admin)) => {
                (self.bootstrap, self.admin) = (bootstrap, admin);
                Ok(())
            }
            Err(_) => {
                let words = self.last_words();
                self.kill()?;
                Err(anyhow!("the broker did not become ready: {words}"))
            }
        }
    }

    /// The last line of the broker's log that is not empty.
    fn last_words(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        let text = read().unwrap_or_default();
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        last.trim_start_matches("error: ").to_owned()
    }
}

impl Drop for ChildBroker {
    fn drop(&mut self) {
        // Nothing can be done about a process that cannot be killed.
        let _ = self.kill();
    }
}

/// Whether an address, or the data directory, is not free yet.
fn is_taken(error: &anyhow::Error) -> bool {
    let text = error.to_string();
    text.contains("in use") || text.contains("occupied")
}

/// The addresses of `pelton: ready on A, admin URL, data in DIR`.
fn addresses(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("pelton: ready on ")?;
    let (bootstrap, rest) = rest.split_once(", admin ")?;
    let (admin, _) = rest.split_once(", data in ")?;
    Some((bootstrap.to_owned(), admin.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn the_ready_line_tells_the_addresses() {
        let line = "pelton: ready on 127.0.0.1:9092, admin http://127.0.0.1:9644, data in /a, admin b";
        let expected = ("127.0.0.1:9092".to_owned(), "http://127.0.0.1:9644".to_owned());
        assert_eq!(addresses(line), Some(expected));
        assert_eq!(addresses("something else"), None);
    }
}
