//! Whether the files of a log directory are whole and agree with its partitions.

use super::{FileKind, Files, Findings, Remedy, read_whole, text, topic_partition};
use crate::Offset;
use crate::error::{IoContext, LogError};
use std::collections::BTreeMap;
use std::path::Path;

/// What is in a log directory.
#[derive(Debug)]
pub struct DirectoryReport {
    /// What is wrong with its own files.
    pub findings: Findings,
    /// Names of the directories in it that are partitions', in order.
    pub partitions: Vec<String>,
}

/// Looks at the files of the log directory `dir` itself. `ends` gives, by the name of a partition's directory, the first and the end
/// offset of its log where it could be read; the checkpoints are held against that.
///
/// # Errors
/// When the directory cannot be listed.
pub fn verify_directory<S: Files>(
    files: &S,
    dir: &Path,
    ends: &BTreeMap<String, (Offset, Offset)>,
) -> Result<DirectoryReport, LogError> {
    let names = files.list(dir).context("list", dir)?;
    let partitions = names.iter().filter(|name| topic_partition(name).is_some()).cloned().collect();
    let mut report = DirectoryReport { findings: Findings::default(), partitions };
    for name in &names {
        let (kind, path) = (FileKind::of(name), dir.join(name));
        if !matches!(kind, FileKind::OffsetCheckpoint | FileKind::MetaProperties) {
            continue;
        }
        let bytes = files.open(&path).and_then(|file| read_whole(&file, text::MAX_TEXT_BYTES));
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                report.findings.damage(&path, None, Remedy::None, format!("cannot be read: {error}"));
                continue;
            }
        };
        if kind == FileKind::MetaProperties {
            if let Err(reason) = text::meta_properties(&bytes) {
                report.findings.damage(&path, None, Remedy::None, reason);
            }
            continue;
        }
        match text::offset_checkpoint(&bytes) {
            Err(reason) => report.findings.damage(&path, None, Remedy::None, reason),
            Ok(lines) => check_lines(&path, name, &lines, ends, &mut report.findings),
        }
    }
    Ok(report)
}

fn check_lines(
    path: &Path,
    name: &str,
    lines: &[text::PartitionOffset],
    ends: &BTreeMap<String, (Offset, Offset)>,
    findings: &mut Findings,
) {
    let meaning = match name {
        "recovery-point-offset-checkpoint" => "what was synced reaches to",
        "log-start-offset-checkpoint" => "the log begins at",
        "cleaner-offset-checkpoint" => "compaction has come to",
        _ => "what was acknowledged reaches to",
    };
    for line in lines {
        let partition = format!("{}-{}", line.topic, line.partition);
        let Some((_, end)) = ends.get(&partition) else { continue };
        if line.offset > *end {
            let reason = format!("{partition}: {meaning} offset {}, and the log ends at {end}", line.offset);
            findings.damage(path, None, Remedy::None, reason);
        }
    }
}
