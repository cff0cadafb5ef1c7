//! Compiled code on disk, so that a start takes milliseconds where a compilation takes seconds.
//!
//! An entry is named by the digest of the uploaded bytes and a fingerprint of the engine (version,
//! settings, processor). It begins with an HMAC-SHA256 over its name and its content; the key is random,
//! lies beside the entries and is readable by its owner alone. Whoever can read that key can run code as
//! this user anyway.
//!
//! Invariant: `deserialize`, which trusts its input, sees only [`Trusted`] code: what passed the MAC, or what a compiler of this
//! process's own just wrote. Anything else is compiled again. A failure to write costs time at the next start and nothing else.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use wasmtime::Module;
use wasmtime::component::Component;

/// Entries kept; the oldest go first. An entry of another engine's version is never read again.
const MAX_ENTRIES: usize = 256;
const MAC_BYTES: usize = 32;
const KEY_FILE: &str = "cache.key";
const ENTRY_SUFFIX: &str = ".cwasm";

pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; 32],
    fingerprint: String,
}

impl Cache {
    /// Opens the directory, which is made when it is not there, and reads or makes its key.
    pub(crate) fn open(dir: PathBuf, engine: &wasmtime::Engine) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let key = read_or_make_key(&dir.join(KEY_FILE))?;
        let mut hasher = ShaHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let fingerprint = hex(&hasher.0.finalize()[..8]);
        Ok(Self { dir, key, fingerprint })
    }

    /// What was compiled from the upload with this digest; `None` when there is nothing to be trusted.
    pub(crate) fn load(&self, digest: &str) -> Option<Trusted> {
        let name = self.entry_name(digest);
        let mut file = fs::read(self.dir.join(&name)).ok()?;
        let (mac, code) = file.split_at_checked(MAC_BYTES)?;
        if self.mac(&name, code).verify_slice(mac).is_err() {
            tracing::warn!(entry = %name, "compiled plugin on disk is damaged or not ours; it is compiled again");
            return None;
        }
        file.drain(..MAC_BYTES);
        Some(Trusted(file))
    }

    /// Keeps what was compiled from the upload with this digest.
    pub(crate) fn store(&self, code: &Trusted, digest: &str) {
        if let Err(error) = self.try_store(code, digest) {
            tracing::warn!(dir = %self.dir.display(), %error, "a compiled plugin could not be kept");
        }
    }

    fn try_store(&self, code: &Trusted, digest: &str) -> io::Result<()> {
        let name = self.entry_name(digest);
        let mac = self.mac(&name, &code.0).finalize().into_bytes();
        let unfinished = self.dir.join(format!("{name}.new"));
        let mut file = File::create(&unfinished)?;
        file.write_all(&mac)?;
        file.write_all(&code.0)?;
        fs::rename(&unfinished, self.dir.join(&name))?;
        self.remove_oldest()
    }

    fn remove_oldest(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(ENTRY_SUFFIX) {
                entries.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        entries.sort();
        let surplus = entries.len().saturating_sub(MAX_ENTRIES);
        entries.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn entry_name(&self, digest: &str) -> String {
        format!("{digest}-{}{ENTRY_SUFFIX}", self.fingerprint)
    }

    fn mac(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(&(name.len() as u64).to_be_bytes());
        mac.update(name.as_bytes());
        mac.update(code);
        mac
    }
}

/// Serialized code that a compiler of ours wrote: in this process, in its child, or earlier, under this cache's key.
pub(crate) struct Trusted(Vec<u8>);

impl Trusted {
    /// What a compiler just wrote, this process or a child of it that runs our own program.
    pub(crate) fn of_compiler(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// The code as a component.
    pub(crate) fn component(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        // SAFETY: `deserialize` demands bytes that wasmtime's own compiler serialized. A `Trusted` holds nothing else: it comes
        // from `of_compiler`, or from a file whose MAC, under a key that only this user can read, was verified over the very
        // bytes in memory. An engine of another version or setting gives an error, not unsoundness.
        #[allow(unsafe_code)]
        unsafe {
            Component::deserialize(engine, &self.0)
        }
    }

    /// The code as a core module.
    pub(crate) fn module(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Module> {
        // SAFETY: as in `component`. Code of a component gives an error.
        #[allow(unsafe_code)]
        unsafe {
            Module::deserialize(engine, &self.0)
        }
    }
}

/// The key in the file; a new one when there is none, or when others could read it or it is cut short.
fn read_or_make_key(path: &Path) -> io::Result<[u8; 32]> {
    if let Ok(mut file) = File::open(path) {
        let mut key = [0; 32];
        let private = file.metadata()?.permissions().mode() & 0o077 == 0;
        if private && file.read_exact(&mut key).is_ok() {
            return Ok(key);
        }
        fs::remove_file(path)?;
    }
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let unfinished = path.with_extension(format!("key.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    Ok(key)
}

/// Feeds a `Hash` into SHA-256: a fingerprint that is the same in every process, which the standard
/// library's hasher does not promise.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
