//! The log directories of the broker (`log.dirs`): which are there, which has which partition, what moves where.
//!
//! What it does: it takes the directories at the start, finds the log of a partition in whichever has it, gives a new
//! one its place, and takes a directory offline that fails. What it does not do: it opens no log, and what becomes
//! of a partition it leaves to [`placement`].
//!
//! Invariants: every directory that is used is locked and belongs to this node and cluster; a directory that is
//! offline is not used again before the next start; a partition is in one directory, or nowhere.

pub mod moving;
pub mod names;
pub(in crate::driver) mod offline;
pub mod placement;
mod questions;
mod swap;
pub(crate) mod worker;

use super::storage::{self, DataDirectory};
use crate::config::StartError;
use crate::seldom::Seldom;
use moving::{Move, Moves};
use names::Suffix;
use pelton_core::model::{METADATA_TOPIC, TopicId, TopicPartition};
use pelton_log::{Log, LogError, OsDisk};
use pelton_record::BatchHeader;
use placement::{DirectoryIndex, Found, Placement, Room, Stands};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// In the directory of a log whose copy is about to take its place: the `directory.id` of where the copy is.
const MOVING_TO: &str = "moving-to";
/// How often the log says of one partition that it cannot be read, and of how many partitions.
const UNREAD_SAID: (Duration, usize) = (Duration::from_secs(60), 4_096);

/// All log directories, in the order of `log.dirs`.
#[derive(Debug)]
pub struct LogDirectories {
    directories: Vec<DataDirectory>,
    cluster_id: String,
    /// Where the log of the cluster image is.
    metadata: DirectoryIndex,
    /// Logs that move from one directory to another.
    pub moves: Moves,
    /// Directories of partitions that could not be read, since readers come back.
    unread: Seldom<PathBuf>,
    /// Whether the partitions that existed before this start are all open.
    started: AtomicBool,
    /// Why the broker cannot go on, from then on.
    broken: watch::Sender<Option<String>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Logs in each directory, copies that move there included.
    partitions: Vec<usize>,
    /// Copies from before this start that nobody has claimed yet.
    futures: Vec<Future>,
    /// Paths that are to be removed.
    doomed: Vec<PathBuf>,
}

/// A copy of a log that had not taken its place when the broker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Future {
    /// The partition's index; the topic is told by its id.
    pub partition: i32,
    /// As `partition.metadata` writes it.
    pub topic_id: String,
    /// The directory that it is in.
    pub directory: DirectoryIndex,
    /// Where it is.
    pub path: PathBuf,
}

/// Where a partition was found or put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// There.
    At {
        /// The directory.
        directory: DirectoryIndex,
        /// A copy in another directory that was to take its place, and can go on.
        future: Option<Future>,
    },
    /// In a directory that is offline.
    Offline(String),
}

impl LogDirectories {
    /// Takes every directory. One that cannot be written is offline, and so is what is in it; the broker starts with
    /// the others as long as the log of the cluster image is among them.
    ///
    /// # Errors
    /// [`StartError::InUse`], [`StartError::BadDirectory`]; [`StartError::Unwritable`] when too little is left.
    pub fn open(paths: &[PathBuf], node_id: i32) -> Result<Self, StartError> {
        let mut cluster_id = paths.iter().find_map(|path| storage::peek_cluster_id(path, node_id));
        let mut directories: Vec<DataDirectory> = Vec::with_capacity(paths.len());
        let mut first_failure = None;
        for path in paths {
            if let Some(same) = same_directory(paths, path) {
                return Err(StartError::BadDirectory { path: path.clone(), reason: same });
            }
            match DataDirectory::open(path, node_id, cluster_id.as_deref()) {
                Ok(directory) => {
                    if let Some(other) = directories.iter().find(|d| d.directory_id() == directory.directory_id()) {
                        let reason = format!("it is a copy of {}, with the same directory.id", other.path().display());
                        return Err(StartError::BadDirectory { path: path.clone(), reason });
                    }
                    cluster_id.get_or_insert_with(|| directory.cluster_id().to_owned());
                    directories.push(directory);
                }
                Err(StartError::Unwritable { path, reason }) => {
                    tracing::error!(path = %path.display(), reason, "a log directory cannot be used; the partitions in it are offline");
                    directories.push(DataDirectory::offline(&path, reason.clone()));
                    first_failure.get_or_insert(StartError::Unwritable { path, reason });
                }
                Err(other) => return Err(other),
            }
        }
        let mut state = State { partitions: vec![0; directories.len()], futures: Vec::new(), doomed: Vec::new() };
        let metadata = match survey(&directories, &mut state) {
            Ok(Some(found)) => found,
            Ok(None) => match first_failure {
                // The directory that cannot be used may have it: beginning it anew would forget every topic.
                Some(failure) => return Err(failure),
                None => no_cluster_yet(&directories, &state)?,
            },
            Err((path, error)) => return Err(StartError::Unwritable { path, reason: error.to_string() }),
        };
        Ok(Self {
            directories,
            cluster_id: cluster_id.unwrap_or_default(),
            metadata,
            moves: Moves::default(),
            unread: Seldom::new(UNREAD_SAID.0, UNREAD_SAID.1),
            started: AtomicBool::new(false),
            broken: watch::Sender::new(None),
            state: Mutex::new(state),
        })
    }

    /// `cluster.id`.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// `directory.id` of the directory that has the log of the cluster image.
    pub fn metadata_directory_id(&self) -> Uuid {
        storage::uuid_of_base64url(self.of(self.metadata).directory_id()).unwrap_or_default()
    }

    /// Records of a log could not be read: says so in the log, once a minute for each partition.
    pub fn note_unread(&self, error: &LogError) {
        let (LogError::Damaged { path, .. } | LogError::Io { path, .. }) = error else { return };
        self.note_unread_at(path, error);
    }

    /// As [`LogDirectories::note_unread`], of the file at `path`.
    pub fn note_unread_at(&self, path: &Path, error: &dyn std::fmt::Display) {
        let partition = path.parent().unwrap_or(path).to_owned();
        if let Some(left_out) = self.unread.may_say(partition) {
            let file = path.display();
            tracing::error!(%file, %error, left_out, "records cannot be read, and are kept from their readers; left_out counts what was not said of this partition since");
        }
    }

    /// All directories, in the order of `log.dirs`.
    pub fn all(&self) -> &[DataDirectory] {
        &self.directories
    }

    /// The directories that can be used.
    pub fn online(&self) -> impl Iterator<Item = (DirectoryIndex, &DataDirectory)> {
        let all = self.directories.iter().enumerate();
        all.filter(|(_, directory)| directory.failure().is_none()).map(|(index, d)| (DirectoryIndex(index), d))
    }

    /// One directory.
    pub fn of(&self, index: DirectoryIndex) -> &DataDirectory {
        &self.directories[index.0]
    }

    /// The directory at `path`, as a client names it: absolute, or as it stands in `log.dirs`.
    pub fn named(&self, path: &str) -> Option<DirectoryIndex> {
        let named = Path::new(path);
        let found = self.directories.iter().position(|d| d.path() == named || absolute(d.path()) == named);
        found.map(DirectoryIndex)
    }

    /// Finds the log of a partition, or gives a new one its place. Logs of earlier topics of that name are moved
    /// aside, and what a finished move left behind goes.
    ///
    /// # Errors
    /// What the operating system says, or that two directories have the partition; one line that says what to do.
    pub fn place(&self, partition: &TopicPartition, topic_id: TopicId) -> Result<Place, String> {
        let mut found = Vec::new();
        for (index, directory) in self.online() {
            let has = directory.has_partition(partition, topic_id);
            if has.map_err(|error| format!("{}: {error}", directory.partition_path(partition).display()))? {
                found.push(Found { directory: index, stands: self.stands(&directory.partition_path(partition)) });
            }
        }
        let mut state = self.state();
        let is_metadata = &*partition.topic == METADATA_TOPIC;
        let existed = !self.started.load(Ordering::SeqCst);
        let rooms: Vec<Room> = self.directories.iter().zip(&state.partitions).map(room).collect();
        let placement = match placement::place(&found, &rooms, existed) {
            Placement::New(_) | Placement::Offline if is_metadata => Placement::New(self.metadata),
            other => other,
        };
        let directory = match placement {
            Placement::New(directory) => directory,
            Placement::At { directory, was_leaving, left_behind } => {
                if was_leaving {
                    let path = self.of(directory).partition_path(partition);
                    unmark(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                }
                for index in left_behind {
                    let path = self.set_aside(index, partition).map_err(|error| error.to_string())?;
                    state.doomed.push(path);
                }
                directory
            }
            Placement::Offline => return Ok(Place::Offline(self.offline_message())),
            Placement::Twice(first, second) => {
                let path = |index| self.of(index).partition_path(partition).display().to_string();
                let (first, second) = (path(first), path(second));
                return Err(format!("{first} and {second} are two logs of one partition; move one of them away"));
            }
        };
        if !is_metadata {
            state.partitions[directory.0] += 1;
        }
        let id = storage::base64url(Uuid::from_u128(topic_id.0));
        let claimed = state.futures.iter().position(|future| {
            (future.partition, &future.topic_id) == (partition.partition, &id) && future.directory != directory
        });
        let future = claimed.map(|index| state.futures.swap_remove(index));
        Ok(Place::At { directory, future })
    }

    /// Gives a log that is not needed any more, or was replaced, the name of one that is being deleted.
    ///
    /// # Errors
    /// The operating system's.
    pub fn set_aside(&self, index: DirectoryIndex, partition: &TopicPartition) -> io::Result<PathBuf> {
        let directory = self.of(index);
        let to = directory.path().join(names::suffixed(partition, Suffix::Delete));
        std::fs::rename(directory.partition_path(partition), &to)?;
        storage::sync_dir(directory.path())?;
        Ok(to)
    }

    /// Notes in the log of a partition, durably, that its copy in `to` is about to take its place.
    ///
    /// # Errors
    /// The operating system's.
    pub fn mark_leaving(&self, from: DirectoryIndex, partition: &TopicPartition, to: DirectoryIndex) -> io::Result<()> {
        let text = format!("{}\n", self.of(to).directory_id());
        storage::write_synced(&self.of(from).partition_path(partition), MOVING_TO, &text)
    }

    /// Takes that back.
    ///
    /// # Errors
    /// The operating system's.
    pub fn unmark_leaving(&self, from: DirectoryIndex, partition: &TopicPartition) -> io::Result<()> {
        unmark(&self.of(from).partition_path(partition))
    }

    /// Ends the move of a partition that does not come to its end.
    pub fn end_move(&self, partition: &TopicPartition) -> Option<Move> {
        let ended = self.moves.end(partition);
        if let Some(moving) = &ended {
            self.count(moving.to, false);
        }
        ended
    }

    /// Takes a directory offline, until the broker starts again; `false` when it was already.
    pub fn fail(&self, index: DirectoryIndex, reason: &str) -> bool {
        let directory = self.of(index);
        let first = directory.fail(reason.to_owned());
        if first {
            let path = directory.path().display();
            tracing::error!(%path, reason, "a log directory has failed; the partitions in it are offline");
            if index == self.metadata {
                self.metadata_failed(&format!("{path} has failed ({reason}), which holds it"));
            }
        }
        first
    }

    /// The log of the cluster image is out of reach, and no topic can be made, changed or deleted from now on.
    pub fn metadata_failed(&self, reason: &str) {
        self.broken.send_if_modified(|broken| {
            let first = broken.is_none();
            broken.get_or_insert_with(|| {
                format!(
                    "the broker cannot go on without {METADATA_TOPIC}-0, which knows its topics: {reason}; repair or replace \
                     the disk and start the broker again"
                )
            });
            first
        });
    }

    /// Why the broker cannot go on, once it cannot.
    pub fn broken(&self) -> watch::Receiver<Option<String>> {
        self.broken.subscribe()
    }

    /// The directory that the file is in.
    pub fn of_file(&self, path: &Path) -> Option<DirectoryIndex> {
        let holders = self.directories.iter().enumerate().filter(|(_, directory)| path.starts_with(directory.path()));
        holders.max_by_key(|(_, d)| d.path().components().count()).map(|(index, _)| DirectoryIndex(index))
    }

    /// One log more or less in a directory.
    pub fn count(&self, index: DirectoryIndex, more: bool) {
        let mut state = self.state();
        let count = &mut state.partitions[index.0];
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Everything that existed is open. Gives what is of no use to anybody any more, to be removed.
    pub fn started(&self) -> Vec<PathBuf> {
        self.started.store(true, Ordering::SeqCst);
        let mut state = self.state();
        let unclaimed: Vec<Future> = std::mem::take(&mut state.futures);
        // While a directory is offline, so may be the log that a copy belongs to.
        let all_online = self.online().count() == self.directories.len();
        let mut doomed = std::mem::take(&mut state.doomed);
        for future in unclaimed {
            state.partitions[future.directory.0] = state.partitions[future.directory.0].saturating_sub(1);
            if all_online {
                doomed.push(future.path);
            }
        }
        doomed
    }

    /// Notes in every directory whose logs were closed well that they were.
    pub fn mark_clean(&self) {
        for (_, directory) in self.online() {
            if let Err(error) = directory.mark_clean() {
                tracing::warn!(path = %directory.path().display(), %error, "the clean shutdown could not be noted; the next start recovers the logs");
            }
        }
    }

    /// Gives the directories back.
    pub fn release(&self) {
        self.directories.iter().for_each(DataDirectory::release);
    }

    /// Names the directories that are offline, and why.
    pub fn offline_message(&self) -> String {
        let offline = self.directories.iter().filter_map(|directory| Some((directory, directory.failure()?)));
        let named: Vec<String> = offline.map(|(d, why)| format!("{} ({why})", d.path().display())).collect();
        format!("the log directory is offline: {}; repair or replace it and start the broker again", named.join(", "))
    }

    fn stands(&self, log: &Path) -> Stands {
        match std::fs::read_to_string(log.join(MOVING_TO)) {
            Ok(text) => {
                let target = self.directories.iter().position(|d| d.directory_id() == text.trim());
                Stands::Leaving(target.map(DirectoryIndex))
            }
            Err(_) => Stands::Here,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the copy of a log that moves, or begins one.
fn open_copy(order: &worker::Order) -> Result<Log<OsDisk>, LogError> {
    let opening = pelton_log::Opening::of(order.topic_id.0);
    let (copy, _) = Log::open(OsDisk, &order.path, order.config.clone(), opening, &mut |_| {})?;
    Ok(copy)
}

/// Appends a batch of the log to its copy.
fn append_to_copy(copy: &mut Log<OsDisk>, batch: &[u8], header: &BatchHeader) -> Result<(), LogError> {
    copy.append(batch, header)
}

fn room((directory, partitions): (&DataDirectory, &usize)) -> Room {
    Room { online: directory.failure().is_none(), partitions: *partitions }
}

fn unmark(log: &Path) -> io::Result<()> {
    match std::fs::remove_file(log.join(MOVING_TO)) {
        Ok(()) => storage::sync_dir(log),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The path from the root, for comparing and showing; as it is where the working directory is gone.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether `path` is the same directory as an earlier one of `paths`, under whatever name.
fn same_directory(paths: &[PathBuf], path: &Path) -> Option<String> {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|there| (there.dev(), there.ino()));
    let earlier = paths.iter().take_while(|other| !std::ptr::eq(other.as_path(), path));
    let mut same =
        earlier.filter(|other| *other == path || identity(other).is_some_and(|id| Some(id) == identity(path)));
    same.next().map(|other| format!("it is {} once more; name every directory once in log.dirs", other.display()))
}

/// Looks through the directories: for copies that can go on, for what is to be removed, and for the cluster's log.
fn survey(directories: &[DataDirectory], state: &mut State) -> Result<Option<DirectoryIndex>, (PathBuf, io::Error)> {
    let mut metadata = None;
    for (index, directory) in directories.iter().enumerate().filter(|(_, d)| d.failure().is_none()) {
        let index = DirectoryIndex(index);
        let failed = |error| (directory.path().to_owned(), error);
        for name in directory.names().map_err(failed)? {
            let path = directory.path().join(&name);
            if names::parse_log(&name).is_some_and(|log| &*log.topic == METADATA_TOPIC) {
                metadata.get_or_insert(index);
            }
            match names::parse(&name) {
                Some((_, Suffix::Delete)) => state.doomed.push(path),
                Some((partition, Suffix::Future)) => match storage::topic_id_in(&path).map_err(failed)? {
                    Some(topic_id) => {
                        state.partitions[index.0] += 1;
                        let partition = partition.partition;
                        state.futures.push(Future { partition, topic_id, directory: index, path });
                    }
                    None => state.doomed.push(path),
                },
                None => {}
            }
        }
    }
    Ok(metadata)
}

/// The cluster's log is begun in the first directory; unless there are logs of partitions, which it must know.
fn no_cluster_yet(directories: &[DataDirectory], state: &State) -> Result<DirectoryIndex, StartError> {
    for directory in directories {
        let names = directory.names().unwrap_or_default();
        if names.iter().any(|name| names::parse_log(name).is_some()) || !state.futures.is_empty() {
            let reason = format!(
                "it holds partitions, but {METADATA_TOPIC}-0, which knows their topics, is in none of log.dirs; \
                 name the directory that has it as well"
            );
            return Err(StartError::BadDirectory { path: directory.path().to_owned(), reason });
        }
    }
    Ok(DirectoryIndex(0))
}
