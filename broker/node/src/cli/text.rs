//! Bytes of records as JSON and back: text where they are UTF-8, hexadecimal digits otherwise.

use anyhow::{anyhow, bail};
use serde_json::{Value, json};

/// A key, a value or a header as JSON: null, a text, or `{"hex": "00ff"}` for what is no text.
pub fn to_json(bytes: Option<&[u8]>) -> Value {
    match bytes {
        None => Value::Null,
        Some(bytes) => std::str::from_utf8(bytes).map_or_else(|_| json!({ "hex": hexadecimal(bytes) }), Value::from),
    }
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
/// When it is something else.
pub fn from_json(value: &Value) -> anyhow::Result<Option<Vec<u8>>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone().into_bytes())),
        Value::Object(fields) if fields.len() == 1 => match fields.get("hex").and_then(Value::as_str) {
            Some(digits) => from_hexadecimal(digits).map(Some),
            None => bail!("{value} is neither null, nor a text, nor {{\"hex\": \"...\"}}"),
        },
        _ => bail!("{value} is neither null, nor a text, nor {{\"hex\": \"...\"}}"),
    }
}

/// Two digits for each byte.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads two digits for each byte.
///
/// # Errors
/// When there is an odd number of digits, or something that is none.
pub fn from_hexadecimal(digits: &str) -> anyhow::Result<Vec<u8>> {
    let bad = || anyhow!("`{}` are no hexadecimal digits, two for each byte", super::output::shortened(digits, 80));
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        bail!(bad());
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| bad())).collect()
}

/// Bytes for a person to read, of at most so many characters. Control characters are escaped.
pub fn shown(bytes: Option<&[u8]>, characters: usize) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    // Four bytes are the longest character: more of the front is never shown.
    let front = &bytes[..bytes.len().min(characters.saturating_mul(4))];
    let text = match std::str::from_utf8(front) {
        Ok(text) => text.to_owned(),
        Err(error) if error.error_len().is_none() && front.len() < bytes.len() => {
            String::from_utf8_lossy(&front[..error.valid_up_to()]).into_owned()
        }
        Err(_) => format!("0x{}", hexadecimal(&front[..front.len().min(characters)])),
    };
    let mut out = super::output::shortened(&text, characters);
    if front.len() < bytes.len() && !out.ends_with("...") {
        out.push_str("...");
    }
    out.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// A part of a path of the admin HTTP: a topic's or a plugin's name. What could mean another path is refused.
///
/// # Errors
/// When it is no name.
pub fn path_name<'a>(what: &str, name: &'a str) -> anyhow::Result<&'a str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 249 || !name.chars().all(legal) || name == "." || name == ".." {
        bail!("`{name}` is no {what}; use letters, digits, `.`, `_` and `-`");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_the_way_through_json() {
        for bytes in [None, Some(&b""[..]), Some(b"a text"), Some(b"\xff\x00"), Some("ä\n".as_bytes())] {
            assert_eq!(from_json(&to_json(bytes)).unwrap().as_deref(), bytes);
        }
        for bad in [json!(1), json!([]), json!({"hex": "0"}), json!({"hex": "zz"}), json!({"hex": "00", "a": 1})] {
            assert!(from_json(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_is_bounded_and_has_no_control_characters() {
        assert_eq!(shown(None, 5), "null");
        assert_eq!(shown(Some(b"a\x1b[2J"), 80), "a\\u{1b}[2J");
        assert_eq!(shown(Some("äöü".as_bytes()), 2), "äö...");
        assert_eq!(shown(Some(b"\xff\xfe"), 80), "0xfffe");
        assert!(shown(Some(&[b'x'; 100_000]), 10).len() < 20);
        assert!(shown(Some("ä".repeat(100).as_bytes()), 3).starts_with("äää"));
    }

    #[test]
    fn a_name_is_never_another_path() {
        for bad in ["", ".", "..", "a/b", "a%2fb", "a?b", "ä"] {
            assert!(path_name("topic", bad).is_err(), "{bad}");
        }
        assert_eq!(path_name("topic", "a.b_c-1").unwrap(), "a.b_c-1");
    }
}
