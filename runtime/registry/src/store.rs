//! What waits: bytes and manifests on disk.
//!
//! A plugin's bytes lie in `<sha256>.wasm`, so two names may share them, and its manifest in
//! `<name>@<version>.json`. The bytes are written and synced before the manifest that speaks of them; both
//! are written under another name and renamed, so a crash leaves a whole file or none. Bytes without a
//! manifest are what a crash in between leaves: they do no harm, and the next upload uses them.

use crate::catalogue::{Catalogue, Decision};
use pelton_api::manifest::{PluginKind, PluginManifest, PluginRef};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

#[cfg(test)]
mod tests;

const MANIFEST_SUFFIX: &str = ".json";
const UNFINISHED_SUFFIX: &str = ".new";
/// A manifest is some 300 bytes; a larger file is none.
const MANIFEST_MAX_BYTES: u64 = 64 << 10;

/// Why the registry could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Other bytes have that name and version already.
    #[error(
        "{plugin} exists already with other bytes (sha256 {existing}; this upload: {uploaded}); \
         what was published does not change: upload it as {next}"
    )]
    Taken {
        /// Name and version asked for.
        plugin: PluginRef,
        /// Digest of the bytes that are there.
        existing: String,
        /// Digest of the upload.
        uploaded: String,
        /// A version that is free.
        next: PluginRef,
    },
    /// There is no such plugin.
    #[error("there is no plugin {plugin}{}", hint.as_ref().map(|known| format!("; the latest of that name is {known}")).unwrap_or_default())]
    Unknown {
        /// Name and version asked for.
        plugin: PluginRef,
        /// The latest version of that name, if there is one.
        hint: Option<PluginRef>,
    },
    /// An entry on disk is not what it was when it was written.
    #[error("the plugin entry {} is damaged: {reason}; restore the file, or remove it and upload the plugin again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system failed.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The plugins of one broker, on disk. Calls may come from any thread; uploads go one after another.
#[derive(Debug)]
pub struct Registry {
    dir: PathBuf,
    catalogue: RwLock<Catalogue>,
    /// Entries whose manifest cannot be read, by the name of their file, with the reason.
    damaged: RwLock<BTreeMap<String, RegistryError>>,
}

impl Registry {
    /// Opens the directory, which is made when it is not there, and reads its manifests. Bytes are checked
    /// when they are asked for. A damaged entry costs its own plugin and no other: it is kept among
    /// [`Registry::damaged`], until the plugin is uploaded again.
    ///
    /// # Errors
    /// [`RegistryError::Io`] when the directory itself cannot be made or listed.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, RegistryError> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(io_error("cannot make the directory", &dir))?;
        let mut catalogue = Catalogue::default();
        let mut damaged = BTreeMap::new();
        for entry in fs::read_dir(&dir).map_err(io_error("cannot list", &dir))? {
            let path = entry.map_err(io_error("cannot list", &dir))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.ends_with(UNFINISHED_SUFFIX) {
                // Whatever it is, the next upload writes over it or says why it cannot.
                let _ = fs::remove_file(&path);
            } else if let Some(plugin) = name.strip_suffix(MANIFEST_SUFFIX) {
                match read_manifest(&path, plugin) {
                    Ok(manifest) => catalogue.insert(manifest),
                    Err(error) => drop(damaged.insert(plugin.to_owned(), error)),
                }
            }
        }
        Ok(Self { dir, catalogue: RwLock::new(catalogue), damaged: RwLock::new(damaged) })
    }

    /// Keeps a plugin that the engine has accepted. The same bytes again change nothing and answer with the
    /// manifest that is there. When it returns, the plugin survives a power cut.
    ///
    /// # Errors
    /// [`RegistryError::Taken`], [`RegistryError::Io`].
    pub fn add(
        &self,
        plugin: PluginRef,
        bytes: &[u8],
        kind: PluginKind,
        interface: &str,
        now_ms: i64,
    ) -> Result<PluginManifest, RegistryError> {
        let digest = digest_of(bytes);
        let mut catalogue = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        match catalogue.decide(&plugin, &digest) {
            Decision::AlreadyThere(manifest) => {
                // The bytes may have been lost since; an upload mends that.
                self.write_bytes(&digest, bytes)?;
                return Ok(manifest);
            }
            Decision::Taken { existing } => {
                let latest = catalogue.latest(&plugin.name).map_or(plugin.version, |found| found.plugin.version);
                let next = PluginRef { name: plugin.name.clone(), version: latest.saturating_add(1) };
                return Err(RegistryError::Taken { plugin, existing, uploaded: digest, next });
            }
            Decision::Add => {}
        }
        let manifest = PluginManifest {
            plugin,
            kind,
            interface: interface.to_owned(),
            digest,
            size_bytes: bytes.len() as u64,
            uploaded_at_ms: now_ms,
        };
        self.write_bytes(&manifest.digest, bytes)?;
        let path = self.dir.join(format!("{}{MANIFEST_SUFFIX}", manifest.plugin));
        let text = serde_json::to_vec_pretty(&manifest).map_err(|error| damaged(&path, error.to_string()))?;
        write_atomically(&self.dir, &path, &text)?;
        catalogue.insert(manifest.clone());
        self.damaged.write().unwrap_or_else(PoisonError::into_inner).remove(&manifest.plugin.to_string());
        Ok(manifest)
    }

    /// All plugins, by name and version.
    pub fn list(&self) -> Vec<PluginManifest> {
        self.read().iter().cloned().collect()
    }

    /// What is wrong with the entries that cannot be used, one text for each: manifests that cannot be read, and
    /// bytes that are not there or have another length.
    pub fn damaged(&self) -> Vec<String> {
        let missing = |manifest: &PluginManifest| check_bytes(&self.dir, manifest).err().map(|error| error.to_string());
        let mut found: Vec<String> = self.read().iter().filter_map(missing).collect();
        let unreadable = self.damaged.read().unwrap_or_else(PoisonError::into_inner);
        found.extend(unreadable.values().map(ToString::to_string));
        found
    }

    /// The plugin of that name and version.
    pub fn get(&self, plugin: &PluginRef) -> Option<PluginManifest> {
        self.read().get(plugin).cloned()
    }

    /// The bytes of a plugin, as they were uploaded: their digest is checked.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`], [`RegistryError::Damaged`], [`RegistryError::Io`].
    pub fn bytes(&self, plugin: &PluginRef) -> Result<Vec<u8>, RegistryError> {
        let Some(manifest) = self.get(plugin) else { return Err(self.absent(plugin)) };
        check_bytes(&self.dir, &manifest)?;
        let path = bytes_path(&self.dir, &manifest.digest);
        let bytes = fs::read(&path).map_err(io_error("cannot read", &path))?;
        let digest = digest_of(&bytes);
        if digest != manifest.digest {
            return Err(damaged(&path, format!("its sha256 is {digest}")));
        }
        Ok(bytes)
    }

    /// Why there is no such plugin.
    fn absent(&self, plugin: &PluginRef) -> RegistryError {
        let hint = self.read().latest(&plugin.name).map(|found| found.plugin.clone());
        let damaged = self.damaged.read().unwrap_or_else(PoisonError::into_inner);
        match damaged.get(&plugin.to_string()) {
            None => RegistryError::Unknown { plugin: plugin.clone(), hint },
            Some(RegistryError::Damaged { path, reason }) => self::damaged(path, reason.clone()),
            Some(other) => self::damaged(&self.dir.join(format!("{plugin}{MANIFEST_SUFFIX}")), other.to_string()),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the bytes unless the very same are there.
    fn write_bytes(&self, digest: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let path = bytes_path(&self.dir, digest);
        match fs::read(&path) {
            // Bytes that a crashed upload left may not be on the disk yet, so they are synced in any case.
            Ok(found) if found == bytes => {
                File::open(&path).and_then(|file| file.sync_all()).map_err(io_error("cannot sync", &path))?;
                sync_dir(&self.dir)
            }
            _ => write_atomically(&self.dir, &path, bytes),
        }
    }
}

/// Reads a manifest, and checks that it is the one its file name says.
fn read_manifest(path: &Path, plugin: &str) -> Result<PluginManifest, RegistryError> {
    let size = fs::metadata(path).map_err(io_error("cannot read", path))?.len();
    if size > MANIFEST_MAX_BYTES {
        return Err(damaged(path, format!("it has {size} bytes, which no manifest has")));
    }
    let text = fs::read(path).map_err(io_error("cannot read", path))?;
    let manifest: PluginManifest =
        serde_json::from_slice(&text).map_err(|error| damaged(path, format!("it is no manifest: {error}")))?;
    if manifest.plugin.to_string() != plugin {
        return Err(damaged(path, format!("it speaks of {}", manifest.plugin)));
    }
    if manifest.digest.len() != 64 || !manifest.digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(damaged(path, "its digest is no sha256".to_owned()));
    }
    Ok(manifest)
}

/// Checks that the bytes of a plugin are there, as many as there should be.
fn check_bytes(dir: &Path, manifest: &PluginManifest) -> Result<(), RegistryError> {
    let (plugin, bytes) = (&manifest.plugin, bytes_path(dir, &manifest.digest));
    match fs::metadata(&bytes) {
        Ok(found) if found.len() == manifest.size_bytes => Ok(()),
        Ok(found) => {
            Err(damaged(&bytes, format!("it has {} bytes, and {plugin} has {}", found.len(), manifest.size_bytes)))
        }
        Err(error) => Err(damaged(&bytes, format!("it holds the bytes of {plugin}, and cannot be found: {error}"))),
    }
}

fn bytes_path(dir: &Path, digest: &str) -> PathBuf {
    dir.join(format!("{digest}.wasm"))
}

fn digest_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_atomically(dir: &Path, path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED_SUFFIX);
    let unfinished = PathBuf::from(unfinished);
    let write = || -> io::Result<()> {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(io_error("cannot write", path))?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> Result<(), RegistryError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("cannot sync the directory", dir))
}

fn damaged(path: &Path, reason: String) -> RegistryError {
    RegistryError::Damaged { path: path.to_owned(), reason }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::Io { doing, path, source }
}
