//! Documents that commands read whole, from a file or standard input, with a bound.

use anyhow::{Context, bail};
use std::io::Read as _;
use std::path::Path;

/// The longest document that is read, in bytes.
const DOCUMENT_MAX_BYTES: u64 = 64 << 20;

/// The text of a file; `-` is standard input.
///
/// # Errors
/// When it cannot be read, is longer than 64 MiB, or is no UTF-8.
pub fn text(file: &Path) -> anyhow::Result<String> {
    let shown = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().lock().take(DOCUMENT_MAX_BYTES + 1).read_to_string(&mut text),
        false => {
            std::fs::File::open(file).and_then(|opened| opened.take(DOCUMENT_MAX_BYTES + 1).read_to_string(&mut text))
        }
    };
    let read = read.with_context(|| format!("cannot read {shown}"))?;
    if read as u64 > DOCUMENT_MAX_BYTES {
        bail!("{shown} is longer than {DOCUMENT_MAX_BYTES} bytes; part it");
    }
    Ok(text)
}
