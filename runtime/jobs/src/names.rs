//! The names that a job gives to what it makes: internal topics, consumer groups, transactional ids.
//!
//! They are part of the format on disk: a change of one of them makes running jobs lose their state.

/// Longest topic name that Kafka allows, in bytes.
pub const MAX_TOPIC_NAME_LEN: usize = 249;

/// Input topic of `step`, for every step but the first.
pub fn repartition_topic(job: &str, step: &str) -> String {
    format!("pelton-{job}-{step}-repartition")
}

/// Changelog topic of one state store.
pub fn changelog_topic(job: &str, step: &str, store: &str) -> String {
    format!("pelton-{job}-{step}-{store}-changelog")
}

/// Dead-letter topic of a job that names none.
pub fn dead_letter_topic(job: &str) -> String {
    format!("{job}-dead-letter")
}

/// Consumer group under which `step` commits its input offsets.
pub fn group_id(job: &str, step: &str) -> String {
    format!("pelton-{job}-{step}")
}

/// Transactional id of one task.
pub fn transactional_id(job: &str, step: &str, partition: i32) -> String {
    format!("pelton-{job}-{step}-{partition}")
}

/// Why `name` is no topic name, if it is none (Kafka's rules).
pub fn topic_name_fault(name: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        return Some("it is empty".to_owned());
    }
    if name == "." || name == ".." {
        return Some("`.` and `..` are no names".to_owned());
    }
    if name.len() > MAX_TOPIC_NAME_LEN {
        return Some(format!("it has {} characters; {MAX_TOPIC_NAME_LEN} are allowed", name.len()));
    }
    let bad = name.chars().find(|c| !legal(*c))?;
    Some(format!("it contains {bad:?}; letters, digits, `.`, `_` and `-` are allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable() {
        assert_eq!(repartition_topic("pv", "count"), "pelton-pv-count-repartition");
        assert_eq!(changelog_topic("pv", "count", "views"), "pelton-pv-count-views-changelog");
        assert_eq!(dead_letter_topic("pv"), "pv-dead-letter");
        assert_eq!(group_id("pv", "count"), "pelton-pv-count");
        assert_eq!(transactional_id("pv", "count", 3), "pelton-pv-count-3");
    }

    #[test]
    fn topic_names_follow_kafka() {
        assert_eq!(topic_name_fault("a.b_c-1"), None);
        for bad in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(topic_name_fault(bad).is_some(), "{bad}");
        }
    }
}
