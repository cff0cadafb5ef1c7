//! What an interceptor makes of a batch: nothing at all, records taken away, or records changed.
//!
//! The plugin says what becomes of single records. From that follows the cheapest answer that says it: a batch that
//! nothing was done to is not walked again, dropping alone sends back offset deltas, and only a change
//! of content writes a batch. What is kept of a record is copied as its bytes stand.

use crate::batch::deltas_ascend;
use crate::{Field, Record};
use pelton_record::{BatchBuilder, BatchError, BatchView, Header};
use std::ops::Range;

/// What becomes of the records of a batch. It begins as "unchanged"; a record that is not mentioned stays as it is.
#[derive(Debug, Default)]
pub struct Verdict {
    edits: Vec<Edit>,
    rejected: Vec<(i32, String)>,
    /// New keys and values, one after another.
    content: Vec<u8>,
}

/// What becomes of one record.
#[derive(Debug, Default)]
struct Edit {
    offset_delta: i32,
    dropped: bool,
    key: Option<Content>,
    value: Option<Content>,
    headers: Option<Headers>,
}

/// Names and values.
type Headers = Vec<(String, Option<Vec<u8>>)>;

/// A place in [`Verdict::content`], or null.
type Content = Option<Range<usize>>;

/// The answer to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The batch goes on as it is.
    None,
    /// Records to take away, by offset delta, ascending.
    Drop(Vec<i32>),
    /// The batch in its new form.
    Replace(Vec<u8>),
}

impl Verdict {
    /// Takes the record away.
    pub fn drop(&mut self, record: &Record<'_>) {
        self.edit(record).dropped = true;
    }

    /// Refuses the record. What becomes of it is the topic's choice: the producer gets an error, the record is let
    /// through as it is, or it goes to the dead-letter topic.
    pub fn reject(&mut self, record: &Record<'_>, reason: impl Into<String>) {
        let offset_delta = record.offset_delta();
        if self.rejected.iter().rev().all(|(rejected, _)| *rejected != offset_delta) {
            self.rejected.push((offset_delta, reason.into()));
        }
    }

    /// Gives the record another key.
    pub fn replace_key(&mut self, record: &Record<'_>, key: impl Field) {
        let key = self.keep(key.bytes());
        self.edit(record).key = Some(key);
    }

    /// Gives the record another value.
    pub fn replace_value(&mut self, record: &Record<'_>, value: impl Field) {
        let value = self.keep(value.bytes());
        self.edit(record).value = Some(value);
    }

    /// Gives the record a header of this name, in place of all that it has of this name.
    ///
    /// # Errors
    /// Text when the record's headers cannot be read.
    pub fn set_header(&mut self, record: &Record<'_>, name: &str, value: impl Field) -> Result<(), String> {
        let headers = self.headers_of(record)?;
        headers.retain(|(other, _)| other != name);
        headers.push((name.to_owned(), value.bytes().map(<[u8]>::to_vec)));
        Ok(())
    }

    /// Takes all headers of this name from the record.
    ///
    /// # Errors
    /// As for [`Verdict::set_header`].
    pub fn remove_header(&mut self, record: &Record<'_>, name: &str) -> Result<(), String> {
        self.headers_of(record)?.retain(|(other, _)| other != name);
        Ok(())
    }

    /// `true` while nothing was done to any record.
    pub fn is_unchanged(&self) -> bool {
        self.edits.is_empty() && self.rejected.is_empty()
    }

    fn keep(&mut self, bytes: Option<&[u8]>) -> Content {
        let bytes = bytes?;
        let start = self.content.len();
        self.content.extend_from_slice(bytes);
        Some(start..self.content.len())
    }

    /// The edit of a record. Plugins go through a batch in its order, so the last one is nearly always the one asked for.
    fn edit(&mut self, record: &Record<'_>) -> &mut Edit {
        let offset_delta = record.offset_delta();
        let place = match self.edits.last() {
            Some(last) if last.offset_delta >= offset_delta => {
                self.edits.binary_search_by_key(&offset_delta, |edit| edit.offset_delta)
            }
            _ => Err(self.edits.len()),
        };
        let at = place.unwrap_or_else(|at| {
            self.edits.insert(at, Edit { offset_delta, ..Edit::default() });
            at
        });
        &mut self.edits[at]
    }

    fn headers_of(&mut self, record: &Record<'_>) -> Result<&mut Headers, String> {
        let edit = self.edit(record);
        if edit.headers.is_none() {
            let mut headers = Vec::new();
            for header in record.headers() {
                let header = header.map_err(|error| format!("a record's headers cannot be read: {error}"))?;
                headers.push((header.key.to_owned(), header.value.map(<[u8]>::to_vec)));
            }
            edit.headers = Some(headers);
        }
        Ok(edit.headers.get_or_insert_default())
    }

    /// The answer, and (offset delta, reason) of each rejection.
    pub(crate) fn into_parts(self, view: &BatchView<'_>) -> Result<(Change, Vec<(i32, String)>), String> {
        debug_assert!(deltas_ascend(self.edits.iter().map(|edit| edit.offset_delta)));
        let change = if self.edits.is_empty() {
            Change::None
        } else if self.edits.iter().all(|edit| edit.dropped) {
            Change::Drop(self.edits.iter().map(|edit| edit.offset_delta).collect())
        } else {
            Change::Replace(self.write(view).map_err(|error| format!("the input batch is damaged: {error}"))?)
        };
        Ok((change, self.rejected))
    }

    fn write(&self, view: &BatchView<'_>) -> Result<Vec<u8>, BatchError> {
        let header = view.header();
        let room = view.body().len() + self.content.len();
        let mut out = BatchBuilder::with_capacity(header.base_timestamp, room);
        let mut edits = self.edits.iter().peekable();
        for record in view.records()? {
            let record = record?;
            let edit = edits.next_if(|edit| edit.offset_delta == record.offset_delta);
            if edit.is_some_and(|edit| edit.dropped) {
                continue;
            }
            let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
            let content = |range: &Content| range.clone().map(|range| &self.content[range]);
            let key = edit.and_then(|edit| edit.key.as_ref()).map_or(record.key, content);
            let value = edit.and_then(|edit| edit.value.as_ref()).map_or(record.value, content);
            let delta = record.offset_delta;
            match edit.and_then(|edit| edit.headers.as_ref()) {
                None => {
                    let (count, encoded) = (record.header_count(), record.encoded_headers());
                    out.push_raw_headers_at(delta, timestamp, key, value, count, encoded)?;
                }
                Some(headers) => {
                    let headers: Vec<Header<'_>> =
                        headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
                    out.push_at(delta, timestamp, key, value, &headers)?;
                }
            }
        }
        out.set_last_offset_delta(header.last_offset_delta);
        Ok(out.into_bytes())
    }
}
