//! Changes of settings as arguments and as words: the same for topics and for brokers.

use super::wire::{Alteration, Operation};
use anyhow::{anyhow, bail};
use clap::Args;
use std::collections::BTreeSet;

/// What is to become of settings.
#[derive(Debug, Clone, Args)]
pub struct ConfigChanges {
    /// A setting and its value; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A setting that what holds by default shall hold for again; may be given several times.
    #[arg(long, visible_alias = "remove", value_name = "KEY")]
    unset: Vec<String>,
    /// Words that come to the end of a setting that is a list; may be given several times.
    #[arg(long, value_name = "KEY=WORD,WORD")]
    append: Vec<String>,
    /// Words that are taken out of a setting that is a list; may be given several times.
    #[arg(long, value_name = "KEY=WORD,WORD")]
    subtract: Vec<String>,
}

impl ConfigChanges {
    /// What was asked for; nothing when nothing was.
    ///
    /// # Errors
    /// When a pair is none, or a setting is named twice.
    pub fn alterations(&self) -> anyhow::Result<Vec<Alteration>> {
        let mut alterations = Vec::new();
        let with_values = [
            ("set", &self.set, Operation::Set),
            ("append", &self.append, Operation::Append),
            ("subtract", &self.subtract, Operation::Subtract),
        ];
        for (flag, pairs, operation) in with_values {
            for pair in pairs {
                let split = pair.split_once('=').filter(|(key, _)| !key.is_empty());
                let (key, value) =
                    split.ok_or_else(|| anyhow!("--{flag} {pair}: write KEY=VALUE, such as retention.ms=60000"))?;
                let value = Some(value.to_owned());
                alterations.push(Alteration { name: key.to_owned(), operation, value });
            }
        }
        let unset = self.unset.iter().cloned();
        alterations.extend(unset.map(|name| Alteration { name, operation: Operation::Unset, value: None }));
        let mut seen = BTreeSet::new();
        if let Some(twice) = alterations.iter().find(|alteration| !seen.insert(&alteration.name)) {
            bail!("{} is named twice; say once what is to become of it", twice.name);
        }
        Ok(alterations)
    }
}

/// A change, for people.
pub fn line(change: &Alteration) -> String {
    let (name, value) = (&change.name, change.value.as_deref().unwrap_or_default());
    match change.operation {
        Operation::Set => format!("{name}={value}"),
        Operation::Unset => format!("{name} is unset"),
        Operation::Append => format!("{name}: {value} is appended"),
        Operation::Subtract => format!("{name}: {value} is taken out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        changes: ConfigChanges,
    }

    fn alterations(arguments: &[&str]) -> anyhow::Result<Vec<Alteration>> {
        Command::try_parse_from(["test"].iter().chain(arguments))?.changes.alterations()
    }

    #[test]
    fn settings_are_set_unset_appended_and_subtracted() {
        let arguments = [
            "--set",
            "pelton.plugin.a.config={\"x\"=1}",
            "--remove",
            "pelton.partitioner",
            "--append",
            "cleanup.policy=compact",
            "--subtract",
            "follower.throttled=1",
        ];
        let lines: Vec<String> = alterations(&arguments).unwrap().iter().map(line).collect();
        let wanted = [
            "pelton.plugin.a.config={\"x\"=1}",
            "cleanup.policy: compact is appended",
            "follower.throttled: 1 is taken out",
            "pelton.partitioner is unset",
        ];
        assert_eq!(lines, wanted);
        assert_eq!(alterations(&["--set", "a="]).unwrap()[0].value.as_deref(), Some(""));
        assert!(alterations(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (arguments, reason) in [
            (&["--set", "retention.ms"][..], "KEY=VALUE"),
            (&["--append", "=x"], "KEY=VALUE"),
            (&["--set", "a=1", "--unset", "a"], "twice"),
            (&["--set", "a=1", "--set", "a=2"], "twice"),
        ] {
            let refused = alterations(arguments).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
