//! A step's configuration, from JSON text.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The configuration of a plugin that takes none: any key is refused with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a configuration; empty text is an empty object.
pub(crate) fn parse<C: DeserializeOwned>(text: &str) -> Result<C, String> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| format!("the configuration is refused: {error}"))
}
