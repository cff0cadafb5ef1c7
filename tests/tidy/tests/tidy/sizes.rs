//! Files that can be read at a sitting, headers that say what a room is for, names that say something.

use pelton_tidy::{functions, sources, without_tests};

const LINES_AT_MOST: usize = 600;

const FUNCTION_LINES_AT_MOST: usize = 75;

/// Longer functions, each with its reason.
const LONGER_FUNCTIONS: &[(&str, &str, &str)] =
    &[("runtime/jobs/src/task/machine/tests.rs", "perform", "one arm for each effect of the task machine")];

/// Longer files, each with its reason.
const LONGER: &[(&str, &str)] = &[];

const EMPTY_NAMES: &[&str] = &["manager", "utils", "util", "impls", "helpers", "helper", "common", "misc"];

#[test]
fn no_file_is_longer_than_a_sitting() {
    let sources = sources(&[".rs"]);
    for source in &sources {
        let lines = without_tests(&source.text).lines().count();
        let excused = LONGER.iter().any(|(path, _)| *path == source.path);
        assert!(lines <= LINES_AT_MOST || excused, "{} has {lines} lines: is it two rooms?", source.path);
    }
    for (path, _) in LONGER {
        let source = sources.iter().find(|source| source.path == *path);
        let lines = source.map_or(0, |source| without_tests(&source.text).lines().count());
        assert!(lines > LINES_AT_MOST, "{path} needs its excuse no longer");
    }
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let (mut checked, mut excused) = (0, 0);
    for source in sources(&[".rs"]) {
        for function in functions(&source.text) {
            checked += 1;
            if function.lines <= FUNCTION_LINES_AT_MOST {
                continue;
            }
            let excuse = LONGER_FUNCTIONS.iter().any(|(path, name, _)| *path == source.path && *name == function.name);
            assert!(
                excuse,
                "{}:{}: `{}` has {} lines: which of its steps deserves a name?",
                source.path, function.line, function.name, function.lines
            );
            excused += 1;
        }
    }
    assert!(checked > 500, "only {checked} functions were found: is the search broken?");
    assert_eq!(excused, LONGER_FUNCTIONS.len(), "a function needs its excuse no longer");
}

#[test]
fn every_module_says_what_it_is_for() {
    for source in sources(&[".rs"]) {
        let first = source.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let test_file = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
        assert!(
            first.starts_with("//!") || first.starts_with("#![") || test_file,
            "{} begins without a `//!` header: say what it does, what not, and what it keeps",
            source.path
        );
    }
}

#[test]
fn no_name_is_empty_of_meaning() {
    for source in sources(&[".rs", ".wit", ".py", ".toml"]) {
        for part in source.path.split('/') {
            let stem = part.split('.').next().unwrap_or_default();
            assert!(!EMPTY_NAMES.contains(&stem), "{}: `{stem}` says nothing; name what is in it", source.path);
        }
    }
}

#[test]
fn nothing_is_left_undone() {
    let words = ["todo!(", "unimplemented!(", "FIXME", "XXX:", "#[ignore"];
    for source in sources(&[".rs", ".py"]) {
        if source.path.starts_with("tests/tidy/") {
            continue;
        }
        for word in words {
            assert!(!source.text.contains(word), "{} holds {word}", source.path);
        }
    }
}
