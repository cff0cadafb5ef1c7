use crate::double::{Double, House, batch, configs, origin, wants};
use crate::library::Event;
use pelton_api::hooks::{Hooks, Sent};
use pelton_api::interceptor::{Answered, Hook};

/// Configs, and what the error begins with and contains.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

fn house() -> House {
    let house = House::new();
    let quiet = || Double::on_batch(wants(&[Hook::OnSend]), |_| Ok(Answered::default()));
    house.shelve("audit@1", quiet()).shelve("audit@2", Double { digest: "ffffffff00".into(), ..quiet() });
    house.shelve("mask@1", quiet()).place("geo@1", |_, _| Ok(Vec::new()));
    house
}

#[test]
fn configs_are_checked_against_the_plugins() {
    let house = house();
    let chain = ("pelton.interceptors", "audit@1,mask@1");
    house.check(&[chain, ("pelton.plugin.audit.emit", "log"), ("pelton.interceptors.shadow", "audit@2")]).unwrap();
    house.check(&[("pelton.partitioner", "geo@1"), ("pelton.plugin.geo.config", "{}")]).unwrap();
    let bad = r#"{"bad":1}"#;
    let cases: &[Case<'_>] = &[
        (&[("pelton.interceptors", "nobody@1")], "pelton.interceptors: ", "nobody@1: no such plugin"),
        (&[("pelton.interceptors.shadow", "nobody@1")], "pelton.interceptors.shadow: ", "no such plugin"),
        (&[chain, ("pelton.plugin.mask.config", bad)], "pelton.plugin.mask.config: ", "`bad` is unknown"),
        (&[chain, ("pelton.plugin.audit.emit", "missing")], "pelton.plugin.audit.emit: ", "does not exist"),
        (&[("pelton.partitioner", "nobody@1")], "pelton.partitioner: ", "nobody@1: no such plugin"),
        (
            &[("pelton.partitioner", "geo@1"), ("pelton.plugin.geo.config", bad)],
            "pelton.plugin.geo.config: ",
            "unknown",
        ),
        (
            &[
                ("pelton.partitioner", "geo@1"),
                ("pelton.partitioner.mode", "route"),
                ("pelton.partitioner.target", "missing"),
            ],
            "pelton.partitioner.target: ",
            "does not exist",
        ),
    ];
    for (configs, name, what) in cases {
        let error = house.check(configs).expect_err(&format!("{configs:?}"));
        assert!(error.starts_with(name) && error.contains(what), "{configs:?}: {error}");
    }
}

#[test]
fn nothing_is_attached_where_nothing_would_be_called() {
    let house = house();
    let attach = |pairs: &[(&str, &str)]| house.chains.attach("orders", 6, &configs(pairs));
    assert!(attach(&[]).is_none() && attach(&[("pelton.interceptors", ""), ("retention.ms", "5")]).is_none());
    let route =
        [("pelton.partitioner", "geo@1"), ("pelton.partitioner.mode", "route"), ("pelton.partitioner.target", "data")];
    assert!(attach(&route).is_none(), "a route is a job; the way in is free");
    assert!(house.chains.partitioner_of("orders", &configs(&route)).unwrap().is_some());
    assert!(house.chains.partitioner_of("orders", &configs(&[])).unwrap().is_none());
    assert!(house.chains.partitioner_of("orders", &configs(&[("pelton.partitioner", "x@1")])).is_err());
}

#[test]
fn identities_tell_versions_and_configurations_apart_and_ignore_shadows() {
    let house = house();
    let identity = |pairs: &[(&str, &str)]| house.attach(pairs).identity().to_owned();
    let chain = ("pelton.interceptors", "audit@2,mask@1");
    assert_eq!(identity(&[chain]), "audit@2[ffffffff],mask@1[01234567]");
    assert_eq!(identity(&[chain, ("pelton.partitioner", "murmur2")]), "audit@2[ffffffff],mask@1[01234567];murmur2");
    assert_eq!(identity(&[("pelton.partitioner", "geo@1")]), "geo@1[fedcba98]");
    assert_eq!(identity(&[chain, ("pelton.interceptors.shadow", "audit@1")]), identity(&[chain]));
    let configured = |value| identity(&[chain, ("pelton.plugin.mask.config", value)]);
    assert_eq!(configured("{}"), configured("{}"));
    assert_ne!(configured("{}"), configured(r#"{"a":1}"#));
    assert_ne!(configured("{}"), identity(&[chain]));
}

#[test]
fn what_cannot_be_loaded_fails_as_the_topic_says_and_is_never_passed_by() {
    let house = house();
    let came = batch(&["a"]);
    let hooks = house.attach(&[("pelton.interceptors", "gone@1")]);
    assert_eq!(hooks.identity(), "gone@1[unavailable]");
    let Sent::Unavailable { message } = hooks.on_send(&origin(0), &came) else { panic!("it fails closed") };
    assert!(message.contains("gone@1") && message.contains("no such plugin"), "{message}");
    assert!(hooks.on_consume(&origin(0), &came).is_err());
    let skip = house.attach(&[("pelton.interceptors", "gone@1"), ("pelton.interceptors.on.error", "skip")]);
    assert_eq!(skip.on_send(&origin(0), &came), Sent::Pass { changed: None, emitted: Vec::new() });
    let unread = house.attach(&[("pelton.interceptors.on.error", "whatever")]);
    assert!(matches!(unread.on_send(&origin(0), &came), Sent::Unavailable { .. }));
    let partitioner = house.attach(&[("pelton.partitioner", "gone@1")]);
    assert!(matches!(partitioner.on_send(&origin(0), &came), Sent::Unavailable { .. }));
    let not_loaded = house.events().into_iter().filter(|event| matches!(event, Event::NotLoaded { .. })).count();
    assert_eq!(not_loaded, 4);
}

#[test]
fn reports_are_of_what_is_attached_now() {
    let house = house();
    let first = house.attach(&[("pelton.interceptors", "audit@1")]);
    first.on_send(&origin(0), &batch(&["a", "b"]));
    let reports = house.chains.reports();
    assert_eq!((reports.len(), reports[0].interceptors[0].hooks[0].records), (1, 2));
    let second = house.attach(&[("pelton.interceptors", "audit@2")]);
    assert_eq!(house.chains.report("orders").unwrap().interceptors[0].plugin, "audit@2");
    let json = serde_json::to_string(&house.chains.reports()).unwrap();
    let read: Vec<crate::report::TopicReport> = serde_json::from_str(&json).unwrap();
    assert_eq!(read, house.chains.reports());
    drop(second);
    assert_eq!(house.chains.report("orders").unwrap().interceptors[0].plugin, "audit@1", "the one before is in force");
    drop(first);
    assert!(house.chains.reports().is_empty() && house.chains.report("orders").is_none());
}
