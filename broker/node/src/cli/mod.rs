//! The commands, one file each. They speak Kafka's protocol (librdkafka) and the admin HTTP, as any client does.
//!
//! Every command answers with exit status 0, 1 (it failed: one line `error: ...` that says what to do) or 2 (it
//! was called wrongly).

mod connect;
mod consume;
mod demo;
mod job;
mod lines;
pub mod output;
mod plugin;
mod produce;
mod serve;
mod topic;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::process::ExitCode;

/// A stream platform in one binary: a Kafka broker that runs WebAssembly where the data is.
#[derive(Debug, Parser)]
#[command(name = "pelton", version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logging: Logging,
}

/// How the program logs.
#[derive(Debug, Clone, Args)]
struct Logging {
    /// What is logged to standard error, in the syntax of RUST_LOG (`info`, `pelton_server=debug`).
    #[arg(long, global = true, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    log_level: String,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One line of JSON for each event.
    Json,
    /// Lines for people.
    Text,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker.
    Serve(serve::Serve),
    /// Create, list, describe and delete topics.
    #[command(subcommand, arg_required_else_help = true)]
    Topic(topic::Topic),
    /// Write lines to a topic, one record a line.
    Produce(produce::Produce),
    /// Read records from a topic.
    Consume(consume::Consume),
    /// Upload and list plugins.
    #[command(subcommand, arg_required_else_help = true)]
    Plugin(plugin::Plugin),
    /// Run, list, describe and stop stream jobs.
    #[command(subcommand, arg_required_else_help = true)]
    Job(job::Job),
    /// Count page views exactly once, with a broker that is killed on the way.
    Demo(demo::Demo),
}

/// Where the broker is.
#[derive(Debug, Clone, Args)]
struct Bootstrap {
    /// Address of the broker, HOST:PORT; several are parted by commas.
    #[arg(long, env = "PELTON_BOOTSTRAP", default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    bootstrap: String,
}

/// Where the admin HTTP is.
#[derive(Debug, Clone, Args)]
struct AdminUrl {
    /// Address of the broker's admin HTTP.
    #[arg(long = "admin", env = "PELTON_ADMIN", default_value = "http://127.0.0.1:9644", value_name = "URL")]
    admin: String,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever made it fail, in one line.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(command) => {
                self.logging.start()?;
                command.run()
            }
            Command::Topic(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Produce(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Consume(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Plugin(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Job(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Demo(command) => command.run(),
        }
    }
}

impl Logging {
    fn start(&self) -> anyhow::Result<()> {
        use tracing_subscriber::EnvFilter;
        let filter = EnvFilter::try_new(&self.log_level)
            .map_err(|e| anyhow::anyhow!("`{}` is no log filter ({e}); write for example `info`", self.log_level))?;
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Json => lines.json().init(),
            LogFormat::Text => {
                use std::io::IsTerminal as _;
                lines.with_ansi(std::io::stderr().is_terminal()).init();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_is_explained_in_a_sentence() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|a| !["help", "version"].contains(&a.get_id().as_str())) {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.len() > 10, "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
