//! `pelton plugin keygen`, and the private keys that sign uploads: Ed25519 (RFC 8032).
//!
//! A private key's file holds one line, `pelton-ed25519-private-key HEX`, and is readable for its owner alone.

use crate::cli::{output, text};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use ed25519_dalek::{Signer as _, SigningKey};
use pelton_api::manifest::{PluginRef, signed_text};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What stands in front of the digits, so that nobody takes the file for something else.
const LABEL: &str = "pelton-ed25519-private-key";
/// No key file is longer.
const FILE_MAX_BYTES: u64 = 4096;

/// Make a key pair that signs plugins.
///
/// The private key goes to FILE, readable for you alone. What is printed is the public key, as a line for the file
/// that the broker's `pelton.plugin.trusted.keys` names.
///
/// Example: pelton plugin keygen release.key >> trusted.keys
#[derive(Debug, Args)]
pub struct Keygen {
    /// Where the private key is written; a file that exists is never overwritten.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the key in the broker's list; without it the file's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// A signature with the key that checks it, in hexadecimal.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// 64 bytes.
    pub signature: String,
    /// 32 bytes.
    pub public_key: String,
}

impl Keygen {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => self.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(legal) {
            bail!("`{name}` cannot name a key; give --name, of letters, digits, `.`, `_` and `-`");
        }
        let mut secret = [0; 32];
        let random = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut secret));
        random.context("the system gives no random bytes (/dev/urandom)")?;
        let key = SigningKey::from_bytes(&secret);
        write_private(&self.file, &key)?;
        let public = text::hexadecimal(key.verifying_key().as_bytes());
        if self.json {
            output::json(&serde_json::json!({ "name": name, "public_key": public, "file": self.file }));
        } else {
            output::line(&format!("{name} {public}"));
            output::note(&format!(
                "the private key is in {}; `pelton plugin upload ... --key {}` signs with it",
                self.file.display(),
                self.file.display()
            ));
        }
        Ok(())
    }
}

/// Signs a plugin's name, version and bytes with the key in `file`.
///
/// # Errors
/// When the file holds no private key, or others may read it.
pub fn sign(file: &Path, plugin: &PluginRef, digest: &str) -> anyhow::Result<Signature> {
    let key = read_private(file)?;
    let signature = key.sign(signed_text(plugin, digest).as_bytes());
    Ok(Signature {
        signature: text::hexadecimal(&signature.to_bytes()),
        public_key: text::hexadecimal(key.verifying_key().as_bytes()),
    })
}

fn write_private(path: &Path, key: &SigningKey) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match file {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} exists; a key is never overwritten, so name another file", path.display())
        }
        Err(e) => return Err(e).with_context(|| format!("cannot write {}", path.display())),
    };
    let line = format!("{LABEL} {}\n", text::hexadecimal(&key.to_bytes()));
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn read_private(path: &Path) -> anyhow::Result<SigningKey> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read the key {shown}"))?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{shown}: others may read this private key (mode {:o}); run: chmod 600 {shown}", mode & 0o777);
    }
    let mut line = String::new();
    file.take(FILE_MAX_BYTES).read_to_string(&mut line).with_context(|| format!("cannot read the key {shown}"))?;
    let bad = || anyhow!("{shown} holds no private key; `pelton plugin keygen FILE` makes one");
    let digits = line.trim().strip_prefix(LABEL).ok_or_else(bad)?.trim();
    let bytes: [u8; 32] = text::from_hexadecimal(digits).map_err(|_| bad())?.try_into().map_err(|_| bad())?;
    Ok(SigningKey::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signature as Checked, VerifyingKey};

    #[test]
    fn a_signature_holds_for_its_plugin_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("release.key");
        let key = SigningKey::from_bytes(&[7; 32]);
        write_private(&path, &key).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_private(&path, &key).unwrap_err().to_string().contains("never overwritten"));

        let plugin: PluginRef = "mask@1".parse().unwrap();
        let signed = sign(&path, &plugin, "00ff").unwrap();
        let public: [u8; 32] = text::from_hexadecimal(&signed.public_key).unwrap().try_into().unwrap();
        let signature: [u8; 64] = text::from_hexadecimal(&signed.signature).unwrap().try_into().unwrap();
        let (public, signature) = (VerifyingKey::from_bytes(&public).unwrap(), Checked::from_bytes(&signature));
        public.verify_strict(signed_text(&plugin, "00ff").as_bytes(), &signature).unwrap();
        let other: PluginRef = "mask@2".parse().unwrap();
        assert!(public.verify_strict(signed_text(&other, "00ff").as_bytes(), &signature).is_err());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        write_private(&path, &SigningKey::from_bytes(&[7; 32])).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = sign(&path, &"a@1".parse().unwrap(), "00").unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        std::fs::write(&path, "something else").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(sign(&path, &"a@1".parse().unwrap(), "00").is_err());
    }
}
