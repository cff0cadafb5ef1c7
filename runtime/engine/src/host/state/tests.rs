//! Flat lists, well-formed and not, against a store in a map.

use super::*;
use bytes::Bytes;
use std::collections::BTreeMap;

#[derive(Default)]
struct Map(BTreeMap<Vec<u8>, Bytes>);

impl StateAccess for Map {
    fn get(&mut self, _store: usize, key: &[u8]) -> Result<Option<Bytes>, String> {
        if key == b"broken" { Err("the disk is gone".to_owned()) } else { Ok(self.0.get(key).cloned()) }
    }

    fn put(&mut self, _store: usize, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        match value {
            Some(value) => self.0.insert(key.to_vec(), Bytes::copy_from_slice(value)),
            None => self.0.remove(key),
        };
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send> {
        self
    }
}

fn with_store<R>(map: &mut Map, call: impl FnOnce(&mut OneStore) -> R) -> R {
    let began = Instant::now();
    let mut one = OneStore {
        access: Box::new(std::mem::take(map)),
        number: 0,
        entry_limit_bytes: 100,
        answer_limit_bytes: 1_000,
        write_limit_bytes: 2_000,
        written_bytes: 0,
        began,
        deadline: began + std::time::Duration::from_secs(3_600),
        up: Fault::Limit { limit: "time", detail: "too long".to_owned() },
        entries: 0,
    };
    let answer = call(&mut one);
    *map = *one.access.into_any().downcast().expect("the map that was lent");
    answer
}

fn list(parts: &[(u32, &[u8])]) -> Vec<u8> {
    parts.iter().flat_map(|(len, bytes)| len.to_le_bytes().into_iter().chain(bytes.iter().copied())).collect()
}

const NONE: u32 = u32::MAX;

#[test]
fn lists_are_read_in_their_order() {
    let mut map = Map::default();
    let entries = list(&[(1, b"a"), (2, b"xy"), (0, b""), (1, b"z"), (1, b"a"), (NONE, b""), (1, b"b"), (0, b"")]);
    with_store(&mut map, |store| store.put_many(&entries)).unwrap();
    assert_eq!(map.0.keys().collect::<Vec<_>>(), [&b""[..], b"b"], "a later entry must win");
    let values = with_store(&mut map, |store| store.get_many(&list(&[(0, b""), (1, b"a"), (1, b"b")]))).unwrap();
    assert_eq!(values, list(&[(1, b"z"), (NONE, b""), (0, b"")]));
    assert_eq!(with_store(&mut map, |store| store.get_many(b"")).unwrap(), b"");
}

#[test]
fn lengths_that_do_not_fit_end_the_guest() {
    let mut map = Map::default();
    for keys in [&b"\x01"[..], b"\x01\0\0\0", &list(&[(5, b"four")]), &list(&[(NONE, b"abc")])] {
        let Err(Stop(fault)) = with_store(&mut map, |store| store.get_many(keys)) else { panic!("{keys:?} was taken") };
        assert!(matches!(fault, Fault::Malformed(_)), "{fault}");
    }
    for entries in [list(&[(1, b"a")]), list(&[(1, b"a"), (2, b"x")]), list(&[(1, b"a"), (NONE - 1, b"x")])] {
        let Err(Stop(fault)) = with_store(&mut map, |store| store.put_many(&entries)) else {
            panic!("{entries:?} was taken")
        };
        assert!(matches!(fault, Fault::Malformed(_)), "{fault}");
    }
}

#[test]
fn every_prefix_and_every_flipped_byte_of_a_list_is_survived() {
    let whole = list(&[(1, b"a"), (2, b"xy"), (3, b"key"), (NONE, b"")]);
    for end in 0..whole.len() {
        let _: Result<(), Stop> = with_store(&mut Map::default(), |store| store.put_many(&whole[..end]));
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[end] ^= 1 << bit;
            let _: Result<(), Stop> = with_store(&mut Map::default(), |store| store.put_many(&flipped));
            let _: Result<Vec<u8>, Stop> = with_store(&mut Map::default(), |store| store.get_many(&flipped));
        }
    }
}

#[test]
fn entries_writes_and_answers_are_bounded() {
    let mut map = Map::default();
    let is_limit = |fault: Fault| matches!(fault, Fault::Limit { limit: "state value", .. });
    let Err(Stop(fault)) = with_store(&mut map, |store| store.put(&[0; 50], Some(&[0; 51]))) else { panic!() };
    assert!(is_limit(fault));
    let one = list(&[(1, b"k"), (90, &[7; 90])]);
    let Err(Stop(fault)) = with_store(&mut map, |store| store.put_many(&one.repeat(30))) else { panic!() };
    assert!(is_limit(fault));
    let Err(Stop(fault)) = with_store(&mut map, |store| store.get_many(&list(&[(1, b"k")]).repeat(30))) else {
        panic!("30 values of 90 bytes went past 1,000")
    };
    assert!(is_limit(fault));
}

#[test]
fn a_failure_of_the_store_is_the_hosts() {
    let Err(Stop(fault)) = with_store(&mut Map::default(), |store| store.get(b"broken")) else { panic!() };
    assert_eq!(fault, Fault::Host("the disk is gone".to_owned()));
}

#[test]
fn a_store_that_works_too_long_ends_the_guest() {
    let mut map = Map::default();
    let answer = with_store(&mut map, |store| {
        store.deadline = Instant::now();
        store.get_many(&list(&[(1, b"a")]))
    });
    let Err(Stop(fault)) = answer else { panic!("the deadline was not kept") };
    assert!(matches!(fault, Fault::Limit { limit: "time", .. }), "{fault}");
}
