//! Changes to fields of a document. The recursion is as deep as the deepest path, never as the document.

use super::path::Step;
use super::{NotJson, Path, RawValue, document, elements, members, written};

/// What becomes of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// It stays.
    Keep,
    /// Another value takes its place: JSON text, as [`quoted`](super::quoted) gives it.
    Replace(String),
    /// It is taken out of its object or array.
    Remove,
}

/// Asks `change` about each field that one of `paths` names, with the number of the path. Gives the document as it is then,
/// or `None` when nothing changed. Members that stand in an object twice are both asked about.
///
/// # Errors
/// When the bytes are no JSON document.
pub fn edit(
    bytes: &[u8],
    paths: &[Path],
    mut change: impl FnMut(usize, &RawValue) -> Edit,
) -> Result<Option<Vec<u8>>, NotJson> {
    let whole = written(bytes)?;
    let active: Vec<Active<'_>> = paths.iter().enumerate().map(|(path, it)| (path, it.steps())).collect();
    let mut writer = Writer { out: String::with_capacity(bytes.len()), change: &mut change, changed: false };
    match whole.as_bytes().first() {
        Some(b'{') => writer.object(whole, &active)?,
        Some(b'[') => writer.array(whole, &active)?,
        _ => return document(bytes).map(|_| None),
    }
    Ok(writer.changed.then(|| writer.out.into_bytes()))
}

/// Number of a path, and the steps that are left of it.
type Active<'p> = (usize, &'p [Step]);

struct Writer<'f> {
    out: String,
    change: &'f mut dyn FnMut(usize, &RawValue) -> Edit,
    changed: bool,
}

impl Writer<'_> {
    /// Writes a value; `false`: it is to be taken away, and nothing was written.
    fn value(&mut self, value: &RawValue, active: &[Active<'_>]) -> Result<bool, NotJson> {
        for (path, _) in active.iter().filter(|(_, steps)| steps.is_empty()) {
            match (self.change)(*path, value) {
                Edit::Keep => continue,
                Edit::Replace(text) => self.out.push_str(&text),
                Edit::Remove => {
                    self.changed = true;
                    return Ok(false);
                }
            }
            self.changed = true;
            return Ok(true);
        }
        let deeper = active.iter().any(|(_, steps)| !steps.is_empty());
        match value.get().as_bytes().first() {
            Some(b'{') if deeper => self.object(value.get(), active)?,
            Some(b'[') if deeper => self.array(value.get(), active)?,
            _ => self.out.push_str(value.get()),
        }
        Ok(true)
    }

    fn object(&mut self, object: &str, active: &[Active<'_>]) -> Result<(), NotJson> {
        let mut next = Vec::new();
        let mut separator = '{';
        members(object, &mut |name, member| {
            let before = self.out.len();
            self.out.push(separator);
            self.out.push_str(name.0.get());
            self.out.push(':');
            next.clear();
            next.extend(stepped(active, |step| step.takes_member(name)));
            self.kept(before, &mut separator, member, &next)
        })?;
        self.close(separator, "{}", '}');
        Ok(())
    }

    fn array(&mut self, array: &str, active: &[Active<'_>]) -> Result<(), NotJson> {
        let mut next = Vec::new();
        let mut separator = '[';
        elements(array, &mut |index, element| {
            let before = self.out.len();
            self.out.push(separator);
            next.clear();
            next.extend(stepped(active, |step| step.takes_element(index)));
            self.kept(before, &mut separator, element, &next)
        })?;
        self.close(separator, "[]", ']');
        Ok(())
    }

    fn kept(
        &mut self,
        before: usize,
        separator: &mut char,
        value: &RawValue,
        next: &[Active<'_>],
    ) -> Result<(), NotJson> {
        if self.value(value, next)? {
            *separator = ',';
        } else {
            self.out.truncate(before);
        }
        Ok(())
    }

    fn close(&mut self, separator: char, empty: &str, end: char) {
        if separator == ',' { self.out.push(end) } else { self.out.push_str(empty) }
    }
}

fn stepped<'p>(active: &[Active<'p>], takes: impl Fn(&Step) -> bool) -> impl Iterator<Item = Active<'p>> {
    active.iter().filter_map(move |(path, steps)| {
        let (step, rest) = steps.split_first()?;
        takes(step).then_some((*path, rest))
    })
}
