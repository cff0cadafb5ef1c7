//! Numbers, lines and fuel of guests, where the operator finds them.

use crate::fixtures::{call_hook, guest};
use pelton_api::interceptor::Hook;
use pelton_api::manifest::PluginRef;
use pelton_engine::{Engine, EngineConfig, Level, Limits, LogSink, Metrics, Plugin};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Kept(Mutex<Vec<(String, Level, String)>>);

impl LogSink for Kept {
    fn line(&self, plugin: &PluginRef, level: Level, line: &str) {
        self.0.lock().unwrap().push((plugin.to_string(), level, line.to_owned()));
    }
}

fn interceptor(config: EngineConfig) -> Plugin {
    let limits = Limits { instances: 8, ..Limits::default() };
    let engine = Engine::new(EngineConfig { limits, ..config }).unwrap();
    let bytes = guest("PELTON_HOSTILE_INTERCEPTOR_WASM", "pelton-hostile-interceptor");
    engine.compile(&"noisy@2".parse().unwrap(), &bytes).unwrap()
}

fn run(plugin: &Plugin, misdeed: &str) {
    let factory = plugin.interceptor().unwrap();
    let mut instance = factory.instantiate("orders", &format!("on-send: {misdeed}"), &[]).unwrap();
    call_hook(&mut *instance, Hook::OnSend).1.unwrap();
}

#[test]
fn numbers_reach_the_sink_under_the_plugin_and_the_topic_and_a_flood_of_series_ends() {
    let metrics = Arc::new(Metrics::new());
    let plugin = interceptor(EngineConfig { metrics: metrics.clone(), ..EngineConfig::default() });
    run(&plugin, "series flood");
    run(&plugin, "long label");
    let text = metrics.render();
    assert!(text.contains("pelton_plugin_flood{plugin=\"noisy@2\",topic=\"orders\",n=\"7\"} 1\n"), "{text:.500}");
    assert!(text.contains("pelton_plugin_flood{plugin=\"noisy@2\",overflow=\"true\"} 2000\n"), "{text:.500}");
    assert!(text.lines().count() < 1_100 && text.lines().all(|line| line.len() < 400));
}

#[test]
fn lines_are_named_bounded_in_number_and_cannot_be_forged() {
    let lines = Arc::new(Kept::default());
    let plugin = interceptor(EngineConfig { logs: lines.clone(), ..EngineConfig::default() });
    run(&plugin, "log flood");
    let lines = lines.0.lock().unwrap();
    assert!((100..5_000).contains(&lines.len()), "{} lines of 10,000", lines.len());
    assert_eq!(lines[0], ("noisy@2".to_owned(), Level::Info, "line 0\\nforged".to_owned()));
    assert!(lines.iter().all(|(plugin, _, line)| plugin == "noisy@2" && !line.contains('\n')));
}

#[test]
fn fuel_is_counted_where_it_is_asked_for() {
    let plugin = interceptor(EngineConfig { fuel: true, ..EngineConfig::default() });
    run(&plugin, "nothing");
    let one = plugin.fuel_used();
    run(&plugin, "series flood");
    let both = plugin.fuel_used();
    assert!(one > 0 && both > one + 3_000, "{one}, then {both}");
    let uncounted = interceptor(EngineConfig::default());
    run(&uncounted, "nothing");
    assert_eq!(uncounted.fuel_used(), 0);
}
