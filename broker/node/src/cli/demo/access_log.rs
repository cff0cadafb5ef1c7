//! The demo's own account of its input: which lines are page views, and of which path.
//!
//! It shares no code with the plugin that the job runs, so that the two check each other.

use crate::cli::lines::Lines;
use std::collections::BTreeMap;
use std::io::BufRead;

/// What an input holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Lines.
    pub lines: u64,
    /// Bytes of the lines, their ends not counted.
    pub bytes: u64,
    /// Lines that are no page view.
    pub bad_lines: u64,
    /// Page views by path.
    pub views: BTreeMap<Vec<u8>, u64>,
}

impl Account {
    /// Counts the lines of `input`, one at a time.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn of(input: impl BufRead) -> anyhow::Result<Self> {
        let mut account = Self::default();
        let mut lines = Lines::new(input);
        while let Some(line) = lines.read()? {
            account.add(line);
        }
        Ok(account)
    }

    fn add(&mut self, line: &[u8]) {
        self.lines += 1;
        self.bytes += line.len() as u64;
        match viewed_path(line) {
            None => self.bad_lines += 1,
            Some(path) => match self.views.get_mut(path) {
                Some(count) => *count += 1,
                None => drop(self.views.insert(path.to_vec(), 1)),
            },
        }
    }
}

/// The path that a line of an access log asks for: the second word of the first quoted string, cut at the query
/// string. `None` for a line that is none.
pub fn viewed_path(line: &[u8]) -> Option<&[u8]> {
    let (request, whole) = quoted(line.trim_ascii())?;
    let mut words = request.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (method, target, protocol) = (words.next()?, words.next(), words.next());
    let target = target?;
    if !method.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)) {
        return None;
    }
    let path_end = target.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let goes_on = request.last().is_some_and(u8::is_ascii_whitespace) || protocol.is_some();
    if !whole && !goes_on && path_end.is_none() {
        // The line breaks off inside the path, so nobody knows which page it was.
        return None;
    }
    let protocol_follows = protocol.is_some_and(|word| word.starts_with(b"HTTP/"));
    let path = match without_authority(target) {
        Some(path) => path,
        None if target[0] == b'/' || target == b"*" || protocol_follows => target,
        None => return None,
    };
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    if end == 0 { Some(b"/") } else { Some(&path[..end]) }
}

/// What stands in the first pair of quotes that is not empty, and whether the second quote is there.
fn quoted(line: &[u8]) -> Option<(&[u8], bool)> {
    let mut at = 0;
    loop {
        let start = at + line[at..].iter().position(|byte| *byte == b'"')? + 1;
        let mut end = start;
        while end < line.len() && line[end] != b'"' {
            // A backslash takes the next byte with it.
            end += if line[end] == b'\\' { 2 } else { 1 };
        }
        let whole = end < line.len();
        let end = end.min(line.len());
        if end > start || !whole {
            return (end > start).then_some((&line[start..end], whole));
        }
        at = end + 1;
    }
}

/// The path of `scheme://host/path`, as proxies log it.
fn without_authority(target: &[u8]) -> Option<&[u8]> {
    let mark = target.windows(3).position(|window| window == b"://")?;
    let (first, others) = target[..mark].split_first()?;
    let scheme =
        first.is_ascii_alphabetic() && others.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    let rest = &target[mark + 3..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    scheme.then(|| &rest[end..])
}

/// The plugin's own rule, as source: neither room depends on the other.
#[cfg(test)]
#[path = "../../../../../plugins/pv-count/src/access_log.rs"]
mod plugin;

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn paths_are_found_and_other_lines_are_not() {
        let cases: [(&str, Option<&str>); 19] = [
            (r#"h - - [t] "GET /a/b?x=1 HTTP/1.1" 200 7 "-" "agent""#, Some("/a/b")),
            (r#"h - - [t] "POST / HTTP/2" 200"#, Some("/")),
            (r#""" "GET /a HTTP/1.1""#, Some("/a")),
            (r#""GET http://example.org/x?y HTTP/1.1""#, Some("/x")),
            (r#""GET http://example.org HTTP/1.1""#, Some("/")),
            (r#""OPTIONS * HTTP/1.0""#, Some("*")),
            (r#""CONNECT host:443 HTTP/1.1""#, Some("host:443")),
            (r#""GET /a#b""#, Some("/a")),
            (r#""GET /a\"b HTTP/1.1""#, Some(r#"/a\"b"#)),
            (r#""GET /whole HTTP/1.1" 200 "never closed"#, Some("/whole")),
            (r#""GET /whole HTT"#, Some("/whole")),
            (r#""GET /cut"#, None),
            (r#""GET /a?cut"#, Some("/a")),
            (r#""-" 408"#, None),
            (r#""\x16\x03\x01" 400"#, None),
            (r#""GET""#, None),
            (r#""GET word""#, None),
            ("no quotes at all", None),
            ("", None),
        ];
        for (line, path) in cases {
            assert_eq!(viewed_path(line.as_bytes()), path.map(str::as_bytes), "{line}");
        }
    }

    #[test]
    fn an_account_counts_every_line_once() {
        let text = "\"GET /a HTTP/1.1\"\n\nrubbish\n\"GET /b?1 HTTP/1.1\"\n\"GET /a?2 HTTP/1.1\"";
        let account = Account::of(text.as_bytes()).unwrap();
        assert_eq!((account.lines, account.bad_lines, account.views.values().sum::<u64>()), (5, 2, 3));
        assert_eq!(account.views[&b"/a"[..]], 2);
    }

    /// A line of odd pieces, or a usual one with some of its bytes changed, taken out or put in.
    fn odd_line(rng: &mut Xoshiro256PlusPlus) -> Vec<u8> {
        const PIECES: &[&str] = &[
            "\"", "\"", "\"\"", "\\", "\\\"", " ", " ", "\t", "\r", "GET", "get", "G(T", "-", "*", "/", "/a", "//",
            "?", "#", ":", "://", "http://", "1x://h", "h:443", "HTTP/1.1", "HTTP/", "HTT", "word", "\u{fc}", "\u{0}",
            "\u{b}", "\u{c}", "[", "x=1",
        ];
        if rng.random_bool(0.5) {
            let count = rng.random_range(0..14);
            return (0..count).flat_map(|_| PIECES[rng.random_range(0..PIECES.len())].bytes()).collect();
        }
        let usual: [&[u8]; 4] = [
            br#"h - - [t] "GET /a/b?x=1#y HTTP/1.1" 200 7 "http://r/" "agent (x)""#,
            br#"h - "" [t] "POST http://h:1/p?q HTTP/2" 200 7"#,
            br#"h - - [t] "GET /say\"hi\" HTTP/1.1" 200 7"#,
            br#"h - - [t] "CONNECT h:443 HTTP/1.1" 200 7"#,
        ];
        let mut line = usual[rng.random_range(0..usual.len())].to_vec();
        for _ in 0..rng.random_range(0..5) {
            let at = rng.random_range(0..line.len());
            let byte = if rng.random_bool(0.5) { br#"" \?#:/*-"#[rng.random_range(0..9)] } else { rng.random() };
            match rng.random_range(0..4) {
                0 => line[at] = byte,
                1 => line.insert(at, byte),
                2 if line.len() > 1 => drop(line.remove(at)),
                _ => line.truncate(at + 1),
            }
        }
        line
    }

    #[test]
    fn the_account_and_the_plugin_agree_on_every_line() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut views = 0;
        for _ in 0..200_000 {
            let line = odd_line(&mut rng);
            let found = viewed_path(&line);
            assert_eq!(found, plugin::path(&line).ok(), "{:?}", String::from_utf8_lossy(&line));
            views += usize::from(found.is_some());
        }
        assert!((20_000..180_000).contains(&views), "{views} of the lines are page views");
    }

    #[test]
    fn no_line_makes_the_parser_panic() {
        for line in ["\"", "\"\"", "\"\\", "\"\\\"", "\" \"", "\"GET ://x HTTP/1\"", "\"a b://\"", "\"\"\"\"\""] {
            let _ = viewed_path(line.as_bytes());
        }
    }
}
