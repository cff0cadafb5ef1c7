//! A file system in memory that crashes on request: a seed decides which of the writes that were not
//! synced are kept, lost or torn. The same calls and the same seed give the same bytes.
//!
//! It is harsher than most real ones. Each unsynced write, change of length and change of a directory
//! meets its own fate, so a later one may survive an earlier one; and what a failed sync covered is lost
//! at the next crash even when a later sync succeeds, as on Linux.

use super::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
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
    /// [`DiskFile::write_at`]. It writes half of its bytes and then fails.
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

#[derive(Debug, Default)]
struct State {
    /// Grows with every crash and kill, and tells the handles of the dead from those of the living.
    life: u64,
    next_id: u64,
    files: BTreeMap<u64, FileState>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    pending_names: Vec<NameChange>,
    faults: Vec<SimFault>,
    synced_files: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(u64),
}

/// One atomic change of names, all in the same directory.
#[derive(Debug)]
struct NameChange {
    dir: PathBuf,
    set: Vec<(PathBuf, Option<Node>)>,
}

#[derive(Debug, Default)]
struct FileState {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
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

    /// What a torn write leaves: the bytes up to a sector boundary, picked by `dice`.
    fn torn(&self, dice: &mut Dice) -> Option<Self> {
        let Self::Write { position, bytes } = self else { return None };
        let end = position + bytes.len() as u64;
        let first_boundary = position / SECTOR_BYTES + 1;
        let boundaries = (end / SECTOR_BYTES + 1).saturating_sub(first_boundary);
        if boundaries == 0 {
            return None;
        }
        let cut = (first_boundary + dice.below(boundaries)) * SECTOR_BYTES;
        let keep = (cut - position).min(bytes.len() as u64) as usize;
        Some(Self::Write { position: *position, bytes: bytes[..keep].to_vec() })
    }
}

/// SplitMix64: a few lines, and the same everywhere.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
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
        let mut dice = Dice(seed);
        let mut state = self.lock();
        state.life += 1;
        state.faults.clear();
        for change in std::mem::take(&mut state.pending_names) {
            if dice.below(2) == 0 {
                set_names(&mut state.durable_names, &change.set);
            }
        }
        // A file whose directory is gone cannot be reached.
        let durable = state.durable_names.clone();
        state.durable_names.retain(|path, _| path.ancestors().skip(1).all(|dir| is_dir(&durable, dir)));
        state.names = state.durable_names.clone();
        let State { names, files, .. } = &mut *state;
        files.retain(|id, _| names.values().any(|node| *node == Node::File(*id)));
        for file in files.values_mut() {
            for change in std::mem::take(&mut file.pending) {
                match dice.below(3) {
                    0 => change.apply(&mut file.durable),
                    1 => {}
                    _ => {
                        if let Some(part) = change.torn(&mut dice) {
                            part.apply(&mut file.durable);
                        }
                    }
                }
            }
            file.current = file.durable.clone();
        }
    }

    /// The process is killed and the machine stays up: every byte written is still there, every open file
    /// and every fault to come is gone.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.life += 1;
        state.faults.clear();
    }

    /// Makes a call to come fail.
    pub fn inject(&self, fault: SimFault) {
        self.lock().faults.push(fault);
    }

    /// How often a file was synced, for tests that count.
    pub fn synced_files(&self) -> u64 {
        self.lock().synced_files
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

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.require_dir(dir)?;
        let inside: Vec<_> = state.names.keys().filter(|path| path.starts_with(dir)).cloned().collect();
        for path in inside.into_iter().rev() {
            state.change_names(&parent(&path), vec![(path.clone(), None)]);
        }
        Ok(())
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
        self.with(Some(FaultOperation::Read), |file| {
            let there = file.current.get(position as usize..).unwrap_or_default();
            let count = there.len().min(buf.len());
            buf[..count].copy_from_slice(&there[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let written = self.change(Some(FaultOperation::Write), Change::Write { position, bytes: bytes.to_vec() });
        if written.is_err() {
            let half = bytes[..bytes.len() / 2].to_vec();
            self.change(None, Change::Write { position, bytes: half })?;
        }
        written
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
