//! The real plugin through the real engine.

use crate::fixtures::{MapState, batch, engine, guest, pv_count, records};
use pelton_api::fault::Fault;
use pelton_api::manifest::PluginKind;
use pelton_engine::{Engine, EngineConfig, Limits};
use std::collections::BTreeMap;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const LOG: &str = include_str!("../../../../plugins/pv-count/tests/fixtures/access.log");

#[test]
fn page_views_are_counted_over_both_steps() {
    let plugin = pv_count(&engine(MINUTE));
    assert_eq!(plugin.facts().kind, PluginKind::Transform);
    let mut pages = plugin.transform().unwrap().instantiate(r#"{"step":"pages"}"#, &[]).unwrap();
    let mut count = plugin.transform().unwrap().instantiate(r#"{"step":"count"}"#, &["views".to_owned()]).unwrap();
    let mut state = MapState::default();
    let mut counts = BTreeMap::new();
    for round in 1..=3 {
        let input = batch(LOG.lines().map(|line| (None, Some(line.as_bytes()))));
        let (_, paths) = pages.process(&input, Box::new(MapState::default()));
        let paths = paths.unwrap();
        let deltas: Vec<i32> = paths.rejected.iter().map(|rejection| rejection.offset_delta).collect();
        assert_eq!(deltas, [5, 6, 7, 8], "round {round}");
        assert_eq!(paths.rejected[2].reason, "empty line");
        assert_eq!(records(&paths.output)[7].2, 1_431_857_103_011, "a record inherits its input's timestamp");
        let (back, counted) = count.process(&paths.output, Box::new(state));
        state = MapState::of(back);
        for (path, value, _) in records(&counted.unwrap().output) {
            counts.insert(path, String::from_utf8(value).unwrap());
        }
        assert_eq!(counts[&b"/"[..]], (3 * round).to_string());
        assert_eq!(counts[&b"/favicon.ico"[..]], (2 * round).to_string());
    }
    assert_eq!(counts.len(), 5);
    for (path, count) in counts {
        let stored = &state.0[&(0, path)];
        assert_eq!(stored[..], count.parse::<u64>().unwrap().to_be_bytes());
    }
}

#[test]
fn long_lines_and_any_bytes_pass() {
    let plugin = pv_count(&engine(MINUTE));
    let mut pages = plugin.transform().unwrap().instantiate(r#"{"step":"pages"}"#, &[]).unwrap();
    let long = format!("::1 - - [x] \"GET /{} HTTP/1.1\" 200 1", "p".repeat(100_000));
    let odd = b"\xff\xfe \"GET /\xfd\x80?x HTTP/2\" \x00";
    let lines = [long.as_bytes(), odd, b"\xc3\x28", b""];
    let (_, result) = pages.process(&batch(lines.map(|line| (None, Some(line)))), Box::new(MapState::default()));
    let result = result.unwrap();
    let paths = records(&result.output);
    assert_eq!((paths[0].0.len(), &paths[1].0[..]), (100_001, &b"/\xfd\x80"[..]));
    assert_eq!(result.rejected.len(), 2);
}

#[test]
fn a_large_batch_fits() {
    let plugin = pv_count(&engine(MINUTE));
    let mut count = plugin.transform().unwrap().instantiate(r#"{"step":"count"}"#, &["views".to_owned()]).unwrap();
    let keys: Vec<String> = (0..50_000).map(|n| format!("/page/{n}")).collect();
    let input = batch(keys.iter().map(|key| (Some(key.as_bytes()), Some(&b""[..]))));
    let (state, result) = count.process(&input, Box::new(MapState::default()));
    assert_eq!(records(&result.unwrap().output).len(), 50_000);
    assert_eq!(MapState::of(state).0.len(), 50_000);
}

#[test]
fn the_default_limits_can_be_had_on_this_machine() {
    let engine = Engine::new(EngineConfig::default()).expect("address space for 1,000 instances");
    let factory = pv_count(&engine).transform().unwrap();
    let instances: Vec<_> = (0..100).map(|_| factory.instantiate(r#"{"step":"pages"}"#, &[])).collect();
    assert!(instances.iter().all(Result::is_ok));
}

#[test]
fn a_bad_configuration_is_refused_with_the_plugins_words() {
    let factory = pv_count(&engine(MINUTE)).transform().unwrap();
    let refused = |config: &str| match factory.instantiate(config, &[]) {
        Err(Fault::Refused(reason)) => reason,
        Err(other) => panic!("not a refusal: {other}"),
        Ok(_) => panic!("{config} was taken"),
    };
    assert!(refused(r#"{"step":"pagse"}"#).contains("pagse"));
    assert!(refused(r#"{"step":"count"}"#).contains("stores = [\"views\"]"));
}

#[test]
fn what_was_compiled_is_kept_and_never_trusted_blindly() {
    let dir = tempfile::tempdir().unwrap();
    let compiled = || {
        let limits = Limits { instances: 4, ..Limits::default() };
        let engine =
            Engine::new(EngineConfig { cache_dir: Some(dir.path().to_owned()), limits, ..EngineConfig::default() })
                .unwrap();
        let plugin = "pv-count@1".parse().unwrap();
        let plugin = engine.compile(&plugin, &guest("PELTON_PV_COUNT_WASM", "pv-count")).unwrap();
        plugin.transform().unwrap().instantiate(r#"{"step":"pages"}"#, &[]).map(|_| ()).unwrap();
        let mut entries: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        assert_eq!(entries.len(), 2, "one entry and the key: {entries:?}");
        entries.into_iter().find(|path| path.extension().is_some_and(|suffix| suffix == "cwasm")).unwrap()
    };
    let entry = compiled();
    let whole = std::fs::read(&entry).unwrap();
    let written = std::fs::metadata(&entry).unwrap().modified().unwrap();
    assert_eq!(compiled(), entry);
    assert_eq!(std::fs::metadata(&entry).unwrap().modified().unwrap(), written, "a good entry was compiled again");
    for damage in [0, 40, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[damage] ^= 1;
        std::fs::write(&entry, &bytes).unwrap();
        assert_eq!(compiled(), entry);
        assert_ne!(std::fs::read(&entry).unwrap(), bytes, "a damaged entry was trusted (byte {damage})");
    }
    std::fs::write(&entry, &whole[..20]).unwrap();
    compiled();
    assert!(std::fs::read(&entry).unwrap().len() > 20);
}
