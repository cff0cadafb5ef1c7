//! Every `pelton ...` command of the documents is one that the binary takes: its subcommands, options and arguments.

use anyhow::{Context, Result, ensure};
use pelton_e2e::{pelton_bin, repository, run};
use std::path::Path;
use std::process::Command;

/// A command as a document shows it.
struct Shown {
    document: String,
    /// What follows `pelton`.
    words: Vec<String>,
    /// Whether it stands on a line of its own to be typed, and must therefore be whole.
    whole: bool,
}

/// What one subcommand says of itself.
struct Help {
    text: String,
    subcommands: Vec<String>,
    /// The arguments without a flag: those that must be there, and all of them.
    arguments: (usize, usize),
}

#[test]
fn every_command_of_the_documents_is_taken() -> Result<()> {
    let shown = shown_commands()?;
    ensure!(shown.iter().filter(|command| command.whole).count() >= 10, "few commands found: is the search broken?");
    for Shown { document, words, whole } in &shown {
        check(words, *whole).with_context(|| format!("{document} shows `pelton {}`", words.join(" ")))?;
    }
    Ok(())
}

fn check(words: &[String], whole: bool) -> Result<()> {
    let (mut path, mut help) = (Vec::new(), Help::of(&[])?);
    let mut rest = words.iter().map(String::as_str).peekable();
    while !help.subcommands.is_empty() {
        let Some(word) = rest.next() else {
            ensure!(!whole, "a subcommand is missing");
            return Ok(());
        };
        ensure!(help.subcommands.iter().any(|name| name == word), "there is no subcommand `{word}`");
        path.push(word);
        help = Help::of(&path)?;
    }
    let mut arguments = 0;
    while let Some(word) = rest.next() {
        if !word.starts_with('-') {
            arguments += 1;
            continue;
        }
        let (flag, value) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
        let takes_value = help.takes_value(flag).with_context(|| format!("there is no option `{flag}`"))?;
        if takes_value && value.is_none() {
            ensure!(rest.next().is_some(), "`{flag}` needs a value");
        }
    }
    let (least, most) = help.arguments;
    ensure!(arguments <= most, "it takes {most} arguments and {arguments} are given");
    ensure!(!whole || arguments >= least, "it needs {least} arguments and {arguments} are given");
    Ok(())
}

impl Help {
    fn of(path: &[&str]) -> Result<Self> {
        let output = run(Command::new(pelton_bin()).args(path).arg("--help"))?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let subcommands = text
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect();
        let usage = text.lines().find(|line| line.starts_with("Usage: ")).context("its help has no usage line")?;
        let words: Vec<&str> = usage.split_whitespace().collect();
        let is_argument = |index: usize| !words[index - 1].starts_with('-') && words[index] != "[OPTIONS]";
        let count = |opening: char| {
            (1..words.len()).filter(|&index| words[index].starts_with(opening) && is_argument(index)).count()
        };
        let (required, optional) = (count('<'), count('['));
        Ok(Self { subcommands, arguments: (required, required + optional), text })
    }

    /// Whether the option takes a value, if there is such an option.
    fn takes_value(&self, flag: &str) -> Option<bool> {
        let mut lines = self.text.lines().filter(|line| line.trim_start().starts_with('-'));
        let line = lines.find(|line| line.split([' ', ',']).any(|word| word == flag))?;
        Some(line.contains('<'))
    }
}

fn shown_commands() -> Result<Vec<Shown>> {
    let mut shown = Vec::new();
    for document in documents(&repository())? {
        let text = std::fs::read_to_string(&document)?;
        let name = document.strip_prefix(repository())?.display().to_string();
        let mut fenced = false;
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if fenced {
                add(&mut shown, &name, line.trim_start(), true);
            } else {
                line.split('`').skip(1).step_by(2).for_each(|span| add(&mut shown, &name, span, false));
            }
        }
    }
    Ok(shown)
}

fn add(shown: &mut Vec<Shown>, document: &str, command: &str, whole: bool) {
    let Some(rest) = command.strip_prefix("pelton ") else { return };
    let rest = rest.split(" #").next().unwrap_or_default().trim_end_matches([' ', '&']);
    let words = words(rest);
    // `serve|topic` stands for two commands.
    for first in words.first().map_or("", String::as_str).split('|') {
        let mut words = words.clone();
        words.splice(..words.len().min(1), [first.to_owned()]);
        shown.push(Shown { document: document.to_owned(), words, whole });
    }
}

/// The words as a shell parts them, as far as documents need it: single quotes hold spaces together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, piece) in line.split('\'').enumerate() {
        for (number, part) in piece.split(|letter| index % 2 == 0 && letter == ' ').enumerate() {
            if number > 0 {
                words.push(String::new());
            }
            words.last_mut().expect("it begins with one word").push_str(part);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The Markdown files below `dir`.
fn documents(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(documents(&path)?);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
