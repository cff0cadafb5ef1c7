//! The names of the directories in a log directory, as Kafka gives them: `<topic>-<partition>` for a log, the same
//! with a unique id and `-future` for a copy that catches up, `-delete` for one that goes, `-stray` for one that
//! belongs to nobody.

use pelton_core::model::TopicPartition;
use uuid::Uuid;

/// Most bytes of a name on every file system.
const MAX_NAME_BYTES: usize = 255;

/// What becomes of a log that does not have its plain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffix {
    /// It catches up with the log of another directory and then takes its place.
    Future,
    /// It is being deleted.
    Delete,
}

impl Suffix {
    fn text(self) -> &'static str {
        match self {
            Self::Future => "-future",
            Self::Delete => "-delete",
        }
    }
}

/// A new name for a log of `partition`. The topic's part is cut where the name would be too long, as in Kafka.
pub fn suffixed(partition: &TopicPartition, suffix: Suffix) -> String {
    let end = format!("-{}.{}{}", partition.partition, Uuid::new_v4().simple(), suffix.text());
    let room = MAX_NAME_BYTES - end.len();
    // The names of topics are ASCII; any other is cut at a boundary of a character.
    let cut = (0..=room.min(partition.topic.len())).rev().find(|at| partition.topic.is_char_boundary(*at));
    format!("{}{end}", &partition.topic[..cut.unwrap_or(0)])
}

/// The partition and the suffix that a name tells. The topic may be cut.
pub fn parse(name: &str) -> Option<(TopicPartition, Suffix)> {
    let suffix = [Suffix::Future, Suffix::Delete].into_iter().find(|suffix| name.ends_with(suffix.text()))?;
    let (log, id) = name.strip_suffix(suffix.text())?.rsplit_once('.')?;
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((parse_log(log)?, suffix))
}

/// The partition whose log has this plain name.
pub fn parse_log(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let digits = partition.bytes().all(|byte| byte.is_ascii_digit());
    let partition: i32 = if digits { partition.parse().ok()? } else { return None };
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (!topic.is_empty() && topic.bytes().all(valid)).then(|| TopicPartition::new(topic, partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_it_was_made_of() {
        for topic in ["t", "a.b-c-7", "__consumer_offsets"] {
            let partition = TopicPartition::new(topic, 12);
            assert_eq!(parse_log(&partition.to_string()), Some(partition.clone()));
            for suffix in [Suffix::Future, Suffix::Delete] {
                let name = suffixed(&partition, suffix);
                assert_eq!(parse(&name), Some((partition.clone(), suffix)));
                assert_eq!(parse_log(&name), None);
            }
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        let partition = TopicPartition::new("t".repeat(249), 3);
        let name = suffixed(&partition, Suffix::Future);
        assert_eq!(name.len(), MAX_NAME_BYTES);
        assert_eq!(parse(&name).unwrap().0.partition, 3);
    }

    #[test]
    fn other_names_are_nobodys() {
        for name in ["plugins", "state", "t-", "-1", "t-0.abc-future", "t-0.-delete", "x.tmp", "t-99999999999"] {
            assert_eq!((parse(name), parse_log(name)), (None, None), "{name}");
        }
    }
}
