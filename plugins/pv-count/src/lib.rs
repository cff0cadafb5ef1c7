//! Page views per path, from lines of a web server's access log.
//!
//! Two steps, told apart by their configuration:
//!
//! - `{"step":"pages"}` reads lines of Apache's common or combined format and emits one record a view: the
//!   key is the path, without query string and fragment, the value is empty. A line that is no access-log
//!   line is rejected with its reason.
//! - `{"step":"count"}` counts by key in its store `views`, and emits each new count: the key is the path, the
//!   value the count as decimal text; one record for each input record.
//!
//! Paths are bytes and stay bytes: what is no UTF-8 is counted as it is.
//!
//! Not here: windows, robots, status codes. Every line with a request counts as one view.

mod access_log;
mod count;
#[cfg(test)]
mod tests;

use pelton_sdk::prelude::*;

/// The plugin: one of its two steps.
pub enum PageViews {
    /// From access-log lines to paths.
    Pages,
    /// From paths to counts.
    Count(count::Count),
}

/// Which step an instance is.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "lowercase")]
pub enum Step {
    /// From access-log lines to paths.
    Pages,
    /// From paths to counts.
    Count,
}

/// The configuration of a step.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Which step this is.
    step: Step,
}

impl Transform for PageViews {
    type Config = Config;

    fn configure(config: Config, stores: &Stores) -> Result<Self, String> {
        match config.step {
            Step::Pages => Ok(Self::Pages),
            Step::Count => Ok(Self::Count(count::Count::new(stores.open("views")?))),
        }
    }

    fn process(&mut self, batch: Batch<'_>, out: &mut Output) -> Result<(), String> {
        match self {
            Self::Pages => pages(batch, out),
            Self::Count(count) => count.process(batch, out)?,
        }
        Ok(())
    }
}

fn pages(batch: Batch<'_>, out: &mut Output) {
    for record in batch {
        match record.value().ok_or("no line: the value is null").and_then(access_log::path) {
            Ok(path) => out.emit(path, b""),
            Err(reason) => out.reject(&record, reason),
        }
    }
}

pelton_sdk::export_transform!(PageViews);
