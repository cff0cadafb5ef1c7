//! The text files: checkpoints, `partition.metadata`, `meta.properties`.

use crate::{EpochEntry, Offset};
use std::collections::BTreeMap;

/// The largest text file that is read, in bytes.
pub const MAX_TEXT_BYTES: u64 = 64 << 20;

/// A line of a checkpoint with an offset for each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOffset {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The offset.
    pub offset: Offset,
}

/// Reads a checkpoint with an offset for each partition: `0`, the number of lines, the lines. An empty file holds none, as in Kafka.
///
/// # Errors
/// Says what is wrong with it, and in which line; so does every function here.
pub fn offset_checkpoint(bytes: &[u8]) -> Result<Vec<PartitionOffset>, String> {
    checkpoint_lines(bytes, |line| {
        let (rest, offset) = line.rsplit_once(' ')?;
        let (topic, partition) = rest.rsplit_once(' ')?;
        let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
        let named = !topic.is_empty() && !topic.contains(' ') && partition >= 0 && offset >= 0;
        named.then(|| PartitionOffset { topic: topic.to_owned(), partition, offset })
    })
}

/// Reads `leader-epoch-checkpoint`, whose epochs and offsets both ascend.
pub fn leader_epochs(bytes: &[u8]) -> Result<Vec<EpochEntry>, String> {
    let entries = checkpoint_lines(bytes, |line| {
        let (epoch, start_offset) = line.split_once(' ')?;
        let entry = EpochEntry { epoch: epoch.parse().ok()?, start_offset: start_offset.parse().ok()? };
        (entry.epoch >= 0 && entry.start_offset >= 0).then_some(entry)
    })?;
    for (index, pair) in entries.windows(2).enumerate() {
        if pair[0].epoch >= pair[1].epoch || pair[0].start_offset >= pair[1].start_offset {
            return Err(format!("line {} does not ascend from the one before it", index + 4));
        }
    }
    Ok(entries)
}

fn checkpoint_lines<T>(bytes: &[u8], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let text = utf8(bytes)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if !text.ends_with('\n') {
        return Err("its last line has no end: the file is torn".to_owned());
    }
    let mut lines = text.lines();
    match lines.next() {
        Some("0") => {}
        other => return Err(format!("its first line is {:?} and not the version `0`", shortened(other.unwrap_or("")))),
    }
    let count = lines.next().unwrap_or_default();
    let count: u64 = count.parse().map_err(|_| format!("its second line is {:?} and no number", shortened(count)))?;
    let mut found = Vec::new();
    for (index, line) in lines.enumerate() {
        found.push(parse(line).ok_or_else(|| format!("line {} cannot be read: {:?}", index + 3, shortened(line)))?);
    }
    if found.len() as u64 != count {
        return Err(format!("{count} lines are announced and {} are there", found.len()));
    }
    Ok(found)
}

/// Reads `partition.metadata`: the topic id, as Kafka writes it.
pub fn partition_metadata(bytes: &[u8]) -> Result<String, String> {
    let mut lines = utf8(bytes)?.lines().map(str::trim);
    if lines.next() != Some("version: 0") {
        return Err("its first line is not `version: 0`".to_owned());
    }
    let id = lines.next().and_then(|line| line.strip_prefix("topic_id: "));
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match id {
        Some(id) if id.len() == 22 && id.chars().all(legal) => Ok(id.to_owned()),
        _ => Err("its second line is not `topic_id: ` and 22 characters of base64url".to_owned()),
    }
}

/// Reads `meta.properties` of version 0 or 1: whose directory it is.
pub fn meta_properties(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for (index, line) in utf8(bytes)?.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| format!("line {} is not `key=value`", index + 1))?;
        found.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    let node = |key: &str| found.get(key).is_some_and(|id| id.parse::<i32>().is_ok());
    match found.get("version").map(String::as_str) {
        Some("0") if node("broker.id") => Ok(found),
        Some("0") => Err("it has version 0 and no number as broker.id".to_owned()),
        Some("1") if !node("node.id") => Err("it holds no number as node.id".to_owned()),
        Some("1") if found.get("cluster.id").is_none_or(String::is_empty) => Err("it holds no cluster.id".to_owned()),
        Some("1") => Ok(found),
        Some(other) => Err(format!("it has version {:?}; versions 0 and 1 are read", shortened(other))),
        None => Err("it holds no version".to_owned()),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("byte {} is no text", error.valid_up_to()))
}

fn shortened(line: &str) -> String {
    line.chars().take(60).collect()
}
