//! The only way to the medium: a handful of calls that a file system has, so that a simulation can stand
//! in for it and lose what was not synced.

mod dice;
mod os;
mod simulated;

pub use dice::Dice;
pub use os::{OsDisk, OsFile};
pub use simulated::{FaultOperation, Misdeed, SimDisk, SimFault, SimFile, SimLie};

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

/// A file system. Cheap to clone: the clones are the same file system.
pub trait Disk: Clone + Send + 'static {
    /// An open file.
    type File: DiskFile;

    /// Creates `dir` and the directories above it.
    ///
    /// # Errors
    /// The operating system's, as in every method here.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// The names in `dir`, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens `path` for reading and writing. With `create`, a file that is not there is made, and is there
    /// after a power cut only once [`Disk::sync_dir`] of its directory has returned.
    fn open(&self, path: &Path, create: bool) -> io::Result<Self::File>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Gives a file of a directory another name in it, in place of whatever had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in `dir` survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Whether there is a file or directory at `path`.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Puts `bytes` in the place of the file at `path`: after a power cut it holds the old or the new
    /// content, and once this returns the new.
    fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = temporary_path(path);
        let file = self.open(&temporary, true)?;
        file.set_len(0)?;
        file.write_at(bytes, 0)?;
        file.sync_data()?;
        self.rename(&temporary, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    /// The whole content of a small file; more than `max_bytes` is an error.
    fn read_small(&self, path: &Path, max_bytes: usize) -> io::Result<Vec<u8>> {
        let file = self.open(path, false)?;
        let len = file.len()?;
        if len > max_bytes as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is far larger than its format allows"));
        }
        let mut bytes = vec![0; len as usize];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// An open file.
#[allow(clippy::len_without_is_empty, reason = "the length of a file is a question to the medium, and may fail")]
pub trait DiskFile: Send + 'static {
    /// Fills `buf` from `position` on and says how much was there: less than asked only at the end.
    ///
    /// # Errors
    /// The operating system's, as in every method here.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `position`.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Writes all of `parts`, one behind the other, from `position` on: one call to the operating system as a rule. Where
    /// it fails, some of the bytes may have been written. What becomes of `parts` is not said.
    fn write_vectored_at(&self, parts: &mut [IoSlice<'_>], position: u64) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves space so that the file is at least `len` bytes long, the new ones zero.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes the file's bytes and length survive a power cut. After an error nothing is known about the
    /// bytes written since the last success, and trying again would hide that.
    fn sync_data(&self) -> io::Result<()>;

    /// Another handle on the same open file, for another thread.
    fn try_clone(&self) -> io::Result<Self>
    where
        Self: Sized;
}

/// Where the next content of `path` is written before it takes its place.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}
