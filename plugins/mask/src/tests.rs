//! Every mode, and every way around one that was thought of.

use crate::{Mask, last4};
use pelton_sdk::testing::{InterceptorHarness, TestRecord};

const CONFIG: &str = r#"{
    "fields": {"user.email": "hash", "cards[*].number": "last4", "user.ssn": "remove", "note": "redact"},
    "salt": "0123456789abcdef", "allow": ["User:fraud"]
}"#;

fn mask(config: &str) -> InterceptorHarness<Mask> {
    InterceptorHarness::new(config).expect("the configuration is good")
}

fn seen(mask: &mut InterceptorHarness<Mask>, value: &str) -> String {
    let judged = mask.on_consume(&[TestRecord::new("k", value).header("h", "x")]).unwrap();
    assert!(judged.rejected.is_empty(), "{:?}", judged.rejected);
    judged.records[0].value_text().unwrap()
}

#[test]
fn each_mode_masks_its_field_and_nothing_else() {
    let order = r#"{"id":1.50,"user":{"email":"a@b.c","ssn":7,"name":"Ann"},"cards":[{"number":"4111111111111111"},{"number":4222222222222},{}],"note":{"x":1}}"#;
    let expected = r#"{"id":1.50,"user":{"email":"HASH","name":"Ann"},"cards":[{"number":"****1111"},{"number":"****2222"},{}],"note":"[masked]"}"#;
    let masked = seen(&mut mask(CONFIG), order);
    let at = masked.find("email\":\"").unwrap() + 8;
    let hash = &masked[at..at + 32];
    assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(masked.replace(hash, "HASH"), expected);
}

#[test]
fn who_is_on_the_list_sees_everything() {
    let mut mask = mask(CONFIG);
    mask.origin.principal = "User:fraud".to_owned();
    let given = [TestRecord::new("k", r#"{"note":"x"}"#), TestRecord::new("k", "no JSON")];
    let judged = mask.on_consume(&given).unwrap();
    assert!(judged.unchanged && judged.rejected.is_empty());
    mask.origin.principal = "User:fraudster".to_owned();
    assert!(!mask.on_consume(&given[..1]).unwrap().unchanged);
}

#[test]
fn hashes_are_stable_and_depend_on_the_salt() {
    let (mut one, mut other) = (mask(CONFIG), mask(&CONFIG.replace("abcdef", "fedcba")));
    let plain = seen(&mut one, r#"{"user":{"email":"a@b"}}"#);
    assert_eq!(seen(&mut one, r#"{"user":{"email":"a\u0040b"}}"#), plain, "the same text, spelt differently");
    assert_ne!(seen(&mut other, r#"{"user":{"email":"a@b"}}"#), plain);
    assert_ne!(seen(&mut one, r#"{"user":{"email":"a@c"}}"#), plain);
    // HMAC-SHA-256 as OpenSSL computes it.
    assert_eq!(plain, r#"{"user":{"email":"HMAC"}}"#.replace("HMAC", "1a96317a95e681022442aa2a173cf256"));
}

#[test]
fn no_spelling_goes_around_the_mask() {
    let mut mask = mask(CONFIG);
    assert_eq!(seen(&mut mask, r#"{"note":1,"note":2}"#), r#"{"note":"[masked]","note":"[masked]"}"#);
    assert_eq!(seen(&mut mask, r#"{"no\u0074e":"x"}"#), r#"{"no\u0074e":"[masked]"}"#);
    assert_eq!(seen(&mut mask, r#"{"user":{"ssn":1,"ssn":2}}"#), r#"{"user":{}}"#);
    assert_eq!(seen(&mut mask, r#"{"user":{"email":["a@b"]}}"#), r#"{"user":{"email":"[masked]"}}"#);
    assert_eq!(seen(&mut mask, r#"{"note":null}"#), r#"{"note":null}"#);
    assert_eq!(seen(&mut mask, r#"[{"note":"x"}]"#), r#"[{"note":"x"}]"#, "another place");
}

#[test]
fn what_is_no_json_is_rejected_unless_it_may_pass() {
    let given =
        [TestRecord::new("k", "4111111111111111 is mine"), TestRecord::new("k", ()), TestRecord::new("k", "{}")];
    let judged = mask(CONFIG).on_consume(&given).unwrap();
    assert!(judged.rejected.len() == 1 && judged.rejected[0].1.contains("not JSON"), "{:?}", judged.rejected);
    assert_eq!(judged.rejected[0].0, 0);
    let passing = r#"{"fields": {"a": "redact"}, "not_json": "pass"}"#;
    let judged = mask(passing).on_consume(&given).unwrap();
    assert!(judged.unchanged && judged.rejected.is_empty());
}

#[test]
fn short_texts_show_nothing() {
    for (text, masked) in [("", "****"), ("1234567", "****"), ("12345678", "****5678"), ("äöüäöüäöü", "****üäöü")]
    {
        assert_eq!(last4(text), masked, "{text}");
    }
}

#[test]
fn bad_configurations_are_refused() {
    for (config, named) in [
        ("{}", "fields"),
        (r#"{"fields": {}}"#, "`fields`"),
        (r#"{"fields": {"a..b": "redact"}}"#, "a..b"),
        (r#"{"fields": {"a": "blur"}}"#, "blur"),
        (r#"{"fields": {"a": "hash"}}"#, "salt"),
        (r#"{"fields": {"a": "hash"}, "salt": "short"}"#, "16 bytes"),
        (r#"{"fields": {"a": "redact"}, "allowed": []}"#, "allowed"),
    ] {
        let error = InterceptorHarness::<Mask>::new(config).unwrap_err();
        assert!(error.contains(named), "{config}: {error}");
    }
}
