//! Uploads, restarts, and files that are not what they were.

use super::*;

const INTERFACE: &str = "pelton:plugin/transform@0.1.0";

fn plugin(text: &str) -> PluginRef {
    text.parse().expect("the test names a plugin well")
}

fn add(registry: &Registry, name: &str, bytes: &[u8]) -> Result<PluginManifest, RegistryError> {
    registry.add(plugin(name), bytes, PluginKind::Transform, INTERFACE, 1_700_000_000_000)
}

#[test]
fn uploads_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path().join("plugins")).unwrap();
    let manifest = add(&registry, "pv-count@1", b"one").unwrap();
    assert_eq!(manifest.digest, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    assert_eq!((manifest.size_bytes, manifest.uploaded_at_ms), (3, 1_700_000_000_000));
    add(&registry, "pv-count@2", b"two").unwrap();
    add(&registry, "same-bytes@1", b"one").unwrap();
    let again = Registry::open(dir.path().join("plugins")).unwrap();
    assert_eq!(again.list(), registry.list());
    assert_eq!(again.list().len(), 3);
    assert_eq!(again.get(&plugin("pv-count@1")), Some(manifest));
    assert_eq!(again.bytes(&plugin("pv-count@2")).unwrap(), b"two");
    assert_eq!(again.bytes(&plugin("same-bytes@1")).unwrap(), b"one");
}

#[test]
fn the_same_bytes_again_change_nothing_and_other_bytes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    let first = add(&registry, "a@1", b"one").unwrap();
    let again = registry.add(plugin("a@1"), b"one", PluginKind::Transform, INTERFACE, 9).unwrap();
    assert_eq!(again, first);
    add(&registry, "a@7", b"seven").unwrap();
    let refused = add(&registry, "a@1", b"other").unwrap_err().to_string();
    assert!(refused.contains(&first.digest) && refused.contains(&digest_of(b"other")), "{refused}");
    assert!(refused.contains("a@8"), "{refused}");
    assert_eq!(registry.bytes(&plugin("a@1")).unwrap(), b"one");
}

#[test]
fn an_unknown_plugin_is_named_with_the_latest_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    add(&registry, "a@3", b"three").unwrap();
    let error = registry.bytes(&plugin("a@4")).unwrap_err().to_string();
    assert_eq!(error, "there is no plugin a@4; the latest of that name is a@3");
    assert_eq!(registry.bytes(&plugin("b@1")).unwrap_err().to_string(), "there is no plugin b@1");
}

#[test]
fn damaged_entries_are_named_and_cost_no_other_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    let manifest = add(&registry, "a@1", b"one").unwrap();
    add(&registry, "good@1", b"good").unwrap();
    let (bytes, text) = (bytes_path(dir.path(), &manifest.digest), dir.path().join("a@1.json"));
    let damage = |path: &Path| {
        let opened = Registry::open(dir.path()).expect("one damaged entry does not stop the others");
        assert_eq!(opened.bytes(&plugin("good@1")).unwrap(), b"good");
        let named = opened.damaged();
        assert_eq!(named.len(), 1, "{named:?}");
        assert!(named[0].contains(&path.display().to_string()), "{named:?}");
        match opened.bytes(&plugin("a@1")) {
            Err(RegistryError::Damaged { path: found, reason }) => {
                assert_eq!(found, path, "{reason}");
                reason
            }
            other => panic!("the damage was not seen: {other:?}"),
        }
    };
    let whole = fs::read(&text).unwrap();
    let mend = |registry: &Registry| {
        add(registry, "a@1", b"one").expect("the same upload mends it");
        assert_eq!(registry.bytes(&plugin("a@1")).unwrap(), b"one");
        assert_eq!(registry.damaged(), [""; 0]);
        assert_eq!(Registry::open(dir.path()).unwrap().list().len(), 2);
    };
    fs::write(&bytes, b"0ne").unwrap();
    let opened = Registry::open(dir.path()).unwrap();
    assert!(matches!(opened.bytes(&plugin("a@1")), Err(RegistryError::Damaged { path, .. }) if path == bytes));
    mend(&opened);
    fs::write(&bytes, b"on").unwrap();
    assert!(damage(&bytes).contains("2 bytes"));
    fs::remove_file(&bytes).unwrap();
    assert!(damage(&bytes).contains("a@1"));
    mend(&Registry::open(dir.path()).unwrap());
    for end in 0..whole.len() {
        fs::write(&text, &whole[..end]).unwrap();
        damage(&text);
    }
    mend(&Registry::open(dir.path()).unwrap());
    fs::write(&text, String::from_utf8(whole).unwrap().replace("a@1", "b@1")).unwrap();
    assert!(damage(&text).contains("b@1"));
    fs::remove_file(&text).unwrap();
    fs::create_dir(&text).unwrap();
    damage(&text);
}

#[test]
fn what_a_crash_left_is_cleared_away_or_used() {
    let dir = tempfile::tempdir().unwrap();
    let digest = digest_of(b"one");
    fs::write(bytes_path(dir.path(), &digest), b"one").unwrap();
    fs::write(dir.path().join("a@1.json.new"), b"{").unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    assert_eq!(registry.list(), []);
    add(&registry, "a@1", b"one").unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert_eq!(Registry::open(dir.path()).unwrap().bytes(&plugin("a@1")).unwrap(), b"one");
}
