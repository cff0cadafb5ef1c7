//! Reads lines of bytes, each bounded in length.

use anyhow::{Context, bail};
use std::io::{BufRead, BufReader, Read};

/// The longest line that is read, in bytes; past it the input is refused instead of taking all memory.
pub const LINE_MAX_BYTES: usize = 64 << 20;

/// Lines of bytes, parted by LF. A last line without LF counts; an LF at the very end begins no further line.
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0 }
    }

    /// The next line without its LF, or `None` at the end.
    ///
    /// # Errors
    /// When the input cannot be read, or the line is longer than [`LINE_MAX_BYTES`].
    pub fn read(&mut self) -> anyhow::Result<Option<&[u8]>> {
        self.line.clear();
        loop {
            let chunk = self.input.fill_buf().with_context(|| format!("reading line {}", self.number + 1))?;
            if chunk.is_empty() {
                if self.line.is_empty() {
                    return Ok(None);
                }
                self.number += 1;
                return Ok(Some(&self.line));
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(chunk.len());
            if self.line.len() + taken > LINE_MAX_BYTES {
                bail!("line {} is longer than {LINE_MAX_BYTES} bytes", self.number + 1);
            }
            self.line.extend_from_slice(&chunk[..taken]);
            self.input.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                self.number += 1;
                return Ok(Some(&self.line));
            }
        }
    }

    /// How many lines were read.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl<R: Read> Lines<BufReader<R>> {
    /// Whether the next line must be waited for, as nothing of it was read yet.
    pub fn is_drained(&self) -> bool {
        self.input.buffer().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut lines = Lines::new(BufReader::with_capacity(3, text.as_bytes()));
        let mut found = Vec::new();
        while let Some(line) = lines.read().unwrap() {
            found.push(String::from_utf8(line.to_vec()).unwrap());
        }
        found
    }

    #[test]
    fn lines_are_parted_by_lf_alone() {
        assert_eq!(lines(""), Vec::<String>::new());
        assert_eq!(lines("\n"), [""]);
        assert_eq!(lines("a\n\nlonger than the buffer\r\nend"), ["a", "", "longer than the buffer\r", "end"]);
        assert_eq!(lines("a\n"), ["a"]);
    }

    #[test]
    fn lines_are_drained_when_the_next_must_be_waited_for() {
        let mut lines = Lines::new(BufReader::new(&b"a\nb\n"[..]));
        lines.read().unwrap();
        assert!(!lines.is_drained());
        lines.read().unwrap();
        assert!(lines.is_drained());
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let endless = BufReader::new(std::io::Read::take(std::io::repeat(b'x'), LINE_MAX_BYTES as u64 + 1));
        assert!(Lines::new(endless).read().is_err());
    }
}
