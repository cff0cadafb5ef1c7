//! Fields of JSON documents, found and changed in place: a document is never turned into a tree. What is not touched
//! stays as it was written: numbers keep their digits, members their order.

mod edit;
mod path;
#[cfg(test)]
mod tests;

pub use edit::{Edit, edit};
pub use path::{BadPath, Path, find};
/// One value of a document, as it is written there.
pub use serde_json::value::RawValue;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The bytes are no JSON document; the text says what is wrong and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson(String);

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not JSON: {}", self.0)
    }
}

impl From<serde_json::Error> for NotJson {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<NotJson> for String {
    fn from(error: NotJson) -> Self {
        error.to_string()
    }
}

/// The whole of a document, checked.
///
/// # Errors
/// When the bytes are no JSON document.
pub fn document(bytes: &[u8]) -> Result<&RawValue, NotJson> {
    Ok(serde_json::from_slice(bytes)?)
}

/// What a value says, as text: the content of a string, without quotes and escapes; of anything else how it is written.
pub fn text(value: &RawValue) -> Cow<'_, str> {
    if !value.get().starts_with('"') {
        return Cow::Borrowed(value.get());
    }
    match serde_json::from_str::<Text<'_>>(value.get()) {
        Ok(Text(text)) => text,
        // Half of a surrogate pair is no text, and is as good as its escape.
        Err(_) => Cow::Borrowed(value.get()),
    }
}

/// A text as JSON: in quotes, with escapes.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A string, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Read)
    }
}

/// The name of a member, as it is written: with quotes and escapes.
#[derive(Debug, Clone, Copy)]
struct Name<'a>(&'a RawValue);

impl Name<'_> {
    /// Whether it means this text, however it is spelt.
    fn is(&self, name: &str) -> bool {
        let written = self.0.get();
        if written.contains('\\') {
            return text(self.0) == name;
        }
        written.len() == name.len() + 2 && &written[1..=name.len()] == name
    }
}

/// Calls `each` with the members of an object, in their order. `object` is checked on the way, to its end.
fn members<'a>(
    object: &'a str,
    each: &mut dyn FnMut(Name<'a>, &'a RawValue) -> Result<(), NotJson>,
) -> Result<(), NotJson> {
    struct Read<'f, 'a>(&'f mut dyn FnMut(Name<'a>, &'a RawValue) -> Result<(), NotJson>);

    impl<'a> Visitor<'a> for Read<'_, 'a> {
        type Value = Result<(), NotJson>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut answer = Ok(());
            while let Some((name, value)) = map.next_entry::<&'a RawValue, &'a RawValue>()? {
                if answer.is_ok() {
                    answer = self.0(Name(name), value);
                }
            }
            Ok(answer)
        }
    }

    let mut source = serde_json::Deserializer::from_str(object);
    let answer = source.deserialize_map(Read(each))?;
    source.end()?;
    answer
}

/// Calls `each` with the elements of an array, in their order. `array` is checked on the way, to its end.
fn elements<'a>(
    array: &'a str,
    each: &mut dyn FnMut(usize, &'a RawValue) -> Result<(), NotJson>,
) -> Result<(), NotJson> {
    struct Read<'f, 'a>(&'f mut dyn FnMut(usize, &'a RawValue) -> Result<(), NotJson>);

    impl<'a> Visitor<'a> for Read<'_, 'a> {
        type Value = Result<(), NotJson>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'a>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let mut answer = Ok(());
            let mut index = 0;
            while let Some(value) = sequence.next_element::<&'a RawValue>()? {
                if answer.is_ok() {
                    answer = self.0(index, value);
                }
                index += 1;
            }
            Ok(answer)
        }
    }

    let mut source = serde_json::Deserializer::from_str(array);
    let answer = source.deserialize_seq(Read(each))?;
    source.end()?;
    answer
}

/// The text of a document, not yet checked for more than that it is UTF-8. Spaces around it are gone.
fn written(bytes: &[u8]) -> Result<&str, NotJson> {
    let text = std::str::from_utf8(bytes).map_err(|error| NotJson(format!("it is no UTF-8: {error}")))?;
    Ok(text.trim_matches([' ', '\n', '\r', '\t']))
}
