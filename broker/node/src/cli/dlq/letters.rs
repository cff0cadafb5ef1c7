//! Dead letters: what their headers say, which are meant, and how they are written for people and programs. Pure.
//!
//! Chains of interceptors and jobs write the same headers: `pelton.reason`, `pelton.topic`, `pelton.partition`,
//! `pelton.offset`, `pelton.plugin` and others, behind the headers that the record had.

use crate::cli::text;
use anyhow::{anyhow, bail};
use serde_json::{Value, json};
use std::str::FromStr;

/// The headers that a dead letter has beside the record's own. They are dropped when it is put back.
const FACTS: [&str; 12] = [
    "pelton.reason",
    "pelton.topic",
    "pelton.partition",
    "pelton.offset",
    "pelton.hook",
    "pelton.plugin",
    "pelton.plugin.digest",
    "pelton.client.id",
    "pelton.principal",
    "pelton.job",
    "pelton.step",
    "pelton.truncated",
];

/// A header: its name and its value.
pub type Header = (String, Option<Vec<u8>>);

/// Key, value and headers: what is put back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The key, or null.
    pub key: Option<Vec<u8>>,
    /// The value, or null.
    pub value: Option<Vec<u8>>,
    /// The headers that the record had before it became a dead letter.
    pub headers: Vec<Header>,
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its partition in the dead-letter topic.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Milliseconds since the Unix epoch, as the record had it.
    pub timestamp_ms: i64,
    /// The record.
    pub content: Content,
    /// What the platform says of it, by the headers' names without `pelton.`.
    facts: Vec<(&'static str, String)>,
}

impl Letter {
    /// Tells the platform's headers from the record's own.
    pub fn new(
        (partition, offset): (i32, i64),
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header>,
    ) -> Self {
        let mut content =
            Content { key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec), headers: Vec::new() };
        let mut facts: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in headers {
            let Some(known) = FACTS.into_iter().find(|fact| *fact == name) else {
                content.headers.push((name, value));
                continue;
            };
            let text = String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
            // A record that died twice has each header twice; the last is of its last death.
            match facts.iter_mut().find(|(fact, _)| *fact == known) {
                Some(fact) => fact.1 = text,
                None => facts.push((known, text)),
            }
        }
        Self { partition, offset, timestamp_ms, content, facts }
    }

    /// What a header of the platform says: `fact("plugin")`.
    pub fn fact(&self, name: &str) -> Option<&str> {
        let found = self.facts.iter().find(|(fact, _)| fact.strip_prefix("pelton.") == Some(name));
        found.map(|(_, text)| text.as_str())
    }

    /// The topic that it was sent to, and its partition there.
    pub fn origin(&self) -> Option<(&str, Option<i32>)> {
        let topic = self.fact("topic").filter(|topic| !topic.is_empty())?;
        Some((topic, self.fact("partition").and_then(|text| text.parse().ok())))
    }

    /// Whether a part of it was cut, because it would not have fitted.
    pub fn is_cut(&self) -> bool {
        self.fact("truncated").is_some()
    }

    /// Which letter this is, for messages.
    pub fn name(&self) -> String {
        format!("partition {} offset {}", self.partition, self.offset)
    }

    /// As one line of JSON. `--edit` reads `partition`, `offset`, `key`, `value` and `headers` of it.
    pub fn to_json(&self, replayed: bool) -> Value {
        let headers: Vec<Value> = self
            .content
            .headers
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": text::to_json(value.as_deref()) }))
            .collect();
        let mut origin = serde_json::Map::new();
        for (name, text) in &self.facts {
            let name = name.strip_prefix("pelton.").unwrap_or(name);
            let number =
                ["partition", "offset", "truncated"].contains(&name).then(|| text.parse::<i64>().ok()).flatten();
            origin.insert(name.replace('.', "_"), number.map_or_else(|| json!(text), |number| json!(number)));
        }
        json!({
            "partition": self.partition,
            "offset": self.offset,
            "timestamp": self.timestamp_ms,
            "replayed": replayed,
            "why": origin,
            "key": text::to_json(self.content.key.as_deref()),
            "value": text::to_json(self.content.value.as_deref()),
            "headers": headers,
        })
    }
}

/// A repaired record: which letter it stands for, and what is put back instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Partition and offset of the letter.
    pub letter: (i32, i64),
    /// What is put back.
    pub content: Content,
}

impl Edit {
    /// Reads a line that [`Letter::to_json`] wrote, and somebody repaired. Fields that are left out are refused: a
    /// record that silently lost its key is not repaired.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str) -> anyhow::Result<Self> {
        let json: Value = serde_json::from_str(line)?;
        let field = |name: &str| json.get(name).ok_or_else(|| anyhow!("there is no field `{name}`"));
        let number = |name: &str| field(name)?.as_i64().ok_or_else(|| anyhow!("`{name}` is no number"));
        let partition = i32::try_from(number("partition")?)?;
        let mut headers = Vec::new();
        let list = field("headers")?.as_array().ok_or_else(|| anyhow!("`headers` is no list"))?;
        for header in list {
            let key = header["key"].as_str().ok_or_else(|| anyhow!("a header has no `key`"))?;
            if key.contains('\0') {
                bail!("the header's name {key:?} has a NUL, which this client cannot send");
            }
            headers.push((key.to_owned(), text::from_json(&header["value"])?));
        }
        let content =
            Content { key: text::from_json(field("key")?)?, value: text::from_json(field("value")?)?, headers };
        Ok(Self { letter: (partition, number("offset")?), content })
    }
}

/// Which letters are meant: `plugin=mask@1` or `reason~not JSON`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Where {
    field: String,
    contains: bool,
    text: String,
}

/// What letters can be told by.
const FIELDS: [&str; 11] = [
    "reason",
    "topic",
    "hook",
    "plugin",
    "plugin.digest",
    "client.id",
    "principal",
    "job",
    "step",
    "partition",
    "offset",
];

impl FromStr for Where {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let at = text.find(['=', '~']);
        let at = at
            .ok_or_else(|| anyhow!("`{text}`: write FIELD=TEXT or FIELD~TEXT, such as plugin=mask@1 or reason~JSON"))?;
        let (field, rest) = text.split_at(at);
        if !FIELDS.contains(&field) {
            bail!("`{field}` is nothing that letters are told by; use one of {}", FIELDS.join(", "));
        }
        Ok(Self { field: field.to_owned(), contains: rest.starts_with('~'), text: rest[1..].to_owned() })
    }
}

impl Where {
    /// Whether the letter is meant. `partition` and `offset` are the letter's own, in the dead-letter topic. A plugin
    /// without a version means all its versions.
    pub fn holds(&self, letter: &Letter) -> bool {
        let own = match self.field.as_str() {
            "partition" => Some(letter.partition.to_string()),
            "offset" => Some(letter.offset.to_string()),
            _ => None,
        };
        let Some(found) = own.as_deref().or_else(|| letter.fact(&self.field)) else { return false };
        let named =
            |found: &str| found == self.text || (self.field == "plugin" && found.split('@').next() == Some(&self.text));
        if self.contains { found.contains(&self.text) } else { named(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> Header {
        (name.to_owned(), Some(value.as_bytes().to_vec()))
    }

    fn letter() -> Letter {
        let headers = [
            header("own", "kept"),
            header("pelton.reason", "an old one"),
            header("pelton.sent-at-ms", "5"),
            header("pelton.reason", "no JSON"),
            header("pelton.topic", "orders"),
            header("pelton.partition", "3"),
            header("pelton.plugin", "mask@2"),
        ];
        Letter::new((1, 42), 7, Some(b"k"), Some(b"\xff"), headers)
    }

    #[test]
    fn the_platforms_headers_are_told_from_the_records_own() {
        let letter = letter();
        assert_eq!(letter.content.headers, [header("own", "kept"), header("pelton.sent-at-ms", "5")]);
        assert_eq!((letter.fact("reason"), letter.origin()), (Some("no JSON"), Some(("orders", Some(3)))));
        assert!(!letter.is_cut());
        assert_eq!(Letter::new((0, 0), 0, None, None, []).origin(), None);
    }

    #[test]
    fn what_is_shown_can_be_edited_and_read_back() {
        let letter = letter();
        let edit = Edit::parse(&letter.to_json(false).to_string()).unwrap();
        assert_eq!((edit.letter, &edit.content), ((1, 42), &letter.content));
        for (field, line) in [
            ("partition", r#"{"offset":1,"key":null,"value":null,"headers":[]}"#),
            ("key", r#"{"partition":0,"offset":1,"value":null,"headers":[]}"#),
            ("headers", r#"{"partition":0,"offset":1,"key":null,"value":null}"#),
        ] {
            assert!(Edit::parse(line).unwrap_err().to_string().contains(field), "{line}");
        }
        assert!(Edit::parse(r#"{"partition":0,"offset":1,"key":5,"value":null,"headers":[]}"#).is_err());
    }

    #[test]
    fn letters_are_told_by_their_facts() {
        let letter = letter();
        for (text, holds) in [
            ("plugin=mask@2", true),
            ("plugin=mask", true),
            ("plugin=mask@1", false),
            ("reason~JSON", true),
            ("reason=JSON", false),
            ("offset=42", true),
            ("partition=3", false),
            ("partition=1", true),
            ("job=pv", false),
        ] {
            assert_eq!(text.parse::<Where>().unwrap().holds(&letter), holds, "{text}");
        }
        for bad in ["plugin", "colour=red", "=x"] {
            assert!(bad.parse::<Where>().is_err(), "{bad}");
        }
    }
}
