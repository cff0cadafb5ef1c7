//! What fits, what does not, and what is said about it.

use crate::SchemaCheck;
use pelton_sdk::testing::{InterceptorHarness, TestRecord};

const ORDER: &str = r##"{"schema": {
    "type": "object",
    "required": ["id", "price"],
    "properties": {
        "id": {"type": "integer"},
        "price": {"type": "number", "exclusiveMinimum": 0},
        "customer": {"$ref": "#/$defs/person"},
        "tags": {"type": "array", "prefixItems": [{"const": "first"}], "items": {"type": "string"}},
        "words": {"items": {"pattern": "^[a-z]+$"}}
    },
    "unevaluatedProperties": false,
    "$defs": {"person": {"type": "object", "properties": {"mail": {"type": "string", "format": "email"}}}}
}}"##;

fn check(config: &str) -> InterceptorHarness<SchemaCheck> {
    InterceptorHarness::new(config).expect("the configuration is good")
}

/// What is said about a value; `None` when it fits.
fn said(check: &mut InterceptorHarness<SchemaCheck>, value: &str) -> Option<String> {
    let judged = check.on_send(&[TestRecord::new((), value)]).unwrap();
    assert!(judged.unchanged);
    judged.rejected.into_iter().next().map(|(_, reason)| reason)
}

#[test]
fn what_fits_passes() {
    let mut check = check(ORDER);
    for value in [
        r#"{"id": 1, "price": 0.5}"#,
        r#"{"id": 1, "price": 1e2, "customer": {"mail": "no address"}, "tags": ["first", "b"]}"#,
        r#" {"price": 1, "id": 2.0} "#,
    ] {
        assert_eq!(said(&mut check, value), None, "{value}");
    }
}

#[test]
fn what_does_not_fit_is_rejected_with_its_place() {
    let mut check = check(ORDER);
    for (value, place, schema) in [
        (r#"{"id": 1}"#, "at /:", "(schema: /required)"),
        (r#"{"id": 1, "price": "1"}"#, "at /price:", "(schema: /properties/price/type)"),
        (r#"{"id": 1, "price": 0}"#, "at /price:", "(schema: /properties/price/exclusiveMinimum)"),
        (r#"{"id": 1, "price": 1, "customer": 7}"#, "at /customer:", "(schema: /$defs/person/type)"),
        (r#"{"id": 1, "price": 1, "tags": ["second"]}"#, "at /tags/0:", "/prefixItems/0/const)"),
        (r#"{"id": 1, "price": 1, "words": ["a", "B"]}"#, "at /words/1:", "/items/pattern)"),
        (r#"{"id": 1, "price": 1, "x": 1}"#, "at /x:", "(schema: /unevaluatedProperties)"),
        ("[]", "at /:", "(schema: /type)"),
    ] {
        let reason = said(&mut check, value).unwrap_or_else(|| panic!("{value} passed"));
        assert!(reason.starts_with(place) && reason.ends_with(schema), "{value}: {reason}");
    }
}

#[test]
fn each_record_is_judged_by_itself() {
    let given = ["{\"id\":1,\"price\":1}", "{", "", "{\"id\":1}"].map(|value| TestRecord::new((), value));
    let judged = check(ORDER).on_send(&given).unwrap();
    assert_eq!(judged.rejected.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(judged.rejected[0].1.contains("not JSON"), "{:?}", judged.rejected);
}

#[test]
fn tombstones_pass_unless_they_may_not() {
    let tombstone = [TestRecord::new("k", ())];
    assert!(check(r#"{"schema": false}"#).on_send(&tombstone).unwrap().rejected.is_empty());
    let judged = check(r#"{"schema": true, "null": "reject"}"#).on_send(&tombstone).unwrap();
    assert_eq!(judged.rejected, [(0, "the value is null".to_owned())]);
}

#[test]
fn keys_and_formats_are_checked_on_request() {
    let mut keys = check(r#"{"schema": {"type": "integer"}, "of": "key"}"#);
    let judged = keys.on_send(&[TestRecord::new("7", "x"), TestRecord::new("x", "7")]).unwrap();
    assert_eq!(judged.rejected[0].0, 1);
    let mut formats = check(r#"{"schema": {"format": "email"}, "formats": true}"#);
    assert!(said(&mut formats, r#""nobody""#).unwrap().contains("email"));
    assert_eq!(said(&mut formats, r#""a@example.com""#), None);
}

#[test]
fn a_pattern_takes_linear_time() {
    let mut check = check(r#"{"schema": {"pattern": "^(a+)+$"}}"#);
    let value = format!("\"{}b\"", "a".repeat(50_000));
    let reason = said(&mut check, &value).unwrap();
    assert!(reason.len() < 1100, "{}", reason.len());
}

#[test]
fn bad_configurations_are_refused() {
    for (config, named) in [
        ("{}", "schema"),
        (r#"{"schema": {"type": "integr"}}"#, "'/type': value must be one of"),
        (r#"{"schema": {"pattern": "("}}"#, "pattern"),
        (r##"{"schema": {"$ref": "#/$defs/nobody"}}"##, "nobody"),
        (r#"{"schema": {"$ref": "http://example.com/x.json"}}"#, "$defs"),
        (r#"{"schema": {"$ref": "file:///etc/passwd"}}"#, "$defs"),
        (r#"{"schema": 7}"#, "schema"),
        (r#"{"schema": {}, "part": "key"}"#, "part"),
    ] {
        let error = InterceptorHarness::<SchemaCheck>::new(config).unwrap_err();
        assert!(error.contains(named), "{config}: {error}");
    }
}
