use super::*;
use pelton_api::store::StoreError;

fn task() -> TaskId {
    TaskId { job: "pv".into(), step: "count".into(), partition: 3 }
}

fn names(stores: &[&str]) -> Vec<String> {
    stores.iter().map(|s| (*s).to_owned()).collect()
}

fn change(store: usize, key: &str, value: Option<&str>) -> Change {
    Change { store, key: Bytes::from(key.to_owned()), value: value.map(|v| Bytes::from(v.to_owned())) }
}

fn stamp(next_offset: i64, commit: u64) -> ChangelogStamp {
    ChangelogStamp { topic_id: "ab".repeat(16), next_offset, commit }
}

fn stores(root: &Path) -> RocksStores {
    RocksStores::new(root, RocksConfig { block_cache_bytes: 1 << 20, ..RocksConfig::default() })
}

#[test]
fn what_is_applied_is_there_after_a_reopen() {
    let root = tempfile::tempdir().unwrap();
    let stores = stores(root.path());
    let mut store = stores.open(&task(), &names(&["a", "b"])).unwrap();
    assert_eq!(store.stamps().unwrap(), [None, None]);
    let changes = [change(0, "k", Some("in a")), change(1, "k", Some("in b")), change(1, "gone", Some("x"))];
    store.apply(&changes, &[(0, stamp(5, 1)), (1, stamp(9, 1))]).unwrap();
    store.apply(&[change(1, "gone", None), change(0, "", Some(""))], &[(1, stamp(10, 2))]).unwrap();
    drop(store);

    // The order of the stores is the caller's; their contents go by name.
    let store = stores.open(&task(), &names(&["b", "a"])).unwrap();
    assert_eq!(store.get(0, b"k").unwrap().unwrap(), "in b");
    assert_eq!(store.get(1, b"k").unwrap().unwrap(), "in a");
    assert_eq!(store.get(0, b"gone").unwrap(), None);
    assert_eq!(store.get(1, b"").unwrap().unwrap(), "");
    assert_eq!(store.stamps().unwrap(), [Some(stamp(10, 2)), Some(stamp(5, 1))]);
    // An estimate: RocksDB counts a deletion as one entry less, wherever its key is.
    assert!((1..=4).contains(&store.estimated_keys()), "{}", store.estimated_keys());
}

#[test]
fn a_batch_with_an_unknown_store_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut store = stores(root.path()).open(&task(), &names(&["a"])).unwrap();
    assert!(store.apply(&[change(0, "k", Some("v")), change(1, "k", Some("v"))], &[]).is_err());
    assert!(store.apply(&[change(0, "k", Some("v"))], &[(7, stamp(1, 1))]).is_err());
    assert_eq!(store.get(0, b"k").unwrap(), None);
    assert!(store.get(1, b"k").is_err());
}

#[test]
fn a_store_that_the_step_no_longer_has_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let stores = stores(root.path());
    let mut store = stores.open(&task(), &names(&["a", "b"])).unwrap();
    store.apply(&[change(1, "k", Some("v"))], &[(1, stamp(1, 1))]).unwrap();
    drop(store);
    drop(stores.open(&task(), &names(&["a", "c"])).unwrap());
    let store = stores.open(&task(), &names(&["b"])).unwrap();
    assert_eq!(store.get(0, b"k").unwrap().unwrap(), "v");
}

#[test]
fn open_stores_are_locked_and_set_aside_ones_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let stores = stores(root.path());
    for round in 1..=2 {
        let mut store = stores.open(&task(), &names(&["a"])).unwrap();
        assert!(matches!(stores.open(&task(), &names(&["a"])), Err(StoreError::Failed(_))));
        assert_eq!(store.get(0, b"k").unwrap(), None);
        store.apply(&[change(0, "k", Some("v"))], &[]).unwrap();
        drop(store);
        let place = stores.set_aside(&task()).unwrap();
        assert!(place.ends_with(&format!("3.aside-{round}")), "{place}");
        assert!(Path::new(&place).join("CURRENT").exists());
    }
}

#[test]
fn a_damaged_store_says_so() {
    let root = tempfile::tempdir().unwrap();
    let stores = stores(root.path());
    drop(stores.open(&task(), &names(&["a"])).unwrap());
    let dir = stores.dir(&task()).unwrap();
    fs::write(dir.join("CURRENT"), b"MANIFEST-garbage").unwrap();
    let error = stores.open(&task(), &names(&["a"])).err().expect("must fail");
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    stores.set_aside(&task()).unwrap();
    assert!(stores.open(&task(), &names(&["a"])).is_ok());
}

#[test]
fn a_store_that_lost_a_file_is_damaged_and_not_tried_again_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let stores = stores(dir.path());
    drop(stores.open(&task(), &names(&["a"])).unwrap());
    let place = stores.dir(&task()).unwrap();
    for entry in fs::read_dir(&place).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("MANIFEST-") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let error = stores.open(&task(), &names(&["a"])).err().expect("its manifest is gone");
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    stores.set_aside(&task()).unwrap();
    fs::write(&place, "no directory").unwrap();
    let error = stores.open(&task(), &names(&["a"])).err().expect("a file is no store");
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    stores.set_aside(&task()).unwrap();
    stores.open(&task(), &names(&["a"])).unwrap();
}

#[test]
fn an_unreadable_stamp_is_damage() {
    let root = tempfile::tempdir().unwrap();
    let stores = stores(root.path());
    let mut store = stores.open(&task(), &names(&["a"])).unwrap();
    let bad = ChangelogStamp { topic_id: "two words".into(), next_offset: 1, commit: 1 };
    store.apply(&[], &[(0, bad)]).unwrap();
    assert!(matches!(store.stamps(), Err(StoreError::Damaged(_))));
}

#[test]
fn no_name_leads_out_of_the_root() {
    let root = tempfile::tempdir().unwrap();
    let stores = stores(root.path());
    for bad in ["..", ".", "", "a/b", "/etc", "../x", "a/"] {
        let task = TaskId { job: bad.into(), step: "s".into(), partition: 0 };
        assert!(stores.open(&task, &[]).is_err(), "{bad}");
        assert!(stores.set_aside(&task).is_err(), "{bad}");
    }
}

/// What `kill -9` leaves: the files as they are, with nothing flushed or closed. A copy of the directory of an
/// open database is just that.
#[test]
fn unsynced_commits_survive_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let stores = stores(root.path());
    let mut store = stores.open(&task(), &names(&["a"])).unwrap();
    for commit in 1..=100u64 {
        let key = format!("key-{}", commit % 7);
        let value = commit.to_string();
        store.apply(&[change(0, &key, Some(&value))], &[(0, stamp(commit as i64 * 2, commit))]).unwrap();
    }
    let from = stores.dir(&task()).unwrap();
    let killed = RocksStores::new(copy.path(), RocksConfig::default());
    let to = killed.dir(&task()).unwrap();
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(&from).unwrap().map(Result::unwrap).filter(|e| e.file_name() != "LOCK") {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let after = killed.open(&task(), &names(&["a"])).unwrap();
    assert_eq!(after.stamps().unwrap(), [Some(stamp(200, 100))]);
    assert_eq!(after.get(0, b"key-2").unwrap().unwrap(), "100");
}

/// What a power cut leaves: a prefix of the log. Whatever is there then is exactly what its stamp says.
#[test]
fn a_torn_log_leaves_a_store_that_fits_its_stamp() {
    let root = tempfile::tempdir().unwrap();
    let stores = stores(root.path());
    let mut store = stores.open(&task(), &names(&["a", "b"])).unwrap();
    for commit in 1..=60u64 {
        let value = commit.to_string();
        let changes = [change(0, "last", Some(&value)), change(1, "last", Some(&value))];
        store.apply(&changes, &[(0, stamp(commit as i64, commit)), (1, stamp(commit as i64, commit))]).unwrap();
    }
    let from = stores.dir(&task()).unwrap();
    let mut seen = BTreeSet::new();
    for lost_bytes in [1, 50, 500, 2000, 4000] {
        let copy = tempfile::tempdir().unwrap();
        let cut = RocksStores::new(copy.path(), RocksConfig::default());
        let to = cut.dir(&task()).unwrap();
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(&from).unwrap().map(Result::unwrap).filter(|e| e.file_name() != "LOCK") {
            let mut bytes = fs::read(entry.path()).unwrap();
            if entry.path().extension().is_some_and(|e| e == "log") {
                bytes.truncate(bytes.len().saturating_sub(lost_bytes));
            }
            fs::write(to.join(entry.file_name()), bytes).unwrap();
        }
        let after = cut.open(&task(), &names(&["a", "b"])).unwrap();
        let stamps = after.stamps().unwrap();
        assert_eq!(stamps[0], stamps[1], "a batch is there whole or not at all");
        let commit = stamps[0].as_ref().map_or(0, |s| s.commit);
        for store in 0..2 {
            let value = after.get(store, b"last").unwrap().map(|v| String::from_utf8_lossy(&v).into_owned());
            assert_eq!(value, (commit > 0).then(|| commit.to_string()));
        }
        seen.insert(commit);
    }
    assert!(seen.len() > 2 && seen.iter().all(|commit| *commit < 60), "{seen:?}");
}
