//! The interceptor that writes every batch anew: it replaces one field of each JSON value, named in its configuration:
//! `{"field": "user.email"}`.

use pelton_sdk::json::{self, Edit, Path};
use pelton_sdk::prelude::*;

/// The plugin.
pub struct Redact {
    field: [Path; 1],
}

/// Its configuration.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Where the field stands.
    field: Path,
}

impl Interceptor for Redact {
    type Config = Config;

    fn wants() -> Wants {
        Wants::new().on_send().writes_value()
    }

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self { field: [config.field] })
    }

    fn on_send(&mut self, _from: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        for record in batch {
            let Some(value) = record.value() else { continue };
            match json::edit(value, &self.field, |_, _| Edit::Replace("\"[redacted]\"".to_owned())) {
                Ok(Some(value)) => out.replace_value(&record, value),
                Ok(None) => {}
                Err(error) => out.reject(&record, error.to_string()),
            }
        }
        Ok(())
    }
}

pelton_sdk::export_interceptor!(Redact);

#[cfg(test)]
mod tests {
    use super::Redact;
    use pelton_sdk::testing::{InterceptorHarness, TestRecord};

    #[test]
    fn the_field_is_replaced_and_nothing_else() {
        let mut redact = InterceptorHarness::<Redact>::new(r#"{"field": "user.email"}"#).unwrap();
        let given = [r#"{"id":1.0,"user":{"email":"a@b"}}"#, "{}", "x"].map(|value| TestRecord::new("k", value));
        let judged = redact.on_send(&given).unwrap();
        let first = r#"{"id":1.0,"user":{"email":"[redacted]"}}"#;
        assert_eq!(judged.records[0], TestRecord::new("k", first));
        assert_eq!(judged.records[1..], given[1..]);
        assert_eq!(judged.rejected[0].0, 2);
    }
}
