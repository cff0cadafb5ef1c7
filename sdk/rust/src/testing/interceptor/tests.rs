//! The SDK's own tests of interceptors run through the harness, as a plugin's tests do.

use crate::prelude::*;
use crate::testing::{InterceptorHarness, Level, TestRecord};
use serde::Deserialize;

/// Does to each record what its value says.
struct Obedient {
    seen: Store<String, u32>,
}

#[derive(Deserialize)]
#[serde(crate = "crate::serde", deny_unknown_fields)]
struct ObedientConfig {
    #[serde(default)]
    refuse: bool,
}

impl Interceptor for Obedient {
    type Config = ObedientConfig;

    fn wants() -> Wants {
        Wants::new()
            .on_send()
            .on_acknowledgement()
            .on_consume()
            .on_commit()
            .writes_value()
            .writes_headers()
            .drops()
            .reuse(Reuse::ForPrincipal)
    }

    fn configure(config: ObedientConfig) -> Result<Self, String> {
        if config.refuse { Err("told to refuse".to_owned()) } else { Ok(Self { seen: Store::of_partition() }) }
    }

    fn on_send(&mut self, from: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        for record in batch {
            assert_eq!(record.key(), None, "it did not ask for keys");
            let seen = self.seen.get("seen")?.unwrap_or(0) + 1;
            self.seen.put("seen", &seen);
            match record.value() {
                Some(b"drop") => out.drop(&record),
                Some(b"reject") => {
                    out.reject(&record, "told to");
                    out.reject(&record, "told twice");
                }
                Some(b"value") => out.replace_value(&record, format!("by {}", from.principal)),
                Some(b"null") => out.replace_value(&record, ()),
                Some(b"key") => out.replace_key(&record, "k"),
                Some(b"header") => {
                    out.set_header(&record, "a", "2")?;
                    out.set_header(&record, "b", ())?;
                    out.remove_header(&record, "c")?;
                }
                Some(b"all") => {
                    out.set_header(&record, "a", "2")?;
                    out.replace_value(&record, "first");
                    out.replace_value(&record, "last");
                }
                Some(b"fail") => return Err("told to fail".to_owned()),
                _ => {}
            }
        }
        Ok(())
    }

    fn on_acknowledgement(&mut self, from: &Origin, acknowledged: &Acknowledgement) -> Result<(), String> {
        emit::batch("log", |batch| batch.record(clock::now_ms(), &from.topic, acknowledged.base_offset.to_string()))
    }

    fn on_consume(&mut self, _to: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        let records: Vec<_> = batch.records().collect();
        for record in records.iter().rev() {
            if record.offset() % 2 == 1 {
                out.drop(record);
            } else if record.value() == Some(b"value") {
                out.replace_value(record, record.offset().to_string());
            }
        }
        Ok(())
    }

    fn on_commit(&mut self, committed: &Commit) -> Result<(), String> {
        emit::batch("nowhere", |_| {})?;
        let mut bytes = [0; 70_000];
        random::fill(&mut bytes);
        assert!(bytes[65_536..].iter().any(|&byte| byte != 0));
        log::warn(&committed.group);
        metrics::gauge("offset", &[("group", &committed.group)], committed.offsets[0].1 as f64);
        let mut histogram = metrics::histogram("seconds", &[]);
        (0..5000).for_each(|value| histogram.observe(f64::from(value)));
        Ok(())
    }
}

fn obedient() -> InterceptorHarness<Obedient> {
    InterceptorHarness::new("{}").unwrap().emitting_to(&["log"])
}

fn values(records: &[TestRecord]) -> Vec<Option<String>> {
    records.iter().map(TestRecord::value_text).collect()
}

#[test]
fn an_untouched_batch_is_answered_with_nothing() {
    let given = [TestRecord::new("k", "x"), TestRecord::new((), ()).header("h", "v").at(7)];
    let judged = obedient().on_send(&given).unwrap();
    assert!(judged.unchanged && judged.rejected.is_empty());
    assert_eq!(judged.records, given);
    let judged = obedient().on_send(&[TestRecord::new("k", "reject")]).unwrap();
    assert!(judged.unchanged, "a rejection changes nothing");
    assert_eq!(judged.rejected, [(0, "told to".to_owned())], "the first reason stands");
}

#[test]
fn dropping_alone_sends_no_batch_back() {
    let judged = obedient().on_send(&["drop", "x", "drop"].map(|value| TestRecord::new("k", value))).unwrap();
    assert_eq!((judged.dropped, judged.unchanged), (vec![0, 2], false));
    assert_eq!(judged.records, [TestRecord::new("k", "x")]);
    let judged = obedient().on_send(&[TestRecord::new("k", "drop")]).unwrap();
    assert!(judged.records.is_empty());
}

#[test]
fn changed_records_keep_everything_else() {
    let given = [
        TestRecord::new("k", "value").header("h", "\u{fc}").at(1_700_000_000_001),
        TestRecord::new("k", "drop").at(3),
        TestRecord::new("k", "null"),
        TestRecord::new("k", "x").header("h", ()).header("h", "2").at(-1),
        TestRecord::new("k", "header").header("a", "0").header("c", "1").header("a", "1").header("d", "4"),
        TestRecord::new("k", "all"),
    ];
    let judged = obedient().on_send(&given).unwrap();
    let expected = [
        TestRecord::new("k", "by User:alice").header("h", "\u{fc}").at(1_700_000_000_001),
        TestRecord::new("k", ()),
        given[3].clone(),
        TestRecord::new("k", "header").header("d", "4").header("a", "2").header("b", ()),
        TestRecord::new("k", "last").header("a", "2"),
    ];
    assert_eq!(judged.records, expected);
    assert_eq!(judged.dropped, [1]);
}

#[test]
fn what_is_not_declared_is_a_fault() {
    let error = obedient().on_send(&[TestRecord::new("k", "key")]).unwrap_err();
    assert!(error.contains("changes the key"), "{error}");
    assert!(InterceptorHarness::<Silent>::new("{}").unwrap_err().contains("no hook"));
    assert!(InterceptorHarness::<Obedient>::new(r#"{"refuse": true}"#).unwrap_err().contains("told to refuse"));
    assert!(InterceptorHarness::<Obedient>::new(r#"{"refuze": true}"#).unwrap_err().contains("refuze"));
}

#[test]
fn edits_in_any_order_meet_their_records() {
    let mut obedient = obedient();
    obedient.next_offset = 10;
    let judged = obedient.on_consume(&["value", "x", "value", "value"].map(|it| TestRecord::new((), it))).unwrap();
    assert_eq!(values(&judged.records), [Some("10".to_owned()), Some("12".to_owned())]);
    assert_eq!(judged.dropped, [1, 3]);
    assert_eq!(obedient.next_offset, 14);
}

#[test]
fn state_stands_for_what_was_appended() {
    let mut obedient = obedient();
    let one = [TestRecord::new((), "x")];
    obedient.on_send(&one).unwrap();
    obedient.on_send_refused(&one).unwrap();
    assert!(obedient.on_send(&[TestRecord::new((), "x"), TestRecord::new((), "fail")]).is_err());
    obedient.on_send(&one).unwrap();
    assert_eq!(obedient.stored::<u32>(0, "seen"), Some(2));
    obedient.origin.partition = 1;
    obedient.on_send(&one).unwrap();
    assert_eq!((obedient.stored::<u32>(0, "seen"), obedient.stored::<u32>(1, "seen")), (Some(2), Some(1)));
}

#[test]
fn what_an_interceptor_asks_of_its_host_is_seen() {
    let mut obedient = obedient();
    obedient.set_now_ms(99);
    let emitted = obedient.on_acknowledgement(&Acknowledgement { base_offset: 7, ..Default::default() }).unwrap();
    assert_eq!(emitted, [("log".to_owned(), vec![TestRecord::new("topic", "7").at(99)])]);
    let commit = Commit { group: "g".to_owned(), offsets: vec![(3, 40)], ..Default::default() };
    assert_eq!(obedient.on_commit(&commit).unwrap(), [], "a batch without records is none");
    assert_eq!(obedient.gauge("offset", &[("group", "g")]), Some(40.0));
    assert_eq!(obedient.observations("seconds", &[]).len(), 5000);
    assert_eq!(obedient.log_lines(), [(Level::Warn, "g".to_owned())]);
    let mut ungranted = InterceptorHarness::<Obedient>::new("{}").unwrap();
    let error = ungranted.on_acknowledgement(&Acknowledgement::default()).unwrap_err();
    assert!(error.contains("`log`") && error.contains("pelton.plugin.NAME.emit"), "{error}");
}

#[test]
fn a_damaged_batch_fails_whether_it_is_walked_or_not() {
    let mut obedient = obedient();
    let mut bytes = crate::testing::encode(0, &[TestRecord::new((), "value"), TestRecord::new((), "x")]);
    let origin = obedient.origin.clone();
    bytes.truncate(bytes.len() - 1);
    obedient.host.stores = vec![Default::default()];
    let mut call =
        |bytes: &[u8]| crate::host::native::lend(&mut obedient.host, || obedient.instance.on_send(&origin, bytes));
    assert!(call(&bytes).unwrap_err().contains("no record batch"));
    let mut bytes = crate::testing::encode(0, &[TestRecord::new((), "value"), TestRecord::new((), "x")]);
    let second_record = 61 + 12;
    bytes[second_record] = 0x7f;
    assert!(call(&bytes).unwrap_err().contains("damaged"));
}

/// Wants nothing.
struct Silent;

impl Interceptor for Silent {
    type Config = NoConfig;

    fn wants() -> Wants {
        Wants::new().reads_value()
    }

    fn configure(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}
