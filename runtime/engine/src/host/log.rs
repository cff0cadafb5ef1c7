//! `pelton:plugin/log`: lines for the operator.
//!
//! Invariant: a guest can neither flood the log nor forge a line of it. A line is bounded and holds no control
//! character; a plugin's lines come at a bounded rate, over all its instances, and what was left out is counted.

use super::HostData;
use crate::observe::{Level, LogSink};
use pelton_api::manifest::PluginRef;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, WasmStr};

/// Bytes of a line.
const LINE_BYTES: usize = 4 << 10;
/// Lines in one burst; then one line for each [`REFILL`].
const BURST: u32 = 100;
const REFILL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "values come from the guest, by the derived `Lift`")]
enum GuestLevel {
    #[component(name = "error")]
    Error,
    #[component(name = "warn")]
    Warn,
    #[component(name = "info")]
    Info,
    #[component(name = "debug")]
    Debug,
}

/// The lines of one plugin, over all its instances.
pub(crate) struct Lines {
    plugin: PluginRef,
    sink: Arc<dyn LogSink>,
    throttle: Mutex<Throttle>,
}

impl Lines {
    pub(crate) fn new(plugin: &PluginRef, sink: Arc<dyn LogSink>) -> Self {
        let throttle = Throttle { lines_left: BURST, refilled: Instant::now(), dropped: 0 };
        Self { plugin: plugin.clone(), sink, throttle: Mutex::new(throttle) }
    }

    /// Whether a line may be written now. Says first how many were left out since the last one.
    fn admit(&self) -> bool {
        let admitted = self.throttle.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        if let Some(dropped) = admitted
            && dropped > 0
        {
            let line = format!("the plugin logs too fast; {dropped} lines were left out");
            self.sink.line(&self.plugin, Level::Warn, &line);
        }
        admitted.is_some()
    }
}

impl HostData {
    /// Writes a line for the operator, or leaves it out when there are too many.
    pub(crate) fn log(&self, level: Level, message: &str) {
        let lines = &self.plugin.lines;
        if lines.admit() {
            lines.sink.line(&lines.plugin, level, &escaped(message, LINE_BYTES));
        }
    }
}

#[derive(Debug)]
struct Throttle {
    lines_left: u32,
    refilled: Instant,
    dropped: u64,
}

impl Throttle {
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let periods = now.saturating_duration_since(self.refilled).as_nanos() / REFILL.as_nanos();
        if periods > 0 {
            let lines = u32::try_from(periods).unwrap_or(u32::MAX);
            self.lines_left = self.lines_left.saturating_add(lines).min(BURST);
            self.refilled = now;
        }
        match self.lines_left.checked_sub(1) {
            Some(left) => {
                self.lines_left = left;
                Some(std::mem::take(&mut self.dropped))
            }
            None => {
                self.dropped += 1;
                None
            }
        }
    }
}

pub(super) fn add_to(linker: &mut Linker<HostData>) -> wasmtime::Result<()> {
    linker.instance("pelton:plugin/log@0.1.1")?.func_wrap(
        "write",
        |cx: StoreContextMut<'_, HostData>, (level, message): (GuestLevel, WasmStr)| {
            let level = match level {
                GuestLevel::Error => Level::Error,
                GuestLevel::Warn => Level::Warn,
                GuestLevel::Info => Level::Info,
                GuestLevel::Debug => Level::Debug,
            };
            cx.data().log(level, &message.to_str(&cx)?);
            Ok(())
        },
    )
}

/// The text with control characters escaped (line breaks too, and those that turn the direction of
/// writing), cut to `limit_bytes`.
pub(crate) fn escaped(text: &str, limit_bytes: usize) -> String {
    let mut line = String::with_capacity(text.len().min(limit_bytes));
    for character in text.chars() {
        if line.len() >= limit_bytes {
            line.push('…');
            break;
        }
        let turns_direction =
            matches!(character, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns_direction {
            // Writing to a String cannot fail.
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_no_control_character_and_ends() {
        assert_eq!(escaped("a\nb\x1b[31m\u{202e}ü", 100), "a\\nb\\u{1b}[31m\\u{202e}ü");
        let long = escaped(&"ü".repeat(10_000), LINE_BYTES);
        assert!(long.len() <= LINE_BYTES + 4 && long.ends_with("ü…"), "{}", long.len());
        assert!(escaped(&"\n".repeat(10_000), LINE_BYTES).len() <= LINE_BYTES + 12);
    }

    #[test]
    fn lines_past_the_burst_are_left_out_and_counted() {
        let began = Instant::now();
        let mut throttle = Throttle { lines_left: BURST, refilled: began, dropped: 0 };
        let admitted = (0..1_000).filter(|_| throttle.admit(began).is_some()).count();
        assert_eq!(admitted, BURST as usize);
        assert_eq!(throttle.admit(began + REFILL / 2), None);
        assert_eq!(throttle.admit(began + REFILL), Some(901));
        assert_eq!(throttle.admit(began + REFILL), None);
        let later = began + REFILL * 1_000_000;
        assert_eq!((0..1_000).filter(|_| throttle.admit(later).is_some()).count(), BURST as usize);
    }
}
