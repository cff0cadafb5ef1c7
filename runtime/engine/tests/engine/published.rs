//! Modules of versions of the contract that were published: they go on running.

use crate::fixtures::{MapState, batch, engine, records};
use pelton_api::manifest::{Abi, PluginKind};
use std::time::Duration;

#[test]
fn a_transform_of_0_1_0_runs() {
    let bytes = include_bytes!("../modules/pv_count-0.1.0.wasm");
    let plugin = engine(Duration::from_secs(60)).compile(&"pv-count@1".parse().unwrap(), bytes).unwrap();
    let facts = plugin.facts();
    assert_eq!((facts.kind, facts.interface.as_str()), (PluginKind::Transform, "pelton:plugin/transform@0.1.0"));
    assert_eq!((facts.abi, &facts.imports[..]), (Abi::Component, &["log".to_owned(), "state".to_owned()][..]));
    assert!(plugin.interceptor().is_none() && plugin.partitioner().is_none());
    let factory = plugin.transform().unwrap();
    let mut count = factory.instantiate(r#"{"step":"count"}"#, &["views".to_owned()]).unwrap();
    let mut state = MapState::default();
    for expected in ["2", "4"] {
        let input = batch([(Some(&b"/"[..]), Some(&b""[..])), (Some(b"/"), Some(b""))]);
        let (back, counted) = count.process(&input, Box::new(state));
        state = MapState::of(back);
        let last = records(&counted.unwrap().output).pop().unwrap();
        assert_eq!((last.0, last.1), (b"/".to_vec(), expected.as_bytes().to_vec()));
    }
}
