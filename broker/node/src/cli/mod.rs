//! The commands, one file each. They speak Kafka's protocol and the admin HTTP, as any client does: records go by librdkafka, all
//! administration by [`wire`].
//!
//! Every command answers with exit status 0, 1 (it failed: one line `error: ...` that says what to do) or 2 (it
//! was called wrongly).

mod cluster;
mod completions;
mod config;
mod connect;
mod consume;
mod demo;
mod dlq;
mod group;
mod input;
mod job;
mod lines;
mod log;
mod man;
pub mod output;
mod plan;
mod plugin;
mod produce;
mod read;
mod selection;
mod serve;
mod text;
mod time;
mod topic;
mod wire;

use crate::config::Settings;
use crate::config::logging::{LogFormat, LogSettings};
use clap::{Args, Parser, Subcommand};
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
    /// `pelton.log.level` says so too, for a broker; without either it is `info`.
    #[arg(long, global = true, env = "RUST_LOG", value_name = "FILTER")]
    log_level: Option<String>,
    /// How log lines look; `pelton.log.format` says so too, for a broker. Without either they are `text`.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

// A variant without a comment has the help of its struct, examples and all.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    /// Create, list, describe, alter, truncate, export, import and delete topics.
    #[command(subcommand, arg_required_else_help = true)]
    Topic(topic::Topic),
    Produce(produce::Produce),
    Consume(consume::Consume),
    /// List, describe, reset, export and delete consumer groups.
    #[command(subcommand, arg_required_else_help = true)]
    Group(group::Group),
    /// Show and change the settings of topics and brokers.
    #[command(subcommand, arg_required_else_help = true)]
    Config(config::Config),
    /// Show the brokers of a cluster, its quorum, its log directories and what it serves.
    #[command(subcommand, arg_required_else_help = true)]
    Cluster(cluster::Cluster),
    /// Write, test, upload, attach, watch and roll back plugins.
    #[command(subcommand, arg_required_else_help = true)]
    Plugin(plugin::Plugin),
    /// Look at dead letters, and put them back exactly once.
    #[command(subcommand, arg_required_else_help = true)]
    Dlq(dlq::Dlq),
    /// Run, list, describe and stop stream jobs.
    #[command(subcommand, arg_required_else_help = true)]
    Job(job::Job),
    /// Look into the files of a log, check them, repair them.
    #[command(subcommand, arg_required_else_help = true)]
    Log(log::Log),
    Plan(plan::Plan),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Man(man::Man),
    /// Compile a plugin from standard input to standard output; the broker calls this in a process of its own.
    #[command(hide = true)]
    CompilePlugin,
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
    /// Token of the admin HTTP (`pelton.admin.token`), where the broker asks for one.
    #[arg(long, env = "PELTON_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<Token>,
}

/// A secret: it is never printed.
#[derive(Clone)]
struct Token(String);

/// How a command that asks the admin HTTP is told where it is, and how to print what it learns.
#[derive(Debug, Clone, Args)]
struct Asking {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminUrl,
}

impl std::str::FromStr for Token {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl AdminUrl {
    /// A client of it.
    fn client(&self) -> connect::AdminClient {
        connect::AdminClient::new(&self.admin).with_token(self.token.as_ref().map(|token| token.0.as_str()))
    }
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever made it fail, in one line.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(command) => command.run(&self.logging),
            Command::Topic(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Produce(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Consume(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Group(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Config(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Cluster(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Plugin(command) => command.run(),
            Command::Dlq(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Job(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Log(command) => command.run(),
            Command::Plan(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::Demo(command) => command.run(),
            Command::Completions(command) => {
                command.run();
                Ok(ExitCode::SUCCESS)
            }
            Command::Man(command) => command.run().map(|()| ExitCode::SUCCESS),
            Command::CompilePlugin => Ok(pelton_engine::compile_on_stdio()),
        }
    }
}

impl Logging {
    /// Lays what the command line says over the settings.
    fn lay_over(&self, settings: &mut Settings) {
        if let Some(level) = &self.log_level {
            settings.flag("--log-level or RUST_LOG", "pelton.log.level", level);
        }
        if let Some(format) = self.log_format {
            settings.flag("--log-format", "pelton.log.format", format.name());
        }
    }

    /// Begins to log.
    fn start(found: &LogSettings) -> anyhow::Result<()> {
        use tracing_subscriber::EnvFilter;
        let filter = EnvFilter::try_new(&found.level)
            .map_err(|e| anyhow::anyhow!("`{}` is no log filter ({e}); write for example `info`", found.level))?;
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match found.format {
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
    fn what_the_command_line_says_of_logs_goes_before_the_settings() {
        let cli = Cli::try_parse_from(["pelton", "serve", "--log-format", "json", "--log-level", "debug"]).unwrap();
        let mut settings = Settings::default();
        settings.flag("--set", "pelton.log.format", "text");
        settings.flag("--set", "pelton.log.level", "warn");
        cli.logging.lay_over(&mut settings);
        let found = settings.build().unwrap().0.logging;
        assert_eq!(found, LogSettings { level: "debug".to_owned(), format: LogFormat::Json });
    }

    #[test]
    fn a_token_is_never_printed() {
        let arguments = ["pelton", "plugin", "list", "--token", "a secret of the operator"];
        let cli = Cli::try_parse_from(arguments).unwrap();
        assert!(!format!("{cli:?}").contains("secret"));
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
