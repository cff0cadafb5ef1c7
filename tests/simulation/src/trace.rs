//! A fingerprint of everything that happened, in order: two runs of a seed must have the same.

use std::fmt::{self, Write};

/// FNV-1a over the debug form of every event, effect and answer.
#[derive(Debug, Clone)]
pub struct Trace {
    hash: u64,
    events: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0 }
    }
}

impl Trace {
    /// Takes note of something that happened.
    pub fn note(&mut self, what: &impl fmt::Debug) {
        self.events += 1;
        write!(self, "{what:?};").expect("hashing does not fail");
    }

    /// The fingerprint so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How much was noted.
    pub fn events(&self) -> u64 {
        self.events
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
