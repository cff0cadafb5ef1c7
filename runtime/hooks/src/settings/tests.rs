use super::*;
use proptest::prelude::*;

/// Configs, and what the error begins with and contains.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

fn parse(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let configs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings::parse("orders", &configs)
}

fn plugin(text: &str) -> PluginRef {
    text.parse().unwrap()
}

#[test]
fn nothing_said_is_nothing_attached() {
    let settings = parse(&[("retention.ms", "1"), (INTERCEPTORS, "")]).unwrap();
    assert!(settings.interceptors.is_empty() && settings.shadow.is_empty() && settings.partitioner.is_none());
    assert_eq!(settings.breaker, BreakerSettings { faults: 5, open: WhenOpen::Refuse, pause_ms: 30_000 });
}

#[test]
fn everything_said_is_read() {
    let settings = parse(&[
        (INTERCEPTORS, " audit@2 ,mask@1"),
        (ON_ERROR, "dead-letter"),
        (BREAKER_FAULTS, "0"),
        (BREAKER_PAUSE_MS, "7"),
        (SHADOW, "audit@3"),
        ("pelton.plugin.audit.emit", "audit-log, other"),
        ("pelton.plugin.mask.config", r#"{"fields":["a"]}"#),
        ("pelton.plugin.geo.config", "{}"),
        (PARTITIONER, "geo@1"),
        (PARTITIONER_MODE, "route"),
        (PARTITIONER_TARGET, "orders-data"),
    ])
    .unwrap();
    assert_eq!(settings.interceptors, [plugin("audit@2"), plugin("mask@1")]);
    assert_eq!(settings.shadow, [plugin("audit@3")]);
    assert_eq!(settings.breaker, BreakerSettings { faults: 0, open: WhenOpen::Bypass, pause_ms: 7 });
    assert_eq!(settings.dead_letter_topic, "orders-dead-letter");
    assert_eq!(settings.plugin("audit").emit, ["audit-log", "other"]);
    assert_eq!((settings.plugin("audit").config(), settings.plugin("mask").config()), ("{}", r#"{"fields":["a"]}"#));
    let route = Partitioning {
        choice: PartitionerChoice::Plugin(plugin("geo@1")),
        mode: Mode::Route { target: "orders-data".into() },
    };
    assert_eq!(settings.partitioner, Some(route));
}

#[test]
fn what_is_wrong_is_named() {
    let long = "t".repeat(250);
    let cases: &[Case<'_>] = &[
        (&[(INTERCEPTORS, "audit")], INTERCEPTORS, "NAME@VERSION"),
        (&[(INTERCEPTORS, "a@1,a@2")], INTERCEPTORS, "twice"),
        (&[("pelton.interceptor", "a@1")], "pelton.interceptor", "did you mean pelton.interceptors?"),
        (&[("pelton.interceptors.breaker.pause", "1")], "pelton.interceptors.breaker.pause", "breaker.pause.ms?"),
        (&[("pelton.plugin.mask.conf", "{}")], "pelton.plugin.mask.conf", "pelton.plugin.mask.config"),
        (&[("pelton.plugin.mask@1.config", "{}")], "pelton.plugin.mask@1.config", "unknown"),
        (&[("pelton.plugin.mask.config", "{}")], "pelton.plugin.mask.config", "no plugin `mask` is attached"),
        (&[("pelton.plugin.mask.emit", "x")], "pelton.plugin.mask.emit", "no interceptor `mask`"),
        (&[(INTERCEPTORS, "m@1"), ("pelton.plugin.m.config", "[]")], "pelton.plugin.m.config", "JSON object"),
        (&[(INTERCEPTORS, "m@1"), ("pelton.plugin.m.emit", "orders")], "pelton.plugin.m.emit", "the topic itself"),
        (&[(INTERCEPTORS, "m@1"), ("pelton.plugin.m.emit", "__x")], "pelton.plugin.m.emit", "internal"),
        (&[(INTERCEPTORS, "m@1"), ("pelton.plugin.m.emit", "a b")], "pelton.plugin.m.emit", "no name of a topic"),
        (&[(INTERCEPTORS, "m@1"), ("pelton.plugin.m.emit", "a,a")], "pelton.plugin.m.emit", "twice"),
        (&[(ON_ERROR, "ignore")], ON_ERROR, "reject, skip, dead-letter"),
        (&[(ON_ERROR, "dead-letter"), (DEAD_LETTER_TOPIC, "orders")], DEAD_LETTER_TOPIC, "the topic itself"),
        (&[(DEAD_LETTER_TOPIC, &long)], DEAD_LETTER_TOPIC, "249"),
        (&[(BREAKER_FAULTS, "-1")], BREAKER_FAULTS, "from 0 to"),
        (&[(BREAKER_PAUSE_MS, "0")], BREAKER_PAUSE_MS, "from 1 to"),
        (&[(BREAKER_OPEN, "closed")], BREAKER_OPEN, "refuse, bypass"),
        (&[(PARTITIONER, "hash")], PARTITIONER, "murmur2, crc32"),
        (&[(PARTITIONER, "sticky")], PARTITIONER, "cannot be verified"),
        (&[(PARTITIONER, "round-robin"), (PARTITIONER_MODE, "verify")], PARTITIONER, "cannot be verified"),
        (&[(PARTITIONER_MODE, "verify")], PARTITIONER_MODE, "set pelton.partitioner"),
        (&[(PARTITIONER, "crc32"), (PARTITIONER_MODE, "route")], PARTITIONER_TARGET, "data topic"),
        (&[(PARTITIONER, "crc32"), (PARTITIONER_TARGET, "x")], PARTITIONER_TARGET, "route"),
    ];
    for (configs, name, what) in cases {
        let error = parse(configs).expect_err(&format!("{configs:?}"));
        assert!(error.starts_with(&format!("{name}: ")) && error.contains(what), "{configs:?}: {error}");
    }
}

#[test]
fn a_broker_knows_which_configs_are_a_topics() {
    assert!(is_topic_config(INTERCEPTORS) && is_topic_config("pelton.plugin.audit.emit"));
    assert!(!is_topic_config("pelton.plugin.max.bytes") && !is_topic_config("pelton.admin.listener"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_by_name(
        entries in prop::collection::btree_map(
            prop_oneof![prop::sample::select(&NAMES[..]).prop_map(str::to_owned), "pelton\\.[a-z.@]{0,30}"],
            any::<String>(),
            0..5,
        )
    ) {
        if let Err(error) = Settings::parse("orders", &entries) {
            let named = error.split(": ").next().unwrap().to_owned();
            prop_assert!(named.starts_with("pelton."), "{}", error);
        }
    }
}
