//! Reads the text of a Java properties file, as Kafka's `server.properties` is one.
//!
//! Source: `java.util.Properties.load`. Keys and values are trimmed, as Kafka's `ConfigDef` trims them.

/// One setting of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its key.
    pub key: String,
    /// Its value; empty where the line has none.
    pub value: String,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// A line that is no property.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct PropertiesError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// The settings of `text`, in the order of their lines; a key may come twice, and then the later one counts.
///
/// # Errors
/// [`PropertiesError`] for a line without a key or with a broken `\u` escape.
pub fn parse(text: &str) -> Result<Vec<Property>, PropertiesError> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let line = index + 1;
        let mut logical = first.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while continues(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        let (key, value) = split(&logical);
        let key = unescape(key, line)?.trim().to_owned();
        if key.is_empty() {
            return Err(PropertiesError { line, reason: "there is no key before `=`; write key=value".to_owned() });
        }
        found.push(Property { key, value: unescape(value, line)?.trim().to_owned(), line });
    }
    Ok(found)
}

/// Whether the line ends in an odd number of backslashes, and thus goes on in the next.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Key and value: parted by the first `=`, `:` or white space that no backslash protects.
fn split(line: &str) -> (&str, &str) {
    let mut protected = false;
    for (at, c) in line.char_indices() {
        if protected {
            protected = false;
        } else if c == '\\' {
            protected = true;
        } else if c == '=' || c == ':' || c.is_whitespace() {
            let rest = line[at..].trim_start();
            return (&line[..at], rest.strip_prefix(['=', ':']).unwrap_or(rest));
        }
    }
    (line, "")
}

fn unescape(text: &str, line: usize) -> Result<String, PropertiesError> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let unit = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4).and_then(char::from_u32);
                let reason = || format!("`\\u{digits}` is no character; write \\u and four hexadecimal digits");
                out.push(unit.ok_or_else(|| PropertiesError { line, reason: reason() })?);
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|p| (p.key, p.value)).collect()
    }

    fn pair(key: &str, value: &str) -> Vec<(String, String)> {
        vec![(key.to_owned(), value.to_owned())]
    }

    #[test]
    fn every_separator_of_java_is_read() {
        for text in ["a.b=c d", "a.b: c d", "a.b c d", "  a.b = c d  ", "a.b\tc d", "a.b   =   c d"] {
            assert_eq!(pairs(text), pair("a.b", "c d"), "{text:?}");
        }
        assert_eq!(pairs("a.b"), pair("a.b", ""));
        assert_eq!(pairs("listeners=PLAINTEXT://:9092"), pair("listeners", "PLAINTEXT://:9092"));
    }

    #[test]
    fn comments_and_blank_lines_are_passed_over() {
        assert_eq!(pairs("# a=b\n\n  ! c=d\n e=f # no comment\n"), pair("e", "f # no comment"));
    }

    #[test]
    fn a_backslash_continues_and_escapes() {
        assert_eq!(pairs("a=b,\\\n   c"), pair("a", "b,c"));
        assert_eq!(pairs("a=b\\\\\nc=d"), [pair("a", "b\\"), pair("c", "d")].concat());
        assert_eq!(pairs("a\\ b=\\u00e4\\tz"), pair("a b", "ä\tz"));
        assert_eq!(pairs("a=b\\"), pair("a", "b"));
    }

    #[test]
    fn faults_are_named_with_their_line() {
        assert_eq!(parse("a=b\n=c").unwrap_err().line, 2);
        assert!(parse("a=\\uXYZW").unwrap_err().to_string().contains("four hexadecimal digits"));
        assert!(parse("a=\\u00").is_err());
    }

    #[test]
    fn lines_are_counted_across_continuations() {
        let lines: Vec<usize> = parse("a=1\\\n2\n\nb=3").unwrap().into_iter().map(|p| p.line).collect();
        assert_eq!(lines, [1, 4]);
    }
}
