//! `pelton dlq show`: dead letters for people, or as lines of JSON that can be edited and put back.

use super::letters::{Letter, Where};
use super::read::{self, Next};
use super::{decided, group, letter, output};
use crate::cli::{Bootstrap, text, time};
use anyhow::bail;
use clap::Args;

/// How much of a key, a value or a header is shown to people.
const SHOWN: usize = 300;

/// Show the letters of a topic: why they are there, where they came from, and what they hold.
///
/// Without --all only those are shown that were not put back yet. With --json each letter is one line, which `pelton dlq
/// replay --edit` reads again after it was repaired.
///
/// Example: pelton dlq show orders-dead-letter --where plugin=mask --json > repair.jsonl
#[derive(Debug, Args)]
pub struct Show {
    /// Name of the dead-letter topic.
    topic: String,
    /// Show this partition alone.
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// Begin at this offset.
    #[arg(long, value_name = "N")]
    offset: Option<i64>,
    /// Show at most so many letters.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: u64,
    /// Show letters that are so, such as plugin=mask@1 or reason~JSON; may be given several times.
    #[arg(long = "where", value_name = "FIELD=TEXT")]
    filters: Vec<Where>,
    /// Show letters that were put back as well.
    #[arg(long)]
    all: bool,
    /// Print each letter as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Show {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let consumer = read::consumer(&self.bootstrap.bootstrap, &group(&self.topic))?;
        let mut partitions = read::partitions(&consumer, &self.topic)?;
        let progress = decided(&self.bootstrap.bootstrap, &self.topic, &partitions)?;
        if let Some(wanted) = self.partition {
            partitions.retain(|partition| partition.index == wanted);
            if partitions.is_empty() {
                bail!("the topic {} has no partition {wanted}", self.topic);
            }
        }
        let (mut shown, mut more) = (0, false);
        for partition in partitions {
            let progress = &progress[&partition.index];
            let first = if self.all { partition.start } else { partition.start.max(progress.position()) };
            let from = self.offset.unwrap_or(first).max(first);
            let take = |message: &rdkafka::message::BorrowedMessage<'_>| {
                let letter = letter(message);
                let done = progress.is_done(letter.offset);
                if (done && !self.all) || !self.filters.iter().all(|filter| filter.holds(&letter)) {
                    return Ok(Next::Record);
                }
                if shown == self.limit {
                    more = true;
                    return Ok(Next::Stop);
                }
                shown += 1;
                self.print(&letter, done);
                Ok(Next::Record)
            };
            if read::range(&consumer, &self.topic, partition.index, (from, partition.end), take)? == Next::Stop {
                break;
            }
        }
        if more {
            output::note(&format!("there are more; --limit {} shows further ones", self.limit.saturating_mul(10)));
        } else if shown == 0 {
            output::note("no letter waits here; --all shows those that were put back");
        }
        Ok(())
    }

    fn print(&self, letter: &Letter, done: bool) {
        if self.json {
            output::json(&letter.to_json(done));
            return;
        }
        let done = if done { ", put back" } else { "" };
        output::line(&format!("{}, {}{done}", letter.name(), time::display(letter.timestamp_ms)));
        let fact = |name: &str| letter.fact(name).map(|text| text::shown(Some(text.as_bytes()), SHOWN));
        if let Some(reason) = fact("reason") {
            output::line(&format!("  reason   {reason}"));
        }
        let by = [("plugin", ""), ("hook", "hook "), ("job", "job "), ("step", "step "), ("plugin.digest", "sha256 ")];
        let by: Vec<String> =
            by.iter().filter_map(|(name, before)| fact(name).map(|text| format!("{before}{text}"))).collect();
        if !by.is_empty() {
            output::line(&format!("  by       {}", by.join(", ")));
        }
        let from = [
            ("topic", "topic "),
            ("partition", "partition "),
            ("offset", "offset "),
            ("principal", ""),
            ("client.id", "client "),
        ];
        let from: Vec<String> =
            from.iter().filter_map(|(name, before)| fact(name).map(|text| format!("{before}{text}"))).collect();
        if !from.is_empty() {
            output::line(&format!("  from     {}", from.join(", ")));
        }
        if let Some(size) = fact("truncated") {
            output::line(&format!("  cut      its value had {size} bytes; what follows is not whole"));
        }
        output::line(&format!("  key      {}", text::shown(letter.content.key.as_deref(), SHOWN)));
        output::line(&format!("  value    {}", text::shown(letter.content.value.as_deref(), SHOWN)));
        for (name, value) in &letter.content.headers {
            let name = text::shown(Some(name.as_bytes()), SHOWN);
            output::line(&format!("  header   {name}={}", text::shown(value.as_deref(), SHOWN)));
        }
    }
}
