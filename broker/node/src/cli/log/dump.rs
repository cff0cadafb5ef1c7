//! `pelton log dump`: what the files of a log hold.

use super::place::{self, Place};
use super::record::{Decode, print_batch, print_records};
use super::{output, small};
use anyhow::Context;
use clap::Args;
use pelton_log::inspect::{BatchAt, FileKind, Files as _, Piece, ReadOnly, SegmentReader};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show what the files of a log hold: segments, indexes, snapshots, checkpoints, whoever wrote them.
///
/// Prints what Kafka's kafka-dump-log prints, in the same words; with --json one object on each line. A broker may be running. Where
/// something is damaged it is named, the rest is shown, and the exit status is 1.
///
/// Example: pelton log dump --deep --json pelton-data/__consumer_offsets-12
#[derive(Debug, Args)]
pub struct Dump {
    /// Files, or directories of partitions; of a log directory its own files.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Show the records of the batches as well.
    #[arg(long)]
    deep: bool,
    /// What keys and values are; an internal topic is known by its directory.
    #[arg(long, value_enum, default_value = "auto", value_name = "KIND")]
    decode: Decode,
    /// Begin with the batch that holds this offset.
    #[arg(long, default_value_t = 0, value_name = "OFFSET")]
    from: i64,
    /// Show at most so many batches of each segment.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print each batch, record or entry as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Dump {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut whole = true;
        for path in &self.paths {
            match Place::at(path)? {
                Place::File(path) => whole &= self.file(&path)?,
                Place::Partition(dir) | Place::LogDirectory(dir, _) => whole &= self.directory(&dir)?,
            }
        }
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn directory(&self, dir: &Path) -> anyhow::Result<bool> {
        let mut whole = true;
        for name in place::names(dir)? {
            let path = dir.join(&name);
            if !matches!(FileKind::of(&name), FileKind::Other | FileKind::Leftover) && path.is_file() {
                whole &= self.file(&path)?;
            }
        }
        Ok(whole)
    }

    /// Says whether the file is as it should be.
    fn file(&self, path: &Path) -> anyhow::Result<bool> {
        let name = path.display().to_string();
        let kind = FileKind::of(&path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default());
        let file = ReadOnly.open(path).with_context(|| format!("opening {name}"))?;
        if !self.json {
            output::line(&format!("Dumping {name}"));
        }
        if let FileKind::Segment(base) = kind {
            return self.segment(&file, path, base).with_context(|| format!("reading {name}"));
        }
        match small::print(&file, &name, kind, self.json) {
            Ok(()) => Ok(true),
            Err(error) => {
                output::print_error(&error);
                Ok(false)
            }
        }
    }

    fn segment(
        &self,
        file: &<ReadOnly as pelton_log::inspect::Files>::File,
        path: &Path,
        base: i64,
    ) -> anyhow::Result<bool> {
        let name = path.display().to_string();
        let decode = self.decode.for_topic(place::topic_of(place::above(path)).as_deref());
        let mut reader = SegmentReader::new(file, base)?;
        if !self.json {
            output::line(&format!("Log starting offset: {base}"));
        }
        let (mut whole, mut shown, mut old) = (true, 0, false);
        while let Some(piece) = reader.next_piece()? {
            match piece {
                Piece::Batch(batch) if batch.header.last_offset() < self.from => whole &= batch.problem.is_none(),
                Piece::Batch(batch) => {
                    if self.limit.is_some_and(|limit| shown >= limit) {
                        return Ok(whole);
                    }
                    shown += 1;
                    whole &= self.batch(&mut reader, &name, &batch, decode)?;
                }
                Piece::Old(message) => {
                    if !old {
                        self.remark(&name, message.position, "oldFormat", OLD_FORMAT);
                    }
                    (old, whole) = (true, false);
                    let (position, offset, len, magic) = (message.position, message.offset, message.len, message.magic);
                    if self.json {
                        output::json(&json!({
                            "type": "message", "file": name, "position": position, "offset": offset, "size": len, "magic": magic,
                        }));
                    } else {
                        output::line(&format!("offset: {offset} position: {position} size: {len} magic: {magic}"));
                    }
                }
                Piece::Damage { position, len, reason } => {
                    whole = false;
                    self.remark(&name, position, "damage", &format!("{len} bytes are no batch: {reason}"));
                }
                Piece::Reserved { position, len } => {
                    let text = format!("{len} zeros up to the end of the file, reserved for what comes");
                    self.remark(&name, position, "reserved", &text);
                }
            }
        }
        Ok(whole)
    }

    fn batch<F: pelton_log::DiskFile>(
        &self,
        reader: &mut SegmentReader<'_, F>,
        name: &str,
        batch: &BatchAt,
        decode: Decode,
    ) -> anyhow::Result<bool> {
        print_batch(name, batch, self.json);
        // Records of a batch whose CRC does not fit are not what somebody wrote.
        if !self.deep || batch.problem.is_some() {
            return Ok(batch.problem.is_none());
        }
        let problem = match reader.batch_bytes(batch)? {
            Some(bytes) => print_records(&bytes, batch, self.from, decode, self.json),
            None => Some("the batch is too large to open its records".to_owned()),
        };
        if let Some(problem) = &problem {
            self.remark(name, batch.position, "damage", &format!("the records cannot be read: {problem}"));
        }
        Ok(problem.is_none())
    }

    fn remark(&self, file: &str, position: u64, kind: &str, text: &str) {
        if self.json {
            output::json(&json!({ "type": kind, "file": file, "position": position, "reason": text }));
        } else {
            output::line(&format!("position: {position} {kind}: {text}"));
        }
    }
}

/// What is to be said of messages of format 0 and 1.
const OLD_FORMAT: &str = "messages of format 0 or 1, which Kafka wrote before 0.11, are listed and not opened; \
     have Apache Kafka 3.x mirror the topic into a new one, which writes format 2";
