//! Honest interceptors and partitioners: what they say of themselves, what they are asked and what they answer.

use crate::fixtures::{MapState, call_hook, engine, guest, origin, three_records};
use pelton_api::fault::Fault;
use pelton_api::interceptor::{Answered, Call, Change, Hook, HookSet, Interceptor, Parts, Reuse};
use pelton_api::manifest::{Abi, PluginKind};
use pelton_engine::Plugin;
use pelton_record::BatchView;
use std::time::Duration;

fn interceptor() -> Plugin {
    let bytes = guest("PELTON_HOSTILE_INTERCEPTOR_WASM", "pelton-hostile-interceptor");
    engine(Duration::from_secs(600)).compile(&"chain-link@3".parse().unwrap(), &bytes).unwrap()
}

fn answer(plugin: &Plugin, config: &str) -> Result<Answered, Fault> {
    let hook = Hook::ALL.into_iter().find(|hook| config.starts_with(hook.name())).expect("HOOK: MISDEED");
    let factory = plugin.interceptor().unwrap();
    let mut instance = factory.instantiate("orders", config, &["granted".to_owned()]).unwrap();
    call_hook(&mut *instance, hook).1
}

#[test]
fn a_call_that_cannot_be_waited_for_ends_late_and_is_no_fault_of_a_limit() {
    let plugin = interceptor();
    let mut looping = plugin.interceptor().unwrap().instantiate("orders", "on-send: loop", &[]).unwrap();
    let moment = Some(Duration::from_millis(2));
    let (from, batch) = (origin(), three_records());
    let call = |instance: &mut dyn Interceptor| {
        instance.call(Call::Send(&from, &batch), Box::new(MapState::default()), moment).1
    };
    assert_eq!(call(&mut *looping), Err(Fault::Late(Duration::from_millis(2))));
    assert!(matches!(call(&mut *looping), Err(Fault::Host(_))), "its memory is anyhow");
    let mut honest = plugin.interceptor().unwrap().instantiate("orders", "on-send: nothing", &[]).unwrap();
    assert_eq!(call(&mut *honest), Ok(Answered::default()));
}

#[test]
fn an_interceptor_says_what_it_needs_and_does() {
    let plugin = interceptor();
    let facts = plugin.facts();
    assert_eq!((facts.kind, facts.abi, facts.reads), (PluginKind::Interceptor, Abi::Component, None));
    assert!(facts.interface.starts_with("pelton:plugin/interceptor@0.1."), "{}", facts.interface);
    let mut imports = facts.imports.clone();
    imports.sort();
    assert_eq!(imports, ["clock", "emit", "log", "metrics", "random", "state"]);
    let wants = facts.wants.unwrap();
    assert_eq!(wants.hooks, HookSet::from(Hook::ALL.to_vec()));
    assert_eq!(
        (wants.reads, wants.writes, wants.drops, wants.reuse),
        (Parts::ALL, Parts::ALL, true, Reuse::ForPrincipal)
    );
    let factory = plugin.interceptor().unwrap();
    assert!(factory.has_state() && factory.wants() == wants);
    assert!(plugin.transform().is_none() && plugin.partitioner().is_none());
    let refused = factory.instantiate("orders", "no colon", &[]).map(|_| ()).unwrap_err();
    assert_eq!(refused, Fault::Refused("write HOOK: MISDEED".to_owned()));
}

#[test]
fn each_hook_is_called_and_its_answer_comes_back() {
    let plugin = interceptor();
    for hook in Hook::ALL {
        assert_eq!(answer(&plugin, &format!("{}: nothing", hook.name())), Ok(Answered::default()), "{}", hook.name());
    }
    assert_eq!(answer(&plugin, "on-send: drop one").unwrap().change, Change::Drop(vec![1]));
    assert_eq!(answer(&plugin, "on-consume: replace with itself").unwrap().change, Change::Replace(three_records()));
    let gone = answer(&plugin, "on-send: replace with nothing").unwrap();
    assert!(matches!(gone.change, Change::Replace(batch) if batch.is_empty()));
    let rejected = answer(&plugin, "on-consume: reject the last").unwrap().rejected;
    assert_eq!((rejected.len(), rejected[0].offset_delta), (1, 2));
    assert!(rejected[0].reason.len() < 1_100, "{} bytes", rejected[0].reason.len());
}

#[test]
fn what_an_interceptor_emits_comes_with_the_answer_once() {
    let plugin = interceptor();
    let emitted = answer(&plugin, "on-send: emit").unwrap().emitted;
    assert_eq!((emitted.len(), &*emitted[0].topic), (1, "granted"));
    let view = BatchView::parse(&emitted[0].batch).unwrap();
    assert_eq!(
        (view.header().record_count, view.header().base_offset, view.header().partition_leader_epoch),
        (3, 0, -1)
    );
    assert_eq!(view.body(), BatchView::parse(&three_records()).unwrap().body());
    // An instance emits anew in each call; what a call emitted does not come again.
    let factory = plugin.interceptor().unwrap();
    let mut instance = factory.instantiate("orders", "on-send: emit", &["granted".to_owned()]).unwrap();
    for _ in 0..3 {
        assert_eq!(call_hook(&mut *instance, Hook::OnSend).1.unwrap().emitted.len(), 1);
        assert_eq!(call_hook(&mut *instance, Hook::OnCommit).1.unwrap().emitted.len(), 0);
    }
}

#[test]
fn the_state_is_lent_for_the_call() {
    let plugin = interceptor();
    let mut instance = plugin.interceptor().unwrap().instantiate("orders", "on-send: put", &[]).unwrap();
    let (state, answered) = call_hook(&mut *instance, Hook::OnSend);
    assert_eq!(answered, Ok(Answered::default()));
    assert_eq!(state.0[&(0, b"k".to_vec())], &b"v"[..]);
}

#[test]
fn a_partitioner_places_each_record() {
    let bytes = guest("PELTON_HOSTILE_PARTITIONER_WASM", "pelton-hostile-partitioner");
    let plugin = engine(Duration::from_secs(600)).compile(&"place@1".parse().unwrap(), &bytes).unwrap();
    assert_eq!(plugin.facts().reads, Some(Parts { key: true, value: false, headers: true }));
    let factory = plugin.partitioner().unwrap();
    let mut last = factory.instantiate("last").unwrap();
    for partitions in [1, 6, 10_000] {
        assert_eq!(last.partition(&three_records(), "orders", partitions), Ok(vec![partitions - 1; 3]));
    }
    assert_eq!(factory.instantiate("any").unwrap().partition(&three_records(), "orders", 6), Ok(vec![-1; 3]));
    let refused = factory.instantiate("refuse the configuration").map(|_| ()).unwrap_err();
    assert_eq!(refused, Fault::Refused("no\\u{1b}[31m thanks".to_owned()));
}
