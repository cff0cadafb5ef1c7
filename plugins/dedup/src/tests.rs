//! Doubles within a batch, across batches, across refusals, and at the edge of what is remembered.

use crate::Dedup;
use crate::ring::{Id, MOST};
use pelton_sdk::testing::{InterceptorHarness, TestRecord};

fn dedup(config: &str) -> InterceptorHarness<Dedup> {
    InterceptorHarness::new(config).expect("the configuration is good")
}

/// Keys, one character each, of the records that pass.
fn passed(dedup: &mut InterceptorHarness<Dedup>, keys: &str) -> String {
    let records: Vec<TestRecord> = keys.chars().map(|key| TestRecord::new(key.to_string(), "")).collect();
    dedup.on_send(&records).unwrap().records.iter().map(|record| record.key_text().unwrap()).collect()
}

#[test]
fn each_id_passes_once() {
    let mut dedup = dedup("");
    assert_eq!(passed(&mut dedup, "abacb"), "abc");
    assert_eq!(passed(&mut dedup, "cdd"), "d");
    assert_eq!(passed(&mut dedup, "abcd"), "");
    assert_eq!(dedup.counter("dropped_total", &[]), 8);
    assert!(dedup.on_send(&[TestRecord::new("e", "")]).unwrap().unchanged);
}

#[test]
fn partitions_do_not_know_of_each_other() {
    let mut dedup = dedup("{}");
    assert_eq!(passed(&mut dedup, "a"), "a");
    dedup.origin.partition = 1;
    assert_eq!(passed(&mut dedup, "aa"), "a");
}

#[test]
fn a_refused_batch_may_come_again() {
    let mut dedup = dedup("{}");
    assert_eq!(dedup.on_send_refused(&[TestRecord::new("a", "")]).unwrap().records.len(), 1);
    assert_eq!(passed(&mut dedup, "a"), "a");
    assert_eq!(passed(&mut dedup, "a"), "");
}

#[test]
fn only_the_last_ids_are_remembered() {
    let mut dedup = dedup(r#"{"remember": 3}"#);
    assert_eq!(passed(&mut dedup, "abc"), "abc");
    assert_eq!(passed(&mut dedup, "d"), "d");
    assert_eq!(passed(&mut dedup, "bcd"), "");
    assert_eq!(passed(&mut dedup, "a"), "a", "the oldest was forgotten");
    assert_eq!(passed(&mut dedup, "b"), "b");
    assert_eq!(passed(&mut dedup, "dab"), "");
    assert_eq!(passed(&mut dedup, "efghij"), "efghij", "a batch of more ids than are remembered");
    assert_eq!(passed(&mut dedup, "hij"), "");
    assert_eq!(passed(&mut dedup, "g"), "g");
    let entries = dedup.state(0).unwrap();
    assert_eq!(entries.len(), 1 + 3 + 3, "{entries:?}");
}

/// Against a plain model, with many sizes and batches.
#[test]
fn it_does_what_a_list_of_the_last_ids_does() {
    let mut seed = 7_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for remember in [1_usize, 2, 5, 17] {
        let mut dedup = dedup(&format!(r#"{{"remember": {remember}}}"#));
        let mut last: Vec<u64> = Vec::new();
        for _ in 0..200 {
            let ids: Vec<u64> = (0..random(8)).map(|_| random(30)).collect();
            // What a batch brings is known within it; what is remembered changes after it.
            let mut known = last.clone();
            let mut expected = Vec::new();
            for id in &ids {
                if !known.contains(id) {
                    known.push(*id);
                    last.push(*id);
                    expected.push(id.to_string());
                }
            }
            last.drain(..last.len().saturating_sub(remember));
            let records: Vec<TestRecord> = ids.iter().map(|id| TestRecord::new(id.to_string(), "")).collect();
            let passed = dedup.on_send(&records).unwrap().records;
            assert_eq!(passed.iter().map(|it| it.key_text().unwrap()).collect::<Vec<_>>(), expected);
            let entries = dedup.state(0).map_or(0, |state| state.len());
            assert_eq!(entries, if last.is_empty() { 0 } else { 1 + 2 * last.len() });
        }
    }
}

#[test]
fn another_size_keeps_the_newest() {
    let mut state = None;
    for (remember, keys, expected) in [
        (5, "abcdefg", "abcdefg"),
        (2, "efgc", "ec"),
        (4, "gcx", "gx"),
        (4, "ecgx", ""),
        (4, "y", "y"),
        (4, "e", "e"),
        (9, "ycgxe", "c"),
    ] {
        let mut dedup = dedup(&format!(r#"{{"remember": {remember}}}"#));
        if let Some(state) = state.take() {
            dedup.set_state(0, state);
        }
        assert_eq!(passed(&mut dedup, keys), expected, "{keys} with {remember}");
        state = dedup.state(0).cloned();
        let ids = state.as_ref().unwrap().keys().filter(|key| key[0] == b'i').count();
        let slots = state.as_ref().unwrap().keys().filter(|key| key[0] == b's').count();
        assert!(ids == slots && ids <= remember, "{ids} ids in {slots} slots of {remember}");
    }
}

#[test]
fn ids_come_from_headers_and_fields_as_well() {
    let mut headers = dedup(r#"{"by": {"header": "id"}, "without": "reject"}"#);
    let records = [
        TestRecord::new("a", "").header("id", "1"),
        TestRecord::new("b", "").header("id", "1"),
        TestRecord::new("a", "").header("id", "2"),
        TestRecord::new("a", ""),
    ];
    let judged = headers.on_send(&records).unwrap();
    assert_eq!((judged.dropped, judged.rejected), (vec![1], vec![(3, "no id: no header `id`".to_owned())]));
    let mut fields = dedup(r#"{"by": {"field": "order.id"}}"#);
    let orders = [r#"{"order":{"id":1}}"#, r#"{"x":2,"order":{"id":"1"}}"#, r#"{"order":{"id":null}}"#, "x", "x"];
    let judged = fields.on_send(&orders.map(|value| TestRecord::new((), value))).unwrap();
    assert_eq!((judged.dropped, judged.rejected), (vec![1], vec![]), "records without id pass");
}

#[test]
fn long_ids_are_told_apart() {
    let long = |last: u8| [vec![b'x'; 500], vec![last]].concat();
    assert_ne!(Id::new(&long(1)), Id::new(&long(2)));
    assert_ne!(Id::new(&[1; 32]), Id::new(&[1; 31]));
    let mut dedup = dedup("{}");
    let records = [long(1), long(2), long(1)].map(|key| TestRecord::new(key, ""));
    assert_eq!(dedup.on_send(&records).unwrap().dropped, [2]);
}

#[test]
fn bad_configurations_are_refused() {
    for (config, named) in [
        (r#"{"remember": 0}"#.to_owned(), "`remember`"),
        (format!(r#"{{"remember": {}}}"#, MOST + 1), "65536"),
        (r#"{"by": "value"}"#.to_owned(), "value"),
        (r#"{"by": {"field": "a..b"}}"#.to_owned(), "a..b"),
        (r#"{"window": 1}"#.to_owned(), "window"),
    ] {
        let error = InterceptorHarness::<Dedup>::new(&config).unwrap_err();
        assert!(error.contains(named), "{config}: {error}");
    }
}
