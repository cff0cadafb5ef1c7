//! `pelton plugin new`: a project that builds and has a test, written from the templates in this binary.
//!
//! The templates stand in `sdk/<language>/template`; `build.rs` embeds them with the SDK files that they need, so
//! that a project builds without this repository.

use crate::cli::output;
use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

/// A language's template.
struct Template {
    language: &'static str,
    build: &'static str,
    test: &'static str,
    /// Where the built module stands.
    module: &'static str,
    /// What must be installed.
    needs: &'static str,
    /// The project's own files.
    files: &'static [File],
    /// Files of the SDK, copied as they are.
    vendored: &'static [File],
}

/// A file, by its path in the project.
struct File {
    path: &'static str,
    text: &'static str,
}

const TEMPLATES: &[Template] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// Begin a plugin: write a project that builds, with a test, in one of six languages.
///
/// An interceptor stands on the way of a topic's records, a partitioner says which partition a record belongs to, a
/// transform is a step of a stream job. The project brings the SDK with it.
///
/// Example: pelton plugin new mask --lang rust --world interceptor
#[derive(Debug, Args)]
pub struct New {
    /// Name of the plugin, and of the folder that is made.
    name: String,
    /// The language that it is written in.
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Language,
    /// What the plugin is.
    #[arg(long, value_enum, value_name = "WORLD")]
    world: World,
    /// Make the project's folder in this one.
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    C,
    Js,
    Python,
    #[value(name = "assemblyscript", alias = "as")]
    AssemblyScript,
    Go,
}

/// The kinds of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum World {
    /// It sees and may change the records of a topic, on four hooks.
    Interceptor,
    /// It says which partition a record belongs to.
    Partitioner,
    /// A step of a stream job.
    Transform,
}

impl World {
    const ALL: [Self; 3] = [Self::Interceptor, Self::Partitioner, Self::Transform];

    fn name(self) -> &'static str {
        match self {
            Self::Interceptor => "interceptor",
            Self::Partitioner => "partitioner",
            Self::Transform => "transform",
        }
    }
}

/// What stands for `{{...}}` in a template.
struct Words {
    name: String,
    ident: String,
    type_name: String,
    world: World,
}

impl New {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let words = Words::new(&self.name, self.world)?;
        let language = self.lang.to_possible_value().expect("no language is hidden");
        let template = TEMPLATES.iter().find(|template| template.language == language.get_name());
        let template =
            template.ok_or_else(|| anyhow!("this binary was built without a template for {}", language.get_name()))?;
        let files = render(template, &words)?;
        let project = self.dir.join(&self.name);
        match fs::create_dir(&project) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("{} exists, and nothing is overwritten; choose another name or --dir", project.display())
            }
            Err(e) => return Err(e).with_context(|| format!("cannot make {}", project.display())),
        }
        for (path, text) in &files {
            write(&project.join(path), text)?;
        }
        let module = words.replace(template.module);
        if self.json {
            output::json(&serde_json::json!({
                "name": self.name, "language": language.get_name(), "world": self.world.name(), "dir": project,
                "files": files.iter().map(|(path, _)| path).collect::<Vec<_>>(),
                "build": words.replace(template.build), "test": words.replace(template.test), "module": module,
            }));
            return Ok(());
        }
        let (name, world) = (&self.name, self.world.name());
        output::line(&format!(
            "{} is written: {} {world} in {}, {} files",
            project.display(),
            if self.world == World::Interceptor { "an" } else { "a" },
            language.get_name(),
            files.len()
        ));
        output::line(&format!("it needs {}; README.md says more", template.needs));
        let last = match self.world {
            World::Interceptor => format!("pelton plugin attach TOPIC {name}@1"),
            World::Partitioner => format!("pelton plugin attach TOPIC {name}@1 --mode verify"),
            World::Transform => "pelton job run JOB.toml".to_owned(),
        };
        for (what, command) in [
            ("go there", format!("cd {}", project.display())),
            ("test it", words.replace(template.test)),
            ("build it", words.replace(template.build)),
            ("try it", format!("pelton plugin test {module} --topic TOPIC --from -1h")),
            ("upload it", format!("pelton plugin upload {name}@1 {module}")),
            ("run it", last),
        ] {
            output::line(&format!("  {what:10} {command}"));
        }
        Ok(())
    }
}

impl Words {
    fn new(name: &str, world: World) -> anyhow::Result<Self> {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !starts || name.len() > 60 || !name.chars().all(legal) {
            bail!("`{name}` cannot name a plugin; begin with a letter, then letters, digits, - and _, at most 60");
        }
        let words = name.split(['-', '_']).filter(|word| !word.is_empty());
        let type_name = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
        Ok(Self { name: name.to_owned(), ident: name.replace('-', "_"), type_name, world })
    }

    fn replace(&self, text: &str) -> String {
        text.replace("{{name}}", &self.name)
            .replace("{{ident}}", &self.ident)
            .replace("{{Type}}", &self.type_name)
            .replace("{{world}}", self.world.name())
    }
}

/// The files of a project by their paths, in one world.
fn render(template: &Template, words: &Words) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let worlds = worlds(template);
    if !worlds.contains(words.world.name()) {
        let offered: Vec<&str> = worlds.into_iter().collect();
        bail!("{} has a template for: {}; not for: {}", template.language, offered.join(", "), words.world.name());
    }
    let mut files = Vec::new();
    for file in template.files {
        let path = match world_of(file.path) {
            Some((world, _)) if world != words.world => continue,
            Some((_, rest)) => rest,
            None => file.path,
        };
        let path = path.strip_suffix(".in").unwrap_or(path);
        files.push((inside(&words.replace(path))?, words.replace(file.text)));
    }
    for file in template.vendored {
        files.push((inside(file.path)?, file.text.to_owned()));
    }
    Ok(files)
}

fn worlds(template: &Template) -> BTreeSet<&'static str> {
    template.files.iter().filter_map(|file| world_of(file.path)).map(|(world, _)| world.name()).collect()
}

/// The world that a template's file belongs to alone, and its path in the project.
fn world_of(path: &'static str) -> Option<(World, &'static str)> {
    let (first, rest) = path.split_once('/')?;
    World::ALL.into_iter().find(|world| world.name() == first).map(|world| (world, rest))
}

/// A path that stays inside of the project.
fn inside(path: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(path);
    if path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(path.to_owned());
    }
    bail!("the template names {}, which is not inside of the project", path.display())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let what = || format!("cannot write {}", path.display());
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(what)?;
    }
    let executable = path.extension().is_some_and(|extension| extension == "sh") || text.starts_with("#!");
    let mode = if executable { 0o755 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(what)?;
    file.write_all(text.as_bytes()).with_context(what)
}

#[cfg(test)]
mod tests;
