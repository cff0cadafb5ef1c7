//! The SDK's own tests run through the harness, as a plugin's tests do.

use super::{Harness, TestRecord};
use crate::prelude::*;
use serde::Deserialize;

/// Sums numbers by key; remembers the last header it saw; rejects what is no number.
struct Sums {
    sums: Store<String, i64>,
    seen: Store<Vec<u8>, Vec<u8>>,
    start: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SumsConfig {
    #[serde(default)]
    start: i64,
}

impl Transform for Sums {
    type Config = SumsConfig;

    fn configure(config: SumsConfig, stores: &Stores) -> Result<Self, String> {
        log::info("configured");
        Ok(Self { sums: stores.open("sums")?, seen: stores.open("seen")?, start: config.start })
    }

    fn process(&mut self, batch: Batch<'_>, out: &mut Output) -> Result<(), String> {
        for record in batch {
            let key = record.key().and_then(|key| std::str::from_utf8(key).ok()).unwrap_or("");
            if key == "forget" {
                self.sums.delete("a");
                self.seen.put_many([(&b"x"[..], None)]);
                continue;
            }
            if key == "fail" {
                return Err("told to fail".to_owned());
            }
            let number = record.value().and_then(|value| std::str::from_utf8(value).ok()?.parse::<i64>().ok());
            let Some(number) = number else {
                out.reject(&record, "no number");
                continue;
            };
            let sum = self.sums.get(key)?.unwrap_or(self.start) + number;
            self.sums.put(key, &sum);
            for header in record.headers() {
                let header = header.map_err(|error| error.to_string())?;
                let value = header.value.unwrap_or_default().to_vec();
                self.seen.put_many([(header.key.as_bytes(), Some(&value))]);
                out.emit_with(7, (), value.clone(), &[header]);
            }
            out.emit(key, sum.to_string());
        }
        Ok(())
    }
}

fn sums(config: &str) -> Harness<Sums> {
    Harness::new(config, &["sums", "seen"]).expect("the configuration is good")
}

#[test]
fn records_pass_through_as_bytes_and_back() {
    let mut sums = sums(r#"{"start": 100}"#);
    let mut with_header = TestRecord::new("a", "2");
    with_header.timestamp_ms = 1_700_000_000_123;
    with_header.headers = vec![("x".to_owned(), Some(b"\xff\x00".to_vec())), ("empty".to_owned(), None)];
    let outcome = sums.process(&[TestRecord::new("a", "1"), with_header, TestRecord::new("b", "-5")]).unwrap();
    let texts: Vec<_> = outcome.records.iter().map(|record| (record.key_text(), record.timestamp_ms)).collect();
    assert_eq!(
        texts,
        [
            (Some("a".to_owned()), 0),
            (None, 7),
            (None, 7),
            (Some("a".to_owned()), 1_700_000_000_123),
            (Some("b".to_owned()), 0),
        ]
    );
    assert_eq!(outcome.records[1].headers, [("x".to_owned(), Some(b"\xff\x00".to_vec()))]);
    assert_eq!(outcome.records[2].headers, [("empty".to_owned(), None)]);
    assert_eq!(outcome.records[3].value_text().as_deref(), Some("103"));
    assert_eq!(sums.stored::<i64>("sums", "b"), Some(95));
    assert_eq!(sums.state("seen")[&b"x"[..]], b"\xff\x00");
    assert_eq!(sums.log_lines(), [(log::Level::Info, "configured".to_owned())]);
}

#[test]
fn rejected_records_are_named_by_their_place() {
    let outcome = sums("{}").process_values([Some("1"), None, Some("x")]).unwrap();
    assert_eq!(outcome.rejected, [(1, "no number".to_owned()), (2, "no number".to_owned())]);
    assert_eq!(outcome.records.len(), 1);
}

#[test]
fn deletes_and_failed_batches_leave_no_trace() {
    let mut sums = sums("");
    sums.process_keyed([("a", "1")]).unwrap();
    assert_eq!(sums.process_keyed([("a", "5"), ("fail", "")]).unwrap_err(), "told to fail");
    assert_eq!(sums.stored::<i64>("sums", "a"), Some(1), "an aborted batch left its writes behind");
    sums.process_keyed([("forget", "")]).unwrap();
    assert!(sums.state("sums").is_empty() && sums.state("seen").is_empty());
}

#[test]
fn bad_configurations_name_what_is_wrong() {
    let refused = |config: &str, stores: &[&str]| Harness::<Sums>::new(config, stores).unwrap_err();
    assert!(refused(r#"{"stat": 1}"#, &["sums", "seen"]).contains("unknown field `stat`"));
    assert!(refused(r#"{"start": "x"}"#, &["sums", "seen"]).contains("invalid type"));
    assert!(refused("{", &["sums", "seen"]).contains("refused"));
    assert!(refused("{}", &["sums"]).contains("`seen`"));
    assert!(refused("{}", &[]).contains("it has: none"));
}

#[test]
fn a_store_that_holds_another_type_says_so() {
    let mut sums = sums("{}");
    sums.host.stores[0].insert(b"a".to_vec(), b"123".to_vec());
    let error = sums.process_keyed([("a", "1")]).unwrap_err();
    assert!(error.contains("store `sums`") && error.contains("3"), "{error}");
}

#[test]
fn a_damaged_batch_fails_instead_of_ending_early() {
    let mut sums = sums("{}");
    let mut bytes = crate::testing::encode(0, &[TestRecord::new("a", "1"), TestRecord::new("b", "2")]);
    let last = bytes.len() - 1;
    bytes.truncate(last);
    assert!(super::lend(&mut sums.host, || sums.instance.process(&bytes)).is_err());
    let mut bytes = crate::testing::encode(0, &[TestRecord::new("a", "1"), TestRecord::new("b", "2")]);
    let second_record = 61 + (bytes.len() - 61) / 2;
    bytes[second_record] = 0x7f;
    let error = super::lend(&mut sums.host, || sums.instance.process(&bytes)).unwrap_err();
    assert!(error.contains("damaged"), "{error}");
}
