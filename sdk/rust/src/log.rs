//! Lines for the operator. The host bounds their length and rate; they appear in the broker's log with the
//! plugin's name.

use crate::host;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed that a person must look at.
    Error,
    /// Something is odd, and the plugin goes on.
    Warn,
    /// What a person wants to know once.
    Info,
    /// What helps to find a fault.
    Debug,
}

/// Writes a line.
pub fn write(level: Level, message: &str) {
    host::log(level, message);
}

/// Writes a line at [`Level::Error`].
pub fn error(message: &str) {
    write(Level::Error, message);
}

/// Writes a line at [`Level::Warn`].
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Writes a line at [`Level::Info`].
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Writes a line at [`Level::Debug`].
pub fn debug(message: &str) {
    write(Level::Debug, message);
}
