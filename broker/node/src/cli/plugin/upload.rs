//! `pelton plugin upload`: a module's bytes to the registry, signed where a key is given.

use super::{keys, list};
use crate::cli::{Asking, output, text};
use anyhow::{Context, bail};
use clap::Args;
use pelton_api::manifest::{PluginManifest, PluginRef};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// No module is larger, whatever a broker's `pelton.plugin.max.bytes` says.
const MODULE_MAX_BYTES: u64 = 1 << 30;

/// Upload a WebAssembly module under a name and a version, which then never change.
///
/// The broker checks and compiles it before it answers. What the module is, interceptor, partitioner or transform,
/// is told by what it exports.
///
/// Example: pelton plugin upload mask@2 mask.wasm --author "Data team" --key release.key
#[derive(Debug, Args)]
pub struct Upload {
    /// Name and version, such as pv-count@1.
    #[arg(value_name = "NAME@VERSION")]
    plugin: PluginRef,
    /// The module, as a core module or a component.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Who wrote it.
    #[arg(long, value_name = "TEXT")]
    author: Option<String>,
    /// SHA-256 of the source that it was built from, in hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    source_digest: Option<String>,
    /// Sign it with the private key in this file, which `pelton plugin keygen` made.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    asking: Asking,
}

impl Upload {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let bytes = read(&self.file)?;
        let mut headers = Vec::new();
        if let Some(author) = &self.author {
            if author.chars().any(char::is_control) || !author.is_ascii() {
                bail!("--author {author:?}: write it in ASCII, in one line");
            }
            headers.push(("Pelton-Author", author.clone()));
        }
        if let Some(digest) = &self.source_digest {
            if text::from_hexadecimal(digest).map_or(0, |bytes| bytes.len()) != 32 {
                bail!("--source-digest {digest}: write SHA-256 as 64 hexadecimal digits, as `sha256sum` prints it");
            }
            headers.push(("Pelton-Source-Digest", digest.to_ascii_lowercase()));
        }
        if let Some(key) = &self.key {
            let digest = text::hexadecimal(&Sha256::digest(&bytes));
            let signed = keys::sign(key, &self.plugin, &digest)?;
            headers.push(("Pelton-Signature", signed.signature));
            headers.push(("Pelton-Public-Key", signed.public_key));
        }
        let manifest = self.send(bytes, &headers)?;
        if self.asking.json {
            output::json(&manifest);
            return Ok(());
        }
        output::line(&format!(
            "{} is uploaded: {}, {}, sha256 {}",
            manifest.plugin,
            manifest.facts.interface,
            output::size(manifest.size_bytes),
            manifest.digest
        ));
        list::print_capabilities(&manifest.facts);
        Ok(())
    }

    fn send(&self, bytes: Vec<u8>, headers: &[(&str, String)]) -> anyhow::Result<PluginManifest> {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let bar = output::progress(Some(bytes.len() as u64), "{bar:30} {bytes}/{total_bytes}  {msg}");
        bar.set_message("uploading, then compiling");
        bar.enable_steady_tick(Duration::from_millis(200));
        let mut body = bar.wrap_read(Cursor::new(bytes));
        let path = format!("/v1/plugins/{}/versions/{}", self.plugin.name, self.plugin.version);
        let client = self.asking.admin.client();
        let uploaded = client.put_with(&path, &headers, ureq::SendBody::from_reader(&mut body));
        bar.finish_and_clear();
        uploaded
    }
}

/// Reads a module, whole.
///
/// # Errors
/// When it is no file, or larger than any module.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let what = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(what)?;
    let metadata = file.metadata().with_context(what)?;
    if !metadata.is_file() {
        bail!("{} is no file; name the built .wasm", path.display());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MODULE_MAX_BYTES)).unwrap_or(0));
    file.take(MODULE_MAX_BYTES + 1).read_to_end(&mut bytes).with_context(what)?;
    if bytes.len() as u64 > MODULE_MAX_BYTES {
        bail!("{} is larger than 1 GiB, which no broker takes", path.display());
    }
    Ok(bytes)
}
