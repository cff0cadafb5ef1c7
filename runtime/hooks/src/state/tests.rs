use super::*;
use proptest::prelude::*;

fn stores(store_bytes: usize, total_bytes: usize) -> (Stores, Arc<StateLimits>) {
    let limits = Arc::new(StateLimits::new(store_bytes, total_bytes));
    (Stores::new(limits.clone()), limits)
}

fn write(store: &Arc<Store>, entries: &[(&str, Option<&str>)], send: bool) -> Result<(), Fault> {
    let mut access = Access::new(store.clone(), send);
    for (key, value) in entries {
        if access.put(0, key.as_bytes(), value.map(str::as_bytes)).is_err() {
            return Err(access.refusal().cloned().unwrap());
        }
    }
    access.keep(send)
}

fn read(store: &Arc<Store>, key: &str) -> Option<Bytes> {
    Access::new(store.clone(), false).get(0, key.as_bytes()).unwrap()
}

#[test]
fn what_on_send_wrote_waits_for_the_append() {
    let (stores, limits) = stores(10_000, 100_000);
    let store = stores.of(3);
    write(&store, &[("a", Some("1"))], true).unwrap();
    assert_eq!(read(&store, "a"), None, "nobody has said that the batch was appended");
    assert_eq!(limits.used_bytes(), 66);
    store.settle(false);
    store.settle(true);
    assert_eq!((read(&store, "a"), limits.used_bytes()), (None, 0));
    write(&store, &[("a", Some("2"))], true).unwrap();
    stores.existing(3).unwrap().settle(true);
    assert_eq!(read(&store, "a").unwrap(), "2");
    write(&store, &[("a", Some("3"))], true).unwrap();
    write(&store, &[("b", Some("4"))], true).unwrap();
    store.settle(true);
    assert_eq!((read(&store, "a").unwrap(), read(&store, "b").unwrap()), ("2".into(), "4".into()));
    assert!(stores.existing(4).is_none());
    drop((store, stores));
    assert_eq!(limits.used_bytes(), 0);
}

#[test]
fn a_call_sees_its_own_writes_and_another_partition_does_not() {
    let (stores, _) = stores(10_000, 100_000);
    let mut access = Access::new(stores.of(0), true);
    access.put(0, b"k", Some(b"v")).unwrap();
    assert_eq!(access.get(0, b"k").unwrap().unwrap(), "v");
    access.put(0, b"k", None).unwrap();
    assert_eq!(access.get(0, b"k").unwrap(), None);
    assert!(access.get(1, b"k").unwrap_err().contains("no store 1"));
    write(&stores.of(0), &[("k", Some("v"))], false).unwrap();
    assert_eq!((read(&stores.of(0), "k").unwrap(), read(&stores.of(1), "k")), ("v".into(), None));
}

#[test]
fn a_full_store_refuses_to_grow_and_nothing_else() {
    let (stores, limits) = stores(1000, 1500);
    let (one, two) = (stores.of(1), stores.of(2));
    let value = "v".repeat(800);
    write(&one, &[("a", Some(&value))], false).unwrap();
    assert!(matches!(write(&one, &[("b", Some(&value))], false), Err(Fault::Limit { limit: "state", .. })));
    assert!(matches!(write(&one, &[("b", Some(&value))], true), Err(Fault::Limit { limit: "state", .. })));
    write(&one, &[("b", Some(&value)), ("a", None)], true).unwrap();
    one.settle(true);
    assert_eq!((read(&one, "a"), read(&one, "b").unwrap().len()), (None, 800));
    let error = write(&two, &[("a", Some(&value))], false).unwrap_err();
    assert!(error.to_string().contains("all stores"), "{error}");
    assert!(write(&two, &[("a", Some(&"v".repeat(2000)))], false).is_err(), "the overlay of one call is bounded too");
    assert_eq!(limits.used_bytes(), 865);
}

proptest! {
    /// Any order of batches, appended or not, beside writes of other hooks: what on-send wrote is there iff its batch was
    /// appended, and the count of bytes is right.
    #[test]
    fn state_stands_for_what_was_appended(
        batches in prop::collection::vec(
            (any::<bool>(), any::<bool>(), prop::collection::vec((0_u8..8, prop::option::of(0_u8..50)), 0..6)),
            0..40,
        )
    ) {
        let (stores, limits) = stores(100_000, 100_000);
        let store = stores.of(0);
        let mut model: BTreeMap<String, String> = BTreeMap::new();
        for (send, appended, writes) in batches {
            let entries: Vec<(String, Option<String>)> = writes
                .into_iter()
                .map(|(key, len)| (format!("k{key}"), len.map(|len| "x".repeat(len.into()))))
                .collect();
            let borrowed: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
            write(&store, &borrowed, send).unwrap();
            if send {
                store.settle(appended);
            }
            if appended || !send {
                for (key, value) in entries {
                    match value {
                        Some(value) => model.insert(key, value),
                        None => model.remove(&key),
                    };
                }
            }
            for key in 0..8 {
                let key = format!("k{key}");
                prop_assert_eq!(read(&store, &key), model.get(&key).map(|value| Bytes::from(value.clone())));
            }
            let expected: usize = model.iter().map(|(key, value)| key.len() + value.len() + ENTRY_OVERHEAD_BYTES).sum();
            prop_assert_eq!((limits.used_bytes(), stores.used_bytes()), (expected, expected));
        }
    }
}
