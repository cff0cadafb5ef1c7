//! The data directory: whose it is, what it is called, and whether it was left in order.
//!
//! Files, beside one directory for each partition: `.lock` (held with flock while a broker runs, the process id
//! inside), `meta.properties` (Kafka's, version 1: cluster, node and directory ids) and `.kafka_cleanshutdown`
//! (Kafka's marker: the logs were closed well).

use pelton_core::model::{TopicId, TopicPartition};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

use crate::config::StartError;

const LOCK: &str = ".lock";
const META: &str = "meta.properties";
const CLEAN: &str = ".kafka_cleanshutdown";
/// Bytes of `meta.properties` and `partition.metadata` at most.
const MAX_PROPERTIES_BYTES: u64 = 64 << 10;

/// A data directory that this broker holds.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    lock: Mutex<Option<File>>,
    cluster_id: String,
    was_clean: bool,
}

impl DataDirectory {
    /// Takes the directory, and makes it when it does not exist.
    ///
    /// # Errors
    /// [`StartError::Unwritable`], [`StartError::InUse`], [`StartError::BadDirectory`].
    pub fn open(path: &Path, node_id: i32) -> Result<Self, StartError> {
        let unwritable = |error: io::Error| StartError::Unwritable { path: path.to_owned(), reason: error.to_string() };
        std::fs::create_dir_all(path).map_err(unwritable)?;
        let lock = lock(path)?;
        let meta = path.join(META);
        let cluster_id = match read_bounded(&meta) {
            Ok(text) => read_meta(path, &text, node_id)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let cluster_id = base64url(Uuid::new_v4());
                write_synced(path, META, &new_meta(&cluster_id, node_id)).map_err(unwritable)?;
                cluster_id
            }
            Err(error) => return Err(unwritable(error)),
        };
        let clean = path.join(CLEAN);
        let was_clean = clean.exists();
        if was_clean {
            // From now on it is not true any more.
            std::fs::remove_file(&clean).and_then(|()| sync_dir(path)).map_err(unwritable)?;
        }
        Ok(Self { path: path.to_owned(), lock: Mutex::new(Some(lock)), cluster_id, was_clean })
    }

    /// `cluster.id`.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Whether the broker that had the directory before closed its logs well.
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// Where the log of a partition is.
    pub fn partition_path(&self, partition: &TopicPartition) -> PathBuf {
        self.path.join(format!("{}-{}", partition.topic, partition.partition))
    }

    /// Makes room when the partition's directory is what a deleted topic of the same name left behind: a crash
    /// may come between the decision to delete a topic and the removal of its files.
    ///
    /// # Errors
    /// The operating system's.
    pub fn move_aside_other_topic(&self, partition: &TopicPartition, topic_id: TopicId) -> io::Result<()> {
        let dir = self.partition_path(partition);
        let text = match read_bounded(&dir.join("partition.metadata")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let ours = base64url(Uuid::from_u128(topic_id.0));
        match text.lines().find_map(|line| line.strip_prefix("topic_id:")) {
            Some(id) if id.trim() != ours => {}
            _ => return Ok(()),
        }
        let aside = self.path.join(format!("{partition}.{}-stray", Uuid::new_v4().simple()));
        tracing::warn!(from = %dir.display(), to = %aside.display(), "moved the log of an earlier topic of that name aside");
        std::fs::rename(&dir, &aside)?;
        sync_dir(&self.path)
    }

    /// Notes that every log was closed well.
    ///
    /// # Errors
    /// The operating system's.
    pub fn mark_clean(&self) -> io::Result<()> {
        write_synced(&self.path, CLEAN, "{\"version\":0,\"brokerEpoch\":-1}\n")
    }

    /// Gives the directory back.
    pub fn release(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
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

fn read_meta(path: &Path, text: &str, node_id: i32) -> Result<String, StartError> {
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
    value("cluster.id").filter(|id| !id.is_empty()).ok_or_else(|| bad(format!("{META} holds no cluster.id")))
}

fn new_meta(cluster_id: &str, node_id: i32) -> String {
    let directory_id = base64url(Uuid::new_v4());
    format!("version=1\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={directory_id}\n")
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_PROPERTIES_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn write_synced(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, dir.join(name))?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Kafka's text form of a UUID: base64 for URLs, without padding.
fn base64url(uuid: Uuid) -> String {
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

#[cfg(test)]
#[path = "storage/tests.rs"]
mod tests;
