//! `pelton log repair`: what can be done about what `verify` finds.

use super::output;
use super::place::{self, Place, Policies};
use super::verify::{check, finding_json, finding_line};
use crate::cli::time;
use anyhow::{Context, anyhow, bail};
use clap::Args;
use indicatif::ProgressBar;
use pelton_log::OsDisk;
use pelton_log::inspect::Remedy;
use pelton_log::inspect::repair::{Plan, Step, apply, plan};
use serde_json::json;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Repair what `pelton log verify` finds: cut what cannot be read, write indexes again, put aside what the broker makes again.
///
/// Says what it would do; does it with --yes alone, while no broker has the directory. Whatever it takes away is copied first. The
/// exit status is 1 when damage remains that this cannot undo. With replicas, let the partition be copied from one instead.
///
/// Example: pelton log repair --yes pelton-data/orders-0
#[derive(Debug, Args)]
pub struct Repair {
    /// Log directories, or directories of partitions.
    #[arg(required = true, value_name = "DIRECTORY")]
    paths: Vec<PathBuf>,
    /// Do it, rather than say what would be done.
    #[arg(long)]
    yes: bool,
    /// Cut below what was synced too, and give up all later segments: acknowledged records are lost.
    #[arg(long)]
    lose_acknowledged: bool,
    /// Where the copies go; without it a new directory `.repair.TIME` in the log directory.
    #[arg(long, value_name = "DIRECTORY")]
    copies: Option<PathBuf>,
    /// Print each step, and each damage that remains, as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Repair {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let started = time::now_ms();
        let mut whole = true;
        for path in &self.paths {
            let (log_dir, partitions) = match Place::at(path)? {
                Place::File(path) => bail!("{} is a file; name its directory", path.display()),
                Place::Partition(dir) => (place::above(&dir).to_owned(), vec![dir]),
                Place::LogDirectory(dir, partitions) => (dir, partitions),
            };
            // Held until all of the directory is done.
            let _lock = if self.yes { take_lock(&log_dir)? } else { None };
            let copies = self.copies.clone().unwrap_or_else(|| log_dir.join(format!(".repair.{started}")));
            let policies = Policies::of(&log_dir);
            let bytes = partitions.iter().map(|dir| place::segment_bytes(dir)).sum();
            let bar = output::progress(Some(bytes), "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left");
            for dir in &partitions {
                let copies = copies.join(place::name_of(dir));
                whole &= self.partition(dir, &policies, &copies, &bar)?;
            }
            bar.finish_and_clear();
        }
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Says whether nothing remains damaged, or would.
    fn partition(&self, dir: &Path, policies: &Policies, copies: &Path, bar: &ProgressBar) -> anyhow::Result<bool> {
        let report = check(dir, policies, false, bar).map_err(|error| anyhow!("{error}"))?;
        let recovery_point = place::recovery_point(dir);
        let Plan { steps, log_end, remaining } =
            plan(&report, &place::names(dir)?, recovery_point, self.lose_acknowledged);
        for step in &steps {
            let kept = match self.yes {
                true => apply(&OsDisk, step, copies).map_err(|error| anyhow!("{error}"))?,
                false => Vec::new(),
            };
            bar.suspend(|| self.print(step, &kept));
        }
        bar.suspend(|| {
            if let Some(end) = log_end
                && !self.json
            {
                let verb = if self.yes { "ends" } else { "would end" };
                output::line(&format!("{}: the log {verb} at offset {end}", dir.display()));
            }
            for finding in &remaining {
                if self.json {
                    output::json(&finding_json(finding));
                } else {
                    output::line(&format!("remains: {}", finding_line(finding)));
                }
            }
            if report.findings.omitted > 0 {
                output::note("not all damage fits into one report; repair again when this is done");
            }
        });
        if !self.lose_acknowledged && remaining.iter().any(|finding| finding.remedy == Remedy::Cut) {
            output::note(
                "what cannot be read was synced once: restore it from a replica or a backup, or cut it with --lose-acknowledged",
            );
        }
        Ok(remaining.is_empty() && report.findings.omitted == 0)
    }

    fn print(&self, step: &Step, kept: &[PathBuf]) {
        let kept: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
        let path = step.path().display().to_string();
        let (kind, words) = match step {
            Step::Cut { position, .. } => ("cut", format!("cut {path} at byte {position}")),
            Step::SetAside { .. } => ("setAside", format!("put aside {path}")),
            Step::LowerCheckpoints { log_end, .. } => {
                ("lowerCheckpoints", format!("lower the checkpoints beside {path} to offset {log_end} at most"))
            }
            Step::Reindex { .. } => ("reindex", format!("write the indexes of {path} again where they are wrong")),
        };
        if self.json {
            let position = if let Step::Cut { position, .. } = step { Some(*position) } else { None };
            output::json(&json!({
                "type": "step", "step": kind, "path": path, "position": position, "done": self.yes, "copies": kept,
            }));
            return;
        }
        output::line(&format!("{}: {words}", if self.yes { "done" } else { "would do" }));
        kept.iter().for_each(|copy| output::line(&format!("  kept {copy}")));
    }
}

/// Takes the lock that a broker holds while it has the directory.
fn take_lock(log_dir: &Path) -> anyhow::Result<Option<File>> {
    let path = log_dir.join(".lock");
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        // No broker was ever here: the directory is a copy.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.take(32).read_to_string(&mut holder);
            bail!("{} is in use by the process {}; stop that broker first", log_dir.display(), holder.trim());
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_record::{BatchBuilder, patch_offset_and_epoch};

    fn batch(offset: i64) -> Vec<u8> {
        let mut builder = BatchBuilder::new(0);
        builder.push(0, None, Some(b"value"), &[]);
        let mut bytes = builder.into_bytes_with_crc();
        patch_offset_and_epoch(&mut bytes, offset, 0);
        bytes
    }

    fn repair(path: &Path, yes: bool) -> anyhow::Result<ExitCode> {
        let paths = vec![path.to_owned()];
        Repair { paths, yes, lose_acknowledged: false, copies: None, json: true }.run()
    }

    #[test]
    fn nothing_is_touched_without_a_yes_or_under_a_broker() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("t-0");
        std::fs::create_dir(&dir).unwrap();
        let segment = dir.join("00000000000000000000.log");
        let whole = [batch(0), batch(1)].concat();
        let torn = &whole[..whole.len() - 3];
        std::fs::write(&segment, torn).unwrap();
        let checkpoint = temporary.path().join("recovery-point-offset-checkpoint");
        std::fs::write(&checkpoint, "0\n1\nt 0 2\n").unwrap();
        // The torn batch was synced once: that takes more than a yes.
        assert_eq!(repair(&dir, true).unwrap(), ExitCode::FAILURE);
        assert_eq!(std::fs::read(&segment).unwrap(), torn);
        std::fs::write(&checkpoint, "0\n1\nt 0 1\n").unwrap();
        repair(&dir, false).unwrap();
        assert_eq!(std::fs::read(&segment).unwrap(), torn);

        let lock = File::create(temporary.path().join(".lock")).unwrap();
        lock.lock().unwrap();
        let refused = repair(&dir, true).unwrap_err().to_string();
        assert!(refused.contains("stop that broker first"), "{refused}");
        assert_eq!(std::fs::read(&segment).unwrap(), torn);

        drop(lock);
        repair(&dir, true).unwrap();
        assert_eq!(std::fs::read(&segment).unwrap(), batch(0));
        let copies = place::names(temporary.path()).unwrap().into_iter().find(|name| name.starts_with(".repair."));
        let copies = temporary.path().join(copies.unwrap()).join("t-0");
        let kept = std::fs::read(copies.join(format!("00000000000000000000.log.from-{}", batch(0).len()))).unwrap();
        assert_eq!(kept, torn[batch(0).len()..]);
    }
}
