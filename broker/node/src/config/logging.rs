//! How the broker logs: `pelton.log.level` and `pelton.log.format`.

use super::ConfigError;
use super::values::Values;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of JSON for each event.
    Json,
    /// Lines for people.
    #[default]
    Text,
}

impl LogFormat {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

/// How the broker logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// What is logged, in the syntax of RUST_LOG.
    pub level: String,
    /// How its lines look.
    pub format: LogFormat,
}

impl Values<'_> {
    /// How the broker logs.
    pub(super) fn logging(&self) -> Result<LogSettings, ConfigError> {
        const LEVEL: &str = "pelton.log.level";
        let level = self.text(LEVEL).to_owned();
        if let Err(error) = EnvFilter::try_new(&level) {
            return self.refuse(LEVEL, &format!("a filter such as `info` or `info,pelton_server=debug` ({error})"));
        }
        let format = match self.text("pelton.log.format") {
            "json" => LogFormat::Json,
            "text" => LogFormat::Text,
            _ => return self.refuse("pelton.log.format", "`text` or `json`"),
        };
        Ok(LogSettings { level, format })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, refusal};
    use super::*;

    #[test]
    fn level_and_format_are_read_and_checked() {
        let (config, _) = build("").unwrap();
        assert_eq!(config.logging, LogSettings { level: "info".to_owned(), format: LogFormat::Text });
        let (config, _) = build("pelton.log.level=warn,pelton_server=debug\npelton.log.format=json").unwrap();
        assert_eq!(config.logging.format, LogFormat::Json);
        assert_eq!(config.logging.level, "warn,pelton_server=debug");
        assert!(refusal("pelton.log.format=xml").contains("`text` or `json`"));
        assert!(refusal("pelton.log.level=a=b=c").contains("pelton.log.level"));
    }
}
