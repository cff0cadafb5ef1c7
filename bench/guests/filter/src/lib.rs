//! The interceptor that takes away every record whose value begins with one byte, named in its configuration:
//! `{"first": "#"}`. It walks all records and changes none.

use pelton_sdk::prelude::*;

/// The plugin.
pub struct Filter {
    first: u8,
}

/// Its configuration.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// The byte, as a text of one ASCII character.
    first: String,
}

impl Interceptor for Filter {
    type Config = Config;

    fn wants() -> Wants {
        Wants::new().on_send().reads_value().drops()
    }

    fn configure(config: Config) -> Result<Self, String> {
        match config.first.as_bytes() {
            [first] => Ok(Self { first: *first }),
            _ => Err(format!("`first` is one ASCII character, not `{}`", config.first)),
        }
    }

    fn on_send(&mut self, _from: &Origin, batch: Batch<'_>, out: &mut Verdict) -> Result<(), String> {
        for record in batch {
            if record.value().is_some_and(|value| value.first() == Some(&self.first)) {
                out.drop(&record);
            }
        }
        Ok(())
    }
}

pelton_sdk::export_interceptor!(Filter);

#[cfg(test)]
mod tests {
    use super::Filter;
    use pelton_sdk::testing::{InterceptorHarness, TestRecord};

    #[test]
    fn values_that_begin_with_the_byte_are_gone() {
        let mut filter = InterceptorHarness::<Filter>::new(r##"{"first": "#"}"##).unwrap();
        let given = ["#a", "a#", "", "#"].map(|value| TestRecord::new((), value));
        assert_eq!(filter.on_send(&given).unwrap().dropped, [0, 3]);
        assert!(filter.on_send(&[TestRecord::new("#", ())]).unwrap().unchanged);
        assert!(InterceptorHarness::<Filter>::new(r#"{"first": "ab"}"#).is_err());
    }
}
