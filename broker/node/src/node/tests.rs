//! A whole node in this process, asked over its admin HTTP.

use super::*;
use crate::config::Settings;
use serde_json::{Value, json};
use std::path::Path;

async fn start(dir: &Path) -> anyhow::Result<Node> {
    start_with(dir, &[]).await
}

async fn start_with(dir: &Path, more: &[(&str, &str)]) -> anyhow::Result<Node> {
    let mut settings = Settings::default();
    let flags = [
        ("listeners", "127.0.0.1:0"),
        ("pelton.admin.listener", "127.0.0.1:0"),
        ("log.dirs", dir.to_str().unwrap()),
        ("offsets.topic.num.partitions", "2"),
        ("transaction.state.log.num.partitions", "2"),
        ("pelton.plugin.max.bytes", "2000000"),
    ];
    for (key, value) in flags.iter().chain(more) {
        settings.flag("--set", key, value);
    }
    // This process is no `pelton` that could compile for itself.
    let config = NodeConfig { plugin_compiler: None, ..settings.build()?.0 };
    Node::start(config).await
}

/// Asks the admin HTTP; status and JSON.
async fn ask(node: &Node, method: &'static str, path: &str, body: Vec<u8>) -> (u16, Value) {
    let (status, text) = ask_as(node, &[], method, path, body).await;
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}")))
}

/// Asks with headers; status and text.
async fn ask_as(
    node: &Node,
    headers: &[(&'static str, &str)],
    method: &'static str,
    path: &str,
    body: Vec<u8>,
) -> (u16, String) {
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", node.admin()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body).unwrap();
    let asked = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true);
        let agent: ureq::Agent = config.build().into();
        let mut answer = agent.run(request).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
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
    let cases: [(&'static str, &str, Vec<u8>, u16, &str); 17] = [
        ("PUT", "/v1/plugins/p/versions/1", b"no wasm".to_vec(), 422, "WebAssembly"),
        ("PUT", "/v1/plugins/p/versions/0", Vec::new(), 400, "NAME@VERSION"),
        ("PUT", "/v1/plugins/p/versions/1", vec![0; 2_000_001], 413, "2000000 bytes"),
        ("PUT", "/v1/jobs/j", b"{".to_vec(), 400, "job specification"),
        ("PUT", "/v1/jobs/other", spec("p@1"), 400, "`other`"),
        ("PUT", "/v1/jobs/j", spec("p@1"), 422, "`in`"),
        ("GET", "/v1/jobs/j", Vec::new(), 404, "`j`"),
        ("POST", "/v1/jobs/j/stop", Vec::new(), 404, "`j`"),
        ("GET", "/v2", Vec::new(), 404, "/v1/status"),
        ("PUT", "/v1/plugins/pelton-pass/versions/1", b"x".to_vec(), 422, "built in"),
        ("GET", "/v1/plugins/p/versions/1", Vec::new(), 404, "p@1"),
        ("DELETE", "/v1/plugins/p/versions/1", Vec::new(), 404, "p@1"),
        ("GET", "/v1/plugins/logs?aftr=1", Vec::new(), 400, "aftr"),
        ("GET", "/v1/topics/t/plugins", Vec::new(), 404, "`t`"),
        ("PUT", "/v1/topics/t/plugins", br#"{"remove":["pelton.partitioner"]}"#.to_vec(), 404, "`t`"),
        ("POST", "/v1/topics/t/plugins/rollback", Vec::new(), 404, "`t`"),
        ("PUT", "/v1/jobs/route-x", spec("p@1"), 400, "route-x"),
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
    for topic in ["in", "out"] {
        make_topic(node, topic, 1).await;
    }
}

/// Makes a topic as a client does.
async fn make_topic(node: &Node, name: &str, partitions: i32) {
    let topic = pelton_core::event::NewTopic {
        name: name.into(),
        id: pelton_core::model::TopicId(uuid::Uuid::new_v4().as_u128()),
        partitions,
        replication_factor: 1,
        configs: BTreeMap::new(),
        internal: false,
    };
    let made = node.broker.create_topics(vec![topic], false).await.unwrap();
    assert!(made[0].1.is_ok(), "{:?}", made[0].1);
    let mut changes = node.broker.image_changes();
    changes.wait_for(|image| image.topic(name).is_some()).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_a_job_runs_is_not_deleted_and_one_that_nobody_uses_is() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await.unwrap();
    make_topics(&node).await;
    let headers = [("Pelton-Author", "Ada")];
    let path = "/v1/plugins/pv/versions/1";
    let (status, text) = ask_as(&node, &headers, "PUT", path, plugin()).await;
    assert!(status == 201 && text.contains("\"author\":\"Ada\"") && text.contains("127.0.0.1"), "{text}");
    let (_, answer) = ask(&node, "GET", path, Vec::new()).await;
    assert_eq!((&answer["manifest"]["kind"], &answer["used_by"]), (&json!("transform"), &json!([])), "{answer}");
    assert_eq!(ask(&node, "PUT", "/v1/jobs/j", pages_spec()).await.0, 200);
    let (_, answer) = ask(&node, "GET", path, Vec::new()).await;
    assert_eq!(answer["used_by"], json!(["job j (step s)"]));
    let (status, answer) = ask(&node, "DELETE", path, Vec::new()).await;
    assert!(status == 409 && error(&answer).contains("job j (step s)"), "{status} {answer}");
    assert_eq!(ask(&node, "POST", "/v1/jobs/j/stop", Vec::new()).await.0, 200);
    assert_eq!(ask(&node, "DELETE", path, Vec::new()).await, (200, json!({ "deleted": "pv@1" })));
    assert_eq!(ask(&node, "GET", path, Vec::new()).await.0, 404);
    let (status, answer) = ask(&node, "PUT", "/v1/jobs/j", pages_spec()).await;
    assert!(status == 422 && error(&answer).contains("pv@1"), "{status} {answer}");
    node.stop().await;
    let node = start(dir.path()).await.unwrap();
    assert_eq!(ask(&node, "GET", "/v1/plugins", Vec::new()).await, (200, json!([])));
    assert_eq!(ask(&node, "PUT", path, plugin()).await.0, 201, "the name is free again");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_trusted_key_signed_is_taken_where_the_operator_says_so() {
    use ed25519_dalek::{Signer, SigningKey};
    use sha2::{Digest, Sha256};
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::from_bytes(&[7; 32]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let keys = dir.path().join("keys");
    std::fs::write(&keys, format!("release {}\n", hex(key.verifying_key().as_bytes()))).unwrap();
    let policy = [("pelton.plugin.signatures", "require"), ("pelton.plugin.trusted.keys", keys.to_str().unwrap())];
    let node = start_with(&dir.path().join("data"), &policy).await.unwrap();
    let (path, bytes) = ("/v1/plugins/pv/versions/1", plugin());
    let (status, answer) = ask(&node, "PUT", path, bytes.clone()).await;
    assert!(status == 422 && error(&answer).contains("not signed"), "{status} {answer}");
    let text = pelton_api::manifest::signed_text(&"pv@1".parse().unwrap(), &hex(&Sha256::digest(&bytes)));
    let signature = hex(&key.sign(text.as_bytes()).to_bytes());
    let wrong = signature.replace('0', "1");
    let (status, text) = ask_as(&node, &[("Pelton-Signature", &wrong)], "PUT", path, bytes.clone()).await;
    assert!(status == 422 && text.contains("signature"), "{text}");
    let (status, text) = ask_as(&node, &[("Pelton-Signature", &signature)], "PUT", path, bytes).await;
    assert!(status == 201 && text.contains("\"signed_by\":\"release\""), "{text}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_nobody_is_answered_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_with(dir.path(), &[("pelton.admin.token", "0123456789abcdef")]).await.unwrap();
    for (method, path) in
        [("GET", "/v1/status"), ("PUT", "/v1/plugins/p/versions/1"), ("GET", "/metrics"), ("GET", "/v2")]
    {
        for headers in [&[][..], &[("Authorization", "Bearer 0123456789abcdee")]] {
            let (status, text) = ask_as(&node, headers, method, path, Vec::new()).await;
            assert!(status == 401 && text.contains("Bearer TOKEN"), "{method} {path}: {status} {text}");
        }
    }
    let right = [("Authorization", "Bearer 0123456789abcdef"), ("Origin", "https://example.org")];
    assert_eq!(ask_as(&node, &right, "GET", "/v1/status", Vec::new()).await.0, 200);
    node.stop().await;
    let node = start(dir.path()).await.unwrap();
    let page = [("Origin", "https://example.org")];
    assert_eq!(ask_as(&node, &page, "GET", "/v1/status", Vec::new()).await.0, 403);
    node.stop().await;
}

fn keyed(keys: &[&str]) -> Vec<u8> {
    let mut builder = pelton_record::BatchBuilder::new(0);
    keys.iter().for_each(|key| builder.push(0, Some(key.as_bytes()), Some(b"v"), &[]));
    builder.into_bytes_with_crc()
}

fn set(configs: Value) -> Vec<u8> {
    json!({ "set": configs }).to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioner_is_attached_asked_switched_and_rolled_back() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await.unwrap();
    make_topic(&node, "t", 7).await;
    let (plugins, partition) = ("/v1/topics/t/plugins", "/v1/topics/t/partition");
    let (status, answer) = ask(&node, "GET", plugins, Vec::new()).await;
    assert_eq!((status, &answer["identity"], &answer["switches"]), (200, &Value::Null, &json!([])), "{answer}");
    let (status, answer) = ask(&node, "POST", partition, keyed(&["a"])).await;
    assert!(status == 404 && error(&answer).contains("no partitioner"), "{status} {answer}");
    let refused = [
        (json!({ "pelton.partitioner": "nosuch@1" }), 422, "nosuch@1"),
        (json!({ "pelton.partitionr": "murmur2" }), 422, "pelton.partitionr"),
        (json!({ "retention.ms": "1" }), 400, "retention.ms"),
    ];
    for (configs, expected, named) in refused {
        let (status, answer) = ask(&node, "PUT", plugins, set(configs)).await;
        assert!(status == expected && error(&answer).contains(named), "{status} {answer}");
    }
    let check = json!({ "set": { "pelton.partitioner": "murmur2" }, "validate_only": true }).to_string().into_bytes();
    let (status, answer) = ask(&node, "PUT", plugins, check).await;
    assert_eq!((status, &answer["own"]), (200, &json!({})), "{answer}");
    let (status, answer) = ask(&node, "PUT", plugins, set(json!({ "pelton.partitioner": "murmur2" }))).await;
    assert_eq!((status, &answer["own"]), (200, &json!({ "pelton.partitioner": "murmur2" })), "{answer}");
    assert_eq!(answer["partitioner"]["plugin"], "murmur2", "{answer}");
    assert_eq!(answer["switches"][0]["offsets"], json!([0, 0, 0, 0, 0, 0, 0]), "{answer}");
    assert_eq!(answer["switches"][0]["by"], "127.0.0.1", "{answer}");
    let by_murmur2 = json!({ "partitions": [0x106e_08d9 % 7, 0x5ec1_9395 % 7] });
    assert_eq!(ask(&node, "POST", partition, keyed(&["", "hejsan"])).await, (200, by_murmur2.clone()));
    let (status, answer) = ask(&node, "POST", partition, b"no batch".to_vec()).await;
    assert!(status == 422 && error(&answer).contains("record batch"), "{status} {answer}");
    let (status, text) = ask_as(&node, &[], "GET", "/metrics", Vec::new()).await;
    let line = "pelton_interceptor_calls_total{topic=\"t\",plugin=\"murmur2\",hook=\"on-send\"} 0";
    assert!(status == 200 && text.lines().any(|found| found == line), "{text}");

    assert_eq!(ask(&node, "PUT", plugins, set(json!({ "pelton.partitioner": "crc32" }))).await.0, 200);
    assert_ne!(ask(&node, "POST", partition, keyed(&["", "hejsan"])).await.1, by_murmur2);
    let (status, answer) = ask(&node, "POST", &format!("{plugins}/rollback"), Vec::new()).await;
    assert_eq!((status, &answer["own"]), (200, &json!({ "pelton.partitioner": "murmur2" })), "{answer}");
    assert_eq!(answer["switches"].as_array().unwrap().len(), 3, "{answer}");
    node.stop().await;

    let node = start(dir.path()).await.unwrap();
    assert_eq!(ask(&node, "POST", partition, keyed(&["", "hejsan"])).await, (200, by_murmur2));
    let remove = json!({ "remove": ["pelton.partitioner"] }).to_string().into_bytes();
    let (status, answer) = ask(&node, "PUT", plugins, remove).await;
    assert_eq!((status, &answer["own"], &answer["identity"]), (200, &json!({}), &Value::Null), "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_of_the_broker_hold_for_topics_of_clients_and_not_for_those_of_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_with(dir.path(), &[("pelton.partitioner", "murmur2")]).await.unwrap();
    make_topic(&node, "t", 3).await;
    let cluster = BrokerCluster::new(node.broker.clone(), &Default::default(), Default::default());
    pelton_api::ports::Cluster::ensure_topic(&cluster, "own", 3, &[]).await.unwrap();
    let (_, answer) = ask(&node, "GET", "/v1/topics/t/plugins", Vec::new()).await;
    assert_eq!(
        (&answer["configs"], &answer["own"]),
        (&json!({ "pelton.partitioner": "murmur2" }), &json!({})),
        "{answer}"
    );
    assert_eq!(answer["partitioner"]["plugin"], "murmur2", "{answer}");
    let (_, answer) = ask(&node, "GET", "/v1/topics/own/plugins", Vec::new()).await;
    assert_eq!(
        (&answer["configs"], &answer["identity"]),
        (&json!({ "pelton.interceptors": "" }), &Value::Null),
        "{answer}"
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_routes_has_a_job_for_as_long_as_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await.unwrap();
    make_topic(&node, "in", 2).await;
    make_topic(&node, "out", 3).await;
    let configs = json!({
        "pelton.partitioner": "murmur2", "pelton.partitioner.mode": "route", "pelton.partitioner.target": "out",
    });
    let (status, answer) = ask(&node, "PUT", "/v1/topics/in/plugins", set(configs)).await;
    assert_eq!((status, &answer["route"]["job"], &answer["route"]["target"]), (200, &json!("route-in"), &json!("out")));
    wait_for_job(&node, "/v1/jobs/route-in", |report| report["tasks"][1]["phase"] == "running").await;
    let (status, answer) = ask(&node, "POST", "/v1/topics/in/partition", keyed(&["a"])).await;
    assert!(status == 404 && error(&answer).contains("any partition"), "{status} {answer}");
    let (status, answer) = ask(&node, "POST", "/v1/jobs/route-in/stop", Vec::new()).await;
    assert!(status == 422 && error(&answer).contains("pelton.partitioner.mode"), "{status} {answer}");
    append(&node, "in", 1, &["", "hejsan", "23456"]).await;
    // By Java's murmur2: 0x106e08d9, 0x5ec19395 and 0x058d780f modulo 3.
    for (partition, key) in [(0x106e_08d9 % 3, ""), (0x5ec1_9395 % 3, "hejsan"), (0x058d_780f % 3, "23456")] {
        wait_for_key(&node, "out", partition, key).await;
    }
    node.stop().await;

    let node = start(dir.path()).await.unwrap();
    wait_for_job(&node, "/v1/jobs/route-in", |report| report["tasks"][1]["phase"] == "running").await;
    let verify = json!({ "remove": ["pelton.partitioner", "pelton.partitioner.mode", "pelton.partitioner.target"] });
    let (status, answer) = ask(&node, "PUT", "/v1/topics/in/plugins", verify.to_string().into_bytes()).await;
    assert_eq!((status, &answer["route"]), (200, &Value::Null), "{answer}");
    assert_eq!(ask(&node, "GET", "/v1/jobs/route-in", Vec::new()).await.0, 404);
    node.stop().await;
}

async fn append(node: &Node, topic: &str, partition: i32, keys: &[&str]) {
    let bytes: bytes::Bytes = keyed(keys).into();
    let batch = pelton_core::event::IncomingBatch { header: pelton_record::BatchHeader::parse(&bytes).unwrap(), bytes };
    let client = pelton_server::hooks::Client {
        principal: "User:ANONYMOUS".into(),
        client_id: "test".into(),
        client_address: "/127.0.0.1".into(),
    };
    let partition = pelton_core::model::TopicPartition::new(topic, partition);
    node.broker.append(client, partition, batch, pelton_core::event::Acks::All, None).await.unwrap();
}

/// Waits until a committed record with this key is in the partition; a minute at most.
async fn wait_for_key(node: &Node, topic: &str, index: i32, key: &str) {
    let cluster = BrokerCluster::new(node.broker.clone(), &Default::default(), Default::default());
    let partition = pelton_api::ports::Partition { topic: topic.to_owned(), index };
    let mut reader = pelton_api::ports::Cluster::reader(&cluster, partition);
    let mut offset = 0;
    for _ in 0..600 {
        let read = reader.read(offset, 1 << 20, Duration::from_millis(100)).await.unwrap();
        offset = read.next_offset;
        for batch in &read.batches {
            let view = pelton_record::BatchView::parse(batch).unwrap();
            if view.records().unwrap().any(|record| record.unwrap().key == Some(key.as_bytes())) {
                return;
            }
        }
    }
    panic!("no record with the key {key:?} came to {topic}-{index}");
}

/// Waits until the job's report satisfies `done`; a minute at most.
async fn wait_for_job(node: &Node, path: &str, done: impl Fn(&Value) -> bool) {
    let mut last = Value::Null;
    for _ in 0..600 {
        last = ask(node, "GET", path, Vec::new()).await.1;
        if done(&last) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the job did not get there within a minute: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_the_lines_of_plugins_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await.unwrap();
    let (status, document) = ask(&node, "GET", "/v1/openapi.json", Vec::new()).await;
    assert_eq!((status, document["paths"]["/metrics"]["get"].is_object()), (200, true));
    let (status, answer) = ask(&node, "GET", "/v1/plugins/logs?after=0&wait_ms=1&limit=5", Vec::new()).await;
    assert_eq!((status, answer), (200, json!({ "lines": [], "next": 0, "missed": 0 })));
    node.stop().await;
}

/// An interceptor of the flat contract that changes nothing, and refuses every configuration but `{}`:
///
/// ```wat
/// (module
///   (memory (export "memory") 2)
///   (data (i32.const 16) "\00\05\07\00\00\00")
///   (data (i32.const 32) "\00\00\00\00\00\00")
///   (data (i32.const 64) "\01\0a\00\00\00not today!")
///   (func (export "pelton_alloc") (param i32) (result i32) (i32.const 1024))
///   (func (export "pelton_interceptor_0_1") (param i32 i32 i32) (result i64)
///     (if (i32.eqz (local.get 0)) (then (return (i64.const 0x1000000006))))
///     (if (i32.ne (local.get 0) (i32.const 1)) (then (return (i64.const 0x2000000006))))
///     (if (i32.gt_u (local.get 2) (i32.const 6)) (then (return (i64.const 0x400000000f))))
///     (i64.const 0x2000000001)))
/// ```
const IDENTITY: &str = "0061736d01000000010d0260017f017f60037f7f7f017e03030200010503010002073203066d656d6f727902000c7\
    0656c746f6e5f616c6c6f6300001670656c746f6e5f696e746572636570746f725f305f3100010a3f0205004180080b3700200045044042868080\
    8080020f0b20004101470440428680808080040f0b200241064b0440428f80808080080f0b428180808080040b0b2c030041100b0600050700000\
    00041200b060000000000000041c0000b0f010a0000006e6f7420746f64617921";

fn identity() -> Vec<u8> {
    (0..IDENTITY.len()).step_by(2).map(|at| u8::from_str_radix(&IDENTITY[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interceptor_is_attached_switched_and_rolled_back_and_kept_while_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await.unwrap();
    make_topic(&node, "t", 1).await;
    let version = |version: u32| format!("/v1/plugins/identity/versions/{version}");
    for number in [1, 2] {
        let (status, answer) = ask(&node, "PUT", &version(number), identity()).await;
        assert_eq!((status, &answer["kind"]), (201, &json!("interceptor")), "{answer}");
        assert_eq!(answer["wants"]["hooks"], json!(["on-send", "on-consume"]), "{answer}");
    }
    let plugins = "/v1/topics/t/plugins";
    let refused = json!({ "pelton.interceptors": "identity@1", "pelton.plugin.identity.config": "{\"a\":1}" });
    let (status, answer) = ask(&node, "PUT", plugins, set(refused)).await;
    assert!(status == 422 && error(&answer).contains("not today!"), "{status} {answer}");
    let attach = |name: &str| set(json!({ "pelton.interceptors": name }));
    let (status, answer) = ask(&node, "PUT", plugins, attach("identity@1")).await;
    assert_eq!((status, &answer["links"][0]["plugin"]), (200, &json!("identity@1")), "{answer}");
    append(&node, "t", 0, &["a", "b"]).await;
    let (_, answer) = ask(&node, "PUT", plugins, attach("identity@2")).await;
    assert_eq!(answer["switches"][1]["offsets"], json!([2]), "{answer}");
    append(&node, "t", 0, &["c"]).await;
    let (_, metrics) = ask_as(&node, &[], "GET", "/metrics", Vec::new()).await;
    let line = "pelton_interceptor_calls_total{topic=\"t\",plugin=\"identity@2\",hook=\"on-send\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
    let (status, answer) = ask(&node, "DELETE", &version(2), Vec::new()).await;
    assert!(status == 409 && error(&answer).contains("topic t (interceptor)"), "{status} {answer}");
    let (_, answer) = ask(&node, "POST", &format!("{plugins}/rollback"), Vec::new()).await;
    assert_eq!(answer["own"], json!({ "pelton.interceptors": "identity@1" }), "{answer}");
    assert_eq!(ask(&node, "DELETE", &version(2), Vec::new()).await.0, 200, "what a rollback would restore is not used");
    let (status, answer) = ask(&node, "POST", &format!("{plugins}/rollback"), Vec::new()).await;
    assert!(status == 422 && error(&answer).contains("identity@2"), "{status} {answer}");
    let shadow = set(json!({ "pelton.interceptors": "", "pelton.interceptors.shadow": "identity@1" }));
    let (status, answer) = ask(&node, "PUT", plugins, shadow).await;
    assert_eq!((status, &answer["shadow"]["interceptors"][0]["plugin"]), (200, &json!("identity@1")), "{answer}");
    let (_, answer) = ask(&node, "GET", &version(1), Vec::new()).await;
    assert_eq!(answer["used_by"], json!(["topic t (shadow)"]), "{answer}");
    node.stop().await;

    let node = start(dir.path()).await.unwrap();
    let (_, answer) = ask(&node, "GET", plugins, Vec::new()).await;
    assert_eq!(answer["shadow"]["interceptors"][0]["plugin"], "identity@1", "{answer}");
    let remove = json!({ "remove": ["pelton.interceptors", "pelton.interceptors.shadow"] }).to_string().into_bytes();
    assert_eq!(ask(&node, "PUT", plugins, remove).await.0, 200);
    assert_eq!(ask(&node, "DELETE", &version(1), Vec::new()).await.0, 200);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_serves_says_so_and_tells_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_with(dir.path(), &[("pelton.control.listener", "127.0.0.1:0")]).await.unwrap();
    assert_eq!(ask(&node, "GET", "/healthz", Vec::new()).await, (200, json!({ "status": "ok" })));
    assert_eq!(ask(&node, "GET", "/readyz", Vec::new()).await, (200, json!({ "ready": true, "missing": [] })));
    let (status, text) = ask_as(&node, &[], "GET", "/metrics", Vec::new()).await;
    assert_eq!(status, 200);
    for line in [
        "pelton_connections{listener=\"CONTROL\"} 0",
        "pelton_offline_log_directories 0",
        "pelton_offline_partitions 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
    assert!(text.contains("# TYPE pelton_interceptor_calls_total counter"), "one text for the broker and its plugins");
    let (_, status) = ask(&node, "GET", "/v1/status", Vec::new()).await;
    assert_eq!(status["control_listener"], json!(node.control().unwrap().to_string()));
    node.stop().await;
}
