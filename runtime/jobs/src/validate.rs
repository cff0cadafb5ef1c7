//! Whether a job specification can be run: from its text alone ([`parse`], [`check`]), before anything is
//! asked of the cluster. Every refusal names the field and what is allowed.

use crate::names;
use pelton_api::job::JobSpec;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Commit intervals that a job may ask for, in milliseconds.
pub const COMMIT_INTERVALS_MS: RangeInclusive<u64> = 1..=60_000;
/// Most steps of a job.
pub const MAX_STEPS: usize = 32;
/// Most state stores of a step.
pub const MAX_STORES: usize = 32;
/// Most sources of a job.
pub const MAX_SOURCES: usize = 64;
/// Longest name of a job, a step or a store, in bytes. Internal topic names are made of them.
pub const MAX_NAME_LEN: usize = 100;

/// The specification is refused, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the job specification is refused: {0}")]
pub struct SpecError(pub String);

/// Reads a specification from TOML and checks it.
///
/// # Errors
/// [`SpecError`] with the line, the unknown key or the bad value, and what is allowed.
pub fn parse(text: &str) -> Result<JobSpec, SpecError> {
    let spec: JobSpec = toml::from_str(text).map_err(|e| SpecError(e.to_string().trim_end().to_owned()))?;
    check(&spec)?;
    Ok(spec)
}

/// Checks names, counts and limits of a specification.
///
/// # Errors
/// [`SpecError`] with the first fault.
pub fn check(spec: &JobSpec) -> Result<(), SpecError> {
    check_name("name", &spec.name, true)?;
    check_topics(spec)?;
    if !COMMIT_INTERVALS_MS.contains(&spec.commit_interval_ms) {
        let (low, high) = (COMMIT_INTERVALS_MS.start(), COMMIT_INTERVALS_MS.end());
        return refuse(format!("commit_interval_ms is {}; allowed are {low} to {high}", spec.commit_interval_ms));
    }
    check_count("steps", spec.steps.len(), MAX_STEPS)?;
    let mut steps = BTreeSet::new();
    for step in &spec.steps {
        check_name("step name", &step.name, false)?;
        if !steps.insert(&step.name) {
            return refuse(format!("two steps are named `{}`; give each a name of its own", step.name));
        }
        if !step.config.is_object() {
            return refuse(format!("config of step `{}` must be a table", step.name));
        }
        if step.stores.len() > MAX_STORES {
            return refuse(format!(
                "step `{}` has {} stores; at most {MAX_STORES} are allowed",
                step.name,
                step.stores.len()
            ));
        }
        let mut stores = BTreeSet::new();
        for store in &step.stores {
            check_name("store name", store, false)?;
            if !stores.insert(store) {
                return refuse(format!("step `{}` has two stores named `{store}`", step.name));
            }
            check_topic("the changelog topic", &names::changelog_topic(&spec.name, &step.name, store))?;
        }
        check_topic("the repartition topic", &names::repartition_topic(&spec.name, &step.name))?;
    }
    Ok(())
}

fn check_topics(spec: &JobSpec) -> Result<(), SpecError> {
    check_count("sources", spec.sources.len(), MAX_SOURCES)?;
    let mut sources = BTreeSet::new();
    for source in &spec.sources {
        check_topic("the source", source)?;
        if !sources.insert(source) {
            return refuse(format!("the source `{source}` is named twice"));
        }
    }
    check_topic("the sink", &spec.sink)?;
    let dead_letter = spec.dead_letter.clone().unwrap_or_else(|| names::dead_letter_topic(&spec.name));
    check_topic("the dead-letter topic", &dead_letter)?;
    for (role, topic) in [("sink", &spec.sink), ("dead-letter topic", &dead_letter)] {
        if sources.contains(topic) {
            return refuse(format!("`{topic}` is both a source and the {role}; a job may not read what it writes"));
        }
    }
    if spec.sink == dead_letter {
        return refuse(format!("`{dead_letter}` is both the sink and the dead-letter topic; name another dead_letter"));
    }
    Ok(())
}

fn check_count(field: &str, count: usize, limit: usize) -> Result<(), SpecError> {
    match count {
        0 => refuse(format!("{field} is empty; at least one is needed")),
        n if n > limit => refuse(format!("{field} has {n} entries; at most {limit} are allowed")),
        _ => Ok(()),
    }
}

fn check_name(field: &str, name: &str, dots: bool) -> Result<(), SpecError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (dots && c == '.');
    let allowed = if dots { "letters, digits, `-`, `_` and `.`" } else { "letters, digits, `-` and `_`" };
    if name.is_empty() || name.len() > MAX_NAME_LEN || !name.chars().all(legal) || name.starts_with('.') {
        return refuse(format!(
            "the {field} `{name}` is not allowed; use 1 to {MAX_NAME_LEN} {allowed}, not starting with `.`"
        ));
    }
    Ok(())
}

fn check_topic(role: &str, topic: &str) -> Result<(), SpecError> {
    match names::topic_name_fault(topic) {
        None => Ok(()),
        Some(fault) => refuse(format!("{role} `{topic}` is no topic name: {fault}")),
    }
}

fn refuse<T>(reason: String) -> Result<T, SpecError> {
    Err(SpecError(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "pv"
sources = ["access-log"]
sink = "page-views"

[[steps]]
name = "count"
plugin = "pv-count@1"
stores = ["views"]
config = { strip_query = true }
"#;

    fn refusal(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        parse(&GOOD.replacen(from, to, 1)).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_good_specification_is_read_with_its_defaults() {
        let spec = parse(GOOD).unwrap();
        assert_eq!((spec.commit_interval_ms, spec.steps.len()), (100, 1));
        assert_eq!(spec.steps[0].plugin.to_string(), "pv-count@1");
        assert_eq!(spec.steps[0].config["strip_query"], true);
    }

    #[test]
    fn unknown_keys_and_missing_fields_are_named() {
        let text = refusal("sink = ", "sinkk = ");
        assert!(text.contains("sinkk") && text.contains("expected one of"), "{text}");
        let text = refusal("sink = \"page-views\"", "");
        assert!(text.contains("missing field `sink`"), "{text}");
        let text = refusal("stores = ", "store = ");
        assert!(text.contains("store") && text.contains("expected one of"), "{text}");
        let text = refusal("pv-count@1", "pv-count");
        assert!(text.contains("NAME@VERSION"), "{text}");
    }

    #[test]
    fn bad_values_are_named_with_what_is_allowed() {
        let cases = [
            ("\"pv\"", "\"../pv\"", "`../pv` is not allowed"),
            ("\"pv\"", "\"..\"", "not starting with"),
            ("\"count\"", "\"co.unt\"", "step name `co.unt`"),
            ("[\"access-log\"]", "[]", "sources is empty"),
            ("[\"access-log\"]", "[\"a\", \"a\"]", "named twice"),
            ("[\"access-log\"]", "[\"a b\"]", "`a b` is no topic name"),
            ("\"page-views\"", "\"access-log\"", "both a source and the sink"),
            ("\"page-views\"", "\"pv-dead-letter\"", "both the sink and the dead-letter"),
            ("[\"views\"]", "[\"views\", \"views\"]", "two stores named `views`"),
            ("{ strip_query = true }", "7", "must be a table"),
            ("sink", "commit_interval_ms = 0\nsink", "allowed are 1 to 60000"),
            ("sink", "commit_interval_ms = 60001\nsink", "allowed are 1 to 60000"),
            ("[[steps]]", "[[steps]]\nname = \"count\"\nplugin = \"a@1\"\n[[steps]]", "two steps are named"),
        ];
        for (from, to, expected) in cases {
            let text = refusal(from, to);
            assert!(text.contains(expected), "{to}: {text}");
        }
    }

    #[test]
    fn a_job_without_steps_is_refused() {
        let text = parse("name='a'\nsources=['b']\nsink='c'\nsteps=[]").unwrap_err().to_string();
        assert!(text.contains("steps is empty"), "{text}");
    }
}
