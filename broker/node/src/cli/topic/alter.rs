//! `pelton topic alter`: a topic's `pelton.*` settings, through the admin HTTP.
//!
//! librdkafka's binding has AlterConfigs alone, which replaces all settings of a topic at once: whoever forgets one resets it.
//! So settings of Kafka's own are left to Kafka's tools, which have IncrementalAlterConfigs.

use crate::cli::plugin::{Changes, TopicPlugins};
use crate::cli::{Asking, output};
use anyhow::{anyhow, bail};
use clap::Args;

/// What is attached to a topic is set by these.
const PREFIX: &str = "pelton.";

/// Set and remove settings of a topic that say what is attached to it (`pelton.*`).
///
/// `pelton plugin attach` and `detach` do the same in words. Settings of Kafka's own are altered with Kafka's tools,
/// such as `kafka-configs.sh --bootstrap-server HOST:PORT --alter --topic TOPIC --add-config retention.ms=60000`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n\
    \x20 pelton topic alter orders --set pelton.interceptors=audit@2,mask@1 --remove pelton.partitioner",
    arg_required_else_help = true
)]
pub struct Alter {
    /// Name of the topic.
    topic: String,
    /// A setting and its value; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A setting that the broker's default shall hold for again; may be given several times.
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    /// Have the broker check the change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Alter {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let changes = self.changes()?;
        let client = self.asking.admin.client();
        let before = TopicPlugins::get(&client, &self.topic)?;
        let after = TopicPlugins::change(&client, &self.topic, &changes, self.dry_run)?;
        if self.asking.json {
            output::json(&after.whole);
            return Ok(());
        }
        output::line(&match self.dry_run {
            true => format!("{} would be changed; the broker has nothing against it:", self.topic),
            false => format!("{} is changed:", self.topic),
        });
        changes.lines(&before.known.own).iter().for_each(|line| output::line(&format!("  {line}")));
        Ok(())
    }

    fn changes(&self) -> anyhow::Result<Changes> {
        let mut changes = Changes::default();
        for pair in &self.set {
            let split = pair.split_once('=');
            let (key, value) =
                split.ok_or_else(|| anyhow!("--set {pair}: write KEY=VALUE, such as pelton.partitioner=murmur2"))?;
            changes.set.insert(key.to_owned(), value.to_owned());
        }
        changes.remove.extend(self.remove.iter().cloned());
        let named = changes.set.keys().chain(&changes.remove);
        if let Some(other) = named.clone().find(|key| !key.starts_with(PREFIX)) {
            bail!("{other} is a setting of Kafka's own; alter it with kafka-configs.sh, as --help shows");
        }
        if let Some(both) = changes.remove.iter().find(|key| changes.set.contains_key(*key)) {
            bail!("{both} cannot be set and removed at once");
        }
        if changes.is_empty() {
            bail!("nothing is to be changed; give --set KEY=VALUE or --remove KEY");
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    fn alter(arguments: &[&str]) -> anyhow::Result<Changes> {
        let all = ["pelton", "topic", "alter", "orders"].iter().chain(arguments);
        match Cli::try_parse_from(all)?.command {
            crate::cli::Command::Topic(super::super::Topic::Alter(alter)) => alter.changes(),
            other => bail!("{other:?}"),
        }
    }

    #[test]
    fn settings_are_set_and_removed() {
        let arguments = [
            "--set",
            "pelton.interceptors=a@1,b@2",
            "--set",
            "pelton.plugin.a.config={\"x\"=1}",
            "--remove",
            "pelton.partitioner",
        ];
        let changes = alter(&arguments).unwrap();
        assert_eq!(changes.set["pelton.interceptors"], "a@1,b@2");
        assert_eq!(changes.set["pelton.plugin.a.config"], "{\"x\"=1}");
        assert!(changes.remove.contains("pelton.partitioner"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (arguments, reason) in [
            (&["--set", "retention.ms=1"][..], "kafka-configs.sh"),
            (&["--set", "pelton.partitioner"], "KEY=VALUE"),
            (&["--set", "pelton.partitioner=crc32", "--remove", "pelton.partitioner"], "at once"),
            (&["--dry-run"], "nothing"),
        ] {
            let refused = alter(arguments).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
