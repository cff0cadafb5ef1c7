//! The small text files of a partition's directory: topic id, leader epochs, log start offset.

use crate::Offset;
use crate::disk::{Disk, DiskFile, temporary_path};
use crate::error::{IoContext, LogError};
use std::collections::BTreeMap;
use std::path::Path;

/// Name of the file with the topic id.
pub(crate) const METADATA_FILE: &str = "partition.metadata";
/// Name of the file with the leader epochs.
pub(crate) const EPOCHS_FILE: &str = "leader-epoch-checkpoint";
/// Name of the file with the log start offset, there only where records were deleted by offset.
pub(crate) const START_FILE: &str = "log-start-offset-checkpoint";

/// Name of the file of a log directory that says up to where each of its logs is durable.
pub const RECOVERY_POINT_FILE: &str = "recovery-point-offset-checkpoint";
/// Name of the file of a log directory that says where each of its logs starts.
pub const LOG_START_FILE: &str = START_FILE;

/// No checkpoint comes near this; a larger file is not one.
const MAX_CHECKPOINT_BYTES: usize = 64 << 20;
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Where a leader's reign begins in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    /// The leader epoch.
    pub epoch: i32,
    /// Offset of the first record that was, or will be, appended in it.
    pub start_offset: Offset,
}

/// Refuses a directory of another topic id. Says whether the directory names one at all.
pub(crate) fn check_topic_id<D: Disk>(disk: &D, dir: &Path, topic_id: u128) -> Result<bool, LogError> {
    let path = dir.join(METADATA_FILE);
    if !disk.exists(&path).context("look for", &path)? {
        return Ok(false);
    }
    let text = read_text(disk, &path)?;
    let mut lines = text.lines().map(str::trim);
    let bad = |reason: &str| LogError::Checkpoint { path: path.clone(), reason: reason.to_owned() };
    if lines.next() != Some("version: 0") {
        return Err(bad("its first line is not `version: 0`"));
    }
    let id = lines.next().and_then(|line| line.strip_prefix("topic_id: ")).and_then(decode_id);
    let found = id.ok_or_else(|| bad("its second line is not `topic_id: ` and 22 characters of base64url"))?;
    if found == topic_id { Ok(true) } else { Err(LogError::WrongTopicId { path, expected: topic_id, found }) }
}

/// Writes the topic id of the directory, and syncs the names in it.
pub(crate) fn write_topic_id<D: Disk>(disk: &D, dir: &Path, topic_id: u128) -> Result<(), LogError> {
    let path = dir.join(METADATA_FILE);
    let text = format!("version: 0\ntopic_id: {}\n", encode_id(topic_id));
    disk.write_atomic(&path, text.as_bytes()).context("write", &path)
}

/// The leader epochs on file. A file that is missing, empty or torn gives none: the batches have them too.
pub(crate) fn read_epochs<D: Disk>(disk: &D, dir: &Path) -> Result<Vec<EpochEntry>, LogError> {
    let path = dir.join(EPOCHS_FILE);
    if !disk.exists(&path).context("look for", &path)? {
        return Ok(Vec::new());
    }
    let bytes = disk.read_small(&path, MAX_CHECKPOINT_BYTES).context("read", &path)?;
    let entries = std::str::from_utf8(&bytes).ok().and_then(parse_epochs);
    if entries.is_none() {
        tracing::warn!(path = %path.display(), "the leader epochs on file are torn; those of the batches are used");
    }
    Ok(entries.unwrap_or_default())
}

fn parse_epochs(text: &str) -> Option<Vec<EpochEntry>> {
    let mut lines = text.lines();
    if lines.next()? != "0" {
        return None;
    }
    let count: usize = lines.next()?.parse().ok()?;
    let mut entries: Vec<EpochEntry> = Vec::new();
    for line in lines.by_ref() {
        let (epoch, start) = line.split_once(' ')?;
        let entry = EpochEntry { epoch: epoch.parse().ok()?, start_offset: start.parse().ok()? };
        if entries.last().is_some_and(|last| last.epoch >= entry.epoch || last.start_offset >= entry.start_offset) {
            return None;
        }
        entries.push(entry);
    }
    (entries.len() == count).then_some(entries)
}

/// Writes the leader epochs. They are not synced: after a power cut the batches tell them again.
pub(crate) fn write_epochs<D: Disk>(disk: &D, dir: &Path, entries: &[EpochEntry]) -> Result<(), LogError> {
    let path = dir.join(EPOCHS_FILE);
    let mut text = format!("0\n{}\n", entries.len());
    for EpochEntry { epoch, start_offset } in entries {
        text.push_str(&format!("{epoch} {start_offset}\n"));
    }
    let temporary = temporary_path(&path);
    let file = disk.open(&temporary, true).context("open", &temporary)?;
    file.set_len(0).context("cut", &temporary)?;
    file.write_at(text.as_bytes(), 0).context("write", &temporary)?;
    disk.rename(&temporary, &path).context("replace", &path)
}

/// Notes that `epoch` begins at `start_offset`, and drops what that contradicts. Says whether anything changed.
pub(crate) fn assign_epoch(entries: &mut Vec<EpochEntry>, epoch: i32, start_offset: Offset) -> bool {
    if epoch < 0 || entries.last().is_some_and(|last| last.epoch == epoch && last.start_offset <= start_offset) {
        return false;
    }
    entries.retain(|entry| entry.epoch < epoch && entry.start_offset < start_offset);
    entries.push(EpochEntry { epoch, start_offset });
    true
}

/// Drops the epochs that begin at or after `log_end`. Says whether anything changed.
pub(crate) fn truncate_epochs_to(entries: &mut Vec<EpochEntry>, log_end: Offset) -> bool {
    let before = entries.len();
    entries.retain(|entry| entry.start_offset < log_end);
    entries.len() != before
}

/// Drops the epochs that end before `log_start`; the one that covers it then begins there.
pub(crate) fn truncate_epochs_before(entries: &mut Vec<EpochEntry>, log_start: Offset) -> bool {
    let covering = entries.iter().rposition(|entry| entry.start_offset <= log_start);
    let Some(covering) = covering else { return false };
    let changed = covering > 0 || entries[0].start_offset != log_start;
    entries.drain(..covering);
    entries[0].start_offset = log_start;
    changed
}

/// The log start offset on file, if records were ever deleted by offset.
pub(crate) fn read_start<D: Disk>(disk: &D, dir: &Path) -> Result<Option<Offset>, LogError> {
    let path = dir.join(START_FILE);
    if !disk.exists(&path).context("look for", &path)? {
        return Ok(None);
    }
    let text = read_text(disk, &path)?;
    let lines: Vec<&str> = text.lines().collect();
    let entry = match lines[..] {
        ["0", "2", entry, again] if entry == again => Some(entry),
        _ => None,
    };
    let offset = entry.and_then(|line| line.rsplit(' ').next()).and_then(|word| word.parse().ok());
    match offset {
        Some(offset) if offset >= 0 => Ok(Some(offset)),
        _ => Err(LogError::Checkpoint { path, reason: "its entry does not stand there twice, the same".to_owned() }),
    }
}

/// Writes the log start offset, twice, since a wrong one hides records: a bit that flips in one is seen. It survives a power cut once this returns.
pub(crate) fn write_start<D: Disk>(disk: &D, dir: &Path, log_start: Offset) -> Result<(), LogError> {
    let path = dir.join(START_FILE);
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (topic, partition) = name.rsplit_once('-').unwrap_or((name, "0"));
    let entry = format!("{topic} {partition} {log_start}\n");
    let text = format!("0\n2\n{entry}{entry}");
    disk.write_atomic(&path, text.as_bytes()).context("write", &path)
}

/// What a checkpoint file of a log directory says: an offset for each partition, by topic and number.
pub type OffsetCheckpoint = BTreeMap<(String, i32), Offset>;

/// Reads a checkpoint file of a log directory, in Kafka's format, version 0. One that is not there says nothing.
///
/// # Errors
/// [`LogError::Checkpoint`] when it does not follow the format, [`LogError::Io`].
pub fn read_offsets<D: Disk>(disk: &D, path: &Path) -> Result<OffsetCheckpoint, LogError> {
    if !disk.exists(path).context("look for", path)? {
        return Ok(OffsetCheckpoint::new());
    }
    let text = read_text(disk, path)?;
    let reason = "its lines are not `0`, a number of entries, and as many of a topic, a partition and an offset";
    parse_offsets(&text).ok_or_else(|| LogError::Checkpoint { path: path.to_owned(), reason: reason.to_owned() })
}

fn parse_offsets(text: &str) -> Option<OffsetCheckpoint> {
    // Without its last line end the last number may have been cut short.
    let mut lines = text.strip_suffix('\n')?.split('\n');
    if lines.next()? != "0" {
        return None;
    }
    let count: usize = lines.next()?.parse().ok()?;
    let mut offsets = OffsetCheckpoint::new();
    for line in lines {
        let mut words = line.split(' ');
        let (topic, partition, offset) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let again = offsets.insert((topic.to_owned(), partition), offset).is_some();
        if again || offset < 0 || words.next().is_some() {
            return None;
        }
    }
    (offsets.len() == count).then_some(offsets)
}

/// Writes a checkpoint file of a log directory; it survives a power cut once this returns.
///
/// # Errors
/// [`LogError::Io`].
pub fn write_offsets<D: Disk>(disk: &D, path: &Path, offsets: &OffsetCheckpoint) -> Result<(), LogError> {
    let mut text = format!("0\n{}\n", offsets.len());
    for ((topic, partition), offset) in offsets {
        text.push_str(&format!("{topic} {partition} {offset}\n"));
    }
    disk.write_atomic(path, text.as_bytes()).context("write", path)
}

fn read_text<D: Disk>(disk: &D, path: &Path) -> Result<String, LogError> {
    let bytes = disk.read_small(path, MAX_CHECKPOINT_BYTES).context("read", path)?;
    String::from_utf8(bytes)
        .map_err(|_| LogError::Checkpoint { path: path.to_owned(), reason: "it is not UTF-8".to_owned() })
}

/// A 128-bit id as Kafka prints it: base64url without padding.
fn encode_id(id: u128) -> String {
    // 22 characters hold 132 bits; the four below the id are zero.
    (0..22)
        .map(|index| {
            BASE64URL[if index == 21 { (id << 4) as usize & 63 } else { (id >> (122 - 6 * index)) as usize & 63 }]
                as char
        })
        .collect()
}

fn decode_id(text: &str) -> Option<u128> {
    let text = text.trim_end_matches('=').as_bytes();
    if text.len() != 22 {
        return None;
    }
    let mut id = 0_u128;
    for (index, byte) in text.iter().enumerate() {
        let digit = BASE64URL.iter().position(|b| b == byte)? as u128;
        if index == 21 {
            return (digit & 15 == 0).then_some((id << 2) | (digit >> 4));
        }
        id = (id << 6) | digit;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimDisk;
    use proptest::prelude::*;

    #[test]
    fn topic_ids_are_written_as_kafka_does() {
        // The two topic ids that Kafka reserves, as its Uuid class prints them.
        assert_eq!(encode_id(0), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(encode_id(1), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(decode_id("AAAAAAAAAAAAAAAAAAAAAQ"), Some(1));
        assert_eq!(decode_id("AAAAAAAAAAAAAAAAAAAAAR"), None);
    }

    #[test]
    fn a_directory_of_another_topic_is_refused() {
        let disk = SimDisk::new();
        let dir = Path::new("/t-0");
        disk.create_dir_all(dir).unwrap();
        assert!(!check_topic_id(&disk, dir, 77).unwrap());
        write_topic_id(&disk, dir, 77).unwrap();
        assert!(check_topic_id(&disk, dir, 77).unwrap());
        let error = check_topic_id(&disk, dir, 78).unwrap_err();
        assert!(matches!(error, LogError::WrongTopicId { expected: 78, found: 77, .. }));
    }

    #[test]
    fn a_newer_epoch_replaces_what_it_contradicts() {
        let mut entries = Vec::new();
        assert!(assign_epoch(&mut entries, 1, 0));
        assert!(!assign_epoch(&mut entries, 1, 40));
        assert!(assign_epoch(&mut entries, 5, 100));
        assert!(assign_epoch(&mut entries, 6, 80));
        let starts: Vec<_> = entries.iter().map(|e| (e.epoch, e.start_offset)).collect();
        assert_eq!(starts, [(1, 0), (6, 80)]);
        assert!(truncate_epochs_before(&mut entries, 90));
        assert_eq!(entries, [EpochEntry { epoch: 6, start_offset: 90 }]);
        assert!(truncate_epochs_to(&mut entries, 90));
        assert!(entries.is_empty());
    }

    #[test]
    fn torn_epochs_are_no_epochs() {
        assert_eq!(parse_epochs("0\n1\n3 14\n"), Some(vec![EpochEntry { epoch: 3, start_offset: 14 }]));
        for torn in ["", "0\n2\n3 14\n", "0\n1\n3", "1\n0\n", "0\n2\n3 14\n3 15\n", "0\n\0\0\0"] {
            assert_eq!(parse_epochs(torn), None, "{torn:?}");
        }
    }

    #[test]
    fn offsets_are_written_as_kafka_does_and_nothing_else_is_read() {
        let disk = SimDisk::new();
        let path = Path::new("/recovery-point-offset-checkpoint");
        assert_eq!(read_offsets(&disk, path).unwrap(), OffsetCheckpoint::new());
        let offsets = OffsetCheckpoint::from([(("b-c".to_owned(), 1), 7), (("a".to_owned(), 10), 0)]);
        write_offsets(&disk, path, &offsets).unwrap();
        let text = b"0\n2\na 10 0\nb-c 1 7\n";
        assert_eq!(disk.read_small(path, 100).unwrap(), text);
        assert_eq!(read_offsets(&disk, path).unwrap(), offsets);
        for len in 0..text.len() {
            assert_eq!(parse_offsets(std::str::from_utf8(&text[..len]).unwrap()), None, "{len} bytes");
        }
        for damaged in ["1\n0\n", "0\n1\na 1 -1\n", "0\n2\na 1 1\na 1 2\n", "0\n1\na 1 1 1\n", "0\n1\n\n", "\0\0"] {
            assert_eq!(parse_offsets(damaged), None, "{damaged:?}");
        }
        disk.corrupt(path, |bytes| bytes.truncate(9)).unwrap();
        assert!(matches!(read_offsets(&disk, path), Err(LogError::Checkpoint { .. })));
    }

    proptest! {
        #[test]
        fn ids_round_trip(id: u128) {
            prop_assert_eq!(decode_id(&encode_id(id)), Some(id));
        }
    }
}
