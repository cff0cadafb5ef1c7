use super::*;
use crate::state::memory::MemoryStores;
use pelton_api::store::{StoreFactory, TaskId};
use proptest::prelude::*;

fn open(stores: &MemoryStores) -> TaskState {
    let task = TaskId { job: "j".into(), step: "s".into(), partition: 0 };
    TaskState::new(stores.open(&task, &["a".into(), "b".into()]).unwrap(), vec![MAX_ENTRY_BYTES; 2])
}

#[derive(Debug, Clone)]
enum Op {
    Put(usize, u8, Option<u16>),
    Keep,
    Drop,
    Commit,
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0..2usize, 0..12u8, proptest::option::of(any::<u16>())).prop_map(|(s, k, v)| Op::Put(s, k, v)),
        2 => Just(Op::Keep),
        1 => Just(Op::Drop),
        1 => Just(Op::Commit),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 0..120)
}

type Model = BTreeMap<(usize, u8), u16>;

fn write(model: &mut Model, store: usize, key: u8, value: Option<u16>) {
    match value {
        Some(value) => model.insert((store, key), value),
        None => model.remove(&(store, key)),
    };
}

proptest! {
    /// The state reads as three plain maps would: what is committed, what is kept, what the call wrote.
    #[test]
    fn the_overlay_reads_like_a_plain_map(ops in ops(), tiny_cache in any::<bool>()) {
        let stores = MemoryStores::default();
        let mut state = open(&stores);
        let (mut committed, mut kept, mut call) = (Model::new(), Model::new(), Model::new());
        let mut offset = 0;
        for op in ops {
            if tiny_cache {
                state.clean.cap_bytes = 300;
            }
            match op {
                Op::Put(store, key, value) => {
                    state.put(store, &[key], value.map(u16::to_be_bytes).as_ref().map(<[u8; 2]>::as_slice)).unwrap();
                    write(&mut call, store, key, value);
                }
                Op::Keep => {
                    state.keep_call();
                    kept = call.clone();
                }
                Op::Drop => {
                    state.drop_call();
                    call = kept.clone();
                }
                Op::Commit => {
                    state.drop_call();
                    call = kept.clone();
                    let changes = state.changes();
                    let mut sorted = changes.clone();
                    sorted.sort_by(|x, y| (x.store, &x.key).cmp(&(y.store, &y.key)));
                    sorted.dedup_by(|x, y| (x.store, &x.key) == (y.store, &y.key));
                    prop_assert_eq!(&sorted, &changes, "one change a key, in order");
                    offset += 1;
                    let stamp = ChangelogStamp { topic_id: "t".into(), next_offset: offset, commit: 1 };
                    state.apply(&changes, &[(0, stamp)]).unwrap();
                    prop_assert_eq!(state.pending_bytes(), 0);
                    committed = kept.clone();
                }
                Op::Reopen => {
                    drop(state);
                    state = open(&stores);
                    kept = committed.clone();
                    call = committed.clone();
                }
            }
            for place in (0..2usize).flat_map(|s| (0..12u8).map(move |k| (s, k))) {
                let value = state.get(place.0, &[place.1]).unwrap();
                let expected = call.get(&place).map(|v| v.to_be_bytes().to_vec());
                prop_assert_eq!(value.map(|v| v.to_vec()), expected);
            }
        }
    }
}

#[test]
fn bytes_are_counted_once_a_key() {
    let mut state = open(&MemoryStores::default());
    for round in 0..100u8 {
        state.put(0, b"key", Some(&[round; 50])).unwrap();
        assert_eq!(state.keep_call(), 3 + 50 + ENTRY_OVERHEAD_BYTES);
    }
    state.put(0, b"key", None).unwrap();
    assert_eq!(state.keep_call(), 3 + ENTRY_OVERHEAD_BYTES);
}

#[test]
fn the_clean_cache_stays_below_its_cap() {
    let mut cache = CleanCache::new(10_000);
    for n in 0..10_000u32 {
        cache.insert((0, Bytes::copy_from_slice(&n.to_be_bytes())), Some(Bytes::from_static(&[0; 100])));
        let held: usize = cache.young.iter().chain(&cache.old).map(|((_, k), v)| entry_bytes(k, v)).sum();
        assert!(held <= 10_000 + 200, "{held}");
    }
}

#[test]
fn what_a_guest_does_wrong_is_its_fault_even_if_it_ignores_the_error() {
    let mut state = open(&MemoryStores::default());
    assert!(state.put(2, b"k", Some(b"v")).is_err());
    assert!(matches!(state.call_fault(), Some(Fault::Refused(_))));
    state.drop_call();
    assert!(state.call_fault().is_none());
    assert!(state.put(0, b"k", Some(&vec![0; MAX_ENTRY_BYTES])).is_err());
    assert!(matches!(state.call_fault(), Some(Fault::Limit { limit: "state value", .. })));
    state.drop_call();
    let value = vec![0; MAX_ENTRY_BYTES - 100];
    let refused = (0..100u32).find(|n| state.put(0, &n.to_be_bytes(), Some(&value)).is_err());
    assert_eq!(refused, Some((MAX_CALL_BYTES / value.len()) as u32));
    assert!(matches!(state.call_fault(), Some(Fault::Limit { limit: "state", .. })));
}
