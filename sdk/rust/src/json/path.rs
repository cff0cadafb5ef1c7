//! Where a field stands in a document: `user.email`, `cards[*].number`, `lines[0].price`.

use super::{Name, NotJson, RawValue, document, elements, members, written};
use serde::de::{Deserialize, Deserializer, Error};
use std::fmt;
use std::str::FromStr;

/// The deepest field that a path can name.
const MAX_STEPS: usize = 32;

/// Where a field stands in a document. A backslash takes the meaning from the `.`, `[`, `]` or `\` after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    Element(usize),
    EveryElement,
}

/// The text is no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPath(String);

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no path of a field; write for example user.email or cards[*].number", self.0)
    }
}

impl Path {
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Step {
    pub(super) fn takes_member(&self, name: Name<'_>) -> bool {
        matches!(self, Self::Member(member) if name.is(member))
    }

    pub(super) fn takes_element(&self, index: usize) -> bool {
        match self {
            Self::Member(_) => false,
            Self::Element(element) => *element == index,
            Self::EveryElement => true,
        }
    }
}

impl FromStr for Path {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        parse(text)
            .filter(|steps| !steps.is_empty() && steps.len() <= MAX_STEPS)
            .map(|steps| Self { steps })
            .ok_or_else(|| BadPath(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn parse(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text.chars().peekable();
    let mut name_follows = rest.peek() != Some(&'[');
    while rest.peek().is_some() || name_follows {
        if name_follows {
            let mut name = String::new();
            while let Some(char) = rest.next_if(|char| !matches!(char, '.' | '[')) {
                match char {
                    ']' => return None,
                    '\\' => name.push(rest.next().filter(|escaped| matches!(escaped, '.' | '[' | ']' | '\\'))?),
                    char => name.push(char),
                }
            }
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Member(name));
            name_follows = false;
        } else if rest.next_if_eq(&'.').is_some() {
            name_follows = true;
        } else {
            rest.next_if_eq(&'[')?;
            let mut index = String::new();
            while let Some(char) = rest.next_if(|char| *char != ']') {
                index.push(char);
            }
            rest.next()?;
            steps.push(if index == "*" { Step::EveryElement } else { Step::Element(index.parse().ok()?) });
        }
    }
    Some(steps)
}

/// The value at `path` of a document: the first, where the path names every element of an array; the last, where a member
/// stands there twice, as most readers take it. `None` when there is none.
///
/// # Errors
/// When the bytes are no JSON document.
pub fn find<'a>(bytes: &'a [u8], path: &Path) -> Result<Option<&'a RawValue>, NotJson> {
    let text = written(bytes)?;
    match path.steps().split_first() {
        Some((step, rest)) if text.starts_with(['{', '[']) => below(text, step, rest),
        _ => document(bytes).map(|_| None),
    }
}

/// The value below an object or array.
fn below<'a>(container: &'a str, step: &Step, rest: &[Step]) -> Result<Option<&'a RawValue>, NotJson> {
    let mut found = None;
    if container.starts_with('{') {
        members(container, &mut |name, member| {
            if step.takes_member(name) {
                found = descend(member, rest)?;
            }
            Ok(())
        })?;
    } else {
        elements(container, &mut |index, element| {
            if found.is_none() && step.takes_element(index) {
                found = descend(element, rest)?;
            }
            Ok(())
        })?;
    }
    Ok(found)
}

fn descend<'a>(value: &'a RawValue, steps: &[Step]) -> Result<Option<&'a RawValue>, NotJson> {
    match steps.split_first() {
        None => Ok(Some(value)),
        Some((step, rest)) if value.get().starts_with(['{', '[']) => below(value.get(), step, rest),
        Some(_) => Ok(None),
    }
}
