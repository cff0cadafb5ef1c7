//! `pelton serve`.

use super::{Logging, output};
use crate::config::{NodeConfig, Notice, Settings};
use crate::node::Node;
use anyhow::{Context, anyhow};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Run a broker.
///
/// Without any option it listens on 127.0.0.1:9092, keeps its data in ./pelton-data and answers admin requests on
/// 127.0.0.1:9644. When it is ready it prints one line with its addresses to standard output. SIGTERM or SIGINT
/// stops it: the jobs commit, then the logs are closed; a second signal ends it at once. It stops by itself, with an error,
/// when the log directory fails that knows its topics.
#[derive(Debug, Args)]
pub struct Serve {
    /// Read settings from a Kafka `server.properties` file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen for clients on this address; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Keep the data in this directory; it is created when it does not exist.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Serve control requests on this address with threads and memory of their own; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT")]
    control: Option<String>,
    /// Answer admin requests on this loopback address; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// Set one of the broker's settings, by Kafka's name; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Serve {
    /// Runs the broker until it is told to stop.
    pub fn run(self, logging: &Logging) -> anyhow::Result<ExitCode> {
        let mut settings = self.settings()?;
        logging.lay_over(&mut settings);
        let (config, notices) = settings.build()?;
        Logging::start(&config.logging)?;
        for notice in notices {
            match notice {
                Notice::Warning(text) => tracing::warn!("{text}"),
                Notice::Debug(text) => tracing::debug!("{text}"),
            }
        }
        raise_open_file_limit();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.network_threads)
            .thread_name("pelton-network")
            .enable_all()
            .build()
            .context("cannot start the network threads")?;
        let code = runtime.block_on(serve(config));
        runtime.shutdown_background();
        code
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = Settings::default();
        if let Some(path) = &self.config {
            settings.file(path)?;
        }
        settings.environment(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        for pair in &self.set {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| anyhow!("--set {pair}: write KEY=VALUE, for example --set num.partitions=6"))?;
            settings.flag("--set", key, value);
        }
        if let Some(listen) = &self.listen {
            settings.flag("--listen", "listeners", listen);
        }
        if let Some(dir) = &self.data_dir {
            let dir = dir.to_str().ok_or_else(|| anyhow!("--data-dir: the path is not UTF-8"))?;
            settings.flag("--data-dir", "log.dirs", dir);
        }
        if let Some(control) = &self.control {
            settings.flag("--control", "pelton.control.listener", control);
        }
        if let Some(admin) = &self.admin {
            settings.flag("--admin", "pelton.admin.listener", admin);
        }
        Ok(settings)
    }
}

/// Raises the soft limit of open files to the hard one: each partition keeps some open, and the usual soft limit
/// of 1,024 is there for programs that still use select(2).
fn raise_open_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open files stays at {:?}", limit.current);
    }
}

async fn serve(config: NodeConfig) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let data_dir = config.data_dir.clone();
    let node = tokio::select! {
        node = Node::start(config) => node?,
        () = signals.next() => return Ok(ExitCode::FAILURE),
    };
    let addresses: Vec<String> = node.addresses().iter().map(ToString::to_string).collect();
    output::line(&format!(
        "pelton: ready on {}, admin http://{}, data in {}",
        addresses.join(","),
        node.admin(),
        data_dir.display()
    ));
    if let Some(control) = node.control() {
        tracing::info!(%control, "control requests are served apart from data");
    }
    let failure = tokio::select! {
        () = signals.next() => None,
        reason = node.failed() => Some(reason),
    };
    match &failure {
        None => tracing::info!("stopping; a second signal ends the process at once"),
        Some(reason) => tracing::error!("stopping: {reason}"),
    }
    tokio::select! {
        () = node.stop() => failure.map_or(Ok(ExitCode::SUCCESS), |reason| Err(anyhow!(reason))),
        () = signals.next() => {
            tracing::warn!("ended before the logs were closed; the next start checks their tails");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let install = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: install(SignalKind::terminate())?, interrupt: install(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
