//! Where records go, by name, by position, and when nothing tells.

use crate::GeoPartitioner;
use crate::globe::Position;
use pelton_sdk::testing::{PartitionerHarness, TestRecord};
use std::collections::BTreeSet;

const WORLD: &str = r#"{
    "regions": [
        {"name": "eu", "lat": 50.11, "lon": 8.68, "partitions": [0, 1, 2]},
        {"name": "us", "lat": 39.04, "lon": -77.49, "partitions": [3, 4]},
        {"name": "fiji", "lat": -18.14, "lon": 178.44, "partitions": [5]}
    ],
    "region": {"header": "region"},
    "position": {"lat": "at.lat", "lon": "at.lon"}
}"#;

fn geo(config: &str) -> PartitionerHarness<GeoPartitioner> {
    PartitionerHarness::new(config).expect("the configuration is good")
}

/// Partitions that 500 keys of such a record go to.
fn choice(geo: &mut PartitionerHarness<GeoPartitioner>, record: &TestRecord, partitions: i32) -> BTreeSet<Option<i32>> {
    let keyed = |key: u32| TestRecord { key: Some(key.to_string().into_bytes()), ..record.clone() };
    let records: Vec<TestRecord> = (0..500).map(keyed).collect();
    geo.partitions(&records, partitions).unwrap().into_iter().collect()
}

fn set(partitions: impl IntoIterator<Item = i32>) -> BTreeSet<Option<i32>> {
    partitions.into_iter().map(Some).collect()
}

fn at(lat: f64, lon: f64) -> TestRecord {
    TestRecord::new((), format!(r#"{{"at":{{"lat":{lat},"lon":"{lon}"}}}}"#))
}

#[test]
fn a_named_region_is_taken_by_its_name() {
    let mut geo = geo(WORLD);
    let us_in_the_eu = at(48.85, 2.35).header("region", "us");
    assert_eq!(choice(&mut geo, &us_in_the_eu, 6), set([3, 4]));
    let unknown = at(48.85, 2.35).header("region", "mars");
    assert_eq!(choice(&mut geo, &unknown, 6), set([0, 1, 2]), "an unknown name: its position tells");
}

#[test]
fn a_position_goes_to_the_nearest_centre() {
    let mut geo = geo(WORLD);
    for (place, lat, lon, partitions) in [
        ("Paris", 48.85, 2.35, set([0, 1, 2])),
        ("Chicago", 41.88, -87.63, set([3, 4])),
        ("Samoa, on the other side of the date line", -13.76, -172.1, set([5])),
        ("North Pole", 90.0, 0.0, set([0, 1, 2])),
        ("Auckland", -36.85, 174.76, set([5])),
    ] {
        assert_eq!(choice(&mut geo, &at(lat, lon), 6), partitions, "{place}");
    }
}

#[test]
fn what_does_not_tell_goes_where_the_configuration_says() {
    let mut anywhere = geo(WORLD);
    let mut otherwise = geo(&WORLD.replacen('{', r#"{"otherwise": "us","#, 1));
    for record in [TestRecord::new((), "no JSON"), TestRecord::new((), ()), at(91.0, 0.0), at(0.0, 180.5)] {
        assert_eq!(choice(&mut anywhere, &record, 6), BTreeSet::from([None]));
        assert_eq!(choice(&mut otherwise, &record, 6), set([3, 4]));
    }
}

#[test]
fn one_key_has_one_partition_in_a_region() {
    let mut geo = geo(WORLD);
    let one = |lat| TestRecord { key: Some(b"smith".to_vec()), ..at(lat, 2.0) };
    let partitions = geo.partitions(&[one(48.0), one(49.0), one(50.0)], 6).unwrap();
    assert!(partitions.iter().all(|partition| *partition == partitions[0] && partition.is_some()));
    let keyless = [at(48.0, 2.0), at(48.0, 2.0)];
    let partitions = geo.partitions(&keyless, 6).unwrap();
    assert!(partitions[0] == partitions[1] && partitions[0].is_some(), "without a key the value decides");
}

#[test]
fn shares_divide_all_partitions() {
    let config = r#"{"regions": [{"name": "a", "share": 2}, {"name": "b"}, {"name": "c", "share": 3}],
        "region": {"field": "r"}}"#;
    let mut geo = geo(config);
    let of = |name: &str| TestRecord::new((), format!(r#"{{"r":"{name}"}}"#));
    for (partitions, a, b, c) in [
        (6, 0..2, 2..3, 3..6),
        (12, 0..4, 4..6, 6..12),
        (7, 0..2, 2..3, 3..7),
        (2, 0..1, 0..1, 1..2),
        (1, 0..1, 0..1, 0..1),
    ] {
        for (name, range) in [("a", a), ("b", b), ("c", c)] {
            assert_eq!(choice(&mut geo, &of(name), partitions), set(range), "{name} of {partitions}");
        }
    }
}

#[test]
fn partitions_that_the_topic_does_not_have_are_left_out() {
    let mut geo = geo(WORLD);
    let named = |name: &str| TestRecord::new((), ()).header("region", name);
    assert_eq!(choice(&mut geo, &named("us"), 4), set([3]));
    assert_eq!(choice(&mut geo, &named("fiji"), 4), set([1]), "5 modulo 4");
}

#[test]
fn nearness_agrees_with_distances() {
    let position = |lat, lon| Position::new(lat, lon).unwrap();
    assert!((position(10.0, 20.0).nearness(&position(10.0, 20.0)) - 1.0).abs() < 1e-12);
    assert!((position(90.0, 0.0).nearness(&position(-90.0, 77.0)) + 1.0).abs() < 1e-12);
    assert!((position(0.0, 179.0).nearness(&position(0.0, -179.0)) - 2.0_f64.to_radians().cos()).abs() < 1e-12);
    assert_eq!(Position::new(f64::NAN, 0.0), None);
}

#[test]
fn bad_configurations_are_refused() {
    let with = |regions: &str| format!(r#"{{"regions": [{regions}], "region": {{"header": "r"}}}}"#);
    for (config, named) in [
        (with(""), "1 to"),
        (with(r#"{"name": "a"}, {"name": "a"}"#), "twice"),
        (with(r#"{"name": "a", "lat": 1}"#), "without the other"),
        (with(r#"{"name": "a", "lat": 1, "lon": 181}"#), "no place"),
        (with(r#"{"name": "a", "partitions": []}"#), "at least one"),
        (with(r#"{"name": "a", "partitions": [-1]}"#), "from 0"),
        (with(r#"{"name": "a", "partitions": [1]}, {"name": "b"}"#), "`b`"),
        (with(r#"{"name": "a", "partitions": [1], "share": 1}"#), "`a`"),
        (with(r#"{"name": "a", "share": 0}"#), "`share`"),
        (with(r#"{"name": "a", "center": 1}"#), "center"),
        (r#"{"regions": [{"name": "a"}]}"#.to_owned(), "`region`"),
        (WORLD.replace(r#""lat": 50.11, "lon": 8.68, "#, ""), "every region"),
        (WORLD.replacen('{', r#"{"otherwise": "mars","#, 1), "mars"),
    ] {
        let error = PartitionerHarness::<GeoPartitioner>::new(&config).unwrap_err();
        assert!(error.contains(named), "{config}: {error}");
    }
}
