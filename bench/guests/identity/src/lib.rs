//! The interceptor that does nothing: it reads all of every record and leaves the batch as it is. What it costs is what any
//! interceptor costs before it has done anything.

use pelton_sdk::prelude::*;

/// The plugin.
pub struct Identity;

impl Interceptor for Identity {
    type Config = NoConfig;

    fn wants() -> Wants {
        Wants::new().on_send().reads_key().reads_value().reads_headers()
    }

    fn configure(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}

pelton_sdk::export_interceptor!(Identity);

#[cfg(test)]
mod tests {
    use super::Identity;
    use pelton_sdk::testing::{InterceptorHarness, TestRecord};

    #[test]
    fn a_batch_goes_on_as_it_is() {
        let given = [TestRecord::new("k", "v").header("h", "x").at(7)];
        let judged = InterceptorHarness::<Identity>::new("").unwrap().on_send(&given).unwrap();
        assert!(judged.unchanged);
        assert_eq!(judged.records, given);
    }
}
