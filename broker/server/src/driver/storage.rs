//! One log directory: whose it is, what it is called, whether it was left in order, and whether it still works.
//!
//! Files, beside one directory for each partition: `.lock` (held with flock while a broker runs, the process id
//! inside), `meta.properties` (Kafka's, version 1: cluster, node and directory ids) and `.kafka_cleanshutdown`
//! (Kafka's marker: the logs were closed well).

use pelton_core::model::{TopicId, TopicPartition};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use uuid::Uuid;

use crate::config::StartError;

const LOCK: &str = ".lock";
const META: &str = "meta.properties";
const CLEAN: &str = ".kafka_cleanshutdown";
const PROBE: &str = ".probe";
/// Bytes of `meta.properties` and `partition.metadata` at most.
const MAX_PROPERTIES_BYTES: u64 = 64 << 10;

/// A log directory of this broker: one that it holds, or one that it cannot use.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    lock: Mutex<Option<File>>,
    /// `cluster.id` and `directory.id`; empty where the directory could not be taken.
    cluster_id: String,
    directory_id: String,
    was_clean: bool,
    /// Whether a log in it could not be closed well.
    unclean: AtomicBool,
    /// Whether somebody is about to find out what is wrong with it.
    suspected: AtomicBool,
    /// Why it is offline, from then on.
    failure: OnceLock<String>,
}

impl DataDirectory {
    /// Takes the directory, and makes it when it does not exist. `cluster_id` is what the others belong to, where that
    /// is known.
    ///
    /// # Errors
    /// [`StartError::Unwritable`], [`StartError::InUse`], [`StartError::BadDirectory`].
    pub fn open(path: &Path, node_id: i32, cluster_id: Option<&str>) -> Result<Self, StartError> {
        let unwritable = |error: io::Error| StartError::Unwritable { path: path.to_owned(), reason: error.to_string() };
        std::fs::create_dir_all(path).map_err(unwritable)?;
        let lock = lock(path)?;
        let meta = path.join(META);
        let found = match read_bounded(&meta) {
            Ok(text) => Some(read_meta(path, &text, node_id)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unwritable(error)),
        };
        let Meta { cluster_id: own, directory_id } = match (found, cluster_id) {
            (Some(found), Some(wanted)) if found.cluster_id != wanted => {
                let reason = format!("it belongs to cluster.id {}, the other log.dirs to {wanted}", found.cluster_id);
                return Err(StartError::BadDirectory { path: path.to_owned(), reason });
            }
            // Directories that are older than KIP-858 have no id of their own yet.
            (Some(Meta { cluster_id, directory_id }), _) if !directory_id.is_empty() => {
                Meta { cluster_id, directory_id }
            }
            (found, wanted) => {
                let cluster_id = found.map(|found| found.cluster_id).or_else(|| wanted.map(str::to_owned));
                let cluster_id = cluster_id.unwrap_or_else(|| base64url(Uuid::new_v4()));
                let directory_id = base64url(Uuid::new_v4());
                let meta = Meta { cluster_id, directory_id };
                write_synced(path, META, &meta.text(node_id)).map_err(unwritable)?;
                meta
            }
        };
        let clean = path.join(CLEAN);
        let was_clean = clean.exists();
        if was_clean {
            // From now on it is not true any more.
            std::fs::remove_file(&clean).and_then(|()| sync_dir(path)).map_err(unwritable)?;
        }
        Ok(Self {
            path: path.to_owned(),
            lock: Mutex::new(Some(lock)),
            cluster_id: own,
            directory_id,
            was_clean,
            unclean: AtomicBool::new(false),
            suspected: AtomicBool::new(false),
            failure: OnceLock::new(),
        })
    }

    /// A directory that cannot be used, for `reason`.
    pub fn offline(path: &Path, reason: String) -> Self {
        Self {
            path: path.to_owned(),
            lock: Mutex::new(None),
            cluster_id: String::new(),
            directory_id: String::new(),
            was_clean: false,
            unclean: AtomicBool::new(true),
            suspected: AtomicBool::new(false),
            failure: OnceLock::from(reason),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `cluster.id`.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// `directory.id` (KIP-858).
    pub fn directory_id(&self) -> &str {
        &self.directory_id
    }

    /// Whether the broker that had the directory before closed its logs well.
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// Why the directory is offline, if it is.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Takes the directory offline, until the broker starts again; `false` when it was already.
    pub fn fail(&self, reason: String) -> bool {
        self.failure.set(reason).is_ok()
    }

    /// Notes that something in it failed; `true` where somebody has to find out whether the directory did.
    pub fn suspect(&self) -> bool {
        self.failure().is_none() && !self.suspected.swap(true, Ordering::SeqCst)
    }

    /// Somebody is finding out now: what fails from here on is a new suspicion.
    pub fn suspicion_settled(&self) {
        self.suspected.store(false, Ordering::SeqCst);
    }

    /// Where the log of a partition is.
    pub fn partition_path(&self, partition: &TopicPartition) -> PathBuf {
        self.path.join(partition.to_string())
    }

    /// Moves aside what a deleted topic of the same name left behind where the partition's log belongs: a crash
    /// may come between the decision to delete a topic and the removal of its files. Says whether there is a log of
    /// the partition then.
    ///
    /// # Errors
    /// The operating system's.
    pub fn has_partition(&self, partition: &TopicPartition, topic_id: TopicId) -> io::Result<bool> {
        let dir = self.partition_path(partition);
        if !dir.try_exists()? {
            return Ok(false);
        }
        match topic_id_in(&dir)? {
            Some(id) if id != base64url(Uuid::from_u128(topic_id.0)) => {}
            _ => return Ok(true),
        }
        let aside = self.path.join(format!("{partition}.{}-stray", Uuid::new_v4().simple()));
        tracing::warn!(from = %dir.display(), to = %aside.display(), "moved the log of an earlier topic of that name aside");
        std::fs::rename(&dir, &aside)?;
        sync_dir(&self.path)?;
        Ok(false)
    }

    /// The names of the directories in it.
    ///
    /// # Errors
    /// The operating system's.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                // A name that is not UTF-8 is none of ours.
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether this is still the directory that was taken: a disk may be unmounted, or something else be put in its
    /// place, and files that are open go on as if nothing were.
    ///
    /// # Errors
    /// What is found in its place.
    pub fn check(&self) -> io::Result<()> {
        let held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = &*held else { return Ok(()) };
        let (held, there) = (held.metadata()?, std::fs::metadata(self.path.join(LOCK))?);
        if (held.dev(), held.ino()) == (there.dev(), there.ino()) {
            Ok(())
        } else {
            Err(io::Error::other("something else stands in the place of the directory"))
        }
    }

    /// Whether the directory takes a file, and keeps it: what tells a failed disk from a failed partition.
    ///
    /// # Errors
    /// What speaks against it. A full disk does not: it is not broken.
    pub fn probe(&self) -> io::Result<()> {
        self.check()?;
        let result = write_synced(&self.path, PROBE, "").and_then(|()| std::fs::remove_file(self.path.join(PROBE)));
        result.or_else(|error| if is_shortage(&error) { Ok(()) } else { Err(error) })
    }

    /// Bytes of the file system in all, and bytes that this broker may still write.
    ///
    /// # Errors
    /// The operating system's.
    pub fn space(&self) -> io::Result<(u64, u64)> {
        let found = rustix::fs::statvfs(&self.path)?;
        Ok((found.f_frsize.saturating_mul(found.f_blocks), found.f_frsize.saturating_mul(found.f_bavail)))
    }

    /// Notes that a log in it could not be closed well.
    pub fn mark_unclean(&self) {
        self.unclean.store(true, Ordering::SeqCst);
    }

    /// Notes that every log in it was closed well. Nothing is noted where one was not, or where it is offline.
    ///
    /// # Errors
    /// The operating system's.
    pub fn mark_clean(&self) -> io::Result<()> {
        if self.unclean.load(Ordering::SeqCst) || self.failure().is_some() {
            return Ok(());
        }
        write_synced(&self.path, CLEAN, "{\"version\":0,\"brokerEpoch\":-1}\n")
    }

    /// Gives the directory back.
    pub fn release(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether an error says that something has run out, and nothing is broken: space, a quota, open files, memory.
pub fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const SHORT: [Errno; 6] = [Errno::NOSPC, Errno::DQUOT, Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR];
    error.raw_os_error().is_some_and(|code| SHORT.iter().any(|short| short.raw_os_error() == code))
}

/// The topic id that `partition.metadata` in the directory of a log names.
///
/// # Errors
/// The operating system's.
pub fn topic_id_in(dir: &Path) -> io::Result<Option<String>> {
    let text = match read_bounded(&dir.join("partition.metadata")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(text.lines().find_map(|line| line.strip_prefix("topic_id:")).map(|id| id.trim().to_owned()))
}

fn lock(path: &Path) -> Result<File, StartError> {
    let unwritable = |error: io::Error| StartError::Unwritable { path: path.to_owned(), reason: error.to_string() };
    let file = path.join(LOCK);
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file);
    let mut file = options.map_err(unwritable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.take(32).read_to_string(&mut text);
            return Err(StartError::InUse { path: path.to_owned(), by: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(unwritable(error)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .and_then(|()| file.sync_data())
        .map_err(unwritable)?;
    Ok(file)
}

/// What `meta.properties` tells.
#[derive(Debug)]
pub struct Meta {
    /// The cluster.
    pub cluster_id: String,
    /// The directory. Empty where it has none.
    pub directory_id: String,
}

impl Meta {
    fn text(&self, node_id: i32) -> String {
        let Self { cluster_id, directory_id } = self;
        format!("version=1\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={directory_id}\n")
    }
}

/// Reads the text of `meta.properties` in the directory `path`, which must belong to this node.
///
/// # Errors
/// [`StartError::BadDirectory`] says what in it is wrong.
pub fn read_meta(path: &Path, text: &str, node_id: i32) -> Result<Meta, StartError> {
    let bad = |reason: String| StartError::BadDirectory { path: path.to_owned(), reason };
    let value = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).next()
    };
    match value("version").as_deref() {
        Some("1") => {}
        other => {
            let found = other.unwrap_or("no version");
            return Err(bad(format!("{META} says {found}; this broker reads version 1")));
        }
    }
    match value("node.id").and_then(|id| id.parse::<i32>().ok()) {
        Some(id) if id == node_id => {}
        Some(id) => {
            return Err(bad(format!("it belongs to node.id {id}; set node.id={id} or choose another directory")));
        }
        None => return Err(bad(format!("{META} holds no node.id"))),
    }
    let cluster_id = value("cluster.id").filter(|id| !id.is_empty());
    let cluster_id = cluster_id.ok_or_else(|| bad(format!("{META} holds no cluster.id")))?;
    Ok(Meta { cluster_id, directory_id: value("directory.id").unwrap_or_default() })
}

/// The cluster that a directory belongs to, as far as that can be read; nothing is taken or changed.
pub fn peek_cluster_id(path: &Path, node_id: i32) -> Option<String> {
    let text = read_bounded(&path.join(META)).ok()?;
    read_meta(path, &text, node_id).ok().map(|meta| meta.cluster_id)
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_PROPERTIES_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Puts a small file in place, durably.
///
/// # Errors
/// The operating system's.
pub fn write_synced(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, dir.join(name))?;
    sync_dir(dir)
}

/// Makes the names in `dir` survive a power cut.
///
/// # Errors
/// The operating system's.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Kafka's text form of a UUID: base64 for URLs, without padding.
pub fn base64url(uuid: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = uuid.as_u128();
    let digits = (0..22).map(|index| {
        // 22 digits of 6 bits are 132: the last digit has four zero bits at its end.
        let shift = 122i32 - 6 * index;
        let digit = if shift >= 0 { bits >> shift } else { bits << -shift };
        char::from(ALPHABET[(digit & 63) as usize])
    });
    digits.collect()
}

/// Reads Kafka's text form of a UUID.
pub fn uuid_of_base64url(text: &str) -> Option<Uuid> {
    if text.len() != 22 {
        return None;
    }
    let digit = |byte: u8| {
        Some(u128::from(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        }))
    };
    let (last, digits) = text.as_bytes().split_last()?;
    let bits = digits.iter().try_fold(0u128, |bits, byte| Some(bits << 6 | digit(*byte)?))?;
    // Of the last digit, two bits belong to the UUID.
    Some(Uuid::from_u128(bits << 2 | digit(*last)? >> 4))
}

#[cfg(test)]
#[path = "storage/tests.rs"]
mod tests;
