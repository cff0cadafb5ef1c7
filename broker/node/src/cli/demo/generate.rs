//! An access log for a demo without input: Zipf-distributed pages, in Apache's combined format, from a seed.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};
use std::io::{self, Read, Write};

/// How many pages the site has.
const PAGES: u32 = 2_000;

/// A reader of generated lines; the same seed and count give the same bytes.
pub struct Generated {
    random: Xoshiro256PlusPlus,
    pages: Zipf<f64>,
    left: u64,
    second: u64,
    line: Vec<u8>,
    at: usize,
}

impl Generated {
    /// `lines` lines from `seed`.
    pub fn new(seed: u64, lines: u64) -> Self {
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            pages: Zipf::new(f64::from(PAGES), 1.05).expect("the parameters are constant and valid"),
            left: lines,
            second: 0,
            line: Vec::new(),
            at: 0,
        }
    }

    fn next_line(&mut self) -> io::Result<()> {
        self.line.clear();
        self.at = 0;
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        let random = &mut self.random;
        self.second += u64::from(random.random_range(0..3u32) == 0);
        let page = self.pages.sample(random) as u32;
        let address = random.next_u32().to_be_bytes();
        let method = if random.random_range(0..50u32) == 0 { "POST" } else { "GET" };
        let status = [200, 200, 200, 200, 200, 200, 304, 404][random.random_range(0..8usize)];
        let bytes = random.random_range(200..60_000u32);
        let agent = AGENTS[random.random_range(0..AGENTS.len())];
        let (second, line) = (self.second, &mut self.line);
        write!(
            line,
            "{}.{}.{}.{} - - [17/May/2015:{:02}:{:02}:{:02} +0000] \"{method} ",
            address[0],
            address[1],
            address[2],
            address[3],
            second / 3600 % 24,
            second / 60 % 60,
            second % 60
        )?;
        write_path(line, page)?;
        if random.random_range(0..5u32) == 0 {
            write!(line, "?session={}", random.next_u32())?;
        }
        writeln!(line, " HTTP/1.1\" {status} {bytes} \"-\" \"{agent}\"")
    }
}

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.5.0",
];

fn write_path(line: &mut Vec<u8>, page: u32) -> io::Result<()> {
    match page {
        1 => write!(line, "/"),
        2 => write!(line, "/favicon.ico"),
        page if page.is_multiple_of(7) => write!(line, "/images/photo-{page}.png"),
        page if page.is_multiple_of(5) => write!(line, "/static/bundle-{page}.js"),
        page => write!(line, "/articles/{}/{page}", 2000 + page % 15),
    }
}

impl Read for Generated {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < out.len() {
            if self.at == self.line.len() {
                self.next_line()?;
                if self.line.is_empty() {
                    break;
                }
            }
            let taken = (self.line.len() - self.at).min(out.len() - written);
            out[written..written + taken].copy_from_slice(&self.line[self.at..self.at + taken]);
            self.at += taken;
            written += taken;
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::super::access_log::Account;
    use super::*;
    use std::io::BufReader;

    #[test]
    fn a_seed_gives_the_same_lines_and_another_seed_others() {
        let text = |seed| {
            let mut text = Vec::new();
            Generated::new(seed, 500).read_to_end(&mut text).unwrap();
            text
        };
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn every_line_is_a_view_and_pages_are_distributed_as_zipf_says() {
        let account = Account::of(BufReader::new(Generated::new(7, 50_000))).unwrap();
        assert_eq!(account.lines, 50_000);
        assert_eq!(account.bad_lines, 0);
        let most = account.views.iter().max_by_key(|(_, count)| **count).unwrap();
        assert_eq!(most.0, b"/");
        assert!(account.views.len() > 500);
        assert!(*most.1 > 10 * account.views.values().sum::<u64>() / account.views.len() as u64);
    }

    #[test]
    fn no_lines_are_no_bytes() {
        let mut text = Vec::new();
        Generated::new(1, 0).read_to_end(&mut text).unwrap();
        assert!(text.is_empty());
    }
}
