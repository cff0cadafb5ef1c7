//! Where the files are that an argument means, and what is known of them beforehand.

use anyhow::{Context, bail};
use pelton_core::cluster::{broker_configs_in_record, topic_in_record};
use pelton_core::model::TopicId;
use pelton_log::inspect::{
    Compaction, FileKind, Files as _, Piece, ReadOnly, SegmentReader, read_whole, text, topic_partition,
};
use pelton_record::{BatchView, uncompressed_batch};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The internal topics, which are compacted wherever they are.
const COMPACTED: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__cluster_metadata"];

/// What an argument means.
pub enum Place {
    /// One file.
    File(PathBuf),
    /// A partition's directory.
    Partition(PathBuf),
    /// A log directory, with the directories of its partitions.
    LogDirectory(PathBuf, Vec<PathBuf>),
}

impl Place {
    /// What is at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is a directory without any file of a log.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let named;
        // Of `.` and `..` the name says nothing, and the name tells the topic.
        let path = match path.file_name() {
            Some(_) => path,
            None => {
                named = std::fs::canonicalize(path).with_context(|| format!("reading {}", path.display()))?;
                &named
            }
        };
        let kind = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
        if !kind.is_dir() {
            return Ok(Self::File(path.to_owned()));
        }
        if is_partition(path)? {
            return Ok(Self::Partition(path.to_owned()));
        }
        let mut partitions = Vec::new();
        for name in names(path)? {
            let dir = path.join(&name);
            // A directory that is being deleted, or was put aside, is looked at when it is named.
            if topic_partition(&name).is_some() && dir.is_dir() {
                partitions.push(dir);
            }
        }
        let named = |name: &String| matches!(FileKind::of(name), FileKind::MetaProperties | FileKind::OffsetCheckpoint);
        if partitions.is_empty() && !names(path)?.iter().any(named) {
            bail!("{} holds no log; name a log directory, a partition's directory or a file", path.display());
        }
        Ok(Self::LogDirectory(path.to_owned(), partitions))
    }
}

fn is_partition(dir: &Path) -> anyhow::Result<bool> {
    let of_a_segment = |name: &String| {
        matches!(FileKind::of(name), FileKind::Segment(_) | FileKind::PartitionMetadata | FileKind::OffsetIndex(_))
    };
    Ok(names(dir)?.iter().any(of_a_segment))
}

/// The names in a directory, sorted.
///
/// # Errors
/// When it cannot be listed.
pub fn names(dir: &Path) -> anyhow::Result<Vec<String>> {
    ReadOnly.list(dir).with_context(|| format!("listing {}", dir.display()))
}

/// The directory above, which for `t-0` is the one that the program runs in.
pub fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The name of a directory, as it is written even where the argument was `.`.
pub fn name_of(dir: &Path) -> String {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The topic whose partition the directory is.
pub fn topic_of(dir: &Path) -> Option<String> {
    topic_partition(&name_of(dir)).map(|(topic, _)| topic.to_owned())
}

/// Bytes of the segments in a partition's directory.
pub fn segment_bytes(dir: &Path) -> u64 {
    let names = names(dir).unwrap_or_default();
    let segments = names.iter().filter(|name| matches!(FileKind::of(name), FileKind::Segment(_)));
    segments.filter_map(|name| dir.join(name).metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Up to which offset the log of a partition was synced, where the checkpoint of its log directory tells.
pub fn recovery_point(dir: &Path) -> Option<i64> {
    let name = name_of(dir);
    let (topic, partition) = topic_partition(&name)?;
    let file = ReadOnly.open(&above(dir).join("recovery-point-offset-checkpoint")).ok()?;
    let lines = text::offset_checkpoint(&read_whole(&file, text::MAX_TEXT_BYTES).ok()?).ok()?;
    lines.iter().find(|line| line.topic == topic && line.partition == partition).map(|line| line.offset)
}

/// In which topics compaction may have left gaps, as far as somebody says: the command line, or the broker's own
/// `__cluster_metadata-0` in the same log directory. What a broker was started with is written nowhere.
#[derive(Default)]
pub struct Policies {
    said: Option<Compaction>,
    topics: BTreeMap<String, TopicPolicy>,
    /// Whether `log.cleanup.policy` has `compact`, by the id of the broker that it was set for at run time; no id: for all.
    brokers: BTreeMap<String, bool>,
}

/// What is known of a topic's own `cleanup.policy`.
struct TopicPolicy {
    id: TopicId,
    /// Whether it has `compact`; nothing, where the topic has none of its own.
    compact: Option<bool>,
    /// Whether it was another one before.
    changed: bool,
}

impl Policies {
    /// Reads them. What cannot be read tells nothing: a log directory of Kafka has another kind of metadata.
    pub fn of(log_dir: &Path) -> Self {
        let mut policies = Self::default();
        if policies.read(&log_dir.join("__cluster_metadata-0")).is_err() {
            // Half of it could say of a topic what was changed later.
            policies = Self::default();
        }
        policies
    }

    /// What holds for every topic but the internal ones, whatever is written, if anything is said.
    pub fn said(self, said: Option<Compaction>) -> Self {
        Self { said, ..self }
    }

    /// Whether compaction removes or removed offsets of the topic.
    pub fn compaction(&self, topic: Option<&str>) -> Compaction {
        if topic.is_some_and(|topic| COMPACTED.contains(&topic)) {
            return Compaction::Done;
        }
        if let Some(said) = self.said {
            return said;
        }
        let Some(topic) = topic.and_then(|topic| self.topics.get(topic)) else { return Compaction::Unknown };
        match topic.compact {
            Some(true) => Compaction::Done,
            Some(false) if !topic.changed => Compaction::Off,
            None if self.brokers.values().any(|compact| *compact) => Compaction::Done,
            Some(false) | None => Compaction::Unknown,
        }
    }

    fn read(&mut self, dir: &Path) -> std::io::Result<()> {
        for name in ReadOnly.list(dir)? {
            let FileKind::Segment(base) = FileKind::of(&name) else { continue };
            let file = ReadOnly.open(&dir.join(&name))?;
            let mut reader = SegmentReader::new(&file, base)?;
            while let Some(piece) = reader.next_piece()? {
                let Piece::Batch(batch) = piece else { continue };
                let Some(bytes) = reader.batch_bytes(&batch)? else { continue };
                let Ok(view) = BatchView::parse(&bytes) else { continue };
                let Ok(whole) = uncompressed_batch(&view, super::DECOMPRESS_MAX_BYTES) else { continue };
                let records = BatchView::parse(&whole).and_then(|view| view.records()).into_iter().flatten();
                for record in records.map_while(Result::ok) {
                    self.take(record.key.unwrap_or_default(), record.value);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: Option<&[u8]>) {
        if let Some((name, topic)) = topic_in_record(key, value) {
            let (id, compact) = (topic.id, topic.configs.get("cleanup.policy").map(|policy| has_compact(policy)));
            let former = self.topics.remove(&*name).filter(|former| former.id == id);
            let changed = former.is_some_and(|former| former.changed || former.compact != compact);
            self.topics.insert(name.to_string(), TopicPolicy { id, compact, changed });
        } else if let Some((broker, configs)) = broker_configs_in_record(key, value) {
            let compact = configs.get("log.cleanup.policy").is_some_and(|policy| has_compact(policy));
            self.brokers.insert(broker.to_string(), compact);
        }
    }
}

fn has_compact(policy: &str) -> bool {
    policy.split(',').any(|word| word.trim() == "compact")
}

#[cfg(test)]
mod tests {
    use super::Compaction::{Done, Never, Off, Unknown};
    use super::*;
    use pelton_record::BatchBuilder;

    #[test]
    fn a_directory_is_known_by_what_is_in_it() {
        let temporary = tempfile::tempdir().unwrap();
        let data = temporary.path();
        assert!(Place::at(data).is_err(), "there is nothing in it");
        assert!(Place::at(&data.join("missing")).is_err());
        for dir in ["t-0", "t-10", "t-1.0123-delete", "lost+found"] {
            std::fs::create_dir(data.join(dir)).unwrap();
        }
        let segment = data.join("t-0/00000000000000000000.log");
        std::fs::write(&segment, [0; 7]).unwrap();
        let Place::LogDirectory(_, partitions) = Place::at(data).unwrap() else { panic!("it is a log directory") };
        assert_eq!(partitions, [data.join("t-0"), data.join("t-10")]);
        assert!(matches!(Place::at(&data.join("t-0")).unwrap(), Place::Partition(_)));
        assert!(matches!(Place::at(&segment).unwrap(), Place::File(_)));
        assert_eq!((segment_bytes(&data.join("t-0")), topic_of(&data.join("t-0")).as_deref()), (7, Some("t")));
        assert_eq!(above(Path::new("t-0")), Path::new("."));
    }

    /// Policies as records of the cluster image tell them: key and value, in order.
    fn written(records: &[(&str, &str)]) -> Policies {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("__cluster_metadata-0");
        std::fs::create_dir(&dir).unwrap();
        let mut builder = BatchBuilder::new(0);
        for (key, value) in records {
            builder.push(0, Some(key.as_bytes()), Some(value.as_bytes()), &[]);
        }
        std::fs::write(dir.join("00000000000000000000.log"), builder.into_bytes_with_crc()).unwrap();
        Policies::of(temporary.path())
    }

    fn topic(id: &str, configs: &str) -> String {
        format!(r#"{{"version":1,"id":"{id}","partitions":1,"configs":{configs},"internal":false}}"#)
    }

    const DELETE: &str = r#"{"cleanup.policy":"delete"}"#;
    const COMPACT: &str = r#"{"cleanup.policy":"delete, compact"}"#;

    #[test]
    fn the_metadata_tells_which_topics_are_compacted() {
        let temporary = tempfile::tempdir().unwrap();
        let nobody = Policies::of(temporary.path());
        assert_eq!(["t", "__consumer_offsets"].map(|name| nobody.compaction(Some(name))), [Unknown, Done]);
        let policies = written(&[
            (r#"{"topic":"compact"}"#, &topic("05", COMPACT)),
            (r#"{"topic":"delete"}"#, &topic("06", DELETE)),
            (r#"{"topic":"by-broker"}"#, &topic("07", "{}")),
            (r#"{"topic":"was-compact"}"#, &topic("08", COMPACT)),
            (r#"{"topic":"was-compact"}"#, &topic("08", DELETE)),
            (r#"{"topic":"made-again"}"#, &topic("09", COMPACT)),
            (r#"{"topic":"made-again"}"#, &topic("0a", DELETE)),
        ]);
        let names = ["compact", "delete", "by-broker", "was-compact", "made-again", "unknown", "__consumer_offsets"];
        let told = names.map(|topic| policies.compaction(Some(topic)));
        assert_eq!(told, [Done, Off, Unknown, Unknown, Off, Unknown, Done]);
    }

    #[test]
    fn a_broker_s_policy_holds_where_the_topic_has_none_and_what_is_said_goes_first() {
        let broker = r#"{"version":1,"configs":{"log.cleanup.policy":"compact"}}"#;
        let records = [
            (r#"{"topic":"own"}"#, topic("05", DELETE)),
            (r#"{"topic":"none"}"#, topic("06", "{}")),
            (r#"{"broker":""}"#, broker.to_owned()),
        ];
        let policies = || written(&records.each_ref().map(|(key, value)| (*key, value.as_str())));
        let names = ["own", "none", "unknown", "__transaction_state"];
        for (said, wanted) in
            [(None, [Off, Done, Unknown, Done]), (Some(Done), [Done; 4]), (Some(Never), [Never, Never, Never, Done])]
        {
            let policies = policies().said(said);
            assert_eq!(names.map(|name| policies.compaction(Some(name))), wanted, "{said:?}");
        }
    }
}
