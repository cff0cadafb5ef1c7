//! Both sources, on both ways.

use crate::Latency;
use pelton_sdk::testing::{InterceptorHarness, TestRecord};

const LABELS: &[(&str, &str)] = &[("client", "client")];

fn latency(config: &str) -> InterceptorHarness<Latency> {
    InterceptorHarness::new(config).expect("the configuration is good")
}

#[test]
fn timestamps_are_measured_and_nothing_is_changed() {
    let mut latency = latency("");
    latency.set_now_ms(10_500);
    let given =
        [TestRecord::new("k", "v").at(10_000), TestRecord::new("k", "v").at(9_000), TestRecord::new("k", "v").at(-1)];
    assert!(latency.on_send(&given).unwrap().unchanged);
    assert!(latency.on_consume(&given).unwrap().unchanged);
    assert_eq!(latency.observations("end_to_end_seconds", LABELS), [0.5, 1.5]);
    assert_eq!(latency.counter("clock_ahead_total", LABELS), 0);
}

#[test]
fn stamps_are_written_once_and_measured_by() {
    let mut latency = latency(r#"{"source": "header"}"#);
    latency.set_now_ms(1_000);
    let own = TestRecord::new("k", "v").header("pelton.sent-at-ms", "400").header("a", "b");
    let sent = latency.on_send(&[TestRecord::new("k", "v").header("a", "b"), own.clone()]).unwrap().records;
    assert_eq!(sent[0], TestRecord::new("k", "v").header("a", "b").header("pelton.sent-at-ms", "1000"));
    assert_eq!(sent[1], own);
    assert!(latency.on_send(&[own]).unwrap().unchanged, "a batch whose producers stamp is left alone");
    latency.set_now_ms(3_000);
    assert!(latency.on_consume(&sent).unwrap().unchanged);
    assert_eq!(latency.observations("end_to_end_seconds", LABELS), [2.0, 2.6]);
}

#[test]
fn a_header_of_another_name_is_taken_away_again() {
    let mut latency = latency(r#"{"source": "header", "header": "t", "strip": true}"#);
    let plain = TestRecord::new("k", "v").header("a", "b");
    let odd = TestRecord::new("k", "v").header("t", "yesterday");
    let sent = latency.on_send(&[plain.clone(), odd.clone()]).unwrap().records;
    assert_eq!(sent[0].header_text("t").as_deref(), Some("0"));
    assert_eq!(latency.on_consume(&sent).unwrap().records, [plain, odd]);
    assert_eq!(latency.observations("end_to_end_seconds", LABELS), [0.0]);
}

#[test]
fn a_clock_that_goes_ahead_is_counted() {
    let mut latency = latency("{}");
    latency.set_now_ms(5);
    latency.on_consume(&[TestRecord::new((), ()).at(9), TestRecord::new((), ()).at(i64::MAX)]).unwrap();
    assert_eq!(latency.observations("end_to_end_seconds", LABELS), [0.0, 0.0]);
    assert_eq!(latency.counter("clock_ahead_total", LABELS), 2);
}

#[test]
fn bad_configurations_are_refused() {
    for (config, named) in [
        (r#"{"source": "headers"}"#, "headers"),
        (r#"{"strip": true}"#, "`strip`"),
        (r#"{"header": ""}"#, "`header`"),
        (r#"{"headr": "x"}"#, "headr"),
    ] {
        let error = InterceptorHarness::<Latency>::new(config).unwrap_err();
        assert!(error.contains(named), "{config}: {error}");
    }
}
