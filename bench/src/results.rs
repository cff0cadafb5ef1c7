//! Puts a report into a document, between the two comments that are kept for it.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Replaces what stands between `<!-- name -->` and `<!-- /name -->` in the file.
pub fn write(path: &Path, name: &str, report: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = replaced(&text, name, report)
        .with_context(|| format!("{} has no `<!-- {name} -->` with a `<!-- /{name} -->` after it", path.display()))?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Prints a report.
pub fn print(report: &str) -> Result<()> {
    use std::io::Write as _;
    Ok(std::io::stdout().write_all(report.as_bytes())?)
}

/// Checks that there is a place for the report, before hours are spent on it.
pub fn check(path: &Path, name: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    replaced(&text, name, "").map(drop).with_context(|| format!("{} has no place for `{name}`", path.display()))
}

fn replaced(text: &str, name: &str, report: &str) -> Option<String> {
    let (before, rest) = text.split_once(&format!("<!-- {name} -->"))?;
    let (_, after) = rest.split_once(&format!("<!-- /{name} -->"))?;
    Some(format!("{before}<!-- {name} -->\n{}\n<!-- /{name} -->{after}", report.trim_matches('\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_place_changes() {
        let text = "a\n<!-- x -->\nold\n<!-- /x -->\nb <!-- y --><!-- /y -->";
        let expected = "a\n<!-- x -->\nnew\n<!-- /x -->\nb <!-- y --><!-- /y -->";
        assert_eq!(replaced(text, "x", "\nnew\n").unwrap(), expected);
        assert_eq!(replaced(expected, "x", "new").unwrap(), expected);
        assert_eq!(replaced(text, "z", "new"), None);
    }
}
