use super::*;
use ed25519_dalek::{Signer, SigningKey};
use pelton_api::interceptor::{HookSet, Wants};

fn plugin(text: &str) -> PluginRef {
    text.parse().expect("the test names a plugin well")
}

fn facts(kind: PluginKind) -> ModuleFacts {
    ModuleFacts {
        kind,
        interface: format!("pelton:plugin/{kind}@0.1.1"),
        abi: Abi::Component,
        imports: Vec::new(),
        wants: None,
        reads: None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signed(key: &SigningKey, plugin: &PluginRef, digest: &str) -> Provenance {
    Provenance {
        signature: Some(hex(&key.sign(signed_text(plugin, digest).as_bytes()).to_bytes())),
        public_key: Some(hex(key.verifying_key().as_bytes())),
        ..Provenance::default()
    }
}

fn trusting(key: &SigningKey, signatures: Signatures) -> Policy {
    let trusted = vec![TrustedKey::new("release", &hex(key.verifying_key().as_bytes())).unwrap()];
    Policy { signatures, trusted, ..Policy::default() }
}

#[test]
fn a_signature_counts_only_for_its_name_version_and_bytes_and_by_a_trusted_key() {
    let (ours, theirs) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
    let (require, allow) = (trusting(&ours, Signatures::Require), trusting(&ours, Signatures::Allow));
    let (name, digest) = (plugin("a@1"), "ab".repeat(32));
    let right = signed(&ours, &name, &digest);
    for policy in [&require, &allow] {
        assert_eq!(policy.signer(&name, &digest, &right), Ok(Some("release".to_owned())));
        // The key is found without being named, too.
        let unnamed = Provenance { public_key: None, ..right.clone() };
        assert_eq!(policy.signer(&name, &digest, &unnamed), Ok(Some("release".to_owned())));
        for (other, digest) in
            [(plugin("a@2"), digest.clone()), (plugin("b@1"), digest.clone()), (name.clone(), "cd".repeat(32))]
        {
            let refused = policy.signer(&other, &digest, &right).unwrap_err();
            assert!(matches!(refused, PolicyError::BadSignature { .. }), "{refused}");
            assert!(refused.to_string().contains(&signed_text(&other, &digest)), "{refused}");
        }
        let swapped = Provenance { public_key: Some(hex(theirs.verifying_key().as_bytes())), ..right.clone() };
        assert!(matches!(policy.signer(&name, &digest, &swapped), Err(PolicyError::BadSignature { .. })));
    }
    let foreign = signed(&theirs, &name, &digest);
    assert_eq!(allow.signer(&name, &digest, &foreign), Ok(None));
    let refused = require.signer(&name, &digest, &foreign).unwrap_err().to_string();
    assert!(refused.contains("not trusted") && refused.contains("release"), "{refused}");
    let none = Provenance::default();
    assert_eq!(allow.signer(&name, &digest, &none), Ok(None));
    let refused = require.signer(&name, &digest, &none).unwrap_err().to_string();
    assert!(refused.contains("a@1 is not signed") && refused.contains("--key"), "{refused}");
}

#[test]
fn whatever_stands_for_a_signature_never_panics_and_is_never_taken() {
    let ours = SigningKey::from_bytes(&[7; 32]);
    let (name, digest) = (plugin("a@1"), "ab".repeat(32));
    let right = signed(&ours, &name, &digest);
    let signature = right.signature.clone().unwrap();
    for policy in [trusting(&ours, Signatures::Allow), trusting(&ours, Signatures::Require)] {
        for end in 0..signature.len() {
            let cut = Provenance { signature: Some(signature[..end].to_owned()), ..right.clone() };
            assert!(policy.signer(&name, &digest, &cut).is_err(), "{end}");
        }
        for position in 0..signature.len() {
            let mut text = signature.clone().into_bytes();
            text[position] = if text[position] == b'0' { b'1' } else { b'0' };
            let changed = Provenance { signature: Some(String::from_utf8(text).unwrap()), ..right.clone() };
            assert!(policy.signer(&name, &digest, &changed).is_err(), "{position}");
        }
        for text in ["é".repeat(64), "zz".repeat(64), String::new(), "0".repeat(129)] {
            let odd = Provenance { signature: Some(text), public_key: None, ..Provenance::default() };
            assert!(policy.signer(&name, &digest, &odd).is_err());
        }
        // A point of small order signs whatever one likes.
        let weak = Provenance { public_key: Some("00".repeat(32)), signature: Some("00".repeat(64)), ..right.clone() };
        assert!(policy.signer(&name, &digest, &weak).is_err());
        let key_alone = Provenance { signature: None, ..right.clone() };
        assert!(policy.signer(&name, &digest, &key_alone).is_err());
    }
}

#[test]
fn a_forbidden_capability_is_named() {
    let forbidding = |names: &[&str]| Policy {
        forbid: names.iter().map(|name| Capability::new(name).unwrap()).collect(),
        ..Policy::default()
    };
    let mut masking = facts(PluginKind::Interceptor);
    masking.imports = vec!["emit".to_owned(), "log".to_owned()];
    masking.wants = Some(Wants {
        hooks: HookSet::default().with(Hook::OnConsume),
        reads: Parts { key: false, value: true, headers: false },
        writes: Parts { key: false, value: true, headers: false },
        drops: false,
        ..Wants::default()
    });
    let ask = |names: &[&str], facts: &ModuleFacts| {
        forbidding(names).admit(&plugin("mask@1"), &"ab".repeat(32), facts, &Provenance::default())
    };
    assert_eq!(ask(&["drops", "clock", "writes-key", "state", "on-send", "transform"], &masking), Ok(None));
    for name in ["emit", "writes-value", "reads-value", "on-consume", "interceptor"] {
        let refused = ask(&[name], &masking).unwrap_err().to_string();
        assert!(refused.contains(name) && refused.contains("mask@1"), "{refused}");
    }
    // A flat module imports one door for everything, so it counts as using all that its world grants.
    let flat = ModuleFacts { abi: Abi::Flat, imports: Vec::new(), ..facts(PluginKind::Interceptor) };
    assert!(ask(&["clock"], &flat).is_err());
    let flat = ModuleFacts { abi: Abi::Flat, ..facts(PluginKind::Partitioner) };
    assert_eq!(ask(&["clock", "state", "emit", "random"], &flat), Ok(None));
    let by_value = ModuleFacts { reads: Some(Parts::ALL), ..facts(PluginKind::Partitioner) };
    assert!(ask(&["reads-value"], &by_value).is_err());
    assert!(Capability::new("fly").unwrap_err().contains("writes-value"));
}

fn manifest(name: &str, digest: &str, size_bytes: u64) -> PluginManifest {
    PluginManifest {
        plugin: plugin(name),
        facts: facts(PluginKind::Transform),
        digest: digest.to_owned(),
        size_bytes,
        uploaded_at_ms: 0,
        uploaded_by: None,
        provenance: Provenance::default(),
        signed_by: None,
    }
}

#[test]
fn shared_bytes_count_once_and_limits_are_kept_to_the_last() {
    let there = [manifest("a@1", "x", 60), manifest("a@2", "x", 60), manifest("b@1", "y", 30)];
    let policy = Policy { max_count: 4, max_total_bytes: 100, ..Policy::default() };
    assert_eq!(policy.room(there.iter(), "z", 10), Ok(()));
    assert_eq!(policy.room(there.iter(), "z", 11), Err(PolicyError::TooLarge { used: 90, size_bytes: 11, limit: 100 }));
    assert_eq!(policy.room(there.iter(), "y", 30), Ok(()));
    let full = Policy { max_count: 3, ..policy };
    assert_eq!(full.room(there.iter(), "y", 30), Err(PolicyError::TooMany { limit: 3 }));
}

#[test]
fn what_an_upload_says_of_itself_is_bounded() {
    let author = |text: &str| Provenance { author: Some(text.to_owned()), ..Provenance::default() };
    assert_eq!(check_provenance(&author("Ada <ada@example.org>")), Ok(()));
    for bad in ["", "a\nb", &"x".repeat(AUTHOR_MAX_BYTES + 1)] {
        assert!(check_provenance(&author(bad)).is_err());
    }
    let source = |text: String| Provenance { source_digest: Some(text), ..Provenance::default() };
    assert_eq!(check_provenance(&source("aB".repeat(32))), Ok(()));
    assert!(check_provenance(&source("ab".repeat(31))).is_err());
}

#[test]
fn the_file_of_trusted_keys_is_read_line_by_line() {
    let key = hex(SigningKey::from_bytes(&[7; 32]).verifying_key().as_bytes());
    let text = format!("# our keys\n\n  release {key}  \nbuild\t{key}\n");
    let keys = TrustedKey::parse_file(&text).unwrap();
    assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["release", "build"]);
    for (bad, named) in [
        (format!("release {key} more"), "line 1"),
        ("\nrelease".to_owned(), "line 2"),
        ("release abc".to_owned(), "64 hexadecimal"),
        (format!("release {}", "00".repeat(32)), "Ed25519"),
        (format!("a {key}\na {key}"), "twice"),
    ] {
        let refused = TrustedKey::parse_file(&bad).unwrap_err();
        assert!(refused.contains(named), "{refused}");
    }
}
