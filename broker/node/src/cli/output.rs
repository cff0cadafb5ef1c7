//! What commands print: tables for people, JSON for programs, errors as one line.

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Prints `error: ...` in one line to standard error.
pub fn print_error(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let words: Vec<&str> = text.split_whitespace().collect();
    note(&format!("error: {}", words.join(" ")));
}

/// Prints one line to standard output. A reader that has gone away (`| head`) ends the program quietly.
pub fn line(text: &str) {
    bytes(format!("{text}\n").as_bytes());
}

/// Prints one line to standard error, about what goes on.
pub fn note(text: &str) {
    // Nobody reads it when standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints bytes to standard output, as [`line`] does.
pub fn bytes(text: &[u8]) {
    if io::stdout().lock().write_all(text).is_err() {
        std::process::exit(0);
    }
}

/// Prints a value as JSON, in one line.
pub fn json(value: &impl Serialize) {
    line(&serde_json::to_string(value).expect("what commands print has string keys"));
}

/// Prints rows under a header.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table.add_rows(rows);
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    for row in table.lines() {
        line(row.trim_end());
    }
}

/// A progress bar over `total` units on standard error; hidden where that is no terminal.
pub fn progress(total: Option<u64>, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(ProgressStyle::with_template(template).expect("the template is constant").progress_chars("=> "));
    bar
}

/// Whether progress can be shown.
pub fn on_terminal() -> bool {
    io::stderr().is_terminal()
}

/// A number for people: 1234567 is written `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Things for people: `1 topic`, `2,000 topics`.
pub fn counted(number: usize, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number as u64), if number == 1 { "" } else { "s" })
}

/// A text for people, of at most so many characters.
pub fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// A size for people.
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A duration for people, to the millisecond.
pub fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::{counted, grouped};

    #[test]
    fn things_are_counted_in_words() {
        assert_eq!(counted(1, "topic"), "1 topic");
        assert_eq!(counted(0, "topic"), "0 topics");
        assert_eq!(counted(2000, "topic"), "2,000 topics");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (100_000, "100,000")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
