//! The values of the records: text that compresses as text does, with a number in it; and what must be read back.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;

/// Digits of the number that a value begins with.
const DIGITS: usize = 16;
/// Different texts.
const TEXTS: usize = 2048;
/// Different words of the texts; the first are much more frequent.
const WORDS: usize = 2000;

/// What was sent or read: two multisets of values are equal if these are, but for one case in 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Records.
    pub records: u64,
    /// Wrapping sum of the checksums of their values, so that order does not matter.
    pub sum: u64,
}

impl Tally {
    /// Counts a value.
    pub fn add(&mut self, value: &[u8]) {
        self.records += 1;
        self.sum = self.sum.wrapping_add(checksum(value));
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self { records: self.records + other.records, sum: self.sum.wrapping_add(other.sum) }
    }
}

/// CRC-32C of a value, spread over 64 bits so that sums of different multisets differ.
fn checksum(value: &[u8]) -> u64 {
    let crc = u64::from(crc32c::crc32c(value)) + 1;
    // The multiplier of splitmix64, and its shift.
    let mixed = crc.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// Values of one size.
pub struct Values {
    bytes: usize,
    texts: Vec<u8>,
    value: Vec<u8>,
}

impl Values {
    /// Makes the texts; the same ones for the same size, whenever.
    pub fn new(bytes: usize) -> Self {
        let mut draw = Draw(0x853c_49e6_748f_ea9b);
        let words: Vec<Vec<u8>> = (0..WORDS).map(|_| draw.word()).collect();
        let mut texts = Vec::with_capacity(TEXTS * bytes);
        for n in 1..=TEXTS {
            while texts.len() < n * bytes {
                // The square of a uniform number: small ones come more often.
                let uniform = draw.next(1 << 20) as f64 / (1 << 20) as f64;
                texts.extend_from_slice(&words[(uniform * uniform * WORDS as f64) as usize]);
                texts.push(b' ');
            }
            texts.truncate(n * bytes);
        }
        Self { bytes, texts, value: Vec::with_capacity(bytes) }
    }

    /// Bytes of a value.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The value of a number.
    pub fn of(&mut self, number: u64) -> &[u8] {
        let at = (number as usize % TEXTS) * self.bytes;
        self.value.clear();
        self.value.extend_from_slice(&self.texts[at..at + self.bytes]);
        let mut left = number;
        for digit in self.value.iter_mut().take(DIGITS).rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
        }
        &self.value
    }

    /// Writes one value of each text to a file, a line each, for Kafka's own producer. Its draws have a fixed seed.
    pub fn write_lines(&mut self, path: &Path) -> Result<()> {
        let mut file = std::io::BufWriter::new(fs::File::create(path)?);
        for number in 0..TEXTS as u64 {
            file.write_all(self.of(number))?;
            file.write_all(b"\n")?;
        }
        Ok(file.flush()?)
    }
}

/// Numbers that are the same in each run.
struct Draw(u64);

impl Draw {
    fn next(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn word(&mut self) -> Vec<u8> {
        (0..3 + self.next(8)).map(|_| b'a' + self.next(26) as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_size_and_number_and_are_the_same_again() {
        for bytes in [100, 1024] {
            let mut values = Values::new(bytes);
            let value = values.of(1_234_567).to_vec();
            assert_eq!(value.len(), bytes);
            assert!(value.starts_with(b"0000000001234567"));
            assert!(!value.contains(&b'\n'));
            assert_eq!(Values::new(bytes).of(1_234_567), value);
            assert_ne!(values.of(1_234_568)[DIGITS..], value[DIGITS..]);
        }
    }

    #[test]
    fn a_tally_tells_a_swap_from_a_loss_or_a_double() {
        let tally = |values: &[&[u8]]| {
            let mut tally = Tally::default();
            values.iter().for_each(|value| tally.add(value));
            tally
        };
        assert_eq!(tally(&[b"a", b"b"]), tally(&[b"b", b"a"]));
        assert_ne!(tally(&[b"a", b"a"]), tally(&[b"a", b"b"]));
        assert_ne!(tally(&[b"a"]), tally(&[b"a", b"a"]));
        assert_eq!(tally(&[b"a"]).and(tally(&[b"b"])), tally(&[b"b", b"a"]));
    }

    #[test]
    fn lines_are_values() {
        let file = tempfile::NamedTempFile::new().unwrap();
        Values::new(100).write_lines(file.path()).unwrap();
        let text = fs::read(file.path()).unwrap();
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), TEXTS);
        assert!(lines.iter().all(|line| line.len() == 100));
    }
}
