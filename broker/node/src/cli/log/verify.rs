//! `pelton log verify`: whether the files of a log are whole and agree with each other.

use super::place::{self, Place, Policies};
use super::{DECOMPRESS_MAX_BYTES, output};
use anyhow::{anyhow, bail};
use clap::Args;
use indicatif::ProgressBar;
use pelton_log::inspect::{
    Checks, Compaction, Finding, Findings, MAX_FINDINGS, PartitionReport, ReadOnly, Remedy, Severity, verify_directory,
    verify_partition,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Check the files of a log: every CRC, the order of offsets and epochs, the indexes, snapshots and checkpoints against the batches.
///
/// Reports each damage with file, position and reason, and changes nothing. The exit status is 1 when anything is damaged. While a
/// broker runs, the end of a segment that it is writing may look torn.
///
/// Offsets that are missing between batches are damage where a digest of the broker says that none were, or where nothing compacts
/// the topic; they are passed over where the topic is compacted; and they are a warning where neither is known. The files do not
/// say what a broker was started with, nor how a topic of Apache Kafka is set: then say it with --compacted or --not-compacted.
///
/// Example: pelton log verify --deep pelton-data
#[derive(Debug, Args)]
pub struct Verify {
    /// Log directories, or directories of partitions.
    #[arg(required = true, value_name = "DIRECTORY")]
    paths: Vec<PathBuf>,
    /// Open the records of every batch as well.
    #[arg(long)]
    deep: bool,
    /// These topics are or were compacted, so offsets may be missing.
    #[arg(long, conflicts_with = "not_compacted")]
    compacted: bool,
    /// These topics were never compacted, so missing offsets are damage. Internal topics are compacted always.
    #[arg(long)]
    not_compacted: bool,
    /// Print each finding, and a summary of each partition, as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What all of it came to.
#[derive(Debug, Default)]
struct Total {
    partitions: u64,
    segments: u64,
    batches: u64,
    records: u64,
    bytes: u64,
    damages: u64,
    warnings: u64,
}

impl Verify {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let places = self.paths.iter().map(|path| Place::at(path)).collect::<anyhow::Result<Vec<_>>>()?;
        let bytes = places.iter().map(Place::bytes).sum();
        let bar = output::progress(Some(bytes), "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left");
        let mut total = Total::default();
        for place in &places {
            match place {
                Place::File(path) => {
                    bail!("{} is a file; name its directory: files are checked against each other", path.display());
                }
                Place::Partition(dir) => {
                    let policies = Policies::of(place::above(dir)).said(self.said());
                    self.partition(dir, &policies, &bar, &mut total);
                }
                Place::LogDirectory(dir, partitions) => self.log_directory(dir, partitions, &bar, &mut total)?,
            }
        }
        bar.finish_and_clear();
        self.print_total(&total);
        Ok(if total.damages == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What the command line says of compaction.
    fn said(&self) -> Option<Compaction> {
        match (self.compacted, self.not_compacted) {
            (true, _) => Some(Compaction::Done),
            (_, true) => Some(Compaction::Never),
            (false, false) => None,
        }
    }

    fn log_directory(
        &self,
        dir: &Path,
        partitions: &[PathBuf],
        bar: &ProgressBar,
        total: &mut Total,
    ) -> anyhow::Result<()> {
        let policies = Policies::of(dir).said(self.said());
        let mut ends = BTreeMap::new();
        for partition in partitions {
            if let Some(report) = self.partition(partition, &policies, bar, total)
                && let (Some(start), Some(end)) = (report.log_start(), report.log_end())
            {
                ends.insert(place::name_of(partition), (start, end));
            }
        }
        let report = verify_directory(&ReadOnly, dir, &ends).map_err(|error| anyhow!("{error}"))?;
        self.print_findings(&report.findings, bar, total);
        Ok(())
    }

    /// A partition that cannot be read at all is one damage; the others are looked at all the same.
    fn partition(
        &self,
        dir: &Path,
        policies: &Policies,
        bar: &ProgressBar,
        total: &mut Total,
    ) -> Option<PartitionReport> {
        let report = match check(dir, policies, self.deep, bar) {
            Ok(report) => report,
            // A broker that runs has deleted the topic meanwhile.
            Err(_) if !dir.exists() => return None,
            Err(error) => {
                total.damages += 1;
                let path = dir.to_owned();
                let (severity, remedy) = (Severity::Damage, Remedy::None);
                self.print(&Finding { path, position: None, severity, reason: error.to_string(), remedy }, bar);
                return None;
            }
        };
        total.partitions += 1;
        total.segments += report.segments.len() as u64;
        total.batches += report.batches;
        total.records += report.records;
        total.bytes += report.bytes;
        self.print_findings(&report.findings, bar, total);
        if self.json {
            bar.suspend(|| output::json(&summary(&report)));
        }
        Some(report)
    }

    fn print_findings(&self, findings: &Findings, bar: &ProgressBar, total: &mut Total) {
        findings.list.iter().for_each(|finding| self.print(finding, bar));
        total.damages += findings.damages();
        total.warnings += findings.list.iter().filter(|finding| finding.severity == Severity::Warning).count() as u64;
        if findings.omitted > 0 && !self.json {
            let text = format!("{} more damages are not listed; {MAX_FINDINGS} are", findings.omitted);
            bar.suspend(|| output::line(&text));
        }
    }

    fn print(&self, finding: &Finding, bar: &ProgressBar) {
        bar.suspend(|| {
            if self.json { output::json(&finding_json(finding)) } else { output::line(&finding_line(finding)) }
        });
    }

    fn print_total(&self, total: &Total) {
        if self.json {
            output::json(&json!({
                "type": "total", "partitions": total.partitions, "segments": total.segments, "batches": total.batches,
                "records": total.records, "bytes": total.bytes, "damages": total.damages, "warnings": total.warnings,
            }));
            return;
        }
        output::line(&format!(
            "{} partitions, {} segments, {} batches, {} records, {}: {}, {}",
            output::grouped(total.partitions),
            output::grouped(total.segments),
            output::grouped(total.batches),
            output::grouped(total.records),
            output::size(total.bytes),
            counted(total.damages, "damage", "damages"),
            counted(total.warnings, "warning", "warnings"),
        ));
        if total.damages > 0 {
            output::note(
                "`pelton log repair DIRECTORY` says what can be done about it, and changes nothing without --yes",
            );
        }
    }
}

impl Place {
    /// Bytes of all its segments.
    fn bytes(&self) -> u64 {
        match self {
            Self::File(_) => 0,
            Self::Partition(dir) => place::segment_bytes(dir),
            Self::LogDirectory(_, partitions) => partitions.iter().map(|dir| place::segment_bytes(dir)).sum(),
        }
    }
}

/// Looks at a partition.
///
/// # Errors
/// When its files cannot be read.
pub fn check(
    dir: &Path,
    policies: &Policies,
    deep: bool,
    bar: &ProgressBar,
) -> Result<PartitionReport, pelton_log::LogError> {
    let compaction = policies.compaction(place::topic_of(dir).as_deref());
    let checks = Checks { deep, compaction, decompress_max_bytes: DECOMPRESS_MAX_BYTES };
    verify_partition(&ReadOnly, dir, &checks, &mut |bytes| bar.inc(bytes))
}

/// A finding in one line: `damage FILE at byte N: REASON`.
pub fn finding_line(finding: &Finding) -> String {
    let at = finding.position.map(|position| format!(" at byte {position}")).unwrap_or_default();
    format!("{} {}{at}: {}", severity(finding.severity), finding.path.display(), finding.reason)
}

/// A finding as JSON.
pub fn finding_json(finding: &Finding) -> Value {
    let remedy = match finding.remedy {
        Remedy::None => "none",
        Remedy::Cut => "cut",
        Remedy::Reindex => "reindex",
        Remedy::SetAside => "setAside",
    };
    json!({
        "type": severity(finding.severity), "file": finding.path.display().to_string(), "position": finding.position,
        "reason": finding.reason, "remedy": remedy,
    })
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Damage => "damage",
        Severity::Warning => "warning",
    }
}

fn summary(report: &PartitionReport) -> Value {
    json!({
        "type": "partition", "directory": report.dir.display().to_string(), "logStart": report.log_start(),
        "logEnd": report.log_end(), "segments": report.segments.len(), "batches": report.batches,
        "records": report.records, "bytes": report.bytes, "damages": report.findings.damages(),
        "omitted": report.findings.omitted,
    })
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", output::grouped(number), if number == 1 { one } else { many })
}
