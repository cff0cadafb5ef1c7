use super::*;

fn configs(pairs: &[(&str, &str)]) -> Configs {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn plugin(text: &str) -> PluginRef {
    text.parse().unwrap()
}

fn attached(chain: &str, added: &str, place: &Place) -> anyhow::Result<String> {
    let configs = configs(&[(CHAIN, chain)]);
    let changes = attach(&configs, &plugin(added), place, &Parameters::default(), None)?;
    Ok(changes.set[CHAIN].clone())
}

#[test]
fn a_plugin_goes_where_it_is_put_and_a_version_takes_its_predecessors_place() {
    let before = |name: &str| Place::Before(name.to_owned());
    let after = |name: &str| Place::After(name.to_owned());
    for (chain, added, place, expected) in [
        ("", "a@1", Place::Kept, "a@1"),
        ("a@1", "b@1", Place::Kept, "a@1,b@1"),
        ("a@1,b@1", "a@2", Place::Kept, "a@2,b@1"),
        ("a@1,b@1", "c@1", Place::First, "c@1,a@1,b@1"),
        ("a@1,b@1", "c@1", before("b"), "a@1,c@1,b@1"),
        ("a@1,b@1", "c@1", after("a"), "a@1,c@1,b@1"),
        ("a@1,b@1", "a@2", after("b"), "b@1,a@2"),
        ("a@1,b@1", "b@2", Place::First, "b@2,a@1"),
    ] {
        assert_eq!(attached(chain, added, &place).unwrap(), expected, "{chain} + {added}");
    }
    assert!(attached("a@1", "b@1", &after("x")).unwrap_err().to_string().contains("`a@1`"));
    assert!(attached("a@1", "a@2", &before("a")).unwrap_err().to_string().contains("beside itself"));
}

#[test]
fn parameters_are_set_under_the_plugins_name() {
    let parameters = Parameters { config: Some("{}".into()), emit: Some("audit-log".into()) };
    let changes = attach(&configs(&[]), &plugin("audit@3"), &Place::Kept, &parameters, Some("skip")).unwrap();
    let expected = configs(&[
        (CHAIN, "audit@3"),
        (ON_ERROR, "skip"),
        ("pelton.plugin.audit.config", "{}"),
        ("pelton.plugin.audit.emit", "audit-log"),
    ]);
    assert_eq!(changes.set, expected);
}

#[test]
fn the_shadow_is_the_chain_as_it_would_be() {
    let live = configs(&[(CHAIN, "a@1,b@1"), ("pelton.plugin.b.config", "{}")]);
    let none = Parameters::default();
    assert_eq!(shadow(&live, &plugin("b@2"), &Place::Kept, &none).unwrap().set[SHADOW], "a@1,b@2");
    let other = Parameters { config: Some("{\"x\":1}".into()), emit: None };
    assert!(shadow(&live, &plugin("b@2"), &Place::Kept, &other).is_err());
    assert!(shadow(&live, &plugin("c@1"), &Place::Kept, &other).is_ok());
}

#[test]
fn promotion_changes_one_plugin_and_ends_the_shadow() {
    let both = configs(&[(CHAIN, "a@1,b@1"), (SHADOW, "a@1,b@2")]);
    let changes = promote(&both, "b").unwrap();
    assert_eq!((changes.set[CHAIN].as_str(), changes.remove.contains(SHADOW)), ("a@1,b@2", true));
    let new = configs(&[(CHAIN, "a@1,b@1"), (SHADOW, "a@1,c@1,b@1"), ("pelton.plugin.c.config", "{}")]);
    let changes = promote(&new, "c").unwrap();
    assert_eq!(changes.set[CHAIN], "a@1,c@1,b@1");
    assert!(!changes.remove.contains("pelton.plugin.c.config"));
    assert!(promote(&both, "x").is_err());
}

#[test]
fn detaching_leaves_no_parameters_and_no_default_behind() {
    let own = configs(&[(CHAIN, "a@1"), ("pelton.plugin.a.config", "{}"), (SHADOW, "a@2")]);
    let changes = detach(&own, &own, "a").unwrap();
    assert_eq!(changes.set, configs(&[(CHAIN, "")]));
    assert_eq!(changes.remove, ["pelton.plugin.a.config", SHADOW].map(str::to_owned).into());

    let inherited = configs(&[(CHAIN, "a@1,b@1")]);
    assert_eq!(detach(&inherited, &configs(&[]), "a").unwrap().set, configs(&[(CHAIN, "b@1")]));
    assert!(detach(&inherited, &configs(&[]), "x").is_err());
}

#[test]
fn a_partitioner_is_detached_whole_unless_it_is_the_brokers_default() {
    let own = configs(&[(PARTITIONER, "geo@1"), (PARTITIONER_MODE, "route"), (PARTITIONER_TARGET, "t")]);
    let changes = detach(&own, &own, "geo").unwrap();
    let all = [PARTITIONER, PARTITIONER_MODE, PARTITIONER_TARGET].map(str::to_owned);
    assert_eq!((changes.set.is_empty(), changes.remove), (true, all.into()));
    assert!(detach(&own, &configs(&[]), "geo").unwrap_err().to_string().contains("server.properties"));
    let built_in = configs(&[(PARTITIONER, "murmur2")]);
    assert!(detach(&built_in, &built_in, "murmur2").is_ok());
}

#[test]
fn what_is_already_so_is_no_change() {
    let own = configs(&[(CHAIN, "a@1")]);
    let changes = attach(&own, &plugin("a@1"), &Place::Kept, &Parameters::default(), None).unwrap();
    assert!(changes.against(&own).is_empty());
}
