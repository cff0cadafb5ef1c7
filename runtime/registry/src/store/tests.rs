//! Uploads, restarts, and files that are not what they were.

use super::*;
use crate::policy::{Capability, Signatures};
use pelton_api::manifest::{Abi, PluginKind};

const INTERFACE: &str = "pelton:plugin/transform@0.1.0";

fn plugin(text: &str) -> PluginRef {
    text.parse().expect("the test names a plugin well")
}

fn open(dir: impl Into<PathBuf>) -> Result<Registry, RegistryError> {
    Registry::open(dir, Policy::default())
}

fn facts() -> ModuleFacts {
    ModuleFacts {
        kind: PluginKind::Transform,
        interface: INTERFACE.to_owned(),
        abi: Abi::Component,
        imports: vec!["state".to_owned()],
        wants: None,
        reads: None,
    }
}

fn upload<'a>(name: &str, bytes: &'a [u8]) -> Upload<'a> {
    Upload {
        plugin: plugin(name),
        bytes,
        facts: facts(),
        provenance: Provenance::default(),
        uploaded_by: Some("127.0.0.1".to_owned()),
        now_ms: 1_700_000_000_000,
    }
}

fn add(registry: &Registry, name: &str, bytes: &[u8]) -> Result<PluginManifest, RegistryError> {
    registry.add(upload(name, bytes))
}

#[test]
fn uploads_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path().join("plugins")).unwrap();
    let manifest = add(&registry, "pv-count@1", b"one").unwrap();
    assert_eq!(manifest.digest, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    assert_eq!((manifest.size_bytes, manifest.uploaded_at_ms), (3, 1_700_000_000_000));
    add(&registry, "pv-count@2", b"two").unwrap();
    add(&registry, "same-bytes@1", b"one").unwrap();
    let again = open(dir.path().join("plugins")).unwrap();
    assert_eq!(again.list(), registry.list());
    assert_eq!(again.list().len(), 3);
    assert_eq!(again.get(&plugin("pv-count@1")), Some(manifest));
    assert_eq!(again.bytes(&plugin("pv-count@2")).unwrap(), b"two");
    assert_eq!(again.bytes(&plugin("same-bytes@1")).unwrap(), b"one");
}

#[test]
fn the_same_bytes_again_change_nothing_and_other_bytes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path()).unwrap();
    let first = add(&registry, "a@1", b"one").unwrap();
    let again = registry.add(Upload { now_ms: 9, ..upload("a@1", b"one") }).unwrap();
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
    let registry = open(dir.path()).unwrap();
    add(&registry, "a@3", b"three").unwrap();
    let error = registry.bytes(&plugin("a@4")).unwrap_err().to_string();
    assert_eq!(error, "there is no plugin a@4; the latest of that name is a@3");
    assert_eq!(registry.bytes(&plugin("b@1")).unwrap_err().to_string(), "there is no plugin b@1");
}

#[test]
fn damaged_entries_are_named_and_cost_no_other_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path()).unwrap();
    let manifest = add(&registry, "a@1", b"one").unwrap();
    add(&registry, "good@1", b"good").unwrap();
    let (bytes, text) = (bytes_path(dir.path(), &manifest.digest), dir.path().join("a@1.json"));
    let damage = |path: &Path| {
        let opened = open(dir.path()).expect("one damaged entry does not stop the others");
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
        assert_eq!(open(dir.path()).unwrap().list().len(), 2);
    };
    fs::write(&bytes, b"0ne").unwrap();
    let opened = open(dir.path()).unwrap();
    assert!(matches!(opened.bytes(&plugin("a@1")), Err(RegistryError::Damaged { path, .. }) if path == bytes));
    mend(&opened);
    fs::write(&bytes, b"on").unwrap();
    assert!(damage(&bytes).contains("2 bytes"));
    fs::remove_file(&bytes).unwrap();
    assert!(damage(&bytes).contains("a@1"));
    mend(&open(dir.path()).unwrap());
    for end in 0..whole.len() {
        fs::write(&text, &whole[..end]).unwrap();
        damage(&text);
    }
    mend(&open(dir.path()).unwrap());
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
    let registry = open(dir.path()).unwrap();
    assert_eq!(registry.list(), []);
    add(&registry, "a@1", b"one").unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert_eq!(open(dir.path()).unwrap().bytes(&plugin("a@1")).unwrap(), b"one");
}

#[test]
fn manifests_of_the_former_format_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let digest = digest_of(b"one");
    fs::write(bytes_path(dir.path(), &digest), b"one").unwrap();
    let former = format!(
        r#"{{"plugin":"a@1","kind":"transform","interface":"{INTERFACE}","digest":"{digest}","size_bytes":3,"uploaded_at_ms":5}}"#
    );
    fs::write(dir.path().join("a@1.json"), former).unwrap();
    let registry = open(dir.path()).unwrap();
    assert_eq!(registry.damaged(), [""; 0]);
    assert_eq!(registry.bytes(&plugin("a@1")).unwrap(), b"one");
    let expected = PluginManifest {
        plugin: plugin("a@1"),
        facts: ModuleFacts { imports: Vec::new(), ..facts() },
        digest,
        size_bytes: 3,
        uploaded_at_ms: 5,
        uploaded_by: None,
        provenance: Provenance::default(),
        signed_by: None,
    };
    assert_eq!(registry.list(), [expected]);
}

#[test]
fn bytes_go_with_the_last_plugin_that_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path()).unwrap();
    let path = bytes_path(dir.path(), &add(&registry, "a@1", b"one").unwrap().digest);
    add(&registry, "b@1", b"one").unwrap();
    registry.remove(&plugin("a@1")).unwrap();
    assert!(path.exists());
    assert_eq!(registry.remove(&plugin("a@1")).unwrap_err().to_string(), "there is no plugin a@1");
    assert_eq!(open(dir.path()).unwrap().list(), registry.list());
    registry.remove(&plugin("b@1")).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    add(&registry, "a@1", b"other").expect("the name is free again");
    // A crash between the two steps of a removal: the manifest is gone, the bytes are there.
    fs::remove_file(dir.path().join("a@1.json")).unwrap();
    let reopened = open(dir.path()).unwrap();
    assert_eq!((reopened.list().len(), reopened.damaged().len()), (0, 0));
}

#[test]
fn a_damaged_entry_can_be_removed_and_keeps_bytes_that_may_be_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path()).unwrap();
    let path = bytes_path(dir.path(), &add(&registry, "a@1", b"one").unwrap().digest);
    add(&registry, "b@1", b"one").unwrap();
    fs::write(dir.path().join("b@1.json"), "{").unwrap();
    let registry = open(dir.path()).unwrap();
    registry.remove(&plugin("a@1")).unwrap();
    assert!(path.exists(), "the damaged manifest may speak of these bytes");
    registry.remove(&plugin("b@1")).unwrap();
    assert_eq!((registry.list().len(), registry.damaged().len()), (0, 0));
    assert_eq!(open(dir.path()).unwrap().damaged(), [""; 0]);
}

#[test]
fn a_policy_holds_for_what_came_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path()).unwrap();
    add(&registry, "a@1", b"one").unwrap();
    let require = Policy { signatures: Signatures::Require, ..Policy::default() };
    let strict = Registry::open(dir.path(), require).unwrap();
    assert!(matches!(strict.bytes(&plugin("a@1")), Err(RegistryError::Policy(PolicyError::Unsigned { .. }))));
    assert!(matches!(add(&strict, "b@1", b"two"), Err(RegistryError::Policy(PolicyError::Unsigned { .. }))));
    assert!(matches!(strict.check(&plugin("b@1"), b"two", &Provenance::default()), Err(RegistryError::Policy(_))));
    let stateless = Policy { forbid: [Capability::new("state").unwrap()].into(), ..Policy::default() };
    let strict = Registry::open(dir.path(), stateless).unwrap();
    assert!(matches!(strict.bytes(&plugin("a@1")), Err(RegistryError::Policy(PolicyError::Forbidden { .. }))));
    assert!(matches!(add(&strict, "a@1", b"one"), Err(RegistryError::Policy(PolicyError::Forbidden { .. }))));
    assert!(matches!(add(&strict, "b@1", b"two"), Err(RegistryError::Policy(PolicyError::Forbidden { .. }))));
    assert_eq!(strict.list().len(), 1, "it is still there, and can be removed");
}

#[test]
fn a_full_registry_refuses_more_and_takes_again_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let policy = Policy { max_count: 2, max_total_bytes: 6, ..Policy::default() };
    let registry = Registry::open(dir.path(), policy).unwrap();
    add(&registry, "a@1", b"one").unwrap();
    assert!(matches!(add(&registry, "b@1", b"four"), Err(RegistryError::Policy(PolicyError::TooLarge { .. }))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "what was refused leaves nothing");
    add(&registry, "b@1", b"two").unwrap();
    assert!(matches!(add(&registry, "c@1", b"one"), Err(RegistryError::Policy(PolicyError::TooMany { .. }))));
    add(&registry, "a@1", b"one").unwrap();
    registry.remove(&plugin("b@1")).unwrap();
    add(&registry, "c@1", b"two").unwrap();
}

#[test]
fn a_signature_can_be_added_to_what_is_there_and_a_false_one_cannot() {
    use ed25519_dalek::{Signer, SigningKey};
    let dir = tempfile::tempdir().unwrap();
    let first = add(&open(dir.path()).unwrap(), "a@1", b"one").unwrap();
    let key = SigningKey::from_bytes(&[7; 32]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let trusted = vec![policy::TrustedKey::new("release", &hex(key.verifying_key().as_bytes())).unwrap()];
    let require = Policy { signatures: Signatures::Require, trusted, ..Policy::default() };
    let strict = Registry::open(dir.path(), require.clone()).unwrap();
    let sign = |text: &str| Provenance {
        signature: Some(hex(&key.sign(text.as_bytes()).to_bytes())),
        ..Provenance::default()
    };
    let other = sign("something else");
    assert!(strict.add(Upload { provenance: other, ..upload("a@1", b"one") }).is_err());
    let right = sign(&pelton_api::manifest::signed_text(&plugin("a@1"), &first.digest));
    let signed = strict.add(Upload { provenance: right.clone(), now_ms: 9, ..upload("a@1", b"one") }).unwrap();
    let expected = PluginManifest { provenance: right, signed_by: Some("release".to_owned()), ..first };
    assert_eq!(signed, expected);
    let strict = Registry::open(dir.path(), require).unwrap();
    assert_eq!((strict.list(), strict.bytes(&plugin("a@1")).unwrap()), (vec![expected.clone()], b"one".to_vec()));
    assert_eq!(add(&strict, "a@1", b"one").unwrap(), expected, "an upload without one takes nothing away");
}
