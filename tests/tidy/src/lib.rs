//! What must stay true of the structure, read from the tree itself.
//!
//! This room finds files and manifests; the rules stand in `tests/`, one file per rule. It builds
//! nothing of the house and runs nothing of it.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/tidy lies two folders down").to_owned()
}

/// A file of the checkout.
pub struct Source {
    /// Its path from the root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// All files below the root that git would list and whose name ends with one of `endings`.
pub fn sources(endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root(), "", endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no file ends with {endings:?}: the rule would hold of nothing");
    found
}

fn collect(dir: &Path, prefix: &str, endings: &[&str], found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let entry = entry.expect("a directory entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type().expect("a file type").is_dir() {
            if !matches!(name.as_str(), ".git" | "target" | ".venv" | "__pycache__" | "node_modules") {
                collect(&entry.path(), &format!("{path}/"), endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(Source { text: fs::read_to_string(entry.path()).unwrap_or_default(), path });
        }
    }
}

/// One crate of the workspace.
pub struct Crate {
    /// Its folder from the root.
    pub dir: String,
    /// Its package name.
    pub name: String,
    /// What it depends on at run time.
    pub dependencies: Vec<String>,
    /// What only its tests depend on.
    pub dev_dependencies: Vec<String>,
}

/// The crates that the workspace lists.
pub fn crates() -> Vec<Crate> {
    let workspace: toml::Table = read_toml(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().expect("workspace members");
    members.iter().map(|member| read_crate(member.as_str().expect("a path"))).collect()
}

fn read_crate(dir: &str) -> Crate {
    let manifest = read_toml(&root().join(dir).join("Cargo.toml"));
    let names = |key: &str| {
        manifest
            .get(key)
            .and_then(toml::Value::as_table)
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default()
    };
    Crate {
        dir: dir.to_owned(),
        name: manifest["package"]["name"].as_str().expect("a package name").to_owned(),
        dependencies: names("dependencies"),
        dev_dependencies: names("dev-dependencies"),
    }
}

fn read_toml(path: &Path) -> toml::Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The part of a Rust file before its test module.
pub fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]").map_or(text, |end| &text[..end])
}

/// The lines that are code, with their numbers from 1.
pub fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line)).filter(|(_, line)| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with("//")
    })
}

/// Whether the file is compiled for tests alone: by its place, or because its module is declared behind `#[cfg(test)]`.
pub fn is_test_file(path: &str, all: &[Source]) -> bool {
    if path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs") {
        return true;
    }
    all.iter().any(|parent| {
        let folder = match parent.path.strip_suffix("/lib.rs").or_else(|| parent.path.strip_suffix("/mod.rs")) {
            Some(folder) => folder,
            None => parent.path.strip_suffix(".rs").unwrap_or(&parent.path),
        };
        let Some(below) = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) else { return false };
        let module = below.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        parent.text.lines().zip(parent.text.lines().skip(1)).any(|(first, second)| {
            first.trim() == "#[cfg(test)]" && second.trim_start_matches("pub ") == format!("mod {module};")
        })
    })
}

/// A function, from its signature to its closing brace.
pub struct Function<'a> {
    /// Its name.
    pub name: &'a str,
    /// The line of its signature, from 1.
    pub line: usize,
    /// How many lines it has.
    pub lines: usize,
}

/// The functions of a file as rustfmt lays them out: one ends at the first brace that stands where it began.
pub fn functions(text: &str) -> Vec<Function<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let mut words = line.split_whitespace();
        let words_before_fn = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"];
        let signature = words.find(|word| !words_before_fn.contains(word));
        let (Some("fn"), Some(rest)) = (signature, words.next()) else { continue };
        let end_of_name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let closing = format!("{indent}}}");
        let body = lines[index..].iter().position(|line| *line == closing);
        let declared = lines[index..].iter().position(|line| line.ends_with(';') && !line.contains('{'));
        let opened = lines[index..].iter().position(|line| line.ends_with('{') || line.ends_with('}'));
        let (Some(body), Some(opened)) = (body, opened) else { continue };
        let only_declared = declared.is_some_and(|declared| declared < opened);
        let on_one_line = line.ends_with('}');
        if !only_declared && !on_one_line {
            found.push(Function { name: &rest[..end_of_name], line: index + 1, lines: body + 1 });
        }
    }
    found
}
