//! Records that do not fit a JSON Schema are rejected before they are appended.
//!
//! The schema stands in the configuration, under draft 2020-12 unless its `$schema` names another. It is checked against its
//! metaschema when it is set, so a schema that is none never reaches a topic. It is whole: a `$ref` may point into
//! it, not to a file or an address. A rejection says where in the record, which keyword of the schema,
//! and what was wrong: `at /price: want number, but got string (schema: /properties/price/type)`.
//!
//! Values are checked, or keys. A null value is a tombstone and passes, unless the configuration says `reject`.
//!
//! In an array that `prefixItems` begins, the places of the items after the prefix are counted from its end (boon 0.6.1).
//!
//! Not here: Avro, Protobuf, and a registry of schemas.

use boon::{Compiler, Draft, SchemaIndex, Schemas, UrlLoader, ValidationError};
use pelton_sdk::prelude::*;
use serde_json::Value;

#[cfg(target_arch = "wasm32")]
mod entropy;
#[cfg(test)]
mod tests;

/// The plugin.
pub struct SchemaCheck {
    schemas: Schemas,
    schema: SchemaIndex,
    of: Part,
    null: Null,
}

/// Its configuration.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// The schema itself.
    schema: Value,
    /// What is checked.
    #[serde(default)]
    of: Part,
    /// What becomes of a record whose value (or key) is null.
    #[serde(default)]
    null: Null,
    /// Whether `format` is checked, too; by the standard it is a note for people.
    #[serde(default)]
    formats: bool,
}

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "lowercase")]
enum Part {
    #[default]
    Value,
    Key,
}

/// What becomes of null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "lowercase")]
enum Null {
    #[default]
    Pass,
    Reject,
}

/// The name under which the schema's own references find it.
const LOCATION: &str = "pelton:schema";
/// Longest reason that is given, in bytes.
const MAX_REASON_BYTES: usize = 1000;

impl Interceptor for SchemaCheck {
    type Config = Config;

    fn wants() -> Wants {
        Wants::new().on_send().reads_key().reads_value()
    }

    fn configure(config: Config) -> Result<Self, String> {
        let refused = |error: boon::CompileError| format!("`schema` is refused: {error:#}").replace('\n', ";");
        let mut schemas = Schemas::new();
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.use_loader(Box::new(NoLoader));
        if config.formats {
            compiler.enable_format_assertions();
        }
        compiler.add_resource(LOCATION, config.schema).map_err(refused)?;
        let schema = compiler.compile(LOCATION, &mut schemas).map_err(refused)?;
        Ok(Self { schemas, schema, of: config.of, null: config.null })
    }

    fn on_send(&mut self, _from: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        for record in batch {
            let (part, name) = match self.of {
                Part::Value => (record.value(), "value"),
                Part::Key => (record.key(), "key"),
            };
            let Some(bytes) = part else {
                if self.null == Null::Reject {
                    out.reject(&record, format!("the {name} is null"));
                }
                continue;
            };
            match serde_json::from_slice::<Value>(bytes) {
                Ok(document) => {
                    if let Err(error) = self.schemas.validate(&document, self.schema) {
                        out.reject(&record, reason(&error));
                    }
                }
                Err(error) => out.reject(&record, format!("the {name} is not JSON: {error}")),
            }
        }
        Ok(())
    }
}

/// The first thing that is wrong, as deep in the document as the schema can tell.
fn reason(error: &ValidationError<'_, '_>) -> String {
    let mut leaf = error;
    while let Some(cause) = leaf.causes.first() {
        leaf = cause;
    }
    let place = match leaf.instance_location.to_string() {
        root if root.is_empty() => "/".to_owned(),
        place => place,
    };
    let pointer = leaf.schema_url.split_once('#').map_or("", |(_, pointer)| pointer);
    let keyword = leaf.kind.keyword_path().map_or_else(String::new, |path| format!("/{path}"));
    let mut reason = format!("at {place}: {} (schema: {pointer}{keyword})", leaf.kind);
    if reason.len() > MAX_REASON_BYTES {
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        reason.push_str("...");
    }
    reason
}

/// A plugin has no files and no network.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("{url} is outside of the schema; put what is referred to under $defs").into())
    }
}

pelton_sdk::export_interceptor!(SchemaCheck);
