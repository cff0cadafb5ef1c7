use super::*;

pub(super) fn build(text: &str) -> Result<(NodeConfig, Vec<Notice>), ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.properties");
    std::fs::write(&path, text).unwrap();
    let mut settings = Settings::default();
    settings.file(&path)?;
    settings.build()
}

pub(super) fn refusal(text: &str) -> String {
    build(text).expect_err("must be refused").to_string()
}

fn warnings(notices: &[Notice]) -> Vec<&str> {
    let mut said = Vec::new();
    for notice in notices {
        if let Notice::Warning(text) = notice {
            said.push(text.as_str());
        }
    }
    said
}

#[test]
fn without_any_configuration_the_broker_listens_on_loopback() {
    let (config, notices) = Settings::default().build().unwrap();
    assert_eq!(config.listeners, ["127.0.0.1:9092".parse().unwrap()]);
    assert_eq!(config.admin, "127.0.0.1:9644".parse().unwrap());
    assert_eq!(config.data_dir, PathBuf::from("./pelton-data"));
    assert_eq!((config.listeners[0].advertised.as_ref(), config.control_listener), (None, None));
    assert!(config.core.fsync && config.auto_create_topics && config.shards >= 1);
    assert_eq!(notices, []);
}

#[test]
fn the_file_that_kafka_ships_is_read() {
    let shipped = "\
process.roles=broker,controller\nnode.id=7\ncontroller.quorum.bootstrap.servers=localhost:9093\n\
listeners=PLAINTEXT://127.0.0.1:19092\ninter.broker.listener.name=PLAINTEXT\n\
advertised.listeners=PLAINTEXT://example.org:19092\ncontroller.listener.names=CONTROLLER\n\
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nnum.network.threads=3\nnum.io.threads=8\n\
socket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\n\
log.dirs=/tmp/kraft-combined-logs\nnum.partitions=4\nnum.recovery.threads.per.data.dir=1\n\
offsets.topic.replication.factor=1\nshare.coordinator.state.topic.replication.factor=1\n\
transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\nlog.retention.hours=12\n\
log.segment.bytes=1073741824\nlog.retention.check.interval.ms=300000\n";
    let (config, notices) = build(shipped).unwrap();
    assert_eq!((config.core.node_id, config.core.num_partitions), (7, 4));
    assert_eq!((config.network_threads, config.shards, config.recovery_threads_per_data_dir), (3, 8, 1));
    assert_eq!(config.listeners[0].advertised, Some(("example.org".to_owned(), 19092)));
    assert_eq!(config.log.retention_ms, Some(12 * 3_600_000));
    assert_eq!(config.statics["num.partitions"], "4");
    assert_eq!(warnings(&notices), Vec::<&str>::new());
}

#[test]
fn the_finer_unit_goes_before_the_coarser() {
    let (config, _) = build("log.retention.hours=1\nlog.retention.minutes=5\n").unwrap();
    assert_eq!(config.log.retention_ms, Some(300_000));
    let (config, _) = build("log.retention.ms=-1\nlog.retention.minutes=5\nlog.roll.ms=7").unwrap();
    assert_eq!((config.log.retention_ms, config.log.segment_ms), (None, Some(7)));
    let (config, _) = build("log.retention.bytes=-1").unwrap();
    assert_eq!(config.log.retention_bytes, None);
}

#[test]
fn flags_go_before_variables_and_those_before_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.properties");
    std::fs::write(&path, "num.partitions=2\nlog.dir=/from/file\nbroker.id=5\ndurability=replicated\n").unwrap();
    let mut settings = Settings::default();
    settings.file(&path).unwrap();
    let variables = [("PELTON_LOG_DIRS", "/from/env"), ("PELTON_NUM_PARTITIONS", "3"), ("PATH", "/bin")];
    settings.environment(variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())));
    settings.flag("--set", "num.partitions", "4");
    settings.flag("--admin", "pelton.admin.listener", "127.0.0.1:0");
    let (config, _) = settings.build().unwrap();
    assert_eq!(config.core.num_partitions, 4);
    assert_eq!(config.data_dir, PathBuf::from("/from/env"));
    assert_eq!((config.core.node_id, config.core.fsync), (5, false));
}

#[test]
fn several_log_directories_are_kept_in_their_order() {
    let (config, _) = build("log.dirs=/b, /a,/c\n").unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/b"));
    assert_eq!(config.further_log_dirs, [PathBuf::from("/a"), PathBuf::from("/c")]);
    assert_eq!(config.statics["log.dirs"], "/b, /a,/c", "as it was given");
}

#[test]
fn compaction_is_set_by_kafkas_keys() {
    let (config, _) =
        build("log.cleaner.min.cleanable.ratio=0.25\nlog.cleaner.io.max.bytes.per.second=1048576\n").unwrap();
    assert_eq!(config.log.compaction.min_cleanable_dirty_ppm, 250_000);
    assert_eq!(config.cleaner.io_max_bytes_per_second, Some(1_048_576));
    let (config, _) = build("").unwrap();
    assert_eq!(config.log.compaction, pelton_log::compaction::CompactionConfig::default());
    assert_eq!(config.cleaner, pelton_server::driver::cleaner::CleanerConfig::default());
    assert_eq!(config.core.cleanup_policy, pelton_core::config::CleanupPolicy::default());
    let (config, notices) = build("log.cleanup.policy=compact,delete\nlog.cleaner.threads=3\n").unwrap();
    assert!(config.core.cleanup_policy.compact && config.core.cleanup_policy.delete);
    assert_eq!((config.cleaner.threads, notices), (3, Vec::new()));
}

#[test]
fn recovery_and_moves_are_set_by_kafkas_keys() {
    let (config, _) = build("").unwrap();
    assert_eq!((config.recovery_threads_per_data_dir, config.move_bytes_per_second), (2, None));
    let text = "num.recovery.threads.per.data.dir=8\nreplica.alter.log.dirs.io.max.bytes.per.second=1000000\n";
    let (config, notices) = build(text).unwrap();
    assert_eq!((config.recovery_threads_per_data_dir, config.move_bytes_per_second), (8, Some(1_000_000)));
    assert_eq!(notices, []);
}

#[test]
fn only_what_somebody_set_is_shown_as_set() {
    let (config, _) =
        build("log.retention.hours=5\nbroker.id=3\nnum.io.threads=2\npelton.admin.token=0123456789abcdef\n").unwrap();
    let set: Vec<_> = config.statics.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(set, [("broker.id", "3"), ("log.retention.hours", "5"), ("node.id", "3"), ("num.io.threads", "2")]);
    let defaults: Vec<_> = config.default_statics.keys().map(String::as_str).collect();
    assert_eq!(defaults, ["log.dirs", "num.network.threads"]);
    assert_eq!(config.default_statics["log.dirs"], DEFAULT_DATA_DIR);
}

#[test]
fn the_table_that_clients_are_shown_has_every_key_with_its_default() {
    for key in keys::KEYS.iter().filter(|key| !key.secret && !keys::is_topic_default(key.name)) {
        let Some(shown) = pelton_server::broker_configs::broker_config(key.name) else {
            panic!("{} is not in the table", key.name);
        };
        let same_thing = key.name == "broker.id";
        assert!(same_thing || shown.default == key.default, "{}: {:?} and {:?}", key.name, shown.default, key.default);
    }
}

#[test]
fn replicas_that_must_be_in_sync_and_deletion_are_set_by_kafkas_keys() {
    let (config, notices) = build("min.insync.replicas=2\ndelete.topic.enable=false\n").unwrap();
    assert_eq!((config.core.min_insync_replicas, config.delete_topics, notices), (2, false, Vec::new()));
    assert!(refusal("min.insync.replicas=0").contains("min.insync.replicas"));
}

#[test]
fn bad_values_are_refused_with_their_place_and_what_is_right() {
    let cases = [
        ("num.partitions=abc", "`abc` is no value for num.partitions", "a whole number from 1 to 10000"),
        ("\nnum.partitions=0", "line 2", "from 1 to"),
        ("durability=maybe", "durability", "`fsync`"),
        ("auto.create.topics.enable=yes", "auto.create.topics.enable", "`true` or `false`"),
        ("listeners=SSL://:9093", "listeners", "PLAINTEXT://HOST:PORT"),
        ("listeners=PLAINTEXT://127.0.0.1", "listeners", "PLAINTEXT://HOST:PORT"),
        ("advertised.listeners=PLAINTEXT://0.0.0.0:9092", "advertised.listeners", "clients can reach"),
        ("pelton.admin.listener=0.0.0.0:9644", "pelton.admin.listener", "loopback"),
        ("log.dirs=/a,/b,/a", "log.dirs", "several different ones"),
        ("log.dirs=/a,,/b", "log.dirs", "parted by commas"),
        ("log.cleaner.min.cleanable.ratio=2", "log.cleaner.min.cleanable.ratio", "a number from 0 to 1"),
        ("log.cleanup.policy=compress", "log.cleanup.policy", "`compact`"),
        ("log.cleaner.threads=0", "log.cleaner.threads", "from 1 to 64"),
        ("num.recovery.threads.per.data.dir=0", "num.recovery.threads.per.data.dir", "from 1 to 256"),
        ("log.cleaner.dedupe.buffer.size=1", "log.cleaner.dedupe.buffer.size", "1024"),
        ("pelton.plugin.signatures=maybe", "pelton.plugin.signatures", "`require`"),
        ("pelton.plugin.signatures=require", "pelton.plugin.signatures", "pelton.plugin.trusted.keys"),
        ("pelton.plugin.trusted.keys=/no/such/file", "pelton.plugin.trusted.keys", "NAME HEXKEY"),
        ("pelton.plugin.forbid=drops,fly", "pelton.plugin.forbid", "`fly` is no capability"),
        ("pelton.admin.token=short", "pelton.admin.token", "16 characters"),
        ("pelton.admin.token.file=/no/such/file", "pelton.admin.token.file", "/no/such/file"),
        ("pelton.admin.token=0123456789abcdef\npelton.admin.token.file=/x", "token.file", "nothing"),
        ("group.min.session.timeout.ms=9\ngroup.max.session.timeout.ms=8", "group.min", "at most"),
        ("log.segment.bytes=100000000000", "log.segment.bytes", "2147483647"),
    ];
    for (text, named, right) in cases {
        let said = refusal(text);
        assert!(said.contains(named) && said.contains(right) && !said.contains('\n'), "{text}: {said}");
    }
}

#[test]
fn unknown_keys_are_named_and_ignored() {
    let (_, notices) = build("num.partition=3\nmy.own.key=1\nssl.keystore.location=/x\n").unwrap();
    let said = warnings(&notices);
    assert_eq!(said.len(), 3);
    assert!(said[0].contains("`num.partition`") && said[0].contains("did you mean `num.partitions`"));
    assert!(said[1].contains("my.own.key") && !said[1].contains("did you mean"));
    assert!(said[2].contains("ssl.keystore.location") && said[2].contains("no effect"));
}

#[test]
fn a_listener_without_host_listens_on_all_addresses() {
    let (config, notices) = build("listeners=PLAINTEXT://:19092").unwrap();
    assert!(config.listeners[0].address.ip().is_unspecified() && config.listeners[0].address.port() == 19092);
    assert_eq!((config.listeners[0].advertised.as_ref(), notices), (None, Vec::new()));
}

#[test]
fn a_negative_idle_time_keeps_connections() {
    let (config, _) = build("connections.max.idle.ms=-1").unwrap();
    assert_eq!(config.connections_max_idle_ms, 0);
}

#[test]
fn a_missing_file_is_named() {
    let said = Settings::default().file(Path::new("/no/such/file")).unwrap_err().to_string();
    assert!(said.contains("/no/such/file"), "{said}");
}

#[test]
fn a_token_opens_other_addresses_and_is_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "0123456789abcdef\n").unwrap();
    let texts =
        ["pelton.admin.token=0123456789abcdef".to_owned(), format!("pelton.admin.token.file={}", path.display())];
    for text in texts {
        let (config, notices) = build(&format!("{text}\npelton.admin.listener=0.0.0.0:9644")).unwrap();
        assert!(config.admin.ip().is_unspecified());
        let token = config.admin_token.clone().unwrap();
        assert!(token.is("0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
            assert!(!token.is(wrong), "{wrong}");
        }
        assert!(!format!("{config:?} {notices:?}").contains("0123456789abcdef"));
    }
    let said = refusal("pelton.admin.token=with space 0123456789abcdef");
    assert!(!said.contains("0123456789abcdef"), "{said}");
}

#[test]
fn what_holds_for_all_topics_reaches_the_broker() {
    let text = "pelton.interceptors=audit@2\npelton.interceptors.on.error=skip\npelton.plugin.audit.config={\"a\": 1}\n\
                pelton.plugin.audit.emit=audit-log\npelton.plugin.audit.confg=x\n";
    let (config, notices) = build(text).unwrap();
    let defaults: Vec<_> = config.statics.iter().filter(|(key, _)| keys::is_topic_default(key)).collect();
    let expected = [
        ("pelton.interceptors", "audit@2"),
        ("pelton.interceptors.on.error", "skip"),
        ("pelton.plugin.audit.config", "{\"a\": 1}"),
        ("pelton.plugin.audit.emit", "audit-log"),
    ];
    let expected: Vec<_> = expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(defaults.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>(), expected);
    assert_eq!(warnings(&notices).len(), 1, "{notices:?}");
}

#[test]
fn the_policy_of_the_plugins_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let key = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";
    std::fs::write(&path, format!("release {key}\n")).unwrap();
    let text = format!(
        "pelton.plugin.signatures=require\npelton.plugin.trusted.keys={}\npelton.plugin.forbid=emit, drops\n\
         pelton.plugin.max.count=7\npelton.plugin.max.total.bytes=9",
        path.display()
    );
    let policy = build(&text).unwrap().0.plugin_policy;
    assert_eq!((policy.max_count, policy.max_total_bytes, policy.trusted[0].name.as_str()), (7, 9, "release"));
    assert_eq!(policy.forbid.iter().map(|found| found.name()).collect::<Vec<_>>(), ["drops", "emit"]);
}
