//! What meets, and what the clients' own partitioners say of the same keys.

use crate::KeyPartitioner;
use pelton_sdk::partition::{keyed_crc32, keyed_murmur2};
use pelton_sdk::testing::{PartitionerHarness, TestRecord};

const PARTITIONS: i32 = 97;

fn partitioner(config: &str) -> PartitionerHarness<KeyPartitioner> {
    PartitionerHarness::new(config).expect("the configuration is good")
}

fn of(partitioner: &mut PartitionerHarness<KeyPartitioner>, record: TestRecord) -> Option<i32> {
    partitioner.partition(record, PARTITIONS).unwrap()
}

fn murmur2(text: &str) -> Option<i32> {
    Some(keyed_murmur2(text.as_bytes(), PARTITIONS))
}

#[test]
fn by_default_it_is_what_javas_clients_do() {
    let mut by_key = partitioner("");
    for key in ["", "a", "21", "foobar", "ü"] {
        assert_eq!(of(&mut by_key, TestRecord::new(key, "x")), murmur2(key));
    }
    assert_eq!(of(&mut by_key, TestRecord::new((), "x")), None);
}

#[test]
fn it_can_be_what_librdkafka_does() {
    let mut crc32 = partitioner(r#"{"hash": "crc32"}"#);
    assert_eq!(of(&mut crc32, TestRecord::new("foobar", "")), Some(keyed_crc32(b"foobar", PARTITIONS)));
    assert_ne!(of(&mut crc32, TestRecord::new("foobar", "")), murmur2("foobar"));
}

#[test]
fn keys_meet_by_their_front() {
    let mut until = partitioner(r#"{"by": {"key-until": "::"}}"#);
    for key in ["smith::1", "smith::2::3", "smith::", "smith"] {
        assert_eq!(of(&mut until, TestRecord::new(key, "")), murmur2("smith"), "{key}");
    }
    assert_eq!(of(&mut until, TestRecord::new("smith:1", "")), murmur2("smith:1"), "no delimiter: the whole key");
    assert_eq!(of(&mut until, TestRecord::new("::x", "")), murmur2(""));
    assert_eq!(of(&mut until, TestRecord::new((), "")), None);
}

#[test]
fn fields_of_keys_and_values_decide() {
    let mut keys = partitioner(r#"{"by": {"key-field": "customer.id"}}"#);
    assert_eq!(of(&mut keys, TestRecord::new(r#"{"customer":{"id":"7"},"x":1}"#, "")), murmur2("7"));
    assert_eq!(of(&mut keys, TestRecord::new(r#"{"customer":{"id":7}}"#, "")), murmur2("7"));
    assert_eq!(of(&mut keys, TestRecord::new("{}", "")), murmur2("{}"), "no field: the whole key");
    let mut values = partitioner(r#"{"by": {"value-field": "id"}}"#);
    assert_eq!(of(&mut values, TestRecord::new("k", r#"{"id":"\u0061"}"#)), murmur2("a"));
    assert_eq!(of(&mut values, TestRecord::new("k", r#"{"id":null}"#)), murmur2("k"));
    assert_eq!(of(&mut values, TestRecord::new("k", "no JSON")), murmur2("k"));
    assert_eq!(of(&mut values, TestRecord::new((), ())), None);
}

#[test]
fn bad_configurations_are_refused() {
    for (config, named) in [
        (r#"{"by": {"key-until": ""}}"#, "`key-until`"),
        (r#"{"by": {"key-field": "a..b"}}"#, "a..b"),
        (r#"{"by": "value"}"#, "value"),
        (r#"{"hash": "md5"}"#, "md5"),
        (r#"{"of": "key"}"#, "of"),
    ] {
        let error = PartitionerHarness::<KeyPartitioner>::new(config).unwrap_err();
        assert!(error.contains(named), "{config}: {error}");
    }
}
