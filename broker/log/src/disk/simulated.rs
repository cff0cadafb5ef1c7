//! A file system in memory that crashes on request: a seed decides which of the writes that were not
//! synced are kept, lost or torn. The same calls and the same seed give the same bytes.
//!
//! It is harsher than most real ones. Each unsynced write, change of length and change of a directory
//! meets its own fate, so a later one may survive an earlier one, and so may a later sector of one write; and what a
//! failed sync covered is lost at the next crash even when a later sync succeeds, as on Linux. Where it is asked to
//! ([`SimLie`]), it also loses, misplaces or damages what it says it has written.

use super::{Dice, Disk, DiskFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk writes whole or not at all, in bytes.
const SECTOR_BYTES: u64 = 512;

/// A simulated file system. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

/// A file of a [`SimDisk`]. It belongs to the process that opened it: after a crash or kill it only fails.
#[derive(Debug, Clone)]
pub struct SimFile {
    state: Arc<Mutex<State>>,
    id: u64,
    path: PathBuf,
    life: u64,
}

/// Which calls a [`SimFault`] makes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultOperation {
    /// [`DiskFile::read_at`].
    Read,
    /// [`DiskFile::write_at`] and [`DiskFile::write_vectored_at`]. It writes half of its bytes and then fails.
    Write,
    /// [`DiskFile::allocate`].
    Allocate,
    /// [`DiskFile::set_len`].
    SetLen,
    /// [`DiskFile::sync_data`].
    Sync,
    /// [`Disk::sync_dir`].
    SyncDir,
    /// [`Disk::open`] of a file that is not there yet.
    Create,
}

/// One failure to come, once.
#[derive(Debug, Clone)]
pub struct SimFault {
    /// Which call fails.
    pub operation: FaultOperation,
    /// Only on paths that end so; the empty text means any.
    pub path_suffix: String,
    /// How many such calls succeed first.
    pub after: u32,
    /// The error: [`io::ErrorKind::StorageFull`] for ENOSPC, anything else for EIO.
    pub kind: io::ErrorKind,
}

/// One write to come of which the medium says that it succeeded, once.
#[derive(Debug, Clone)]
pub struct SimLie {
    /// What really becomes of it.
    pub what: Misdeed,
    /// Only on paths that end so; the empty text means any.
    pub path_suffix: String,
    /// How many such writes are honest first.
    pub after: u32,
}

/// What a medium does to a write that it says it has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misdeed {
    /// The bytes never arrive; the file is as long as if they had.
    Lose,
    /// The bytes arrive at this position of the same file instead.
    Misdirect(u64),
    /// The bit with this number, modulo the number of bits, is turned over.
    Flip(u64),
}

#[derive(Debug, Default, Clone)]
struct State {
    /// Grows with every crash and kill, and tells the handles of the dead from those of the living.
    life: u64,
    next_id: u64,
    files: BTreeMap<u64, FileState>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    pending_names: Vec<NameChange>,
    faults: Vec<SimFault>,
    lies: Vec<SimLie>,
    synced_files: u64,
    /// By path: how many bytes were read, and the first position of any.
    reads: BTreeMap<PathBuf, (u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(u64),
}

/// One atomic change of names, all in the same directory.
#[derive(Debug, Clone)]
struct NameChange {
    dir: PathBuf,
    set: Vec<(PathBuf, Option<Node>)>,
}

#[derive(Debug, Default, Clone)]
struct FileState {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { position: u64, bytes: Vec<u8> },
    SetLen(u64),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { position, bytes } => {
                let start = *position as usize;
                if content.len() < start + bytes.len() {
                    content.resize(start + bytes.len(), 0);
                }
                content[start..start + bytes.len()].copy_from_slice(bytes);
            }
            Self::SetLen(len) => content.resize(*len as usize, 0),
        }
    }

    /// What a torn write leaves, as `dice` pick it: its first sectors, or any of them.
    fn torn(&self, dice: &mut Dice) -> Vec<Self> {
        let Self::Write { position, bytes } = self else { return Vec::new() };
        let end = position + bytes.len() as u64;
        let sectors = *position / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES);
        let count = sectors.end - sectors.start;
        let first_only = (dice.below(2) == 0).then(|| dice.below(count.max(1)));
        let mut left = Vec::new();
        for sector in sectors.clone() {
            let kept = match first_only {
                Some(kept) => sector - sectors.start < kept,
                None => dice.below(2) == 0,
            };
            if kept {
                let from = (sector * SECTOR_BYTES).max(*position);
                let to = ((sector + 1) * SECTOR_BYTES).min(end);
                let bytes = bytes[(from - position) as usize..(to - position) as usize].to_vec();
                left.push(Self::Write { position: from, bytes });
            }
        }
        left
    }
}

impl SimDisk {
    /// An empty file system with a root directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The power fails. What was synced stays; each change that was not is kept, lost or torn as `seed`
    /// decides. Every open file and every fault to come is gone.
    pub fn crash(&self, seed: u64) {
        let mut dice = Dice::new(seed);
        let mut state = self.lock();
        state.end_life();
        for change in std::mem::take(&mut state.pending_names) {
            if dice.below(2) == 0 {
                set_names(&mut state.durable_names, &change.set);
            }
        }
        let files = state.forget_unsynced_names();
        for file in files.values_mut() {
            for change in std::mem::take(&mut file.pending) {
                match dice.below(3) {
                    0 => change.apply(&mut file.durable),
                    1 => {}
                    _ => change.torn(&mut dice).iter().for_each(|part| part.apply(&mut file.durable)),
                }
            }
            file.current = file.durable.clone();
        }
    }

    /// Removes a directory and everything in it.
    ///
    /// # Errors
    /// As [`Disk`]'s methods.
    pub fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.require_dir(dir)?;
        let inside: Vec<_> = state.names.keys().filter(|path| path.starts_with(dir)).cloned().collect();
        for path in inside.into_iter().rev() {
            state.change_names(&parent(&path), vec![(path.clone(), None)]);
        }
        Ok(())
    }

    /// The power fails, and everything that was not synced is lost. Every open file and every fault to come is gone.
    pub fn cut_power(&self) {
        let mut state = self.lock();
        state.end_life();
        state.pending_names.clear();
        for file in state.forget_unsynced_names().values_mut() {
            file.pending.clear();
            file.current = file.durable.clone();
        }
    }

    /// Another file system that holds the same, as if it had been copied while nobody had a file open.
    pub fn copy(&self) -> Self {
        let mut state = self.lock().clone();
        state.end_life();
        Self(Arc::new(Mutex::new(state)))
    }

    /// The process is killed and the machine stays up: every byte written is still there, every open file
    /// and every fault to come is gone.
    pub fn kill(&self) {
        self.lock().end_life();
    }

    /// Makes a call to come fail.
    pub fn inject(&self, fault: SimFault) {
        self.lock().faults.push(fault);
    }

    /// Makes the medium lie about a write to come.
    pub fn deceive(&self, lie: SimLie) {
        self.lock().lies.push(lie);
    }

    /// How often a file was synced, for tests that count.
    pub fn synced_files(&self) -> u64 {
        self.lock().synced_files
    }

    /// How many bytes of a file were read since [`SimDisk::forget_reads`], and the first position of any; for tests that
    /// count.
    pub fn reads_of(&self, path: &Path) -> Option<(u64, u64)> {
        self.lock().reads.get(path).copied()
    }

    /// Begins to count reads anew.
    pub fn forget_reads(&self) {
        self.lock().reads.clear();
    }

    /// Changes a file behind everybody's back, as a failing medium does; synced at once.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    pub fn corrupt(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut state = self.lock();
        let Some(Node::File(id)) = state.names.get(path).copied() else { return Err(io::ErrorKind::NotFound.into()) };
        let file = state.files.entry(id).or_default();
        change(&mut file.current);
        file.durable = file.current.clone();
        file.pending.clear();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fault(&mut self, operation: FaultOperation, path: &Path) -> io::Result<()> {
        let path = path.to_string_lossy();
        let matching = |f: &SimFault| f.operation == operation && path.ends_with(&f.path_suffix);
        let Some(index) = self.faults.iter().position(matching) else { return Ok(()) };
        if self.faults[index].after > 0 {
            self.faults[index].after -= 1;
            return Ok(());
        }
        Err(io::Error::new(self.faults.remove(index).kind, "injected fault"))
    }

    /// Whoever had a file open is dead, and what was still to fail does not.
    fn end_life(&mut self) {
        self.life += 1;
        self.faults.clear();
        self.lies.clear();
    }

    /// Only the names that are durable are left; gives the files that still have one.
    fn forget_unsynced_names(&mut self) -> &mut BTreeMap<u64, FileState> {
        // A file whose directory is gone cannot be reached.
        let durable = self.durable_names.clone();
        self.durable_names.retain(|path, _| path.ancestors().skip(1).all(|dir| is_dir(&durable, dir)));
        self.names = self.durable_names.clone();
        let named: BTreeSet<u64> =
            self.names.values().filter_map(|node| if let Node::File(id) = node { Some(*id) } else { None }).collect();
        self.files.retain(|id, _| named.contains(id));
        &mut self.files
    }

    /// What becomes of a write to `path` in truth, if the medium lies about it.
    fn misdeed(&mut self, path: &Path) -> Option<Misdeed> {
        let path = path.to_string_lossy();
        let index = self.lies.iter().position(|lie| path.ends_with(&lie.path_suffix))?;
        if self.lies[index].after > 0 {
            self.lies[index].after -= 1;
            return None;
        }
        Some(self.lies.remove(index).what)
    }

    fn change_names(&mut self, dir: &Path, set: Vec<(PathBuf, Option<Node>)>) {
        set_names(&mut self.names, &set);
        self.pending_names.push(NameChange { dir: dir.to_owned(), set });
    }

    fn require_dir(&self, dir: &Path) -> io::Result<()> {
        if is_dir(&self.names, dir) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

fn set_names(names: &mut BTreeMap<PathBuf, Node>, set: &[(PathBuf, Option<Node>)]) {
    for (path, node) in set {
        match node {
            Some(node) => names.insert(path.clone(), *node),
            None => names.remove(path),
        };
    }
}

/// The root, by whatever name, is always there.
fn is_dir(names: &BTreeMap<PathBuf, Node>, path: &Path) -> bool {
    path == Path::new("/") || path.as_os_str().is_empty() || names.get(path) == Some(&Node::Dir)
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let missing: Vec<_> = dir.ancestors().filter(|d| !is_dir(&state.names, d)).map(Path::to_owned).collect();
        for dir in missing.into_iter().rev() {
            state.change_names(&parent(&dir), vec![(dir.clone(), Some(Node::Dir))]);
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.require_dir(dir)?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<SimFile> {
        let mut state = self.lock();
        let id = match state.names.get(path).copied() {
            Some(Node::File(id)) => id,
            Some(Node::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            None if !create => return Err(io::ErrorKind::NotFound.into()),
            None => {
                state.require_dir(&parent(path))?;
                state.fault(FaultOperation::Create, path)?;
                let id = state.next_id;
                state.next_id += 1;
                state.files.insert(id, FileState::default());
                state.change_names(&parent(path), vec![(path.to_owned(), Some(Node::File(id)))]);
                id
            }
        };
        Ok(SimFile { state: Arc::clone(&self.0), id, path: path.to_owned(), life: state.life })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        match state.names.get(path) {
            Some(Node::File(_)) => {
                state.change_names(&parent(path), vec![(path.to_owned(), None)]);
                Ok(())
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let node = state.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        if parent(from) != parent(to) || node == Node::Dir {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "only files are renamed, within their directory"));
        }
        state.change_names(&parent(to), vec![(from.to_owned(), None), (to.to_owned(), Some(node))]);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.require_dir(dir)?;
        state.fault(FaultOperation::SyncDir, dir)?;
        let State { pending_names, durable_names, .. } = &mut *state;
        pending_names.retain(|change| {
            let synced = change.dir == dir;
            if synced {
                set_names(durable_names, &change.set);
            }
            !synced
        });
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.lock();
        Ok(is_dir(&state.names, path) || state.names.contains_key(path))
    }
}

impl SimFile {
    fn with<T>(
        &self,
        operation: Option<FaultOperation>,
        call: impl FnOnce(&mut FileState) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.life != self.life {
            return Err(io::Error::other("the process that opened this file is dead"));
        }
        if let Some(operation) = operation {
            state.fault(operation, &self.path)?;
        }
        if operation == Some(FaultOperation::Sync) {
            state.synced_files += 1;
        }
        call(state.files.entry(self.id).or_default())
    }

    fn change(&self, operation: Option<FaultOperation>, change: Change) -> io::Result<()> {
        self.with(operation, |file| {
            change.apply(&mut file.current);
            file.pending.push(change);
            Ok(())
        })
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let read = self.with(Some(FaultOperation::Read), |file| {
            let there = file.current.get(position as usize..).unwrap_or_default();
            let count = there.len().min(buf.len());
            buf[..count].copy_from_slice(&there[..count]);
            Ok(count)
        })?;
        if read > 0 {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (bytes, first) = state.reads.entry(self.path.clone()).or_insert((0, position));
            *bytes += read as u64;
            *first = (*first).min(position);
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let end = position + bytes.len() as u64;
        let (mut at, mut arrived) = (position, bytes.to_vec());
        match self.state.lock().unwrap_or_else(PoisonError::into_inner).misdeed(&self.path) {
            None => {}
            Some(Misdeed::Lose) => arrived.clear(),
            Some(Misdeed::Misdirect(elsewhere)) => at = elsewhere,
            Some(Misdeed::Flip(bit)) => {
                let bit = bit % (8 * arrived.len().max(1) as u64);
                if let Some(byte) = arrived.get_mut(bit as usize / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
        let written = self.change(Some(FaultOperation::Write), Change::Write { position: at, bytes: arrived });
        if written.is_ok() && self.len()? < end {
            self.change(None, Change::SetLen(end))?;
        }
        if written.is_err() {
            let half = bytes[..bytes.len() / 2].to_vec();
            self.change(None, Change::Write { position, bytes: half })?;
        }
        written
    }

    fn write_vectored_at(&self, parts: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.write_at(&bytes, position)
    }

    fn len(&self) -> io::Result<u64> {
        self.with(None, |file| Ok(file.current.len() as u64))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Some(FaultOperation::SetLen), Change::SetLen(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let longer = self.with(Some(FaultOperation::Allocate), |file| Ok(len > file.current.len() as u64))?;
        if longer { self.change(None, Change::SetLen(len)) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.with(Some(FaultOperation::Sync), |file| {
            for change in std::mem::take(&mut file.pending) {
                change.apply(&mut file.durable);
            }
            Ok(())
        });
        if synced.is_err() {
            // The kernel reports the failure once and then takes the pages for clean.
            self.with(None, |file| {
                file.pending.clear();
                Ok(())
            })?;
        }
        synced
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }
}
