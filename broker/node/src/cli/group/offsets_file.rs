//! Offsets of a group as a file: what `export` writes and `reset --from-file` reads.
//!
//! CSV has no header and the columns that Kafka's own tool has: topic, partition, offset, or, with several groups in one
//! file, the group in front of them. JSON has the group's id beside the offsets.

use anyhow::{Context, anyhow, bail};
use pelton_core::model::TopicPartition;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Offsets by partition.
pub type Offsets = BTreeMap<TopicPartition, i64>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    group: String,
    offsets: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    topic: String,
    partition: i32,
    offset: i64,
}

/// Offsets as CSV.
pub fn to_csv(offsets: &Offsets) -> String {
    offsets
        .iter()
        .map(|(partition, offset)| format!("{},{},{offset}\n", partition.topic, partition.partition))
        .collect()
}

/// Offsets as JSON.
pub fn to_json(group: &str, offsets: &Offsets) -> String {
    let entry = |(partition, offset): (&TopicPartition, &i64)| Entry {
        topic: partition.topic.to_string(),
        partition: partition.partition,
        offset: *offset,
    };
    let document = Document { group: group.to_owned(), offsets: offsets.iter().map(entry).collect() };
    serde_json::to_string(&document).expect("the document has string keys") + "\n"
}

/// Reads either. Of a CSV file with several groups, the offsets of `group`; a JSON file may come from another group.
///
/// # Errors
/// When it is neither, names a partition twice, or has nothing for the group.
pub fn read(text: &str, group: &str) -> anyhow::Result<Offsets> {
    let entries = match text.trim_start().starts_with('{') {
        true => {
            let form = "it has the form {\"group\": \"g\", \"offsets\": [{\"topic\": \"t\", \"partition\": 0, \"offset\": 1}]}";
            serde_json::from_str::<Document>(text).context(form)?.offsets
        }
        false => read_csv(text, group)?,
    };
    let mut offsets = Offsets::new();
    for Entry { topic, partition, offset } in entries {
        let named = TopicPartition::new(topic, partition);
        if partition < 0 || offset < 0 {
            bail!("{named}: partitions and offsets are never negative");
        }
        if offsets.insert(named.clone(), offset).is_some() {
            bail!("{named} stands there twice");
        }
    }
    if offsets.is_empty() {
        bail!("it has no offsets of the group {group}");
    }
    Ok(offsets)
}

fn read_csv(text: &str, group: &str) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad =
            || anyhow!("line {} is not `topic,partition,offset`: {}", number + 1, super::output::shortened(line, 80));
        let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let (of, [topic, partition, offset]) = match fields[..] {
            [topic, partition, offset] => (group, [topic, partition, offset]),
            [of, topic, partition, offset] => (of, [topic, partition, offset]),
            _ => bail!(bad()),
        };
        let (partition, offset) = (partition.parse().map_err(|_| bad())?, offset.parse().map_err(|_| bad())?);
        if of == group {
            entries.push(Entry { topic: topic.to_owned(), partition, offset });
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets() -> Offsets {
        let at = |topic: &str, index, offset| (TopicPartition::new(topic, index), offset);
        [at("orders", 0, 17), at("orders", 10, 3), at("refunds", 2, 0)].into_iter().collect()
    }

    #[test]
    fn offsets_survive_the_way_through_a_file() {
        let csv = to_csv(&offsets());
        assert_eq!(csv, "orders,0,17\norders,10,3\nrefunds,2,0\n");
        assert_eq!(read(&csv, "g").unwrap(), offsets());
        assert_eq!(read(&to_json("g", &offsets()), "another").unwrap(), offsets());
    }

    #[test]
    fn of_a_file_with_several_groups_one_is_taken() {
        let text = "\"a\",\"orders\",0,1\r\n\"b\",\"orders\",0,2\r\n\r\n";
        assert_eq!(read(text, "b").unwrap(), Offsets::from([(TopicPartition::new("orders", 0), 2)]));
        assert!(read(text, "c").unwrap_err().to_string().contains("no offsets of the group c"));
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_the_line() {
        for (bad, reason) in [
            ("orders,0,1\norders,one,1", "line 2"),
            ("orders,0", "line 1"),
            ("a,b,orders,0,1", "line 1"),
            ("orders,0,1\norders,0,1", "twice"),
            ("orders,0,-1", "negative"),
            ("", "no offsets"),
            ("{\"group\": \"g\"}", "form"),
        ] {
            let refused = read(bad, "g").unwrap_err().to_string();
            assert!(refused.contains(reason), "{bad}: {refused}");
        }
    }
}
