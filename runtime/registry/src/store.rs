//! What waits: bytes and manifests on disk.
//!
//! A plugin's bytes lie in `<sha256>.wasm`, so two names may share them, and its manifest in
//! `<name>@<version>.json`. The bytes are written and synced before the manifest that speaks of them; both
//! are written under another name and renamed, so a crash leaves a whole file or none. Bytes without a
//! manifest are what a crash in between leaves: they do no harm, and the next upload uses them. A removal goes the
//! other way round: first the manifest, then the bytes.

use crate::catalogue::{Catalogue, Decision};
use crate::policy::{self, Policy, PolicyError};
use pelton_api::manifest::{ModuleFacts, PluginManifest, PluginRef, Provenance};
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
/// A manifest is some 1,000 bytes; a larger file is none.
const MANIFEST_MAX_BYTES: u64 = 64 << 10;

/// A module to be kept.
#[derive(Debug, Clone)]
pub struct Upload<'a> {
    /// Under which name and version.
    pub plugin: PluginRef,
    /// The module as it came.
    pub bytes: &'a [u8],
    /// What the engine found out about it.
    pub facts: ModuleFacts,
    /// What it says of itself.
    pub provenance: Provenance,
    /// Who uploads it.
    pub uploaded_by: Option<String>,
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// Why the registry could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The operator's policy refuses the plugin.
    #[error(transparent)]
    Policy(#[from] PolicyError),
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
    policy: Policy,
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
    pub fn open(dir: impl Into<PathBuf>, policy: Policy) -> Result<Self, RegistryError> {
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
        Ok(Self { dir, policy, catalogue: RwLock::new(catalogue), damaged: RwLock::new(damaged) })
    }

    /// What the operator allows.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether an upload has a chance, before its bytes are compiled: its signature, its name, the room for it.
    ///
    /// # Errors
    /// [`RegistryError::Policy`], [`RegistryError::Taken`].
    pub fn check(&self, plugin: &PluginRef, bytes: &[u8], provenance: &Provenance) -> Result<(), RegistryError> {
        self.decide(&self.read(), plugin, bytes, &digest_of(bytes), provenance).map(drop)
    }

    /// The manifest that is there already, and whether this upload adds a signature to it.
    fn decide(
        &self,
        catalogue: &Catalogue,
        plugin: &PluginRef,
        bytes: &[u8],
        digest: &str,
        provenance: &Provenance,
    ) -> Result<Option<(PluginManifest, bool)>, RegistryError> {
        match catalogue.decide(plugin, digest) {
            Decision::AlreadyThere(mut manifest) => {
                let signs = manifest.provenance.signature.is_none() && provenance.signature.is_some();
                if signs {
                    policy::check_provenance(provenance)?;
                    manifest.provenance = provenance.clone();
                }
                manifest.signed_by = self.policy.signer(plugin, digest, &manifest.provenance)?;
                Ok(Some((*manifest, signs)))
            }
            Decision::Taken { existing } => {
                let latest = catalogue.latest(&plugin.name).map_or(plugin.version, |found| found.plugin.version);
                let next = PluginRef { name: plugin.name.clone(), version: latest.saturating_add(1) };
                Err(RegistryError::Taken { plugin: plugin.clone(), existing, uploaded: digest.to_owned(), next })
            }
            Decision::Add => {
                policy::check_provenance(provenance)?;
                self.policy.signer(plugin, digest, provenance)?;
                self.policy.room(catalogue.iter(), digest, bytes.len() as u64)?;
                Ok(None)
            }
        }
    }

    /// Keeps a plugin that the engine has accepted. The same bytes again answer with the manifest that is there and
    /// change nothing, but that one without a signature may get one. When it returns, the plugin survives a power cut.
    ///
    /// # Errors
    /// [`RegistryError::Policy`], [`RegistryError::Taken`], [`RegistryError::Io`].
    pub fn add(&self, upload: Upload<'_>) -> Result<PluginManifest, RegistryError> {
        let Upload { plugin, bytes, facts, provenance, uploaded_by, now_ms } = upload;
        let digest = digest_of(bytes);
        let mut catalogue = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((manifest, signed_now)) = self.decide(&catalogue, &plugin, bytes, &digest, &provenance)? {
            self.policy.admit(&plugin, &digest, &facts, &manifest.provenance)?;
            // The bytes may have been lost since; an upload mends that.
            self.write_bytes(&digest, bytes)?;
            if signed_now {
                self.write_manifest(&manifest)?;
                catalogue.remove(&plugin);
                catalogue.insert(manifest.clone());
            }
            return Ok(manifest);
        }
        let signed_by = self.policy.admit(&plugin, &digest, &facts, &provenance)?;
        let size_bytes = bytes.len() as u64;
        let manifest = PluginManifest {
            plugin,
            facts,
            digest,
            size_bytes,
            uploaded_at_ms: now_ms,
            uploaded_by,
            provenance,
            signed_by,
        };
        self.write_bytes(&manifest.digest, bytes)?;
        self.write_manifest(&manifest)?;
        catalogue.insert(manifest.clone());
        self.damaged.write().unwrap_or_else(PoisonError::into_inner).remove(&manifest.plugin.to_string());
        Ok(manifest)
    }

    /// Removes a plugin, also one whose manifest is damaged. Its bytes go with it when no other plugin has them; while
    /// a damaged manifest may be the other, they stay. Whoever asks has made sure that nobody uses it.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`]; [`RegistryError::Io`], after which the plugin may be gone and its bytes there.
    pub fn remove(&self, plugin: &PluginRef) -> Result<(), RegistryError> {
        let mut catalogue = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        let mut unreadable = self.damaged.write().unwrap_or_else(PoisonError::into_inner);
        let name = plugin.to_string();
        let found = catalogue.get(plugin).cloned();
        if found.is_none() && !unreadable.contains_key(&name) {
            let hint = catalogue.latest(&plugin.name).map(|found| found.plugin.clone());
            return Err(RegistryError::Unknown { plugin: plugin.clone(), hint });
        }
        remove_file(&self.manifest_path(plugin))?;
        sync_dir(&self.dir)?;
        catalogue.remove(plugin);
        unreadable.remove(&name);
        match found {
            Some(manifest) if unreadable.is_empty() && !catalogue.has_bytes(&manifest.digest) => {
                remove_file(&bytes_path(&self.dir, &manifest.digest))?;
                sync_dir(&self.dir)
            }
            _ => Ok(()),
        }
    }

    fn write_manifest(&self, manifest: &PluginManifest) -> Result<(), RegistryError> {
        let path = self.manifest_path(&manifest.plugin);
        let text = serde_json::to_vec_pretty(manifest).map_err(|error| damaged(&path, error.to_string()))?;
        write_atomically(&self.dir, &path, &text)
    }

    fn manifest_path(&self, plugin: &PluginRef) -> PathBuf {
        self.dir.join(format!("{plugin}{MANIFEST_SUFFIX}"))
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

    /// The bytes of a plugin, as they were uploaded: their digest is checked, and so is the policy, which may have
    /// become stricter since.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`], [`RegistryError::Policy`], [`RegistryError::Damaged`], [`RegistryError::Io`].
    pub fn bytes(&self, plugin: &PluginRef) -> Result<Vec<u8>, RegistryError> {
        let Some(manifest) = self.get(plugin) else { return Err(self.absent(plugin)) };
        self.policy.admit(plugin, &manifest.digest, &manifest.facts, &manifest.provenance)?;
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
            Some(other) => self::damaged(&self.manifest_path(plugin), other.to_string()),
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

/// Removes a file; one that is not there any more is removed already.
fn remove_file(path: &Path) -> Result<(), RegistryError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("cannot remove", path)(error)),
        _ => Ok(()),
    }
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
