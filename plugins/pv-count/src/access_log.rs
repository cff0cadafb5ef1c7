//! The requested path in a line of an access log: Apache's common and combined format and its relatives.
//!
//! The request is the first quoted string of the line, and the path is in its second word, cut at the query
//! string or fragment. Everything else in the line may be as odd as the world is. Two things are looked at
//! closely: the request must be one (a TLS handshake on a plain port is logged as `"\x16\x03\x01"`), and the path
//! must be whole (a line may be cut short).

/// Why a line was not counted. For a person to read, in the dead-letter topic.
pub type Reason = &'static str;

/// The path that the line's request asks for, without query string and fragment.
pub fn path(line: &[u8]) -> Result<&[u8], Reason> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Err("empty line");
    }
    let (request, closed) = request(line).ok_or("no quoted request")?;
    let mut words = Words { rest: request };
    let method = words.next().ok_or("empty request")?;
    if method == b"-" && words.rest.trim_ascii().is_empty() {
        return Err("no request was read before the connection ended (\"-\")");
    }
    if !method.iter().copied().all(is_token) {
        return Err("not an HTTP request: its method has characters that no method has");
    }
    let target = words.next().ok_or("not an HTTP request: no target after the method")?;
    let target_is_whole = closed || !words.rest.is_empty();
    if !target_is_whole && !target.iter().any(|&byte| byte == b'?' || byte == b'#') {
        return Err("the line is cut short within the path");
    }
    path_of_target(target, words.next())
}

/// The content of the first quoted string that is not empty (an empty user name may be logged as `""`), and
/// whether its quote closes. A backslash escapes the byte after it, as Apache writes a quote in a request.
fn request(line: &[u8]) -> Option<(&[u8], bool)> {
    let mut rest = line;
    let mut found_empty = false;
    while let Some(start) = rest.iter().position(|&byte| byte == b'"') {
        let content = &rest[start + 1..];
        match closing_quote(content) {
            Some(0) => {
                found_empty = true;
                rest = &content[1..];
            }
            Some(end) => return Some((&content[..end], true)),
            None => return Some((content, false)),
        }
    }
    found_empty.then_some((&[], true))
}

fn closing_quote(content: &[u8]) -> Option<usize> {
    let mut escaped = false;
    content.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// Words between spaces; `rest` is what follows the last one, its separator included.
struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.trim_ascii_start();
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}

/// The path of a request target (RFC 9112, section 3.2): `/path?query`, `http://host/path`, `*`, and the
/// `host:port` of CONNECT, which is kept whole. Any other target counts when a protocol follows it.
fn path_of_target<'a>(target: &'a [u8], protocol: Option<&[u8]>) -> Result<&'a [u8], Reason> {
    let path = match after_authority(target) {
        Some(path) => path,
        None if target.starts_with(b"/") || target == b"*" => target,
        None if protocol.is_some_and(|protocol| protocol.starts_with(b"HTTP/")) => target,
        None => return Err("not an HTTP request: its target is no path, and no protocol follows it"),
    };
    let end = path.iter().position(|&byte| byte == b'?' || byte == b'#').unwrap_or(path.len());
    match &path[..end] {
        b"" => Ok(b"/"),
        path => Ok(path),
    }
}

/// What follows `scheme://authority` of an absolute URI; `None` when the target is none.
fn after_authority(target: &[u8]) -> Option<&[u8]> {
    let colon = target.iter().position(|&byte| byte == b':')?;
    let (scheme, rest) = target.split_at(colon);
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let rest = rest.strip_prefix(b"://").filter(|_| is_scheme)?;
    let end = rest.iter().position(|&byte| b"/?#".contains(&byte)).unwrap_or(rest.len());
    Some(&rest[end..])
}

/// A character of a method (`token` of RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
