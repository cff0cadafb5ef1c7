//! What the documents name exists: paths, make targets, crates, tests.

use pelton_tidy::{root, sources};
use std::fs;

const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "CHANGELOG.md"];

/// Words in `backticks` outside of code blocks, with the document they stand in.
fn code_words() -> Vec<(String, String)> {
    let mut words = Vec::new();
    for source in sources(&[".md"]).into_iter().filter(|source| !source.path.starts_with("target/")) {
        let mut fenced = false;
        for line in source.text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                words.extend(line.split('`').skip(1).step_by(2).map(|word| (source.path.clone(), word.to_owned())));
            }
        }
    }
    words
}

#[test]
fn the_documents_are_there() {
    for name in DOCUMENTS.iter().chain(&["LICENSE", "deny.toml", "rustfmt.toml", ".ci/run"]) {
        assert!(root().join(name).is_file(), "{name} is missing");
    }
}

#[test]
fn every_path_that_a_document_names_exists() {
    let rooms = ["sdk/", "runtime/", "broker/", "plugins/", "examples/", "tests/", "bench/", ".ci/"];
    let mut checked = 0;
    for (document, word) in code_words() {
        let path = word.split([' ', ':']).next().unwrap_or_default().trim_end_matches('/');
        let own_folder = document.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let names_a_room = rooms.iter().any(|room| format!("{path}/").starts_with(room));
        if !names_a_room || path.contains(['*', '{', '<', '$']) {
            continue;
        }
        checked += 1;
        let exists = root().join(path).exists() || root().join(format!("{own_folder}{path}")).exists();
        assert!(exists, "{document} names `{path}`, which does not exist");
    }
    assert!(checked > 20, "only {checked} paths were found in the documents: is the search broken?");
}

#[test]
fn every_make_target_that_a_document_names_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).expect("a Makefile");
    let mut checked = 0;
    for source in sources(&[".md", "run"]) {
        for (index, _) in source.text.match_indices("make ") {
            let before = source.text[..index].chars().next_back();
            let word: String = source.text[index + 5..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
                .collect();
            if !matches!(before, Some('`' | '\n' | ' ')) || word.is_empty() {
                continue;
            }
            let in_code = before == Some('`') || source.text[..index].ends_with("\n");
            if in_code {
                checked += 1;
                assert!(makefile.contains(&format!("\n{word}:")), "{} names `make {word}`", source.path);
            }
        }
    }
    assert!(checked >= 2, "no make target is named in the documents");
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let section = architecture.split("## Invariants").nth(1).expect("a section `## Invariants`");
    let section = section.split("\n## ").next().expect("its text");
    let tests: String = sources(&[".rs", ".py"]).iter().map(|source| source.text.as_str()).collect();
    let mut checked = 0;
    for word in section.split('`').skip(1).step_by(2).filter(|word| word.contains("::")) {
        let name = word.rsplit("::").next().expect("a name");
        checked += 1;
        assert!(tests.contains(&format!("fn {name}")), "ARCHITECTURE.md names the test `{word}`, which does not exist");
    }
    assert!(checked >= 8, "each of the eight invariants names a test; found {checked}");
}

#[test]
fn the_first_screen_of_the_readme_shows_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let screen: String = readme.lines().take(40).collect::<Vec<_>>().join("\n");
    assert!(screen.contains("make demo") && screen.contains("make test"));
}
