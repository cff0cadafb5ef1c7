//! A log that moves, from the side of its owner: what its copy is given, and how the copy takes its place.
//!
//! The order of the swap, so that a crash at any point leaves one log that has everything: the copy has every byte and
//! is synced; the log notes, durably, where its copy is; the copy gets the log's name, durably; the log gets
//! the name of one that is being deleted. Where both have the name after a crash, the one with the note is the old one.

use super::moving::{Source, Step, next};
use super::placement::DirectoryIndex;
use super::worker::{COPY_BYTES, DirectoryLetter, LogSize, Next, Order};
use super::{Future, LogDirectories, storage};
use crate::driver::shard_thread::{OpenLog, ShardThread};
use pelton_core::event::{Envelope, Event};
use pelton_core::model::{Offset, PartId, TopicPartition};
use pelton_core::refusal::Refusal;
use pelton_log::{Log, LogError, OsDisk, Trimmed};
use std::io;
use std::path::PathBuf;

/// Bytes that the owner may copy itself, with everybody waiting, to end a move.
const SWAP_BYTES: u64 = 1 << 20;

/// What came of putting a copy in its log's place.
pub(crate) enum Swapped {
    /// It is there. The directories are to be removed.
    Done { left_behind: Option<PathBuf> },
    /// The log has grown too much meanwhile: copy on.
    NotYet(Box<Log<OsDisk>>),
    /// The move was given up; the copy is of no use.
    GivenUp,
}

impl ShardThread {
    /// Takes what concerns the directories.
    pub(in crate::driver) fn directories_letter(&mut self, letter: DirectoryLetter) {
        match letter {
            DirectoryLetter::Failed { directory, message } => self.directory_failed(directory, &message),
            DirectoryLetter::Describe { answer } => {
                let sizes = self.logs.iter().map(|(partition, open)| LogSize {
                    partition: partition.clone(),
                    directory: open.directory,
                    bytes: open.log.size_bytes(),
                    log_end: open.log.log_end(),
                });
                let _ = answer.send(sizes.collect());
            }
            DirectoryLetter::Move { partition, to, answer } => {
                let _ = answer.send(self.begin_move(&partition, to));
            }
            DirectoryLetter::Next { partition, id, copied, answer } => {
                let _ = answer.send(self.next_of_move(&partition, id, copied));
            }
            DirectoryLetter::Swap { partition, id, copy, answer } => {
                let _ = answer.send(self.swap(&partition, id, copy));
            }
        }
    }

    /// Begins to move a log, or gives an earlier move up, where the log is where it shall be.
    fn begin_move(&mut self, partition: &TopicPartition, to: DirectoryIndex) -> Result<(), Refusal> {
        let directories = self.shared.directories.clone();
        let Some(open) = self.logs.get(partition) else {
            let offline = self.shard.offline().any(|offline| offline == partition);
            return Err(if offline {
                Refusal::Storage(directories.offline_message())
            } else {
                Refusal::ReplicaNotAvailable
            });
        };
        if directories.of(to).failure().is_some() {
            return Err(Refusal::Storage(directories.offline_message()));
        }
        if directories.moves.of(partition).is_some_and(|moving| moving.to == to) {
            return Ok(());
        }
        directories.end_move(partition);
        if open.directory != to {
            let name = super::names::suffixed(partition, super::Suffix::Future);
            directories.count(to, true);
            self.order_move(partition, to, directories.of(to).path().join(name));
        }
        Ok(())
    }

    /// Goes on with a move that the end of the broker interrupted.
    pub(in crate::driver) fn resume_move(&mut self, partition: &TopicPartition, future: Future) {
        tracing::info!(%partition, path = %future.path.display(), "going on to move the log");
        self.order_move(partition, future.directory, future.path);
    }

    fn order_move(&mut self, partition: &TopicPartition, to: DirectoryIndex, path: PathBuf) {
        let Some(open) = self.logs.get(partition) else { return };
        let (topic_id, config) = (open.topic_id, open.log.config().clone());
        let id = self.shared.directories.moves.begin(partition.clone(), topic_id, to, path.clone());
        self.driver.worker().begin(Order { partition: partition.clone(), topic_id, id, path, config });
    }

    fn next_of_move(&mut self, partition: &TopicPartition, id: u64, copied: Offset) -> Next {
        if self.shared.directories.moves.get(partition, id).is_none() {
            return Next::Gone;
        }
        let Some(open) = self.logs.get_mut(partition).filter(|open| !open.log.is_fenced()) else {
            self.shared.directories.end_move(partition);
            return Next::Gone;
        };
        let step = next(source(open), copied);
        match step {
            Step::Copy => {
                let durable = open.log.flushed_through();
                match batches(open, copied, durable) {
                    Ok(Some(batches)) => batches,
                    Ok(None) => {
                        // Compaction took what was there, and an empty segment alone tells where the log ends.
                        tracing::error!(%partition, "nothing is left at the end of the log to tell its end by, so it is not moved; append to it and ask again");
                        self.shared.directories.end_move(partition);
                        Next::Gone
                    }
                    Err(error) => {
                        tracing::error!(%partition, %error, "a log cannot be read, and is not moved");
                        self.shared.directories.end_move(partition);
                        Next::Gone
                    }
                }
            }
            Step::Wait => {
                open.wanted = open.wanted.max(Some(open.log.log_end()));
                self.to_sync.insert(partition.clone());
                Next::Step(step)
            }
            other => Next::Step(other),
        }
    }

    /// Copies what is left and puts the copy in the log's place.
    fn swap(&mut self, partition: &TopicPartition, id: u64, mut copy: Box<Log<OsDisk>>) -> Swapped {
        let directories = self.shared.directories.clone();
        let Some(moving) = directories.moves.get(partition, id) else { return Swapped::GivenUp };
        let Some(open) = self.logs.get_mut(partition).filter(|open| !open.log.is_fenced()) else {
            directories.end_move(partition);
            return Swapped::GivenUp;
        };
        let trimmed = match copy_rest(open, &mut copy) {
            Ok(Some(trimmed)) => trimmed,
            Ok(None) => return Swapped::NotYet(copy),
            Err(error) => return self.give_up(partition, &error.to_string()),
        };
        let from = open.directory;
        if let Err(error) = take_name(&directories, from, partition, moving.to, &moving.path) {
            self.driver.worker().suspect(from);
            return self.give_up(partition, &error.to_string());
        }
        let to = directories.of(moving.to);
        // From here on the copy is the log, whatever fails.
        let named = storage::sync_dir(to.path());
        let home = to.partition_path(partition);
        let removable = trimmed.removable.iter().filter_map(|file| Some(home.join(file.file_name()?)));
        self.driver.remover().remove_later(removable.collect(), 0);
        copy.rehome(home);
        self.generations += 1;
        open.generation = self.generations;
        open.directory = moving.to;
        open.syncing = false;
        open.wanted = None;
        let old = std::mem::replace(&mut open.log, *copy);
        drop(old);
        let (log_start, through) = (open.log.log_start(), open.log.log_end());
        self.shared.checkpoints.note(moving.to, partition, through, log_start);
        directories.moves.end(partition);
        directories.count(from, false);
        let left_behind = directories.set_aside(from, partition);
        if let Err(error) = &left_behind {
            tracing::warn!(%partition, %error, "what a move left behind could not be set aside; the next start removes it");
            self.driver.worker().suspect(from);
        }
        match named {
            Ok(()) => {
                tracing::info!(%partition, to = %to.path().display(), "the log was moved");
                self.step(Envelope { to: PartId::Partition(partition.clone()), event: Event::Flushed { through } });
            }
            Err(error) => self.storage_failed(partition.clone(), format!("{}: {error}", to.path().display())),
        }
        self.snapshot(vec![partition.clone()]);
        Swapped::Done { left_behind: left_behind.ok() }
    }

    fn give_up(&mut self, partition: &TopicPartition, error: &str) -> Swapped {
        tracing::error!(%partition, error, "a log cannot be moved; it stays where it is");
        if let Some(moving) = self.shared.directories.end_move(partition) {
            self.driver.worker().suspect(moving.to);
        }
        Swapped::GivenUp
    }
}

fn source(open: &OpenLog) -> Source {
    let log = &open.log;
    Source { log_start: log.log_start(), durable: log.flushed_through(), log_end: log.log_end() }
}

/// The next batches of a log below `end`.
fn batches(open: &OpenLog, from: Offset, end: Offset) -> Result<Option<Next>, LogError> {
    let Some(slice) = open.log.slice(from, end, COPY_BYTES, true)? else { return Ok(None) };
    let mut aborted = open.log.aborted_in(from, slice.next_offset);
    aborted.retain(|aborted| (from..slice.next_offset).contains(&aborted.last_offset));
    // The index has them in the order of their markers.
    aborted.sort_by_key(|aborted| aborted.last_offset);
    Ok(Some(Next::Batches { slice, aborted }))
}

/// Brings a copy to the log's end and makes it durable; nothing when that would take too long. Gives what went from the
/// copy's beginning.
fn copy_rest(open: &mut OpenLog, copy: &mut Log<OsDisk>) -> Result<Option<Trimmed>, LogError> {
    let (log_start, log_end) = (open.log.log_start(), open.log.log_end());
    let mut copied_bytes = 0;
    while copy.log_end() < log_end {
        if copied_bytes >= SWAP_BYTES || copy.log_end() < log_start {
            return Ok(None);
        }
        match batches(open, copy.log_end(), log_end)? {
            Some(Next::Batches { slice, aborted }) => {
                copied_bytes += slice.len as u64;
                super::worker::append(copy, &slice, &aborted)?;
            }
            _ => return Ok(None),
        }
    }
    if copy.log_end() > log_end {
        return Ok(None);
    }
    for epoch in open.log.leader_epochs() {
        copy.record_leader_epoch(epoch.epoch, epoch.start_offset);
    }
    let trimmed = copy.delete_before(log_start)?;
    let through = copy.flush_handle()?.sync()?;
    copy.mark_flushed(through);
    Ok(Some(trimmed))
}

/// Notes in the log where its copy is, and gives the copy its name.
fn take_name(
    directories: &LogDirectories,
    from: DirectoryIndex,
    partition: &TopicPartition,
    to: DirectoryIndex,
    copy: &std::path::Path,
) -> io::Result<()> {
    directories.mark_leaving(from, partition, to)?;
    let renamed = std::fs::rename(copy, directories.of(to).partition_path(partition));
    if renamed.is_err() {
        directories.unmark_leaving(from, partition)?;
    }
    renamed
}
