//! Every API key has one handler file, which says at its top what the table says.

use pelton_tidy::sources;
use std::collections::BTreeMap;

const ROOM: &str = "broker/server/src/handlers/";

/// Files that serve no key of their own, each with what it is.
const PARTS: &[(&str, &str)] = &[
    ("charging", "what a request is charged with, and what comes of it"),
    ("config_alteration", "what AlterConfigs and IncrementalAlterConfigs do alike"),
    ("fetch_plan", "one pass over the partitions of a fetch"),
    ("mod", "the table"),
    ("of_each_group", "what DescribeGroups and DeleteGroups do alike"),
    ("of_each_partition", "what requests do alike that name partitions by topic"),
    ("offsets_to_commit", "what OffsetCommit and TxnOffsetCommit do alike"),
    ("produce_refused", "the versions of Produce that are listed and never served"),
    ("scope", "what every handler may see and do"),
];

/// The versions that the table advertises, by the name of the API, in the order of the table.
fn table(text: &str) -> Vec<(String, String)> {
    let text = text.split("pub static APIS").nth(1).expect("handlers/mod.rs has a table `APIS`");
    let mut found: Vec<(usize, String, String)> = Vec::new();
    for (at, _) in text.match_indices("api!(") {
        let mut fields = text[at + "api!(".len()..].split(',').map(str::trim);
        let (name, versions) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        found.push((at, name.to_owned(), versions.replace("..=", "-")));
    }
    for (at, _) in text.match_indices("key: ApiKey::") {
        let field = |name: &str| {
            let value = text[at..].split(&format!("{name}: ")).nth(1).expect("a field of the table");
            value.split(',').next().unwrap_or_default().trim_start_matches("ApiKey::").to_owned()
        };
        found.push((at, field("key"), format!("{}-{}", field("min"), field("max"))));
    }
    found.sort();
    found.into_iter().map(|(_, name, versions)| (name, versions)).collect()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[test]
fn every_api_has_one_handler_file_that_says_its_key_and_versions() {
    let sources = sources(&[".rs"]);
    let mut files: BTreeMap<&str, &str> = sources
        .iter()
        .filter_map(|source| Some((source.path.strip_prefix(ROOM)?.strip_suffix(".rs")?, source.text.as_str())))
        .collect();
    let table = table(files.get("mod").expect("handlers/mod.rs"));
    assert!(table.len() > 15, "only {} APIs were found in the table: is the search broken?", table.len());
    for (part, _) in PARTS {
        assert!(files.remove(part).is_some(), "{ROOM}{part}.rs is gone; take it out of this list");
    }
    let mut last_key = -1;
    for (name, versions) in &table {
        let file = snake_case(name);
        let text = files.remove(file.as_str()).unwrap_or_else(|| panic!("{name} has no file {ROOM}{file}.rs"));
        let header = text.lines().next().unwrap_or_default();
        let key = header.strip_prefix(&format!("//! {name} (key ")).and_then(|rest| rest.split(')').next());
        let key: i32 = key.and_then(|key| key.parse().ok()).unwrap_or_else(|| {
            panic!("{ROOM}{file}.rs must begin with `//! {name} (key N), v{versions}`; it begins with `{header}`")
        });
        assert!(
            header.contains(&format!("), v{versions}:")) || header.contains(&format!("), v{versions} advertised,")),
            "{ROOM}{file}.rs says other versions than the table's v{versions}: `{header}`"
        );
        assert!(key > last_key, "{name} (key {key}) stands out of order in the table");
        last_key = key;
    }
    assert!(files.is_empty(), "not in the table: {:?}", files.keys());
}
