//! Embeds the templates of `pelton plugin new`, and the SDK files that they need, in the binary; and has the linker keep
//! apart what runs once.
//!
//! It reads `sdk/<language>/template/template.json` and writes the list of files as Rust, into `templates.rs` of the
//! build's own directory. A file that is listed and missing fails the build.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let sdk = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../sdk");
    let sdk = sdk.canonicalize().unwrap_or_else(|e| panic!("{}: {e}", sdk.display()));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", sdk.display());
    // RocksDB runs some eighty initializers at every start, one in each of its files. Scattered over the binary, each brings
    // the 64 KiB around it into memory; beside each other they are a few pages.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,keep-text-section-prefix");
    let mut out = String::from("&[\n");
    let mut languages: Vec<PathBuf> =
        fs::read_dir(&sdk).expect("the sdk folder is readable").flatten().map(|entry| entry.path()).collect();
    languages.sort();
    for language in languages.iter().filter(|dir| dir.join("template/template.json").is_file()) {
        template(language, &mut out);
    }
    out.push(']');
    let target = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("templates.rs");
    fs::write(target, out).expect("cargo's output directory is writable");
}

fn template(language: &Path, out: &mut String) {
    let described = language.join("template/template.json");
    let text = fs::read_to_string(&described).unwrap_or_else(|e| panic!("{}: {e}", described.display()));
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", described.display()));
    let name = language.file_name().expect("it is a folder").to_string_lossy();
    let field = |key: &str| json[key].as_str().unwrap_or_default();
    writeln!(
        out,
        "Template {{ language: {name:?}, build: {:?}, test: {:?}, module: {:?}, needs: {:?}, files: &[",
        field("build"),
        field("test"),
        field("module"),
        field("needs")
    )
    .expect("writing to a text cannot fail");
    for path in list(&json, "files", &described) {
        file(&path, &language.join("template").join(&path), out);
    }
    out.push_str("], vendored: &[\n");
    let vendor = json["vendor"].as_str().unwrap_or("pelton");
    let mut vendored = BTreeMap::new();
    for path in list(&json, "sdk", &described) {
        let from = language.join(&path);
        walk(&from, path.trim_end_matches('/'), &mut vendored);
    }
    for (path, from) in vendored {
        let path = path.trim_start_matches("../").to_owned();
        file(&format!("{vendor}/{path}"), &from, out);
    }
    out.push_str("] },\n");
}

fn list(json: &Value, key: &str, described: &Path) -> Vec<String> {
    let texts = json[key].as_array().cloned().unwrap_or_default();
    let texts = texts.iter().map(|value| value.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().unwrap_or_else(|| panic!("{}: `{key}` is no list of paths", described.display()))
}

/// The files below `from`, without what a build or a test run leaves there.
fn walk(from: &Path, path: &str, found: &mut BTreeMap<String, PathBuf>) {
    if from.is_file() {
        found.insert(path.to_owned(), from.to_owned());
        return;
    }
    let entries = fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let left = ["target", "node_modules", "build", "__pycache__", "template", "tests"].contains(&name.as_str());
        if !left && !name.starts_with('.') && !name.ends_with(".wasm") && !name.ends_with(".pyc") {
            walk(&entry.path(), &format!("{path}/{name}"), found);
        }
    }
}

fn file(path: &str, from: &Path, out: &mut String) {
    if !from.is_file() {
        panic!("{}: a template names it, and it does not exist", from.display());
    }
    let from = from.to_str().expect("paths of this repository are UTF-8");
    writeln!(out, "    File {{ path: {path:?}, text: include_str!({from:?}) }},")
        .expect("writing to a text cannot fail");
}
