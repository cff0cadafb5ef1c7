//! What is written, and what is not.

use crate::Audit;
use pelton_sdk::prelude::{Acknowledgement, Commit};
use pelton_sdk::testing::{InterceptorHarness, TestRecord};

fn audit() -> InterceptorHarness<Audit> {
    let mut audit = InterceptorHarness::<Audit>::new("").unwrap().emitting_to(&["audit-log"]);
    audit.set_now_ms(77);
    audit
}

fn texts(emitted: &[(String, Vec<TestRecord>)]) -> Vec<String> {
    let records = emitted.iter().inspect(|(topic, _)| assert_eq!(topic, "audit-log")).flat_map(|(_, records)| records);
    records.map(|record| format!("{} {}", record.key_text().unwrap(), record.value_text().unwrap())).collect()
}

const ALICE: &str =
    r#""principal":"User:alice","client_id":"client","client_address":"/127.0.0.1","topic":"topic","partition":0"#;

#[test]
fn what_was_sent_is_written_with_its_offsets() {
    let mut audit = audit();
    let acknowledged = Acknowledgement { base_offset: 40, record_count: 3, at_ms: 5, error: None };
    let emitted = audit.on_acknowledgement(&acknowledged).unwrap();
    let expected =
        format!(r#"topic-0 {{"event":"sent","at_ms":5,{ALICE},"first_offset":40,"last_offset":42,"record_count":3}}"#);
    assert_eq!(texts(&emitted), [expected]);
    assert_eq!(emitted[0].1[0].timestamp_ms, 5);
}

#[test]
fn what_was_refused_is_written_with_its_reason() {
    let refused =
        Acknowledgement { base_offset: -1, record_count: 3, at_ms: 5, error: Some("not \"enough\"".to_owned()) };
    let emitted = audit().on_acknowledgement(&refused).unwrap();
    let expected = format!(r#"topic-0 {{"event":"sent","at_ms":5,{ALICE},"record_count":3,"error":"not \"enough\""}}"#);
    assert_eq!(texts(&emitted), [expected]);
}

#[test]
fn what_was_read_is_written_each_time() {
    let mut audit = audit();
    audit.next_offset = 7;
    let batch = [TestRecord::new("secret", "secret"), TestRecord::new((), ())];
    let first = audit.on_consume(&batch).unwrap();
    assert!(first.unchanged);
    let expected =
        format!(r#"topic-0 {{"event":"read","at_ms":77,{ALICE},"first_offset":7,"last_offset":8,"record_count":2}}"#);
    assert_eq!(texts(&first.emitted), [expected]);
    audit.next_offset = 7;
    assert_eq!(audit.on_consume(&batch).unwrap().emitted, first.emitted);
}

#[test]
fn what_was_committed_is_written_for_each_partition() {
    let commit = Commit {
        principal: "User:bob".to_owned(),
        group: "g".to_owned(),
        member: "m".to_owned(),
        topic: "orders".to_owned(),
        offsets: vec![(0, 10), (3, 5)],
        transactional: true,
        ..Commit::default()
    };
    let emitted = audit().on_commit(&commit).unwrap();
    assert_eq!(emitted.len(), 1, "one batch");
    let line = |partition: i32, offset: i64| {
        format!(
            r#"orders-{partition} {{"event":"committed","at_ms":77,"principal":"User:bob","client_id":"","client_address":"","topic":"orders","partition":{partition},"group":"g","member":"m","committed_offset":{offset},"transactional":true}}"#
        )
    };
    assert_eq!(texts(&emitted), [line(0, 10), line(3, 5)]);
}

#[test]
fn nothing_is_written_about_the_audit_topic_itself() {
    let mut audit = audit();
    audit.origin.topic = "audit-log".to_owned();
    assert!(audit.on_acknowledgement(&Acknowledgement::default()).unwrap().is_empty());
    assert!(audit.on_consume(&[TestRecord::new((), ())]).unwrap().emitted.is_empty());
}

#[test]
fn a_topic_that_was_not_granted_fails() {
    let mut audit = InterceptorHarness::<Audit>::new(r#"{"topic": "elsewhere"}"#).unwrap().emitting_to(&["audit-log"]);
    let error = audit.on_acknowledgement(&Acknowledgement::default()).unwrap_err();
    assert!(error.contains("`elsewhere`"), "{error}");
    assert!(InterceptorHarness::<Audit>::new(r#"{"topic": ""}"#).is_err());
    assert!(InterceptorHarness::<Audit>::new(r#"{"tpic": "x"}"#).is_err());
}
