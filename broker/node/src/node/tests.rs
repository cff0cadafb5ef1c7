//! A whole node in this process, asked over its admin HTTP.

use super::*;
use crate::config::Settings;
use serde_json::{Value, json};
use std::path::Path;

async fn start(dir: &Path) -> anyhow::Result<Node> {
    let mut settings = Settings::default();
    let flags = [
        ("listeners", "127.0.0.1:0"),
        ("pelton.admin.listener", "127.0.0.1:0"),
        ("log.dirs", dir.to_str().unwrap()),
        ("offsets.topic.num.partitions", "2"),
        ("transaction.state.log.num.partitions", "2"),
        ("pelton.plugin.max.bytes", "2000000"),
    ];
    for (key, value) in flags {
        settings.flag("--set", key, value);
    }
    Node::start(settings.build()?.0).await
}

/// Asks the admin HTTP; status and JSON.
async fn ask(node: &Node, method: &'static str, path: &str, body: Vec<u8>) -> (u16, Value) {
    let url = format!("http://{}{path}", node.admin());
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = ureq::http::Request::builder().method(method).uri(url).body(body).unwrap();
        let mut answer = agent.run(request).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}")))
    });
    asked.await.unwrap()
}

fn spec(plugin: &str) -> Vec<u8> {
    let steps = json!([{ "name": "s", "plugin": plugin }]);
    json!({ "name": "j", "sources": ["in"], "sink": "out", "steps": steps }).to_string().into_bytes()
}

fn error(answer: &Value) -> &str {
    answer["error"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await.unwrap();
    let (status, answer) = ask(&node, "GET", "/v1/status", Vec::new()).await;
    assert_eq!((status, &answer["jobs"], &answer["plugins"]), (200, &json!(0), &json!(0)));
    assert_eq!(answer["listeners"], json!([node.addresses()[0].to_string()]));
    let cases: [(&'static str, &str, Vec<u8>, u16, &str); 9] = [
        ("PUT", "/v1/plugins/p/versions/1", b"no wasm".to_vec(), 422, "WebAssembly"),
        ("PUT", "/v1/plugins/p/versions/0", Vec::new(), 400, "NAME@VERSION"),
        ("PUT", "/v1/plugins/p/versions/1", vec![0; 2_000_001], 413, "2000000 bytes"),
        ("PUT", "/v1/jobs/j", b"{".to_vec(), 400, "job specification"),
        ("PUT", "/v1/jobs/other", spec("p@1"), 400, "`other`"),
        ("PUT", "/v1/jobs/j", spec("p@1"), 422, "`in`"),
        ("GET", "/v1/jobs/j", Vec::new(), 404, "`j`"),
        ("POST", "/v1/jobs/j/stop", Vec::new(), 404, "`j`"),
        ("GET", "/v2", Vec::new(), 404, "/v1/status"),
    ];
    for (method, path, body, expected, named) in cases {
        let (status, answer) = ask(&node, method, path, body).await;
        assert!(status == expected && error(&answer).contains(named), "{method} {path}: {status} {answer}");
    }
    assert_eq!(ask(&node, "GET", "/v1/jobs", Vec::new()).await, (200, json!([])));
    assert_eq!(ask(&node, "GET", "/v1/plugins", Vec::new()).await, (200, json!([])));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_belongs_to_one_node_and_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await.unwrap();
    let refused = start(dir.path()).await.err().expect("the directory is taken").to_string();
    assert!(refused.contains("in use"), "{refused}");
    node.stop().await;
    start(dir.path()).await.unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_occupied_admin_address_is_named_and_the_broker_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = Settings::default();
    settings.flag("--set", "listeners", "127.0.0.1:0");
    settings.flag("--set", "pelton.admin.listener", &taken.local_addr().unwrap().to_string());
    settings.flag("--set", "log.dirs", dir.path().to_str().unwrap());
    let refused = Node::start(settings.build().unwrap().0).await.err().expect("the address is taken").to_string();
    assert!(refused.contains("occupied") && refused.contains("--admin"), "{refused}");
    start(dir.path()).await.unwrap().stop().await;
}

/// The plugin that `make` builds and names.
fn plugin() -> Vec<u8> {
    let path = std::env::var("PELTON_PV_COUNT_WASM")
        .expect("PELTON_PV_COUNT_WASM must name the built pv-count plugin; `make test` builds it and sets this");
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

async fn make_topics(node: &Node) {
    let cluster = BrokerCluster::new(node.broker.clone(), &pelton_core::config::CoreConfig::default());
    for topic in ["in", "out"] {
        pelton_api::ports::Cluster::ensure_topic(&cluster, topic, 1, &[]).await.unwrap();
    }
}

fn pages_spec() -> Vec<u8> {
    let steps = json!([{ "name": "s", "plugin": "pv@1", "config": { "step": "pages" } }]);
    json!({ "name": "j", "sources": ["in"], "sink": "out", "steps": steps }).to_string().into_bytes()
}

/// The job's report, once it satisfies `done`; a minute is enough for every test.
async fn wait_for_report(node: &Node, done: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    for _ in 0..12_000 {
        let (status, report) = ask(node, "GET", "/v1/jobs/j", Vec::new()).await;
        assert_eq!(status, 200, "{report}");
        if done(&report) {
            return report;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the job did not get there within a minute");
}

async fn wait_for_phase(node: &Node, phase: &str) {
    wait_for_report(node, |report| report["tasks"][0]["phase"] == phase).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wanted_jobs_run_again_after_a_restart_and_stopped_ones_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await.unwrap();
    make_topics(&node).await;
    let (status, answer) = ask(&node, "PUT", "/v1/plugins/pv/versions/1", plugin()).await;
    assert_eq!((status, &answer["plugin"]), (201, &json!("pv@1")), "{answer}");
    assert_eq!(ask(&node, "PUT", "/v1/plugins/pv/versions/1", plugin()).await, (201, answer), "the same again is fine");
    let (status, answer) = ask(&node, "PUT", "/v1/jobs/j", pages_spec()).await;
    assert_eq!((status, &answer["wanted"]), (200, &json!(true)), "{answer}");
    assert_eq!(ask(&node, "PUT", "/v1/jobs/j", pages_spec()).await.0, 200, "the same again is fine");
    wait_for_phase(&node, "running").await;
    node.stop().await;

    let node = start(dir.path()).await.unwrap();
    wait_for_phase(&node, "running").await;
    let (status, answer) = ask(&node, "POST", "/v1/jobs/j/stop", Vec::new()).await;
    assert_eq!((status, &answer["wanted"], &answer["tasks"][0]["phase"]), (200, &json!(false), &json!("stopped")));
    node.stop().await;

    let node = start(dir.path()).await.unwrap();
    let (status, answer) = ask(&node, "GET", "/v1/jobs/j", Vec::new()).await;
    assert_eq!((status, &answer["wanted"], &answer["tasks"]), (200, &json!(false), &json!([])));
    assert_eq!(ask(&node, "PUT", "/v1/jobs/j", pages_spec()).await.0, 200);
    wait_for_phase(&node, "running").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_plugin_is_named_by_the_jobs_that_need_it_and_stops_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await.unwrap();
    make_topics(&node).await;
    let (status, answer) = ask(&node, "PUT", "/v1/plugins/pv-count/versions/1", plugin()).await;
    assert_eq!(status, 201, "{answer}");
    let steps = json!([{ "name": "s", "plugin": "pv-count@1", "config": { "step": "pages" } }]);
    let spec = json!({ "name": "j", "sources": ["in"], "sink": "out", "steps": steps }).to_string();
    let (status, answer) = ask(&node, "PUT", "/v1/jobs/j", spec.into_bytes()).await;
    assert_eq!(status, 200, "{answer}");
    node.stop().await;
    std::fs::write(dir.path().join("plugins/pv-count@1.json"), "{").unwrap();
    let node = start(dir.path()).await.expect("one damaged plugin does not stop the broker");
    let report = wait_for_report(&node, |report| report["problem"].is_string()).await;
    let problem = report["problem"].as_str().unwrap();
    assert!(problem.contains("pv-count@1.json is damaged"), "{problem}");
    let (_, status) = ask(&node, "GET", "/v1/status", Vec::new()).await;
    assert_eq!(status["damaged_plugins"].as_array().unwrap().len(), 1, "{status}");
    let (status, answer) = ask(&node, "PUT", "/v1/plugins/pv-count/versions/1", plugin()).await;
    assert_eq!(status, 201, "{answer}");
    wait_for_report(&node, |report| report["tasks"] != json!([])).await;
    node.stop().await;
}
